//! What a rule asks of requests (`match`).

use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::near;
use crate::config::source::value;
use gateway_core::rules::glob::Glob;
use gateway_core::rules::matcher::{Condition, Matcher, TextTest};
use http::HeaderName;
use ipnet::IpNet;
use marked_yaml::Node;
use std::net::IpAddr;

/// Keys of `match`.
const MATCH_KEYS: [&str; 11] =
    ["method", "path", "header", "query", "client", "upstream", "model", "user", "group", "token", "not"];

/// Reads the conditions, where `upstreams` are the names of those that may be asked for; `None` if any name will do.
pub(super) fn read(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str, upstreams: Option<&[String]>) -> Matcher {
    let mut conditions = Vec::new();
    for (key, value) in reading.entries(node, at, &MATCH_KEYS) {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "method" => {
                let methods = reading.texts(value, &at).into_iter().map(|method| method.to_ascii_uppercase()).collect();
                conditions.push(Condition::Method(methods));
            }
            "path" => conditions.push(Condition::Path(read_tests(reading, value, &at))),
            "header" => {
                for (name, test) in reading.any_entries(value, &at) {
                    let at = format!("{at}.{name}");
                    match HeaderName::from_bytes(name.as_bytes()) {
                        Ok(name) => conditions.push(Condition::Header(name, read_tests(reading, test, &at))),
                        Err(_) => reading.wrong(test, &at, Message::NotAHeaderName { name }),
                    }
                }
            }
            "query" => {
                for (name, test) in reading.any_entries(value, &at) {
                    let tests = read_tests(reading, test, &format!("{at}.{name}"));
                    conditions.push(Condition::Query(name, tests));
                }
            }
            "client" => conditions.push(Condition::Client(reading.parse_each(value, &at, network))),
            "upstream" => {
                let names = reading.parse_each(value, &at, |text| match upstreams {
                    Some(names) if !names.iter().any(|name| name == text) => {
                        let near = near(text, names.iter().map(String::as_str));
                        Err(Message::NoUpstream { name: text.to_owned(), near })
                    }
                    _ => Ok(text.to_owned()),
                });
                conditions.push(Condition::Upstream(names));
            }
            "model" => conditions.push(Condition::Model(reading.parse_each(value, &at, glob))),
            "user" => conditions.push(Condition::User(reading.texts(value, &at))),
            "group" => conditions.push(Condition::Group(reading.texts(value, &at))),
            "token" => conditions.push(Condition::Token(reading.parse_each(value, &at, token_id))),
            "not" => conditions.push(Condition::Not(read(reading, value, &at, upstreams))),
            _ => {}
        }
    }
    Matcher(conditions)
}

fn glob(text: &str) -> Result<Glob, Message> {
    Ok(Glob::new(text))
}

/// A token has no place in a configuration, and is not repeated.
fn token_id(text: &str) -> Result<String, Message> {
    match gateway_core::team::text::is_meant(text.as_bytes()) {
        true => Err(Message::NotATokenId),
        false => Ok(text.to_owned()),
    }
}

/// An address stands for the network of it alone.
fn network(text: &str) -> Result<IpNet, Message> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(alone).ok_or_else(|| Message::NotANetwork { text: text.to_owned() })
}

/// One test or a list of them, of which one is enough: a text, or a mapping of `equals`, `prefix`, `glob`, `regex` and
/// `present`, which must all hold.
fn read_tests(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Vec<TextTest> {
    let nodes: Vec<&Node> = node.as_sequence().map_or_else(|| vec![node], |list| list.iter().collect());
    if nodes.is_empty() {
        reading.wrong(node, at, Message::ListEmpty);
    }
    if let Err(what) = reading.left.take_tests(nodes.len()) {
        reading.wrong(node, at, what);
        return Vec::new();
    }
    let mut tests = Vec::new();
    for node in nodes {
        if node.as_scalar().is_some() {
            tests.extend(reading.parse(node, at, |text| match text.contains('*') {
                true => Ok(TextTest::Glob(Glob::new(text))),
                false => Ok(TextTest::Equals(text.to_owned())),
            }));
            continue;
        }
        let mut all = Vec::new();
        for (key, value) in reading.entries(node, at, &["equals", "prefix", "glob", "regex", "present"]) {
            all.extend(read_test(reading, &key, value, &format!("{at}.{key}")));
        }
        tests.push(TextTest::All(all));
    }
    tests
}

fn read_test(reading: &mut NodeReader<'_, '_>, key: &str, node: &Node, at: &str) -> Option<TextTest> {
    match key {
        "equals" => reading.parse(node, at, value::text).map(TextTest::Equals),
        "prefix" => reading.parse(node, at, value::text).map(TextTest::Prefix),
        "glob" => reading.parse(node, at, glob).map(TextTest::Glob),
        "regex" => {
            let left = std::mem::take(&mut reading.left);
            let regex = reading.parse(node, at, |text| left.bytes_regex(text));
            reading.left = left;
            regex.map(TextTest::Regex)
        }
        _ if reading.parse(node, at, value::boolean)? => Some(TextTest::Present),
        _ => {
            reading.wrong(node, at, Message::AbsentUnderNot);
            None
        }
    }
}
