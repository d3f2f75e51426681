//! Upstreams that fail again and again are left alone for a while, and tried carefully after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::{
    Client, Gate, Gateway, GatewayBuilder, Pool, Port, Reply, Request, Step, Upstream, anthropic, ask, failing, named,
    named_on, within,
};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn with(pool: Pool) -> Gateway {
    gateway().yaml(&pool.yaml()).start().await
}

/// Opens after three failures in a row; many retries are allowed.
fn sensitive(open: &str) -> Pool {
    Pool::new()
        .setting(&format!("health: {{ failures: 3, window: 30s, min_requests: 1000, open: {open}, open_max: 1m }}"))
        .generous()
}

/// An upstream that fails as long as the switch says so.
async fn switched(name: &'static str) -> (Upstream, Arc<AtomicBool>) {
    let is_bad = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_bad);
    let reply = move |_: &_| match switch.load(Ordering::SeqCst) {
        true => failing(500, name),
        false => Reply::json(r#"{"type":"message","content":[]}"#),
    };
    (Upstream::start(reply).await, is_bad)
}

/// Asks, a session of its own each time, until an answer has this outcome.
async fn ask_until(gateway: &Gateway, wanted: &str) {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    within(&format!("an answer \"{wanted}\""), async {
        while gateway.request(&ask(format!("until-{}", SESSIONS.fetch_add(1, Ordering::SeqCst)))).await.outcome()
            != wanted
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn after_some_failures_in_a_row_it_is_not_asked_any_more() {
    let (bad, _) = switched("bad").await;
    let good = named("good").await;
    let gateway = with(sensitive("1m").add("bad", bad.url()).add("good", good.url())).await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 2");
    }
    for session in 3..20 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 1");
    }
    assert_eq!(bad.received().len(), 3);
}

#[tokio::test]
async fn refused_connections_count_as_failures_too() {
    let (port, good) = (Port::free(), named("good").await);
    let gateway = with(sensitive("1m").add("bad", format!("http://{}", port.addr())).add("good", good.url())).await;
    let mut outcomes = Vec::new();
    for session in 0..10 {
        outcomes.push(gateway.request(&ask(session)).await.outcome());
    }
    assert_eq!(outcomes, [["200 good 2"; 3].as_slice(), &["200 good 1"; 7]].concat());
}

#[tokio::test]
async fn a_success_in_between_starts_the_count_again() {
    let count = AtomicUsize::new(0);
    let mixed = Upstream::start(move |_| match count.fetch_add(1, Ordering::SeqCst) % 3 {
        2 => Reply::json(r#"{"type":"message","content":[]}"#),
        _ => failing(500, "mixed"),
    })
    .await;
    let good = named("good").await;
    let gateway = with(sensitive("1m").add("mixed", mixed.url()).add("good", good.url())).await;
    for session in 0..12 {
        let wanted = if session % 3 == 2 { "200 mixed 1" } else { "200 good 2" };
        assert_eq!(gateway.request(&ask(session)).await.outcome(), wanted, "request {session}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_request_is_no_failure_of_the_upstream() {
    let strict = Upstream::start(|_| failing(400, "strict")).await;
    let good = named("good").await;
    let gateway = with(sensitive("1m").add("strict", strict.url()).add("good", good.url())).await;
    for session in 0..10 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "400 strict 1");
    }
}

#[tokio::test]
async fn too_high_a_share_of_failures_opens_it_too() {
    let count = AtomicUsize::new(0);
    let flaky = Upstream::start(move |_| match count.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => Reply::json(r#"{"type":"message","content":[]}"#),
        _ => failing(500, "flaky"),
    })
    .await;
    let good = named("good").await;
    let pool = Pool::new()
        .setting("health: { failures: 1000, error_rate: 50%, window: 30s, min_requests: 10, open: 1m }")
        .generous();
    let gateway = with(pool.add("flaky", flaky.url()).add("good", good.url())).await;
    for session in 0..40 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    let asked = flaky.received().len();
    assert!((10..=12).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn after_the_pause_one_request_tries_and_a_success_brings_it_back() {
    let gate = Gate::new();
    let (waits, is_bad) = (gate.clone(), Arc::new(AtomicBool::new(true)));
    let switch = Arc::clone(&is_bad);
    let bad = Upstream::start(move |_| match switch.load(Ordering::SeqCst) {
        true => failing(500, "bad"),
        // As a slow first byte, so that others come while the trial is under way.
        false => Reply::raw(vec![
            Step::Wait(waits.clone()),
            Step::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()),
        ]),
    })
    .await;
    let good = named("good").await;
    let gateway = Arc::new(with(sensitive("500ms").add("bad", bad.url()).add("good", good.url())).await);
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 2");
    }
    is_bad.store(false, Ordering::SeqCst);
    // The trial does not come back yet, so each request has a task of its own.
    let mut asking = tokio::task::JoinSet::new();
    within("a trial", async {
        while bad.received().len() < 4 {
            let gateway = Arc::clone(&gateway);
            let session = format!("trial-{}", asking.len());
            asking.spawn(async move { gateway.request(&ask(session)).await.outcome() });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for session in 5000..5020 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 1", "one trial at a time");
    }
    assert_eq!(bad.received().len(), 4);
    // The trial, and whatever comes after it.
    for _ in 0..100 {
        gate.open();
    }
    ask_until(&gateway, "200 bad 1").await;
    for session in 6000..6010 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 bad 1", "it is back");
    }
}

#[tokio::test]
async fn a_trial_that_fails_costs_one_attempt_and_the_client_nothing() {
    let (bad, is_bad) = switched("bad").await;
    let good = named("good").await;
    let gateway = with(sensitive("700ms").add("bad", bad.url()).add("good", good.url())).await;
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 2");
    }
    ask_until(&gateway, "200 good 2").await;
    for session in 10..15 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 1", "left alone again at once");
    }
    assert_eq!(bad.received().len(), 4);
    is_bad.store(false, Ordering::SeqCst);
    ask_until(&gateway, "200 bad 1").await;
    assert_eq!(gateway.request(&ask("back")).await.outcome(), "200 bad 1");
}

#[tokio::test]
async fn the_only_upstream_is_never_taken_out() {
    let (bad, is_bad) = switched("bad").await;
    let gateway = with(sensitive("1m").add("bad", bad.url())).await;
    for session in 1..=12 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "500 bad 1");
        assert_eq!(bad.received().len(), session);
    }
    is_bad.store(false, Ordering::SeqCst);
    assert_eq!(gateway.request(&ask("now")).await.outcome(), "200 bad 1");
}

#[tokio::test]
async fn when_all_are_bad_one_of_them_is_asked_all_the_same() {
    let ((a, _), (b, b_is_bad)) = (switched("a").await, switched("b").await);
    let gateway = with(sensitive("1m").add("a", a.url()).add("b", b.url())).await;
    for session in 0..20 {
        let before = a.received().len() + b.received().len();
        let answer = gateway.request(&ask(session)).await;
        assert_eq!(answer.status(), 500);
        assert!(answer.text().contains("500 of "), "an upstream's own answer: {}", answer.text());
        assert!(a.received().len() + b.received().len() > before, "request {session} was tried");
    }
    b_is_bad.store(false, Ordering::SeqCst);
    // The two are as bad as each other, so it may be the other's turn first.
    within("the one that is well again", async {
        let mut session = 100;
        while gateway.request(&ask(session)).await.status() != 200 {
            session += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_probe_finds_out_before_any_request_does() {
    let port = Port::free();
    let (first, second) = (named_on(&port, "first").await, named("second").await);
    let probe = "health: { failures: 2, open: 100ms, probe: { path: /alive, method: GET, interval: 1s, timeout: 500ms, status: 200 } }";
    let gateway = with(Pool::new().setting(probe).add("first", first.url()).add("second", second.url())).await;
    let probed = first.wait_received(2).await;
    assert!(probed.iter().all(|got| (got.method.as_str(), got.target.as_str()) == ("GET", "/alive")));
    assert!(probed.iter().all(|got| !got.headers.has("x-api-key") && !got.headers.has("authorization")));
    first.stop().await;
    ask_until(&gateway, "200 second 1").await;
    first.restart().await;
    ask_until(&gateway, "200 first 1").await;
}

/// Streams that fail after a good head, each in its own way.
fn broken(how: &str) -> Reply {
    let events = anthropic::events("claude-opus-4-8");
    let begun = events[..3].iter().fold(Reply::sse(), |reply, event| reply.bytes(event.as_str()));
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    match how {
        "error" => begun.bytes(error),
        "cut" => begun.step(Step::Close),
        _ => begun,
    }
}

/// The state of an upstream as the admin API tells it.
async fn state_of(gateway: &Gateway, name: &str) -> serde_json::Value {
    let request = gateway.as_admin(Request::get("/api/admin/upstreams"));
    let upstreams = Client::connect(gateway.admin_addr()).await.request(&request).await.json();
    let upstreams = upstreams["upstreams"].as_array().cloned().unwrap_or_default();
    upstreams.into_iter().find(|upstream| upstream["name"] == name).expect("an upstream of this name")
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failure_and_counts_once() {
    // A cut over HTTP/2 would come before the events, and so another upstream would take over.
    for (how, http) in
        [("error", "http: 1"), ("cut", "http: 1"), ("no end", "http: 1"), ("error", "http: 2"), ("no end", "http: 2")]
    {
        let builder = Upstream::builder();
        let builder = if http == "http: 2" { builder.http2() } else { builder };
        let bad = builder.start(move |_| broken(how)).await;
        let good = named("good").await;
        let gateway = with(sensitive("1m").add_with("bad", bad.url(), http).add("good", good.url())).await;
        for failures in 1..=3 {
            let _ = gateway.connect().await.try_request(&ask("one")).await;
            let state = state_of(&gateway, "bad").await;
            assert_eq!((&state["good"], &state["bad"]), (&0.into(), &failures.into()), "{how}, {http}: {state}");
        }
        let outcome = gateway.request(&ask("one")).await.outcome();
        assert_eq!(outcome, "200 good 1", "{how}, {http}: it has learnt of the third");
        assert_eq!(bad.received().len(), 3, "{how}, {http}");
    }
}

#[tokio::test]
async fn a_trial_whose_stream_breaks_is_a_failure_and_pauses_grow() {
    let bad = Upstream::start(|_| broken("cut")).await;
    let good = named("good").await;
    let gateway = with(sensitive("1s").add("bad", bad.url()).add("good", good.url())).await;
    for _ in 0..3 {
        let _ = gateway.connect().await.try_request(&ask("one")).await;
    }
    let (mut lines, mut sessions) = (0, 0);
    for pause in ["the first pause", "a longer one"] {
        let line = gateway.stderr_line(lines, pause, |line| line.contains("\"bad\" is left alone for")).await;
        lines = gateway.stderr_lines();
        let said = line.split("left alone for ").nth(1).and_then(|rest| rest.split(':').next()).expect("a pause");
        let said = humantime::parse_duration(said).expect("a duration");
        let least = if pause == "the first pause" { 800 } else { 1600 };
        assert!(said >= Duration::from_millis(least), "{pause}: {line}");
        within("a trial", async {
            while bad.received().len() < if least == 800 { 4 } else { 5 } {
                sessions += 1;
                let _ = gateway.connect().await.try_request(&ask(format!("another-{sessions}"))).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_long_stream_of_a_trial_keeps_nobody_out_and_its_end_brings_the_upstream_back() {
    let (gate, is_bad) = (Gate::new(), Arc::new(AtomicBool::new(true)));
    let (waits, switch) = (gate.clone(), Arc::clone(&is_bad));
    let events = anthropic::events("claude-opus-4-8");
    let bad = Upstream::start(move |_| match switch.load(Ordering::SeqCst) {
        true => failing(500, "bad"),
        false => {
            let begun = Reply::sse().bytes(events[0].as_str()).step(Step::Wait(waits.clone()));
            events[1..].iter().fold(begun, |reply, event| reply.bytes(event.as_str()))
        }
    })
    .await;
    let good = named("good").await;
    let gateway = Arc::new(with(sensitive("300ms").add("bad", bad.url()).add("good", good.url())).await);
    for session in 0..3 {
        assert_eq!(gateway.request(&ask(session)).await.outcome(), "200 good 2");
    }
    is_bad.store(false, Ordering::SeqCst);
    let mut asking = tokio::task::JoinSet::new();
    within("two trials at the same time, neither of them over", async {
        while bad.received().len() < 5 {
            let gateway = Arc::clone(&gateway);
            let session = format!("trial-{}", asking.len());
            asking.spawn(async move { gateway.request(&ask(session)).await.outcome() });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(state_of(&gateway, "bad").await["circuit"], "half_open", "a head is no success");
    for _ in 0..100 {
        gate.open();
    }
    ask_until(&gateway, "200 bad 1").await;
    assert_eq!(state_of(&gateway, "bad").await["circuit"], "closed");
    asking.shutdown().await;
}

#[tokio::test]
async fn a_client_that_leaves_says_nothing_about_the_upstream() {
    let events = anthropic::events("claude-opus-4-8");
    let slow = Upstream::start(move |_| Reply::sse().bytes(events[0].as_str()).step(Step::Stall)).await;
    let good = named("good").await;
    let gateway = with(sensitive("1m").add("slow", slow.url()).add("good", good.url())).await;
    for left in 1..=5 {
        let mut client = gateway.connect().await;
        client.send(ask("one").bytes()).await;
        assert_eq!(client.head("POST").await.status, 200);
        drop(client);
        slow.wait_received(left).await;
        slow.wait_open_connections(0).await;
    }
    let state = state_of(&gateway, "slow").await;
    assert_eq!((&state["good"], &state["bad"], &state["circuit"]), (&0.into(), &0.into(), &"closed".into()), "{state}");
}
