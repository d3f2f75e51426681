//! What an operator's rule asks of an error.

use super::told::Told;
use regex::bytes::Regex;
use std::ops::RangeInclusive;

/// What an operator's rule asks of an error. Of each list one is enough; an empty one asks nothing.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// Statuses.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// Types, in any case of letters.
    pub kinds: Vec<String>,
    /// Codes, in any case of letters.
    pub codes: Vec<String>,
    /// What its message has in it.
    pub messages: Vec<Words>,
    /// Names of upstreams.
    pub upstreams: Vec<String>,
}

/// How a message is looked through.
#[derive(Clone, Debug)]
pub enum Words {
    /// It has this in it, whatever the case of letters; this is in small ones.
    Text(String),
    /// The regular expression is found in it.
    Regex(Regex),
}

/// What a condition asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The status.
    Status,
    /// The type.
    Type,
    /// The code.
    Code,
    /// The message.
    Message,
    /// The upstream.
    Upstream,
    /// Nothing of what a built-in rule knows.
    Words,
}

impl Unmet {
    /// The name of the condition.
    pub fn code(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Type => "type",
            Self::Code => "code",
            Self::Message => "message",
            Self::Upstream => "upstream",
            Self::Words => "words",
        }
    }
}

impl When {
    /// The first condition that does not hold for this error, if there is one.
    pub fn first_unmet(&self, told: &Told<'_>) -> Option<Unmet> {
        let is_one = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        if !self.upstreams.is_empty() && !self.upstreams.iter().any(|name| name == told.upstream) {
            return Some(Unmet::Upstream);
        }
        if !self.statuses.is_empty() && !self.statuses.iter().any(|range| range.contains(&told.status)) {
            return Some(Unmet::Status);
        }
        if !is_one(&self.kinds, told.kind) {
            return Some(Unmet::Type);
        }
        if !is_one(&self.codes, told.code) {
            return Some(Unmet::Code);
        }
        let message = told.message.unwrap_or_default();
        let has = |words: &Words| match words {
            Words::Text(text) => message.to_lowercase().contains(text),
            Words::Regex(regex) => regex.is_match(message.as_bytes()),
        };
        let is_said = self.messages.is_empty() || told.message.is_some() && self.messages.iter().any(has);
        (!is_said).then_some(Unmet::Message)
    }
}
