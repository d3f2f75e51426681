//! Limits of client tokens, users and groups: they hold on the real program, whatever becomes of requests and processes.

use harness::{
    Client, Gate, Gateway, GatewayBuilder, Output, Reply, Request, Response, Step, Upstream, anthropic, within,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const MODEL: &str = "claude-opus-5-5";

fn gateway() -> GatewayBuilder {
    Gateway::builder(BINARY)
}

fn yaml(upstream: &Upstream) -> String {
    let url = upstream.url();
    format!(
        "grace_period_seconds: 1\ngateway:\n  upstreams:\n    - {{name: relay, base_url: \"{url}\", api_key: sk-relay-012345}}\n"
    )
}

/// What a command that works prints.
#[track_caller]
fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    output.stdout.trim().to_owned()
}

async fn command(gateway: &Gateway, line: &str) -> Output {
    gateway.command(&line.split(' ').collect::<Vec<_>>()).await
}

async fn told(gateway: &Gateway, line: &str) -> Value {
    let text = said(command(gateway, line).await);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The text of a new token of alice, who is made if need be.
async fn issue(gateway: &Gateway, options: &str) -> String {
    let _ = command(gateway, "user create --name alice").await;
    let issued = told(gateway, format!("token create --user alice --json {options}").trim_end()).await;
    issued["token"].as_str().expect("a token").to_owned()
}

fn post(token: &str) -> Request {
    post_for(token, MODEL)
}

fn post_for(token: &str, model: &str) -> Request {
    let body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]});
    Request::post("/v1/messages", body.to_string()).header("authorization", format!("Bearer {token}"))
}

/// A message that used this much.
fn message(input: u64, output: u64) -> Reply {
    anthropic::message_that_used(MODEL, input, output)
}

/// Status, type and message of an error, and what it says of trying again.
#[track_caller]
fn refusal(answer: &Response) -> (u16, String, Option<u64>, Option<String>) {
    let error = answer.json();
    assert_eq!(error["type"], "error", "{error}");
    assert!(error["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{error}");
    let kind = error["error"]["type"].as_str().unwrap_or_default().to_owned();
    let retry_after = answer.header("retry-after").map(|seconds| seconds.parse().expect("whole seconds"));
    (answer.status(), kind, retry_after, answer.header("x-should-retry"))
}

async fn has_reason(gateway: &Gateway, from: usize, reason: &str) {
    let wanted = format!(" reason={reason} ");
    gateway.stderr_line(from, &wanted, |line| line.contains(&wanted)).await;
}

/// What is used of the first limit there is, and held.
async fn used(gateway: &Gateway) -> (f64, f64) {
    let usage = told(gateway, "usage --json").await;
    let number = |name: &str| usage[0][name].as_f64().unwrap_or_else(|| panic!("{name}: {usage}"));
    (number("used"), number("held"))
}

async fn comes_to(gateway: &Gateway, wanted: f64) {
    within(&format!("{wanted} to be used"), async {
        while used(gateway).await != (wanted, 0.0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn one_request_too_many_is_refused_as_clients_understand_it() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit requests:day:3").await;
    for _ in 0..2 {
        assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    }
    // However its path is written.
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": []}).to_string();
    let written = Request::post("/v1/messag%65s", body).header("x-api-key", &token);
    assert_eq!(gateway.request(&written).await.status(), 200);
    let from = gateway.stderr_lines();
    let answer = gateway.request(&post(&token)).await;
    let (status, kind, retry_after, should_retry) = refusal(&answer);
    assert_eq!((status, kind.as_str(), should_retry.as_deref()), (429, "rate_limit_error", Some("false")));
    assert!(retry_after.is_some_and(|seconds| (1..=86_400).contains(&seconds)), "{retry_after:?}");
    let message = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(
        message.contains("the limit of token alice/default (3 requests a day): nothing is left; it begins again at 20")
            && message.contains("00:00 (UTC)"),
        "{message}"
    );
    has_reason(&gateway, from, "limit_used").await;
    let chinese = gateway.request(&post(&token).header("Accept-Language", "zh-CN")).await;
    assert!(
        chinese.text().contains("令牌 alice/default 的限额（每天 3 个请求）余量不足：已全部用完"),
        "{}",
        chinese.text()
    );
    assert_eq!(upstream.received().len(), 3);
    // What costs nothing is none of it.
    let count = Request::post("/v1/messages/count_tokens", json!({"model": MODEL, "messages": []}).to_string());
    assert_eq!(gateway.request(&count.header("x-api-key", &token)).await.status(), 200);
    comes_to(&gateway, 3.0).await;
    // More are allowed at once, and nothing is forgotten.
    said(command(&gateway, "limit add --token alice/default requests:day:4").await);
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    assert_eq!(gateway.request(&post(&token)).await.status(), 429);
    said(command(&gateway, "limit remove --token alice/default requests:day").await);
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    assert_eq!(told(&gateway, "limit list --json").await, json!([]));
}

#[tokio::test]
async fn dollars_are_what_the_request_log_says() {
    // Of claude-opus-5-5: 4 dollars per million tokens of input, 20 of output.
    let upstream = Upstream::start(|_| message(100_000, 5_000)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).env("GATEWAY_DB", "data/log.db").start().await;
    let token = issue(&gateway, "--limit usd:total:1.2").await;
    let mut count = 0;
    let last = loop {
        let answer = gateway.request(&post(&token)).await;
        if answer.status() != 200 {
            break answer;
        }
        count += 1;
        assert!(count < 10);
    };
    // Each costs half a dollar; of the first nothing was known, the second is taken for three quarters.
    assert_eq!(count, 1, "the second might be more than is left");
    let (status, kind, retry_after, should_retry) = refusal(&last);
    assert_eq!((status, kind.as_str()), (402, "billing_error"));
    assert_eq!((retry_after, should_retry.as_deref()), (None, Some("false")));
    let message = last.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(
        message.contains("0.7 dollars left, and it is estimated at 0.75 dollars; it does not begin again"),
        "{message}"
    );
    comes_to(&gateway, 0.5).await;
    said(command(&gateway, "limit add --token alice/default usd:total:1.25").await);
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    comes_to(&gateway, 1.0).await;
    let sum = within("the rows", async {
        loop {
            let list = gateway.as_admin(Request::get("/api/admin/requests?user=alice&status=200"));
            let rows = gateway.request(&list).await.json()["requests"].as_array().cloned().unwrap_or_default();
            if rows.len() == 2 {
                return rows.iter().map(|row| row["cost_usd"].as_f64().expect("a cost")).sum::<f64>();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(sum, 1.0);
}

#[tokio::test]
async fn what_nobody_has_priced_is_refused_to_who_has_a_limit_in_dollars() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit usd:month:50").await;
    let free = issue(&gateway, "--name free --limit requests:day:50").await;
    for (request, told) in [
        (post_for(&token, "no-such-model"), "No price is known for the model \"no-such-model\""),
        (
            post_for(&token, "no-such-model").header("Content-Encoding", "br"),
            "Nobody could tell what this request uses",
        ),
        (
            Request::post("/v1/messages/batches", "{}").header("x-api-key", &token),
            "Nobody could tell what this request uses",
        ),
        (
            Request::post("/v1/chat/completions", r#"{"model":"claude-opus-5-5"}"#).header("x-api-key", &token),
            "Nobody could tell what this request uses",
        ),
        (
            Request::post("/v1/messag%65s", r#"{"model":"claude-opus-5-5"}"#).header("x-api-key", &token),
            "Nobody could tell what this request uses",
        ),
        (
            Request::post("/v1/messages;/v1/messages/count_tokens", r#"{"model":"claude-opus-5-5"}"#)
                .header("x-api-key", &token),
            "Nobody could tell what this request uses",
        ),
        (
            post(&token).header("connection", "upgrade").header("upgrade", "websocket"),
            "Nobody could tell what this request uses",
        ),
        (
            Request::get("/v1/realtime")
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("x-api-key", &token),
            "Nobody could tell what this request uses",
        ),
    ] {
        let from = gateway.stderr_lines();
        let answer = gateway.request(&request).await;
        let (status, kind, _, should_retry) = refusal(&answer);
        assert_eq!((status, kind.as_str(), should_retry.as_deref()), (404, "not_found_error", Some("false")));
        assert!(answer.text().contains("the limit of token alice/default (50 dollars a month)"), "{}", answer.text());
        let message = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(message.starts_with(told), "{message}");
        has_reason(&gateway, from, "limit_unpriced").await;
    }
    assert_eq!(upstream.received().len(), 0);
    assert_eq!(gateway.request(&post_for(&free, "no-such-model")).await.status(), 200);
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    let models = Request::get("/v1/models").header("x-api-key", &token);
    assert_eq!(gateway.request(&models).await.status(), 200);
}

#[tokio::test]
async fn places_are_exact_and_come_back_however_requests_end() {
    const PLACES: usize = 4;
    let turn = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::builder()
        .allow_malformed()
        .start(move |_| {
            let events = anthropic::events(MODEL);
            let pause = Step::Sleep(Duration::from_millis(5));
            match turn.fetch_add(1, Ordering::SeqCst) % 6 {
                0 => anthropic::error(529, "overloaded_error", "busy"),
                1 => Reply::sse().bytes(events[0].clone()).step(pause).step(Step::Reset),
                2 => Reply::sse().bytes(events[..4].concat()).step(pause).step(Step::Close),
                3 => Reply::close(),
                _ => events.iter().fold(Reply::sse().step(pause), |reply, event| reply.bytes(event.clone())),
            }
        })
        .await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, &format!("--limit requests:now:{PLACES}")).await;
    let request = {
        let body = json!({"model": MODEL, "stream": true, "max_tokens": 9, "messages": []}).to_string();
        Request::post("/v1/messages", body).header("authorization", format!("Bearer {token}"))
    };
    let client = async |at: usize| {
        let (mut served, mut refused) = (0, 0);
        for round in 0..12 {
            let mut client = Client::connect(gateway.addr()).await;
            client.send(request.bytes()).await;
            if (at + round).is_multiple_of(4) {
                // It gives up, at once or in the middle.
                tokio::time::sleep(Duration::from_millis(round as u64 % 4)).await;
                client.reset();
                continue;
            }
            match client.try_response("POST").await {
                Ok(answer) if answer.status() == 429 => {
                    assert_eq!(refusal(&answer).2, Some(2));
                    refused += 1;
                }
                _ => served += 1,
            }
        }
        (served, refused)
    };
    let clients = futures::future::join_all((0..16).map(client)).await;
    let (served, refused) = clients.iter().fold((0, 0), |(a, b), (served, refused)| (a + served, b + refused));
    assert!(served > 20 && refused > 0, "{served} served, {refused} refused");
    within("all places to be free", async {
        while used(&gateway).await != (0.0, 0.0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;

    // So many at one time, to the last one.
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        Reply::sse().bytes(anthropic::events(MODEL)[0].clone()).step(Step::Wait(held.clone())).bytes("event: x\n\n")
    })
    .await;
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml(&upstream)).expect("written");
    said(command(&gateway, "reload").await);
    let mut open = Vec::new();
    for _ in 0..PLACES {
        let mut client = Client::connect(gateway.addr()).await;
        client.send(request.bytes()).await;
        assert_eq!(client.head("POST").await.status, 200);
        open.push(client);
    }
    let answer = gateway.request(&request).await;
    let (status, kind, retry_after, should_retry) = refusal(&answer);
    assert_eq!((status, kind.as_str(), retry_after, should_retry), (429, "rate_limit_error", Some(2), None));
    assert!(answer.text().contains("4 requests at one time"), "{}", answer.text());
    open.into_iter().for_each(Client::reset);
    within("the places of those who left", async {
        loop {
            let mut client = Client::connect(gateway.addr()).await;
            client.send(request.bytes()).await;
            if client.head("POST").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn requests_a_minute_are_slowed_down() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit requests:minute:20").await;
    for _ in 0..2 {
        assert_eq!(gateway.request(&post(&token)).await.status(), 200);
    }
    let from = gateway.stderr_lines();
    let answer = gateway.request(&post(&token)).await;
    let (status, kind, retry_after, should_retry) = refusal(&answer);
    assert_eq!((status, kind.as_str(), should_retry), (429, "rate_limit_error", None));
    assert!(retry_after.is_some_and(|seconds| (1..=3).contains(&seconds)), "{retry_after:?}");
    has_reason(&gateway, from, "limit_rate").await;
    tokio::time::sleep(Duration::from_secs(retry_after.unwrap_or_default())).await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
}

/// A number that is the same for the same place, and looks like chance.
fn chance(at: u64) -> u64 {
    let mixed = (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40
}

#[tokio::test]
async fn a_budget_is_kept_and_used_by_many_clients_at_one_time() {
    const CLIENTS: usize = 30;
    const BUDGET: f64 = 5.0;
    // In nano-dollars: 4,000 a token of input, 20,000 of output; up to 0.2 dollars in all.
    let (turn, cost) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let charged = Arc::clone(&cost);
    let upstream = Upstream::start(move |_| {
        let at = turn.fetch_add(1, Ordering::SeqCst);
        let (input, output) = (2_000 + chance(at) % 38_000, 200 + chance(at + 1_000) % 1_800);
        match at % 10 {
            3 => anthropic::error(529, "overloaded_error", "busy"),
            7 => Reply::close(),
            _ => {
                charged.fetch_add(input * 4_000 + output * 20_000, Ordering::SeqCst);
                message(input, output)
            }
        }
    })
    .await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, &format!("--limit usd:day:{BUDGET}")).await;
    let client = async |_| {
        loop {
            let answer = gateway.request(&post(&token)).await;
            match (answer.status(), answer.header("x-should-retry").as_deref()) {
                (429, Some("false")) => return,
                (429, _) => tokio::time::sleep(Duration::from_millis(50)).await,
                (200 | 502 | 529, _) => {}
                (status, _) => panic!("{status}: {}", answer.text()),
            }
        }
    };
    within("the budget to be used", futures::future::join_all((0..CLIENTS).map(client))).await;
    let cost = cost.load(Ordering::SeqCst) as f64 / 1e9;
    comes_to(&gateway, cost).await;
    // No request costs more than 0.06 dollars beyond half as much again as the mean.
    assert!(cost >= BUDGET * 0.95 && cost <= BUDGET + CLIENTS as f64 * 0.06, "{cost}");
}

#[tokio::test]
async fn a_user_and_a_group_have_one_budget_for_all_their_tokens() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    said(command(&gateway, "group create --name dev --time-zone Asia/Shanghai").await);
    said(command(&gateway, "user create --name alice --group dev").await);
    said(command(&gateway, "user create --name bob --group dev").await);
    let (first, second) = (issue(&gateway, "").await, issue(&gateway, "--name second").await);
    let bobs = said(command(&gateway, "token create --user bob").await);
    let added = told(&gateway, "limit add --user alice requests:day:2 tokens:month:1000000 --json").await;
    assert_eq!(added.as_array().map(Vec::len), Some(2), "{added}");
    said(command(&gateway, "limit add --group dev requests:day:3").await);
    for token in [&first, &second] {
        assert_eq!(gateway.request(&post(token)).await.status(), 200);
    }
    let answer = gateway.request(&post(&first)).await;
    assert!(answer.text().contains("the limit of user alice (2 requests a day)"), "{}", answer.text());
    assert_eq!(gateway.request(&post(&bobs)).await.status(), 200);
    let answer = gateway.request(&post(&bobs)).await;
    assert!(answer.text().contains("the limit of group dev (3 requests a day)"), "{}", answer.text());
    assert!(answer.text().contains("00:00 (Asia/Shanghai)"), "{}", answer.text());
    within("what is used", async {
        loop {
            let usage = told(&gateway, "usage --user alice --json").await;
            let of = |limit: &str| {
                usage.as_array().and_then(|rows| rows.iter().find(|row| row["measure"] == limit).cloned())
            };
            let used = |limit: &str| of(limit).map(|row| row["used"].clone());
            if used("requests") == Some(json!(2)) && used("tokens") == Some(json!(30)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let table = said(command(&gateway, "usage").await);
    assert!(table.contains("requests:day:3") && table.contains("group"), "{table}");
    for (line, wanted) in [
        ("limit add --user alice usd:year:5", "minute, 5h, day, week, month, total, now"),
        ("limit add --user nobody usd:day:5", "no user \"nobody\""),
        ("limit add --group ops usd:day:5", "no group \"ops\""),
        ("limit remove --user alice usd:day", "no limit usd:day"),
        ("limit add usd:day:5", "--user"),
        ("token create --user alice --name x --limit usd:day", "as in usd:day:5"),
    ] {
        let output = command(&gateway, line).await;
        assert!(!output.status.success() && output.stderr.contains(wanted), "{line}: {output:?}");
    }
}

/// Sends requests until one is refused for its limit, or so many were served; how many were.
async fn spend(gateway: &Gateway, token: &str, most: usize) -> usize {
    let mut served = 0;
    within("requests to be served or refused", async {
        while served < most {
            let answer = gateway.request(&post(token)).await;
            match (answer.status(), answer.header("x-should-retry")) {
                (200, _) => served += 1,
                (429, Some(_)) => return,
                (429 | 503, None) => tokio::time::sleep(Duration::from_millis(200)).await,
                (status, _) => panic!("{status}: {}", answer.text()),
            }
        }
    })
    .await;
    served
}

#[tokio::test]
async fn an_upgrade_in_the_middle_gives_nothing_twice() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |request| match request.body.windows(6).any(|part| part == b"stream") {
        true => {
            let events = anthropic::events(MODEL);
            let reply = Reply::sse().bytes(events[0].clone()).step(Step::Wait(held.clone()));
            events[1..].iter().fold(reply, |reply, event| reply.bytes(event.clone()))
        }
        false => message(10, 5),
    })
    .await;
    let mut gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit requests:day:20").await;
    assert_eq!(spend(&gateway, &token, 7).await, 7);
    // One goes on while the process that serves it is replaced.
    let body = json!({"model": MODEL, "stream": true, "max_tokens": 9, "messages": []}).to_string();
    let mut long = Client::connect(gateway.addr()).await;
    long.send(Request::post("/v1/messages", body).header("authorization", format!("Bearer {token}")).bytes()).await;
    assert_eq!(long.head("POST").await.status, 200);
    said(command(&gateway, "upgrade").await);
    assert_eq!(spend(&gateway, &token, 12).await, 12, "seven before, and one that goes on");
    let from = gateway.stderr_lines();
    let (status, _, retry_after, should_retry) = refusal(&gateway.request(&post(&token)).await);
    assert_eq!((status, retry_after, should_retry), (429, Some(5), None), "the last one is held elsewhere");
    has_reason(&gateway, from, "limit_held").await;
    gate.open();
    long.piece_until("message_stop").await;
    gateway.wait_processes(1).await;
    comes_to(&gateway, 20.0).await;
    assert_eq!(spend(&gateway, &token, 1).await, 0);
}

/// A gateway with its state in this folder.
fn with_state(upstream: &Upstream, state: &Path) -> GatewayBuilder {
    gateway().yaml(&yaml(upstream)).env("GATEWAY_STATE_DIR", &state.display().to_string())
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_what_is_left_and_no_more() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut first = with_state(&upstream, &state).start().await;
    let token = issue(&first, "--limit requests:day:10").await;
    assert_eq!(spend(&first, &token, 4).await, 4);
    // Within a second the ledger has it.
    comes_to(&first, 4.0).await;
    first.signal(first.pid(), "KILL");
    let _ = first.ended().await;
    let second = with_state(&upstream, &state).start().await;
    let began = std::time::Instant::now();
    assert_eq!(spend(&second, &token, 100).await, 6);
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waits for a lease to end: {:?}", began.elapsed());
    assert_eq!(upstream.received().len(), 10);
}

#[tokio::test]
async fn limits_can_be_set_while_no_gateway_runs() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let run = |line: &str| line.split(' ').fold(with_state(&upstream, &state), GatewayBuilder::arg).run();
    assert_eq!(said(run("usage --json").await), "[]");
    said(run("user create --name alice").await);
    let token = said(run("token create --user alice --limit requests:day:1 --limit usd:5h:0.5").await);
    let list: Value = serde_json::from_str(&said(run("limit list --json").await)).expect("JSON");
    assert_eq!(list[0]["name"], "alice/default", "{list}");
    let usage: Value = serde_json::from_str(&said(run("usage --token alice/default --json").await)).expect("JSON");
    assert_eq!(usage.as_array().map(Vec::len), Some(2), "{usage}");
    let gateway = with_state(&upstream, &state).start().await;
    assert_eq!(spend(&gateway, &token, 5).await, 1);
}

#[tokio::test]
async fn sessions_are_counted_by_what_the_client_names() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit sessions:day:2").await;
    let of = |session: &str| post(&token).header("X-Claude-Code-Session-Id", session);
    for session in ["one", "two", "one"] {
        assert_eq!(gateway.request(&of(session)).await.status(), 200);
    }
    let from = gateway.stderr_lines();
    let answer = gateway.request(&of("three")).await;
    let (status, kind, retry_after, should_retry) = refusal(&answer);
    assert_eq!((status, kind.as_str(), should_retry.as_deref()), (429, "rate_limit_error", Some("false")));
    assert!(retry_after.is_some_and(|seconds| seconds <= 86_400), "{retry_after:?}");
    has_reason(&gateway, from, "limit_sessions").await;
    assert_eq!(gateway.request(&of("two")).await.status(), 200);
    assert_eq!(used(&gateway).await.0, 2.0);
}

#[tokio::test]
async fn a_ledger_that_somebody_deletes_comes_back_with_what_was_spent() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = gateway().yaml(&yaml(&upstream)).start().await;
    let token = issue(&gateway, "--limit requests:day:5").await;
    assert_eq!(spend(&gateway, &token, 3).await, 3);
    comes_to(&gateway, 3.0).await;
    let path = gateway.dir().join("data/ledger.db");
    std::fs::remove_file(&path).expect("removed");
    within("the file to be there again", async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(spend(&gateway, &token, 100).await, 2);
    comes_to(&gateway, 5.0).await;
}
