//! Whatever an upstream sends, a client gets something that can be read in one way, and its own answer.

use harness::{Framing, Gateway, GatewayBuilder, Reply, Request, Step, Upstream};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// What a client may see of a row.
enum Want {
    /// The upstream's answer could not be understood.
    BadGateway,
    /// Exactly this body with status 200.
    Body(&'static str),
    /// Either, or an answer that is seen to be cut: but nothing else.
    BodyOrError(&'static str),
}
use Want::{BadGateway, Body, BodyOrError};

fn rows() -> Vec<(&'static str, Vec<u8>, Want)> {
    let row = |name, bytes: &[u8], want| (name, bytes.to_vec(), want);
    let huge = [b"HTTP/1.1 200 OK\r\nX-Huge: ".as_slice(), &vec![b'x'; 3 << 20], b"\r\n\r\n"].concat();
    vec![
        row("no reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", Body("ok")),
        row("no blank for no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", BodyOrError("ok")),
        row("folded", b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("folded framing", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", BodyOrError("ok")),
        row("name with blank", b"HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("blank before colon", b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("no colon", b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("NUL", b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("bare CR", b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row("length -1", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", BadGateway),
        row("length +2", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", BadGateway),
        row("length 0x2", b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", BadGateway),
        row("length 2, 3", b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!", BadGateway),
        row("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", BadGateway),
        row("length of 20 digits", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", BadGateway),
        row("equal lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", BodyOrError("ok")),
        row(
            "length and chunks",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            BodyOrError("ok"),
        ),
        row(
            "chunks twice",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            BodyOrError("ok"),
        ),
        row(
            "unknown coding",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\nContent-Length: 2\r\n\r\nok",
            BodyOrError("ok"),
        ),
        row("status 99", b"HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok", BadGateway),
        row("status 1000", b"HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok", BadGateway),
        row("HTTP/2 in text", b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
        row("HTTP/3.0", b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
        row("ICY", b"ICY 200 OK\r\n\r\nok", BadGateway),
        row("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", BadGateway),
        row(
            "a protocol nobody asked for",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            BadGateway,
        ),
        row(
            "bad chunk size",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
            BodyOrError(""),
        ),
        row(
            "chunk too long",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
            BodyOrError(""),
        ),
        row("a head of 3 MiB", &huge, BadGateway),
    ]
}

#[tokio::test]
async fn no_bad_answer_makes_a_bad_answer() {
    let upstream =
        Upstream::start(|request| match request.target.strip_prefix("/row/").and_then(|at| at.parse::<usize>().ok()) {
            Some(at) => Reply::raw(vec![Step::Raw(rows().swap_remove(at).1), Step::Close]),
            None => Reply::ok("fine"),
        })
        .await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let mut complaints = Vec::new();
    for (at, (name, _, want)) in rows().into_iter().enumerate() {
        let mut client = gateway.connect().await;
        let answer = client.try_request(&Request::get(&format!("/row/{at}"))).await;
        let complaint = match (&want, &answer) {
            (BadGateway | BodyOrError(_), Ok(answer)) if answer.status() == 502 => None,
            (Body(body) | BodyOrError(body), Ok(answer)) if answer.status() == 200 && answer.text() == *body => None,
            (BodyOrError(_), Err(harness::WireError::Cut(_) | harness::WireError::Io(_))) => None,
            (_, Ok(answer)) => Some(format!("{} {:?}", answer.status(), answer.text())),
            (_, Err(error)) => Some(error.to_string()),
        };
        complaints.extend(complaint.map(|complaint| format!("{name}: {complaint}")));
        let after = gateway.connect().await.try_request(&Request::get("/after")).await;
        if !after.as_ref().is_ok_and(|answer| answer.text() == "fine") {
            complaints.push(format!("{name}: the next request got {after:?}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn bytes_behind_an_answer_are_nobodys_answer() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::start(|request| {
        let raw = |head: &str| Reply::raw(vec![Step::Raw(format!("{head}{EVIL}").into_bytes()), Step::Stall]);
        match request.target.as_str() {
            "/length" => raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "/chunked" => raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            "/204" => raw("HTTP/1.1 204 No Content\r\n\r\n"),
            "/204-length" => raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
            "/304" => raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
            "/head" => raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            // Late: when the connection is idle already.
            "/late" => Reply::raw(vec![
                Step::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
                Step::Sleep(std::time::Duration::from_millis(20)),
                Step::Raw(EVIL.as_bytes().to_vec()),
                Step::Stall,
            ]),
            _ => Reply::ok("fine"),
        }
    })
    .await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    for target in ["/length", "/chunked", "/204", "/204-length", "/304", "/head", "/late"] {
        let mut client = gateway.connect().await;
        let method = if target == "/head" { "HEAD" } else { "GET" };
        client.send(Request::new(method, target).bytes()).await;
        let head = client.head(method).await;
        assert!([200, 204, 304].contains(&head.status), "{target}: {}", head.status);
        let mut body = Vec::new();
        while let Ok(Some(piece)) = client.try_piece().await {
            body.extend(piece);
        }
        assert!(body == b"ok" || head.framing == Framing::None, "{target}: {}", body.escape_ascii());
        if target == "/late" {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
        for at in 0..3 {
            let next = gateway.request(&Request::get(&format!("/next/{at}"))).await;
            assert_eq!((next.status(), next.text().as_str()), (200, "fine"), "after {target}");
        }
        if let Ok(next) = client.try_request(&Request::get("/same-client")).await {
            assert_eq!(next.text(), "fine", "after {target}");
        }
    }
}

#[tokio::test]
async fn interim_responses_without_end_are_ended() {
    let interim = |count: usize, field: &str| format!("HTTP/1.1 103 Early Hints\r\n{field}\r\n").repeat(count);
    let upstream = Upstream::start(move |request| {
        let (interim, end) = match request.target.as_str() {
            "/many" => (interim(5000, ""), Step::Stall),
            "/large" => (interim(50, &format!("Link: </{}>\r\n", "x".repeat(8000))), Step::Stall),
            "/some" => {
                (interim(100, "Link: </a>\r\n"), Step::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into()))
            }
            _ => return Reply::ok("fine"),
        };
        Reply::raw(vec![Step::Raw(interim.into_bytes()), end, Step::Close])
    })
    .await;
    let yaml = "gateway:\n  health: { failures: 1000 }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    for (target, most) in [("/many", 100), ("/large", 8)] {
        let before = gateway.stderr_lines();
        let mut client = gateway.connect().await;
        let answer = client.request(&Request::get(target)).await;
        assert_eq!(answer.status(), 502, "{target}: {}", answer.text());
        assert!(answer.text().contains("interim responses"), "{}", answer.text());
        assert!((1..=most).contains(&answer.head.interim.len()), "{target}: {}", answer.head.interim.len());
        let line = gateway.stderr_line(before, "an access line", |line| line.contains(" outcome=")).await;
        assert!(line.contains(" outcome=unreachable reason=interim_flood "), "{line}");
        let request = http::Request::get(format!("http://gateway.test{target}")).body(()).expect("a request");
        let answer = gateway.connect_h2().await.send(request, &[]).await;
        assert!(answer.status == 502 && answer.text().contains("interim responses"), "{target}: {}", answer.status);
    }
    let answer = gateway.request(&Request::get("/some")).await;
    assert_eq!((answer.status(), answer.head.interim.len(), answer.text().as_str()), (200, 100, "ok"));
}

#[tokio::test]
async fn an_upstream_that_sends_interim_responses_without_end_is_replaced_by_another() {
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(5000);
    let hostile = Upstream::start(move |_| Reply::raw(vec![Step::Raw(flood.clone().into_bytes()), Step::Stall])).await;
    let good = Upstream::start(|_| Reply::ok("fine")).await;
    let yaml = harness::Pool::new().add("hostile", hostile.url()).add("good", good.url()).yaml();
    let gateway = gateway().yaml(&yaml).start().await;
    let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_eq!((answer.outcome().as_str(), answer.text().as_str()), ("200 good 2", "fine"));
}
