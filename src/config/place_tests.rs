//! Where a mistake is: with line and column, whatever kind of text it is in.

use super::super::source::problem::Source;
use super::tests::load_yaml;
use super::*;
use gateway_core::language::Language;

/// Each kind of text that a mistake can be in, with Chinese before it: a place has a line and a column, in characters.
#[test]
fn every_mistake_of_a_text_has_its_line_and_column() {
    const DEEP: &str = "x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
    let mut others = Vec::new();
    for (yaml, place) in [
        // No YAML, or one that is not taken.
        ("gateway: # 网关\n  x: [", "2:7"),
        ("gateway: # 网关\n  x: [\n\n", "2:7"),
        ("gateway: {'网关': 1, \"a: 2}\n", "1:20"),
        ("网: 1\n关: 2: 3\n", "2:5"),
        ("gateway:\n\tdebug: true\n", "2:1"),
        ("gateway: {debug: true, debug: true}\n", "1:24"),
        ("gateway: &网 {}\nx: *网\n", "2:4"),
        ("gateway: !!网 {}\n", "1:10"),
        ("gateway: {[网]: 1}\n", "1:11"),
        ("- 网关\n", "1:1"),
        ("网关\n", "1:1"),
        (DEEP, "1:67"),
        // Keys and values.
        ("gateway: {网关: 1}\n", "1:11"),
        ("网关: 1\n", "1:1"),
        ("gateway: 网关\n", "1:10"),
        ("gateway: {via: 网, debug: maybe}\n", "1:26"),
        ("gateway: {system_prompt: {replacement: 网关}, debug: [网]}\n", "1:52"),
        ("gateway: {limits: {request_body: 网}}\n", "1:34"),
        ("threads: 网\n", "1:10"),
        ("threads: 0\n", "1:10"),
        ("daemon: true # 网\n", "1:9"),
        // Lists.
        ("gateway: {upstreams: 网关}\n", "1:22"),
        ("gateway: {upstreams: []}\n", "1:22"),
        ("gateway:\n  upstreams: [网, {}]\n", "2:15"),
        ("gateway:\n  upstreams: [{}]\n", "2:15"),
        ("gateway:\n  upstreams: [{name: '网 a', base_url: \"http://a\"}]\n", "2:22"),
        ("gateway:\n  rules: [{name: 网, headers: {set: {a b: 1}}}]\n", "2:42"),
        ("gateway:\n  rules: [{name: 网, match: {path: {regex: (}}, respond: {status: 204}}]\n", "2:43"),
        ("gateway:\n  rules: [{name: 网}]\n", "2:12"),
        ("gateway:\n  routes: [{keys: 网, upstream: 关}]\n", "2:32"),
        ("gateway:\n  routes: [{keys: []}]\n", "2:19"),
        ("gateway:\n  prices: [{models: 网, input: 3, output: x}]\n", "2:42"),
        ("gateway:\n  models: [{display_name: 网}]\n", "2:13"),
    ] {
        let found = load_yaml(yaml, &[]).expect_err(yaml);
        let places: Vec<String> = found
            .0
            .iter()
            .map(|problem| match &problem.at {
                Source::File { line, column, .. } => format!("{line}:{column}"),
                other => format!("{other:?}"),
            })
            .collect();
        if !places.contains(&place.to_owned()) {
            others.push(format!("{yaml:?}: not at {place}: {places:?}: {found}"));
        }
        for problem in &found.0 {
            let (is_there, said) = (matches!(problem.at, Source::File { .. }), problem.message());
            assert!(is_there, "{yaml:?}: {problem}");
            assert!(!said.contains(" at byte ") && !said.contains(" column "), "the place is told twice: {problem}");
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn a_text_in_another_coding_has_the_place_where_that_shows() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("gateway.yaml");
    std::fs::write(&path, [b"# \xe7\xbd\x91\n# \xe7\xbd\x91 ".as_slice(), b"\xcd\xf8\n"].concat()).expect("written");
    let arguments = Arguments { file: Some(path.to_string_lossy().into_owned()), ..Arguments::default() };
    let found = load(&arguments, &|_| None).expect_err("GBK");
    let problem = found.to_string();
    assert!(problem.contains("gateway.yaml:2:5: ") && problem.contains("not valid UTF-8"), "{problem}");
    let chinese = found.0[0].text(Language::Chinese);
    assert!(chinese.contains("gateway.yaml:2:5: ") && chinese.contains("（可能是 GBK）"), "{chinese}");
}
