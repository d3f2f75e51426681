//! The measuring instruments, measured: client and mock against each other, with nothing in between.

use std::time::Duration;

use harness::{
    Alpn, Authority, CREDENTIALS, Client, Deaf, DnsMode, DnsServer, Framing, Gate, H2Client, Port, Proxy, Received,
    Reply, Request, Step, Stub, TlsFront, Upstream, WireError, anthropic, fixtures, gzip, within,
};
use tokio::net::{TcpStream, UdpSocket};

#[tokio::test]
async fn the_mock_records_a_request_byte_by_byte() {
    let upstream = Upstream::start(|_| Reply::ok("hi").header("X-A", "1").header("x-a", "2")).await;
    let mut client = Client::connect(upstream.addr()).await;
    let request = Request::post("/a?b", "12345").header("X-One", "a").header("x-one", "b");
    for _ in 0..2 {
        let answer = client.request(&request).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hi"));
        assert_eq!(answer.head.headers.all("x-a"), ["1", "2"]);
    }
    let got = upstream.wait_received(2).await.pop().expect("a request");
    let head_bytes = request.bytes().len() - 5;
    assert_eq!(got.raw_head, request.bytes()[..head_bytes]);
    assert_eq!(got.headers.names(), ["Host", "X-One", "x-one", "Content-Length"]);
    assert_eq!((got.body.as_slice(), got.framing, got.connection), (b"12345".as_slice(), Framing::Length(5), 1));

    client
        .send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
        .await;
    assert_eq!(client.response("POST").await.status(), 200);
    let got = upstream.last();
    assert_eq!((got.body.as_slice(), got.framing), (b"abc".as_slice(), Framing::Chunked));
    assert_eq!(got.trailers.get("x-t").as_deref(), Some("1"));
    drop(client);
    upstream.wait_open_connections(0).await;
}

#[tokio::test]
async fn the_mock_calls_malformed_what_can_be_read_in_two_ways() {
    let upstream = Upstream::builder().allow_malformed().start(|_| Reply::ok("")).await;
    let rows = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{7f51} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    ];
    for (at, bytes) in rows.iter().enumerate() {
        let mut client = Client::connect(upstream.addr()).await;
        client.send(bytes).await;
        assert_eq!(client.response("GET").await.status(), 400, "{bytes:?}");
        assert!(upstream.wait_received(at + 1).await[at].malformed.is_some(), "{bytes:?}");
    }
    let mut cut = Client::connect(upstream.addr()).await;
    cut.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    cut.finish().await;
    assert!(upstream.wait_received(rows.len() + 1).await.pop().is_some_and(|request| request.malformed.is_some()));
}

#[tokio::test]
#[should_panic(expected = "malformed request")]
async fn a_malformed_request_fails_the_test_that_forgot_to_look() {
    let upstream = Upstream::start(|_| Reply::ok("")).await;
    let mut client = Client::connect(upstream.addr()).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    client.response("GET").await;
}

#[tokio::test]
async fn the_client_tells_a_cut_answer_from_a_whole_one() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/length" => Reply::status(200).length(10).bytes("half").step(Step::Close),
        "/chunked" => Reply::sse().bytes("half").step(Step::Close),
        "/reset" => Reply::reset(),
        "/close" => Reply::close(),
        "/close-delimited" => Reply::ok("whole").close_delimited(),
        "/garbage" => Reply::raw(vec![Step::Raw(b"garbage\r\n\r\n".to_vec())]),
        _ => Reply::sse().interim(103, &[("Link", "x")]).bytes("one").bytes("two"),
    })
    .await;
    let mut outcomes = Vec::new();
    for target in ["/length", "/chunked", "/reset", "/close", "/close-delimited", "/garbage", "/whole"] {
        let mut client = Client::connect(upstream.addr()).await;
        outcomes.push(match client.try_request(&Request::get(target)).await {
            Ok(answer) => answer.text(),
            Err(WireError::Cut(_)) => "cut".to_owned(),
            Err(WireError::Malformed(_)) => "malformed".to_owned(),
            Err(WireError::Io(_)) => "reset".to_owned(),
        });
    }
    assert_eq!(outcomes, ["cut", "cut", "reset", "cut", "whole", "malformed", "onetwo"]);
}

#[tokio::test]
async fn a_gate_holds_the_mock_and_a_leaving_client_frees_it() {
    let gate = Gate::new();
    let waits = gate.clone();
    let upstream =
        Upstream::start(move |_| Reply::sse().step(Step::Wait(waits.clone())).bytes("x").step(Step::Stall)).await;
    let mut client = Client::connect(upstream.addr()).await;
    client.send(Request::get("/").bytes()).await;
    assert_eq!(client.head("GET").await.status, 200);
    gate.open();
    assert_eq!(client.piece().await, Some(b"x".to_vec()));
    assert_eq!(upstream.open_connections(), 1);
    drop(client);
    upstream.wait_open_connections(0).await;
}

#[tokio::test]
async fn tls_upgrade_and_early_answers_work() {
    let authority = Authority::new();
    let upstream = Upstream::builder()
        .tls(&authority.leaf(&["a.test"]))
        .early(|head| (head.target == "/early").then(|| Reply::status(413).step(Step::Stall)))
        .start(|_| Reply::upgrade_echo("websocket"))
        .await;
    let mut client = Client::connect_tls(upstream.addr(), authority.ca_file(), "a.test", Alpn::Http1).await;
    client.send(Request::get("/").header("Connection", "Upgrade").header("Upgrade", "websocket").bytes()).await;
    assert_eq!(client.head("GET").await.status, 101);
    client.send("there and back").await;
    assert_eq!(client.raw(14).await, b"there and back");

    let mut client = Client::connect_tls(upstream.addr(), authority.ca_file(), "a.test", Alpn::Absent).await;
    client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
    assert_eq!(client.response("POST").await.status(), 413);
}

#[tokio::test]
async fn the_anthropic_mock_answers_every_fixture() {
    let upstream = Upstream::start(anthropic::handler()).await;
    for fixture in fixtures::all() {
        let mut client = Client::connect(upstream.addr()).await;
        client.send(fixture.bytes()).await;
        let answer = client.response("POST").await;
        assert_eq!(answer.status(), 200, "{}: {}", fixture.name, answer.text());
    }
    let mut client = Client::connect(upstream.addr()).await;
    let models = client.request(&Request::get("/v1/models").header("x-api-key", "k")).await;
    assert_eq!(models.json()["data"][0]["type"], "model");
    assert_eq!(client.request(&Request::new("HEAD", "/")).await.status(), 200);
    assert_eq!(client.request(&Request::post("/v1/messages", "{}")).await.status(), 401);
}

#[test]
fn gzip_is_what_other_programs_read() {
    let zipped = gzip(b"hello hello");
    assert_eq!(zipped[..3], [0x1f, 0x8b, 8]);
    // The checksum and length as any gzip program computes them.
    assert_eq!(zipped[zipped.len() - 4..], 11u32.to_le_bytes());
    assert_eq!(gzip(b"")[10..15], [1, 0, 0, 0xff, 0xff]);
}

#[tokio::test]
async fn a_stopped_mock_resets_its_connections_and_comes_back_where_it_was() {
    let port = Port::free();
    let builder = Upstream::builder();
    let upstream = builder.start_on(port.number(), |_| Reply::sse().bytes("x").step(Step::Stall)).await.expect("free");
    for times in 1..=5 {
        let mut client = Client::connect(upstream.addr()).await;
        client.send(Request::get("/").bytes()).await;
        client.head("GET").await;
        client.piece_until("x").await;
        upstream.stop().await;
        assert!(matches!(client.try_piece().await, Err(WireError::Io(_))), "a reset");
        assert_eq!((upstream.open_connections(), upstream.received().len()), (0, times));
        assert!(TcpStream::connect(upstream.addr()).await.is_err(), "nobody listens");
        upstream.restart().await;
    }
}

#[tokio::test]
async fn the_mock_speaks_http_2_with_and_without_tls() {
    let authority = Authority::new();
    let handler = |request: &Received| match request.target.as_str() {
        "/reset" => Reply::reset(),
        "/close" => Reply::close(),
        "/cut" => Reply::sse().bytes("half").step(Step::Reset),
        _ => Reply::sse().bytes(request.body.len().to_string()).bytes("!"),
    };
    for secured in [false, true] {
        let builder = Upstream::builder().http2();
        let upstream = match secured {
            true => builder.tls(&authority.leaf(&["a.test"])).start(handler).await,
            false => builder.start(handler).await,
        };
        let client = match secured {
            true => H2Client::connect_tls(upstream.addr(), authority.ca_file(), "a.test").await,
            false => H2Client::connect(upstream.addr()).await,
        };
        let to = |path: &str| {
            let request = http::Request::post(format!("http://a.test{path}")).header("x-one", "1");
            request.body(()).expect("a request")
        };
        for size in [0, 5, 54_000, 4 << 20] {
            let answer = client.send(to("/v1/messages?a"), &[&vec![b'x'; size]]).await;
            assert_eq!((answer.status, answer.text()), (200, format!("{size}!")));
            let got = upstream.last();
            assert_eq!((got.method.as_str(), got.target.as_str(), got.body.len()), ("POST", "/v1/messages?a", size));
            assert_eq!((got.headers.all("host"), got.headers.all("x-one")), (vec!["a.test".into()], vec!["1".into()]));
            assert_eq!(got.connection, 1);
        }
        assert!(client.try_send(to("/reset"), &[b"x"]).await.is_err_and(|failure| failure.head.is_none()));
        let cut = client.try_send(to("/cut"), &[b"x"]).await.expect_err("half an answer");
        assert_eq!((cut.head.is_some(), cut.body.as_slice()), (true, b"half".as_slice()));
        assert!(client.try_send(to("/close"), &[b"x"]).await.is_err());
        assert!(client.try_send(to("/after"), &[b"x"]).await.is_err(), "the connection is closed");
        upstream.wait_open_connections(0).await;
    }
}

#[tokio::test]
async fn a_deaf_address_lets_no_connection_through() {
    let deaf = Deaf::start().await;
    let connecting = TcpStream::connect(deaf.addr());
    assert!(tokio::time::timeout(Duration::from_millis(300), connecting).await.is_err(), "it hangs");
}

/// Asks for A (1) or AAAA (28) records; the answer's code and the count and bytes of what it holds.
async fn query(server: &DnsServer, name: &str, kind: u8) -> (u8, u8, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut query = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 0, kind, 0, 1]);
    socket.send_to(&query, server.addr()).await.expect("sent");
    let mut answer = [0; 512];
    let n = within("an answer", socket.recv(&mut answer)).await.expect("an answer");
    assert_eq!((&answer[..2], &answer[12..query.len()]), ([7, 9].as_slice(), &query[12..]));
    (answer[3] & 15, answer[7], answer[query.len()..n].to_vec())
}

#[tokio::test]
async fn the_name_server_answers_as_told_and_counts() {
    let server = DnsServer::start().await;
    server.set("relay.test", &["127.0.0.1", "::1", "127.0.0.2"]);
    server.ttl(5);
    let record =
        |kind, address: &[u8]| [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 5, 0, address.len() as u8], address].concat();
    let v4 = [record(1, &[127, 0, 0, 1]), record(1, &[127, 0, 0, 2])].concat();
    assert_eq!(query(&server, "Relay.test", 1).await, (0, 2, v4));
    let v6 = record(28, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(query(&server, "relay.test", 28).await, (0, 1, v6));
    assert_eq!(query(&server, "other.test", 1).await, (3, 0, vec![]));
    server.mode(DnsMode::Failing);
    assert_eq!(query(&server, "relay.test", 1).await, (2, 0, vec![]));
    assert_eq!(server.queries(), ["A relay.test", "AAAA relay.test", "A other.test", "A relay.test"]);
    server.mode(DnsMode::Silent);
    let silence = tokio::time::timeout(Duration::from_millis(300), query(&server, "relay.test", 1)).await;
    assert!(silence.is_err());
    server.wait_queries(5).await;
}

#[tokio::test]
async fn the_http_proxy_forwards_tunnels_and_asks_for_a_password() {
    let upstream = Upstream::start(|_| Reply::ok("hi")).await;
    let proxy = Proxy::http(true, &[]).await;
    let authority = Authority::new();
    let front = TlsFront::start(&authority.leaf(&["proxy.test"]), proxy.addr()).await;
    // proxy-user:proxy-s3cret
    let basic = "Basic cHJveHktdXNlcjpwcm94eS1zM2NyZXQ=";
    let absolute = Request::get(&format!("{}/plain?x", upstream.url()));
    assert!(Client::connect(proxy.addr()).await.try_request(&absolute).await.is_err(), "407, in HTTP/1.0");
    let absolute = absolute.header("Proxy-Authorization", basic);
    assert_eq!(Client::connect(proxy.addr()).await.request(&absolute).await.text(), "hi");
    assert_eq!(upstream.last().target, "/plain?x");
    let big = Request::post(&format!("{}/big", upstream.url()), vec![b'x'; 4 << 20]);
    let big = big.header("Proxy-Authorization", basic);
    assert_eq!(Client::connect(proxy.addr()).await.request(&big).await.text(), "hi");
    let got = upstream.last();
    assert_eq!((got.body.len(), got.headers.has("proxy-authorization")), (4 << 20, false));
    assert!(got.headers.get("via").is_some_and(|via| via.contains("tinyproxy")), "{:?}", got.headers);

    let mut client = Client::connect_tls(front.addr(), authority.ca_file(), "proxy.test", Alpn::Absent).await;
    let tunnel = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nProxy-Authorization: {basic}\r\n\r\n", upstream.addr());
    client.send(tunnel).await;
    let established = b"HTTP/1.0 200 Connection established\r\n";
    assert_eq!(client.raw(established.len()).await, established);
    while client.raw(2).await != b"\r\n" {
        while client.raw(1).await != b"\n" {}
    }
    assert_eq!(client.request(&Request::get("/tunnelled")).await.text(), "hi");
    let url = upstream.url();
    let asked = [
        format!("GET {url}/plain?x HTTP/1.1"),
        format!("POST {url}/big HTTP/1.1"),
        format!("CONNECT {} HTTP/1.1", upstream.addr()),
    ];
    assert_eq!(proxy.wait_requests(4).await[1..], asked);
}

#[tokio::test]
async fn the_socks_proxy_connects_by_name_for_who_knows_the_password() {
    let upstream = Upstream::start(|_| Reply::ok("hi")).await;
    let proxy = Proxy::socks5(true).await;
    let mut client = Client::connect(proxy.addr()).await;
    client.send([5, 1, 0]).await;
    assert_eq!(client.raw(2).await, [5, 0xff], "no method without a password");

    let mut client = Client::connect(proxy.addr()).await;
    client.send([5, 1, 2]).await;
    assert_eq!(client.raw(2).await, [5, 2]);
    let (user, password) = CREDENTIALS;
    let length = |text: &str| vec![text.len() as u8];
    client.send([vec![1], length(user), user.into(), length(password), password.into()].concat()).await;
    assert_eq!(client.raw(2).await, [1, 0]);
    let port = upstream.addr().port();
    client.send([&[5, 1, 0, 3, 9], b"localhost".as_slice(), &port.to_be_bytes()].concat()).await;
    assert_eq!(client.raw(10).await[..2], [5, 0]);
    assert_eq!(client.request(&Request::get("/")).await.text(), "hi");
    assert_eq!(proxy.wait_requests(1).await, [format!("localhost:{port}")]);
}

#[tokio::test]
async fn a_stub_says_its_one_thing_or_nothing() {
    let stub = Stub::start(Some(b"SSH-2.0\r\n")).await;
    let mut client = Client::connect(stub.addr()).await;
    client.send("hello").await;
    assert_eq!(client.closed().await, b"SSH-2.0\r\n");
    assert_eq!(stub.heard(), [b"hello"]);
    let stub = Stub::start(None).await;
    let mut client = Client::connect(stub.addr()).await;
    client.send("hello").await;
    assert!(tokio::time::timeout(Duration::from_millis(200), client.closed()).await.is_err());
}
