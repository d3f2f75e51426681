//! The part of the rules that changes `system` and `tools`: what thinking that comes back is bound to.
//!
//! It has a digest, so that two configurations can be compared, and can be stored and read back: a conversation stays on
//! the part that it began with.

use super::body::{BodyAction, Outcome};
use super::document::Document;
use super::matcher::{Facts, Matcher};
use super::rule::Rule;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Names of rules that are told at most.
const MOST_NAMES: usize = 20;

/// Those changes of the body that concern `system` and `tools`, for requests to one upstream, in order.
#[derive(Clone, Debug, Default)]
pub struct PrefixRules {
    rules: Vec<PrefixRule>,
    digest: u64,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct PrefixRule {
    /// All of the rule, or what was stored of it.
    rule: Arc<Rule>,
    /// Its conditions, that for the upstream settled.
    matcher: Matcher,
    /// Of its conditions and its changes, as far as they count here.
    digest: u64,
}

/// What is stored of a rule.
#[derive(Serialize)]
struct Form<'r> {
    name: &'r str,
    r#match: &'r Matcher,
    body: Vec<&'r BodyAction>,
}

/// The same, read back.
#[derive(Deserialize)]
struct Stored {
    name: String,
    r#match: Matcher,
    body: Vec<BodyAction>,
}

impl PrefixRule {
    fn new(rule: Arc<Rule>, matcher: Matcher) -> (Self, usize) {
        let changes: Vec<&BodyAction> = rule.body.iter().filter(|action| action.changes_prefix()).collect();
        // What the rule is called makes no difference. These types always have a JSON form.
        let text = serde_json::to_vec(&(&matcher, &changes)).unwrap_or_default();
        let digest = xxh3_64(&text);
        (Self { rule, matcher, digest }, text.len())
    }

    fn changes(&self) -> impl Iterator<Item = &BodyAction> {
        self.rule.body.iter().filter(|action| action.changes_prefix())
    }
}

impl PrefixRules {
    /// What of these rules concerns `system` and `tools` of requests to this upstream.
    pub fn of(rules: &[Arc<Rule>], upstream: &str) -> Self {
        let concerned = rules.iter().filter(|rule| rule.body.iter().any(BodyAction::changes_prefix));
        Self::new(concerned.filter_map(|rule| Some((Arc::clone(rule), rule.matcher.at_upstream(upstream)?))))
    }

    fn new(rules: impl Iterator<Item = (Arc<Rule>, Matcher)>) -> Self {
        let (rules, lengths): (Vec<_>, Vec<_>) = rules.map(|(rule, matcher)| PrefixRule::new(rule, matcher)).unzip();
        let digests: Vec<u8> = rules.iter().flat_map(|rule: &PrefixRule| rule.digest.to_le_bytes()).collect();
        Self { rules, digest: xxh3_64(&digests), bytes: lengths.iter().sum() }
    }

    /// Equal for those that make the same of each request.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether there is one that changes what `system` and `tools` say, not only how they are written.
    pub fn changes_meaning(&self) -> bool {
        self.rules.iter().any(|rule| rule.changes().any(|action| !matches!(action, BodyAction::Compact)))
    }

    /// About how many bytes they are, stored.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a condition asks for the body's `model`.
    pub fn needs_model(&self) -> bool {
        self.rules.iter().any(|rule| rule.matcher.needs_model())
    }

    /// The rules with their conditions.
    pub fn conditions(&self) -> impl Iterator<Item = (&Arc<str>, &Matcher)> {
        self.rules.iter().map(|rule| (&rule.rule.name, &rule.matcher))
    }

    /// Names of the rules that are here or there, but not in both alike.
    pub fn differing(&self, other: &Self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for (rules, others) in [(self, other), (other, self)] {
            let lacking =
                rules.rules.iter().filter(|rule| others.rules.iter().all(|other| other.digest != rule.digest));
            for rule in lacking {
                if names.len() < MOST_NAMES && !names.contains(&rule.rule.name) {
                    names.push(Arc::clone(&rule.rule.name));
                }
            }
        }
        names
    }

    /// Makes the changes for this request, and tells what each of them did.
    pub fn apply<'a>(&'a self, facts: &Facts<'_>, document: &mut Document<'a>) -> Vec<(Arc<str>, Outcome)> {
        let mut outcomes = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.matcher.is_match(facts)) {
            outcomes.extend(rule.changes().map(|change| (Arc::clone(&rule.rule.name), change.apply(document))));
        }
        outcomes
    }
}

impl Serialize for PrefixRules {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let form = |rule: &PrefixRule| -> serde_json::Result<serde_json::Value> {
            serde_json::to_value(Form { name: &rule.rule.name, r#match: &rule.matcher, body: rule.changes().collect() })
        };
        let forms: Result<Vec<_>, _> = self.rules.iter().map(form).collect();
        to.collect_seq(forms.map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for PrefixRules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rules = Vec::<Stored>::deserialize(from)?.into_iter().map(|stored| {
            let Stored { name, r#match, body } = stored;
            (Arc::new(Rule { name: name.into(), body, ..Rule::default() }), r#match)
        });
        Ok(Self::new(rules))
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::{Mode, NewName, System, Target};
    use super::super::document::Json;
    use super::super::glob::Glob;
    use super::super::matcher::{Condition, TextTest, facts_for_tests};
    use super::*;
    use http::{HeaderMap, HeaderName};

    fn every_kind() -> Vec<BodyAction> {
        let pointer = |text: &str| text.parse().expect("a pointer");
        let regex = regex::Regex::new("(?i)claude\\d").expect("a regex");
        vec![
            BodyAction::System(System::new(Mode::Replace, Target::Identity, "We \"are\" 網關")),
            BodyAction::System(System::new(Mode::Append, Target::Matching(regex), "x").unmarked()),
            BodyAction::System(System::new(Mode::EnsureList, Target::Index(3), "")),
            BodyAction::Set(pointer("/tools/0/a~1b"), Json::parse("{\"a\": [1.0]}").expect("JSON")),
            BodyAction::Default(pointer("/system"), Json::string("x")),
            BodyAction::Remove(pointer("/tools/-")),
            BodyAction::Compact,
            BodyAction::Model(vec![(Glob::new("a*"), NewName::new("b"))]),
            BodyAction::Set(pointer("/metadata"), Json::string("no")),
        ]
    }

    fn every_condition() -> Matcher {
        let regex = regex::bytes::Regex::new("^\\xff?b").expect("a regex");
        let header = HeaderName::from_static("x-a");
        let tests = vec![TextTest::Regex(regex), TextTest::Present, TextTest::Glob(Glob::new("a*"))];
        Matcher(vec![
            Condition::Method(vec!["POST".into()]),
            Condition::Path(vec![TextTest::Prefix("/v1".into())]),
            Condition::Not(Matcher(vec![Condition::Header(header, vec![TextTest::All(tests)])])),
            Condition::Not(Matcher(vec![Condition::Query("q".into(), vec![TextTest::Equals("1".into())])])),
            Condition::Client(vec!["127.0.0.0/8".parse().expect("a network")]),
            Condition::Upstream(vec!["a".into()]),
            Condition::Model(vec![Glob::new("claude-*")]),
        ])
    }

    fn rule(name: &str, matcher: Matcher, body: Vec<BodyAction>) -> Arc<Rule> {
        Arc::new(Rule { name: name.into(), matcher, body, ..Rule::default() })
    }

    #[test]
    fn rules_that_are_stored_make_the_same_when_they_are_read_back() {
        let rules = PrefixRules::of(&[rule("all", every_condition(), every_kind())], "a");
        assert_eq!(rules.rules[0].changes().count(), 7, "neither the model nor another member");
        let text = serde_json::to_string(&rules).expect("stored");
        let back: PrefixRules = serde_json::from_str(&text).expect("read");
        assert_eq!((back.digest(), serde_json::to_string(&back).expect("stored")), (rules.digest(), text));
        let body = br#"{"system":[{"type":"text","text":"You are Claude Code, Anthropic's official CLI for Claude."}],
            "tools": [{"name":"x"}]}"#;
        let headers = HeaderMap::new();
        let facts = facts_for_tests("POST", "/v1/messages", &headers);
        let made = |rules: &PrefixRules| {
            let mut document = Document::parse(body).expect("JSON");
            let outcomes = rules.apply(&facts, &mut document);
            (outcomes.len(), document.to_bytes())
        };
        let (count, bytes) = made(&rules);
        assert_eq!((count, bytes), made(&back));
        assert_eq!(count, 7);
    }

    #[test]
    fn only_what_makes_a_difference_counts() {
        let action = |text: &str| BodyAction::System(System::new(Mode::Append, Target::Last, text));
        let elsewhere = Matcher(vec![Condition::Upstream(vec!["b".into()])]);
        let model = Arc::new(Rule { name: "model".into(), body: every_kind().split_off(7), ..Rule::default() });
        let one = PrefixRules::of(&[rule("one", Matcher::default(), vec![action("x")])], "a");
        let same = PrefixRules::of(
            &[rule("renamed", Matcher::default(), vec![action("x")]), model, rule("b", elsewhere, vec![action("y")])],
            "a",
        );
        let other = PrefixRules::of(&[rule("one", Matcher::default(), vec![action("z")])], "a");
        assert_eq!(one.digest(), same.digest());
        assert!(one.differing(&same).is_empty());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.differing(&other), [Arc::from("one")]);
        let two = PrefixRules::of(&[rule("one", Matcher::default(), vec![action("x"), action("x")])], "a");
        assert_ne!(one.digest(), two.digest());
    }
}
