//! Request bodies: nothing is read of one whose sender may not go anywhere, and nobody keeps the memory for all of them to
//! himself.

use std::time::Duration;

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Response, Step, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A gateway that serves only the key `sk-known`.
async fn closed(more: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|request| Reply::ok(request.body.len().to_string())).await;
    let yaml = format!(
        "gateway:\n  upstreams: [{{name: one, base_url: \"{}\", api_key: sk-own}}]\n  routes: [{{keys: sk-known, \
         upstream: one}}]\n{more}",
        upstream.url()
    );
    let gateway = gateway().yaml(&yaml).start().await;
    (upstream, gateway)
}

fn head(key: &str, framing: &str) -> String {
    format!("POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\nx-api-key: {key}\r\n{framing}\r\n\r\n")
}

fn assert_unknown(answer: &Response) {
    assert_eq!(answer.status(), 401, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn a_body_of_nobody_is_not_waited_for() {
    let (upstream, gateway) = closed("").await;
    for framing in [
        "Content-Length: 20000000",
        "Content-Length: 20000000\r\nExpect: 100-continue",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nExpect: 100-continue",
    ] {
        let answer = gateway.exchange(head("sk-of-nobody", framing), "POST").await;
        assert_unknown(&answer);
        assert!(answer.head.interim.is_empty(), "nobody is asked for a body that is not wanted");
    }
    let client = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages").header("x-api-key", "sk-of-nobody");
    let begun = client.begin(request.body(()).expect("a request"), b"the beginning").await;
    let (status, text) = begun.answer().await.expect("an answer");
    assert!(status == 401 && text.contains("authentication_error"), "{status} {text}");

    let line = gateway.stderr_line(0, "the refusal", |line| line.contains("unknown_key")).await;
    assert!(line.contains("rejected") && line.contains("/v1/messages"), "{line}");
    assert_eq!(upstream.connections(), 0);
    let known = Request::post("/v1/messages", vec![b'x'; 3_000_000]).header("x-api-key", "sk-known");
    assert_eq!(gateway.request(&known).await.text(), "3000000");
    let request = http::Request::post("http://gateway.test/v1/messages").header("x-api-key", "sk-known");
    let answer = client.send(request.body(()).expect("a request"), &[&vec![b'x'; 3_000_000]]).await;
    assert_eq!(answer.text(), "3000000");
}

#[tokio::test]
async fn the_refusal_reaches_a_client_that_reads_only_when_it_has_sent_all() {
    use std::io::{Read as _, Write as _};
    let (_upstream, gateway) = closed("").await;
    let addr = gateway.addr();
    let exchange = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(addr)?;
        let request = Request::post("/v1/messages", vec![b'x'; 30 << 20]).header("x-api-key", "sk-of-nobody");
        stream.write_all(&request.bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = exchange.await.expect("joined").expect("neither sending nor reading was cut");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_rule_that_needs_no_body_answers_whoever_asks() {
    let rules = "  rules:\n    - {name: hello, match: {path: /hello}, respond: {status: 202, body: hello}}\n    \
                 - {name: model, match: {path: /model, model: m}, respond: {status: 202, body: model}}\n";
    let (upstream, gateway) = closed(rules).await;
    let mut client = gateway.connect().await;
    for target in ["/hello", "http://gateway.test/hello"] {
        client.send(format!("POST {target} HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 11\r\n\r\n")).await;
        client.send("{\"model\":1}").await;
        let answer = client.response("POST").await;
        assert_eq!((answer.status(), answer.text().as_str()), (202, "hello"), "{target}");
    }
    // The same connection goes on. A rule that has to see the body answers whoever sent it together with the head; it is
    // not waited for.
    let body = r#"{"model":"m"}"#;
    assert_eq!(client.request(&Request::post("/model", body)).await.text(), "model");
    let unread = "POST /model HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9000\r\n\r\n";
    assert_unknown(&gateway.exchange(unread, "POST").await);
    assert!(upstream.received().is_empty());
    // Nor do the gateway's own pages ask for a key of a route.
    let own = "POST /api/admin/login HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9000\r\n\r\n";
    let mut client = gateway.connect().await;
    client.send(own).await;
    client.send(vec![b'x'; 9000]).await;
    let answer = client.response("POST").await;
    assert!(!answer.text().contains("gateway.routes"), "{}", answer.text());
}

async fn metric(gateway: &Gateway, wanted: &str) -> bool {
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await;
    metrics.text().lines().any(|line| line == wanted)
}

/// Waits until so many bytes of bodies are held.
async fn wait_held(gateway: &Gateway, bytes: u64) {
    within("all of the memory to be taken", async {
        loop {
            let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
            let held = metrics.lines().find_map(|line| line.strip_prefix("gateway_held_body_bytes ")?.parse().ok());
            if held >= Some(bytes) {
                return;
            }
        }
    })
    .await;
}

async fn limited(limits: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|request| Reply::ok(request.body.len().to_string())).await;
    let gateway =
        gateway().upstream(upstream.url()).yaml(&format!("gateway:\n  limits: {{ {limits} }}\n")).start().await;
    (upstream, gateway)
}

/// A body of which some bytes are missing.
async fn hoard(gateway: &Gateway, from: u8, bytes: usize, missing: usize) -> Client {
    let mut client = Client::connect_from(from, gateway.addr()).await;
    client.send(head(&format!("sk-client-{from}"), &format!("Content-Length: {bytes}"))).await;
    client.send(vec![b'x'; bytes - missing]).await;
    client
}

fn post(key: &str, bytes: usize) -> Request {
    Request::post("/v1/messages", vec![b'x'; bytes]).header("x-api-key", key)
}

#[tokio::test]
async fn one_client_does_not_keep_the_memory_for_bodies_to_itself() {
    let (_upstream, gateway) = limited("request_body: 4MiB, request_bodies_total: 4MiB").await;
    let mut hoarded = Vec::new();
    for _ in 0..2 {
        hoarded.push(hoard(&gateway, 1, 2 << 20, 2).await);
    }
    wait_held(&gateway, 4_194_000).await;
    // Another one at the same address is as much to blame as the first.
    let mut same = Client::connect_from(1, gateway.addr()).await;
    assert_eq!(same.request(&post("sk-other", 500_000)).await.status(), 503);
    for from in [2, 3] {
        let mut other = Client::connect_from(from, gateway.addr()).await;
        let answer = other.request(&post("sk-other", 500_000)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "500000"), "from 127.0.0.{from}");
    }
    assert!(metric(&gateway, "gateway_evicted_bodies_total{reason=\"share\"} 1").await);
    // One of the two had to go, and is told why; the other one may end its body.
    let first = hoarded.remove(0);
    let (gone, kept) = tokio::join!(finish(first), finish(hoarded.remove(0)));
    let (gone, kept) = if gone.status() == 200 { (kept, gone) } else { (gone, kept) };
    assert_eq!((gone.status(), kept.status()), (503, 200), "{}", gone.text());
    assert!(gone.text().contains("quarter") && gone.header("retry-after").is_some(), "{}", gone.text());
    within("everything to be given back", async { while !metric(&gateway, "gateway_held_body_bytes 0").await {} })
        .await;
}

/// The missing two bytes, and the answer.
async fn finish(mut client: Client) -> Response {
    let _ = client.try_send("xx").await;
    client.response("POST").await
}

#[tokio::test]
async fn small_bodies_without_end_make_room_too() {
    let (_upstream, gateway) = limited("request_body: 1MiB, request_bodies_total: 1MiB").await;
    let mut hoarded = Vec::new();
    for _ in 0..17 {
        hoarded.push(hoard(&gateway, 1, 60_000, 2).await);
    }
    wait_held(&gateway, 1_000_000).await;
    let client = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages");
    let answer = client.send(request.body(()).expect("a request"), &[&vec![b'x'; 60_000]]).await;
    assert_eq!(answer.status, 503, "of the same address");
    let mut other = Client::connect_from(2, gateway.addr()).await;
    assert_eq!(other.request(&post("sk-other", 60_000)).await.text(), "60000");
}

#[tokio::test]
async fn whole_bodies_of_one_client_leave_room_for_another() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/held" => Reply::raw(vec![Step::Stall]),
        _ => Reply::ok(request.body.len().to_string()),
    })
    .await;
    let yaml = "gateway:\n  limits: { request_body: 1MiB, request_bodies_total: 4MiB }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect_from(1, gateway.addr()).await;
        client.send(Request::post("/held", vec![b'x'; 1 << 20]).bytes()).await;
        held.push(client);
    }
    wait_held(&gateway, 3 << 20).await;
    let mut other = Client::connect_from(2, gateway.addr()).await;
    let answer = other.request(&post("sk-other", 500_000)).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "500000"));
    let mut same = Client::connect_from(1, gateway.addr()).await;
    assert_eq!(same.request(&post("sk-other", 1 << 20)).await.status(), 503, "it has what it may have");
}

#[tokio::test]
async fn bodies_that_drip_are_the_first_to_go() {
    let (_upstream, gateway) = limited("request_body: 1MiB, request_bodies_total: 1MiB").await;
    let mut hoarded = Vec::new();
    for from in 1..=4 {
        hoarded.push(hoard(&gateway, from, 256 << 10, 100).await);
    }
    wait_held(&gateway, 1_000_000).await;
    let mut other = Client::connect_from(5, gateway.addr()).await;
    assert_eq!(other.request(&post("sk-other", 200_000)).await.status(), 503, "nobody has more than a share");
    // Each of them sends a byte now and then; nobody is over its share, but the time comes when they are slow.
    within("room", async {
        loop {
            hoarded[3].send("x").await;
            let mut other = Client::connect_from(5, gateway.addr()).await;
            if other.request(&post("sk-other", 200_000)).await.status() == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    })
    .await;
    assert!(metric(&gateway, "gateway_evicted_bodies_total{reason=\"slow\"} 1").await);
}
