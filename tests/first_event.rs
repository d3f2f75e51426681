//! The first event decides whom the client hears: what comes before it is held back, and an upstream whose success turns
//! out to be none is replaced.

use harness::{
    Client, Gate, Gateway, GatewayBuilder, Pool, Received, Reply, Request, Step, Upstream, anthropic, gzip, within,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const BODY: &str = r#"{"model":"claude-opus-4-8","max_tokens":9,"messages":[],"stream":true}"#;
const PING: &str = ": hello\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
const ERROR: &str =
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"later\"}}\n\n";

/// A request for a stream, of a session of its own, that wants this of the upstreams.
fn ask(case: &str) -> Request {
    Request::post("/v1/messages?beta=true", BODY)
        .header("Content-Type", "application/json")
        .header("X-Claude-Code-Session-Id", case)
}

/// What a request wants.
fn case(request: &Received) -> String {
    request.headers.get("x-claude-code-session-id").unwrap_or_default()
}

fn events() -> Vec<String> {
    anthropic::events("claude-opus-4-8")
}

fn good() -> Reply {
    events().iter().fold(Reply::sse().bytes(PING), |reply, event| reply.bytes(event.as_bytes()))
}

/// In pieces of a few bytes each.
fn in_pieces(reply: Reply, body: &[u8]) -> Reply {
    body.chunks(5).fold(reply, |reply, piece| reply.bytes(piece))
}

/// What the client gets of a response that is none, if there is no other upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    /// The response as it came.
    AsItCame,
    /// An error of the gateway's.
    Error,
}

/// Ways in which a success turns out to be none: name, response, what the log says of it, what the client gets alone.
fn failures() -> Vec<(&'static str, Reply, &'static str, Alone)> {
    use Alone::{AsItCame, Error};
    let json = |body: &str| Reply::json(body.to_owned()).chunked();
    let wait = || Step::Sleep(Duration::from_millis(50));
    vec![
        ("error", Reply::sse().bytes(ERROR), "stream_error", AsItCame),
        ("late-error", Reply::sse().bytes(PING).step(wait()).bytes(ERROR), "stream_error", AsItCame),
        ("error-in-pieces", in_pieces(Reply::sse(), ERROR.as_bytes()), "stream_error", AsItCame),
        ("error-without-name", Reply::sse().bytes("data: {\"error\":\"no\"}\n\n"), "stream_error", AsItCame),
        ("error-without-end", Reply::sse().bytes("data: {\"code\":500,\"msg\":\"no\"}"), "stream_error", AsItCame),
        (
            "coded-error",
            Reply::sse().header("Content-Encoding", "gzip").bytes(gzip(ERROR.as_bytes())),
            "stream_error",
            AsItCame,
        ),
        ("error-as-json", json(ERROR), "stream_error", AsItCame),
        ("reply", json(r#"{"type":"error","error":{"type":"api_error"}}"#), "error_reply", AsItCame),
        ("late-reply", json("\n").step(wait()).bytes(r#"{"success":false}"#), "error_reply", AsItCame),
        ("reply-as-stream", in_pieces(Reply::sse(), br#"{"detail":"no"}"#), "error_reply", AsItCame),
        ("null", json("null"), "no_message", AsItCame),
        ("text", json("upstream connect error"), "no_message", AsItCame),
        ("empty", Reply::sse(), "no_answer", Error),
        ("late-empty", Reply::sse().step(wait()), "no_answer", Error),
        ("empty-until-close", Reply::sse().close_delimited(), "no_answer", Error),
        ("empty-json", Reply::json("").chunked(), "no_answer", Error),
        ("length-0", Reply::sse().length(0), "no_answer", Error),
        ("pings", Reply::sse().bytes(PING).step(wait()).bytes(PING), "no_answer", Error),
        ("done", Reply::sse().bytes("data: [DONE]\n\n"), "no_answer", Error),
        ("page", Reply::sse().bytes("<!doctype html><title>no</title>"), "web_page", Error),
        ("cut", Reply::sse().bytes(PING).step(wait()).step(Step::Close), "truncated", Error),
        ("reset", Reply::sse().step(wait()).step(Step::Reset), "truncated", Error),
        (
            "cut-event",
            Reply::sse().bytes(&events()[0].as_bytes()[..20]).step(wait()).step(Step::Close),
            "truncated",
            Error,
        ),
    ]
}

fn bad(request: &Received) -> Reply {
    let case = case(request);
    let (name, _) = case.split_once('.').unwrap_or((&case, ""));
    let found = failures().into_iter().find(|(known, ..)| *known == name);
    found.map_or_else(|| Reply::status(500), |(_, reply, ..)| reply)
}

async fn with(pool: Pool, folder: &tempfile::TempDir) -> Gateway {
    let database = folder.path().join("log.db").display().to_string();
    gateway().env("GATEWAY_DB", &database).yaml(&pool.yaml()).start().await
}

/// The row of a session in the log, with its details.
async fn row(gateway: &Gateway, session: &str) -> serde_json::Value {
    within("a row", async {
        loop {
            let target = format!("/api/admin/requests?session={session}");
            let found = gateway.request(&gateway.as_admin(Request::get(&target))).await.json();
            if let Some(id) = found["requests"][0]["id"].as_str() {
                let target = format!("/api/admin/requests/{id}");
                return gateway.request(&gateway.as_admin(Request::get(&target))).await.json();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_success_that_is_none_goes_to_the_next_upstream_and_the_client_notices_nothing() {
    let (folder, first) = (tempfile::tempdir().expect("a folder"), Upstream::start(bad).await);
    let second = Upstream::start(|_| good()).await;
    let gateway = with(Pool::new().add("first", first.url()).add("second", second.url()).forgetful(), &folder).await;
    let http2 = gateway.connect_h2().await;
    let whole = format!("{PING}{}", events().concat());
    for (name, ..) in failures() {
        let answer = gateway.request(&ask(name)).await;
        assert_eq!(answer.outcome(), "200 second 2", "{name}: {}", answer.text());
        assert_eq!(answer.text(), whole, "{name}");
        let session = format!("{name}.h2");
        let request =
            http::Request::post("http://gateway.test/v1/messages").header("x-claude-code-session-id", &session);
        let answer = http2.send(request.body(()).expect("a request"), &[BODY.as_bytes()]).await;
        assert_eq!((answer.status, answer.text()), (200, whole.clone()), "{name}");
        assert_eq!(answer.headers["x-gateway-attempts"], "2", "{name}");
    }
    for (name, _, fault, _) in failures() {
        for session in [name, &format!("{name}.h2")] {
            let row = row(&gateway, session).await;
            let tried = (&row["tried"][0]["upstream"], &row["tried"][0]["code"]);
            assert_eq!(tried, (&"first".into(), &fault.into()), "{session}: {row}");
            assert_eq!(
                (&row["outcome"], &row["tokens"]["output"]),
                (&"completed".into(), &9.into()),
                "{session}: {row}"
            );
        }
    }
    assert_eq!((first.received().len(), second.received().len()), (2 * failures().len(), 2 * failures().len()));
    assert!(second.received().iter().all(|got| got.body == BODY.as_bytes()), "the whole request is sent anew");
}

#[tokio::test]
async fn without_another_upstream_an_error_is_passed_on_as_it_came_and_nothing_is_told_honestly() {
    let (folder, only) = (tempfile::tempdir().expect("a folder"), Upstream::start(bad).await);
    let gateway = with(Pool::new().add("only", only.url()).forgetful(), &folder).await;
    let http2 = gateway.connect_h2().await;
    for (name, reply, _, alone) in failures() {
        let answer = gateway.request(&ask(name)).await;
        let session = format!("{name}.h2");
        let request =
            http::Request::post("http://gateway.test/v1/messages").header("x-claude-code-session-id", &session);
        let over_http2 = http2.send(request.body(()).expect("a request"), &[BODY.as_bytes()]).await;
        assert_eq!(answer.status(), over_http2.status, "{name}");
        match alone {
            Alone::AsItCame => {
                assert_eq!(
                    (answer.outcome(), answer.body.len()),
                    ("200 only 1".to_owned(), reply.body_bytes()),
                    "{name}"
                );
                assert_eq!(answer.body, over_http2.body, "{name}");
            }
            Alone::Error => assert_eq!((answer.status(), &answer.json()["type"]), (502, &"error".into()), "{name}"),
        }
    }
    for (name, _, fault, _) in failures() {
        for session in [name, &format!("{name}.h2")] {
            let row = row(&gateway, session).await;
            assert!(!["completed", "unreadable"].contains(&row["outcome"].as_str().expect("an outcome")), "{row}");
            assert_eq!((&row["tried"][0]["code"], &row["tried"][1]), (&fault.into(), &().into()), "{session}: {row}");
        }
    }
    let stats = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
    let (good, bad) = (&stats["upstreams"][0]["good"], &stats["upstreams"][0]["bad"]);
    assert_eq!((good, bad), (&0.into(), &(2 * failures().len()).into()), "each counts once: {stats}");
}

#[tokio::test]
async fn over_http_2_an_upstream_is_replaced_just_so() {
    let first = Upstream::builder().http2().start(bad).await;
    let second = Upstream::builder().http2().start(|_| good()).await;
    let pool = Pool::new().add_with("first", first.url(), "http: 2").add_with("second", second.url(), "http: 2");
    let gateway = gateway().yaml(&pool.forgetful().yaml()).start().await;
    let http2 = gateway.connect_h2().await;
    let whole = format!("{PING}{}", events().concat());
    for (name, ..) in failures() {
        let answer = gateway.request(&ask(name)).await;
        assert_eq!((answer.outcome(), answer.text()), ("200 second 2".to_owned(), whole.clone()), "{name}");
        let session = format!("{name}.h2");
        let request =
            http::Request::post("http://gateway.test/v1/messages").header("x-claude-code-session-id", &session);
        let answer = http2.send(request.body(()).expect("a request"), &[BODY.as_bytes()]).await;
        assert_eq!((answer.status, answer.text()), (200, whole.clone()), "{name}");
    }
}

#[tokio::test]
async fn who_leaves_when_an_upstream_fails_says_nothing_about_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    // A request that is given up may reach them in part.
    let a = Upstream::builder().allow_malformed().start(|_| Reply::sse().bytes(ERROR)).await;
    let b = Upstream::builder().allow_malformed().start(|_| good()).await;
    let gateway = with(Pool::new().generous().add("a", a.url()).add("b", b.url()), &folder).await;
    for number in 0..60 {
        let mut client = gateway.connect().await;
        client.send(ask(&format!("session-{number}")).bytes()).await;
        // Until the upstream has it, more or less.
        tokio::time::sleep(Duration::from_micros(100 * number % 3000)).await;
        drop(client);
    }
    within("all to be over", async {
        let metrics =
            async || Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
        while !metrics().await.contains("\ngateway_in_flight_requests 0\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let request = gateway.as_admin(Request::get("/api/admin/upstreams"));
    let upstreams = Client::connect(gateway.admin_addr()).await.request(&request).await.json();
    let of_b = upstreams["upstreams"].as_array().and_then(|all| all.iter().find(|it| it["name"] == "b")).cloned();
    assert_eq!(of_b.map(|b| b["bad"].clone()), Some(0.into()));
}

#[tokio::test]
async fn no_delay_is_added_once_the_first_event_is_there() {
    let gate = Gate::new();
    let waits = gate.clone();
    let upstream = Upstream::start(move |request| {
        let is_coded = case(request) == "coded";
        let reply = if is_coded { Reply::sse().header("Content-Encoding", "gzip") } else { Reply::sse() };
        let encode = |text: &str| if is_coded { gzip(text.as_bytes()) } else { text.as_bytes().to_vec() };
        let reply = reply.bytes(encode(PING));
        events().iter().fold(reply, |reply, event| reply.step(Step::Wait(waits.clone())).bytes(encode(event)))
    })
    .await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let http2 = gateway.connect_h2().await;
    for (at, name) in ["plain", "coded", "h2"].into_iter().enumerate() {
        if name == "h2" {
            let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
            let opening = http2.open(request, BODY.as_bytes());
            let opened = async {
                upstream.wait_received(at + 1).await;
                gate.open();
            };
            let (mut stream, ()) = tokio::join!(opening, opened);
            // The next one is sent only when this one was read.
            for event in events() {
                assert!(stream.piece_until(&event).await.ends_with(&event));
                gate.open();
            }
            assert!(stream.ended().await);
            continue;
        }
        let mut client = gateway.connect().await;
        client.send(ask(name).bytes()).await;
        upstream.wait_received(at + 1).await;
        gate.open();
        assert_eq!(client.head("POST").await.status, 200);
        let coded = |text: &str| if name == "coded" { gzip(text.as_bytes()) } else { text.as_bytes().to_vec() };
        let mut expected = coded(PING);
        let mut got = Vec::new();
        for event in events() {
            expected.extend(coded(&event));
            while got.len() < expected.len() {
                got.extend(client.piece().await.expect("more"));
            }
            gate.open();
        }
        assert!(got == expected, "{name}: to the byte");
        // The last one let nobody through.
        gate.pass().await;
    }
}

#[tokio::test]
async fn what_was_held_goes_out_unchanged_when_its_time_is_over_and_is_not_taken_back() {
    let gate = Gate::new();
    let waits = gate.clone();
    let first = Upstream::start(move |_| Reply::sse().bytes(PING).step(Step::Wait(waits.clone())).bytes(ERROR)).await;
    let second = Upstream::start(|_| good()).await;
    let pool = Pool::new().add("first", first.url()).add("second", second.url()).forgetful();
    let gateway = gateway().yaml(&pool.failover("hold_first_event: 300ms").yaml()).start().await;
    let mut client = gateway.connect().await;
    client.send(ask("held").bytes()).await;
    // It comes although the upstream says nothing more.
    let head = client.head("POST").await;
    assert_eq!(head.headers.get("x-gateway-upstream").as_deref(), Some("first"));
    assert_eq!(client.piece_until(PING).await, PING);
    gate.open();
    assert_eq!(client.piece_until(ERROR).await, ERROR);
    let http2 = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
    let mut stream = http2.open(request, BODY.as_bytes()).await;
    assert_eq!(stream.piece_until(PING).await, PING);
    gate.open();
    assert_eq!(stream.piece_until(ERROR).await, ERROR);
    assert_eq!(second.received().len(), 0);
}

#[tokio::test]
async fn no_more_than_a_bound_is_held() {
    let comment = format!(": {}\n\n", "x".repeat(9_000));
    let sent = comment.clone();
    let upstream =
        Upstream::start(move |_| (0..10).fold(Reply::sse(), |reply, _| reply.bytes(sent.as_bytes())).step(Step::Stall))
            .await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let mut client = gateway.connect().await;
    client.send(ask("much").bytes()).await;
    client.head("POST").await;
    let all = comment.repeat(10);
    assert_eq!(client.piece_until(&all).await, all);
    let http2 = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
    assert_eq!(http2.open(request, BODY.as_bytes()).await.piece_until(&all).await, all);
}

#[tokio::test]
async fn a_first_event_that_does_not_come_in_time_is_a_failure_of_the_attempt() {
    for (hold, more, outcome) in [
        ("20s", "", "200 second 2"),
        // The client has the head already.
        ("0s", "", "cut"),
        ("50ms", "", "cut"),
        ("20s", "hang", "200 second 2"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Upstream::start(move |_| match more {
            "hang" => Reply::stall(),
            _ => Reply::sse().bytes(PING).step(Step::Stall),
        })
        .await;
        let second = Upstream::start(|_| good()).await;
        let pool = Pool::new()
            .add_with("first", first.url(), "first_event_timeout: 400ms")
            .add("second", second.url())
            .failover(&format!("hold_first_event: {hold}"));
        let gateway = with(pool.forgetful(), &folder).await;
        let mut client = gateway.connect().await;
        let answer = client.try_request(&ask("slow")).await;
        assert_eq!(answer.as_ref().map_or("cut".to_owned(), |answer| answer.outcome()), outcome, "{hold}");
        let row = row(&gateway, "slow").await;
        assert_eq!(row["tried"][0]["code"], "first_event_timeout", "{row}");
        assert_eq!(row["tried"][0]["parameters"]["within_ms"], 400, "{row}");
        if outcome == "cut" {
            assert_eq!((&row["outcome"], &row["reason"]), (&"stalled".into(), &"first_event_timeout".into()), "{row}");
        }
    }
}

#[tokio::test]
async fn what_is_no_stream_and_what_needs_no_event_is_held_as_a_head_is() {
    let first = Upstream::start(|request| match &*request.target {
        "/v1/messages" => Reply::json(r#"{"error":{"type":"x"}}"#).chunked(),
        _ => Reply::json("").chunked(),
    })
    .await;
    let second = Upstream::start(|_| Reply::json(r#"{"type":"message","content":[]}"#)).await;
    let gateway = gateway()
        .yaml(&Pool::new().add("first", first.url()).add("second", second.url()).forgetful().yaml())
        .start()
        .await;
    for target in ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"] {
        let request = Request::post(target, r#"{"model":"m"}"#).header("X-Claude-Code-Session-Id", target);
        assert_eq!(gateway.request(&request).await.outcome(), "200 second 2", "{target}");
    }
    // Whatever is no success is left to `retry_on`.
    let only = Upstream::start(|_| Reply::sse().bytes(ERROR)).await;
    let gateway = self::gateway().upstream(only.url()).start().await;
    assert_eq!(gateway.request(&Request::post("/v1/complete", "{}")).await.text(), ERROR);
}

/// How many requests the next test sends; a thousand take a while in a debug build.
fn requests() -> usize {
    std::env::var("FIRST_EVENT_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_upstreams_one_fails_in_each_way_in_turn_and_no_client_sees_it() {
    let ways: Arc<Vec<Reply>> = Arc::new(failures().into_iter().map(|(_, reply, ..)| reply).collect());
    let failed = Arc::new(AtomicUsize::new(0));
    let mut upstreams = Vec::new();
    for me in 0..3 {
        let (ways, failed) = (Arc::clone(&ways), Arc::clone(&failed));
        let reply = move |request: &Received| {
            let number: usize = case(request).parse().expect("a number");
            if number % 3 != me {
                return good();
            }
            failed.fetch_add(1, Ordering::Relaxed);
            ways[number / 3 % ways.len()].clone()
        };
        upstreams.push(Upstream::start(reply).await);
    }
    let pool = upstreams
        .iter()
        .zip(["a", "b", "c"])
        .fold(Pool::new(), |pool, (upstream, name)| pool.add_with(name, upstream.url(), "priority: 0"));
    let gateway = Arc::new(gateway().yaml(&pool.forgetful().yaml()).start().await);
    let next = Arc::new(AtomicUsize::new(0));
    let whole = Arc::new(format!("{PING}{}", events().concat()));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, next, whole) = (Arc::clone(&gateway), Arc::clone(&next), Arc::clone(&whole));
            tokio::spawn(async move {
                let mut client: Client = gateway.connect().await;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests() {
                        return;
                    }
                    let answer = client.request(&ask(&number.to_string())).await;
                    assert_eq!((answer.status(), answer.text()), (200, whole.to_string()), "request {number}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client that sees no failure");
    }
    assert!(failed.load(Ordering::Relaxed) > requests() / 10, "{} attempts failed", failed.load(Ordering::Relaxed));
}
