//! An upstream takes no more requests at one time than it may; the others wait for a bounded time, in a bounded queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Client, Gate, Gateway, GatewayBuilder, Pool, Reply, Request, Response, Step, Upstream, ask, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// An upstream for two requests at one time, each of which ends with an opening of the gate.
async fn narrow(limits: &str) -> (Gate, Upstream, Arc<Gateway>) {
    let gate = Gate::new();
    let waits = gate.clone();
    let upstream = Upstream::start(move |_| Reply::sse().bytes("begun").step(Step::Wait(waits.clone()))).await;
    let pool = Pool::new().add_with("narrow", upstream.url(), "max_in_flight: 2").setting(limits);
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    (gate, upstream, Arc::new(gateway))
}

type Asking = tokio::task::JoinSet<Response>;

fn spawn(asking: &mut Asking, gateway: &Arc<Gateway>, session: usize) {
    let gateway = Arc::clone(gateway);
    asking.spawn(async move { gateway.request(&ask(session)).await });
}

fn assert_turned_away(answer: &Response) {
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(answer.json()["type"], "error");
    let wait = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(wait.is_some_and(|seconds| seconds >= 1), "Retry-After: {:?}", answer.header("retry-after"));
    assert!(answer.text().contains("narrow"), "it names the upstream: {}", answer.text());
}

#[tokio::test]
async fn those_who_wait_get_their_turn_and_never_too_many_are_let_through() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 100, queue_timeout: 20s }").await;
    let mut asking = Asking::new();
    for session in 0..12 {
        spawn(&mut asking, &gateway, session);
    }
    for served in 0..12 {
        let wanted = 12.min(served + 2);
        assert_eq!(upstream.wait_received(wanted).await.len(), wanted, "{served} served, two in flight");
        assert!(upstream.open_connections() <= 2);
        gate.open();
        let answer = asking.join_next().await.expect("one of them").expect("an answer");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "begun"));
    }
}

#[tokio::test]
async fn a_full_queue_turns_away_at_once() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 1, queue_timeout: 20s }").await;
    let mut asking = Asking::new();
    for session in 0..2 {
        spawn(&mut asking, &gateway, session);
    }
    upstream.wait_received(2).await;
    // Two more: one waits, whichever comes first.
    for session in 2..4 {
        spawn(&mut asking, &gateway, session);
    }
    let started = Instant::now();
    let refused = asking.join_next().await.expect("one of them").expect("an answer");
    assert_turned_away(&refused);
    assert!(started.elapsed() < Duration::from_secs(10), "it did not wait");
    for _ in 0..3 {
        gate.open();
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    assert_eq!(upstream.received().len(), 3, "what was turned away never got there");
}

/// A request of the client with this key.
fn of(key: &str) -> Request {
    Request::post("/v1/messages", "{}").header("x-api-key", key)
}

fn spawn_of(asking: &mut Asking, gateway: &Arc<Gateway>, request: Request) {
    let gateway = Arc::clone(gateway);
    asking.spawn(async move { gateway.request(&request).await });
}

async fn wait_waiting(gateway: &Gateway, count: usize) {
    within("so many to wait", async {
        loop {
            let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await;
            if metrics.text().contains(&format!("gateway_upstream_waiting_requests{{upstream=\"narrow\"}} {count}\n")) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn clients_take_turns() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 100, queue_timeout: 20s }").await;
    let mut asking = Asking::new();
    for sent in 1..=22 {
        spawn_of(&mut asking, &gateway, of("sk-busy"));
        upstream.wait_received(sent.min(2)).await;
    }
    wait_waiting(&gateway, 20).await;
    spawn_of(&mut asking, &gateway, of("sk-quiet"));
    wait_waiting(&gateway, 21).await;
    // Without a key it is the address that counts.
    spawn_of(&mut asking, &gateway, Request::post("/v1/messages", "{}"));
    wait_waiting(&gateway, 22).await;
    for served in 0..3 {
        gate.open();
        upstream.wait_received(served + 3).await;
    }
    let keys: Vec<_> =
        upstream.received()[2..].iter().map(|request| request.headers.all("x-api-key").join("")).collect();
    assert_eq!(keys, ["sk-busy", "sk-quiet", ""]);
    for _ in 3..24 {
        gate.open();
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn a_full_queue_turns_away_who_waits_with_most() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 4, queue_timeout: 20s }").await;
    let mut asking = Asking::new();
    for sent in 1..=6 {
        spawn_of(&mut asking, &gateway, of("sk-busy"));
        upstream.wait_received(sent.min(2)).await;
    }
    wait_waiting(&gateway, 4).await;
    assert_turned_away(&gateway.request(&of("sk-busy")).await);
    spawn_of(&mut asking, &gateway, of("sk-quiet"));
    assert_turned_away(&asking.join_next().await.expect("one of them").expect("an answer"));
    for _ in 0..6 {
        gate.open();
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    let keys = upstream.received().iter().filter(|request| request.headers.all("x-api-key") == ["sk-quiet"]).count();
    assert_eq!((keys, upstream.received().len()), (1, 6));
}

#[tokio::test]
async fn nobody_waits_longer_than_queue_timeout() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 10, queue_timeout: 400ms }").await;
    let mut asking = Asking::new();
    for session in 0..2 {
        spawn(&mut asking, &gateway, session);
    }
    upstream.wait_received(2).await;
    let started = Instant::now();
    assert_turned_away(&gateway.request(&ask("late")).await);
    let waited = started.elapsed();
    assert!((Duration::from_millis(350)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    for _ in 0..2 {
        gate.open();
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    gate.open();
    assert_eq!(gateway.request(&ask("now")).await.status(), 200, "there is room again");
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let (gate, upstream, gateway) = narrow("limits: { queue: 1, queue_timeout: 20s }").await;
    let mut clients = Vec::new();
    for session in 0..2 {
        let mut client = gateway.connect().await;
        client.send(ask(session).bytes()).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.head("POST").await.status, 200);
    }
    // Both in flight leave: two others find room.
    drop(clients);
    upstream.wait_open_connections(0).await;
    let mut asking = Asking::new();
    for session in 2..4 {
        spawn(&mut asking, &gateway, session);
    }
    upstream.wait_received(4).await;
    for _ in 0..3 {
        gate.open();
    }
    while let Some(answer) = asking.join_next().await {
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    assert_eq!(gateway.request(&ask("last")).await.status(), 200);
}

#[tokio::test]
async fn an_error_that_is_passed_on_keeps_its_place_to_its_end() {
    let gate = Gate::new();
    let waits = gate.clone();
    // More than is read of an error before it is passed on.
    let body = format!("begun{}", " ".repeat(80 * 1024));
    let failing = move |_: &_| Reply::status(503).chunked().bytes(body.clone()).step(Step::Wait(waits.clone()));
    let upstream = Upstream::start(failing).await;
    let pool = Pool::new().add_with("narrow", upstream.url(), "max_in_flight: 1");
    let pool = pool.setting("limits: { queue: 100, queue_timeout: 200ms }");
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let mut first = gateway.connect().await;
    first.send(ask(1).bytes()).await;
    first.head("POST").await;
    first.piece_until("begun").await;
    assert_turned_away(&gateway.request(&ask(2)).await);
    assert_eq!(upstream.received().len(), 1, "the second did not get there");
    gate.open();
}
