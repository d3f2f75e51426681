//! What a client hears when the upstream fails, and that it costs only its own request.

#[path = "upstream_failures/lines.rs"]
mod lines;

use harness::{Deaf, Gateway, GatewayBuilder, Port, Received, Reply, Request, Response, Step, Upstream};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair(timeouts: &str, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(handler).await;
    let yaml = format!("gateway:\n  timeouts: {{ {timeouts} }}\n");
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    (upstream, gateway)
}

fn assert_error(what: &str, answer: &Response, status: u16, kind: &str) {
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{what}");
    let error = answer.json();
    assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some(kind)), "{error}");
    assert!(error["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
    assert_eq!(error["request_id"].as_str(), answer.header("x-request-id").as_deref(), "{what}");
}

#[tokio::test]
async fn a_refused_connection_is_a_502_that_says_so() {
    let port = Port::free();
    let gateway = gateway().upstream(format!("http://{}", port.addr())).start().await;
    for request in [Request::get("/x"), Request::post("/v1/messages", vec![b'x'; 200_000]), Request::get("/y")] {
        let answer = gateway.request(&request).await;
        assert_error("refused", &answer, 502, "api_error");
        let message = answer.json()["error"]["message"].to_string();
        assert!(!message.contains("127.0.0.1") && !message.contains(&port.addr().port().to_string()), "{message}");
        assert!(message.contains("refused the connection"), "{message}");
        let place = port.addr().to_string();
        let line = gateway.stderr_line(0, "the operator's line", |line| line.contains("refused the connection")).await;
        assert!(line.contains(&place), "the operator reads where it is: {line}");
    }
    let head = gateway.request(&Request::new("HEAD", "/x")).await;
    assert_eq!((head.status(), head.body.len()), (502, 0));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_502() {
    let gateway = gateway().upstream("http://no-such-host.invalid").start().await;
    let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_error("unresolved", &answer, 502, "api_error");
    assert!(answer.text().contains("no-such-host.invalid"), "{}", answer.text());
}

#[tokio::test]
async fn an_upstream_that_answers_no_head_is_a_502() {
    let raw = |bytes: &[u8]| Step::Raw(bytes.to_vec());
    let (upstream, gateway) = pair("read: 20s", move |request| match request.target.as_str() {
        "/closed-before-head" => Reply::close(),
        "/reset-before-head" => Reply::reset(),
        "/closed-in-head" => Reply::raw(vec![raw(b"HTTP/1.1 200 OK\r\nContent-"), Step::Close]),
        "/reset-in-head" => Reply::raw(vec![raw(b"HTTP/1.1 200 OK\r\nContent-"), Step::Reset]),
        "/garbage" => Reply::raw(vec![raw(b"\x00\x01\x02 this is no HTTP\r\n\r\n"), Step::Close]),
        "/other-protocol" => Reply::raw(vec![raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Step::Close]),
        "/bad-status" => Reply::raw(vec![raw(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"), Step::Close]),
        "/bad-length" => Reply::raw(vec![raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello"), Step::Close]),
        "/two-lengths" => Reply::raw(vec![
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nhello"),
            Step::Close,
        ]),
        // Leaves no connection behind: what fails on a fresh one must not be sent twice.
        _ => Reply::ok("fine").header("Connection", "close"),
    })
    .await;
    let mut complaints = Vec::new();
    for target in [
        "/closed-before-head",
        "/reset-before-head",
        "/closed-in-head",
        "/reset-in-head",
        "/garbage",
        "/other-protocol",
        "/bad-status",
        "/bad-length",
        "/two-lengths",
    ] {
        for request in [Request::get(target), Request::post(target, "{}")] {
            let mut client = gateway.connect().await;
            match client.try_request(&request).await {
                Ok(answer) if answer.status() == 502 => assert_error(target, &answer, 502, "api_error"),
                Ok(answer) => complaints.push(format!("{target}: {} {:?}", answer.status(), answer.text())),
                Err(error) => complaints.push(format!("{target}: {error}")),
            }
            assert_eq!(gateway.request(&Request::get("/after")).await.text(), "fine", "after {target}");
        }
    }
    assert!(complaints.is_empty(), "no 502:\n{}", complaints.join("\n"));
    let posts = upstream.received().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 9, "a request that may have been worked on is not sent twice");
}

#[tokio::test]
async fn a_truncated_answer_is_truncated_at_the_client_too() {
    let (_upstream, gateway) = pair("read: 20s", |request| match request.target.as_str() {
        "/length-close" => Reply::status(200).length(100).bytes("half").step(Step::Close),
        "/length-reset" => Reply::status(200).length(100).bytes("half").step(Step::Reset),
        "/chunked-close" => Reply::sse().bytes("data: half\n\n").step(Step::Close),
        "/chunked-in-chunk" => {
            Reply::sse().bytes("data: half\n\n").step(Step::Raw(b"40\r\nda".to_vec())).step(Step::Close)
        }
        "/chunked-reset" => Reply::sse().bytes("data: half\n\n").step(Step::Reset),
        "/bad-chunk" => Reply::sse().bytes("data: half\n\n").step(Step::Raw(b"zz\r\n".to_vec())).step(Step::Stall),
        _ => Reply::ok("fine"),
    })
    .await;
    let targets =
        ["/length-close", "/length-reset", "/chunked-close", "/chunked-in-chunk", "/chunked-reset", "/bad-chunk"];
    for target in targets {
        let mut client = gateway.connect().await;
        client.send(Request::post(target, "{}").bytes()).await;
        let answer = client.try_response("POST").await;
        assert!(answer.is_err(), "{target}: a whole answer came out of half of one: {answer:?}");
        assert_eq!(gateway.request(&Request::get("/after")).await.text(), "fine", "after {target}");
    }
}

#[tokio::test]
async fn an_upstream_that_stays_silent_is_a_504() {
    let (upstream, gateway) = pair("read: 400ms", |request| match request.target.as_str() {
        "/silent" => Reply::stall(),
        "/half-a-head" => Reply::raw(vec![Step::Raw(b"HTTP/1.1 200 OK\r\nConte".to_vec()), Step::Stall]),
        _ => Reply::ok("fine"),
    })
    .await;
    for target in ["/silent", "/half-a-head"] {
        let answer = gateway.request(&Request::post(target, "{}")).await;
        assert_error(target, &answer, 504, "timeout_error");
        upstream.wait_open_connections(0).await;
        assert_eq!(gateway.request(&Request::get("/after").header("Connection", "close")).await.text(), "fine");
    }
    let silent = upstream.received().iter().filter(|request| request.target == "/silent").count();
    assert_eq!(silent, 1, "a timeout is not tried again");
}

#[tokio::test]
async fn a_stream_that_stalls_is_cut() {
    let (upstream, gateway) = pair("read: 400ms", |_| Reply::sse().bytes("data: 1\n\n").step(Step::Stall)).await;
    let mut client = gateway.connect().await;
    client.send(Request::post("/v1/messages", "{}").bytes()).await;
    assert_eq!(client.head("POST").await.status, 200);
    client.piece_until("data: 1\n\n").await;
    assert!(client.try_piece().await.is_err(), "a stalled stream must not look complete");
    upstream.wait_open_connections(0).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_connection_that_takes_too_long_is_a_504() {
    let deaf = Deaf::start().await;
    let yaml = "gateway:\n  timeouts: { connect: 400ms }\n";
    let gateway = gateway().upstream(format!("http://{}", deaf.addr())).yaml(yaml).start().await;
    let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_error("connect", &answer, 504, "timeout_error");
}

#[tokio::test]
async fn one_bad_answer_leaves_other_requests_alone() {
    let (_upstream, gateway) = pair("read: 20s", |request| match request.target.as_str() {
        "/bad" => Reply::reset(),
        _ => Reply::sse().bytes("data: 1\n\n").bytes("data: 2\n\n"),
    })
    .await;
    let gateway = std::sync::Arc::new(gateway);
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..60 {
        let gateway = std::sync::Arc::clone(&gateway);
        tasks.spawn(async move {
            let bad = at % 3 == 0;
            let answer = gateway.request(&Request::post(if bad { "/bad" } else { "/good" }, "{}")).await;
            assert_eq!(answer.status(), if bad { 502 } else { 200 });
            assert!(bad || answer.text() == "data: 1\n\ndata: 2\n\n");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no task panics");
    }
}
