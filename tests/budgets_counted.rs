//! What counts for limits: whatever uses the relay, what the relay bills of a client that leaves early, and as much as the
//! request log has.

use harness::metrics::sum;
use harness::{Client, Gate, Gateway, GatewayBuilder, Output, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const MODEL: &str = "claude-opus-5-5";
const DATABASE: &str = "data/log.db";

fn gateway(upstream: &Upstream) -> GatewayBuilder {
    let url = upstream.url();
    let relay = format!("{{name: relay, base_url: \"{url}\", api_key: sk-relay-012345}}");
    let yaml = format!("grace_period_seconds: 1\ngateway:\n  upstreams:\n    - {relay}\n");
    Gateway::builder(BINARY).yaml(&yaml).env("GATEWAY_DB", DATABASE)
}

/// What a command that works prints.
#[track_caller]
fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}

async fn command(gateway: &Gateway, line: &str) -> String {
    said(gateway.command(&line.split(' ').collect::<Vec<_>>()).await)
}

/// The text of a new token of a new user, alice.
async fn issue(gateway: &Gateway, options: &str) -> String {
    command(gateway, "user create --name alice").await;
    command(gateway, format!("token create --user alice {options}").trim_end()).await
}

/// A request with a prompt of so many bytes, or so.
fn post(token: &str, path: &str, bytes: usize) -> Request {
    let content = "x".repeat(bytes);
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": content}]});
    Request::post(path, body.to_string()).header("authorization", format!("Bearer {token}"))
}

/// A message that used this much.
fn message(input: u64, output: u64) -> Reply {
    anthropic::message_that_used(MODEL, input, output)
}

/// What is used of the first limit there is, once nothing is held.
async fn used(gateway: &Gateway) -> f64 {
    within("nothing to be held", async {
        loop {
            let usage = command(gateway, "usage --json").await;
            let usage: Value = serde_json::from_str(&usage).expect("JSON");
            let number = |name: &str| usage[0][name].as_f64().unwrap_or_else(|| panic!("{name}: {usage}"));
            if number("held") == 0.0 {
                return number("used");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

async fn comes_to(gateway: &Gateway, wanted: f64) {
    within(&format!("{wanted} to be used"), async {
        while (used(gateway).await - wanted).abs() > 1e-9 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

async fn rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    within("the rows", async {
        loop {
            let list = gateway.as_admin(Request::get("/api/admin/requests?user=alice"));
            let rows = gateway.request(&list).await.json()["requests"].as_array().cloned().unwrap_or_default();
            if rows.len() >= count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

async fn metrics(gateway: &Gateway) -> String {
    Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text()
}

#[tokio::test]
async fn whatever_uses_the_relay_is_a_request() {
    let upstream = Upstream::start(|request| match request.headers.get("upgrade") {
        Some(_) => Reply::upgrade_echo("websocket"),
        None => message(10, 5),
    })
    .await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "--limit requests:day:7").await;
    for path in [
        "/v1/messages",
        "/V1/messages",
        "/v1/messages;/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/messages/x/v1/messages/count_tokens",
        "/v1/chat/completions",
    ] {
        assert_eq!(gateway.request(&post(&token, path, 10)).await.status(), 200, "{path}");
    }
    let mut socket = Client::connect(gateway.addr()).await;
    let upgraded = Request::get("/v1/realtime").header("connection", "upgrade").header("upgrade", "websocket");
    socket.send(upgraded.header("x-api-key", &token).bytes()).await;
    assert_eq!(socket.head("GET").await.status, 101);
    socket.reset();
    comes_to(&gateway, 7.0).await;
    for path in ["/v1/messages", "/V1/messages", "/v1/messages/batches"] {
        let answer = gateway.request(&post(&token, path, 10)).await;
        assert_eq!((answer.status(), answer.header("x-should-retry").as_deref()), (429, Some("false")), "{path}");
    }
    // By these no model is called.
    for path in ["/v1/messages/count_tokens?beta=true", "//v1/messages/count_tokens", "/api/event_logging/batch"] {
        assert_eq!(gateway.request(&post(&token, path, 10)).await.status(), 200, "{path}");
    }
    for path in ["/v1/models", "/v1/messages/batches/batch_1"] {
        assert_eq!(gateway.request(&Request::get(path).header("x-api-key", &token)).await.status(), 200, "{path}");
    }
    comes_to(&gateway, 7.0).await;
}

#[tokio::test]
async fn what_is_a_message_by_its_end_alone_is_refused_to_who_has_a_limit_of_dollars() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "--limit usd:day:7").await;
    assert_eq!(gateway.request(&post(&token, "/v1/messages", 10)).await.status(), 200);
    for path in ["/v1/messages/batches%3F/v1/messages", "/v1/chat/completions%3f/v1/messages"] {
        let answer = gateway.request(&post(&token, path, 10)).await;
        assert!((400..500).contains(&answer.status()), "{path}: {}", answer.status());
    }
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn whatever_uses_the_relay_is_of_a_session() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "--limit sessions:day:1").await;
    let of = |path: &str, session: &str| post(&token, path, 10).header("X-Claude-Code-Session-Id", session);
    assert_eq!(gateway.request(&of("/v1/messages/batches", "one")).await.status(), 200);
    assert_eq!(gateway.request(&of("/v1/messages", "one")).await.status(), 200);
    for path in ["/v1/messages", "/v1/messages/batches", "/v1/./messages"] {
        assert_eq!(gateway.request(&of(path, "two")).await.status(), 429, "{path}");
    }
    assert_eq!(gateway.request(&of("/v1/messages/count_tokens", "two")).await.status(), 200);
}

#[tokio::test]
async fn a_client_that_leaves_before_anything_is_told_pays_for_its_prompt() {
    const PROMPT: usize = 40_000;
    let (turn, gate) = (AtomicUsize::new(0), Gate::new());
    let held = gate.clone();
    // It has the prompt, and says nothing yet, or a head and no more.
    let upstream = Upstream::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => Reply::stall(),
        1 => Reply::sse().bytes(": wait\n\n").step(Step::Wait(held.clone())),
        _ => Reply::sse().bytes("event: ping\ndata: {\"type\":\"ping\"}\n\n").step(Step::Wait(held.clone())),
    })
    .await;
    let gateway = gateway(&upstream).start().await;
    let request = |token: &str| post(token, "/v1/messages", PROMPT);
    let token = issue(&gateway, "--limit usd:total:2.6").await;
    // At 5 dollars per million tokens that are written to the cache.
    let body = request(&token).bytes().windows(4).position(|four| four == b"\r\n\r\n").expect("a body") + 4;
    let prompt = (request(&token).bytes().len() - body) as u64 / 4;
    let each = prompt as f64 * 5_000.0 / 1e9;
    let mut left = 0;
    for _ in 0..100 {
        let mut client = Client::connect(gateway.addr()).await;
        client.send(request(&token).bytes()).await;
        let seen = within("the relay to have it, or a refusal", async {
            tokio::select! {
                received = upstream.wait_received(left + 1) => Some(received.len()),
                head = client.head("POST") => (head.status == 200).then_some(left + 1),
            }
        })
        .await;
        let Some(seen) = seen else { break };
        left = seen;
        client.reset();
        within("it to be settled", async {
            while sum(&metrics(&gateway).await, "gateway_settlements_total", &[("result", "estimated")]) < left as f64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    comes_to(&gateway, each * left as f64).await;
    // Each is taken for its prompt, and a thousand tokens of output.
    let fit = ((2.6 - (each + 0.02)) / each).floor() as usize + 1;
    assert!(fit > 50);
    assert_eq!(left, fit, "{each} dollars each");
    let rows = rows(&gateway, fit + 1).await;
    let paid: Vec<&Value> = rows.iter().filter(|row| row["outcome"] == "client_aborted").collect();
    assert_eq!(paid.len(), fit);
    for row in &paid {
        assert_eq!((&row["estimated"], row["tokens"]["cache_write"].as_u64()), (&json!(true), Some(prompt)), "{row}");
    }
    let logged: f64 = paid.iter().map(|row| row["cost_usd"].as_f64().expect("a cost")).sum();
    assert!((logged - each * fit as f64).abs() < 1e-9, "{logged}");
    gate.open();
}

#[tokio::test]
async fn what_a_relay_did_nothing_for_costs_nothing_and_a_stream_that_breaks_off_its_prompt() {
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let upstream = Upstream::builder()
        .allow_malformed()
        .start(move |request| match request.headers.get("x-way").unwrap_or_default().as_str() {
            "close" => Reply::close(),
            "status" => anthropic::error(529, "overloaded_error", "busy"),
            "error" => Reply::sse().bytes(ERROR),
            "cut" => Reply::sse().bytes(": wait\n\n").step(Step::Close),
            _ => message(1_000, 0),
        })
        .await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "--limit usd:total:5").await;
    let ask = async |way: &str| {
        let request = post(&token, "/v1/messages", 3_800).header("x-way", way);
        let _ = Client::connect(gateway.addr()).await.try_request(&request).await;
    };
    for way in ["whole", "close", "status", "error"] {
        ask(way).await;
    }
    comes_to(&gateway, 0.004).await;
    ask("cut").await;
    // Made of what the first one was told to be made of.
    comes_to(&gateway, 0.008).await;
    let rows = rows(&gateway, 5).await;
    let logged: f64 = rows.iter().filter_map(|row| row["cost_usd"].as_f64()).sum();
    assert!((logged - 0.008).abs() < 1e-9, "{logged}");
}

async fn drift(gateway: &Gateway) -> [f64; 3] {
    let text = metrics(gateway).await;
    let drift = |more_in| sum(&text, "gateway_budget_drift_usd", &[("more_in", more_in)]);
    [drift("ledger"), drift("log"), sum(&text, "gateway_budget_spent_usd", &[])]
}

/// Waits for one of the rounds in which ledger and log are compared to show this.
async fn shows(gateway: &Gateway, wanted: impl Fn([f64; 3]) -> bool) {
    let began = Instant::now();
    loop {
        let shown = drift(gateway).await;
        if wanted(shown) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(75), "{shown:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn the_ledger_and_the_log_have_spent_the_same_until_a_row_is_gone() {
    let turn = AtomicUsize::new(0);
    let upstream = Upstream::builder()
        .allow_malformed()
        .start(move |_| {
            let events = anthropic::events(MODEL);
            match turn.fetch_add(1, Ordering::SeqCst) % 5 {
                0 => Reply::sse().bytes(events[0].clone()).step(Step::Sleep(Duration::from_secs(2))),
                1 => anthropic::error(529, "overloaded_error", "busy"),
                2 => Reply::sse().bytes(events[..4].concat()).step(Step::Close),
                3 => Reply::stall(),
                _ => message(10_000, 500),
            }
        })
        .await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "").await;
    // What came before a limit was set is none of it.
    assert!(Client::connect(gateway.addr()).await.try_request(&post(&token, "/v1/messages", 100)).await.is_ok());
    command(&gateway, "limit add --token alice/default usd:day:50 usd:total:50").await;
    command(&gateway, "limit add --user alice usd:5h:40").await;
    let client = async |at: usize| {
        for round in 0..6 {
            let mut client = Client::connect(gateway.addr()).await;
            client.send(post(&token, "/v1/messages", 4_000).bytes()).await;
            if (at + round).is_multiple_of(3) {
                tokio::time::sleep(Duration::from_millis(100 * round as u64)).await;
                client.reset();
            } else {
                let _ = tokio::time::timeout(Duration::from_secs(1), client.try_response("POST")).await;
            }
        }
    };
    futures::future::join_all((0..10).map(client)).await;
    let spent = used(&gateway).await;
    assert!(spent > 0.1, "{spent}");
    // Three windows, each with all of it.
    shows(&gateway, |[ledger, log, sum]| ledger + log < 1e-9 && (sum - 3.0 * spent).abs() < 1e-6).await;
    let path = gateway.dir().join(DATABASE);
    let mut log = SqliteConnectOptions::new().filename(&path).connect().await.expect("the log");
    let dear = "SELECT seq, cost_nano FROM requests WHERE seq > (SELECT MIN(seq) FROM requests) \
                ORDER BY cost_nano DESC LIMIT 1";
    let (seq, cost): (i64, i64) = sqlx::query_as(dear).fetch_one(&mut log).await.expect("a row");
    sqlx::query("DELETE FROM requests WHERE seq = ?").bind(seq).execute(&mut log).await.expect("deleted");
    log.close().await.expect("closed");
    let missing = 3.0 * cost as f64 / 1e9;
    shows(&gateway, |[ledger, log, _]| (ledger - missing).abs() < 1e-9 && log == 0.0).await;
}

#[tokio::test]
async fn statistics_of_a_user_have_what_was_refused() {
    let upstream = Upstream::start(|_| message(100, 10)).await;
    let gateway = gateway(&upstream).start().await;
    let token = issue(&gateway, "--limit requests:day:2").await;
    for status in [200, 200, 429, 429, 429] {
        assert_eq!(gateway.request(&post(&token, "/v1/messages", 10)).await.status(), status);
    }
    let requests = async |which: &str| {
        let answer = gateway.request(&gateway.as_admin(Request::get(which))).await.json();
        [answer["requests"].as_u64(), answer["outcomes"]["rejected"].as_u64()]
    };
    within("all rows", async { while requests("/api/admin/stats").await != [Some(5), Some(3)] {} }).await;
    assert_eq!(requests("/api/admin/stats?user=alice").await, [Some(5), Some(3)]);
}
