//! A request of the log: what is known of it beside head and body, and what is not.

use crate::gateway::snapshot::Destination;
use gateway_core::prompt_shape::kept::LeftOut;
use gateway_core::redact::MASK;
use gateway_core::rules::body::BodyAction;
use gateway_core::rules::document::Pointer;
use gateway_core::rules::matcher::{Condition, Matcher, TextTest};
use gateway_core::rules::rule::Rule;
use http::HeaderMap;
use serde::Serialize;
use std::net::IpAddr;

/// What is known of a request of the log.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// Who sent it.
    pub client: Option<IpAddr>,
    /// The fingerprint of the key that it came with.
    pub key: Option<String>,
    /// The id of its client token.
    pub token: Option<String>,
    /// What is not told of its shape, if its body is made of that.
    pub shape: Option<LeftOut>,
}

/// What an explanation is about that is not the whole request.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    /// `capture` for head and body without keys, `shape` for filler in place of all texts.
    pub kind: &'static str,
    /// The rules that may do something else with the request itself.
    pub unsure: Vec<Unsure>,
    /// Messages in the middle of a long conversation in whose place others stand.
    pub left_out_messages: usize,
    /// The same of tools.
    pub left_out_tools: usize,
    /// Whether there was more that was not even counted.
    pub is_more: bool,
}

/// A rule that looks at what was not kept.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unsure {
    /// Its name.
    pub rule: String,
    /// What it looks at: `text` of the prompt, `structure` inside of blocks, `header` or `query` with values that were
    /// masked.
    pub code: &'static str,
}

impl Source {
    /// Of a request with this head.
    pub(super) fn of(past: &Past, headers: &HeaderMap, target: &[u8], destination: Option<&Destination>) -> Self {
        let kept = Kept { is_shape: past.shape.is_some(), headers, target: String::from_utf8_lossy(target).into() };
        let rules = destination.map_or(&[][..], |destination| destination.rules.rules());
        let unsure =
            rules.iter().filter_map(|rule| Some(Unsure { rule: rule.name.to_string(), code: kept.missing_for(rule)? }));
        let left = past.shape.unwrap_or_default();
        Self {
            kind: if past.shape.is_some() { "shape" } else { "capture" },
            unsure: unsure.collect(),
            left_out_messages: left.messages,
            left_out_tools: left.tools,
            is_more: left.is_more,
        }
    }
}

/// What was kept of a request.
struct Kept<'h> {
    is_shape: bool,
    headers: &'h HeaderMap,
    target: String,
}

impl Kept<'_> {
    /// What a rule looks at that was not kept.
    fn missing_for(&self, rule: &Rule) -> Option<&'static str> {
        self.unmet(&rule.matcher).or_else(|| rule.body.iter().find_map(|action| self.unseen(action)))
    }

    fn unmet(&self, matcher: &Matcher) -> Option<&'static str> {
        matcher.0.iter().find_map(|condition| match condition {
            Condition::Header(name, tests) => {
                let is_masked =
                    |value: &http::HeaderValue| memchr::memmem::find(value.as_bytes(), MASK.as_bytes()).is_some();
                (asks_for_value(tests) && self.headers.get_all(name).iter().any(is_masked)).then_some("header")
            }
            Condition::Query(name, tests) => {
                let is_masked = self.target.contains(&format!("{name}={MASK}"));
                (asks_for_value(tests) && is_masked).then_some("query")
            }
            Condition::Not(inner) => self.unmet(inner),
            _ => None,
        })
    }

    fn unseen(&self, action: &BodyAction) -> Option<&'static str> {
        if !self.is_shape {
            return None;
        }
        if action.looks_at_texts() {
            return Some("text");
        }
        action.pointer().filter(|pointer| leads_into_block(pointer)).map(|_| "structure")
    }
}

fn asks_for_value(tests: &[TextTest]) -> bool {
    !tests.iter().any(is_presence)
}

/// Whether a test passes any value.
fn is_presence(test: &TextTest) -> bool {
    match test {
        TextTest::Present => true,
        TextTest::All(tests) => tests.iter().all(is_presence),
        _ => false,
    }
}

/// Whether a pointer leads to what blocks are made of, beyond what all of them have.
fn leads_into_block(pointer: &Pointer) -> bool {
    let steps: Vec<&str> = pointer.steps().collect();
    let usual: &[&str] = match steps.first() {
        Some(&"system") => &["type", "text", "cache_control"],
        Some(&"tools") => &["name", "description", "input_schema"],
        Some(&"messages") => &["role", "content"],
        _ => return false,
    };
    match steps.get(2) {
        Some(member) => steps.len() > 3 || !usual.contains(member),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_into_a_block_leads_to_what_is_not_known() {
        for (pointer, leads) in [
            ("/max_tokens", false),
            ("/metadata/user_id", false),
            ("/system/0", false),
            ("/system/0/text", false),
            ("/system/0/citations", true),
            ("/tools/3/input_schema", false),
            ("/tools/3/input_schema/properties", true),
            ("/messages/-", false),
            ("/messages/0/content/0", true),
        ] {
            assert_eq!(leads_into_block(&pointer.parse().expect("a pointer")), leads, "{pointer}");
        }
    }
}
