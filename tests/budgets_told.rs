//! What is told of limits: metrics, without anybody's name.

use harness::metrics::sum;
use harness::{Client, Gateway, Output, Reply, Request, Step, Upstream, anthropic, within};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const BINARY: &str = env!("CARGO_BIN_EXE_anyrouter-gateway");
const MODEL: &str = "claude-opus-5-5";

fn yaml(upstream: &Upstream, more: &str) -> String {
    let url = upstream.url();
    format!(
        "grace_period_seconds: 1\ngateway:\n  upstreams:\n    - {{name: relay, base_url: \"{url}\", api_key: sk-relay-012345}}\n{more}"
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

/// The text of a new token of a new user, alice.
async fn issue(gateway: &Gateway, options: &str) -> String {
    said(command(gateway, "user create --name alice").await);
    let issued = said(command(gateway, &format!("token create --user alice --json {options}")).await);
    let issued: Value = serde_json::from_str(&issued).expect("JSON");
    issued["token"].as_str().expect("a token").to_owned()
}

fn post(token: &str) -> Request {
    let body = json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]});
    Request::post("/v1/messages", body.to_string()).header("authorization", format!("Bearer {token}"))
}

/// A message that used this much.
fn message(input: u64, output: u64) -> Reply {
    let usage = json!({"input_tokens": input, "output_tokens": output});
    let content = json!([{"type": "text", "text": "hi"}]);
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content,
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
    Reply::json(body.to_string())
}

async fn metrics(gateway: &Gateway) -> String {
    Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text()
}

#[tokio::test]
async fn admissions_settlements_and_the_ledger_are_counted_and_nobody_is_named() {
    let turn = AtomicUsize::new(0);
    let upstream = Upstream::builder()
        .allow_malformed()
        .start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
            0 => message(100, 50),
            1 => Reply::status(400).body("{}"),
            _ => Reply::sse().bytes(anthropic::events(MODEL)[..4].concat()).step(Step::Close),
        })
        .await;
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, "")).start().await;
    let before = metrics(&gateway).await;
    let of = |text: &str, name: &str, result: &str| sum(text, &format!("gateway_{name}"), &[("result", result)]);
    assert!(before.contains("gateway_admissions_total{result=\"limit_held\"} 0\n"), "{before}");
    assert_eq!(sum(&before, "gateway_ledger_age_seconds", &[]), 0.0);
    let token = issue(&gateway, "--limit requests:day:2 --limit usd:day:5").await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        // One that breaks off has no whole response.
        let mut client = Client::connect(gateway.addr()).await;
        client.send(post(&token).bytes()).await;
        statuses.push(client.try_response("POST").await.map_or(0, |answer| answer.status()));
    }
    assert_eq!((statuses[0], statuses[1], statuses[3]), (200, 400, 429), "{statuses:?}");
    within("all to be counted", async {
        while of(&metrics(&gateway).await, "settlements_total", "estimated") < 1.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let after = metrics(&gateway).await;
    let counted = |name, results: [&str; 3]| results.map(|result| of(&after, name, result));
    assert_eq!(counted("admissions_total", ["admitted", "limit_used", "limit_ledger"]), [3.0, 1.0, 0.0]);
    assert_eq!(counted("settlements_total", ["told", "estimated", "nothing"]), [1.0, 1.0, 1.0]);
    assert!(of(&after, "ledger_ticks_total", "good") >= 1.0 && of(&after, "ledger_ticks_total", "bad") == 0.0);
    assert!(sum(&after, "gateway_ledger_wait_seconds_count", &[]) >= 1.0);
    assert_eq!(sum(&after, "gateway_estimate_ratio_count", &[]), 1.0);
    assert!(sum(&after, "gateway_ledger_age_seconds", &[]) < 20.0);
    // As many series as before, whoever came: what has no name of its own stays as it is.
    let series = |text: &str| text.lines().filter(|line| line.contains("admission") || line.contains("ledger")).count();
    assert_eq!(series(&after), series(&before));
    for name in ["alice", "tok_", &token] {
        assert!(!after.contains(name), "{name}");
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_opened_gets_old_and_is_found_again() {
    let upstream = Upstream::start(|_| message(10, 5)).await;
    let gateway = Gateway::builder(BINARY).yaml(&yaml(&upstream, "")).start().await;
    // A folder in its place.
    let path = gateway.dir().join("data/ledger.db");
    std::fs::create_dir_all(&path).expect("made");
    let token = issue(&gateway, "--limit requests:day:2").await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 503);
    let age = async || sum(&metrics(&gateway).await, "gateway_ledger_age_seconds", &[]);
    within("the ledger to be old", async {
        while age().await < 2.0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    let text = metrics(&gateway).await;
    assert!(sum(&text, "gateway_ledger_ticks_total", &[("result", "bad")]) >= 1.0, "{text}");
    assert!(sum(&text, "gateway_admissions_total", &[("result", "limit_ledger")]) >= 1.0, "{text}");
    std::fs::remove_dir(&path).expect("removed");
    // Nobody has to ask for that.
    within("the ledger to be there again", async {
        while age().await > 1.9 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(gateway.request(&post(&token)).await.status(), 200);
}
