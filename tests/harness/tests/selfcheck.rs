//! The measuring instruments, measured: client and mock against each other, with nothing in between.

use harness::{
    Alpn, Authority, Client, Framing, Gate, Reply, Request, Step, Upstream, WireError, anthropic, fixtures, gzip,
};

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
