use super::no_change::MAX_ENTRIES;
use super::seen::Edit;
use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn pointer(text: &str) -> Pointer {
    text.parse().expect("a pointer")
}

fn json(text: &str) -> Json<'static> {
    Json::parse(text).expect("JSON")
}

fn document(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes()).expect("JSON")
}

fn text(document: &Document<'_>) -> String {
    String::from_utf8(document.to_bytes()).expect("UTF-8")
}

/// The text after one operation that must succeed.
fn after<'a>(source: &'a str, operation: impl FnOnce(&mut Document<'a>) -> Result<(), NoChange>) -> String {
    let mut document = document(source);
    assert_eq!(operation(&mut document), Ok(()), "{source}");
    text(&document)
}

#[test]
fn what_is_valid_by_the_grammar_is_kept_to_the_byte() {
    for source in [
        "{}",
        " \t\r\n{ } \n",
        "[ ]",
        " null ",
        "-0",
        "\"\\ud800\"",
        "{\"\\udfff\" : 1e999999, \"a\":[\"\\ud83d\"]}",
        "{\"a\":1,\"a\" : 2 ,\"\\u0061\":\t3}",
        "[1.0E+0123456789012345678901234567890]",
    ] {
        let document = document(source);
        assert_eq!(text(&document), source);
        assert!(!document.is_changed() && document.edits().is_empty(), "{source}");
    }
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    assert_eq!(text(&document(&deep)), deep);
    let deep = "{\"a\":".repeat(5_000) + "1" + &"}".repeat(5_000);
    assert_eq!(text(&document(&deep)), deep);
}

#[test]
fn what_is_not_json_is_refused_without_quoting_it() {
    for source in [
        "",
        " ",
        "{",
        "}",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{a:1}",
        "{1:1}",
        "[1,]",
        "[1 2]",
        "tru",
        "01",
        "1.",
        ".5",
        "+1",
        "\"a",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "NaN",
        "'a'",
    ] {
        let error = Document::parse(source.as_bytes()).expect_err(source).to_string();
        assert!(error.starts_with("not a JSON text: "), "{error}");
    }
    let error = Document::parse(b"{\"key\":\"sk-secret\xff\"}").expect_err("no UTF-8").to_string();
    assert!(!error.contains("secret"), "{error}");
    assert!(Document::parse(b"{\"\xed\xa0\x80\":1}").is_err());
    assert!(Document::parse(b"\0").is_err());
}

#[test]
fn truncated_texts_are_refused() {
    let source = r#"{"a":[1,{"b":"\u00e9\n"}],"system":[{"type":"text","text":"hi"}],"z":-1.5e-3}"#;
    for end in 0..source.len() {
        assert!(Document::parse(&source.as_bytes()[..end]).is_err(), "{}", &source[..end]);
    }
}

#[test]
fn pointers_are_checked_when_they_are_parsed() {
    for (bad, part) in [
        ("a/b", "did you mean \"/a/b\"?"),
        ("/a~b", "\"~0\""),
        ("/~", "\"~0\""),
        ("/~2", "\"~0\""),
        ("/~~01", "\"~0\""),
    ] {
        let error = bad.parse::<Pointer>().expect_err(bad).to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(pointer("").is_root() && !pointer("/").is_root());
    assert_eq!(pointer("/a~1b/~01").to_string(), "/a~1b/~01");
    let source = r#"{"a/b":{"~1":1},"":2,"list":[3,4],"obj":{"0":5,"00":6,"-":7}}"#;
    for (at, expected) in [
        ("", Some(source)),
        ("/a~1b/~01", Some("1")),
        ("/", Some("2")),
        ("/list/1", Some("4")),
        ("/list/2", None),
        ("/list/01", None),
        ("/list/+1", None),
        ("/list/-", None),
        ("/list/99999999999999999999999", None),
        ("/obj/0", Some("5")),
        ("/obj/00", Some("6")),
        ("/obj/-", Some("7")),
        ("/list/0/x", None),
        ("/none", None),
    ] {
        assert_eq!(document(source).get(&pointer(at)).as_deref(), expected, "{at}");
    }
}

#[test]
fn only_the_value_changes() {
    let source = " { \"n\":1.50e1, \"a\" :\t[ {\"b\" : \"x\\u4e2d\" ,\"c\":1},[2]] ,\"z\":[] } ";
    let mut document = document(source);
    assert_eq!(document.set(&pointer("/a/0/b"), json("\"y\"")), Ok(()));
    assert_eq!(text(&document), source.replace("\"x\\u4e2d\"", "\"y\""));
    let start = source.find("\"x\\u4e2d\"").expect("it is there");
    assert_eq!(document.edits(), [Edit { span: start..start + 9, replacement: "\"y\"".to_owned() }]);
    assert_eq!(document.set(&pointer("/a/0/b"), json("\"y\"")), Err(NoChange::Same));
    assert_eq!(document.set(&pointer("/a/0/b"), json("\"x\\u4e2d\"")), Ok(()));
    assert!(!document.is_changed() && document.edits().is_empty());
}

#[test]
fn new_members_and_elements_are_written_compactly() {
    for (source, at, expected) in [
        ("{}", "/a", "{\"a\":9}"),
        ("{ }", "/a", "{\"a\":9 }"),
        ("{ \"b\" : 1\n}", "/a", "{ \"b\" : 1,\"a\":9\n}"),
        ("{\"b\":1}", "/x/y~1z/中\"", "{\"b\":1,\"x\":{\"y/z\":{\"中\\\"\":9}}}"),
        ("{\"b\":[ ]}", "/b/-", "{\"b\":[9 ]}"),
        ("{\"b\":[1 , 2 ]}", "/b/-", "{\"b\":[1 , 2,9 ]}"),
        ("{\"b\":[]}", "/b/-/c", "{\"b\":[{\"c\":9}]}"),
        ("{}", "/b/-", "{\"b\":[9]}"),
        ("{}", "/b/0", "{\"b\":{\"0\":9}}"),
        ("[[1]]", "/0/0", "[[9]]"),
        (" [1] ", "", " 9 "),
        ("{\"a\":1,\"\\u0061\":2}", "/a", "{\"a\":1,\"\\u0061\":9}"),
        ("{\"\\ud800\":1}", "/a", "{\"\\ud800\":1,\"a\":9}"),
    ] {
        assert_eq!(after(source, |document| document.set(&pointer(at), json(" 9 "))), expected);
    }
}

#[test]
fn a_path_without_a_place_changes_nothing() {
    for (source, at) in [
        ("{\"a\":1}", "/a/b"),
        ("{\"a\":null}", "/a/b"),
        ("{\"a\":\"{}\"}", "/a/b"),
        ("{\"a\":[]}", "/a/0"),
        ("{\"a\":[1]}", "/a/1"),
        ("{\"a\":[1]}", "/a/01"),
        ("{\"a\":[1]}", "/a/b"),
        ("3", "/a"),
    ] {
        let mut document = document(source);
        assert_eq!(document.set(&pointer(at), json("9")), Err(NoChange::NoPlace), "{source}");
        assert_eq!(document.set_default(&pointer(at), json("9")), Err(NoChange::NoPlace), "{source}");
        assert_eq!(document.replace(&pointer(at), json("9")), Err(NoChange::Absent), "{source}");
        assert_eq!(document.remove(&pointer(at)), Err(NoChange::Absent), "{source}");
        assert_eq!(document.insert(&pointer(at), 0, json("9")), Err(NoChange::NoPlace), "{source}");
        assert!(!document.is_changed());
    }
    assert_eq!(document("{}").remove(&pointer("")), Err(NoChange::NoPlace));
    let mut empty = document("{ }");
    assert_eq!(empty.remove(&pointer("/a")), Err(NoChange::Absent));
    assert_eq!(text(&empty), "{ }");
}

#[test]
fn a_default_yields_to_what_is_there() {
    for there in ["null", "0", "\"\"", "{}"] {
        let source = format!("{{\"a\":{there}}}");
        assert_eq!(document(&source).set_default(&pointer("/a"), json("9")), Err(NoChange::Present));
    }
    assert_eq!(after("{\"a\":{}}", |document| document.set_default(&pointer("/a/b"), json("9"))), "{\"a\":{\"b\":9}}");
}

#[test]
fn removal_takes_one_comma_and_its_blanks() {
    for (source, at, expected) in [
        ("{\"a\":1,\"b\":2,\"c\":3}", "/a", "{\"b\":2,\"c\":3}"),
        ("{\"a\":1,\"b\":2,\"c\":3}", "/b", "{\"a\":1,\"c\":3}"),
        ("{\"a\":1,\"b\":2,\"c\":3}", "/c", "{\"a\":1,\"b\":2}"),
        ("{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", "/a", "{ \"b\" : 2 , \"c\" : 3 }"),
        ("{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", "/b", "{ \"a\" : 1 , \"c\" : 3 }"),
        ("{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", "/c", "{ \"a\" : 1 , \"b\" : 2 }"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}", "/a", "{\n  \"b\": 2\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}", "/b", "{\n  \"a\": 1\n}"),
        ("{\n  \"a\": 1\n}", "/a", "{}"),
        ("{\"a\":1,\"b\":2,\"\\u0061\":3}", "/a", "{\"b\":2}"),
        ("{\"a\":1,\"a\":2}", "/a", "{}"),
        ("{\"a\":[ 1 , 2 ]}", "/a/0", "{\"a\":[ 2 ]}"),
        ("{\"a\":[1,1,1]}", "/a/1", "{\"a\":[1,1]}"),
        ("{\"x,\":1,\"y,\":2}", "/x,", "{\"y,\":2}"),
    ] {
        assert_eq!(after(source, |document| document.remove(&pointer(at))), expected);
    }
}

#[test]
fn insertion_keeps_the_blanks_of_its_neighbours() {
    for (source, index, expected) in [
        ("[]", 0, "[9]"),
        ("[ 1 , 2 ]", 0, "[9, 1 , 2 ]"),
        ("[ 1 , 2 ]", 1, "[ 1,9 , 2 ]"),
        ("[ 1 , 2 ]", 2, "[ 1 , 2,9 ]"),
    ] {
        assert_eq!(after(source, |document| document.insert(&pointer(""), index, json("9"))), expected);
    }
    assert_eq!(document("[]").insert(&pointer(""), 1, json("9")), Err(NoChange::NoPlace));
    assert_eq!(document("{}").insert(&pointer(""), 0, json("9")), Err(NoChange::NoPlace));
}

#[test]
fn each_operation_sees_those_before_it() {
    let mut document = document("{ \"a\" : 1 }");
    assert_eq!(document.set(&pointer("/b"), json("{\"c\" : [1, {\"d\":\"x y\"}]}")), Ok(()));
    assert_eq!(document.set(&pointer("/b/c/1/d"), json("2")), Ok(()));
    assert_eq!(document.remove(&pointer("/b/c/0")), Ok(()));
    assert_eq!(document.insert(&pointer("/b/c"), 0, json("[]")), Ok(()));
    assert_eq!(document.replace(&pointer("/a"), json("{}")), Ok(()));
    assert_eq!(document.set(&pointer("/a/e/f"), json("3")), Ok(()));
    assert_eq!(document.get(&pointer("/b/c")).as_deref(), Some("[[],{\"d\":2}]"));
    assert_eq!(text(&document), "{ \"a\" : {\"e\":{\"f\":3}},\"b\":{\"c\":[[],{\"d\":2}]} }");
    assert_eq!(document.remove(&pointer("/a")), Ok(()));
    assert_eq!(document.remove(&pointer("/b")), Ok(()));
    assert_eq!(document.set(&pointer("/z"), json("0")), Ok(()));
    assert_eq!(text(&document), "{\"z\":0}");
    assert_eq!(document.edits(), [Edit { span: 1..10, replacement: "\"z\":0".to_owned() }]);
}

#[test]
fn compacting_leaves_strings_alone() {
    let source = " { \"a \\\" b\\\\\" : [ 1 ,\t\"x\\n , \\\\\\\"\" ] ,\r\n\"c\":{ }, \"\\\\\" : \" \" } ";
    let expected = "{\"a \\\" b\\\\\":[1,\"x\\n , \\\\\\\"\"],\"c\":{},\"\\\\\":\" \"}";
    assert_eq!(after(source, Document::compact), expected);
    let mut compact = document(expected);
    assert_eq!(compact.compact(), Err(NoChange::Same));
    assert!(!compact.is_changed());
    assert_eq!(json(source).as_str(), expected);

    let mut edited = document("{ \"a\": 1, \"b\": [ 2 ] }");
    assert_eq!(edited.set(&pointer("/a"), json("\"x y\"")), Ok(()));
    assert_eq!(edited.compact(), Ok(()));
    assert_eq!(edited.remove(&pointer("/b/0")), Ok(()));
    assert_eq!(text(&edited), "{\"a\":\"x y\",\"b\":[]}");
}

#[test]
fn a_container_with_too_many_entries_is_left_as_it_is() {
    let list = "1,".repeat(MAX_ENTRIES - 1);
    let full = format!("{{\"a\":[{list}1]}}");
    assert!(after(&full, |document| document.set(&pointer("/a/0"), json("2"))).starts_with("{\"a\":[2,1,"));
    let over = format!("{{\"a\":[{list}1,1]}}");
    let mut document = document(&over);
    for _ in 0..2 {
        assert_eq!(document.set(&pointer("/a/0"), json("2")), Err(NoChange::TooLarge));
        assert_eq!(document.remove(&pointer("/a/0")), Err(NoChange::TooLarge));
    }
    assert_eq!(document.get(&pointer("/a")).map(|text| text.len()), Some(over.len() - 6));
    assert_eq!(text(&document), over);
    assert_eq!(document.set(&pointer("/a"), json("[]")), Ok(()));
    assert_eq!(text(&document), "{\"a\":[]}");

    let over = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(MAX_ENTRIES));
    let mut document = Document::parse(over.as_bytes()).expect("JSON");
    assert_eq!(document.get(&pointer("/a")), None);
    assert_eq!(document.set(&pointer("/a"), json("2")), Err(NoChange::TooLarge));
    assert!(Document::parse(&over.as_bytes()[..over.len() - 1]).is_err());
}

/// Blanks, mostly none.
pub(crate) fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// JSON strings as text, with escapes spelled in several ways.
pub(crate) fn string_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(|c| {
            let quoted = Value::from(c.to_string()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }),
        any::<u16>()
            .prop_filter("no lone surrogates", |u| !(0xd800..0xe000).contains(u))
            .prop_map(|u| format!("\\u{u:04X}")),
        Just("\\ud83d\\ude00".to_owned()),
        Just("\\/\\\\\\\"".to_owned()),
        Just("Claude Code".to_owned()),
        Just("CLAUDE\\u0020code".to_owned()),
        Just("hi , {\\\"".to_owned()),
        Just("You are Claude Code, Anthropic's official CLI for Claude.".to_owned()),
        Just("You are\\u0020a Claude agent, built on Anthropic's Claude Agent SDK.".to_owned()),
        Just("x-anthropic-billing-header: cc_version=1;".to_owned()),
        Just("claude-opus".to_owned()),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn key_text() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 19] = [
        "system",
        "s\\u0079stem",
        "text",
        "te\\u0078t",
        "model",
        "a",
        "\\u0061",
        "tools",
        "0",
        "-",
        "",
        "00",
        "a/b",
        "a\\/b",
        "m~n",
        "中",
        "\\u4e2d",
        "cache_control",
        "type",
    ];
    prop_oneof![3 => proptest::sample::select(&KNOWN[..]).prop_map(|key| format!("\"{key}\"")), 1 => string_text()]
}

fn object_text(members: impl Strategy<Value = Vec<(String, String, String)>>) -> impl Strategy<Value = String> {
    (members, blanks()).prop_map(|(members, blank)| {
        let members: Vec<String> =
            members.into_iter().map(|(key, blank, value)| format!("{blank}{key}{blank}:{value}")).collect();
        format!("{{{}}}", if members.is_empty() { blank } else { members.join(",") })
    })
}

/// JSON documents as text: odd numbers, repeated keys, deep nesting, blanks everywhere.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        string_text(),
        (1..100_usize).prop_map(|depth| "[ ".repeat(depth) + &"] ".repeat(depth)),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        let spaced = (blanks(), inner, blanks()).prop_map(|(a, v, b)| format!("{a}{v}{b}")).boxed();
        prop_oneof![
            (proptest::collection::vec(spaced.clone(), 0..5), blanks())
                .prop_map(|(v, blank)| format!("[{}]", if v.is_empty() { blank } else { v.join(",") })),
            object_text(proptest::collection::vec((key_text(), blanks(), spaced), 0..6)),
        ]
    })
}

fn blocks_text() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        4 => (proptest::sample::select(&["\"text\"", "\"te\\u0078t\""][..]), blanks(), string_text())
            .prop_map(|(key, blank, value)| (key.to_owned(), blank, value)),
        1 => Just(("\"cache_control\"".to_owned(), String::new(), "{\"type\":\"ephemeral\"}".to_owned())),
        1 => (key_text(), blanks(), json_text()),
    ];
    let block = prop_oneof![
        6 => object_text(proptest::collection::vec(member, 1..4)),
        1 => json_text(),
    ];
    (proptest::collection::vec((blanks(), block, blanks()), 0..4), blanks()).prop_map(|(blocks, blank)| {
        let blocks: Vec<String> = blocks.into_iter().map(|(a, block, b)| format!("{a}{block}{b}")).collect();
        format!("[{}]", if blocks.is_empty() { blank } else { blocks.join(",") })
    })
}

/// Documents that look like requests: mostly with a `system` list and a model.
pub(crate) fn request_text() -> impl Strategy<Value = String> {
    let system = prop_oneof![6 => blocks_text(), 2 => string_text(), 1 => json_text()];
    let member = prop_oneof![
        4 => (Just("\"system\"".to_owned()), blanks(), system),
        1 => (Just("\"model\"".to_owned()), blanks(), string_text()),
        1 => (Just("\"tools\"".to_owned()), blanks(), blocks_text()),
        2 => (key_text(), blanks(), json_text()),
    ];
    let root = object_text(proptest::collection::vec(member, 1..5));
    (blanks(), root, blanks()).prop_map(|(a, root, b)| format!("{a}{root}{b}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn unedited_documents_are_written_as_they_were(source in prop_oneof![request_text(), json_text()]) {
        let mut document = document(&source);
        for at in ["/system/0/text", "/a/0/a", "/0/0/0", "/tools", "/text/text/text"] {
            let at = pointer(at);
            let value: Value = serde_json::from_str(&source).expect("JSON");
            let found = document.get(&at).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
            prop_assert_eq!(found.as_ref(), value.pointer(&at.to_string()));
        }
        prop_assert!(!document.is_changed());
        prop_assert!(document.edits().is_empty());
        prop_assert_eq!(text(&document), source);
    }

    #[test]
    fn compacting_twice_is_compacting_once(source in request_text()) {
        let mut once = document(&source);
        let changed = once.compact().is_ok();
        let compact = text(&once);
        prop_assert_eq!(changed, compact != source);
        prop_assert_eq!(&compact, &compacted(&source));
        prop_assert_eq!(document(&compact).compact(), Err(NoChange::Same));
        prop_assert_eq!(
            serde_json::from_str::<Value>(&compact).expect("JSON"),
            serde_json::from_str::<Value>(&source).expect("JSON")
        );
    }
}
