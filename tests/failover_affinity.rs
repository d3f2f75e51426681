//! Which of several equal upstreams a session goes to, and that it stays there.

use std::collections::HashMap;
use std::time::Duration;

use harness::{Gateway, GatewayBuilder, Pool, Port, Request, ask, named, named_on, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn with(pool: Pool) -> Gateway {
    gateway().yaml(&pool.yaml()).start().await
}

#[tokio::test]
async fn sessions_are_spread_by_weight() {
    let (a, b, c) = (named("a").await, named("b").await, named("c").await);
    let pool = Pool::new()
        .add_with("a", a.url(), "priority: 0, weight: 1")
        .add_with("b", b.url(), "priority: 0, weight: 2")
        .add_with("c", c.url(), "priority: 0, weight: 5");
    let gateway = with(pool).await;
    let mut client = gateway.connect().await;
    for session in 0..800 {
        assert_eq!(client.request(&ask(format!("session-{session}"))).await.status(), 200);
    }
    // The deviation of such counts is below 15; four of them.
    for (upstream, share) in [(&a, 100), (&b, 200), (&c, 500)] {
        let got = upstream.received().len();
        assert!(got.abs_diff(share) < 60, "{got} of 800 where {share} are its share");
    }
}

#[tokio::test]
async fn a_session_stays_where_it_is() {
    let (a, b) = (named("a").await, named("b").await);
    let pool = Pool::new().add_with("a", a.url(), "priority: 0").add_with("b", b.url(), "priority: 0");
    let gateway = with(pool).await;
    let mut homes = HashMap::new();
    for _ in 0..3 {
        for session in 0..20 {
            let outcome = gateway.request(&ask(session)).await.outcome();
            assert_eq!(homes.entry(session).or_insert_with(|| outcome.clone()), &outcome, "session {session}");
        }
    }
    assert!(!a.received().is_empty() && !b.received().is_empty(), "both are used");
}

#[tokio::test]
async fn without_a_session_the_key_decides() {
    let (a, b) = (named("a").await, named("b").await);
    let pool = Pool::new().add_with("a", a.url(), "priority: 0").add_with("b", b.url(), "priority: 0");
    let gateway = with(pool).await;
    let mut homes = HashMap::new();
    for _ in 0..3 {
        for key in 0..20 {
            let (own, bearer) = (format!("sk-{key}"), format!("Bearer sk-{key}"));
            for fields in [
                vec![("x-api-key", &*own)],
                vec![("Authorization", &bearer)],
                // What stands beside a bearer is nobody's key.
                vec![("x-api-key", ""), ("Authorization", &bearer)],
                vec![("x-api-key", "not-used"), ("Authorization", &bearer)],
            ] {
                let request = Request::post("/v1/messages", "{}");
                let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
                let outcome = gateway.request(&request).await.outcome();
                assert_eq!(homes.entry(key).or_insert_with(|| outcome.clone()), &outcome, "key {key} in {fields:?}");
            }
        }
    }
    assert!(!a.received().is_empty() && !b.received().is_empty(), "both are used");
}

#[tokio::test]
async fn a_session_that_had_to_move_stays_moved_and_new_ones_come_home() {
    let ports = [Port::free(), Port::free()];
    let (first, second) = (named_on(&ports[0], "first").await, named_on(&ports[1], "second").await);
    let pool = Pool::new().add("first", first.url()).add("second", second.url()).forgetful();
    let gateway = with(pool.setting("affinity: { sessions: 100, idle: 1h }")).await;
    assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 first 1");
    first.stop().await;
    assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 second 2");
    first.restart().await;
    for _ in 0..5 {
        assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 second 1");
    }
    for session in 0..5 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 first 1", "a new session");
    }
    second.stop().await;
    assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 first 2", "it moves on");
    second.restart().await;
    assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 first 1");
}

/// Waits until the circuits of the upstreams are in these states.
async fn wait_for_circuits(gateway: &Gateway, wanted: [&str; 2]) {
    within("the circuits", async {
        loop {
            let answer = gateway.request(&gateway.as_admin(Request::get("/api/admin/upstreams"))).await.json();
            if [0, 1].map(|at| answer["upstreams"][at]["circuit"].clone()) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_that_moves_on_from_a_closed_upstream_does_not_come_back_either() {
    let ports = [Port::free(), Port::free()];
    let (first, second) = (named_on(&ports[0], "first").await, named_on(&ports[1], "second").await);
    let pool = Pool::new().add("first", first.url()).add("second", second.url()).generous();
    let gateway = with(pool.setting("health: { failures: 1, open: 2s, open_max: 2s }")).await;
    first.stop().await;
    for session in ["moving", "other"] {
        let answer = gateway.request(&ask(session)).await;
        assert!(answer.outcome().starts_with("200 second"), "{}", answer.outcome());
    }
    first.restart().await;
    wait_for_circuits(&gateway, ["half_open", "closed"]).await;
    assert_eq!(gateway.request(&ask("new")).await.outcome(), "200 first 1");
    second.stop().await;
    assert_eq!(gateway.request(&ask("other")).await.outcome(), "200 first 2");
    assert_eq!(gateway.request(&ask("moving")).await.outcome(), "200 first 1", "without a try");
    second.restart().await;
    wait_for_circuits(&gateway, ["closed", "half_open"]).await;
    for session in ["moving", "other"] {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 first 1", "it stays, with its caches");
    }
}
