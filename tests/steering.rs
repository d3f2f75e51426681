//! `failover.balance_by: latency`: new sessions go where first events come soon.

use std::collections::HashMap;

use futures::future::join_all;
use harness::{Client, Gateway, GatewayBuilder, Pool, Reply, Request, Step, Upstream, anthropic, metrics};
use serde_json::Value;
use std::time::Duration;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A relay whose streams begin after this time.
async fn relay(wait: Duration) -> Upstream {
    Upstream::start(move |_| {
        let reply = Reply::sse().step(Step::Sleep(wait));
        anthropic::events("claude-opus-4-8").iter().fold(reply, |reply, event| reply.bytes(event.as_bytes()))
    })
    .await
}

fn ask(session: &str) -> Request {
    Request::post("/v1/messages", r#"{"model":"claude-opus-4-8","max_tokens":9,"messages":[],"stream":true}"#)
        .header("Content-Type", "application/json")
        .header("X-Claude-Code-Session-Id", session)
}

/// Asks once for each of these sessions, at the same time; how each ended, and where.
async fn ask_all(gateway: &Gateway, sessions: &[String]) -> Vec<String> {
    join_all(sessions.iter().map(|session| async move { gateway.request(&ask(session)).await.outcome() })).await
}

/// What the admin API says of an upstream.
async fn steering(gateway: &Gateway, name: &str) -> Value {
    let request = Request::get("/api/admin/upstreams").header("Host", "127.0.0.1");
    let all = gateway.request(&gateway.as_admin(request)).await.json();
    let upstreams = all["upstreams"].as_array().expect("upstreams");
    upstreams.iter().find(|upstream| upstream["name"] == name).expect("it is there")["steering"].clone()
}

#[tokio::test]
async fn a_slow_upstream_gets_fewer_new_sessions_and_keeps_those_that_it_has() {
    let (fast, slow) = (relay(Duration::ZERO).await, relay(Duration::from_millis(700)).await);
    let pool = Pool::new().add_with("fast", fast.url(), "priority: 0").add_with("slow", slow.url(), "priority: 0");
    let gateway = gateway().yaml(&pool.failover("balance_by: latency").yaml()).start().await;
    let sessions: Vec<String> = (0..24).map(|number| format!("session-{number}")).collect();
    let homes = ask_all(&gateway, &sessions).await;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    homes.iter().for_each(|home| *counts.entry(home).or_default() += 1);
    assert!(counts["200 fast 1"] >= 8 && counts["200 slow 1"] >= 8, "{counts:?}");
    // A minute of it, and some more; what is not so by then is ended from outside.
    while steering(&gateway, "slow").await["share"].as_f64().is_none_or(|share| share > 0.5) {
        assert_eq!(ask_all(&gateway, &sessions).await, homes, "sessions stay where they are");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(ask_all(&gateway, &sessions).await, homes, "now as well");
    let new: Vec<String> = (0..200).map(|number| format!("new-{number}")).collect();
    let new = ask_all(&gateway, &new).await;
    let slow_ones = new.iter().filter(|outcome| *outcome == "200 slow 1").count();
    assert!((20..85).contains(&slow_ones), "{slow_ones} of 200, where a third or fewer are its share");

    let (fast, slow) = (steering(&gateway, "fast").await, steering(&gateway, "slow").await);
    assert_eq!((&fast["share"], &fast["failure_share"]), (&Value::from(1.0), &Value::from(0.0)));
    let times = [&fast, &slow].map(|upstream| upstream["relative_time"].as_f64().expect("known"));
    assert!(times[0] < 0.8 && times[1] > 1.25, "{fast} {slow}");
    assert!(slow["first_event_ms"].as_f64().expect("known") >= 700.0, "{slow}");
    let told = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let metric = |name: &str| metrics::sum(&told, name, &[("upstream", "slow")]);
    assert!(metric("gateway_upstream_steered_share") <= 0.5);
    assert!(metric("gateway_upstream_first_event_seconds") >= 0.7);
    assert_eq!(metrics::sum(&told, "gateway_moved_sessions", &[]), 0.0, "none of them has moved");
}

#[tokio::test]
async fn by_weight_nothing_of_this_is_noted() {
    let relay = relay(Duration::ZERO).await;
    let gateway = gateway().yaml(&Pool::new().add("relay", relay.url()).yaml()).start().await;
    assert_eq!(gateway.request(&ask("session")).await.outcome(), "200 relay 1");
    assert_eq!(steering(&gateway, "relay").await, Value::Null);
    let told = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    assert!(!told.contains("gateway_upstream_steered_share"), "{told}");
}
