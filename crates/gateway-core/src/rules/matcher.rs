//! Which requests a rule is for.

use super::glob::Glob;
use super::{query, stored};
use crate::holder::Holder;
use crate::http1::{collapsed, split_query};
use crate::language::Language;
use crate::language::both;
use crate::redact::{MASK, is_secret_name};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What a rule can ask about a request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Method.
    pub method: &'a str,
    /// Path and query as they came.
    pub target: &'a [u8],
    /// Fields as they came.
    pub headers: &'a HeaderMap,
    /// Where the request came from.
    pub client: Option<IpAddr>,
    /// The gateway's id of the request.
    pub request_id: &'a str,
    /// Name of the upstream that it goes to.
    pub upstream: &'a str,
    /// `model` of the body, if it has one.
    pub model: Option<&'a str>,
    /// Whose client token it has.
    pub holder: Option<&'a Holder>,
}

/// How a text is compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TextTest {
    /// It is there, whatever its value.
    Present,
    /// It equals this.
    Equals(String),
    /// It begins with this.
    Prefix(String),
    /// It is one that the glob describes.
    Glob(Glob),
    /// The regular expression is found in it.
    Regex(#[serde(with = "stored::text")] Regex),
    /// All of these hold.
    All(Vec<TextTest>),
}

impl TextTest {
    fn is_match(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Equals(expected) => text == expected.as_bytes(),
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::Glob(glob) => std::str::from_utf8(text).is_ok_and(|text| glob.matches(text)),
            Self::Regex(regex) => regex.is_match(text),
            Self::All(tests) => tests.iter().all(|test| test.is_match(text)),
        }
    }
}

/// One condition: any of its values is enough.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// The method is one of these.
    Method(Vec<String>),
    /// The path, without the query and with repeated slashes as one, passes one of these.
    Path(Vec<TextTest>),
    /// One of the field's values passes one of these.
    Header(#[serde(with = "stored::text")] HeaderName, Vec<TextTest>),
    /// One of the parameter's values passes one of these.
    Query(String, Vec<TextTest>),
    /// The client's address is in one of these networks.
    Client(#[serde(with = "stored::texts")] Vec<IpNet>),
    /// The upstream has one of these names.
    Upstream(Vec<String>),
    /// The body's `model` is one that a glob describes.
    Model(Vec<Glob>),
    /// The user whose client token it has has one of these names.
    User(Vec<String>),
    /// That user's group has one of these names.
    Group(Vec<String>),
    /// The client token has one of these ids.
    Token(Vec<String>),
    /// The conditions in it do not all hold.
    Not(Matcher),
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Matcher(pub Vec<Condition>);

impl Matcher {
    /// The first condition that does not hold for this request, if there is one.
    pub fn first_unmet(&self, facts: &Facts<'_>) -> Option<&Condition> {
        self.0.iter().find(|condition| !condition.holds(facts))
    }

    /// Whether all conditions hold for this request.
    pub fn is_match(&self, facts: &Facts<'_>) -> bool {
        self.first_unmet(facts).is_none()
    }

    /// Whether a condition asks for the body's `model`.
    pub fn needs_model(&self) -> bool {
        self.0.iter().any(|condition| match condition {
            Condition::Model(_) => true,
            Condition::Not(inner) => inner.needs_model(),
            _ => false,
        })
    }

    /// What is left of the conditions for requests to this upstream; `None` if they never hold there.
    pub fn at_upstream(&self, upstream: &str) -> Option<Self> {
        let mut left = Vec::new();
        for condition in &self.0 {
            match condition {
                Condition::Upstream(names) if names.iter().any(|name| name == upstream) => {}
                Condition::Upstream(_) => return None,
                Condition::Not(inner) => match inner.at_upstream(upstream) {
                    Some(inner) if inner.0.is_empty() => return None,
                    Some(inner) => left.push(Condition::Not(inner)),
                    None => {}
                },
                other => left.push(other.clone()),
            }
        }
        Some(Self(left))
    }

    /// Whether a condition asks for the upstream.
    pub fn needs_upstream(&self) -> bool {
        self.0.iter().any(|condition| match condition {
            Condition::Upstream(_) => true,
            Condition::Not(inner) => inner.needs_upstream(),
            _ => false,
        })
    }
}

impl Condition {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Method(methods) => methods.iter().any(|method| method == facts.method),
            Self::Path(tests) => {
                let path = collapsed(split_query(facts.target).0);
                tests.iter().any(|test| test.is_match(&path))
            }
            Self::Header(name, tests) => {
                facts.headers.get_all(name).iter().any(|value| tests.iter().any(|test| test.is_match(value.as_bytes())))
            }
            Self::Query(name, tests) => split_query(facts.target).1.is_some_and(|query| {
                query::values(query, name).any(|value| tests.iter().any(|test| test.is_match(&value)))
            }),
            Self::Client(networks) => facts
                .client
                .is_some_and(|client| networks.iter().any(|network| network.contains(&client.to_canonical()))),
            Self::Upstream(names) => names.iter().any(|name| name == facts.upstream),
            Self::Model(globs) => facts.model.is_some_and(|model| globs.iter().any(|glob| glob.matches(model))),
            Self::User(names) => facts.holder.is_some_and(|holder| is_one(names, &holder.user)),
            Self::Group(names) => {
                facts.holder.and_then(|holder| holder.group.as_deref()).is_some_and(|group| is_one(names, group))
            }
            Self::Token(ids) => facts.holder.is_some_and(|holder| is_one(ids, &holder.token)),
            Self::Not(matcher) => !matcher.is_match(facts),
        }
    }
}

fn is_one(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

fn list<T>(items: &[T], language: Language, text: impl Fn(&T) -> String) -> String {
    let or = match language {
        Language::English => " or ",
        Language::Chinese => " 或 ",
    };
    items.iter().map(text).collect::<Vec<_>>().join(or)
}

impl TextTest {
    /// The test as it is shown by `explain`.
    fn text(&self, language: Language) -> String {
        let words = match self {
            Self::Present => both!("present", "存在"),
            Self::Equals(text) => {
                return match language {
                    Language::English => format!("\"{text}\""),
                    Language::Chinese => format!("“{text}”"),
                };
            }
            Self::Prefix(text) => both!("\"{text}\"...", "“{text}”开头"),
            Self::Glob(glob) => both!("glob {glob}", "通配 {glob}"),
            Self::Regex(regex) => both!("regex {regex}", "正则 {regex}"),
            Self::All(tests) => {
                let tests: Vec<String> = tests.iter().map(|test| test.text(language)).collect();
                return tests.join(and(language));
            }
        };
        words.text(language).to_owned()
    }
}

fn and(language: Language) -> &'static str {
    match language {
        Language::English => " and ",
        Language::Chinese => " 且 ",
    }
}

impl Condition {
    /// The condition as it is shown by `explain`.
    pub fn text(&self, language: Language) -> String {
        let texts = |tests: &[TextTest]| list(tests, language, |test| test.text(language));
        let words = match self {
            Self::Method(methods) => {
                both!("method is {of}", "方法是 {of}", of = list(methods, language, String::clone))
            }
            Self::Path(tests) => both!("path is {of}", "路径是 {of}", of = texts(tests)),
            // What a key is compared with is a key.
            Self::Header(name, _) if is_secret_name(name.as_str()) => {
                both!("header {name} is {MASK}", "请求头 {name} 是 {MASK}")
            }
            Self::Query(name, _) if is_secret_name(name) => {
                both!("query {name} is {MASK}", "查询参数 {name} 是 {MASK}")
            }
            Self::Header(name, tests) => both!("header {name} is {of}", "请求头 {name} 是 {of}", of = texts(tests)),
            Self::Query(name, tests) => both!("query {name} is {of}", "查询参数 {name} 是 {of}", of = texts(tests)),
            Self::Client(networks) => {
                both!("client is in {of}", "客户端属于 {of}", of = list(networks, language, ToString::to_string))
            }
            Self::Upstream(names) => {
                both!("upstream is {of}", "上游是 {of}", of = list(names, language, ToString::to_string))
            }
            Self::Model(globs) => {
                both!("model is {of}", "模型是 {of}", of = list(globs, language, ToString::to_string))
            }
            Self::User(names) => both!("user is {of}", "用户是 {of}", of = list(names, language, String::clone)),
            Self::Group(names) => both!("group is {of}", "用户组是 {of}", of = list(names, language, String::clone)),
            Self::Token(ids) => both!("token is {of}", "令牌是 {of}", of = list(ids, language, String::clone)),
            Self::Not(matcher) => {
                let all: Vec<String> = matcher.0.iter().map(|condition| condition.text(language)).collect();
                both!("not ({of})", "并非（{of}）", of = all.join(and(language)))
            }
        };
        words.text(language).to_owned()
    }
}

/// In English.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Language::English))
    }
}

/// Facts of a simple request, for the tests of this folder.
#[cfg(test)]
pub fn facts_for_tests<'a>(method: &'a str, target: &'a str, headers: &'a HeaderMap) -> Facts<'a> {
    Facts {
        method,
        target: target.as_bytes(),
        headers,
        client: Some([127, 0, 0, 1].into()),
        request_id: "req_1",
        upstream: "up",
        model: Some("claude-opus-4-8"),
        holder: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn glob(text: &str) -> Glob {
        Glob::new(text)
    }

    #[test]
    fn what_a_key_is_compared_with_is_not_shown_at_any_depth() {
        let key =
            || Condition::Header(HeaderName::from_static("x-api-key"), vec![TextTest::Equals("key-of-a-rule".into())]);
        let not = |condition| Condition::Not(Matcher(vec![condition]));
        let query = Condition::Query("token".into(), vec![TextTest::Equals("key-of-a-rule".into())]);
        for condition in [key(), not(key()), not(not(query))] {
            let shown = condition.to_string();
            assert!(shown.contains(MASK) && !shown.contains("key-of-a-rule"), "{shown}");
        }
    }

    #[test]
    fn at_an_upstream_its_name_is_known() {
        let upstream = |name: &str| Condition::Upstream(vec![name.to_owned()]);
        let not = |conditions| Condition::Not(Matcher(conditions));
        let model = || Condition::Model(vec![glob("a*")]);
        for (conditions, left) in [
            (vec![upstream("a"), model()], Some(1)),
            (vec![upstream("b"), model()], None),
            (vec![not(vec![upstream("a")])], None),
            (vec![not(vec![upstream("b")])], Some(0)),
            (vec![not(vec![upstream("a"), model()])], Some(1)),
            (vec![not(vec![not(vec![upstream("a")])])], Some(0)),
        ] {
            let shown = format!("{conditions:?}");
            assert_eq!(Matcher(conditions).at_upstream("a").map(|matcher| matcher.0.len()), left, "{shown}");
        }
    }

    #[test]
    fn values_are_any_of_and_conditions_are_all_of() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("one"));
        headers.append("x-a", HeaderValue::from_static("two"));
        let facts = facts_for_tests("POST", "/v1/messages?beta=true&e=%20", &headers);
        let name = HeaderName::from_static("x-a");
        let conditions = [
            (true, Condition::Method(vec!["GET".into(), "POST".into()])),
            (false, Condition::Method(vec!["post".into()])),
            (true, Condition::Path(vec![TextTest::Equals("/v1/messages".into())])),
            (true, Condition::Path(vec![TextTest::Equals("/x".into()), TextTest::Prefix("/v1/".into())])),
            (true, Condition::Path(vec![TextTest::Glob(glob("/v?/*"))])),
            (true, Condition::Header(name.clone(), vec![TextTest::Equals("two".into())])),
            (true, Condition::Header(name.clone(), vec![TextTest::Regex(Regex::new("^t").expect("regex"))])),
            (true, Condition::Header(name.clone(), vec![TextTest::Present])),
            (false, Condition::Header(HeaderName::from_static("x-b"), vec![TextTest::Present])),
            (true, Condition::Query("beta".into(), vec![TextTest::Equals("true".into())])),
            (true, Condition::Query("e".into(), vec![TextTest::Equals(" ".into())])),
            (false, Condition::Query("none".into(), vec![TextTest::Present])),
            (true, Condition::Client(vec!["127.0.0.0/8".parse().expect("a network")])),
            (false, Condition::Client(vec!["10.0.0.0/8".parse().expect("a network")])),
            (true, Condition::Upstream(vec!["up".into()])),
            (true, Condition::Model(vec![glob("claude-haiku*"), glob("claude-opus-*")])),
            (false, Condition::Not(Matcher(vec![Condition::Method(vec!["POST".into()])]))),
            (
                true,
                Condition::Not(Matcher(vec![
                    Condition::Method(vec!["POST".into()]),
                    Condition::Header(name, vec![TextTest::Equals("three".into())]),
                ])),
            ),
        ];
        for (expected, condition) in conditions {
            assert_eq!(condition.holds(&facts), expected, "{condition}");
        }
        assert!(Matcher::default().is_match(&facts));
    }

    #[test]
    fn whose_token_it_is_can_be_asked() {
        let headers = HeaderMap::new();
        let nobody = facts_for_tests("POST", "/v1/messages", &headers);
        let holder = Holder { user: "alice".into(), group: Some("dev".into()), token: "tok_1".into() };
        let alone = Holder { group: None, ..holder.clone() };
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (condition, of_alice, of_alone) in [
            (Condition::User(names(&["bob", "alice"])), true, true),
            (Condition::User(names(&["Alice"])), false, false),
            (Condition::Group(names(&["dev"])), true, false),
            (Condition::Token(names(&["tok_1"])), true, true),
            (Condition::Token(names(&["tok_2"])), false, false),
        ] {
            let holds = |holder| condition.holds(&Facts { holder, ..nobody });
            assert_eq!(
                (holds(Some(&holder)), holds(Some(&alone)), holds(None)),
                (of_alice, of_alone, false),
                "{condition}"
            );
        }
    }
}
