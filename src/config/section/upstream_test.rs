//! `upstreams[].test`: a message from time to time, by which it is known that the upstream serves. It costs a little.

use super::api_keys::ApiKey;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::value;
use gateway_core::models;
use marked_yaml::Node;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The keys of the mapping.
pub(crate) const TEST_KEYS: [&str; 3] = ["every", "model", "key"];
/// How often: what costs something is no health check.
const EVERY: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 60 * 60);

/// When an upstream is tested, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSettings {
    /// The time between two messages.
    pub every: Duration,
    /// The model that is asked.
    pub model: String,
    /// The place of the key among those of the upstream; `None`: one that is out of use, else one after the other.
    pub key: Option<usize>,
}

/// Reads the mapping, of an upstream with these keys.
pub(super) fn read(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, keys: &[ApiKey]) -> Option<TestSettings> {
    let before = reading.problems();
    let (mut every, mut model, mut key) = (None, None, None);
    for (name, value) in reading.entries(node, at, &TEST_KEYS) {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "every" => every = reading.parse(value, &at, |text| value::duration_within(text, EVERY)),
            "model" => {
                let name = |text: &str| match models::is_name(text) {
                    true => Ok(text.to_owned()),
                    false => Err(Message::NotAModel { text: text.to_owned() }),
                };
                model = reading.parse(value, &at, name);
            }
            _ => key = reading.parse(value, &at, |text| place(keys, text)),
        }
    }
    match (every, model) {
        (Some(_), Some(_)) if keys.iter().all(|key| !key.is_enabled) => {
            reading.wrong(node, at, Message::TestWithoutKey);
            None
        }
        (Some(every), Some(model)) => Some(TestSettings { every, model, key }),
        _ => {
            if reading.problems() == before {
                reading.wrong(node, at, Message::TestIncomplete);
            }
            None
        }
    }
}

/// The place of a key by its name or its fingerprint.
fn place(keys: &[ApiKey], text: &str) -> Result<usize, Message> {
    let is_it = |key: &ApiKey| key.label() == text || key.fingerprint().to_string() == text;
    keys.iter().position(is_it).ok_or_else(|| Message::NoApiKey { name: text.to_owned() })
}

/// The same as settings show it.
pub(super) fn shown(test: &TestSettings, keys: &[ApiKey]) -> String {
    let TestSettings { every, model, key } = test;
    let key = key.and_then(|at| keys.get(at)).map(|key| format!(" key={}", key.label())).unwrap_or_default();
    format!("every={} model={model}{key}", humantime::format_duration(*every))
}
