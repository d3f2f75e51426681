use super::super::document::tests::{json_text, request_text};
use super::oracle::{self, Step, apply, check, steps_from};
use super::system::IDENTITIES;
use super::*;
use crate::rules::document::NoChange;
use crate::rules::glob::Glob;
use proptest::prelude::*;
use regex::Regex;

fn pointer(text: &str) -> Pointer {
    text.parse().expect("a pointer")
}

fn system(mode: Mode, target: Target, text: &str) -> BodyAction {
    BodyAction::System(System::new(mode, target, text))
}

fn done(actions: &[BodyAction], body: &str) -> (Vec<Outcome>, String) {
    let mut document = Document::parse(body.as_bytes()).expect("JSON");
    let outcomes = apply(actions, &mut document);
    (outcomes, String::from_utf8(document.to_bytes()).expect("UTF-8"))
}

/// One action that must do this.
fn does(action: BodyAction, body: &str, change: Change) -> String {
    let (outcomes, text) = done(&[action], body);
    assert_eq!(outcomes, [Ok(change)], "{body}");
    text
}

/// One action that must do nothing, for this reason.
fn refuses(action: BodyAction, body: &str, reason: impl Into<Unchanged>) {
    assert_eq!(done(&[action], body), (vec![Err(reason.into())], body.to_owned()));
}

fn matching(regex: &str) -> Target {
    Target::Matching(Regex::new(regex).expect("a regular expression"))
}

const BILLING: &str = r#"{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1;"}"#;
const OURS: &str = r#"{"type":"text","text":"new","cache_control":{"type":"ephemeral"}}"#;

fn identity(text: &str) -> String {
    format!(r#"{{"type":"text","text":"{text}", "cache_control":{{"type":"ephemeral"}}}}"#)
}

#[test]
fn every_target_finds_its_block() {
    let identity = identity(IDENTITIES[1]);
    let body = format!(r#"{{"system":[ {BILLING} ,{identity}, {{"text":"the prompt"}}]}}"#);
    for (target, old) in [
        (Target::First, "x-anthropic-billing-header: cc_version=2.1;"),
        (Target::Index(0), "x-anthropic-billing-header: cc_version=2.1;"),
        (Target::Identity, IDENTITIES[1]),
        (Target::Index(1), IDENTITIES[1]),
        (Target::Last, "the prompt"),
        (matching("PROMPT|prompt"), "the prompt"),
        (matching("^You are"), IDENTITIES[1]),
    ] {
        let expected = body.replacen(old, "n\\\"w", 1);
        let change = if old.starts_with("x-anthropic") { Change::AttributionReplaced } else { Change::Replaced };
        assert_eq!(does(system(Mode::Replace, target, "n\"w"), &body, change), expected);
    }
    refuses(system(Mode::Replace, Target::Index(3), "new"), &body, Unchanged::NoBlock);
    refuses(system(Mode::Replace, matching("^prompt"), "new"), &body, Unchanged::NoBlock);
    refuses(system(Mode::Replace, Target::Last, "the prompt"), &body, NoChange::Same);
}

#[test]
fn the_identity_is_known_by_how_it_begins() {
    for (text, known) in [
        (IDENTITIES[0], true),
        ("You are Claude Code, Anthropic's official CLI for Claude. And more.\\n\\u4e2d", true),
        ("You are Claude Code, Anthropic\\u0027s official CLI for Claude.", true),
        ("\\u0059ou are a Claude agent, built on Anthropic's Claude Agent SDK.", true),
        ("You are Claude Code, Anthropic's official CLI for Claude", false),
        (" You are Claude Code, Anthropic's official CLI for Claude.", false),
        ("you are Claude Code, Anthropic's official CLI for Claude.", false),
        ("x-anthropic-billing-header: You are Claude Code, Anthropic's official CLI for Claude.", false),
        ("", false),
        ("\\ud800", false),
    ] {
        let body = format!(r#"{{"system":[{}]}}"#, identity(text));
        match known {
            true => {
                assert_eq!(does(system(Mode::Remove, Target::Identity, ""), &body, Change::Removed), r#"{"system":[]}"#)
            }
            false => refuses(system(Mode::Remove, Target::Identity, ""), &body, Unchanged::NoBlock),
        }
    }
}

#[test]
fn text_is_put_before_and_after() {
    let body = r#"{"system":[{"text":"old \u4e2d"},{"text":""}]}"#;
    assert_eq!(
        does(system(Mode::Prepend, Target::First, "n\new"), body, Change::Prepended),
        r#"{"system":[{"text":"n\new\n\nold \u4e2d"},{"text":""}]}"#
    );
    assert_eq!(
        does(system(Mode::Append, Target::First, "n\new"), body, Change::Appended),
        r#"{"system":[{"text":"old \u4e2d\n\nn\new"},{"text":""}]}"#
    );
    let last = r#"{"system":[{"text":"old \u4e2d"},{"text":"new"}]}"#;
    assert_eq!(does(system(Mode::Prepend, Target::Last, "new"), body, Change::Prepended), last);
    assert_eq!(does(system(Mode::Append, Target::Last, "new"), body, Change::Appended), last);
    refuses(system(Mode::Append, Target::First, ""), body, NoChange::Same);
}

/// The API takes the attribution out only where it stands first, and alone.
#[test]
fn the_attribution_stays_first_and_unmerged() {
    let escaped = r#"{"type":"text","text":"x-anthropic\u002dbilling-header: cc"}"#;
    let ours_without_mark = r#"{"text":"new"}"#;
    for attribution in [BILLING, escaped] {
        for rest in [String::new(), format!(",{}", identity(IDENTITIES[0])), r#", {"text":"hi"}"#.to_owned()] {
            let body = format!(r#"{{"system":[{attribution}{rest}]}}"#);
            for mode in [Mode::InsertIfMissing, Mode::InsertOrReplace] {
                let inserted = does(system(mode, Target::First, "new"), &body, Change::Inserted);
                assert_eq!(inserted, format!(r#"{{"system":[{attribution},{OURS}{rest}]}}"#));
            }
            for mode in [Mode::Prepend, Mode::Append] {
                for target in [Target::First, Target::Index(0), matching("billing")] {
                    refuses(system(mode, target, "new"), &body, Unchanged::Attribution);
                }
            }
        }
        let twice = format!(r#"{{"system":[{attribution},{ours_without_mark}]}}"#);
        refuses(system(Mode::InsertIfMissing, Target::First, "new"), &twice, NoChange::Present);
        refuses(system(Mode::InsertOrReplace, Target::First, "new"), &twice, NoChange::Same);
        // A text that is made a list keeps it in front.
        let text = r#"{"system":"x-anthropic-billing-header: a\nb"}"#;
        let actions =
            [system(Mode::EnsureList, Target::First, ""), system(Mode::InsertIfMissing, Target::Identity, "new")];
        let (_, listed) = done(&actions, text);
        assert_eq!(
            listed,
            format!(r#"{{"system":[{{"type":"text","text":"x-anthropic-billing-header: a\nb"}},{OURS}]}}"#)
        );
    }
}

#[test]
fn a_star_in_a_new_name_stands_for_what_that_of_the_glob_stands_for() {
    let map = |glob, name| BodyAction::Model(vec![(Glob::new(glob), NewName::new(name))]);
    for (glob, name, model, expected) in [
        ("*[1m]", "*", "claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("vendor/*", "*", r"vendor/claude-\u4e2d", "claude-中"),
        ("a?*-x", "[*]", "ab\\\"c-x", "[\\\"c]"),
        ("*", "p-*-s", "", "p--s"),
    ] {
        let body = format!(r#"{{"model":"{model}","n":1.0}}"#);
        let expected = format!(r#"{{"model":"{expected}","n":1.0}}"#);
        assert_eq!(does(map(glob, name), &body, Change::Mapped), expected, "{glob} {name}");
    }
    refuses(map("*[1m]", "*"), r#"{"model":"claude-opus-5-5"}"#, Unchanged::NoName);
}

#[test]
fn a_block_is_inserted_or_its_text_replaced() {
    let either = |target| system(Mode::InsertOrReplace, target, "new");
    let named = format!(r#"{{"system":[{BILLING},{}]}}"#, identity(IDENTITIES[0]));
    let replaced = does(either(Target::Identity), &named, Change::Replaced);
    assert_eq!(replaced, named.replacen(IDENTITIES[0], "new", 1));
    let unnamed = format!(r#"{{"system":[{BILLING},{{"text":"hi"}}]}}"#);
    let inserted = does(either(Target::Identity), &unnamed, Change::Inserted);
    assert_eq!(inserted, format!(r#"{{"system":[{BILLING},{OURS},{{"text":"hi"}}]}}"#));
    let first = does(either(Target::First), r#"{"system":[{"text":"xclaude codex"}]}"#, Change::Replaced);
    assert_eq!(first, r#"{"system":[{"text":"new"}]}"#);
    refuses(either(Target::First), r#"{"system":[{"text":1}]}"#, Unchanged::NoText);
}

#[test]
fn a_missing_identity_is_inserted_after_the_attribution() {
    let insert = || system(Mode::InsertIfMissing, Target::Identity, "new");
    for (blocks, expected) in [
        (String::new(), OURS.to_owned()),
        (r#" {"text":"hi"} "#.to_owned(), format!(r#"{OURS}, {{"text":"hi"}} "#)),
        (BILLING.to_owned(), format!("{BILLING},{OURS}")),
        (format!(" {BILLING} , {{\"text\":1}}"), format!(" {BILLING},{OURS} , {{\"text\":1}}")),
        (r#""hi""#.to_owned(), format!(r#"{OURS},"hi""#)),
    ] {
        let text = does(insert(), &format!(r#"{{"system":[{blocks}],"z":1}}"#), Change::Inserted);
        assert_eq!(text, format!(r#"{{"system":[{expected}],"z":1}}"#));
    }
    for text in IDENTITIES {
        refuses(insert(), &format!(r#"{{"system":[{BILLING},{}]}}"#, identity(text)), NoChange::Present);
    }
    let body = r#"{"system":[{"text":"hi"}]}"#;
    refuses(system(Mode::InsertIfMissing, matching("^h"), "new"), body, NoChange::Present);
    refuses(system(Mode::InsertIfMissing, Target::Index(0), "new"), body, NoChange::Present);
    let expected = format!(r#"{{"system":[{OURS},{{"text":"hi"}}]}}"#);
    assert_eq!(does(system(Mode::InsertIfMissing, Target::Index(1), "new"), body, Change::Inserted), expected);
    assert_eq!(does(system(Mode::InsertIfMissing, matching("^i"), "new"), body, Change::Inserted), expected);
}

#[test]
fn a_first_block_that_names_claude_code_is_enough() {
    let insert = || system(Mode::InsertIfMissing, Target::First, "new");
    for named in ["You are Claude Code, x", "CLAUDE CODE", "cclaude\\u0020cOde", "İclaude code"] {
        refuses(insert(), &format!(r#"{{"system":[{{"text":"{named}"}}]}}"#), NoChange::Present);
    }
    for other in ["claude", "claude  code", "", "claude cod", "\\ud800 claude code"] {
        let body = format!(r#"{{"system":[{{"text":"{other}"}}]}}"#);
        let text = does(insert(), &body, Change::Inserted);
        assert_eq!(text, body.replacen('[', &format!("[{OURS},"), 1));
    }
    refuses(insert(), r#"{"system":[]}"#, Unchanged::Empty);
}

#[test]
fn no_letter_outside_of_ascii_becomes_one_of_claude_code() {
    for c in (0x80..=0x10_ffff).filter_map(char::from_u32) {
        let lower: String = c.to_lowercase().collect();
        assert!(!lower.bytes().any(|byte| b"claude code".contains(&byte)), "{c}");
    }
}

#[test]
fn system_becomes_a_list() {
    let ensure = |text: &str| system(Mode::EnsureList, Target::First, text);
    for (body, with_text, without) in [
        (r#"{"system":"a\u0062"}"#, r#"{"system":[{"type":"text","text":"a\u0062"}]}"#, None),
        (r#"{"system" : "" }"#, r#"{"system" : [{"type":"text","text":"new"}] }"#, Some(r#"{"system" : [] }"#)),
        (r#"{"system":null}"#, r#"{"system":[{"type":"text","text":"new"}]}"#, Some(r#"{"system":[]}"#)),
        (r#"{"system":" \n\u00a0"}"#, r#"{"system":[{"type":"text","text":"new"}]}"#, Some(r#"{"system":[]}"#)),
        (r#"{"system":" \na"}"#, r#"{"system":[{"type":"text","text":" \na"}]}"#, None),
        (r#"{"system":" \ud800"}"#, r#"{"system":[{"type":"text","text":" \ud800"}]}"#, None),
    ] {
        assert_eq!(does(ensure("new"), body, Change::Listed), with_text);
        assert_eq!(does(ensure(""), body, Change::Listed), without.unwrap_or(with_text));
    }
    let one = r#"{"system":[{"type":"text","text":"new"}]}"#;
    assert_eq!(does(ensure("new"), r#"{"system":[ ]}"#, Change::Listed), one);
    assert_eq!(does(ensure("new"), "{}", Change::Listed), one);
    refuses(ensure(""), r#"{"system":[ ]}"#, NoChange::Present);
    refuses(ensure(""), "{}", Unchanged::NoSystem);
    refuses(ensure("new"), r#"{"system":[1]}"#, NoChange::Present);
    refuses(ensure("new"), r#"{"system":{"text":"a"}}"#, Unchanged::NotAList);
    refuses(ensure("new"), r#"{"system":1}"#, Unchanged::NotAList);
    refuses(ensure("new"), "[]", Unchanged::NotAnObject);
}

#[test]
fn what_has_too_many_entries_is_told_as_that() {
    let blocks = format!(r#"{{"model":"a","system":[{}1]}}"#, "1,".repeat(20_000));
    let members = format!(r#"{{{}"model":"a","system":"b"}}"#, r#""x":1,"#.repeat(20_000));
    for mode in [Mode::Replace, Mode::EnsureList, Mode::Remove] {
        for body in [&blocks, &members] {
            refuses(system(mode, Target::First, "new"), body, NoChange::TooLarge);
        }
    }
    let names = || BodyAction::Model(vec![(Glob::new("*"), NewName::new("b"))]);
    refuses(names(), &members, NoChange::TooLarge);
    assert_eq!(done(&[names()], &blocks).0, [Ok(Change::Mapped)], "the list is not on the way to the model");
    let told = Unchanged::from(NoChange::TooLarge);
    assert_eq!(
        (told.name(), &*told.to_string()),
        ("too_large", "an object or a list on the way has more than 16384 entries")
    );
}

#[test]
fn a_list_then_an_identity_is_what_anyrouter_wants() {
    let actions = [
        system(Mode::EnsureList, Target::First, IDENTITIES[0]),
        system(Mode::InsertIfMissing, Target::Identity, IDENTITIES[0]),
    ];
    for body in ["{}", r#"{"system":"hi"}"#, r#"{"system":[]}"#, r#"{"system":null}"#, r#"{"system":[{"text":"hi"}]}"#]
    {
        let (_, text) = done(&actions, body);
        let start = format!(r#"{{"system":[{{"type":"text","text":"{}""#, IDENTITIES[0]);
        assert!(text.starts_with(&start), "{text}");
        assert_eq!(text.matches(IDENTITIES[0]).count(), 1, "{text}");
    }
}

#[test]
fn what_has_another_shape_is_left_alone() {
    for (body, reason) in [
        ("[]", Unchanged::NotAnObject),
        ("null", Unchanged::NotAnObject),
        ("{}", Unchanged::NoSystem),
        ("{\"messages\":[{\"system\":[{\"text\":\"a\"}]}]}", Unchanged::NoSystem),
        ("{\"system\":\"a\"}", Unchanged::NotAList),
        ("{\"system\":null}", Unchanged::NotAList),
        ("{\"system\":[{\"text\":\"a\"}],\"system\":{\"text\":\"a\"}}", Unchanged::NotAList),
        ("{\"system\":[ ]}", Unchanged::Empty),
        ("{\"system\":[\"a\"]}", Unchanged::NoText),
        ("{\"system\":[[\"text\",\"a\"]]}", Unchanged::NoText),
        ("{\"system\":[{}]}", Unchanged::NoText),
        ("{\"system\":[{\"text\":\"a\",\"text\":null},{\"text\":\"b\"}]}", Unchanged::NoText),
    ] {
        for mode in [Mode::Replace, Mode::Prepend, Mode::Append, Mode::InsertIfMissing] {
            refuses(system(mode, Target::First, "new"), body, reason);
        }
    }
}

#[test]
fn a_block_is_removed_with_its_comma() {
    let body = r#"{"system":[ {"text":"a"}, {"text":"b"} ]}"#;
    assert_eq!(does(system(Mode::Remove, Target::First, ""), body, Change::Removed), r#"{"system":[ {"text":"b"} ]}"#);
    assert_eq!(does(system(Mode::Remove, Target::Last, ""), body, Change::Removed), r#"{"system":[ {"text":"a"} ]}"#);
}

#[test]
fn models_are_mapped_by_the_first_glob() {
    let map = || {
        let names = [("claude-opus-4-?", "one"), ("claude-opus*", "two"), ("same", "same")];
        BodyAction::Model(names.map(|(glob, name)| (Glob::new(glob), NewName::new(name))).to_vec())
    };
    assert_eq!(does(map(), r#"{"model":"claude-opus-4-1"}"#, Change::Mapped), r#"{"model":"one"}"#);
    assert_eq!(does(map(), r#"{"model" : "claude\u002dopus"}"#, Change::Mapped), r#"{"model" : "two"}"#);
    assert_eq!(does(map(), r#"{"model":1,"model":"claude-opus"}"#, Change::Mapped), r#"{"model":1,"model":"two"}"#);
    refuses(map(), r#"{"model":"same"}"#, NoChange::Same);
    refuses(map(), r#"{"model":"Claude-opus"}"#, Unchanged::NoName);
    for body in ["{}", r#"{"model":null}"#, r#"{"model":["claude-opus"]}"#, r#"{"model":"\ud800"}"#, r#""claude-opus""#]
    {
        refuses(map(), body, Unchanged::NoModel);
    }
}

#[test]
fn globs_match_whole_texts() {
    for (glob, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything\n", true),
        ("?", "", false),
        ("?", "中", true),
        ("??", "中", false),
        ("claude-*", "claude-", true),
        ("claude-*", "my-claude-3", false),
        ("*opus*", "claude-opus-4", true),
        ("Claude", "claude", false),
        ("a*b*c", "abbcbc", true),
        ("a*b*c", "abbcb", false),
        ("*?", "", false),
        ("**a", "ba", true),
        ("a.c[x]\\", "a.c[x]\\", true),
        ("a.c", "abc", false),
    ] {
        assert_eq!(Glob::new(glob).matches(text), expected, "{glob} {text}");
    }
    // What takes exponential time when it is done badly.
    assert!(!Glob::new(&"*a".repeat(50)).matches(&"a".repeat(49)));
    assert!(!Glob::new(&format!("{}b", "a*".repeat(50))).matches(&"a".repeat(10_000)));
}

#[test]
fn outcomes_have_names_and_reasons() {
    let mut names = std::collections::HashSet::new();
    for reason in [
        Unchanged::NotAnObject,
        Unchanged::NoSystem,
        Unchanged::NotAList,
        Unchanged::Empty,
        Unchanged::NoText,
        Unchanged::NoBlock,
        Unchanged::NoModel,
        Unchanged::NoName,
        NoChange::Same.into(),
        NoChange::NoPlace.into(),
        NoChange::Absent.into(),
        NoChange::Present.into(),
    ] {
        assert!(names.insert(reason.name()) && !reason.to_string().is_empty());
    }
}

fn touches(action: BodyAction, body: &str) -> bool {
    let actions = [action];
    let mut document = Document::parse(body.as_bytes()).expect("JSON");
    assert!(apply(&actions, &mut document)[0].is_ok());
    touches_cached_prefix(&document)
}

#[test]
fn the_cached_prefix_ends_with_the_last_mark() {
    let mark = r#""cache_control":{"type":"ephemeral"}"#;
    let set = |at: &str| BodyAction::Set(pointer(at), Json::string("new"));
    // The body's order is not the cache's.
    let body = format!(
        r#"{{"model":"m","messages":[{{"content":"hi",{mark}}}],
        "system":[{{"text":"a"}}, {{"text":"b",{mark}}}, {{"text":"c"}}],
        "tools":[{{"name":"x"}},{{"name":"y"}}],"metadata":{{}}}}"#
    );
    for (at, expected) in [
        ("/system/0/text", true),
        ("/system/1/text", true),
        ("/system/1/cache_control/ttl", true),
        ("/system/2/text", false),
        ("/system/-", false),
        ("/system", true),
        ("/tools/1/name", true),
        ("/tools/-", true),
        ("/messages/0/content", false),
        ("/metadata/user_id", false),
        ("/z", false),
    ] {
        assert_eq!(touches(set(at), &body), expected, "{at}");
    }
    assert!(!touches(BodyAction::Compact, &body));
    assert!(touches(BodyAction::Remove(pointer("/tools")), &body));
    assert!(touches(BodyAction::Remove(pointer("/system/0")), &body));
    assert!(!touches(BodyAction::Remove(pointer("/system/2")), &body));

    let tools = format!(r#"{{"system":[{{"text":"a"}}],"tools":[{{"name":"x",{mark}}},{{"name":"y"}}]}}"#);
    for (at, expected) in
        [("/system/0/text", false), ("/tools/0/name", true), ("/tools/1/name", false), ("/tools/-", false)]
    {
        assert_eq!(touches(set(at), &tools), expected, "{at}");
    }
    let unmarked = r#"{"system":[{"text":"a","cache_control":null}],"tools":[{"name":"x"}]}"#;
    assert!(!touches(set("/system/0/text"), unmarked));
    assert!(!touches(BodyAction::Remove(pointer("/system")), unmarked));
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(FIXTURES);
    let mut fixtures = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fixtures.push((path.display().to_string(), std::fs::read(path).expect("a fixture")));
        }
    }
    assert!(fixtures.len() >= 8, "only {} fixtures", fixtures.len());
    fixtures
}

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

#[test]
fn the_fixtures_are_changed_as_their_values_are() {
    let steps = [
        Step::System(Mode::EnsureList, oracle::Block::First, IDENTITIES[0].to_owned()),
        Step::System(Mode::InsertIfMissing, oracle::Block::Identity, IDENTITIES[0].to_owned()),
        Step::System(Mode::Append, oracle::Block::Last, "more".to_owned()),
        Step::Model(vec![("claude-*".to_owned(), "mapped".to_owned())]),
        Step::Set("/metadata/user_id".to_owned(), "\"me\"".to_owned()),
        Step::Set("/tools/0/description".to_owned(), "\"a tool\"".to_owned()),
        Step::Default("/temperature".to_owned(), "0.5".to_owned()),
        Step::Remove("/context_management".to_owned()),
    ];
    for (_, body) in fixtures() {
        for count in 0..=steps.len() {
            check(&body, &steps[..count]);
        }
        check(&body, &[Step::Compact]);
        let mut document = Document::parse(&body).expect("JSON");
        assert_eq!(document.compact(), Err(NoChange::Same));
    }
}

#[test]
fn the_fixtures_lack_no_identity() {
    let insert = [system(Mode::InsertIfMissing, Target::Identity, "new")];
    for (name, body) in fixtures() {
        let mut document = Document::parse(&body).expect("JSON");
        let outcomes = apply(&insert, &mut document);
        let counts = name.ends_with("count-tokens.json");
        let expected = if counts { Unchanged::NoSystem } else { NoChange::Present.into() };
        assert_eq!(outcomes, [Err(expected)], "{name}");
        assert!(model_of(&document).is_some_and(|model| model.starts_with("claude-")), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_splices_equal_the_changes_on_parsed_values(
        body in prop_oneof![8 => request_text(), 1 => json_text()],
        steps in proptest::collection::vec(any::<u8>(), 8..60).prop_map(|choices| steps_from(&mut choices.into_iter())),
    ) {
        check(body.as_bytes(), &steps);
    }

    #[test]
    fn damaged_bodies_are_refused_or_changed_alike(
        body in request_text(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        steps in proptest::collection::vec(any::<u8>(), 8..60).prop_map(|choices| steps_from(&mut choices.into_iter())),
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        check(&body, &steps);
    }
}
