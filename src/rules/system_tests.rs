use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const TEXT: &str = "You are \"new\"\n\\ 中 \u{1F600}";

fn prompt(insert_if_missing: bool) -> SystemPrompt {
    SystemPrompt::new(TEXT, insert_if_missing)
}

fn rewritten(body: &str, insert: bool) -> Result<(Rewrite, String), Unchanged> {
    let (rewrite, edit) = prompt(insert).edit(body.as_bytes())?;
    Ok((rewrite, String::from_utf8(edit.apply(body.as_bytes())).expect("UTF-8")))
}

#[test]
fn only_messages_requests_are_rewritten() {
    assert!(SystemPrompt::applies_to("POST", b"/v1/messages"));
    assert!(SystemPrompt::applies_to("POST", b"/v1/messages/"));
    for (method, path) in [
        ("GET", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/messages//"),
        ("POST", "/messages"),
    ] {
        assert!(!SystemPrompt::applies_to(method, path.as_bytes()), "{method} {path}");
    }
}

#[test]
fn only_the_span_of_the_first_text_changes() {
    let body = "{ \"n\":1.50e1, \"system\" :\t[ {\"text\" : \"old \\u4e2d\" ,\"x\":1},{\"text\":\"b\"}] ,\"z\":[]}";
    let expected = body.replace("\"old \\u4e2d\"", &Value::from(TEXT).to_string());
    assert_eq!(rewritten(body, false), Ok((Rewrite::Replaced, expected)));
}

#[test]
fn a_block_is_inserted_unless_claude_code_is_named() {
    let block = json!({"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}});
    let (rewrite, body) = rewritten(r#"{"system": [ {"text":"hi"}]}"#, true).expect("rewritten");
    assert_eq!(rewrite, Rewrite::Inserted);
    assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), json!({"system": [block, {"text": "hi"}]}));
    assert!(
        body.starts_with(r#"{"system": [{"type":"text","text":"#) && body.ends_with(r#", {"text":"hi"}]}"#),
        "{body}"
    );

    for named in ["You are Claude Code, x", "CLAUDE CODE", "claude\\u0020cOde"] {
        let body = format!(r#"{{"system":[{{"text":"{named}"}}]}}"#);
        assert_eq!(rewritten(&body, true).expect("rewritten").0, Rewrite::Replaced, "{named}");
    }
}

#[test]
fn what_has_another_shape_is_left_alone() {
    for (body, reason) in [
        ("", Unchanged::NotJson),
        ("{", Unchanged::NotJson),
        ("[]", Unchanged::NotJson),
        ("{\"system\":[{\"text\":\"a\"}]} x", Unchanged::NotJson),
        ("{\"system\":[{\"text\":\"a\"}],}", Unchanged::NotJson),
        ("{\"system\":[{\"text\":\"\\ud800\"}], \"b\": tru}", Unchanged::NotJson),
        ("{}", Unchanged::NoSystem),
        ("{\"messages\":[{\"system\":[{\"text\":\"a\"}]}]}", Unchanged::NoSystem),
        ("{\"system\":\"a\"}", Unchanged::NotAList),
        ("{\"system\":null}", Unchanged::NotAList),
        ("{\"system\":{\"text\":\"a\"}}", Unchanged::NotAList),
        ("{\"system\":[]}", Unchanged::Empty),
        ("{\"system\":[ ]}", Unchanged::Empty),
        ("{\"system\":[\"a\"]}", Unchanged::NoText),
        ("{\"system\":[null]}", Unchanged::NoText),
        ("{\"system\":[{}]}", Unchanged::NoText),
        ("{\"system\":[{\"text\":1}]}", Unchanged::NoText),
        ("{\"system\":[{\"text\":null},{\"text\":\"b\"}]}", Unchanged::NoText),
    ] {
        assert_eq!(rewritten(body, false), Err(reason), "{body}");
        assert_eq!(rewritten(body, true), Err(reason), "{body}");
    }
    assert_eq!(prompt(false).edit(b"\xff{}"), Err(Unchanged::NotJson));
}

#[test]
fn the_last_of_repeated_members_counts() {
    let body = r#"{"system":[{"text":"a"}],"system":[{"text":"b","te\u0078t":"c"}]}"#;
    let (_, changed) = rewritten(body, false).expect("rewritten");
    assert_eq!(changed, body.replace("\"c\"", &Value::from(TEXT).to_string()));
}

#[test]
fn truncated_input_is_never_rewritten() {
    let body = r#"{"a":[1,{"b":"\u00e9\n"}],"system":[{"type":"text","text":"hi"}],"z":-1.5e-3}"#;
    for end in 0..body.len() {
        assert_eq!(rewritten(&body[..end], false), Err(Unchanged::NotJson), "{}", &body[..end]);
    }
}

/// What the rewrite means, on parsed values. `None` where nothing may change.
fn oracle(body: &str, insert: bool) -> Option<Value> {
    let mut value: Value = serde_json::from_str(body).ok()?;
    let blocks = value.as_object_mut()?.get_mut("system")?.as_array_mut()?;
    let text = blocks.first()?.as_object()?.get("text")?.as_str()?.to_owned();
    if insert && !text.to_lowercase().contains(CLAUDE_CODE) {
        blocks.insert(0, json!({"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}));
    } else {
        blocks[0]["text"] = Value::from(TEXT);
    }
    Some(value)
}

/// JSON strings as text, with escapes spelled in several ways.
fn string_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(|c| {
            let quoted = Value::from(c.to_string()).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }),
        any::<u16>()
            .prop_filter("no lone surrogates", |u| !(0xd800..0xe000).contains(u))
            .prop_map(|u| format!("\\u{u:04X}")),
        Just("\\ud83d\\ude00".to_owned()),
        Just("\\/".to_owned()),
        Just("Claude Code".to_owned()),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn blanks() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

fn key_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"system\"".to_owned()),
        Just("\"s\\u0079stem\"".to_owned()),
        Just("\"text\"".to_owned()),
        string_text(),
    ]
}

/// JSON documents as text: odd numbers, repeated keys, deep nesting, blanks everywhere.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        string_text(),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        let spaced = (blanks(), inner, blanks()).prop_map(|(a, v, b)| format!("{a}{v}{b}")).boxed();
        prop_oneof![
            proptest::collection::vec(spaced.clone(), 0..5).prop_map(|v| format!("[{}]", v.join(","))),
            proptest::collection::vec((key_text(), blanks(), spaced), 0..5).prop_map(|members| {
                let members: Vec<String> = members.into_iter().map(|(k, b, v)| format!("{b}{k}:{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Documents that mostly have a `system` list with blocks.
fn request_text() -> impl Strategy<Value = String> {
    let block = (json_text(), string_text(), json_text())
        .prop_map(|(a, text, b)| format!("{{\"type\":{a},\"text\":{text},\"cache_control\":{b}}}"));
    let system = prop_oneof![
        4 => proptest::collection::vec(block, 0..3).prop_map(|blocks| format!("[{}]", blocks.join(" , "))),
        1 => json_text(),
    ];
    (json_text(), blanks(), system, json_text()).prop_map(|(a, blank, system, z)| {
        format!("{{\"messages\":{a},{blank}\"system\":{blank}{system},\"tools\":{z}}}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_splice_equals_the_change_on_parsed_values(
        body in prop_oneof![3 => request_text(), 1 => json_text()],
        insert in any::<bool>(),
    ) {
        match (rewritten(&body, insert), oracle(&body, insert)) {
            (Ok((_, changed)), Some(expected)) => {
                prop_assert_eq!(serde_json::from_str::<Value>(&changed).expect("still JSON"), expected);
            }
            (Err(_), None) => {}
            (got, expected) => prop_assert!(false, "{got:?} but {expected:?} for {body}"),
        }
    }

    #[test]
    fn bytes_outside_the_span_stay(body in request_text(), insert in any::<bool>()) {
        if let Ok((_, edit)) = prompt(insert).edit(body.as_bytes()) {
            let changed = edit.apply(body.as_bytes());
            prop_assert_eq!(&changed[..edit.span.start], &body.as_bytes()[..edit.span.start]);
            prop_assert!(changed.ends_with(&body.as_bytes()[edit.span.end..]));
            prop_assert_eq!(changed.len(), body.len() - edit.span.len() + edit.replacement.len());
        }
    }

    #[test]
    fn damaged_input_is_rewritten_only_if_it_is_still_json(body in request_text(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = body.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if prompt(false).edit(&bytes).is_ok()
            && let Err(error) = serde_json::from_slice::<Map<String, Value>>(&bytes)
        {
            // Half a surrogate pair and a huge exponent are valid JSON texts that serde_json's Value cannot hold.
            let error = error.to_string();
            prop_assert!(["surrogate", "hex escape", "out of range"].iter().any(|known| error.contains(known)), "{error}");
        }
    }
}
