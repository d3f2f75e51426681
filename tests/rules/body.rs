//! What rules change in request bodies, and that every other byte stays.

use super::*;

const BODY: &str = "{ \"model\":\"claude-opus-4-8\" ,\r\n \"messages\" : [ {\"content\":\"\\u7f51关 }] \\\"system\\\":[\"} ],\
    \t\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc\"}, \
    {\"text\":\"You are Claude Code, Anthropic's official CLI for Claude.\",\"cache_control\":{\"type\":\"ephemeral\"}} ,\
    {\"type\":\"text\",\"text\":\"last \\u00e9\"} ],\"max_tokens\":1.0e+2,\"metadata\":{\"user_id\":\"u\" },\"stream\" :true }";
const IDENTITY: &str = "\"You are Claude Code, Anthropic's official CLI for Claude.\"";

/// Each action, what it replaces, and by what; the replaced text is in the body once.
const SPLICES: &[(&str, &[(&str, &str)])] = &[
    ("model: {claude-opus-*: \"new\\\"\"}", &[("\"claude-opus-4-8\"", "\"new\\\"\"")]),
    ("model: {\"*haiku*\": a, \"*\": b, claude-*: c}", &[("\"claude-opus-4-8\"", "\"b\"")]),
    ("model: {\"*haiku*\": a}", &[]),
    ("set: {/max_tokens: 7}", &[("1.0e+2", "7")]),
    ("set: {/stream: null}", &[("\"stream\" :true", "\"stream\" :null")]),
    ("set: {/metadata/user_id: 网关}", &[("\"u\"", "\"网关\"")]),
    ("set: {/metadata/a~1b/~0c: [1, {d: true}]}", &[("\"u\" }", "\"u\",\"a/b\":{\"~c\":[1,{\"d\":true}]} }")]),
    ("set: {/system/1/cache_control: {type: none}}", &[("{\"type\":\"ephemeral\"}", "{\"type\":\"none\"}")]),
    ("set: {/system/9/text: a, /messages/x: a, /model/x: a}", &[]),
    ("default: {/max_tokens: 7, /model: a}", &[]),
    ("default: {/top_k: 7}", &[("\"stream\" :true", "\"stream\" :true,\"top_k\":7")]),
    ("remove: /metadata", &[(",\"metadata\":{\"user_id\":\"u\" }", "")]),
    ("remove: [/model, /nothing, /system/7]", &[(" \"model\":\"claude-opus-4-8\" ,", "")]),
    ("remove: /stream", &[(",\"stream\" :true", "")]),
    ("remove: /system/0", &[("{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: cc\"},", "")]),
    ("system: {mode: replace, text: a}", &[("\"x-anthropic-billing-header: cc\"", "\"a\"")]),
    ("system: {mode: replace, target: identity, text: \"a\\n\\\"b\"}", &[(IDENTITY, "\"a\\n\\\"b\"")]),
    ("system: {mode: replace, target: last, text: a}", &[("\"last \\u00e9\"", "\"a\"")]),
    ("system: {mode: replace, target: {index: 1}, text: a}", &[(IDENTITY, "\"a\"")]),
    ("system: {mode: replace, target: {index: 3}, text: a}", &[]),
    ("system: {mode: replace, target: {matching: \"^last é$\"}, text: a}", &[("\"last \\u00e9\"", "\"a\"")]),
    ("system: {mode: replace, target: {matching: nothing}, text: a}", &[]),
    ("system: {mode: prepend, target: last, text: a}", &[("\"last \\u00e9\"", "\"a\\n\\nlast \\u00e9\"")]),
    ("system: {mode: append, target: last, text: a}", &[("\"last \\u00e9\"", "\"last \\u00e9\\n\\na\"")]),
    ("system: {mode: insert_if_missing, target: identity, text: a}", &[]),
    ("system: {mode: ensure_list, text: a}", &[]),
    (
        "system: {mode: remove, target: identity}",
        &[(
            ", {\"text\":\"You are Claude Code, Anthropic's official CLI for Claude.\",\
            \"cache_control\":{\"type\":\"ephemeral\"}}",
            "",
        )],
    ),
    (
        "system: {mode: insert_if_missing, target: {matching: ours}, text: ours}",
        &[(
            "\"x-anthropic-billing-header: cc\"}",
            "\"x-anthropic-billing-header: cc\"},\
            {\"type\":\"text\",\"text\":\"ours\",\"cache_control\":{\"type\":\"ephemeral\"}}",
        )],
    ),
    (
        "{system: [{mode: append, target: last, text: a}, {mode: append, target: last, text: b}], \
        set: {/max_tokens: 7}, remove: /stream}",
        &[("\"last \\u00e9\"", "\"last \\u00e9\\n\\na\\n\\nb\""), ("1.0e+2", "7"), (",\"stream\" :true", "")],
    ),
    ("{set: {/model: a}, model: {a: b}}", &[("\"claude-opus-4-8\"", "\"b\"")]),
    ("{model: {a: b}, set: {/model: a}}", &[("\"claude-opus-4-8\"", "\"a\"")]),
];

fn spliced(replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(BODY.to_owned(), |body, (old, new)| {
        assert_eq!(body.matches(old).count(), 1, "{old} is there once");
        body.replacen(old, new, 1)
    })
}

#[tokio::test]
async fn each_change_of_the_body_changes_its_bytes_alone() {
    for (action, replacements) in SPLICES {
        let (upstream, gateway) = with_action(&body_action(action)).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", BODY)).await;
        let wanted = spliced(replacements);
        assert_eq!(String::from_utf8_lossy(&got.body), wanted, "{action}");
        assert_eq!(got.target, "/v1/messages");
    }
}

#[tokio::test]
async fn http_2_clients_get_the_same_changes() {
    let rows = [SPLICES[0], SPLICES[6], SPLICES[28], ("compact: true", &[])];
    for (action, replacements) in rows {
        let rule = format!(
            "    - name: r\n      match: {{method: POST, path: /v1/*, header: {{x-a: one}}, model: claude-*}}\n      \
            {}\n      headers: {{set: {{X-New: \"${{header.x-a}}\"}}, list_add: {{Beta: c}}, remove: X-Gone}}\n      \
            query: {{set: {{beta: \"true\"}}}}\n      api_key: bearer\n      response_headers: {{set: {{X-Answer: \"1\"}}}}\n",
            body_action(action)
        );
        let (upstream, gateway) = with_rules(&rule).await;
        let client = gateway.connect_h2().await;
        for declared in [true, false] {
            let mut request = http::Request::builder()
                .method("POST")
                .uri("http://gateway.test/v1/messages?a")
                .header("x-a", "one")
                .header("beta", "a")
                .header("beta", "b")
                .header("x-gone", "1")
                .header("x-api-key", "sk-1");
            if declared {
                request = request.header("content-length", BODY.len());
            }
            let pieces: Vec<&[u8]> = BODY.as_bytes().chunks(100).collect();
            let answer = client.send(request.body(()).expect("a request"), &pieces).await;
            assert_eq!((answer.status, answer.headers["x-answer"].as_bytes()), (200, &b"1"[..]));
            let got = upstream.last();
            let mut wanted = spliced(replacements);
            if action.starts_with("compact") {
                wanted = compacted(&wanted);
            }
            assert_eq!(String::from_utf8_lossy(&got.body), wanted, "{action}");
            assert_eq!(got.framing, Framing::Length(wanted.len() as u64));
            assert_eq!(got.target, "/v1/messages?a&beta=true");
            for (name, values) in
                [("x-new", &["one"][..]), ("beta", &["a,b,c"]), ("x-gone", &[]), ("authorization", &["Bearer sk-1"])]
            {
                assert_eq!(got.headers.all(name), values, "{name}");
            }
            assert!(!got.headers.has("x-api-key"));
        }
    }
}

/// The body without its blanks; none of its strings holds a quote that would mislead this.
fn compacted(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        if in_string || !c.is_ascii_whitespace() {
            out.push(c);
        }
        in_string ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    out
}

#[tokio::test]
async fn compact_drops_blanks_between_tokens_and_nothing_else() {
    let (upstream, gateway) = with_action("body: {compact: true}").await;
    let got = through(&upstream, &gateway, &post("/v1/messages", BODY)).await;
    assert_eq!(String::from_utf8_lossy(&got.body), compacted(BODY));
    for fixture in fixtures::all() {
        let got = through(&upstream, &gateway, &Request::post("/v1/messages", fixture.body.clone())).await;
        assert!(got.body == fixture.body, "{} is compact already", fixture.name);
    }
}

#[tokio::test]
async fn a_system_that_is_no_list_becomes_one() {
    let block = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
    let rows: &[(&str, &str, String)] = &[
        (
            r#"{"system":"old \u0041", "a":1}"#,
            "ensure_list",
            format!(r#"{{"system":[{}], "a":1}}"#, block("old \\u0041")),
        ),
        (r#"{"system":""}"#, "ensure_list", r#"{"system":[]}"#.to_owned()),
        (r#"{"system":null}"#, "ensure_list, text: t", format!(r#"{{"system":[{}]}}"#, block("t"))),
        (r#"{"system":[ ]}"#, "ensure_list, text: t", format!(r#"{{"system":[{}]}}"#, block("t"))),
        (r#"{"a":1}"#, "ensure_list, text: t", format!(r#"{{"a":1,"system":[{}]}}"#, block("t"))),
        (r#"{"a":1}"#, "ensure_list", r#"{"a":1}"#.to_owned()),
        (r#"{"system":[3]}"#, "ensure_list, text: t", r#"{"system":[3]}"#.to_owned()),
        (r#"{"system":{"a":1}}"#, "ensure_list, text: t", r#"{"system":{"a":1}}"#.to_owned()),
        (r#"{"system":"old"}"#, "replace, text: t", r#"{"system":"old"}"#.to_owned()),
    ];
    for (sent, mode, wanted) in rows {
        let (upstream, gateway) = with_action(&format!("body: {{system: {{mode: {mode}}}}}")).await;
        let got = through(&upstream, &gateway, &post("/v1/messages", sent)).await;
        assert_eq!(String::from_utf8_lossy(&got.body), *wanted, "{mode} of {sent}");
    }
}

#[tokio::test]
async fn bodies_that_are_encoded_or_no_json_go_through_as_they_are() {
    let action = "body: {set: {/a: 1}, system: {mode: ensure_list, text: t}, compact: true}";
    let (upstream, gateway) = with_action(action).await;
    let zipped = gzip(BODY.as_bytes());
    let encoded = Request::post("/v1/messages", zipped.clone()).header("Content-Encoding", "gzip");
    assert_eq!(through(&upstream, &gateway, &encoded).await.body, zipped);
    for encoding in ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip"] {
        let request = post("/v1/messages", BODY).header("content-encoding", encoding);
        let got = through(&upstream, &gateway, &request).await;
        assert_eq!(got.body, BODY.as_bytes(), "{encoding}");
        assert_eq!(got.headers.all("content-encoding"), [encoding]);
    }
    let bodies: [&[u8]; 8] =
        [b"no", b"[ 1 ]x", b"{\"a\": 1", b"{\"a\": \"\xff\"}", b"{ } { }", b"\xef\xbb\xbf{ }", b"{\"a\": 01}", b" "];
    for body in bodies {
        let got = through(&upstream, &gateway, &Request::post("/v1/messages", body)).await;
        assert_eq!(got.body, body, "{}", String::from_utf8_lossy(body));
    }
    // What is JSON but no object has no members, and blanks.
    for (body, wanted) in [("[ 1 ]", "[1]"), ("null", "null"), ("\"a b\" ", "\"a b\"")] {
        let got = through(&upstream, &gateway, &post("/v1/messages", body)).await;
        assert_eq!(String::from_utf8_lossy(&got.body), wanted);
    }
    let identity = post("/v1/messages", "{\"a\": 2}").header("Content-Encoding", "identity");
    let got = through(&upstream, &gateway, &identity).await;
    assert_eq!(String::from_utf8_lossy(&got.body), "{\"a\":1,\"system\":[{\"type\":\"text\",\"text\":\"t\"}]}");
    assert_eq!(gateway.request(&Request::get("/v1/messages")).await.status(), 200);
    assert!(upstream.last().body.is_empty() && !upstream.last().headers.has("content-length"));
}

#[tokio::test]
async fn chunked_bodies_and_kept_connections_are_rewritten_with_exact_lengths() {
    let (upstream, gateway) = with_action("body: {model: {\"*\": a-much-longer-name-than-before}}").await;
    let mut client = gateway.connect().await;
    for (sent, wanted) in [("m", "a-much-longer-name-than-before"), ("n", "a-much-longer-name-than-before")] {
        let body = format!(r#"{{"model":"{sent}"}}"#);
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let head = "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{chunked}")).await;
        assert_eq!(client.response("POST").await.status(), 200);
        let wanted = format!(r#"{{"model":"{wanted}"}}"#);
        assert_eq!(String::from_utf8_lossy(&upstream.last().body), wanted);
        assert_eq!(upstream.last().framing, Framing::Length(wanted.len() as u64));
    }
}
