//! Connections are kept, shared and ended as HTTP/1.1 has it.

use std::sync::Arc;
use std::time::Duration;

use harness::{Gateway, GatewayBuilder, Received, Reply, Request, Step, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(handler).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    (upstream, gateway)
}

fn echo(request: &Received) -> Reply {
    Reply::ok(format!("{} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body)))
}

#[tokio::test]
async fn one_connection_each_side_carries_many_requests() {
    let (upstream, gateway) = pair(echo).await;
    let mut client = gateway.connect().await;
    for at in 0..20 {
        let answer = match at % 3 {
            0 => client.request(&Request::get(&format!("/{at}"))).await,
            1 => client.request(&Request::post(&format!("/{at}"), "x".repeat(at * 10_000))).await,
            _ => client.request(&Request::new("HEAD", &format!("/{at}"))).await,
        };
        assert_eq!(answer.status(), 200);
    }
    // Now and then Pingora does not keep a connection whose answer came before the write of its request was seen
    // to be over: a mock answers that fast, a real upstream does not.
    assert_eq!(upstream.received().len(), 20);
    assert!(upstream.connections() < 10, "{} connections for 20 requests", upstream.connections());
}

#[tokio::test]
async fn an_idle_upstream_connection_serves_the_next_client() {
    let (upstream, gateway) = pair(echo).await;
    // A client can have its whole answer a moment before the connection behind it is free again.
    within("an upstream connection to be used twice", async {
        while upstream.connections() == upstream.received().len() {
            assert_eq!(gateway.request(&Request::post("/x", "12345")).await.status(), 200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_asks_for_close_gets_it_and_the_pool_keeps_its_connection() {
    let (upstream, gateway) = pair(echo).await;
    let mut requests = 0;
    while requests < 3 || upstream.connections() == requests {
        requests += 1;
        assert!(requests < 1000, "no upstream connection is ever kept");
        let mut client = gateway.connect().await;
        let answer = client.request(&Request::get("/x").header("Connection", "close")).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")));
        assert_eq!(client.closed().await, b"");
        assert_ne!(upstream.last().headers.get("connection").as_deref(), Some("close"));
    }
}

#[tokio::test]
async fn an_upstream_that_closes_its_idle_connection_costs_no_request() {
    // No `Connection: close` warns the gateway: it may find out only when it writes.
    let (upstream, gateway) = pair(|request| {
        let reply = echo(request);
        if request.target == "/leaves" { reply.step(Step::Close) } else { reply }
    })
    .await;
    let mut client = gateway.connect().await;
    for at in 0..40 {
        let body = "x".repeat(if at % 4 == 3 { 200_000 } else { 10 });
        let answer = client.request(&Request::post("/leaves", body.as_str())).await;
        assert_eq!(answer.text(), format!("POST /leaves {body}"), "request {at}");
    }
    assert_eq!(upstream.received().len(), 40, "none was sent twice");
}

/// Asks for `/fails` until that went out on a kept connection; each must have come to the upstream once.
async fn is_sent_once_on_a_kept_connection(fails: impl Fn() -> Reply + Send + Sync + 'static) {
    let (upstream, gateway) = pair(move |request| match request.target.as_str() {
        "/fails" => fails(),
        _ => echo(request),
    })
    .await;
    let mut tries = 0;
    within("a request on a kept connection", async {
        loop {
            assert_eq!(gateway.request(&Request::get("/first")).await.status(), 200);
            let connections = upstream.connections();
            let answer = gateway.request(&Request::post("/fails", "x")).await;
            tries += 1;
            assert_eq!(answer.status(), 502, "{}", answer.text());
            let came = upstream.received().iter().filter(|request| request.target == "/fails").count();
            assert_eq!(came, tries, "each was received once");
            if upstream.connections() == connections {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_the_upstream_held_for_a_while_is_not_sent_again() {
    let held = || Reply::raw(vec![Step::Sleep(Duration::from_millis(1500)), Step::Close]);
    is_sent_once_on_a_kept_connection(held).await;
}

#[tokio::test]
async fn a_request_that_the_upstream_began_to_answer_is_not_sent_again() {
    let beginning = || Step::Raw(b"HTTP/1.1 200 OK\r\nContent-Ty".to_vec());
    is_sent_once_on_a_kept_connection(move || Reply::raw(vec![beginning(), Step::Close])).await;
    // A reset takes with it what was not read yet.
    let reset = move || Reply::raw(vec![beginning(), Step::Sleep(Duration::from_millis(200)), Step::Reset]);
    is_sent_once_on_a_kept_connection(reset).await;
}

#[tokio::test]
async fn an_upstream_that_closes_after_each_answer_does_not_close_the_clients_connection() {
    let (upstream, gateway) = pair(|request| echo(request).header("Connection", "close")).await;
    let mut client = gateway.connect().await;
    for at in 0..10 {
        let answer = client.request(&Request::post(&format!("/{at}"), "x")).await;
        assert_eq!(answer.text(), format!("POST /{at} x"));
    }
    assert_eq!(upstream.connections(), 10);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (upstream, gateway) = pair(echo).await;
    let mut client = gateway.connect().await;
    let chunked = "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n";
    let all = [
        Request::get("/1").bytes(),
        Request::post("/2", "two").bytes(),
        chunked.as_bytes().to_vec(),
        Request::new("HEAD", "/4").bytes(),
        Request::post("/5", "").bytes(),
        Request::get("/6").header("Connection", "close").bytes(),
    ];
    client.send(all.concat()).await;
    for (method, want) in [
        ("GET", "GET /1 "),
        ("POST", "POST /2 two"),
        ("POST", "POST /3 three"),
        ("HEAD", ""),
        ("POST", "POST /5 "),
        ("GET", "GET /6 "),
    ] {
        let answer = client.response(method).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, want));
    }
    assert_eq!(client.closed().await, b"");
    let targets: Vec<_> = upstream.received().iter().map(|request| request.target.clone()).collect();
    assert_eq!(targets, ["/1", "/2", "/3", "/4", "/5", "/6"]);
}

#[tokio::test]
async fn a_bad_request_behind_good_ones_is_refused_alone() {
    let (upstream, gateway) = pair(echo).await;
    let mut client = gateway.connect().await;
    let bad = b"GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec();
    let behind = Request::get("/behind").bytes();
    client.send([Request::get("/1").bytes(), Request::post("/2", "two").bytes(), bad, behind].concat()).await;
    assert_eq!(client.response("GET").await.text(), "GET /1 ");
    assert_eq!(client.response("POST").await.text(), "POST /2 two");
    assert_eq!(client.response("GET").await.status(), 400);
    assert_eq!(client.closed().await, b"");
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn an_empty_line_between_requests_is_skipped() {
    let (_upstream, gateway) = pair(echo).await;
    let mut client = gateway.connect().await;
    client.send([Request::post("/1", "one").bytes(), b"\r\n".to_vec(), Request::get("/2").bytes()].concat()).await;
    assert_eq!(client.response("POST").await.text(), "POST /1 one");
    assert_eq!(client.response("GET").await.text(), "GET /2 ", "RFC 9112 2.2");
}

#[tokio::test]
async fn the_gateway_answers_100_continue_and_the_upstream_hears_nothing_of_it() {
    let (upstream, gateway) = pair(echo).await;
    let mut client = gateway.connect().await;
    for (framing, wire) in [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")] {
        for expect in ["100-continue", "100-CONTINUE"] {
            client.send(format!("POST /e HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\n{framing}\r\n\r\n")).await;
            assert_eq!(client.interim().await.0, 100, "{framing}");
            client.send(wire).await;
            assert_eq!(client.response("POST").await.text(), "POST /e hello", "{framing}");
            assert!(!upstream.last().headers.has("expect"), "the body is there already");
        }
        // A client need not wait.
        client.send(format!("POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n{wire}")).await;
        assert_eq!(client.response("POST").await.text(), "POST /e hello", "{framing}");
    }
    let old = gateway
        .exchange("POST /e HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "POST")
        .await;
    assert_eq!((old.status(), old.head.interim.len()), (200, 0), "no 100 for HTTP/1.0");
}

#[tokio::test]
async fn errors_of_the_gateway_that_leave_the_framing_intact_keep_the_connection_or_say_close() {
    let (_upstream, gateway) =
        pair(|request| if request.target == "/bad" { Reply::close() } else { echo(request) }).await;
    let mut client = gateway.connect().await;
    let answer = client.request(&Request::post("/bad", "12345")).await;
    assert_eq!(answer.status(), 502);
    if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        assert_eq!(client.closed().await, b"");
    } else {
        assert_eq!(client.request(&Request::get("/next")).await.text(), "GET /next ");
    }
}

#[tokio::test]
async fn many_clients_at_once_get_each_their_own_answers() {
    let (upstream, gateway) = pair(echo).await;
    let gateway = Arc::new(gateway);
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..50 {
        let gateway = Arc::clone(&gateway);
        tasks.spawn(async move {
            let mut connection = gateway.connect().await;
            for at in 0..10 {
                let body = format!("{client}-{at}-").repeat(client * 20 + 1);
                let target = format!("/{client}/{at}");
                let answer = connection.request(&Request::post(&target, body.as_str())).await;
                assert!(answer.text() == format!("POST {target} {body}"), "client {client}, request {at}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task panics");
    }
    assert_eq!(upstream.received().len(), 500);
    assert!(upstream.connections() <= 500);
}
