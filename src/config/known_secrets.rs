//! The secrets that a configuration holds: none of them is to be kept or shown anywhere.

use super::lower::Config;
use super::section::balance::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway_core::redact::masking::Known;
use gateway_core::redact::{Needles, Secrets, is_secret_name};
use gateway_core::rules::header::HeaderOp;
use gateway_core::rules::query::QueryOp;

impl Config {
    /// What to look for in texts: keys of upstreams and of the panel, passwords of proxies, and what rules and the headers
    /// file set that is a secret by its name, by its looks, or because it comes from the environment.
    pub fn secrets(&self) -> Needles {
        Needles::new(&self.secret_texts())
    }

    /// The same as they are, for what masks them in passing. All keys of upstreams are among them, however many there are.
    pub fn known_secrets(&self) -> Known {
        let keys = self.upstreams.iter().flat_map(|upstream| &upstream.api_keys).map(|key| key.key.expose().as_bytes());
        Known::new(keys.chain(self.secret_texts().iter()))
    }

    fn secret_texts(&self) -> Secrets<'_> {
        let mut secrets = Secrets::default();
        if let Some(key) = &self.dashboard_key {
            secrets.add(key.expose().as_bytes());
        }
        for upstream in &self.upstreams {
            for key in &upstream.api_keys {
                secrets.add(key.key.expose().as_bytes());
            }
            if let Some(Kind::Custom(custom)) = upstream.balance.as_ref().map(|balance| &balance.kind) {
                for (name, value) in &custom.headers {
                    value.own().into_iter().for_each(|text| secrets.add_field(name.as_str(), text.as_bytes()));
                }
            }
            if let Some(credentials) = upstream.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref()) {
                let pair = format!("{}:{}", credentials.user, credentials.password.expose());
                secrets.add(credentials.password.expose().as_bytes());
                secrets.add(STANDARD.encode(&pair).into_bytes());
                secrets.add(pair.into_bytes());
            }
        }
        for target in &self.notify.targets {
            target.secrets().iter().for_each(|secret| secrets.add(secret.as_bytes()));
            if let Some(credentials) = target.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref()) {
                secrets.add(credentials.password.expose().as_bytes());
            }
        }
        for rule in &self.rules {
            rule.headers.iter().for_each(|change| add_header(&mut secrets, change, true));
            for change in &rule.query {
                if let QueryOp::Set(name, value) = change
                    && is_secret_name(name)
                {
                    secrets.add(value.as_bytes());
                }
            }
        }
        for rule in &self.last_rules {
            rule.headers.iter().for_each(|change| add_header(&mut secrets, change, false));
        }
        secrets
    }
}

/// `by_origin`: whatever comes from the environment counts.
fn add_header<'c>(secrets: &mut Secrets<'c>, change: &'c HeaderOp, by_origin: bool) {
    let (HeaderOp::Set(name, value) | HeaderOp::Add(name, value) | HeaderOp::Default(name, value)) = change else {
        return;
    };
    for text in value.texts() {
        secrets.add_field(name.name.as_str(), text.as_bytes());
        if by_origin && value.is_secret() {
            secrets.add(text.trim().as_bytes());
        }
    }
}
