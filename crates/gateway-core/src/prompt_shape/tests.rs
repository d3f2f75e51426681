use super::*;
use crate::rules::document::Document;

fn shape(body: &str) -> PromptShape {
    PromptShape::of(body.as_bytes()).expect("a JSON object")
}

fn messages(messages: &str) -> PromptShape {
    shape(&format!(r#"{{"model":"m","messages":[{messages}]}}"#))
}

fn history(shape: &PromptShape) -> Vec<u64> {
    shape.history_digests().collect()
}

const CLAUDE_CODE: &[u8] = include_bytes!("../../../../tests/fixtures/sdk-cli-2.1.330-turn1.json");

#[test]
fn a_request_of_claude_code_is_told_by_kinds_lengths_and_marks() {
    let shape = PromptShape::of(CLAUDE_CODE).expect("a JSON object");
    let kinds = |blocks: &[Block]| blocks.iter().map(|block| block.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&shape.system), [Kind::Attribution, Kind::Text, Kind::Text]);
    assert_eq!((shape.tools.len(), kinds(&shape.blocks)), (12, vec![Kind::Text; 3]));
    let said: Vec<_> = shape.messages.iter().map(|message| (message.role, message.is_text, message.blocks)).collect();
    assert_eq!(said, [(Role::User, false, 2), (Role::System, false, 1)]);
    assert_eq!((shape.head_mark(), shape.history_mark()), (Some(Mark::FiveMinutes), Some(Mark::FiveMinutes)));
    let field = |name: &str| shape.fields.iter().find(|field| &*field.name == name).expect("a member");
    assert_eq!(field("max_tokens").json.as_deref(), Some("128000"));
    assert_eq!(field("stream").json.as_deref(), Some("true"));
    assert_eq!((field("metadata").json.as_deref(), field("metadata").bytes > 100), (None, true), "says who it is");
    let bytes: usize = shape
        .system
        .iter()
        .chain(shape.tools.iter())
        .chain(shape.blocks.iter())
        .map(|block| block.bytes as usize)
        .sum();
    assert!(bytes > CLAUDE_CODE.len() * 9 / 10, "{bytes}");
    assert!(!shape.is_cut && !shape.is_continued);
}

#[test]
fn nothing_of_a_text_is_kept() {
    let shape = shape(
        r#"{"model":"m","x":"SECRET","metadata":{"user_id":"SECRET"},"stop_sequences":["SECRET"],"system":"SECRET",
        "tools":[{"name":"No SECRET","description":"SECRET"}],"messages":[{"role":"user","content":"SECRET"}]}"#,
    );
    assert!(!format!("{shape:?}").contains("SECRET"));
    assert_eq!(
        shape.fields.iter().map(|field| &*field.name).collect::<Vec<_>>(),
        ["model", "x", "metadata", "stop_sequences", "system", "tools", "messages"]
    );
}

#[test]
fn a_mark_that_moves_on_changes_no_digest() {
    let one =
        messages(r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#);
    for same in [
        r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#,
        r#"{"content":[{"text":"a","type":"text"}],"role":"user"}"#,
        r#"{"role":"user","content":"a"}"#,
        r#"{"role":"user","content":[{"cache_control":{"ttl":"1h","type":"ephemeral"},"type":"text","text":"a"}]}"#,
        r#"{"role":"user","content":[{"type":"text","cache_control":null,"text":"a"}]}"#,
    ] {
        assert_eq!(history(&messages(same)), history(&one), "{same}");
    }
    for other in [
        r#"{"role":"user","content":"b"}"#,
        r#"{"role":"assistant","content":"a"}"#,
        r#"{"role":"user","content":[{"type":"thinking","text":"a"}]}"#,
        r#"{"role":"user","content":[{"type":"text","text":"a","citations":[1]}]}"#,
        r#"{"role":"user","content":[{"type":"tool_result","content":"a"}]}"#,
    ] {
        assert_ne!(history(&messages(other)), history(&one), "{other}");
    }
}

#[test]
fn a_conversation_that_grows_begins_as_it_was() {
    let said =
        r#"{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"1","input":{}}]}"#;
    let (short, long) =
        (history(&messages(said)), history(&messages(&format!(r#"{said},{{"role":"user","content":"b"}}"#))));
    assert_eq!((short.len(), long.len()), (2, 3));
    assert!(long.starts_with(&short));
    let merged = r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#;
    let split = r#"{"role":"user","content":"a"},{"role":"user","content":"b"}"#;
    assert_eq!(history(&messages(merged)), history(&messages(split)), "the API puts them together");
}

#[test]
fn who_asks_is_no_part_of_the_system_prompt() {
    let with = |text: &str, then: &str| {
        shape(&format!(r#"{{"system":[{{"type":"text","text":"{text}"}},{{"type":"text","text":"{then}"}}]}}"#))
            .system_digest()
    };
    assert_eq!(with("x-anthropic-billing-header: cch=1;", "a"), with("x-anthropic-billing-header: cch=2;", "a"));
    assert_ne!(with("x-anthropic-billing-header: cch=1;", "a"), with("x-anthropic-billing-header: cch=1;", "b"));
    assert_ne!(with("a", "x"), with("b", "x"));
    assert_eq!(
        shape(r#"{"system":"a"}"#).system_digest(),
        shape(r#"{"system":[{"type":"text","text":"a"}]}"#).system_digest()
    );
    assert_eq!((shape("{}").system_digest(), shape("{}").tools_digest()), (0, 0));
}

#[test]
fn tools_count_in_their_order_and_settings_by_their_values() {
    let tools = |tools: &str| shape(&format!(r#"{{"tools":[{tools}]}}"#)).tools_digest();
    let (a, b) = (r#"{"name":"a","input_schema":{}}"#, r#"{"name":"b","input_schema":{}}"#);
    assert_ne!(tools(&format!("{a},{b}")), tools(&format!("{b},{a}")));
    assert_ne!(tools(a), tools(b));
    assert_eq!(tools(r#"{"name":"a","input_schema":{},"cache_control":{"type":"ephemeral"}}"#), tools(a));
    let settings = |fields: &str| shape(&format!("{{{fields}}}")).settings_digest();
    assert_eq!(settings(r#""max_tokens":1"#), settings(r#""max_tokens":2"#));
    assert_ne!(settings(r#""thinking":{"type":"enabled"}"#), settings(r#""thinking":{"type":"disabled"}"#));
    assert_ne!(settings(r#""tool_choice":{"type":"any"}"#), settings(r#""thinking":{"type":"any"}"#));
}

#[test]
fn marks_tell_how_long_a_cache_lives() {
    let marks = |body: &str| (shape(body).head_mark(), shape(body).history_mark());
    let (hour, minutes) = (Some(Mark::Hour), Some(Mark::FiveMinutes));
    let block = |mark: &str| format!(r#"{{"type":"text","text":"a","cache_control":{mark}}}"#);
    let (long, short) = (block(r#"{"type":"ephemeral","ttl":"1h"}"#), block(r#"{"type":"ephemeral"}"#));
    assert_eq!(
        marks(&format!(r#"{{"system":[{long}],"messages":[{{"role":"user","content":[{short}]}}]}}"#)),
        (hour, minutes)
    );
    assert_eq!(
        marks(&format!(r#"{{"tools":[{short}],"messages":[{{"role":"user","content":[{long}]}}]}}"#)),
        (minutes, hour)
    );
    assert_eq!(
        marks(r#"{"cache_control":{"type":"ephemeral"},"messages":[{"role":"user","content":"a"}]}"#),
        (None, minutes)
    );
    assert_eq!(marks(&format!(r#"{{"system":[{}]}}"#, block("null"))), (None, None));
}

#[test]
fn the_summary_of_a_compacted_conversation_is_seen() {
    let text = "This session is being continued from a previous conversation that ran out of context. It was: ...";
    assert!(messages(&format!(r#"{{"role":"user","content":"{text}"}}"#)).is_continued);
    let behind =
        format!(r#"{{"role":"user","content":[{{"type":"text","text":"<x>"}},{{"type":"text","text":"{text}"}}]}}"#);
    assert!(messages(&behind).is_continued);
    assert!(
        !messages(&format!(r#"{{"role":"user","content":"a"}},{{"role":"user","content":"{text}"}}"#)).is_continued
    );
}

#[test]
fn a_body_that_was_passed_over_is_the_same_document_as_one_that_is_read_anew() {
    let claude_code = std::str::from_utf8(CLAUDE_CODE).expect("UTF-8");
    let many = vec![r#""a":1"#; 20_000].join(",");
    let repeated = r#" { "system" : "a" , "b":[{}], "system":[ ] ,"":{"c":1e3}}  "#;
    for body in [claude_code, "{}", " { } ", repeated, &format!("{{{many}}}")] {
        let (_, layout) = PromptShape::with_layout(body.as_bytes()).expect("an object");
        let read = Document::read(body.as_bytes(), Some(&layout)).expect("JSON");
        let parsed = Document::parse(body.as_bytes()).expect("JSON");
        assert!(format!("{read:?}") == format!("{parsed:?}"), "{:.200}", body);
    }
    let (_, layout) = PromptShape::with_layout(b"{\"a\":\"\xff\"}").expect("an object");
    assert!(Document::read(b"{\"a\":\"\xff\"}", Some(&layout)).is_err(), "its encoding is checked all the same");
}

#[test]
fn what_is_no_request_has_no_shape() {
    for body in ["", "[]", "null", "{", r#"{"messages":[}"#, r#"{"a":1}x"#, r#"{"system":[{"type":"text"]}"#] {
        assert_eq!(PromptShape::of(body.as_bytes()), None, "{body}");
    }
    let odd = shape(r#"{"system":7,"tools":{},"messages":[1,{"content":null},{"role":"x","content":[7,"a",{}]}]}"#);
    assert_eq!((odd.messages.len(), odd.blocks.len()), (2, 3));
}

#[test]
fn it_is_bounded() {
    let many = vec![r#"{"role":"user","content":"a"}"#; MOST_BLOCKS + 1].join(",");
    let long = messages(&many);
    assert_eq!((long.blocks.len(), long.messages.len(), long.is_cut), (MOST_BLOCKS, MOST_BLOCKS, true));
    let fields: Vec<String> = (0..100).map(|number| format!(r#""{}{number}":1"#, "n".repeat(100))).collect();
    let wide = shape(&format!("{{{}}}", fields.join(",")));
    assert_eq!((wide.fields.len(), wide.fields[0].name.len(), wide.is_cut), (MOST_FIELDS, LONGEST_NAME, true));
    assert!(long.bytes() < 300_000, "{}", long.bytes());
}

#[test]
fn that_of_a_changed_body_is_the_same_whether_all_of_it_is_looked_at_or_not() {
    let around =
        |system: &str| format!(r#"{{"model":"m","tools":[{{"name":"a"}}],{system}"messages":[{{"content":"b"}}]}}"#);
    let blocks = r#""system":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"#;
    let systems =
        ["", blocks, r#""system":"a","#, r#""system":[],"#, r#""system":7,"#, r#""system":"a","system":"b","#];
    let others = [r#"{"model":"n"}"#, r#"{"system":"a"}"#, "{", "", r#"{"system":"a"]}"#];
    let bodies = systems.iter().map(|system| around(system)).chain(others.map(String::from)).collect::<Vec<_>>();
    for before in &bodies {
        let Some(shape) = PromptShape::of(before.as_bytes()) else { continue };
        for body in &bodies {
            let common =
                |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(one, other)| one == other).count();
            let front = common(&mut before.bytes().zip(body.bytes()));
            let back =
                common(&mut before.bytes().rev().zip(body.bytes().rev())).min(body.len().min(before.len()) - front);
            for ends in [Ends::default(), Ends { front, back }, Ends { front: front / 2, back: back / 2 }] {
                let changed = shape.of_changed(before.as_bytes(), body.as_bytes(), ends);
                assert_eq!(changed, PromptShape::of(body.as_bytes()), "{before} {body} {ends:?}");
            }
        }
    }
    let (before, body) = (around(blocks), around(r#""system":"a","#));
    let shape = shape(&before);
    let changed = shape.with_system_of(before.as_bytes(), body.as_bytes(), Ends::default());
    let changed = changed.expect("nothing else is looked at");
    assert!(Arc::ptr_eq(&changed.blocks, &shape.blocks) && Arc::ptr_eq(&changed.tools, &shape.tools), "nor kept twice");
}
