//! HTTP/2 clients, in plain text and over TLS, get the same gateway.

use std::sync::Arc;

use harness::{
    Alpn, Authority, Client, Framing, Gate, Gateway, GatewayBuilder, H2Client, Port, Received, Reply, Request as H1,
    Step, Upstream, anthropic, fixtures, within,
};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(handler).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    (upstream, gateway)
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://gateway.test{path}"))
}

#[tokio::test]
async fn requests_arrive_as_http_1_1_with_exact_framing() {
    let (upstream, gateway) = pair(|request| Reply::ok(request.body.len().to_string())).await;
    let client = gateway.connect_h2().await;
    let big = vec![b'x'; 200_000];
    let rows: [(&str, bool, Vec<&[u8]>); 8] = [
        ("GET", false, vec![]),
        ("HEAD", false, vec![]),
        ("DELETE", false, vec![]),
        ("POST", true, vec![b"12345"]),
        ("POST", false, vec![b"12345"]),
        ("POST", false, vec![b"12", b"", b"345"]),
        ("PUT", true, vec![&big]),
        ("POST", false, big.chunks(10_000).collect()),
    ];
    for (method, declared, pieces) in rows {
        let body = pieces.concat();
        let mut builder = request(method, "/a%2Fb//c?d=e&&f").header("x-repeat", "1").header("x-repeat", "2");
        if declared {
            builder = builder.header("content-length", body.len());
        }
        let answer = client.send(builder.body(()).expect("a request"), &pieces).await;
        assert_eq!(answer.status, 200, "{method}");
        let got = upstream.last();
        assert_eq!((got.method.as_str(), got.target.as_str()), (method, "/a%2Fb//c?d=e&&f"));
        assert!(got.body == body, "{method}: {} bytes came", got.body.len());
        match pieces.is_empty() {
            true => assert!(matches!(got.framing, Framing::None | Framing::Length(0)), "{method}: {:?}", got.framing),
            false => assert_eq!(got.framing, Framing::Length(body.len() as u64), "{method}"),
        }
        assert_eq!(got.headers.all("host"), [upstream.addr().to_string()]);
        assert_eq!(got.headers.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(got.headers.all("x-repeat"), ["1", "2"]);
        assert_eq!(answer.text(), if method == "HEAD" { String::new() } else { body.len().to_string() });
        assert!(answer.headers.contains_key("x-request-id"));
    }
    assert!(upstream.connections() < upstream.received().len(), "upstream connections are shared");
}

#[tokio::test]
async fn fixtures_are_rewritten_for_http_2_clients_too() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let plain = gateway().upstream(upstream.url()).start().await;
    let rewriting = gateway().upstream(upstream.url()).env("SYSTEM_PROMPT_REPLACEMENT", "new").start().await;
    for fixture in fixtures::all() {
        let mut bodies = Vec::new();
        for gateway in [&plain, &rewriting] {
            for declared in [true, false] {
                let mut builder = request("POST", &fixture.target());
                for (name, value) in fixture.fields() {
                    let name = name.to_ascii_lowercase();
                    let kept = !["host", "connection"].contains(&name.as_str());
                    if kept && (declared || name != "content-length") {
                        builder = builder.header(name, value);
                    }
                }
                let client = gateway.connect_h2().await;
                assert_eq!(client.send(builder.body(()).expect("a request"), &[&fixture.body]).await.status, 200);
                let got = upstream.last();
                assert_eq!(got.framing, Framing::Length(got.body.len() as u64), "{}", fixture.name);
                for (name, value) in fixture.fields() {
                    if !["host", "connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                        assert_eq!(got.headers.all(&name), [value], "{}: {name}", fixture.name);
                    }
                }
                bodies.push(got.body.clone());
            }
        }
        assert!(bodies[0] == fixture.body && bodies[1] == fixture.body, "{}", fixture.name);
        assert!(bodies[2] == bodies[3], "{}", fixture.name);
        let rewritten = String::from_utf8_lossy(&bodies[2]).contains(r#""system":[{"type":"text","text":"new""#);
        assert_eq!(rewritten, fixture.name != "count-tokens", "{}", fixture.name);
    }
}

#[tokio::test]
async fn split_cookies_are_joined_and_te_stays_here() {
    let (upstream, gateway) = pair(|_| Reply::ok("{}")).await;
    let client = gateway.connect_h2().await;
    let builder = request("GET", "/").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    assert_eq!(client.send(builder.body(()).expect("a request"), &[]).await.status, 200);
    assert_eq!(upstream.last().headers.all("cookie"), ["a=1; b=2"], "RFC 9113 8.2.3");
    assert!(!upstream.last().headers.has("te"));
}

#[tokio::test]
async fn the_authority_is_the_host_to_preserve() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("PRESERVE_HOST", "true").start().await;
    let client = gateway.connect_h2().await;
    assert_eq!(client.send(request("GET", "/").body(()).expect("a request"), &[]).await.status, 200);
    assert_eq!(upstream.last().headers.all("host"), ["gateway.test"]);
}

#[tokio::test]
async fn answers_lose_only_what_belongs_to_one_connection() {
    let (_upstream, gateway) = pair(|_| {
        Reply::sse()
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("Connection", "keep-alive")
            .header("Keep-Alive", "timeout=5")
            .header("X-MiXeD", "1")
            .bytes("data: 1\n\n")
            .bytes("data: 2\n\n")
    })
    .await;
    let answer = gateway.connect_h2().await.send(request("POST", "/x").body(()).expect("a request"), &[b"{}"]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "data: 1\n\ndata: 2\n\n"));
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.headers["x-mixed"], "1");
    for gone in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!answer.headers.contains_key(gone), "{gone}: RFC 9113 8.2.2");
    }
}

#[tokio::test]
async fn errors_have_the_same_shape_over_http_2() {
    let port = Port::free();
    let yaml = "gateway:\n  limits: { request_body: 10KiB }\n";
    let gateway = gateway().upstream(format!("http://{}", port.addr())).yaml(yaml).start().await;
    let client = gateway.connect_h2().await;
    let over = vec![b'x'; 20_000];
    let rows: [(&str, http::request::Builder, Vec<&[u8]>, u16); 5] = [
        ("refused upstream", request("POST", "/x"), vec![b"{}"], 502),
        ("declared length", request("POST", "/x").header("content-length", "20000"), vec![&over], 413),
        ("undeclared length", request("POST", "/x"), vec![&over], 413),
        ("TRACE", request("TRACE", "/x"), vec![], 405),
        ("unknown expectation", request("GET", "/x").header("expect", "maybe"), vec![], 417),
    ];
    for (what, builder, pieces, status) in rows {
        let answer = client.send(builder.body(()).expect("a request"), &pieces).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        let error: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(error["type"], "error", "{what}");
        assert_eq!(error["request_id"], answer.headers["x-request-id"].to_str().expect("text"), "{what}");
    }
    // The connection and its other streams are as good as before.
    assert_eq!(client.send(request("GET", "/health").body(()).expect("a request"), &[]).await.status, 200);
}

#[tokio::test]
async fn a_length_that_the_data_does_not_have_never_reaches_the_upstream() {
    let (upstream, gateway) = pair(|_| Reply::ok("fine")).await;
    for declared in ["3", "10"] {
        let client = gateway.connect_h2().await;
        let builder = request("POST", "/x").header("content-length", declared);
        match client.try_send(builder.body(()).expect("a request"), &[b"12345"]).await {
            Ok(answer) => assert_eq!(answer.status, 400, "RFC 9113 8.1.1: {declared}"),
            Err(failure) => assert!(failure.head.is_none(), "{failure:?}"),
        }
    }
    assert_eq!(upstream.received().len(), 0);
    let good = gateway.connect_h2().await.send(request("GET", "/").body(()).expect("a request"), &[]).await;
    assert_eq!(good.text(), "fine");
}

#[tokio::test]
async fn a_body_that_does_not_end_or_is_too_large_never_reaches_the_upstream() {
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let yaml = "gateway:\n  limits: { request_body: 100KiB, body_timeout: 400ms }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let client = gateway.connect_h2().await;
    let post = |length: Option<usize>| {
        let builder = request("POST", "/v1/messages");
        let builder = length.into_iter().fold(builder, |builder, length| builder.header("content-length", length));
        builder.body(()).expect("a request")
    };
    let (small, large) = (vec![b'x'; 10], vec![b'x'; 90_000]);
    for beginning in [&small, &large] {
        for length in [None, Some(95_000)] {
            let what = format!("{} bytes of {length:?}", beginning.len());
            // Left by its client: a reset.
            drop(client.begin(post(length), beginning).await);
            let silent = client.begin(post(length), beginning).await.answer().await;
            let (status, body) = silent.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(status, 408, "{what}: {body}");
        }
    }
    let over = vec![b'x'; 200_000];
    for length in [None, Some(200_000)] {
        let answer = client.send(post(length), &[&over]).await;
        assert_eq!(answer.status, 413, "{length:?}: {}", answer.text());
    }
    assert_eq!(upstream.connections(), 0, "an upstream is touched only with a whole request");
    assert_eq!(client.send(post(None), &[&large]).await.text(), "fine");
    assert!(upstream.last().body == large);
}

#[tokio::test]
async fn a_truncated_answer_ends_its_stream_with_an_error_and_spares_the_others() {
    let (_upstream, gateway) = pair(|request| match request.target.as_str() {
        "/length" => Reply::status(200).length(100).bytes("half").step(Step::Close),
        "/chunked" => Reply::sse().bytes("data: half\n\n").step(Step::Close),
        _ => Reply::ok("fine"),
    })
    .await;
    let client = gateway.connect_h2().await;
    for target in ["/length", "/chunked"] {
        let outcome = client.try_send(request("POST", target).body(()).expect("a request"), &[b"{}"]).await;
        assert!(outcome.is_err(), "{target}: {outcome:?}");
        let next = client.send(request("GET", "/next").body(()).expect("a request"), &[]).await;
        assert_eq!(next.text(), "fine", "after {target}");
    }
}

#[tokio::test]
async fn what_came_before_a_response_broke_off_reaches_the_client() {
    let whole = anthropic::events("claude-opus-4-8").concat();
    let sent = whole.clone();
    let (_upstream, gateway) =
        pair(move |_| Reply::sse().length(sent.len() as u64 + 100).bytes(sent.as_bytes()).step(Step::Close)).await;
    for _ in 0..20 {
        let client = gateway.connect_h2().await;
        let request = request("POST", "/v1/messages").header("content-type", "application/json");
        let body: &[u8] = br#"{"model":"claude-opus-4-8","messages":[],"stream":true}"#;
        let failure = client.try_send(request.body(()).expect("a request"), &[body]).await.expect_err("a cut");
        assert_eq!(failure.head.map(|head| head.status.as_u16()), Some(200));
        assert_eq!(String::from_utf8_lossy(&failure.body), whole);
    }
}

#[tokio::test]
async fn a_stream_comes_event_by_event_and_its_reset_ends_the_upstream_connection() {
    let events = anthropic::events("claude-opus-4-8");
    let (gate, sent) = (Gate::new(), events.clone());
    let waits = gate.clone();
    let (upstream, gateway) = pair(move |request| {
        let reply = sent
            .iter()
            .fold(Reply::sse(), |reply, event| reply.step(Step::Wait(waits.clone())).bytes(event.as_bytes()));
        if request.target == "/stalls" { reply.step(Step::Stall) } else { reply }
    })
    .await;
    let client = gateway.connect_h2().await;
    for target in ["/whole", "/stalls"] {
        let mut stream = client.open(request("POST", target).body(()).expect("a request"), b"{}").await;
        assert_eq!(stream.head.status, 200);
        for event in &events {
            gate.open();
            assert_eq!(stream.piece_until(event).await, *event);
        }
        if target == "/whole" {
            assert!(stream.ended().await);
        }
    }
    upstream.wait_open_connections(0).await;
    assert_eq!(client.send(request("GET", "/health").body(()).expect("a request"), &[]).await.status, 200);
}

#[tokio::test]
async fn many_streams_share_one_connection() {
    let (upstream, gateway) = pair(|request| Reply::ok(request.body.clone())).await;
    let client = Arc::new(gateway.connect_h2().await);
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..60 {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            let body = format!("{at}-").repeat(at * 200 + 1);
            let answer = client.send(request("POST", "/x").body(()).expect("a request"), &[body.as_bytes()]).await;
            assert!(answer.status == 200 && answer.text() == body, "stream {at}: {}", answer.status);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task panics");
    }
    assert_eq!(upstream.received().len(), 60);
}

#[tokio::test]
async fn the_tls_listener_speaks_http_2_and_http_1() {
    let upstream = Upstream::start(|request| Reply::ok(request.target.clone())).await;
    let authority = Authority::new();
    let leaf = authority.leaf(&["gateway.test"]);
    let port = Port::free();
    let yaml = format!(
        "gateway:\n  tls:\n    listen: {}\n    cert: {}\n    key: {}\n",
        port.addr(),
        leaf.cert.display(),
        leaf.key.display()
    );
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    let h2 = H2Client::connect_tls(port.addr(), authority.ca_file(), "gateway.test").await;
    let big = vec![b'x'; 200_000];
    let secure = Request::builder().method("POST").uri("https://gateway.test/v1/messages?beta=true");
    let answer = h2.send(secure.body(()).expect("a request"), &[&big]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "/v1/messages?beta=true"));
    assert!(upstream.last().body == big);

    for alpn in [Alpn::Http1, Alpn::Absent] {
        let mut h1 = Client::connect_tls(port.addr(), authority.ca_file(), "gateway.test", alpn).await;
        for _ in 0..2 {
            assert_eq!(h1.request(&H1::post("/tls", big.as_slice())).await.text(), "/tls", "{alpn:?}");
        }
        let bad = h1.request(&H1::get("/bad").header("Host", "a b")).await;
        assert_eq!((bad.status(), bad.json()["type"].as_str()), (400, Some("error")), "{alpn:?}");
    }

    // Who only looks whether there is TLS, as checks do, is no error.
    for sent in ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"].repeat(5) {
        let mut looking = Client::connect_tls(port.addr(), authority.ca_file(), "gateway.test", Alpn::H2).await;
        looking.send(sent).await;
    }
    // Plain text on the TLS port costs only itself.
    let mut plain = Client::connect(port.addr()).await;
    plain.send(H1::get("/plain").bytes()).await;
    plain.closed().await;
    assert_eq!(gateway.request(&H1::get("/after")).await.text(), "/after");
    assert!(!gateway.stderr().contains("ERROR"), "{}", gateway.stderr());
}

#[tokio::test]
async fn an_http2_connection_says_how_many_streams_and_how_large_heads_it_takes() {
    let upstream = Upstream::start(|_| Reply::ok("")).await;
    let yaml = "gateway:\n  limits: { header_bytes: 16KiB, header_count: 50 }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let mut client = TcpStream::connect(gateway.addr()).await.expect("connected");
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    let mut head = [0; 9];
    within("a frame", client.read_exact(&mut head)).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS come first");
    let mut settings = vec![0; usize::from(head[2]) + (usize::from(head[1]) << 8)];
    within("the settings", client.read_exact(&mut settings)).await.expect("settings");
    let settings: Vec<(u8, u32)> =
        settings.chunks_exact(6).map(|one| (one[1], u32::from_be_bytes([one[2], one[3], one[4], one[5]]))).collect();
    assert!(settings.contains(&(3, 100)), "MAX_CONCURRENT_STREAMS: {settings:?}");
    assert!(settings.contains(&(6, 16 * 1024 + 32 * 50)), "MAX_HEADER_LIST_SIZE: {settings:?}");
}
