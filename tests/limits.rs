//! Too big, too many, too slow: each is cut off by its own status, and costs nobody else anything.

use std::time::Duration;

use harness::{Alpn, Authority, Client, Gateway, GatewayBuilder, Port, Reply, Request, Response, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn limited(limits: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|request| Reply::ok(request.body.len().to_string())).await;
    let yaml = format!("gateway:\n  limits: {{ {limits} }}\n");
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    (upstream, gateway)
}

/// `kind` is empty where Anthropic's list has no type for the status.
fn assert_error(answer: &Response, status: u16, kind: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
    let error = answer.json();
    assert_eq!(error["type"], "error", "{error}");
    assert!(kind.is_empty() || error["error"]["type"] == kind, "{error}");
    assert_eq!(error["request_id"].as_str(), answer.header("x-request-id").as_deref());
}

const HEAD: &str = "POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\n";

#[tokio::test]
async fn a_declared_body_over_the_limit_is_refused_before_it_is_read() {
    let (upstream, gateway) = limited("request_body: 10KiB").await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        // Not one byte of body is sent.
        let answer = gateway.exchange(format!("{HEAD}{expect}Content-Length: 10241\r\n\r\n"), "POST").await;
        assert_error(&answer, 413, "request_too_large");
        assert!(answer.head.interim.is_empty(), "no 100 before a 413");
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.request(&Request::post("/fits", vec![b'x'; 10_240])).await.text(), "10240");
}

#[tokio::test]
async fn a_413_reaches_a_client_that_is_still_sending() {
    let (upstream, gateway) = limited("request_body: 10KiB").await;
    let answer = gateway.request(&Request::post("/v1/messages", vec![b'x'; 3_000_000])).await;
    assert_error(&answer, 413, "request_too_large");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_413_reaches_a_client_that_reads_only_when_it_has_sent_all() {
    use std::io::{Read as _, Write as _};
    let (_, gateway) = limited("request_body: 10KiB").await;
    let addr = gateway.addr();
    let exchange = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(addr)?;
        stream.write_all(&Request::post("/v1/messages", vec![b'x'; 64 << 20]).bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = exchange.await.expect("joined").expect("neither sending nor reading was cut");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused_when_it_gets_there() {
    let (upstream, gateway) = limited("request_body: 10KiB").await;
    for sizes in [vec![10_241], vec![4096, 4096, 4096], vec![0x7fff_ffff]] {
        let mut client = gateway.connect().await;
        client.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n")).await;
        for size in sizes {
            let sent = "x".repeat(size.min(20_000));
            client.send(format!("{size:x}\r\n{sent}\r\n")).await;
        }
        assert_error(&client.response("POST").await, 413, "request_too_large");
    }
    assert_eq!(upstream.connections(), 0);
    let fits = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n2800\r\n{}\r\n0\r\n\r\n", "x".repeat(10_240));
    assert_eq!(gateway.exchange(fits, "POST").await.text(), "10240");
}

#[tokio::test]
async fn the_default_body_limit_is_32_mib() {
    let upstream = Upstream::start(|request| Reply::ok(request.body.len().to_string())).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let refused = gateway.exchange(format!("{HEAD}Content-Length: {}\r\n\r\n", (32 << 20) + 1), "POST").await;
    assert_error(&refused, 413, "request_too_large");
    let whole = gateway.request(&Request::post("/v1/messages", vec![b'x'; 32 << 20])).await;
    assert_eq!(whole.text(), (32 << 20).to_string());
}

#[tokio::test]
async fn heads_over_a_limit_are_refused() {
    let (upstream, gateway) =
        limited("header_bytes: 8KiB, header_count: 20, target_bytes: 1KiB, header_timeout: 20s").await;
    let many = |n: usize| (1..n).fold(Request::get("/many"), |request, at| request.header(&format!("X-{at}"), "v"));
    let rows = [
        (Request::get("/one").header("X-Long", "v".repeat(9000)), 431),
        ((0..9).fold(Request::get("/sum"), |request, _| request.header("X-Part", "v".repeat(1000))), 431),
        (Request::get("/name").header(&"X".repeat(9000), "v"), 431),
        (many(21), 431),
        (many(500), 431),
        (Request::get(&format!("/{}", "t".repeat(1024))), 414),
        (Request::get(&format!("/?{}", "t".repeat(100_000))), 414),
    ];
    for (request, status) in rows {
        let answer = gateway.request(&request).await;
        assert_error(&answer, status, "");
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.request(&many(20)).await.status(), 200);
    assert_eq!(gateway.request(&Request::get(&format!("/{}", "t".repeat(1023)))).await.status(), 200);
    assert_eq!(gateway.request(&Request::get("/one").header("X-Long", "v".repeat(7000))).await.status(), 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused_as_soon_as_it_is_over_the_limit() {
    let (upstream, gateway) = limited("header_timeout: 20s").await;
    for (start, status) in [("GET /", 414), ("GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", 431), ("G", 501)] {
        let mut client = gateway.connect().await;
        client.send(start).await;
        client.send([b'x'; 100_000]).await;
        let answer = client.response("GET").await;
        assert_error(&answer, status, "");
        client.closed().await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_slow_head_is_a_408() {
    let (upstream, gateway) = limited("header_timeout: 400ms").await;
    let mut silent = gateway.connect().await;
    silent.send("GET / HTTP/1.1\r\nHost: gate").await;
    assert_error(&silent.response("GET").await, 408, "");
    silent.closed().await;

    // Never silent for long, never done: the time is for the whole head.
    let mut trickling = gateway.connect().await;
    let long = format!("GET / HTTP/1.1\r\nHost: gateway.test\r\nX-Slow: {}", "z".repeat(2000));
    within("a trickled head to be cut off", async {
        for byte in long.bytes() {
            if trickling.try_send([byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the whole slow head was taken");
    })
    .await;
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.request(&Request::get("/fine")).await.status(), 200);
}

#[tokio::test]
async fn the_time_for_a_head_holds_on_a_reused_connection_too() {
    let (_upstream, gateway) = limited("header_timeout: 400ms").await;
    let mut client = gateway.connect().await;
    assert_eq!(client.request(&Request::get("/first")).await.status(), 200);
    client.send("GET /second HTTP/1.1\r\nHo").await;
    assert_error(&client.response("GET").await, 408, "");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let (_upstream, gateway) = limited("header_timeout: 300ms, keepalive_timeout: 300ms").await;
    gateway.connect().await.closed().await;
    let mut client = gateway.connect().await;
    assert_eq!(client.request(&Request::get("/first")).await.status(), 200);
    assert_eq!(client.closed().await, b"", "an idle connection ends without an answer");
}

#[tokio::test]
async fn a_new_connection_has_the_time_of_a_head_for_its_first_request() {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let authority = Authority::new();
    let leaf = authority.leaf(&["gateway.test"]);
    let port = Port::free();
    let yaml = format!(
        "gateway:\n  limits: {{header_timeout: 400ms}}\n  tls: {{listen: \"{}\", cert: \"{}\", key: \"{}\"}}\n",
        port.addr(),
        leaf.cert.display(),
        leaf.key.display()
    );
    let upstream = Upstream::start(|_| Reply::ok("fine")).await;
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    // keepalive_timeout is 75 s.
    let tls = async |alpn| Client::connect_tls(port.addr(), authority.ca_file(), "gateway.test", alpn).await;
    let h2_without_a_request = [PREFACE.as_bytes(), SETTINGS].concat();
    let cases: [(&str, Client, &[u8]); 8] = [
        ("silence", gateway.connect().await, b""),
        ("half a preface in clear", gateway.connect().await, &PREFACE.as_bytes()[..12]),
        ("HTTP/2 in clear, no request", gateway.connect().await, &h2_without_a_request),
        ("no TLS handshake", Client::connect(port.addr()).await, b""),
        ("half a TLS handshake", Client::connect(port.addr()).await, b"\x16\x03\x01\x02\x00\x01"),
        ("TLS, then silence", tls(Alpn::Http1).await, b""),
        ("TLS for HTTP/2, no preface", tls(Alpn::H2).await, b""),
        ("HTTP/2 over TLS, no request", tls(Alpn::H2).await, &h2_without_a_request),
    ];
    for (what, mut client, bytes) in cases {
        if !bytes.is_empty() {
            client.send(bytes).await;
        }
        within(what, client.closed()).await;
    }
    let mut h1 = tls(Alpn::H2).await;
    h1.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(h1.closed().await, b"", "TLS said HTTP/2");
    // A connection that was of use may be idle for longer.
    let mut used = gateway.connect().await;
    let h2 = gateway.connect_h2().await;
    for pause in [Duration::from_millis(800), Duration::ZERO] {
        assert_eq!(used.request(&Request::get("/fine")).await.status(), 200);
        let request = http::Request::builder().uri("http://gateway.test/fine").body(()).expect("a request");
        assert_eq!(h2.send(request, &[]).await.status, 200);
        tokio::time::sleep(pause).await;
    }
    assert_eq!(upstream.received().len(), 4);
}

#[tokio::test]
async fn a_slow_body_is_a_408() {
    let (upstream, gateway) = limited("body_timeout: 400ms").await;
    for (framing, part) in
        [("Content-Length: 100", "half"), ("Transfer-Encoding: chunked", "5\r\nhel"), ("Content-Length: 100", "")]
    {
        let mut client = gateway.connect().await;
        client.send(format!("{HEAD}{framing}\r\n\r\n{part}")).await;
        assert_error(&client.response("POST").await, 408, "");
        client.closed().await;
    }
    assert_eq!(upstream.connections(), 0);
    assert_eq!(gateway.request(&Request::post("/fine", "12345")).await.text(), "5");
}

#[tokio::test]
async fn bodies_in_memory_are_capped_and_the_rest_told_to_come_back() {
    let (upstream, gateway) = limited("request_body: 1MiB, request_bodies_total: 1MiB").await;
    let body = vec![b'x'; 900_000];
    let whole = Request::post("/v1/messages", body);
    let bytes = whole.bytes();
    let mut holding = gateway.connect().await;
    holding.send(&bytes[..bytes.len() - 1]).await;

    // Two bodies that come in at once could keep each other out: the first one is to be there.
    within("the held body to be counted", async {
        loop {
            let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await;
            if metrics.text().contains("gateway_held_body_bytes 1048576") {
                return;
            }
        }
    })
    .await;
    let refused = gateway.request(&whole).await;
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{:?}", refused.head);
    assert_eq!(refused.json()["type"], "error");

    let small = gateway.request(&Request::get("/small")).await;
    assert_eq!(small.status(), 200, "requests without a body go on");
    holding.send(&bytes[bytes.len() - 1..]).await;
    assert_eq!(holding.response("POST").await.text(), "900000");
    within("the memory to be free again", async { while gateway.request(&whole).await.status() != 200 {} }).await;
    // What is given up is given back as well.
    for _ in 0..5 {
        let mut leaving = gateway.connect().await;
        leaving.send(&bytes[..bytes.len() - 1]).await;
        leaving.reset();
    }
    within("the memory to be free after clients left", async {
        while gateway.request(&whole).await.status() != 200 {}
    })
    .await;
    assert!(upstream.received().iter().all(|request| request.malformed.is_none()));
}

#[tokio::test]
async fn an_announced_body_takes_no_memory_before_it_comes() {
    let (upstream, gateway) = limited("request_body: 1MiB, request_bodies_total: 1MiB").await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(format!("{HEAD}Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")).await;
        // From here on the gateway waits for its body.
        assert_eq!(client.interim().await.0, 100);
        waiting.push(client);
    }
    let answer = gateway.request(&Request::post("/v1/messages", vec![b'x'; 500_000])).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "500000"), "bytes that did not come are not held");
    assert_eq!(upstream.received().len(), 1);
}
