//! Streams arrive as they are sent, end when they end, and upgraded connections carry both ways.

use harness::{Gate, Gateway, GatewayBuilder, Received, Reply, Request, Step, Upstream, anthropic, fixtures};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(handler).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn the_client_sees_each_event_before_the_upstream_sends_the_next() {
    let events = anthropic::events("claude-opus-4-8");
    let (gate, sent) = (Gate::new(), events.clone());
    let waits = gate.clone();
    let (_upstream, gateway) = pair(move |_| {
        sent.iter().fold(Reply::sse(), |reply, event| reply.step(Step::Wait(waits.clone())).bytes(event.as_bytes()))
    })
    .await;
    let mut client = gateway.connect().await;
    client.send(fixtures::named("cli-2.1.197-title").bytes()).await;
    for (at, event) in events.into_iter().enumerate() {
        gate.open();
        if at == 0 {
            assert_eq!(client.head("POST").await.status, 200, "the head comes with the first event");
        }
        assert_eq!(client.piece_until(&event).await, event);
    }
    assert_eq!(client.piece().await, None);
}

#[tokio::test]
async fn bytes_are_passed_on_wherever_an_event_is_cut() {
    let stream = ": comment\n\nevent: ping\r\ndata: {}\r\n\r\ndata: 网关\n\n".as_bytes().to_vec();
    let (gate, sent) = (Gate::new(), stream.clone());
    let waits = gate.clone();
    let upstream = Upstream::start(move |_| {
        sent.iter().fold(Reply::sse(), |reply, byte| reply.step(Step::Wait(waits.clone())).bytes([*byte]))
    })
    .await;
    // With it, the first byte would wait for an event that says something.
    let yaml = "gateway:\n  failover: { hold_first_event: 0s }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let mut client = gateway.connect().await;
    client.send(Request::post("/v1/messages", "{}").bytes()).await;
    client.head("POST").await;
    for byte in stream {
        gate.open();
        assert_eq!(client.piece().await, Some(vec![byte]));
    }
    assert_eq!(client.piece().await, None);
}

#[tokio::test]
async fn a_stream_comes_at_once_in_chunks_or_until_the_end_of_the_connection() {
    comes_at_once(&["/chunked", "/close"]).await;
}

#[tokio::test]
async fn a_stream_of_known_length_comes_at_once_too() {
    comes_at_once(&["/length"]).await;
}

async fn comes_at_once(targets: &[&str]) {
    let gate = Gate::new();
    let waits = gate.clone();
    let (_upstream, gateway) = pair(move |request| {
        let reply = match request.target.as_str() {
            "/chunked" => Reply::sse(),
            "/close" => Reply::sse().close_delimited(),
            _ => Reply::sse().length(6),
        };
        reply.bytes("one").step(Step::Wait(waits.clone())).bytes("two")
    })
    .await;
    for &target in targets {
        let mut client = gateway.connect().await;
        client.send(Request::post(target, "{}").bytes()).await;
        client.head("POST").await;
        assert_eq!(client.piece_until("one").await, "one", "{target}");
        gate.open();
        assert_eq!(client.piece_until("two").await, "two", "{target}");
        assert_eq!(client.piece().await, None, "{target}");
    }
}

#[tokio::test]
async fn a_stream_of_many_events_is_the_same_to_the_byte() {
    let events: Vec<String> =
        (0..2000).map(|n| format!("event: content_block_delta\ndata: {{\"index\":{n}}}\n\n")).collect();
    let sent = events.clone();
    let (_upstream, gateway) =
        pair(move |_| sent.iter().fold(Reply::sse(), |reply, event| reply.bytes(event.as_bytes()))).await;
    let answer = gateway.request(&Request::post("/v1/messages?beta=true", "{}")).await;
    assert!(answer.text() == events.concat(), "{} bytes came", answer.body.len());
    assert_eq!(answer.header("content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_upstream_connection() {
    let (upstream, gateway) = pair(|request| match request.target.as_str() {
        "/mid-stream" => Reply::sse().bytes("data: 1\n\n").step(Step::Stall),
        "/mid-body" => Reply::status(200).close_delimited().bytes("half").step(Step::Stall),
        _ => Reply::stall(),
    })
    .await;
    // `more` is what the client sent beyond its request before it left.
    for (target, reset, more) in [
        ("/mid-stream", false, ""),
        ("/mid-stream", true, ""),
        ("/mid-body", false, ""),
        ("/before-head", false, ""),
        ("/before-head", true, ""),
        ("/before-head", false, "\r\n"),
        ("/mid-stream", false, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let requests = upstream.received().len();
        let mut client = gateway.connect().await;
        client.send([Request::post(target, "{}").bytes(), more.into()].concat()).await;
        upstream.wait_received(requests + 1).await;
        if target.starts_with("/mid") {
            client.head("POST").await;
            client.piece().await;
        }
        assert_eq!(upstream.open_connections(), 1, "{target}");
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        upstream.wait_open_connections(0).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_request_costs_the_upstream_nothing() {
    let (upstream, gateway) = pair(|_| Reply::ok("fine")).await;
    for bytes in [
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Le",
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100\r\n\r\nhalf",
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut client = gateway.connect().await;
        client.send(bytes).await;
        client.finish().await;
        client.closed().await;
    }
    assert_eq!(gateway.request(&Request::get("/after")).await.text(), "fine");
    assert_eq!(upstream.received().len(), 1);
    assert_eq!(upstream.connections(), 1);
}

fn websocket(target: &str) -> Request {
    Request::get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_until_either_side_ends() {
    let (upstream, gateway) = pair(|_| {
        Reply::status(101)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .step(Step::Raw(b"welcome".to_vec()))
            .step(Step::Echo)
    })
    .await;
    let mut client = gateway.connect().await;
    client.send(websocket("/socket?x=1").bytes()).await;
    let head = client.head("GET").await;
    assert_eq!(head.status, 101);
    assert_eq!(head.headers.get("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.headers.get("upgrade").as_deref(), Some("websocket"));
    assert_eq!(client.raw(7).await, b"welcome");

    let got = upstream.last();
    assert_eq!(got.headers.get("upgrade").as_deref(), Some("websocket"));
    assert!(got.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(got.headers.get("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(got.target, "/socket?x=1");

    for message in [b"ping".to_vec(), vec![0, 1, 2, 0xff, b'\r', b'\n'], vec![b'm'; 200_000]] {
        client.send(&message).await;
        assert!(client.raw(message.len()).await == message, "an echo of {} bytes", message.len());
    }
    drop(client);
    upstream.wait_open_connections(0).await;
}

#[tokio::test]
async fn a_websocket_whose_upstream_falls_silent_is_closed_without_an_error_inside_it() {
    let upstream = Upstream::start(|_| {
        Reply::status(101)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .step(Step::Raw(b"hi".to_vec()))
            .step(Step::Wait(Gate::new()))
    })
    .await;
    let yaml = "gateway:\n  timeouts: { read: 300ms }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let mut client = gateway.connect().await;
    client.send(websocket("/socket").bytes()).await;
    assert_eq!(client.head("GET").await.status, 101);
    assert_eq!(String::from_utf8_lossy(&client.closed().await), "hi");
}

#[tokio::test]
async fn bytes_sent_before_the_101_are_carried_too() {
    let (_upstream, gateway) = pair(|_| Reply::upgrade_echo("websocket")).await;
    let mut client = gateway.connect().await;
    client.send([websocket("/socket").bytes(), b"early".to_vec()].concat()).await;
    assert_eq!(client.head("GET").await.status, 101);
    client.send(" and late").await;
    assert_eq!(client.raw(14).await, b"early and late");
}

#[tokio::test]
async fn an_upstream_that_ends_a_websocket_ends_it_at_the_client() {
    let (_upstream, gateway) = pair(|_| {
        let reply = Reply::status(101).header("Connection", "Upgrade").header("Upgrade", "websocket");
        reply.step(Step::Raw(b"bye".to_vec())).step(Step::Close)
    })
    .await;
    let mut client = gateway.connect().await;
    client.send(websocket("/socket").bytes()).await;
    assert_eq!(client.head("GET").await.status, 101);
    assert_eq!(client.closed().await, b"bye");
}

#[tokio::test]
async fn a_refused_websocket_is_an_ordinary_answer() {
    let (_upstream, gateway) = pair(|_| Reply::status(403).body("no sockets")).await;
    let mut client = gateway.connect().await;
    let answer = client.request(&websocket("/socket")).await;
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no sockets"));
}

#[tokio::test]
async fn the_whole_conversation_of_the_messages_api_works() {
    let (_upstream, gateway) = pair(anthropic::handler()).await;
    for fixture in fixtures::all() {
        let answer = gateway.exchange(fixture.bytes(), "POST").await;
        assert_eq!(answer.status(), 200, "{}", fixture.name);
        if fixture.name == "count-tokens" {
            assert_eq!(answer.json()["input_tokens"], 42);
        } else {
            let model = serde_json::from_slice::<serde_json::Value>(&fixture.body).expect("JSON")["model"].clone();
            assert_eq!(answer.text(), anthropic::events(model.as_str().expect("a model")).concat());
        }
        assert_eq!(answer.header("request-id").as_deref(), Some("req_mock0001"));
    }
    let models = gateway.request(&Request::get("/v1/models?limit=1000").header("x-api-key", "sk-x")).await;
    assert_eq!((models.status(), models.json()["data"][0]["type"].as_str()), (200, Some("model")));
    assert_eq!(gateway.request(&Request::new("HEAD", "/")).await.status(), 200);
    let refused = gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_eq!((refused.status(), refused.json()["error"]["type"].as_str()), (401, Some("authentication_error")));
}
