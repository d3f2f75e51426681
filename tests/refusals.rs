//! docs/refusals.md says how the gateway refuses, and whether to try again. Its rows are what this test compares with.

use harness::{Deaf, Gateway, GatewayBuilder, Port, Reply, Request, Response, Step, Upstream};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// What an upstream does, and the name of it.
type Case = (&'static str, fn() -> Reply);

/// What the document says of a reason.
#[derive(Clone, Debug)]
struct Row {
    statuses: Vec<u16>,
    types: Vec<String>,
    again: String,
}

fn row_of(reason: &str) -> Row {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/refusals.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let is_it = |line: &&str| line.starts_with("| `") && line.contains(&format!("`{reason}`"));
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("no row for {reason}"));
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let numbers = cells[1].split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let types = cells[2].split('`').skip(1).step_by(2).map(str::to_owned);
    Row { statuses: numbers.collect(), types: types.collect(), again: cells[3].to_owned() }
}

/// Whether the response is as the document has it for this reason.
#[track_caller]
fn assert_refusal(reason: &str, answer: &Response) {
    let row = row_of(reason);
    assert!(row.statuses.contains(&answer.status()), "{reason}: {} {}", answer.status(), answer.text());
    let kind = answer.json()["error"]["type"].as_str().unwrap_or_default().to_owned();
    assert!(row.types.contains(&kind), "{reason}: {kind}");
    assert_eq!(told(answer), row.again, "{reason}");
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"), "{reason}");
}

/// What a response says of trying again, in the document's words.
fn told(answer: &Response) -> String {
    match (answer.header("x-should-retry").as_deref(), answer.header("retry-after")) {
        (Some("false"), None) => "no".to_owned(),
        (None, Some(seconds)) => format!("`{seconds}`"),
        (None, None) => "as it likes".to_owned(),
        both => panic!("both, or something else: {both:?}"),
    }
}

/// The reason stands in the access log.
async fn assert_logged(gateway: &Gateway, from: usize, reason: &str) {
    let wanted = format!(" reason={reason} ");
    gateway.stderr_line(from, &wanted, |line| line.contains(&wanted)).await;
}

#[tokio::test]
async fn requests_that_break_the_protocol_or_a_bound_are_told_whether_to_come_again() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:\n  limits: {header_timeout: 500ms, body_timeout: 500ms, request_body: 10KiB, header_bytes: 8KiB, \
                header_count: 20, target_bytes: 1KiB}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n");
    let post = |fields: &str| format!("POST /v1/messages HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n");
    let many: String = (0..30).map(|n| format!("X-{n}: v\r\n")).collect();
    let cases = [
        ("not_http", "\x16\x03\x01\x02\x00\x01".to_owned()),
        ("request_line", "GET / http/1.1\r\nHost: gateway.test\r\n\r\n".to_owned()),
        ("line_end", "GET / HTTP/1.1\nHost: gateway.test\n\n".to_owned()),
        ("method", "TRACE / HTTP/1.1\r\nHost: gateway.test\r\n\r\n".to_owned()),
        ("version", "GET / HTTP/3.0\r\nHost: gateway.test\r\n\r\n".to_owned()),
        ("target", "GET index HTTP/1.1\r\nHost: gateway.test\r\n\r\n".to_owned()),
        ("header", get("Bad Name: x\r\n")),
        ("host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("connection", get("Connection: host\r\n")),
        ("content_length", post("Content-Length: abc\r\n")),
        ("transfer_encoding", post("Transfer-Encoding: gzip, chunked\r\n")),
        ("transfer_encoding", post("Transfer-Encoding: gzip\r\n")),
        ("framing", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("chunked", format!("{}zz\r\n", post("Transfer-Encoding: chunked\r\n"))),
        ("expect", post("Expect: miracles\r\nContent-Length: 2\r\n")),
        ("target_bytes", format!("GET /{} HTTP/1.1\r\nHost: gateway.test\r\n\r\n", "t".repeat(2000))),
        ("header_bytes", get(&format!("X-Long: {}\r\n", "v".repeat(9000)))),
        ("header_count", get(&many)),
        ("request_body", post("Content-Length: 10241\r\n")),
        ("header_timeout", "GET / HTTP/1.1\r\nHost: gate".to_owned()),
        ("body_timeout", format!("{}half", post("Content-Length: 100\r\n"))),
    ];
    for (reason, bytes) in cases {
        let from = gateway.stderr_lines();
        let method = if bytes.starts_with("POST") { "POST" } else { "GET" };
        assert_refusal(reason, &gateway.exchange(bytes, method).await);
        assert_logged(&gateway, from, reason).await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn over_http2_it_is_the_same() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:\n  limits: {request_body: 10KiB}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let client = gateway.connect_h2().await;
    let request = http::Request::post("http://gateway.test/v1/messages").body(()).expect("a request");
    let answer = client.send(request, &[&[b'x'; 20_000]]).await;
    assert_eq!(
        (answer.status, answer.headers.get("x-should-retry").map(|value| value.as_bytes())),
        (413, Some(&b"false"[..]))
    );
}

#[tokio::test]
async fn who_may_not_is_told_once() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let key = "0123456789abcdef-the-panel's-own";
    let yaml = format!(
        "gateway:\n  dashboard: {{api_key: \"{key}\"}}\n  upstreams:\n    - {{name: a, base_url: \"{}\", api_key: sk-own}}\n  \
         routes: [{{keys: [sk-known], upstream: a}}]\n",
        upstream.url()
    );
    let gateway = gateway().yaml(&yaml).start().await;
    let known = |request: Request| request.header("x-api-key", "sk-known");
    let open = {
        let yaml = "gateway:\n  rules:\n    - {name: key, match: {path: /v1/messages}, headers: {set: {x-api-key: sk-a-secret}}}\n";
        self::gateway().upstream(upstream.url()).yaml(yaml).start().await
    };
    for (gateway, reason, request) in [
        (&gateway, "unknown_key", Request::post("/v1/messages", "{}").header("x-api-key", "sk-other")),
        (&gateway, "unknown_key", Request::get("/v1/models?limit=1000")),
        (&gateway, "panel_key", Request::post("/v1/messages", "{}").header("x-api-key", key)),
        // One that is not there yet when the head is looked at, as those of Claude Code.
        (&gateway, "panel_key", Request::post("/v1/messages", "x".repeat(300_000)).header("x-api-key", key)),
        (&gateway, "panel_key", known(Request::post("/v1/messages", format!("{{\"a\":\"{key}\"}}")))),
        (&gateway, "service_worker", known(Request::get("/sw.js")).header("Service-Worker", "script")),
        (&open, "cross_site", Request::post("/v1/messages", "{}").header("Origin", "https://evil.example")),
    ] {
        let from = gateway.stderr_lines();
        assert_refusal(reason, &gateway.request(&request).await);
        assert_logged(gateway, from, reason).await;
    }
    let nobody = gateway.request(&known(Request::get("//api//admin/x"))).await;
    assert_eq!((nobody.status(), told(&nobody).as_str()), (404, "no"), "{}", nobody.text());
    assert_eq!(nobody.json()["error"]["type"], "not_found_error");
    assert_eq!(upstream.received().len(), 0);
}

/// A gateway whose only upstream does this.
async fn with_upstream(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::builder().allow_malformed().start(move |_| reply()).await;
    let yaml = "gateway:\n  timeouts: {connect: 500ms, read: 30s, first_byte: 500ms, first_event: 500ms}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn what_fails_at_an_upstream_may_be_tried_again_where_that_can_help() {
    let raw = |bytes: &'static [u8]| Step::Raw(bytes.to_vec());
    let cases: [Case; 6] = [
        ("first_byte_timeout", Reply::stall),
        ("first_event_timeout", || Reply::sse().bytes(": nothing\n\n").step(Step::Stall)),
        ("closed", Reply::close),
        ("no_answer", || Reply::json("")),
        ("web_page", || {
            Reply::ok("<!doctype html><title>Just a moment...</title>").header("Content-Type", "text/html")
        }),
        ("interim_flood", || {
            let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5000);
            Reply::raw(vec![Step::Raw(interim.into_bytes()), Step::Stall])
        }),
    ];
    for (reason, reply) in cases {
        let (_upstream, gateway) = with_upstream(reply).await;
        let request = Request::post("/v1/messages", "{\"stream\":true}");
        assert_refusal(reason, &gateway.request(&request).await);
        assert_logged(&gateway, 0, reason).await;
    }
    let (_upstream, gateway) =
        with_upstream(move || Reply::raw(vec![raw(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"), Step::Close]))
            .await;
    assert_refusal("bad_answer", &gateway.request(&Request::post("/v1/messages", "{}")).await);
}

#[tokio::test]
async fn what_cannot_be_reached_may_be_back_at_any_time() {
    let (nobody, deaf) = (Port::free(), Deaf::start().await);
    let timeouts = "  timeouts: {connect: 500ms}\n";
    let proxied = format!("{timeouts}  proxy: {{http: \"http://{}\"}}\n", nobody.addr());
    for (reason, url, yaml) in [
        ("connect_refused", format!("http://{}", nobody.addr()), timeouts),
        ("connect_timeout", format!("http://{}", deaf.addr()), timeouts),
        ("resolve", "http://no-such-host.invalid".to_owned(), timeouts),
        ("proxy", "http://relay.example".to_owned(), proxied.as_str()),
    ] {
        let gateway = gateway().upstream(url).yaml(&format!("gateway:\n{yaml}")).start().await;
        assert_refusal(reason, &gateway.request(&Request::post("/v1/messages", "{}")).await);
        assert_logged(&gateway, 0, reason).await;
    }
}

/// A certificate that nobody trusts stays so, however often it is asked for.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_tried_once() {
    let authority = harness::Authority::new();
    let leaf = authority.leaf(&["127.0.0.1"]);
    let upstream = Upstream::builder().tls(&leaf).start(|_| Reply::ok("{}")).await;
    let other = Upstream::start(|_| Reply::close()).await;
    for (urls, again) in [
        (upstream.url(), "no"),
        // One of two may be back.
        (format!("{},{}", upstream.url(), other.url()), "as it likes"),
        (format!("{},{}/b", upstream.url(), upstream.url()), "no"),
    ] {
        let gateway = gateway().env("API_BASE_URLS", &urls).start().await;
        let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
        assert_eq!((answer.status(), told(&answer).as_str()), (502, again), "{urls}: {}", answer.text());
    }
}

/// The upstream's own word on it goes through as it came.
#[tokio::test]
async fn what_an_upstream_says_of_trying_again_goes_through() {
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"no\"}}";
    for status in [401, 402, 403, 404, 429, 529] {
        for (name, value) in [("x-should-retry", "true"), ("retry-after", "3600"), ("x-other", "1")] {
            let upstream = Upstream::start(move |_| Reply::status(status).header(name, value).body(error)).await;
            let gateway = gateway().upstream(upstream.url()).start().await;
            let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
            assert_eq!((answer.status(), answer.text().as_str()), (status, error));
            assert_eq!(answer.header(name).as_deref(), Some(value));
            let mut own = ["x-should-retry", "retry-after"].into_iter().filter(|own| *own != name);
            assert!(own.all(|own| answer.header(own).is_none()), "{status} {name}: {:?}", answer.head);
        }
    }
}
