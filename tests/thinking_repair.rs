//! Thinking that comes back where it does not fit: the API is asked to drop it, and a request that is refused for it is sent
//! once more without it, before the client hears anything.

use harness::{
    Client, Gateway, GatewayBuilder, Pool, Received, Reply, Request, Response, Upstream, gzip, metrics, within,
};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FLAG: &str = "thinking-binding-controls-2026-08-01";
const MODEL: &str = "claude-opus-5-5-20260921";

fn is_thinking(block: &Value) -> bool {
    matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"))
}

/// What a block is bound to: the account, `system`, `tools`, and the messages before it without their thinking.
fn binding(account: &str, body: &Value, before: usize) -> String {
    let mut messages = body["messages"].as_array().expect("messages")[..before].to_vec();
    for message in &mut messages {
        if let Some(blocks) = message["content"].as_array_mut() {
            blocks.retain(|block| !is_thinking(block));
        }
    }
    let mut hash = DefaultHasher::new();
    (account, body["system"].to_string(), body["tools"].to_string(), json!(messages).to_string()).hash(&mut hash);
    format!("{:016x}", hash.finish())
}

/// The first block that does not fit, as the API finds it; blocks that stay must be an unbroken run.
fn mismatch(account: &str, body: &Value) -> Option<(usize, usize)> {
    let mut former: Option<String> = None;
    for (at, message) in body["messages"].as_array().expect("messages").iter().enumerate() {
        for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
            if !is_thinking(block) {
                continue;
            }
            let signature = block["signature"].as_str().or(block["data"].as_str()).unwrap_or_default();
            let (own, before) = signature.split_once('<').unwrap_or((signature, ""));
            if own != binding(account, body, at) || former.is_some_and(|former| former != before) {
                return Some((at, index));
            }
            former = Some(own.to_owned());
        }
    }
    None
}

fn last_signature(body: &Value) -> String {
    let blocks = body["messages"].as_array().into_iter().flatten().filter_map(|message| message["content"].as_array());
    let mut signatures =
        blocks.flatten().filter(|block| is_thinking(block)).filter_map(|block| block["signature"].as_str());
    signatures.next_back().map_or_else(String::new, |last| last.split('<').next().unwrap_or_default().to_owned())
}

fn refusal((message, block): (usize, usize)) -> String {
    let text = format!(
        "messages.{message}.content.{block}: Invalid `signature` in `thinking` block. The block is bound to a different \
         conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". Content \
         before this block differs from when it was created, first at `messages.0.content.0`."
    );
    json!({ "type": "error", "error": { "type": "invalid_request_error", "message": text }, "request_id": "req_1" })
        .to_string()
}

fn bad(body: impl Into<Vec<u8>>) -> Reply {
    Reply::status(400).header("Content-Type", "application/json").body(body)
}

/// The Messages API with the binding of thinking, for this account.
fn api(account: &'static str) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    move |request| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let behavior = &body["thinking"]["block_binding"]["prefix_mismatch_behavior"];
        let flags = request.headers.all("anthropic-beta");
        let has_flag = flags.iter().any(|flag| flag.split(',').any(|flag| flag.trim() == FLAG));
        if !behavior.is_null() && !has_flag {
            return bad(r#"{"error":{"message":"block_binding: Extra inputs are not permitted"}}"#);
        }
        let is_empty = |message: &Value| message["content"].as_array().is_some_and(Vec::is_empty);
        if body["messages"].as_array().expect("messages").iter().any(is_empty) {
            return bad(r#"{"error":{"message":"all messages must have non-empty content"}}"#);
        }
        let mut dropped = json!([]);
        match mismatch(account, &body) {
            Some((message, block)) if behavior == "drop_block" => {
                let path = format!("messages.{message}.content.{block}");
                dropped = json!([{ "type": "thinking_dropped", "path": path, "reason": "prefix_binding_mismatch" }]);
            }
            Some(place) => return bad(refusal(place)),
            None => {}
        }
        let messages = body["messages"].as_array().expect("messages").len();
        let signature = format!("{}<{}", binding(account, &body, messages), last_signature(&body));
        answer(&body, &signature, &dropped)
    }
}

fn answer(body: &Value, signature: &str, dropped: &Value) -> Reply {
    let content = json!([
        { "type": "thinking", "thinking": "so", "signature": signature },
        { "type": "text", "text": "yes" },
    ]);
    let message = |content: Value| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content,
            "stop_reason": "end_turn", "usage": { "input_tokens": 9, "output_tokens": 2 }, "input_transformations": dropped,
        })
    };
    if body["stream"] != true {
        return Reply::json(message(content).to_string());
    }
    let event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        format!("event: {kind}\ndata: {data}\n\n")
    };
    Reply::sse()
        .bytes(event("message_start", json!({ "message": message(json!([])) })))
        .bytes(event("content_block_start", json!({ "index": 0, "content_block": content[0] })))
        .bytes(event("content_block_stop", json!({ "index": 0 })))
        .bytes(event("content_block_start", json!({ "index": 1, "content_block": content[1] })))
        .bytes(event("content_block_stop", json!({ "index": 1 })))
        .bytes(event(
            "message_delta",
            json!({ "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 2 } }),
        ))
        .bytes(event("message_stop", json!({})))
}

/// The content of an answer, of a stream or not.
fn content_of(text: &str) -> Value {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let blocks: Vec<Value> = events
        .map(|data| serde_json::from_str::<Value>(data).expect("JSON")["content_block"].take())
        .filter(|block| !block.is_null())
        .collect();
    match blocks.is_empty() {
        true => serde_json::from_str::<Value>(text).expect("JSON")["content"].take(),
        false => blocks.into(),
    }
}

/// A conversation as a client keeps it.
struct Talk {
    session: String,
    system: &'static str,
    is_stream: bool,
    messages: Vec<Value>,
}

impl Talk {
    fn new(session: &str, is_stream: bool) -> Self {
        Self { session: session.to_owned(), system: "be brief", is_stream, messages: Vec::new() }
    }

    fn body(&self) -> String {
        json!({
            "model": MODEL, "max_tokens": 9, "messages": self.messages, "system": [{ "type": "text", "text": self.system }],
            "tools": [], "thinking": { "type": "adaptive" }, "stream": self.is_stream,
        })
        .to_string()
    }

    fn ask(&mut self) -> Request {
        self.messages.push(json!({ "role": "user", "content": format!("question {}", self.messages.len()) }));
        Request::post("/v1/messages?beta=true", self.body())
            .header("Content-Type", "application/json")
            .header("x-api-key", "sk-client")
            .header("anthropic-beta", "claude-code-20250219")
            .header("X-Claude-Code-Session-Id", &self.session)
    }

    fn heard(&mut self, text: &str) {
        self.messages.push(json!({ "role": "assistant", "content": content_of(text) }));
    }

    /// A turn that goes well.
    async fn turn(&mut self, gateway: &Gateway) -> Response {
        let answer = gateway.request(&self.ask()).await;
        assert_eq!(answer.status(), 200, "{}: {}", self.session, answer.text());
        self.heard(&answer.text());
        answer
    }
}

fn gateway() -> GatewayBuilder {
    let builder = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"));
    let database = builder.dir().join("log.db").display().to_string();
    builder.env("GATEWAY_DB", &database)
}

fn received(upstream: &Upstream) -> Vec<Value> {
    upstream.received().iter().map(|got| serde_json::from_slice(&got.body).expect("JSON")).collect()
}

fn thinking_in(body: &Value) -> usize {
    let blocks = body["messages"].as_array().into_iter().flatten().filter_map(|message| message["content"].as_array());
    blocks.flatten().filter(|block| is_thinking(block)).count()
}

/// The rows of a session in the log, newest first, once there are so many.
async fn rows(gateway: &Gateway, session: &str, count: usize) -> Vec<Value> {
    within("rows", async {
        loop {
            let target = format!("/api/admin/requests?session={session}");
            let found = gateway.request(&gateway.as_admin(Request::get(&target))).await.json();
            if let Some(list) = found["requests"].as_array().filter(|list| list.len() == count) {
                return list.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn detail(gateway: &Gateway, row: &Value) -> Value {
    let target = format!("/api/admin/requests/{}", row["id"].as_str().expect("an id"));
    gateway.request(&gateway.as_admin(Request::get(&target))).await.json()
}

/// An upstream that answers until it is told to be overloaded.
async fn mortal(account: &'static str) -> (Upstream, Arc<AtomicBool>) {
    let is_dead = Arc::new(AtomicBool::new(false));
    let (answer, dies) = (api(account), Arc::clone(&is_dead));
    let reply = move |request: &Received| match dies.load(Ordering::SeqCst) {
        true => Reply::status(529).header("Content-Type", "application/json").body(r#"{"error":{"message":"later"}}"#),
        false => answer(request),
    };
    (Upstream::start(reply).await, is_dead)
}

#[tokio::test]
async fn where_a_conversation_moves_the_api_is_asked_to_drop_what_does_not_fit() {
    for is_stream in [false, true] {
        let ((first, is_dead), second) = (mortal("a").await, Upstream::start(api("b")).await);
        let pool = Pool::new().add("first", first.url()).add("second", second.url()).forgetful();
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        let mut talk = Talk::new(&format!("drop-{is_stream}"), is_stream);
        talk.turn(&gateway).await;
        talk.turn(&gateway).await;
        is_dead.store(true, Ordering::SeqCst);
        let request = talk.ask();
        let answer = gateway.request(&request).await;
        assert_eq!(answer.outcome(), "200 second 2", "{}", answer.text());
        let got = &second.received()[0];
        let sent: Value = serde_json::from_slice(&got.body).expect("JSON");
        assert_eq!(
            sent["thinking"],
            json!({ "type": "adaptive", "block_binding": { "prefix_mismatch_behavior": "drop_block" } })
        );
        assert_eq!(got.headers.all("anthropic-beta"), [format!("claude-code-20250219,{FLAG}")]);
        // Nothing else is another byte.
        let text = String::from_utf8(got.body.clone()).expect("UTF-8");
        let added = r#","block_binding":{"prefix_mismatch_behavior":"drop_block"}"#;
        assert_eq!(text.replacen(added, "", 1), talk.body());
        let row = &rows(&gateway, &talk.session, 3).await[0];
        assert_eq!((&row["thinking_action"], &row["thinking_dropped"]), (&"asked_to_drop".into(), &1.into()), "{row}");
        let text = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
        let dropped =
            metrics::sum(&text, "gateway_thinking_blocks_dropped_total", &[("reason", "prefix_binding_mismatch")]);
        assert_eq!(dropped, 1.0);
    }
}

#[tokio::test]
async fn nothing_is_asked_of_who_does_not_know_it_or_asks_for_itself() {
    let ((first, is_dead), second) = (mortal("a").await, Upstream::start(api("a")).await);
    is_dead.store(true, Ordering::SeqCst);
    for (more, setting, change) in [
        ("thinking_controls: off", "on_move: drop", ("", "")),
        ("thinking_controls: on", "on_move: keep", ("", "")),
        ("thinking_controls: auto", "on_move: drop", (MODEL, "claude-opus-5")),
        (
            "thinking_controls: on",
            "on_move: drop",
            (r#"{"type":"adaptive"}"#, r#"{"type":"enabled","budget_tokens":1024}"#),
        ),
        (
            "thinking_controls: on",
            "on_move: drop",
            (r#"{"type":"adaptive"}"#, r#"{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"error"}}"#),
        ),
    ] {
        let pool = Pool::new().add("first", first.url()).add_with("second", second.url(), more).forgetful();
        let gateway = gateway().yaml(&pool.setting(&format!("thinking: {{ {setting} }}")).yaml()).start().await;
        let mut talk = Talk::new("own", false);
        let question = json!({ "role": "user", "content": "a question" });
        let body = json!({ "system": [{ "type": "text", "text": talk.system }], "tools": [], "messages": [question] });
        let signature = format!("{}<", binding("a", &body, 1));
        talk.messages.push(question);
        talk.messages.push(json!({ "role": "assistant", "content": [
            { "type": "thinking", "thinking": "so", "signature": signature }, { "type": "text", "text": "yes" },
        ] }));
        let request = talk.ask();
        let body = talk.body().replace(change.0, change.1);
        let request =
            if change.0.is_empty() { request } else { request.body(body.clone()) }.header("anthropic-beta", FLAG);
        let answer = gateway.request(&request).await;
        assert_eq!(answer.outcome(), "200 second 2", "{more} {setting} {change:?}: {}", answer.text());
        let got = second.received().last().cloned().expect("a request");
        let sent = if change.0.is_empty() { talk.body() } else { body };
        assert_eq!(String::from_utf8_lossy(&got.body), sent, "{more} {setting}");
        assert_eq!(got.headers.all("anthropic-beta"), ["claude-code-20250219", FLAG]);
    }
}

#[tokio::test]
async fn a_refusal_after_a_move_is_repaired_before_the_client_hears_anything() {
    for is_stream in [false, true] {
        let ((first, is_dead), second) = (mortal("a").await, Upstream::start(api("b")).await);
        let pool = Pool::new()
            .add("first", first.url())
            .add_with("second", second.url(), "thinking_controls: off")
            .forgetful();
        let gateway = gateway().yaml(&pool.yaml()).start().await;
        let http2 = gateway.connect_h2().await;
        let mut talk = Talk::new(&format!("repair-{is_stream}"), is_stream);
        talk.turn(&gateway).await;
        talk.turn(&gateway).await;
        is_dead.store(true, Ordering::SeqCst);
        let request = talk.ask();
        let answer = gateway.request(&request).await;
        assert_eq!(answer.outcome(), "200 second 3", "{}", answer.text());
        let over_http2 = http::Request::post("http://gateway.test/v1/messages")
            .header("x-api-key", "sk-client")
            .header("x-claude-code-session-id", "over-http2");
        let over_http2 = http2.send(over_http2.body(()).expect("a request"), &[talk.body().as_bytes()]).await;
        assert_eq!((over_http2.status, over_http2.text()), (200, answer.text()));
        let sent = received(&second);
        assert_eq!(sent.iter().map(thinking_in).collect::<Vec<_>>(), [2, 0, 2, 0]);
        let mut without = sent[0].clone();
        for message in without["messages"].as_array_mut().expect("messages") {
            if let Some(blocks) = message["content"].as_array_mut() {
                blocks.retain(|block| !is_thinking(block));
            }
        }
        assert_eq!(sent[1], without, "nothing but the thinking is gone");
        let row = rows(&gateway, &talk.session, 3).await.remove(0);
        assert_eq!((&row["thinking_action"], &row["thinking_dropped"]), (&"repaired".into(), &2.into()), "{row}");
        assert_eq!((&row["outcome"], &row["attempts"]), (&"completed".into(), &3.into()), "{row}");
        let tried = detail(&gateway, &row).await["tried"].take();
        let codes: Vec<_> =
            tried.as_array().expect("a list").iter().map(|tried| (&tried["upstream"], &tried["code"])).collect();
        let wanted = [("first".into(), "status".into()), ("second".into(), "thinking_refused".into())];
        assert_eq!(codes, wanted.each_ref().map(|(upstream, code): &(Value, Value)| (upstream, code)), "{tried}");
        let text = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
        let count = |name, label| metrics::sum(&text, name, &[label]);
        assert_eq!(count("gateway_thinking_repairs_total", ("outcome", "repaired")), 2.0);
        assert_eq!(count("gateway_thinking_blocks_dropped_total", ("reason", "removed")), 4.0);
        let upstreams = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
        let second = &upstreams["upstreams"][1];
        assert_eq!((&second["bad"], &second["good"]), (&0.into(), &2.into()), "no fault of the upstream's: {second}");
    }
}

/// A conversation whose client changed its own past: the gateway has no part in it.
fn of_another_past() -> Talk {
    let mut talk = Talk::new("past", false);
    talk.messages.push(json!({ "role": "user", "content": "a question" }));
    talk.messages
        .push(json!({ "role": "assistant", "content": [{ "type": "thinking", "thinking": "", "signature": "x" }] }));
    talk
}

async fn alone(upstream: &Upstream, repair: &str) -> Gateway {
    let pool = Pool::new().add("only", upstream.url()).setting(&format!("thinking: {{ repair: {repair} }}"));
    gateway().yaml(&pool.forgetful().yaml()).start().await
}

#[tokio::test]
async fn who_changed_nothing_repairs_nothing_unless_it_always_does() {
    for (repair, status) in [("moved", 400), ("off", 400), ("always", 200)] {
        let upstream = Upstream::start(api("a")).await;
        let gateway = alone(&upstream, repair).await;
        let mut talk = of_another_past();
        let answer = gateway.request(&talk.ask()).await;
        assert_eq!(answer.status(), status, "{repair}: {}", answer.text());
        let row = rows(&gateway, "past", 1).await.remove(0);
        let sent = received(&upstream);
        if status == 400 {
            assert_eq!((answer.text(), sent.len()), (refusal((1, 0)), 1), "byte for byte");
            assert_eq!(row["thinking_action"], "refused", "{row}");
        } else {
            // A turn never becomes empty.
            assert_eq!(sent[1]["messages"][1]["content"], json!([{ "type": "text", "text": "(no content)" }]));
            assert_eq!(row["thinking_action"], "repaired", "{row}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_known_in_whatever_it_is_wrapped() {
    let plain = || refusal((1, 0));
    let wrapped = json!({ "error": { "code": 400, "message": plain(), "type": "new_api_error" } }).to_string();
    let coded = |body: String| bad(gzip(body.as_bytes())).header("Content-Encoding", "gzip");
    let pieces = |body: String| body.as_bytes().chunks(7).fold(bad("").chunked(), |reply, piece| reply.bytes(piece));
    let padded = format!(
        "{{\"error\":{{\"message\":\"{}\"}},\"padding\":\"{}\"}}",
        "Invalid signature in thinking block",
        "x".repeat(1 << 20)
    );
    for http2 in [false, true] {
        for (name, reply) in [
            ("plain", bad(plain())),
            ("wrapped", bad(wrapped.clone())),
            ("gzip", coded(plain())),
            (
                "gzip in pieces",
                gzip(plain().as_bytes())
                    .chunks(7)
                    .fold(bad("").chunked().header("Content-Encoding", "gzip"), |reply, piece| reply.bytes(piece)),
            ),
            ("pieces", pieces(plain())),
            ("1 MB", bad(padded.clone())),
        ] {
            let (answer, reply) = (api("a"), Arc::new(reply));
            let handler =
                move |request: &Received| match thinking_in(&serde_json::from_slice(&request.body).expect("JSON")) {
                    0 => answer(request),
                    _ => Reply::clone(&reply),
                };
            let builder = if http2 { Upstream::builder().http2() } else { Upstream::builder() };
            let upstream = builder.start(handler).await;
            let pool = Pool::new().add_with("only", upstream.url(), if http2 { "http: 2" } else { "http: 1" });
            let pool = pool.setting("thinking: { repair: always }").forgetful();
            let gateway = gateway().yaml(&pool.yaml()).start().await;
            let answer = gateway.request(&of_another_past().ask()).await;
            assert_eq!(answer.outcome(), "200 only 2", "{name} {http2}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn other_errors_go_to_the_client_as_they_are() {
    let large = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "no ".repeat(400_000));
    let empty = || Reply::status(400).header("Content-Type", "application/json").chunked();
    for http2 in [false, true] {
        for (name, reply, body) in [
            (
                "another",
                bad(r#"{"error":{"message":"max_tokens: too large"}}"#),
                r#"{"error":{"message":"max_tokens: too large"}}"#,
            ),
            ("1 MB", bad(large.clone()), &*large),
            ("empty", empty(), ""),
            ("length 0", bad(""), ""),
            ("no gzip", bad("not coded").header("Content-Encoding", "gzip"), "not coded"),
            ("unknown coding", bad("x").header("Content-Encoding", "zip"), "x"),
            ("another status", Reply::status(422).body(refusal((1, 0))), &*refusal((1, 0))),
        ] {
            let builder = if http2 { Upstream::builder().http2() } else { Upstream::builder() };
            let reply = Arc::new(reply);
            let upstream = builder.start(move |_| Reply::clone(&reply)).await;
            let pool = Pool::new().add_with("only", upstream.url(), if http2 { "http: 2" } else { "http: 1" });
            let pool = pool.setting("thinking: { repair: always }").forgetful();
            let gateway = gateway().yaml(&pool.yaml()).start().await;
            let answer = gateway.request(&of_another_past().ask()).await;
            let wanted = if name == "another status" { 422 } else { 400 };
            assert_eq!(
                (answer.status(), answer.text().len()),
                (wanted, body.len()),
                "{name} {http2}: {}",
                answer.text()
            );
            assert_eq!(String::from_utf8_lossy(&answer.body), body, "{name} {http2}");
            let over_http2 = gateway.connect_h2().await;
            let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
            let mut talk = of_another_past();
            talk.ask();
            let answer = over_http2.send(request, &[talk.body().as_bytes()]).await;
            assert_eq!((answer.status, &*answer.text()), (wanted, body), "{name} {http2}");
            assert_eq!(upstream.received().len(), 2, "{name} {http2}: each was sent once");
        }
    }
}

#[tokio::test]
async fn a_request_is_repaired_once_and_the_second_refusal_is_the_clients() {
    let upstream = Upstream::start(|_| bad(refusal((7, 3)))).await;
    let gateway = alone(&upstream, "always").await;
    let answer = gateway.request(&of_another_past().ask()).await;
    assert_eq!((answer.outcome(), answer.text()), ("400 only 2".to_owned(), refusal((7, 3))));
    assert_eq!(received(&upstream).iter().map(thinking_in).collect::<Vec<_>>(), [1, 0]);
    let row = rows(&gateway, "past", 1).await.remove(0);
    assert_eq!((&row["thinking_action"], &row["outcome"]), (&"not_repaired".into(), &"upstream_error".into()), "{row}");
    // Who sends no thinking back is not asked twice.
    let mut talk = Talk::new("none", false);
    assert_eq!(gateway.request(&talk.ask()).await.status(), 400);
    assert_eq!(upstream.received().len(), 3);
}

#[tokio::test]
async fn a_token_count_is_repaired_as_a_message_is() {
    let upstream =
        Upstream::start(|request| match thinking_in(&serde_json::from_slice(&request.body).expect("JSON")) {
            0 => Reply::json(r#"{"input_tokens":7}"#),
            _ => bad(refusal((1, 0))),
        })
        .await;
    let gateway = alone(&upstream, "always").await;
    let mut talk = of_another_past();
    talk.ask();
    let answer = gateway.request(&Request::post("/v1/messages/count_tokens", talk.body())).await;
    assert_eq!((answer.outcome(), answer.text()), ("200 only 2".to_owned(), r#"{"input_tokens":7}"#.to_owned()));
}

#[tokio::test]
async fn an_attempt_elsewhere_after_a_repair_goes_without_thinking_too() {
    let ((first, is_dead), third) = (mortal("a").await, Upstream::start(api("c")).await);
    is_dead.store(true, Ordering::SeqCst);
    let second = Upstream::start(|request| match thinking_in(&serde_json::from_slice(&request.body).expect("JSON")) {
        0 => Reply::status(503),
        _ => bad(refusal((1, 0))),
    })
    .await;
    let pool = Pool::new().add("first", first.url()).add_with("second", second.url(), "thinking_controls: off");
    let pool = pool.add("third", third.url()).failover("max_attempts: 5").forgetful();
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let answer = gateway.request(&of_another_past().ask()).await;
    assert_eq!(answer.outcome(), "200 third 4", "{}", answer.text());
    let row = rows(&gateway, "past", 1).await.remove(0);
    let tried = detail(&gateway, &row).await["tried"].take();
    let codes: Vec<_> = tried.as_array().expect("a list").iter().map(|tried| tried["code"].as_str()).collect();
    assert_eq!(codes, [Some("status"), Some("thinking_refused"), Some("status")]);
}

/// A relay that knows nothing of the field: it refuses every request with it, in these words.
fn old_relay(account: &'static str, words: &'static str) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let api = api(account);
    move |request| {
        let has_flag = request.headers.all("anthropic-beta").iter().any(|flags| flags.contains(FLAG));
        match has_flag || String::from_utf8_lossy(&request.body).contains("block_binding") {
            true => bad(json!({ "error": { "message": words } }).to_string()),
            false => api(request),
        }
    }
}

#[tokio::test]
async fn a_relay_that_does_not_know_the_field_gets_the_request_without_it() {
    const UNKNOWN: &str = "thinking.adaptive.block_binding: Extra inputs are not permitted";
    const FLAG_UNKNOWN: &str =
        "Unexpected value(s) `thinking-binding-controls-2026-08-01` for the `anthropic-beta` header";
    // Thinking of the first account comes back to the second once, which is repaired.
    for (controls, words, repair, is_remembered) in
        [("auto", UNKNOWN, "moved", true), ("auto", FLAG_UNKNOWN, "moved", true), ("on", UNKNOWN, "moved", false)]
    {
        let ((first, is_dead), second) = (mortal("a").await, Upstream::start(old_relay("b", words)).await);
        let controls = format!("thinking_controls: {controls}");
        let pool = Pool::new().add("first", first.url()).add_with("second", second.url(), &controls).forgetful();
        let gateway = gateway().yaml(&pool.setting(&format!("thinking: {{ repair: {repair} }}")).yaml()).start().await;
        let (mut one, mut two) = (Talk::new("one", false), Talk::new("two", true));
        one.turn(&gateway).await;
        two.turn(&gateway).await;
        is_dead.store(true, Ordering::SeqCst);
        let asked = || {
            second.received().iter().filter(|got| String::from_utf8_lossy(&got.body).contains("block_binding")).count()
        };
        let answer = gateway.request(&one.ask()).await;
        assert_eq!(answer.outcome(), "200 second 4", "{words}: {}", answer.text());
        assert_eq!((second.received().len(), asked()), (3, 1), "asked, not asked, repaired");
        let got = &second.received()[1];
        assert_eq!(String::from_utf8_lossy(&got.body), one.body(), "byte for byte");
        assert_eq!(got.headers.all("anthropic-beta"), ["claude-code-20250219"]);
        let row = rows(&gateway, "one", 2).await.remove(0);
        let tried = detail(&gateway, &row).await["tried"].take();
        let codes: Vec<_> = tried.as_array().expect("a list").iter().map(|tried| tried["code"].as_str()).collect();
        assert_eq!(codes, [Some("status"), Some("status"), Some("thinking_refused")], "{tried}");
        // Another conversation that moves there.
        let answer = gateway.request(&two.ask()).await;
        let wanted = if is_remembered { "200 second 3" } else { "200 second 4" };
        assert_eq!(
            (answer.outcome().as_str(), asked()),
            (wanted, if is_remembered { 1 } else { 2 }),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_relay_that_does_not_know_the_field_is_asked_without_it_where_nothing_is_repaired() {
    let ((first, is_dead), second) = (mortal("a").await, Upstream::start(old_relay("a", "block_binding: no")).await);
    let pool = Pool::new().add("first", first.url()).add("second", second.url()).forgetful();
    let gateway = gateway().yaml(&pool.setting("thinking: { repair: off }").yaml()).start().await;
    let mut talk = Talk::new("one", false);
    talk.turn(&gateway).await;
    is_dead.store(true, Ordering::SeqCst);
    let answer = gateway.request(&talk.ask()).await;
    assert_eq!(answer.outcome(), "200 second 3", "{}", answer.text());
    talk.heard(&answer.text());
    assert_eq!(gateway.request(&talk.ask()).await.outcome(), "200 second 1");
    let upstreams = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
    let second = &upstreams["upstreams"][1];
    assert_eq!((&second["bad"], &second["good"]), (&0.into(), &2.into()), "no fault of the upstream's: {second}");
}

#[tokio::test]
async fn the_field_of_the_clients_own_stays_its_own_affair() {
    let upstream = Upstream::start(old_relay("a", "block_binding: Extra inputs are not permitted")).await;
    let gateway = alone(&upstream, "always").await;
    let mut talk = of_another_past();
    let request = talk.ask();
    let body = talk.body().replace(
        r#"{"type":"adaptive"}"#,
        r#"{"type":"adaptive","block_binding":{"prefix_mismatch_behavior":"drop_block"}}"#,
    );
    let answer = gateway.request(&request.body(body).header("anthropic-beta", FLAG)).await;
    assert_eq!((answer.status(), upstream.received().len()), (400, 1), "{}", answer.text());
}
