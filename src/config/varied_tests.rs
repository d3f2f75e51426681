//! Configurations that nobody would write: whatever is in the text, it is taken or its mistakes are told, each with a place
//! that is in it.

use super::super::source::layers::Layers;
use super::super::source::node::scalar_text;
use super::super::source::problem::Source;
use super::files::BUILT_IN;
use super::tests::load_yaml;
use proptest::prelude::*;
use serde_yaml::Value;
use std::collections::BTreeMap;

const SAMPLE: &str = "gateway:
  upstreams:
    - {name: a, base_url: \"https://a.example/x\", weight: 2, api_key: sk-0123456789abcdef, lines: [b.example]}
    - {name: b, base_url: \"http://b.example\", priority: 2}
  routes: [{keys: [\"sk-1*\"], upstream: b}]
  rules:
    - name: one
      match: {path: {prefix: /v1}, header: {user-agent: {regex: \"^claude\"}}}
      headers: {set: {x-a: \"{request.id}\"}, remove: [x-b]}
      query: {set: {beta: \"true\"}}
      body: {set: {/model: claude-x}, remove: [/metadata]}
  prices: [{models: \"claude-*\", input: 3, output: 15.5, from: 2026-01-01}]
  limits: {request_body: 32MB, header_timeout: 10s}
  failover: {max_attempts: 3, errors: [{name: busy, match: {status: [429]}, then: next}]}
  notify: {targets: [{kind: webhook, name: n, url: \"https://n.example\", events: [upstream_down]}]}
";

/// What is put into a text.
const PIECES: [&str; 24] = [
    ":", ": ", "\n", "\n  ", "- ", "{", "}", "[", "]", "\"", "'", "#", "\t", "&a ", "*a", "!!str ", "|\n", "null",
    "-1", "1e99", "网关", "\u{feff}", "\0", "${HOME}",
];

fn changed(text: &str, changes: &[(usize, usize, usize)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, length, piece) in changes {
        let at = at % (characters.len() + 1);
        let end = (at + length).min(characters.len());
        characters.splice(at..end, PIECES.get(*piece).copied().unwrap_or_default().chars());
    }
    characters.into_iter().collect()
}

/// A mapping of names to values and mappings.
fn mapping() -> impl Strategy<Value = Value> {
    let of = |all: BTreeMap<String, Value>| {
        Value::Mapping(all.into_iter().map(|(name, value)| (name.into(), value)).collect())
    };
    let leaf = prop_oneof!["[a-z]{0,3}".prop_map(Value::from), Just(Value::Null)];
    let inner =
        leaf.prop_recursive(2, 12, 4, move |inner| prop::collection::btree_map("[abc]", inner, 1..4).prop_map(of));
    prop::collection::btree_map("[abc]", inner, 1..4).prop_map(of)
}

fn at<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(value, |value, part| value.as_mapping()?.get(part))
}

#[test]
fn what_is_varied_is_valid() {
    load_yaml(SAMPLE, &[]).unwrap_or_else(|problems| panic!("{problems}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_text_is_taken_or_each_mistake_has_a_place_in_it(
        is_shipped: bool,
        changes in prop::collection::vec((any::<usize>(), prop_oneof![3 => 0..4usize, 1 => 0..400usize], 0..30usize), 1..6),
    ) {
        let text = changed(if is_shipped { BUILT_IN } else { SAMPLE }, &changes);
        let found = match load_yaml(&text, &[]) {
            Ok(loaded) => loaded.warnings,
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                problems.0
            }
        };
        let lines: Vec<&str> = text.split('\n').collect();
        for problem in found {
            let said = problem.to_string();
            prop_assert!(!said.contains("sk-0123456789abcdef"), "{}", said);
            let Source::File { path, line, column } = &problem.at else { continue };
            if !path.ends_with("gateway.yaml") {
                continue;
            }
            // Behind the last character is a place too: something is missing there.
            let length = lines.get(line - 1).map_or(0, |line| line.chars().count());
            prop_assert!(*line <= lines.len() + 1 && *column >= 1 && *column <= length + 2, "{}: {:?}", said, text);
        }
    }

    #[test]
    fn the_overlay_counts_where_it_says_something(file in mapping(), overlay in mapping()) {
        let mut problems = Vec::new();
        let text = |value: &Value| serde_yaml::to_string(value).expect("YAML");
        let mut layers = Layers::new("file", &text(&file), &mut problems);
        layers.set_overlay("overlay", &text(&overlay), &mut problems);
        prop_assert!(problems.is_empty());
        let names = ["a", "b", "c"];
        let two = names.iter().flat_map(|one| names.iter().map(move |other| format!("{one}.{other}")));
        for key in two.clone().chain(two.flat_map(|two| names.iter().map(move |name| format!("{two}.{name}")))) {
            let is_said = |value: &&Value| !value.is_null() && value.as_str() != Some("");
            let expected = at(&overlay, &key).filter(is_said).or_else(|| at(&file, &key));
            let found = layers.node(&key);
            prop_assert_eq!(found.is_some(), expected.is_some(), "{}", key);
            if let (Some(found), Some(Value::String(expected))) = (found.and_then(|node| node.as_scalar()), expected) {
                prop_assert_eq!(scalar_text(found), expected.as_str(), "{}", key);
            }
        }
    }
}
