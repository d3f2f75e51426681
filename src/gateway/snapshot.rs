//! The configuration in the form that requests use: built once per load, swapped as a whole.

use crate::config::routes::{Route, digest};
use crate::config::{Config, profile};
use crate::http1::Refusal;
use crate::rules::header::bearer;
use crate::rules::rule::RuleSet;
use crate::upstream::{self, Upstream};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// An upstream with all rules for requests to it.
#[derive(Debug)]
pub struct Destination {
    /// Where it is.
    pub upstream: Arc<Upstream>,
    /// `system-prompt`, the profile's rules, the operator's, and `headers-file`, in this order.
    pub rules: RuleSet,
}

/// What requests are handled with.
#[derive(Debug)]
pub struct Snapshot {
    /// The validated configuration.
    pub config: Config,
    /// Where requests can go, preferred ones first.
    pub destinations: Vec<Destination>,
}

impl Snapshot {
    /// Prepares a configuration.
    ///
    /// # Errors
    /// When an upstream cannot be prepared.
    pub fn new(config: Config) -> Result<Self, String> {
        let upstreams = upstream::prepare(&config)?;
        if upstreams.is_empty() {
            return Err("there is no upstream".to_owned());
        }
        let destinations = upstreams.into_iter().map(|upstream| {
            let profile = profile::switched(upstream.config.profile, &upstream.config.profile_rules)?;
            let rules = config.first_rules.iter().chain(&profile).chain(&config.rules).chain(&config.last_rules);
            Ok(Destination { upstream, rules: RuleSet::new(rules.cloned().collect()) })
        });
        let destinations = destinations.collect::<Result<_, String>>()?;
        Ok(Self { config, destinations })
    }

    /// The place in `destinations` where a request with these headers goes: where a route sends its key, or else to
    /// the preferred upstream that is not reserved for routed keys.
    ///
    /// # Errors
    /// 401 if there is no such upstream.
    pub fn choose(&self, headers: &HeaderMap) -> Result<usize, Refusal> {
        let routed = self.routed(headers);
        let is_chosen = |destination: &Destination| match routed {
            Some(route) => destination.upstream.config.name == route.upstream,
            None => !destination.upstream.config.is_reserved,
        };
        self.destinations.iter().position(is_chosen).ok_or_else(|| {
            Refusal::new(
                401,
                "unknown_key",
                "This gateway serves only the keys that are listed in its routes (gateway.routes), and this one is not.",
            )
        })
    }

    /// The route of the request's key. Every key is compared, in constant time.
    fn routed(&self, headers: &HeaderMap) -> Option<&Route> {
        let routes = &self.config.routes;
        if routes.is_empty() {
            return None;
        }
        let mut found = None;
        for key in client_keys(headers) {
            let given = digest(key);
            for route in routes {
                let is_listed = route.keys.iter().fold(0, |any, key| any | key.ct_eq(&given).unwrap_u8());
                if is_listed == 1 && found.is_none() {
                    found = Some(route);
                }
            }
        }
        found
    }
}

/// The keys that a client sent: in `x-api-key`, and in `Authorization` without its scheme.
pub fn client_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let x_api_key = headers.get("x-api-key").map(|value| value.as_bytes());
    let authorization = headers.get(AUTHORIZATION).map(|value| bearer(value.as_bytes()).unwrap_or(value.as_bytes()));
    x_api_key.into_iter().chain(authorization)
}
