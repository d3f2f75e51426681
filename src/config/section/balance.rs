//! `upstreams[].balance`: where a relay says what is left on the keys that it gave out.

use super::headers::refuse_name;
use super::health::is_target;
use crate::config::source::environment::{Lookup, expand};
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::secret::Secret;
use crate::config::source::value;
use gateway_core::balance::{Pointers, UNIT_CHARACTERS, Unit};
use gateway_core::rules::document::Pointer;
use http::{HeaderName, Method, header};
use marked_yaml::Node;
use std::fmt::Write as _;
use std::time::Duration;

/// The keys of `balance`.
pub(crate) const BALANCE_KEYS: [&str; 10] =
    ["kind", "interval", "rest_below", "method", "path", "headers", "remaining", "used", "unit", "reset"];
/// The kinds of relays.
pub(crate) const KINDS: [&str; 3] = ["new-api", "openai-billing", "custom"];
/// Those that say what the gateway knows of the other kinds.
const ONLY_CUSTOM: [&str; 7] = ["method", "path", "headers", "remaining", "used", "unit", "reset"];
/// Time between two readings.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The least: a relay is not asked all the time what it says seldom.
const LEAST_INTERVAL: Duration = Duration::from_secs(10);
const MOST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Headers that `headers` may set.
const MOST_HEADERS: usize = 20;
/// What stands for the key in a header.
const KEY: &str = "${key}";
/// The largest bound: any quota is less.
const MOST: f64 = 1e15;

/// How the balance of the keys of an upstream is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSource {
    /// Where.
    pub kind: Kind,
    /// Time between two readings.
    pub interval: Duration,
    /// New sessions avoid a key that has less than this.
    pub rest_below: Option<Amount>,
}

/// A number from zero on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount(f64);

// It is never NaN.
impl Eq for Amount {}

impl Amount {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Where a balance is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new-api: the usage of the token, else its billing endpoints.
    NewApi,
    /// OpenAI's former billing endpoints.
    OpenAiBilling,
    /// A request of the operator's.
    Custom(Box<Custom>),
}

/// A request of the operator's, and where its answer says what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// GET or POST.
    pub method: Method,
    /// Path and query, below `base_url`.
    pub path: String,
    /// Headers with their values.
    pub headers: Vec<(HeaderName, Template)>,
    /// Where the answer says what.
    pub pointers: Pointers,
}

impl Custom {
    /// Whether it sends the key somewhere else than in `Authorization`, or somebody else's credentials there.
    pub fn brings_credentials(&self) -> bool {
        self.headers.iter().any(|(name, value)| *name == header::AUTHORIZATION || value.has_key())
    }
}

/// A text in which the key stands at some places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Secret>);

impl Template {
    /// The text with this key.
    pub fn with(&self, key: &str) -> String {
        self.0.iter().map(Secret::expose).collect::<Vec<_>>().join(key)
    }

    /// The text, if the key stands nowhere in it: then it may be a secret of its own.
    pub fn own(&self) -> Option<&str> {
        self.0.first().filter(|_| !self.has_key()).map(Secret::expose)
    }

    fn has_key(&self) -> bool {
        self.0.len() > 1
    }

    fn parse(text: &str, env: Lookup<'_>) -> Result<Self, Message> {
        let texts = text.split(KEY).map(|part| expand(part, env).map(Secret::new));
        let template = Self(texts.collect::<Result<_, _>>()?);
        match gateway_core::http1::is_field_value(template.with("key").as_bytes()) {
            true => Ok(template),
            false => Err(Message::KeyControls),
        }
    }
}

impl BalanceSource {
    /// As settings show it.
    pub(super) fn shown(&self) -> String {
        let (kind, path) = match &self.kind {
            Kind::NewApi => ("new-api", ""),
            Kind::OpenAiBilling => ("openai-billing", ""),
            // A query may hold what is for the relay only.
            Kind::Custom(custom) => ("custom", custom.path.split('?').next().unwrap_or_default()),
        };
        let mut text = kind.to_owned();
        // Writing to a string cannot fail.
        if !path.is_empty() {
            let _ = write!(text, " {path}");
        }
        let _ = write!(text, " interval={}", humantime::format_duration(self.interval));
        if let Some(bound) = self.rest_below {
            let _ = write!(text, " rest_below={}", bound.get());
        }
        text
    }
}

/// What the entry says, before it is known which of it is needed.
#[derive(Default)]
struct Entry {
    kind: Option<&'static str>,
    interval: Option<Duration>,
    rest_below: Option<Amount>,
    method: Option<Method>,
    path: Option<String>,
    headers: Vec<(HeaderName, Template)>,
    remaining: Option<String>,
    used: Option<String>,
    unit: Option<Unit>,
    reset: Option<String>,
}

/// Reads it; `None` if something is wrong with it.
pub(super) fn read(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<BalanceSource> {
    let before = reading.problems();
    let entry = read_entry(reading, node, at);
    if entry.kind.is_none() && reading.problems() == before {
        reading.wrong(node, at, Message::BalanceKeyMissing { key: "kind".to_owned() });
    }
    let kind = entry.kind?;
    if kind != "custom" {
        for (key, _) in node.as_mapping().into_iter().flat_map(|mapping| mapping.iter()) {
            if ONLY_CUSTOM.contains(&key.as_str()) {
                let (at, key) = (format!("{at}.{}", key.as_str()), key.as_str());
                reading.wrong_name(node, &at, key, Message::BalanceOnlyCustom { key: key.to_owned() });
            }
        }
    } else if reading.problems() == before {
        for (key, is_there) in [("path", entry.path.is_some()), ("remaining", entry.remaining.is_some())] {
            if !is_there {
                reading.wrong(node, at, Message::BalanceKeyMissing { key: key.to_owned() });
            }
        }
    }
    if reading.problems() > before {
        return None;
    }
    Some(BalanceSource {
        kind: match kind {
            "new-api" => Kind::NewApi,
            "openai-billing" => Kind::OpenAiBilling,
            _ => Kind::Custom(Box::new(Custom {
                method: entry.method.unwrap_or(Method::GET),
                path: entry.path?,
                headers: entry.headers,
                pointers: Pointers {
                    remaining: entry.remaining?,
                    used: entry.used,
                    unit: entry.unit.unwrap_or_else(|| Unit::Is(String::new())),
                    reset: entry.reset,
                },
            })),
        },
        interval: entry.interval.unwrap_or(INTERVAL),
        rest_below: entry.rest_below,
    })
}

fn read_entry(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Entry {
    let mut entry = Entry::default();
    for (key, value) in reading.entries(node, at, &BALANCE_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "kind" => {
                let kinds = KINDS.map(|kind| (kind, kind));
                entry.kind = reading.parse(value, &at, |text| value::choice(text, &kinds));
            }
            "interval" => {
                let interval = |text: &str| value::duration_within(text, LEAST_INTERVAL..=MOST_INTERVAL);
                entry.interval = reading.parse(value, &at, interval);
            }
            "rest_below" => entry.rest_below = reading.parse(value, &at, amount),
            "method" => {
                let methods = [("GET", Method::GET), ("POST", Method::POST)];
                entry.method = reading.parse(value, &at, |text| value::choice(text, &methods));
            }
            "path" => entry.path = reading.parse(value, &at, path),
            "headers" => entry.headers = headers(reading, value, &at),
            "remaining" => entry.remaining = reading.parse(value, &at, pointer),
            "used" => entry.used = reading.parse(value, &at, pointer),
            "reset" => entry.reset = reading.parse(value, &at, pointer),
            _ => entry.unit = reading.parse(value, &at, unit),
        }
    }
    entry
}

/// `{name: value}`
fn headers(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<(HeaderName, Template)> {
    let env = reading.env();
    let entries = reading.any_entries(node, at);
    if entries.len() > MOST_HEADERS {
        let what = Message::TooMany { found: entries.len() as u64, most: MOST_HEADERS as u64 };
        reading.wrong(node, at, what);
        return Vec::new();
    }
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, value) in entries {
        let at = format!("{at}.{name}");
        let known = HeaderName::from_bytes(name.as_bytes());
        let known = known.map_err(|_| Message::NotAHeaderName { name: name.clone() });
        match known.and_then(|known| refuse_name(&name).map(|()| known)) {
            Ok(known) if headers.iter().any(|(other, _)| *other == known) => {
                reading.wrong_name(node, &at, &name, Message::Twice { name: name.clone() });
            }
            Ok(known) => {
                let value = reading.parse(value, &at, |text| Template::parse(text, env));
                headers.extend(value.map(|value| (known, value)));
            }
            Err(what) => reading.wrong_name(node, &at, &name, what),
        }
    }
    headers
}

fn amount(text: &str) -> Result<Amount, Message> {
    let amount = text.parse().ok().filter(|amount: &f64| (0.0..=MOST).contains(amount));
    amount.map(Amount).ok_or_else(|| Message::NotAnAmount { text: text.to_owned() })
}

fn path(text: &str) -> Result<String, Message> {
    match is_target(text) {
        true => Ok(text.to_owned()),
        false => Err(Message::NotABalancePath { text: text.to_owned() }),
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(text: &str) -> Result<String, Message> {
    let pointer = text.parse::<Pointer>();
    let pointer = pointer.map_err(|error| Message::NotAPointer { said: error.to_string() })?;
    if pointer.is_root() { Err(Message::BalancePointerRoot) } else { Ok(text.to_owned()) }
}

/// A pointer to a unit, or the unit itself.
fn unit(text: &str) -> Result<Unit, Message> {
    match text.starts_with('/') {
        true => pointer(text).map(Unit::At),
        false if text.chars().count() <= UNIT_CHARACTERS => Ok(Unit::Is(text.to_owned())),
        false => Err(Message::NotAUnit { text: text.to_owned(), most: UNIT_CHARACTERS as u64 }),
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
