//! `gateway.failover.errors`: what follows an upstream's error, by its status, type, code and words; and which of the built-in
//! rules are off.

use super::resilience::{DAY, SECOND, Statuses};
use super::upstream::UpstreamConfig;
use super::upstream_names::name;
use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::near;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::errors::{BUILT_IN, ErrorRule, Of, Substitute, Then, When, Which, Words, built_in};
use marked_yaml::Node;
use std::sync::Arc;

/// Where the rules stand.
pub(crate) const ERRORS: &str = "gateway.failover.errors";
/// Keys of a rule.
pub(crate) const RULE_KEYS: [&str; 7] = ["name", "match", "then", "rest", "of", "disable_key", "answer"];
/// Keys of its `match`.
pub(crate) const MATCH_KEYS: [&str; 5] = ["status", "type", "code", "message", "upstream"];
/// What may follow.
pub(crate) const THEN: [(&str, Then); 3] = [("pass", Then::Pass), ("next", Then::Next), ("next_key", Then::NextKey)];
/// What may rest.
pub(crate) const OF: [(&str, Of); 2] = [("key", Of::Key), ("upstream", Of::Upstream)];
/// Longest message of an answer, in bytes.
const LONGEST_ANSWER: usize = 2_000;

settings! {
    ERRORS_OFF: Vec<&'static str> = Setting::list(
        "gateway.failover.errors_off",
        "",
        names_of_built_in,
        "Built-in rules for errors that are off, by name; docs/errors.md lists them.",
        "要关闭的内置错误规则的名称；名称见 docs/errors.zh-CN.md。",
    );
}

/// The operator's rules, and after them the built-in ones that are on.
pub(crate) fn read(reader: &mut Reader<'_>, upstreams: &[UpstreamConfig]) -> Vec<Arc<ErrorRule>> {
    let off = reader.get_if_set(&ERRORS_OFF).unwrap_or_default();
    let mut rules = read_list(reader, upstreams);
    rules.extend(built_in::rules(&off));
    rules
}

fn names_of_built_in(text: &str) -> Result<Vec<&'static str>, Message> {
    let named = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|text| {
        let bare = text.strip_prefix(BUILT_IN).unwrap_or(text);
        let names = || built_in::ALL.iter().map(|known| known.name);
        let unknown = || Message::NoBuiltInError { name: text.to_owned(), near: near(bare, names()) };
        names().find(|name| *name == bare).ok_or_else(unknown)
    });
    named.collect()
}

fn read_list(reader: &mut Reader<'_>, upstreams: &[UpstreamConfig]) -> Vec<Arc<ErrorRule>> {
    let Some(list) = reader.node(ERRORS).cloned() else { return Vec::new() };
    // Upstreams of a variable have names that a file cannot know.
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let names = Some(names.as_slice()).filter(|_| reader.upstreams_variable().is_none());
    let (places, env) = (reader.places(), reader.names);
    let mut problems = Vec::new();
    let mut reading = NodeReader::new(&places, env, &mut problems);
    let mut rules: Vec<Arc<ErrorRule>> = Vec::new();
    for (index, node) in reading.bounded_list(&list, ERRORS, bounds::ERROR_RULES).into_iter().enumerate() {
        let at = format!("{ERRORS}[{index}]");
        let Some(rule) = read_rule(&mut reading, node, &at, names) else { continue };
        match rules.iter().any(|other| other.name == rule.name) {
            true => reading.wrong(node, &at, Message::RuleTwice { name: rule.name.to_string() }),
            false => rules.push(Arc::new(rule)),
        }
    }
    let mut warnings = reading.warnings;
    reader.warnings.append(&mut warnings);
    reader.problems.append(&mut problems);
    rules
}

fn read_rule(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, upstreams: Option<&[&str]>) -> Option<ErrorRule> {
    let before = reading.problems();
    let (mut called, mut when, mut then) = (None, None, None);
    let (mut rest, mut of, mut disable_key, mut answer) = (None, None, false, None);
    for (key, value) in reading.entries(node, at, &RULE_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "name" => called = reading.parse(value, &at, name),
            "match" => when = Some(read_match(reading, value, &at, upstreams)),
            "then" => then = reading.parse(value, &at, |text| value::choice(text, &THEN)),
            "rest" => rest = reading.parse(value, &at, |text| value::duration_within(text, SECOND..=7 * DAY)),
            "of" => of = reading.parse(value, &at, |text| value::choice(text, &OF)),
            "disable_key" => disable_key = reading.parse(value, &at, value::boolean).unwrap_or_default(),
            _ => answer = read_answer(reading, value, &at),
        }
    }
    if reading.problems() > before {
        return None;
    }
    let missing = match (&called, &when, &then) {
        (None, ..) => Some(Message::RuleName),
        (_, None, _) => Some(Message::ErrorRuleNeeds { key: "match".to_owned() }),
        (.., None) => Some(Message::ErrorRuleNeeds { key: "then".to_owned() }),
        _ if of.is_some() && rest.is_none() => Some(Message::ErrorRuleNeeds { key: "rest".to_owned() }),
        _ => None,
    };
    if let Some(what) = missing {
        reading.wrong(node, at, what);
    }
    Some(ErrorRule { name: called?.into(), when: Which::Operator(when?), then: then?, rest, of, disable_key, answer })
}

fn read_match(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, upstreams: Option<&[&str]>) -> When {
    let mut when = When::default();
    for (key, value) in reading.entries(node, at, &MATCH_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "status" => {
                // 200: an error in a stream, or in a reply under that status.
                let statuses = reading.parse_each(value, &at, |text| match Statuses::parse(text, 200..=599)? {
                    none if none.is_empty() => {
                        Err(Message::NotStatuses { text: text.to_owned(), least: 200, most: 599 })
                    }
                    statuses => Ok(statuses),
                });
                when.statuses = statuses.into_iter().flat_map(Statuses::into_ranges).collect();
            }
            "type" => when.kinds = reading.texts(value, &at),
            "code" => when.codes = reading.texts(value, &at),
            "message" => when.messages = read_words(reading, value, &at),
            _ => {
                when.upstreams = reading.parse_each(value, &at, |text| match upstreams {
                    Some(names) if !names.contains(&text) => {
                        let near = near(text, names.iter().copied());
                        Err(Message::NoUpstream { name: text.to_owned(), near })
                    }
                    _ => Ok(text.to_owned()),
                });
            }
        }
    }
    when
}

/// Texts, and regular expressions between slashes.
fn read_words(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<Words> {
    let left = std::mem::take(&mut reading.left);
    let words = reading.parse_each(node, at, |text| {
        left.take_tests(1)?;
        match text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|regex| !regex.is_empty()) {
            Some(regex) => left.bytes_regex(&format!("(?i){regex}")).map(Words::Regex),
            None => Ok(Words::Text(text.to_lowercase())),
        }
    });
    reading.left = left;
    words
}

fn read_answer(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Option<Substitute> {
    let (mut status, mut message) = (None, None);
    for (key, value) in reading.entries(node, at, &["status", "message"]) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "status" => status = reading.parse(value, &at, |text| value::number(text, 400..=599)),
            _ => {
                message = reading.parse(value, &at, |text| match text.len() {
                    ..=LONGEST_ANSWER => Ok(text.to_owned()),
                    bytes => Err(Message::TextTooLong { bytes: bytes as u64, most: LONGEST_ANSWER as u64 }),
                });
            }
        }
    }
    let status = status.and_then(|status| u16::try_from(status).ok());
    match message {
        Some(message) => Some(Substitute { status, message }),
        None => {
            reading.wrong(node, at, Message::ErrorRuleNeeds { key: "answer.message".to_owned() });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_rules_are_named_with_or_without_where_they_come_from() {
        assert_eq!(names_of_built_in("quota, builtin:saturated"), Ok(vec!["quota", "saturated"]));
        assert_eq!(names_of_built_in(""), Ok(Vec::new()));
        let error = names_of_built_in("saturatd").expect_err("unknown").to_string();
        assert!(error.contains("saturatd") && error.contains("saturated"), "{error}");
    }
}
