//! The system prompt is spliced into the body: its span changes, and not a byte beside it.

use harness::{Framing, Gateway, GatewayBuilder, Reply, Request, Upstream, fixtures, gzip, through};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const NEW: &str = "You are \"New\".\n\tBack\\slash, 网关, \u{1f680}";

fn new_literal() -> String {
    serde_json::to_string(NEW).expect("a string")
}

fn new_block() -> String {
    format!(r#"{{"type":"text","text":{},"cache_control":{{"type":"ephemeral"}}}}"#, new_literal())
}

/// A gateway with `NEW` as replacement, and `more` in its environment.
async fn rewriting(more: &[(&str, &str)]) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let builder = gateway().upstream(upstream.url()).env("SYSTEM_PROMPT_REPLACEMENT", NEW);
    let gateway = more.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start().await;
    (upstream, gateway)
}

const INSERT: [(&str, &str); 1] = [("SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST", "true")];

/// The body as the upstream got it.
async fn sent_on(upstream: &Upstream, gateway: &Gateway, request: &Request) -> Vec<u8> {
    through(upstream, gateway, request).await.body.clone()
}

#[track_caller]
fn assert_same(got: &[u8], want: impl AsRef<[u8]>, what: &str) {
    let want = want.as_ref();
    assert!(got == want, "{what}:\n got {}\nwant {}", head(got), head(want));
}

fn head(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}

/// A compact body split around the JSON string of `system[0].text`, which must be its first such key.
fn around_first_text(body: &str) -> (&str, &str) {
    let start = "\"system\":[{\"type\":\"text\",\"text\":";
    let at = body.find(start).expect("a system list with text first") + start.len();
    let mut text = serde_json::Deserializer::from_str(&body[at..]).into_iter::<String>();
    text.next().expect("a string").expect("a string");
    (&body[..at], &body[at + text.byte_offset()..])
}

#[tokio::test]
async fn a_replacement_of_blanks_is_none() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("SYSTEM_PROMPT_REPLACEMENT", " \n").start().await;
    let body = r#"{"system":[{"type":"text","text":"x"}]}"#;
    let request = Request::post("/v1/messages", body);
    assert_same(&sent_on(&upstream, &gateway, &request).await, body, "the API takes no block of blanks");
}

#[tokio::test]
async fn what_is_too_large_to_be_looked_through_is_told_as_that() {
    let (upstream, gateway) = rewriting(&[]).await;
    let blocks = format!(r#"{{"model":"a","system":[{}{{"type":"text","text":"x"}}]}}"#, "1,".repeat(1_000_000));
    let members = format!(r#"{{{}"system":[{{"type":"text","text":"x"}}]}}"#, r#""x":1,"#.repeat(1_000_000));
    let deep = format!(r#"{{"system":[],"a":{}{}}}"#, "[".repeat(70_000), "]".repeat(70_000));
    for (body, told) in [
        (&*blocks, "too_large"),
        (&members, "too_large"),
        (&deep, "too_large"),
        ("{\"a\":", "not_json"),
        ("[]", "not_json"),
    ] {
        let lines = gateway.stderr_lines();
        let request = Request::post("/v1/messages", body);
        assert_same(&sent_on(&upstream, &gateway, &request).await, body, told);
        let wanted = format!("rewrite={told}");
        gateway.stderr_line(lines, &wanted, |line| line.contains(&wanted)).await;
    }
}

#[tokio::test]
async fn in_each_fixture_exactly_the_first_system_text_is_replaced() {
    let (upstream, gateway) = rewriting(&[]).await;
    let mut replaced = 0;
    for fixture in fixtures::all() {
        let mut client = gateway.connect().await;
        client.send(fixture.bytes()).await;
        assert_eq!(client.response("POST").await.status(), 200);
        let got = upstream.last();
        let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
        if fixture.name == "count-tokens" {
            assert_same(&got.body, &body, &fixture.name);
            continue;
        }
        let (before, after) = around_first_text(&body);
        assert_same(&got.body, format!("{before}{}{after}", new_literal()), &fixture.name);
        assert_eq!(got.framing, Framing::Length(got.body.len() as u64));
        assert_eq!(got.headers.all("content-length"), [got.body.len().to_string()]);
        replaced += 1;
    }
    assert!(replaced >= 5, "only {replaced} fixtures have a system prompt");
}

#[tokio::test]
async fn in_each_fixture_a_block_is_inserted_or_the_first_text_replaced() {
    let (upstream, gateway) = rewriting(&INSERT).await;
    let mut seen = [0, 0, 0];
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name != "count-tokens") {
        let mut client = gateway.connect().await;
        client.send(fixture.bytes()).await;
        assert_eq!(client.response("POST").await.status(), 200);
        let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
        let (before, after) = around_first_text(&body);
        let text = &body[before.len()..body.len() - after.len()];
        let (kind, want) = match text {
            text if text.starts_with("\"x-anthropic-billing-header:") => (0, behind_first_block(&body)),
            text if text.to_lowercase().contains("claude code") => (1, format!("{before}{}{after}", new_literal())),
            _ => (2, body.replacen("\"system\":[", &format!("\"system\":[{},", new_block()), 1)),
        };
        seen[kind] += 1;
        assert_same(&upstream.last().body, want, &fixture.name);
    }
    assert!(seen[0] > 0 && seen[1] > 0, "behind the attribution and replaced: {seen:?}");
}

/// A compact body with our block behind the first one of `system`.
fn behind_first_block(body: &str) -> String {
    let start = "\"system\":[";
    let at = body.find(start).expect("a system list") + start.len();
    let mut blocks = serde_json::Deserializer::from_str(&body[at..]).into_iter::<serde_json::Value>();
    blocks.next().expect("a block").expect("a block");
    let end = at + blocks.byte_offset();
    format!("{},{}{}", &body[..end], new_block(), &body[end..])
}

const IDENTITY: [(&str, &str); 1] = [("SYSTEM_PROMPT_TARGET", "identity")];

#[tokio::test]
async fn in_each_fixture_the_identity_is_replaced_and_the_attribution_stays() {
    for more in [&IDENTITY[..], &[IDENTITY[0], INSERT[0]]] {
        let (upstream, gateway) = rewriting(more).await;
        let mut seen = [0, 0];
        for fixture in fixtures::all().into_iter().filter(|fixture| fixture.name != "count-tokens") {
            let mut client = gateway.connect().await;
            client.send(fixture.bytes()).await;
            assert_eq!(client.response("POST").await.status(), 200);
            let body = String::from_utf8(fixture.body.clone()).expect("UTF-8");
            let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            let texts = value["system"].as_array().expect("a list").iter().filter_map(|block| block["text"].as_str());
            let begins = |text: &&str| {
                text.starts_with("You are Claude Code, Anthropic's official CLI for Claude.")
                    || text.starts_with("You are a Claude agent, built on Anthropic's Claude Agent SDK.")
            };
            let identity = texts.clone().find(begins);
            seen[usize::from(identity.is_some())] += 1;
            let has_attribution = texts.clone().next().is_some_and(|text| text.starts_with("x-anthropic-billing"));
            let want = match identity {
                Some(text) => body.replacen(&serde_json::to_string(text).expect("a string"), &new_literal(), 1),
                None if more.len() == 1 => body.clone(),
                None if has_attribution => behind_first_block(&body),
                None => body.replacen("\"system\":[", &format!("\"system\":[{},", new_block()), 1),
            };
            assert_same(&upstream.last().body, want, &fixture.name);
        }
        assert!(seen[1] > 0, "{seen:?}");
    }
}

const ATTRIBUTED: &str = r#"{"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.330;"},{"type":"text","text":"You are Claude Code, Anthropic's official CLI for Claude."}]}"#;

#[tokio::test]
async fn what_becomes_of_the_attribution_is_told() {
    for (more, told, first) in [
        (&[][..], "attribution_replaced", NEW),
        (&INSERT[..], "inserted", "x-anthropic-billing-header: cc_version=2.1.330;"),
        (&IDENTITY[..], "replaced", "x-anthropic-billing-header: cc_version=2.1.330;"),
    ] {
        let (upstream, gateway) = rewriting(more).await;
        let lines = gateway.stderr_lines();
        let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", ATTRIBUTED)).await;
        let value: serde_json::Value = serde_json::from_slice(&got).expect("JSON");
        assert_eq!(value["system"][0]["text"], first, "{told}");
        assert!(first == NEW || value["system"][1]["text"] == NEW, "{told}");
        let wanted = format!("rewrite={told} ");
        gateway.stderr_line(lines, &wanted, |line| line.contains(&wanted)).await;
    }
}

/// Bodies whose `@` is where the old text's literal stands.
const REPLACED: [(&str, &str); 14] = [
    (r#"{"system":[{"type":"text","text":@}]}"#, r#""old""#),
    (r#"{"system":[{"text":@,"type":"text"},{"type":"text","text":"two"}],"messages":[]}"#, r#""old""#),
    (r#"{ "model" : "m",  "system" : [ { "type":"text" , "text" : @ } ] , "x":1.0e+2 }"#, r#""old""#),
    ("{\r\n\t\"system\": [\r\n\t{\"text\":\t@\r\n}]\n}\n", r#""old""#),
    (r#"{"system":[{"text":@}]}"#, r#""""#),
    (r#"{"system":[{"text":@}]}"#, r#""a \"quoted\" \\ \u0041\ud83d\ude80 \/ \n""#),
    (r#"{"system":[{"text":@}],"n":12345678901234567890123,"f":0.10}"#, r#""}]\"text\":[{""#),
    (r#"{"a":{"system":[{"text":"inner"}]},"system":[{"text":@}]}"#, r#""old""#),
    (r#"{"messages":[{"content":"\"system\":[{\"text\":\"trap\"}]"}],"system":[{"text":@}]}"#, r#""old""#),
    (r#"{"system":[{"text":@,"cache_control":{"type":"ephemeral","text":"x"}}]}"#, r#""old""#),
    (r#"{"system":[{"nested":{"text":"no"},"text":@}]}"#, r#""old""#),
    (r#"{"\u0073ystem":[{"te\u0078t":@}]}"#, r#""old""#),
    (r#"{"system":[{"text":@},"not an object",null,3]}"#, r#""old""#),
    (r#"{"system":[{"text":@}],"网":"关"}"#, r#""系统提示""#),
];

#[tokio::test]
async fn the_text_is_replaced_whatever_stands_around_it() {
    let (upstream, gateway) = rewriting(&[]).await;
    for (template, old) in REPLACED {
        let body = template.replace('@', old);
        let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", body.as_str())).await;
        assert_same(&got, template.replace('@', &new_literal()), &body);
    }
}

#[tokio::test]
async fn a_block_is_put_in_front_unless_the_first_names_claude_code() {
    let (upstream, gateway) = rewriting(&INSERT).await;
    let block = format!("{},", new_block());
    for (template, old) in REPLACED {
        let body = template.replace('@', old);
        let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", body.as_str())).await;
        let text = String::from_utf8(got.clone()).expect("UTF-8");
        assert_same(text.replacen(&block, "", 1).as_bytes(), &body, "all but the block is as it was");
        let value: serde_json::Value = serde_json::from_slice(&got).expect("JSON");
        assert_eq!(value["system"][0]["text"], NEW, "{text}");
        assert_eq!(value["system"][0]["cache_control"]["type"], "ephemeral", "{text}");
    }
    for old in [
        r#""You are Claude Code, Anthropic's official CLI""#,
        r#""CLAUDE CODE""#,
        r#""xclaude codex""#,
        r#""Claude\u0020Code""#,
        r#""\u0043laude Code""#,
    ] {
        let template = r#"{"system":[{"type":"text","text":@},{"type":"text","text":"two"}]}"#;
        let body = template.replace('@', old);
        let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", body.as_str())).await;
        assert_same(&got, template.replace('@', &new_literal()), old);
    }
}

#[tokio::test]
async fn what_has_no_system_text_goes_through_as_it_was() {
    let bodies: [&[u8]; 30] = [
        b"",
        b"not json",
        b"\x00\xff\xfe binary",
        b"null",
        b"3",
        b"\"system\"",
        b"[]",
        br#"[{"system":[{"text":"a"}]}]"#,
        b"{}",
        br#"{"messages":[]}"#,
        br#"{"system":null}"#,
        br#"{"system":"a string"}"#,
        br#"{"system":{"text":"an object"}}"#,
        br#"{"system":3}"#,
        br#"{"system":[]}"#,
        br#"{"system":[ ]}"#,
        br#"{"system":[null,{"text":"second"}]}"#,
        br#"{"system":["a string",{"text":"second"}]}"#,
        br#"{"system":[[{"text":"too deep"}]]}"#,
        br#"{"system":[{}]}"#,
        br#"{"system":[{"type":"text"},{"type":"text","text":"second"}]}"#,
        br#"{"system":[{"text":null}]}"#,
        br#"{"system":[{"text":["a"]}]}"#,
        br#"{"system":[{"text":"a"}]"#,
        br#"{"system":[{"text":"a"}]} trailing"#,
        br#"{"system":[{"text":"a"}],}"#,
        br#"{"system":[{"text":"a}]}"#,
        b"{\"system\":[{\"text\":\"raw\nnewline\"}]}",
        b"{\"system\":[{\"text\":\"bad utf-8 \xff\"}]}",
        br#"{"System":[{"text":"case"}]}"#,
    ];
    for mode in [[].as_slice(), &INSERT] {
        let (upstream, gateway) = rewriting(mode).await;
        for body in bodies {
            let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", body)).await;
            assert_same(&got, body, "left alone");
        }
    }
}

const BODY: &str = r#"{"model":"m","system":[{"type":"text","text":"old"}],"messages":[]}"#;

fn replaced() -> String {
    BODY.replace(r#""old""#, &new_literal())
}

#[tokio::test]
async fn only_posts_to_messages_are_rewritten_with_any_query_and_a_slash_at_the_end() {
    let (upstream, gateway) = rewriting(&[]).await;
    for target in [
        "/v1/messages",
        "/v1/messages/",
        "/v1/messages?beta=true",
        "/v1/messages/?",
        "/v1/messages?a=/x&&b",
        "//v1/messages",
        "/v1//messages?a=//b",
    ] {
        let got = sent_on(&upstream, &gateway, &Request::post(target, BODY)).await;
        assert_same(&got, replaced(), target);
        assert_eq!(upstream.last().target, target);
    }
    for target in [
        "/v1/messages/count_tokens",
        "/v1/messages/count_tokens?beta=true",
        "/v1/messages/batches",
        "/v1/messagesx",
        "/v1/message",
        "/v2/messages",
        "/V1/Messages",
        "/v1/v1/messages",
        "/x/v1/messages",
        "/?/v1/messages",
        "/v1/complete",
        "/",
    ] {
        let got = sent_on(&upstream, &gateway, &Request::post(target, BODY)).await;
        assert_same(&got, BODY, target);
    }
    for method in ["PUT", "PATCH", "GET", "DELETE", "post"] {
        let got = sent_on(&upstream, &gateway, &Request::new(method, "/v1/messages").body(BODY)).await;
        assert_same(&got, BODY, method);
    }
}

#[tokio::test]
async fn a_body_in_a_content_encoding_is_left_alone() {
    let (upstream, gateway) = rewriting(&[]).await;
    let zipped = gzip(BODY.as_bytes());
    let request = Request::post("/v1/messages", zipped.clone()).header("Content-Encoding", "gzip");
    assert_same(&sent_on(&upstream, &gateway, &request).await, &zipped, "gzip");
    // What says it is encoded is not looked into, even if it looks like JSON.
    for encoding in ["gzip", "br", "zstd", "deflate", "x-unknown", "identity, gzip"] {
        let request = Request::post("/v1/messages", BODY).header("content-encoding", encoding);
        assert_same(&sent_on(&upstream, &gateway, &request).await, BODY, encoding);
        assert_eq!(upstream.last().headers.all("content-encoding"), [encoding]);
    }
}

#[tokio::test]
async fn a_base_url_with_a_path_does_not_hide_the_endpoint() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let base = format!("{}/relay", upstream.url());
    let gateway = gateway().upstream(base).env("SYSTEM_PROMPT_REPLACEMENT", NEW).start().await;
    let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", BODY)).await;
    assert_same(&got, replaced(), "prefix");
    assert_eq!(upstream.last().target, "/relay/v1/messages");
}

#[tokio::test]
async fn chunked_and_cut_bodies_are_rewritten_too() {
    let (upstream, gateway) = rewriting(&[]).await;
    let chunks: String = BODY
        .as_bytes()
        .chunks(7)
        .fold(String::new(), |out, part| format!("{out}{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)));
    let head = "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\n";
    let bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    assert_eq!(gateway.exchange(bytes, "POST").await.status(), 200);
    assert_same(&upstream.last().body, replaced(), "chunked");
    assert_eq!(upstream.last().framing, Framing::Length(replaced().len() as u64));

    let bytes = Request::post("/v1/messages", BODY).bytes();
    let mut client = gateway.connect().await;
    let pieces: Vec<&[u8]> = bytes.chunks(11).collect();
    client.send_pieces(&pieces, std::time::Duration::from_millis(1)).await;
    assert_eq!(client.response("POST").await.status(), 200);
    assert_same(&upstream.last().body, replaced(), "in pieces");
}

#[tokio::test]
async fn sizes_around_every_buffer_are_rewritten_exactly() {
    let (upstream, gateway) = rewriting(&[]).await;
    let mut client = gateway.connect().await;
    for size in [1, 1024, 4096, 16_384, 65_000, 65_536, 66_000, 131_072, 1 << 20, 5 << 20] {
        for before in [true, false] {
            let filler = format!(r#""filler":"{}""#, "f".repeat(size));
            let system = r#""system":[{"type":"text","text":@}]"#;
            let template = match before {
                true => format!("{{{filler},{system}}}"),
                false => format!("{{{system},{filler}}}"),
            };
            let body = template.replace('@', r#""old""#);
            assert_eq!(client.request(&Request::post("/v1/messages", body)).await.status(), 200);
            let got = upstream.last();
            assert_same(&got.body, template.replace('@', &new_literal()), &format!("{size} before {before}"));
            assert_eq!(got.framing, Framing::Length(got.body.len() as u64));
        }
    }
}

#[tokio::test]
async fn a_long_text_can_replace_a_short_one_and_a_short_one_a_long_one() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    for (new, old) in [("n".repeat(100_000), "o".to_owned()), ("n".to_owned(), "o".repeat(300_000))] {
        let gateway = gateway().upstream(upstream.url()).env("SYSTEM_PROMPT_REPLACEMENT", &new).start().await;
        let template = r#"{"system":[{"text":"@"}],"messages":[]}"#;
        let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", template.replace('@', &old))).await;
        assert_same(&got, template.replace('@', &new), "length");
    }
}

#[tokio::test]
async fn without_a_replacement_nothing_is_touched() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway()
        .upstream(upstream.url())
        .env("SYSTEM_PROMPT_REPLACEMENT", "")
        .env("SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST", "true")
        .start()
        .await;
    let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", BODY)).await;
    assert_same(&got, BODY, "an empty value counts as unset");
}

#[tokio::test]
async fn the_yaml_file_can_say_it_too() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!("gateway:\n  system_prompt:\n    replacement: {}\n    insert_if_missing: true\n", new_literal());
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    let got = sent_on(&upstream, &gateway, &Request::post("/v1/messages", BODY)).await;
    assert_same(&got, BODY.replace("[{", &format!("[{},{{", new_block())), "insert_if_missing");
}

#[tokio::test]
async fn a_body_that_is_left_alone_is_explained_in_debug_mode() {
    let (upstream, gateway) = rewriting(&[("DEBUG_MODE", "true")]).await;
    let rows =
        [("not json", "json"), (r#"{"system":"s"}"#, "list"), ("{}", "no `system`"), (r#"{"system":[]}"#, "empty")];
    for (body, reason) in rows {
        let before = gateway.stderr_lines();
        sent_on(&upstream, &gateway, &Request::post("/v1/messages", body)).await;
        let what = format!("why {body} was left alone");
        gateway.stderr_line(before, &what, |line| line.to_lowercase().contains(reason)).await;
    }
}
