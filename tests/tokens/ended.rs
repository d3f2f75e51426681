//! A token that ends while a request with it is on its way.

use super::{RELAY_KEY, command, gateway, has_reason, issue, post, refused, said, yaml};
use harness::{Client, Gate, Gateway, Reply, Request, Response, Step, Upstream, within};
use std::sync::Arc;
use std::time::Duration;

fn ask(gateway: &Arc<Gateway>, token: &str) -> tokio::task::JoinHandle<Response> {
    let (gateway, request) = (Arc::clone(gateway), post(token));
    tokio::spawn(async move { gateway.request(&request).await })
}

async fn waits(gateway: &Gateway) {
    within("one to wait", async {
        loop {
            let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await;
            if metrics.text().contains("gateway_upstream_waiting_requests{upstream=\"relay\"} 1\n") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ends_while_its_request_waits_for_its_turn_is_refused() {
    let gate = Gate::new();
    let passes = gate.clone();
    let upstream = Upstream::start(move |_| Reply::sse().bytes("begun").step(Step::Wait(passes.clone()))).await;
    let yaml = yaml(&upstream, "  limits: {queue: 9, queue_timeout: 60s}\n")
        .replace(RELAY_KEY, &format!("{RELAY_KEY}, max_in_flight: 1"));
    let gateway = Arc::new(gateway().yaml(&yaml).start().await);
    let (_, busy) = issue(&gateway, "").await;
    let (revoked_id, revoked) = issue(&gateway, "--name revoked").await;
    let (brief_id, brief) = issue(&gateway, "--name brief").await;
    for (token, end, reason) in [
        (&revoked, format!("token revoke {revoked_id}"), "token_revoked"),
        (&brief, format!("token rotate {brief_id} --overlap 0s"), "token_expired"),
    ] {
        let received = upstream.received().len();
        let first = ask(&gateway, &busy);
        upstream.wait_received(received + 1).await;
        let second = ask(&gateway, token);
        waits(&gateway).await;
        said(command(&gateway, &end).await);
        let from = gateway.stderr_lines();
        gate.open();
        assert_eq!(first.await.expect("an answer").status(), 200);
        let answer = second.await.expect("an answer");
        assert_eq!(refused(&answer), (401, "authentication_error".to_owned()), "{}", answer.text());
        has_reason(&gateway, from, reason).await;
        assert_eq!(upstream.received().len(), received + 1);
    }
    // The place is free again.
    let last = ask(&gateway, &busy);
    gate.open();
    assert_eq!(last.await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_token_that_ends_before_the_next_upstream_is_tried_is_refused() {
    let gate = Gate::new();
    let passes = gate.clone();
    let bad = Upstream::start(move |_| Reply::raw(vec![Step::Wait(passes.clone()), Step::Close])).await;
    let good = super::relay().await;
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: bad, base_url: \"{}\", api_key: sk-a}}\n    \
         - {{name: good, base_url: \"{}\", api_key: sk-b, priority: 1}}\n",
        bad.url(),
        good.url()
    );
    let gateway = Arc::new(gateway().yaml(&yaml).start().await);
    let (id, token) = issue(&gateway, "").await;
    let asked = ask(&gateway, &token);
    bad.wait_received(1).await;
    said(command(&gateway, &format!("token revoke {id}")).await);
    let from = gateway.stderr_lines();
    gate.open();
    let answer = asked.await.expect("an answer");
    assert_eq!(refused(&answer), (401, "authentication_error".to_owned()), "{}", answer.text());
    has_reason(&gateway, from, "token_revoked").await;
    assert_eq!(good.received().len(), 0);
}

#[tokio::test]
async fn an_open_websocket_ends_with_its_token() {
    let upstream = Upstream::start(|_| Reply::upgrade_echo("websocket")).await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (id, token) = issue(&gateway, "").await;
    let (_, other) = issue(&gateway, "--name other").await;
    let open = async |token: &str| {
        let request = Request::get("/v1/realtime").header("connection", "upgrade").header("upgrade", "websocket");
        let mut client = gateway.connect().await;
        client.send(request.header("x-api-key", token).bytes()).await;
        assert_eq!(client.head("GET").await.status, 101);
        client.send("hello").await;
        assert_eq!(client.raw(5).await, b"hello");
        client
    };
    let (mut ended, mut goes_on) = (open(&token).await, open(&other).await);
    let from = gateway.stderr_lines();
    said(command(&gateway, &format!("token revoke {id}")).await);
    let closed = tokio::time::timeout(Duration::from_secs(8), ended.closed()).await;
    assert_eq!(closed.expect("it is closed"), b"");
    has_reason(&gateway, from, "token_revoked").await;
    goes_on.send("still").await;
    assert_eq!(goes_on.raw(5).await, b"still");
}
