use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn taken(body: &str, first: Option<(usize, usize)>) -> (String, u32) {
    let mut document = Document::parse(body.as_bytes()).expect("JSON");
    let first = first.map(|(message, block)| Place { message, block });
    let count = take_out(&mut document, first);
    (String::from_utf8(document.to_bytes()).expect("UTF-8"), count)
}

fn asked(body: &str) -> (String, Result<(), NoChange>) {
    let mut document = Document::parse(body.as_bytes()).expect("JSON");
    let result = ask_to_drop(&mut document);
    (String::from_utf8(document.to_bytes()).expect("UTF-8"), result)
}

#[test]
fn a_block_is_taken_out_with_all_thinking_after_it_and_nothing_else_changes() {
    let body = concat!(
        r#"{ "messages": [ {"role":"user","content":"a"}, {"role":"assistant","content":[ {"type":"thinking","thinking":"1"}, "#,
        r#"{"type":"text","text":"b"} ]}, {"role":"user","content":[{"type":"text","text":"\u00e9"}]},"#,
        r#"{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"} , {"type":"tool_use"}, {"type":"thinking"}]}]}"#,
    );
    let (text, count) = taken(body, Some((3, 0)));
    assert_eq!(count, 2);
    assert_eq!(
        text,
        body.replace(r#"{"type":"redacted_thinking","data":"x"} ,"#, "").replace(r#", {"type":"thinking"}]}]"#, "]}]")
    );
    assert_eq!(taken(body, Some((1, 0))), taken(body, None));
    for nowhere in [(0, 0), (1, 1), (1, 9), (2, 0), (9, 0)] {
        assert_eq!(taken(body, Some(nowhere)), taken(body, None), "{nowhere:?}: the upstream counts otherwise");
    }
    assert_eq!(taken(body, None).1, 3);
}

#[test]
fn a_turn_of_nothing_but_thinking_keeps_a_text() {
    let body = r#"{"messages":[{"role":"assistant","content":[ {"type":"thinking","signature":"s"} ]}],"stream":true}"#;
    let left = r#"{"messages":[{"role":"assistant","content":[{"type":"text","text":"(no content)"}]}],"stream":true}"#;
    assert_eq!(taken(body, None), (left.to_owned(), 1));
    for same in
        [r#"{"messages":[{"role":"assistant","content":[]}]}"#, r#"{"messages":7}"#, "[]", "1", r#"{"thinking":{}}"#]
    {
        assert_eq!(taken(same, None), (same.to_owned(), 0));
    }
}

#[test]
fn who_thinks_with_a_budget_is_told_not_to_where_the_open_turn_would_have_to_begin_with_thinking() {
    let body = |kind: &str, last: &str| {
        let turn = r#"{"role":"assistant","content":[{"type":"thinking"},{"type":"tool_use","id":"t"}]}"#;
        format!(
            r#"{{"messages":[{turn},{{"role":"user","content":[{{"type":"{last}"}}]}}],"thinking":{{"type":"{kind}"}},"#
        ) + r#""context_management":{"edits":[{"type":"clear_thinking_20251015"},{"type":"clear_tool_uses"}]}}"#
    };
    let without = |text: &str| text.replace(r#"{"type":"thinking"},"#, "");
    for (kind, last) in [("adaptive", "tool_result"), ("enabled", "text"), ("disabled", "tool_result")] {
        let body = body(kind, last);
        assert_eq!(taken(&body, None).0, without(&body), "{kind} {last}");
    }
    let body = body("enabled", "tool_result");
    let wanted = without(&body).replace("enabled", "disabled").replace(r#"{"type":"clear_thinking_20251015"},"#, "");
    assert_eq!(taken(&body, None).0, wanted);
}

#[test]
fn the_api_is_asked_to_drop_blocks_only_where_it_can_and_nobody_said_otherwise() {
    let body = |thinking: &str, kind: &str| {
        format!(r#"{{"thinking":{thinking},"messages":[{{"role":"assistant","content":[{{"type":"{kind}"}}]}}]}}"#)
    };
    let drop = r#""prefix_mismatch_behavior":"drop_block""#;
    for (before, after) in [
        (r#"{"type":"adaptive"}"#, format!(r#"{{"type":"adaptive","block_binding":{{{drop}}}}}"#)),
        (
            r#"{"block_binding":{ "x":1 },"type": "adaptive"}"#,
            format!(r#"{{"block_binding":{{ "x":1,{drop} }},"type": "adaptive"}}"#),
        ),
        (r#"{"type":"adaptive","block_binding":{}}"#, format!(r#"{{"type":"adaptive","block_binding":{{{drop}}}}}"#)),
    ] {
        assert_eq!(asked(&body(before, "redacted_thinking")), (body(&after, "redacted_thinking"), Ok(())));
    }
    for (thinking, kind, why) in [
        (r#"{"type":"enabled","budget_tokens":9}"#, "thinking", NoChange::NoPlace),
        (r#"{"type":"disabled"}"#, "thinking", NoChange::NoPlace),
        (r#"{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"error"}}"#, "thinking", NoChange::Present),
        (r#"{"type":"adaptive","block_binding":{"mismatch_behavior":"error"}}"#, "thinking", NoChange::Present),
        (r#"{"type":"adaptive","block_binding":null}"#, "thinking", NoChange::NoPlace),
        (r#"{"type":"adaptive"}"#, "text", NoChange::Absent),
        ("null", "thinking", NoChange::Absent),
    ] {
        let body = body(thinking, kind);
        assert_eq!(asked(&body), (body, Err(why)));
    }
    assert_eq!(asked(r#"{"messages":[]}"#).1, Err(NoChange::Absent));
}

#[test]
fn a_cheap_look_finds_all_thinking() {
    for body in [r#"[{"type":"redacted_thinking"}]"#, "{\"type\" :\n\"thinking\"}"] {
        assert!(may_come_back(body.as_bytes()), "{body}");
    }
    for body in
        [r#"{"thinking":{"type":"adaptive"}}"#, r#"{"content":"{\"type\":\"thinking\"}"}"#, "{}", "thinking\"", ""]
    {
        assert!(!may_come_back(body.as_bytes()), "{body}");
    }
}

/// The same on values, as anyone would write it.
fn model(body: &Value, first: Option<(usize, usize)>) -> (Value, u32) {
    let is_thinking = |block: &Value| matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"));
    let first = first.filter(|(message, block)| is_thinking(&body["messages"][message]["content"][block]));
    let (mut body, mut count) = (body.clone(), 0);
    for (index, message) in body["messages"].as_array_mut().expect("a list").iter_mut().enumerate() {
        let Some(blocks) = message["content"].as_array_mut() else { continue };
        let before = blocks.len();
        let mut block = 0;
        blocks.retain(|value| {
            let is_out = is_thinking(value) && first.is_none_or(|first| first <= (index, block));
            block += 1;
            !is_out
        });
        count += before - blocks.len();
        if before > 0 && blocks.is_empty() {
            blocks.push(json!({ "type": "text", "text": "(no content)" }));
        }
    }
    (body, count as u32)
}

fn block() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "thinking", "thinking": "a\"]}", "signature": "c2ln" })),
        Just(json!({ "type": "redacted_thinking", "data": "\u{1f600}" })),
        Just(
            json!({ "type": "tool_use", "id": "t", "input": { "type": "thinking", "content": [{ "type": "thinking" }] } })
        ),
        Just(json!({ "type": "tool_result", "content": [{ "type": "text", "text": "{\"type\":\"thinking\"}" }] })),
        ".{0,12}".prop_map(|text| json!({ "type": "text", "text": text })),
        Just(json!("a text")),
        Just(json!({ "typ": "thinking" })),
        Just(Value::Null),
    ]
}

fn conversation() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        1 => Just(json!("text")),
        6 => prop::collection::vec(block(), 0..6).prop_map(Value::from),
    ];
    let message = (prop::sample::select(vec!["user", "assistant", "system"]), content, any::<bool>()).prop_map(
        |(role, content, is_marked)| match is_marked {
            true => json!({ "content": content, "cache": { "content": [] }, "role": role }),
            false => json!({ "role": role, "content": content }),
        },
    );
    prop::collection::vec(message, 0..8).prop_map(|messages| {
        json!({ "model": "m", "messages": messages, "system": [{ "type": "thinking" }], "thinking": { "type": "adaptive" } })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_values_would_be_and_no_turn_becomes_empty(
        body in conversation(),
        first in prop::option::of((0_usize..8, 0_usize..6)),
        is_pretty in any::<bool>(),
    ) {
        let text = if is_pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.expect("JSON");
        let (left, count) = taken(&text, first);
        let (wanted, wanted_count) = model(&body, first);
        let value: Value = serde_json::from_str(&left).expect("JSON");
        prop_assert_eq!((&value, count), (&wanted, wanted_count));
        for (before, after) in body["messages"].as_array().into_iter().flatten().zip(value["messages"].as_array().into_iter().flatten()) {
            let is_empty = |message: &Value| message["content"].as_array().is_some_and(Vec::is_empty);
            prop_assert!(is_empty(before) || !is_empty(after));
        }
        if !is_pretty {
            // serde_json sorts its members.
            let left = left.replace(NOTHING_LEFT, r#"{"text":"(no content)","type":"text"}"#);
            prop_assert_eq!(left, serde_json::to_string(&wanted).expect("JSON"), "compact stays compact, to the byte");
        }
        if count == 0 {
            prop_assert_eq!(left, text);
        }
    }

    #[test]
    fn bytes_of_any_layout_stay_but_for_the_blocks(body in conversation(), blanks in prop::collection::vec(" {0,2}\n?", 1..9)) {
        // Blanks of any kind between the tokens; each text keeps its own.
        let text = spread(&serde_json::to_string(&body).expect("JSON"), &blanks);
        let mut document = Document::parse(text.as_bytes()).expect("JSON");
        take_out(&mut document, None);
        let left = String::from_utf8(document.to_bytes()).expect("UTF-8");
        for edit in document.edits() {
            let gone = &text[edit.span.clone()];
            prop_assert!(gone.contains("thinking"), "{} of {}", gone, text);
            prop_assert!(edit.replacement.is_empty() || edit.replacement == NOTHING_LEFT, "{}", edit.replacement);
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&left).expect("JSON"), model(&body, None).0);
    }
}

/// The same JSON with blanks after its commas, colons and brackets.
fn spread(json: &str, blanks: &[String]) -> String {
    let (mut text, mut in_string, mut is_escaped, mut next) = (String::new(), false, false, 0);
    for character in json.chars() {
        text.push(character);
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            ',' | ':' | '[' | '{' if !in_string => {
                text.push_str(&blanks[next % blanks.len()]);
                next += 1;
            }
            _ => {}
        }
    }
    text
}
