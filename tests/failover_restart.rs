//! Under load, an upstream that dies and comes back again and again costs nobody anything but the streams that it had
//! begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Gateway, Pool, Port, Received, Reply, Request, Step, Upstream, within};

const CLIENTS: usize = 16;
const RESTARTS: usize = 10;
const EVENTS: usize = 5;

fn reply(request: &Received) -> Reply {
    if request.headers.get("accept").as_deref() != Some("text/event-stream") {
        return Reply::json(json(request.body.len()));
    }
    (0..EVENTS).fold(Reply::sse(), |reply, n| {
        reply.bytes(format!("data: {n}\n\n")).step(Step::Sleep(Duration::from_millis(5)))
    })
}

fn json(body_bytes: usize) -> String {
    format!("{{\"got\":{body_bytes}}}")
}

async fn upstream(port: &Port) -> Upstream {
    Upstream::builder().start_on(port.number(), reply).await.expect("a reserved port")
}

#[derive(Default)]
struct Tally {
    whole: AtomicUsize,
    cut: AtomicUsize,
    stop: AtomicBool,
}

/// One client: asks again and again, each time in a session of its own, half of the time for a stream.
async fn client(number: usize, gateway: Arc<Gateway>, tally: Arc<Tally>) {
    let body = vec![b'x'; 3_000];
    let mut client = gateway.connect().await;
    for n in 0.. {
        if tally.stop.load(Ordering::SeqCst) {
            return;
        }
        let is_stream = (n + number).is_multiple_of(2);
        let request = Request::post("/v1/messages", body.clone())
            .header("Accept", if is_stream { "text/event-stream" } else { "application/json" })
            .header("X-Claude-Code-Session-Id", format!("{number}-{n}"));
        client.send(request.bytes()).await;
        let what = format!("client {number}, request {n}, stream {is_stream}");
        let head = client.try_head("POST").await.unwrap_or_else(|error| panic!("{what}: no head: {error}"));
        let mut got = Vec::new();
        let outcome = loop {
            match client.try_piece().await {
                Ok(Some(piece)) => got.extend(piece),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let text = String::from_utf8_lossy(&got).into_owned();
        let served_by = head.headers.get("x-gateway-upstream");
        assert_eq!(head.status, 200, "{what}: {served_by:?}: {text}");
        match outcome {
            Ok(()) => {
                let events: String = (0..EVENTS).map(|n| format!("data: {n}\n\n")).collect();
                assert_eq!(text, if is_stream { events } else { json(body.len()) }, "{what}");
                tally.whole.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                let may_be_cut = is_stream && !got.is_empty() && served_by.as_deref() == Some("mortal");
                assert!(may_be_cut, "{what}: {served_by:?}: {error} after {text:?}");
                tally.cut.fetch_add(1, Ordering::SeqCst);
                client = gateway.connect().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_restarts_under_load_cost_only_the_streams_that_had_begun() {
    let ports = [Port::free(), Port::free()];
    let (mortal, steady) = (upstream(&ports[0]).await, upstream(&ports[1]).await);
    let pool = Pool::new()
        .add_with("mortal", mortal.url(), "priority: 0")
        .add_with("steady", steady.url(), "priority: 0")
        .generous()
        .setting("health: { failures: 5, open: 100ms, open_max: 200ms }");
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).yaml(&pool.yaml()).start().await;
    let (gateway, tally) = (Arc::new(gateway), Arc::new(Tally::default()));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(number, Arc::clone(&gateway), Arc::clone(&tally)));
    }
    let started = Instant::now();
    // A client that fails ends the waiting below.
    let restarting = async {
        for restart in 0..RESTARTS {
            let served = mortal.received().len();
            mortal.wait_received(served + 20).await;
            mortal.stop().await;
            let done = tally.whole.load(Ordering::SeqCst);
            within(&format!("requests served while it is down, time {restart}"), async {
                while tally.whole.load(Ordering::SeqCst) < done + 30 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
            .await;
            mortal.restart().await;
        }
    };
    tokio::select! {
        () = restarting => {}
        Some(ended) = clients.join_next() => panic!("a client ended early: {:?}", ended.err()),
    }
    tally.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client without complaints");
    }
    let (whole, cut) = (tally.whole.load(Ordering::SeqCst), tally.cut.load(Ordering::SeqCst));
    assert!(whole > RESTARTS * 50, "{whole} whole answers");
    assert!(cut <= RESTARTS * CLIENTS, "{cut} streams cut");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
