//! Upstreams that speak HTTP/2.

use harness::{
    Authority, Gate, Gateway, GatewayBuilder, Pool, Received, Reply, Request, Step, Upstream, ask, failing, fixtures,
};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn with(pool: Pool) -> Gateway {
    gateway().yaml(&pool.yaml()).start().await
}

fn body(size: usize) -> Vec<u8> {
    (0u32..).flat_map(|n| format!("{n} ").into_bytes()).take(size).collect()
}

fn request(session: &str, size: usize, stream: bool) -> Request {
    Request::post("/v1/messages?beta=true", body(size))
        .header("Accept", if stream { "text/event-stream" } else { "application/json" })
        .header("Connection", "keep-alive")
        .header("X-Claude-Code-Session-Id", format!("{session}-{size}-{stream}"))
}

fn reply(request: &Received) -> Reply {
    match request.headers.get("accept").as_deref() {
        Some("text/event-stream") => Reply::sse().bytes("data: 1\n\n").bytes("data: 2\n\n"),
        _ => Reply::json(request.body.len().to_string()),
    }
}

/// An upstream that speaks only HTTP/2, over TLS or not, and what its entry needs.
async fn modern(secured: bool, authority: &Authority, reply: fn(&Received) -> Reply) -> (Upstream, String) {
    let builder = Upstream::builder().http2();
    match secured {
        false => (builder.start(reply).await, String::new()),
        true => {
            let upstream = builder.tls(&authority.leaf(&["localhost"])).start(reply).await;
            (upstream, format!("ca_file: \"{}\"", authority.ca_file().display()))
        }
    }
}

fn join(first: &str, second: &str) -> String {
    [first, second].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn bodies_of_every_size_arrive_whole_by_alpn_and_by_prior_knowledge() {
    let authority = Authority::new();
    // Without TLS nothing tells the protocol, so only `http: 2` can.
    for (secured, http) in [(true, "http: 2"), (true, "http: auto"), (false, "http: 2")] {
        let (upstream, ca) = modern(secured, &authority, reply).await;
        let gateway = with(Pool::new().add_with("modern", upstream.url(), &join(&ca, http))).await;
        let h2 = gateway.connect_h2().await;
        for size in [0, 2_000, 54_000, 4_000_000] {
            for stream in [true, false] {
                let what = format!("TLS {secured}, {http}, {size} bytes, stream {stream}");
                let wanted = if stream { "data: 1\n\ndata: 2\n\n".to_owned() } else { size.to_string() };
                let answer = gateway.request(&request("h1", size, stream)).await;
                assert_eq!((answer.status(), answer.text()), (200, wanted.clone()), "{what}");
                let got = upstream.last();
                assert!(got.body == body(size), "{what}: {} bytes came", got.body.len());
                assert_eq!((got.method.as_str(), got.target.as_str()), ("POST", "/v1/messages?beta=true"), "{what}");
                assert_eq!(got.headers.all("host").len(), 1, "{what}");
                assert!(!got.headers.has("connection") && !got.headers.has("transfer-encoding"), "{what}");

                let head = http::Request::post("http://gateway.test/v1/messages?beta=true")
                    .header("accept", if stream { "text/event-stream" } else { "application/json" });
                let answer = h2.send(head.body(()).expect("a request"), &[&body(size)]).await;
                assert_eq!((answer.status, answer.text()), (200, wanted), "{what}, HTTP/2 client");
                assert!(upstream.last().body == body(size), "{what}, HTTP/2 client");
            }
        }
        assert_eq!(upstream.connections(), 1, "TLS {secured}, {http}: one connection carries them all");
    }
}

#[tokio::test]
async fn auto_speaks_http_1_1_to_those_who_know_nothing_else() {
    let authority = Authority::new();
    let upstream = Upstream::builder().tls(&authority.leaf(&["localhost"])).start(reply).await;
    let ca = format!("ca_file: \"{}\"", authority.ca_file().display());
    for http in ["http: auto", "http: 1", ""] {
        let gateway = with(Pool::new().add_with("old", upstream.url(), &join(&ca, http))).await;
        let answer = gateway.request(&request("x", 54_000, false)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "54000"), "{http}");
        assert!(upstream.last().raw_head.starts_with(b"POST /v1/messages?beta=true HTTP/1.1\r\n"), "{http}");
    }
}

#[tokio::test]
async fn streams_share_a_connection_and_come_as_they_are_sent() {
    let gate = Gate::new();
    let waits = gate.clone();
    let upstream = Upstream::builder()
        .http2()
        .start(move |_| Reply::sse().bytes("data: 1\n\n").step(Step::Wait(waits.clone())).bytes("data: 2\n\n"))
        .await;
    let gateway = with(Pool::new().add_with("modern", upstream.url(), "http: 2")).await;
    let mut clients = Vec::new();
    for session in 0..10 {
        let mut client = gateway.connect().await;
        client.send(ask(session).bytes()).await;
        assert_eq!(client.head("POST").await.status, 200);
        assert_eq!(client.piece_until("data: 1\n\n").await, "data: 1\n\n");
        clients.push(client);
    }
    assert_eq!(upstream.connections(), 1);
    for _ in &clients {
        gate.open();
    }
    for client in &mut clients {
        assert_eq!(client.piece_until("data: 2\n\n").await, "data: 2\n\n");
        assert_eq!(client.piece().await, None);
    }
}

#[tokio::test]
async fn failing_over_changes_the_protocol_both_ways() {
    let bad: [fn(&Received) -> Reply; 4] = [
        |_| Reply::reset(),
        |_| Reply::close(),
        |_| failing(503, "bad"),
        |_| Reply::sse().step(Step::Sleep(std::time::Duration::from_millis(50))).step(Step::Reset),
    ];
    for (at, fails) in bad.into_iter().enumerate() {
        let (old, modern) = (Upstream::start(reply).await, Upstream::builder().http2().start(reply).await);
        let (bad_old, bad_modern) = (Upstream::start(fails).await, Upstream::builder().http2().start(fails).await);
        let to_modern = Pool::new().add("bad", bad_old.url()).add_with("good", modern.url(), "http: 2");
        let to_old = Pool::new().add_with("bad", bad_modern.url(), "http: 2").add("good", old.url());
        for (pool, bad, good) in [(to_modern, &bad_old, &modern), (to_old, &bad_modern, &old)] {
            let gateway = with(pool.forgetful()).await;
            for size in [2_000, 54_000, 4_000_000] {
                for stream in [true, false] {
                    let what = format!("failure {at}, {size} bytes, stream {stream}");
                    let answer = gateway.request(&request("x", size, stream)).await;
                    assert_eq!(answer.outcome(), "200 good 2", "{what}: {}", answer.text());
                    assert!(good.last().body == body(size), "{what}: {} bytes came", good.last().body.len());
                    assert!(bad.last().body == body(size), "{what}: {} bytes came before", bad.last().body.len());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_in_its_middle_is_cut_at_the_client() {
    let upstream = Upstream::builder()
        .http2()
        .start(|request| match request.headers.get("x-claude-code-session-id").as_deref() {
            Some("cut") => Reply::sse().bytes("data: 1\n\n").step(Step::Reset),
            _ => Reply::ok("fine"),
        })
        .await;
    let gateway = with(Pool::new().add_with("modern", upstream.url(), "http: 2")).await;
    let mut client = gateway.connect().await;
    client.send(ask("cut").bytes()).await;
    assert_eq!(client.head("POST").await.status, 200);
    client.piece_until("data: 1\n\n").await;
    assert!(client.try_piece().await.is_err());
    assert_eq!(gateway.request(&ask("after")).await.text(), "fine");
    assert_eq!(upstream.connections(), 1, "the connection of the others stays");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_stream_and_no_other() {
    let upstream = Upstream::builder().http2().start(|_| Reply::sse().bytes("data: 1\n\n").step(Step::Stall)).await;
    let gateway = with(Pool::new().add_with("modern", upstream.url(), "http: 2")).await;
    let mut staying = gateway.connect().await;
    staying.send(ask("staying").bytes()).await;
    staying.head("POST").await;
    for session in 0..5 {
        let mut leaving = gateway.connect().await;
        leaving.send(ask(session).bytes()).await;
        leaving.head("POST").await;
        upstream.wait_answering(2).await;
        drop(leaving);
        upstream.wait_answering(1).await;
    }
    assert_eq!((upstream.connections(), upstream.open_connections()), (1, 1));
}

#[tokio::test]
async fn requests_of_claude_code_arrive_over_http_2_as_they_were() {
    let upstream = Upstream::builder().http2().start(|_| Reply::json("{}")).await;
    let gateway = with(Pool::new().add_with("modern", upstream.url(), "http: 2")).await;
    for fixture in fixtures::all() {
        assert_eq!(gateway.exchange(fixture.bytes(), "POST").await.status(), 200, "{}", fixture.name);
        let got = upstream.last();
        assert_eq!(got.target, fixture.target());
        assert!(got.body == fixture.body, "{}", fixture.name);
        for (name, value) in fixture.fields() {
            if !["host", "connection", "transfer-encoding", "keep-alive"].contains(&name.to_lowercase().as_str()) {
                assert_eq!(got.headers.all(&name), [value], "{}: {name}", fixture.name);
            }
        }
    }
}
