//! The keys of an upstream, one of which goes out in place of the client's: `api_key`, or a pool of them in `api_keys`.

use super::upstream_names::name;
use crate::config::source::bounds;
use crate::config::source::environment::{Lookup, expand};
use crate::config::source::fingerprint::KeyFingerprint;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::secret::Secret;
use crate::config::source::value;
use marked_yaml::Node;
use std::fmt::Write as _;

/// The keys of an entry.
pub(crate) const ENTRY_KEYS: [&str; 5] = ["key", "name", "weight", "max_in_flight", "enabled"];

/// One key of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// What the operator calls it; unique within the upstream.
    pub name: Option<String>,
    /// The key itself.
    pub key: Secret,
    /// Share of the sessions.
    pub weight: u32,
    /// Most requests with it at one time; `None` for no bound.
    pub max_in_flight: Option<u32>,
    /// Whether it is used.
    pub is_enabled: bool,
}

impl ApiKey {
    /// The only key of an upstream.
    pub(super) fn only(key: Secret) -> Self {
        Self { name: None, key, weight: 1, max_in_flight: None, is_enabled: true }
    }

    /// What tells it apart without showing it.
    pub(crate) fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint::of(self.key.expose().as_bytes())
    }

    /// What it is called in logs, metrics and rows: its name, or else its fingerprint.
    pub(crate) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.fingerprint().to_string())
    }
}

/// A key in which `${env.X}` stands for a variable, and whether blanks around it were cut off.
///
/// # Errors
/// When it is none.
pub(super) fn parse(text: &str, env: Lookup<'_>) -> Result<(Secret, bool), Message> {
    let mut key = expand(text, env)?;
    let was_cut = value::cut(&mut key);
    match key.as_bytes() {
        [] => Err(Message::ValueMissing),
        bytes if gateway_core::http1::is_field_value(bytes) => Ok((Secret::new(key), was_cut)),
        _ => Err(Message::KeyControls),
    }
}

/// `api_keys`: a list of mappings.
pub(super) fn read(reading: &mut NodeReader<'_, '_>, list: &Node, at: &str) -> Vec<ApiKey> {
    let mut keys: Vec<ApiKey> = Vec::new();
    let nodes = reading.bounded_list(list, at, bounds::API_KEYS);
    if nodes.is_empty() {
        reading.wrong(list, at, Message::ListEmpty);
    }
    for (index, node) in nodes.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let before = reading.problems();
        let Some(key) = read_one(reading, node, &at) else {
            if reading.problems() == before {
                reading.wrong(node, &at, Message::ApiKeyMissing);
            }
            continue;
        };
        if let Some(name) = key.name.as_ref().filter(|name| keys.iter().any(|other| other.name.as_ref() == Some(name)))
        {
            reading.wrong(node, &at, Message::Twice { name: name.clone() });
        }
        if keys.iter().any(|other| other.key == key.key) {
            reading.wrong(node, &at, Message::ApiKeyTwice);
        }
        keys.push(key);
    }
    keys
}

fn read_one(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<ApiKey> {
    let env = reading.env();
    let (mut read, mut secret) = (ApiKey::only(Secret::new("")), None);
    for (key, value) in reading.entries(node, at, &ENTRY_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "key" => secret = reading.parse_key(value, &at, |text| parse(text, env)),
            "name" => read.name = reading.parse(value, &at, name),
            "weight" => read.weight = reading.parse(value, &at, |text| value::number(text, 1..=1000)).unwrap_or(1),
            "max_in_flight" => {
                read.max_in_flight = reading.parse(value, &at, |text| value::number(text, 1..=1_000_000));
            }
            _ => read.is_enabled = reading.parse(value, &at, value::boolean).unwrap_or(true),
        }
    }
    Some(ApiKey { key: secret?, ..read })
}

/// The pool as settings show it: names and what is set, no key.
pub(super) fn shown(keys: &[ApiKey]) -> String {
    let each = keys.iter().map(|key| {
        let mut text = key.name.clone().unwrap_or_else(|| "********".to_owned());
        if key.weight != 1 {
            // Writing to a string cannot fail.
            let _ = write!(text, " weight={}", key.weight);
        }
        if let Some(most) = key.max_in_flight {
            let _ = write!(text, " max_in_flight={most}");
        }
        if !key.is_enabled {
            text.push_str(" enabled=false");
        }
        text
    });
    each.collect::<Vec<_>>().join(", ")
}
