use super::*;
use crate::prompt_shape::sketch::MOST_BODY;
use crate::redact::Needles;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use std::sync::Arc;

const CLAUDE_CODE: &[u8] = include_bytes!("../../../../../tests/fixtures/sdk-cli-2.1.330-tool-result.json");

fn shape(body: &[u8]) -> PromptShape {
    PromptShape::of(body).expect("a JSON object")
}

fn text_of(head: &str, shape: &PromptShape) -> String {
    kept(head, shape).expect("its first line is short")
}

/// What is made of what was kept of this body.
fn made(body: &[u8]) -> Vec<u8> {
    let text = text_of("POST /v1/messages HTTP/1.1", &shape(body));
    assert!(text.len() <= MOST_BYTES, "{}:\n{text}", text.len());
    KeptShape::read(&text).expect("what was kept").body()
}

/// A shape as it can be kept: without digests and values.
fn comparable(body: &[u8]) -> PromptShape {
    let mut shape = shape(body);
    for field in &mut shape.fields {
        (field.bytes, field.json) = (0, None);
        // Filler in place of a text may be taken for a word.
        let filler = (1..=64).rev().map(|length| (format!("\"{}\"", "x".repeat(length)), format!("~{}", length + 2)));
        field.sketch =
            filler.fold(field.sketch.to_string(), |sketch, (text, sign)| sketch.replace(&text, &sign)).into();
    }
    shape.system_at = None;
    let PromptShape { system, tools, blocks, .. } = &mut shape;
    system.iter_mut().chain(Arc::make_mut(tools)).chain(Arc::make_mut(blocks)).for_each(|block| block.digest = 0);
    shape
}

#[test]
fn what_is_made_of_it_has_the_same_shape() {
    assert_eq!(comparable(&made(CLAUDE_CODE)), comparable(CLAUDE_CODE));
    for body in [
        r#"{}"#,
        r#"{"model":"claude-a~b","system":"Say nothing.","messages":[{"role":"user","content":"hello"}],"tools":[]}"#,
        r#"{"system":[{"type":"text","text":"You are Claude Code, Anthropic's official CLI for Claude. Be brief."}]}"#,
        r#"{"system":[{"type":"text","text":" \n "},{"type":"text","text":"a Claude Code of ours"}],"messages":[]}"#,
        r#"{"system":"  \t\n  ","messages":[{"role":"assistant","content":[]},{"role":"system","content":"0123456789"}]}"#,
        r#"{"tools":[{"name":"Bash","description":"Runs what it is given to run, and tells.","input_schema":{}}]}"#,
        r#"{"system":null,"tools":null,"messages":7,"stream":true,"metadata":{"user_id":"somebody","n":[1,{"a":"b"}]}}"#,
        r#"{"cache_control":{"type":"ephemeral"},"thinking":{"type":"enabled","budget_tokens":9},"max_tokens":1}"#,
    ] {
        let made = made(body.as_bytes());
        let text = String::from_utf8_lossy(&made);
        assert!(serde_json::from_slice::<serde_json::Value>(&made).is_ok(), "{text}");
        assert_eq!(comparable(&made), comparable(body.as_bytes()), "{body} and {text}");
        assert_eq!(made, super::tests::made(body.as_bytes()), "always the same");
    }
}

#[test]
fn it_holds_nothing_that_anybody_said() {
    let body = r#"{"model":"m","SECRET of a name":1,"metadata":{"user_id":"SECRET"},"stop_sequences":["SECRET"],
        "system":[{"type":"text","text":"SECRET"}],"thinking":{"type":"a SECRET"},
        "output_config":"a SECRET","tool_choice":"a SECRET of words","speed":"a SECRET",
        "tools":[{"name":"Bash","description":"SECRET","input_schema":{"properties":{"SECRET":{}}}}],
        "messages":[{"role":"user","content":"SECRET"},{"role":"assistant","content":[
        {"type":"tool_use","id":"SECRET","name":"SECRET","input":{"SECRET":"SECRET"}}]}]}"#;
    let text = text_of("POST /v1/messages HTTP/1.1", &shape(body.as_bytes()));
    assert!(!text.contains("SECRET") && text.contains("Bash"), "{text}");
    let told = shape(CLAUDE_CODE);
    let text = text_of("", &told);
    for digest in told.blocks.iter().chain(&told.system).chain(told.tools.iter()).map(|block| block.digest) {
        assert!(!text.contains(&digest.to_string()) && !text.contains(&format!("{digest:x}")), "a digest in {text}");
    }
}

#[test]
fn what_does_not_fit_of_a_head_is_masked_and_not_left_out() {
    let head = format!("POST /v1/messages HTTP/1.1\nx-long: {}\nx-late: {}", "a".repeat(1_000), "b".repeat(900));
    let kept_head = KeptShape::read(&text_of(&head, &shape(b"{}"))).expect("what was kept").head;
    assert!(kept_head.contains("x-long: aaa") && kept_head.contains("x-late: ********"), "{kept_head}");
    assert_eq!(kept(&format!("POST /{} HTTP/1.1", "a".repeat(2_000)), &shape(b"{}")), None);
}

#[test]
fn a_head_is_kept_without_digests_and_identities() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-digest", "sha-256=:SECRETdigest:"),
        ("content-md5", "SECRETmd5"),
        ("x-forwarded-client-cert", "By=SECRET"),
        ("user-agent", "claude-cli/2.1"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let target = b"/v1/messages?SECRETpart&beta=true;key=SECRET";
    let head = KeptHead::new(&Method::POST, target, Version::HTTP_11, &headers, Arc::new(Needles::default()));
    let text = head.kept(&shape(b"{}")).expect("it is kept");
    assert!(!text.contains("SECRET") && text.contains("claude-cli/2.1"), "{text}");
}

#[test]
fn a_long_conversation_is_cut_in_the_middle_and_that_is_told() {
    let said = "0123456789".repeat(100);
    let turn = format!(
        r#"{{"role":"user","content":"{said}"}},{{"role":"assistant","content":[{{"type":"text","text":"{said}"}}]}}"#
    );
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, vec![turn; 1_000].join(","));
    assert!(body.len() > 2_000_000);
    let text = text_of("POST /v1/messages HTTP/1.1", &shape(body.as_bytes()));
    assert!(text.len() <= MOST_BYTES, "{}", text.len());
    let kept = KeptShape::read(&text).expect("what was kept");
    assert!(kept.left_out().messages > 1_000, "{:?}", kept.left_out());
    let made = kept.body();
    assert!(made.len().abs_diff(body.len()) < body.len() / 20, "{} for {}", made.len(), body.len());
    let (made, came) = (shape(&made), shape(body.as_bytes()));
    assert_eq!(made.messages.len(), came.messages.len());
    let roles = |shape: &PromptShape| shape.messages.iter().map(|message| message.role).collect::<Vec<_>>();
    assert_eq!(roles(&made), roles(&came));
}

#[test]
fn it_is_bounded_whatever_comes() {
    let many = |one: &str| vec![one; 20_000].join(",");
    let fields: Vec<String> = (0..100).map(|number| format!(r#""{}{number}":"a""#, "n".repeat(100))).collect();
    let tools: Vec<String> =
        (0..500).map(|n| format!(r#"{{"name":"mcp__a_server__a_tool_{n}","description":"d"}}"#)).collect();
    let head = format!("POST /v1/messages HTTP/1.1\n{}", "x-a: 0123456789\n".repeat(1_000));
    for body in [
        format!("{{{}}}", fields.join(",")),
        format!(r#"{{"tools":[{}]}}"#, tools.join(",")),
        format!(r#"{{"system":[{}]}}"#, many(r#"{"type":"text","text":"a"}"#)),
        format!(r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#, many(r#"{"type":"text","text":"a"}"#)),
        format!(r#"{{"metadata":{{{}}}}}"#, fields.join(",")),
    ] {
        let text = text_of(&head, &shape(body.as_bytes()));
        assert!(text.len() <= MOST_BYTES, "{}", text.len());
        let made = KeptShape::read(&text).expect("what was kept").body();
        assert!(serde_json::from_slice::<serde_json::Value>(&made).is_ok(), "{}", String::from_utf8_lossy(&made));
    }
    let told = shape(format!(r#"{{"tools":[{}]}}"#, tools.join(",")).as_bytes());
    let read = KeptShape::read(&text_of("", &told)).expect("what was kept");
    assert_eq!(shape(&read.body()).tools.len(), 500, "their number is told");
    let huge = KeptShape::read("shape 1\nF 9 messages \nM Ut4294967295At4294967295\n").expect("what was kept");
    assert!(huge.body().len() <= MOST_BODY + 1_000);
}

#[test]
fn what_is_no_kept_shape_is_not_read() {
    for text in
        ["", "shape 2\n", "shape 1\nZ 1\n", "shape 1\nM Q\n", "shape 1\nX 1\n", "shape 1\nT l\n", "shape 1\nS t\n"]
    {
        assert_eq!(KeptShape::read(text), None, "{text}");
    }
}

#[test]
fn a_head_is_kept_without_its_keys() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "claude-cli/2.1.330 (external, cli)"),
        ("x-api-key", "sk-of-the-client-1"),
        ("authorization", "Bearer of-the-client-2"),
        ("cookie", "session=of-the-client-3"),
        ("proxy-authorization", "Basic dXNlcjpvZi10aGUtY2xpZW50LTQ="),
        ("x-again", "says of-the-client-2 and key-of-the-gateway"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let long = "y".repeat(5_000);
    headers.append("x-long", HeaderValue::from_str(&long).expect("a value"));
    let mut of_config = crate::redact::Secrets::default();
    of_config.add(&b"key-of-the-gateway"[..]);
    let target = b"/v1/messages?beta=true&key=of-the-query";
    let of_config = Arc::new(Needles::new(&of_config));
    let head = KeptHead::new(&Method::POST, target, Version::HTTP_2, &headers, of_config);
    let tools = br#"{"tools":[{"name":"of-the-client-2"}],"model":"key-of-the-gateway","of-the-client-3":1}"#;
    let text = head.kept(&shape(tools)).expect("short enough");
    for secret in ["of-the-client", "dXNlcj", "key-of-the-gateway", "of-the-query", "yyy"] {
        assert!(!text.contains(secret), "{secret} in {text}");
        assert!(!format!("{head:?}").contains(secret));
    }
    for there in
        ["POST /v1/messages?beta=true&key=******** HTTP/2.0\n", "cookie: ********", "\nH user-agent: claude-cli/"]
    {
        assert!(text.contains(there), "{there} in {text}");
    }
}
