//! docs/refusals.md says how the gateway refuses, and whether to try again. Its rows are what this test compares with.

#[path = "refusals/language.rs"]
mod language;

use harness::{
    Authority, Deaf, DnsMode, DnsServer, Gateway, GatewayBuilder, Pool, Port, Reply, Request, Response, Step, Stub,
    TlsFront, Upstream, ask, within,
};
use std::time::Duration;

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
    Row { statuses: numbers.collect(), types: types.collect(), again: cells[cells.len() - 1].to_owned() }
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

/// What a gateway with these settings says of trying again, the status, and what the upstreams did by its request log.
async fn failed(yaml: &str) -> (u16, String, Vec<serde_json::Value>) {
    let gateway = logging().yaml(yaml).start().await;
    let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
    (answer.status(), told(&answer), tried(&gateway, &answer).await)
}

/// A gateway with a request log.
fn logging() -> GatewayBuilder {
    gateway().env("GATEWAY_DB", "data/log.db")
}

/// What each upstream did.
async fn tried(gateway: &Gateway, answer: &Response) -> Vec<serde_json::Value> {
    let id = answer.header("x-request-id").expect("an id");
    let request = gateway.as_admin(Request::get(&format!("/api/admin/requests/{id}")).header("Host", "127.0.0.1"));
    let detail = within("the request's row", async {
        loop {
            let detail = gateway.request(&request).await;
            match detail.status() {
                200 => break detail.json(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    detail["tried"].as_array().expect("a list").clone()
}

/// What the document says of this code.
fn again_by(code: &str) -> String {
    let row = row_of(code);
    assert!(!row.again.is_empty(), "{code}: {row:?}");
    row.again
}

#[tokio::test]
async fn a_certificate_that_is_wrong_is_tried_once() {
    let authority = Authority::new();
    let trusted = format!("ca_file: \"{}\"", authority.ca_file().display());
    for (fault, leaf, more) in [
        ("expired", authority.leaf_valid(&["a", "127.0.0.1"], 2000..2001), &*trusted),
        ("not_yet_valid", authority.leaf_valid(&["b", "127.0.0.1"], 2900..2901), &trusted),
        ("other_name", authority.leaf(&["relay.example"]), &trusted),
        ("self_signed", authority.leaf_that_is_an_authority(&["c", "127.0.0.1"]), &trusted),
        ("unknown_issuer", authority.leaf(&["127.0.0.1"]), ""),
        ("invalid", authority.leaf_of_a_client(&["d", "127.0.0.1"]), &trusted),
    ] {
        let upstream = Upstream::builder().tls(&leaf).start(|_| Reply::ok("{}")).await;
        let (status, told, tried) = failed(&Pool::new().add_with("a", upstream.url(), more).yaml()).await;
        assert_eq!((status, &*told), (502, "no"), "{fault}: {tried:?}");
        assert_eq!((&tried[0]["code"], &tried[0]["parameters"]["fault"]), (&"tls".into(), &fault.into()));
        assert_eq!(told, again_by(&format!("tls.{fault}")));
        assert_eq!(upstream.received().len(), 0);
    }
    let plain = Upstream::builder().allow_malformed().start(|_| Reply::ok("{}")).await;
    let (status, told, tried) = failed(&Pool::new().add("a", format!("https://{}", plain.addr())).yaml()).await;
    assert_eq!((status, told), (502, again_by("tls.not_tls")), "{tried:?}");
    assert_eq!(tried[0]["parameters"]["fault"], "not_tls");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_tried_once_and_one_that_fails_again() {
    let answers = |status: &str| -> &'static [u8] {
        format!("HTTP/1.1 {status}\r\nServer: tinyproxy/1.11\r\nContent-Length: 0\r\n\r\n").into_bytes().leak()
    };
    let mut rows = Vec::new();
    for (status, refusal) in [
        ("407 Who", "credentials"),
        ("401 Who", "credentials"),
        ("403 No", "forbidden"),
        ("502 Bad", ""),
        ("503 Later", ""),
    ] {
        for (scheme, base) in [("http", "https://relay.example"), ("http", "http://relay.example")] {
            rows.push((scheme, base, answers(status), refusal));
        }
    }
    let https = "https://relay.example";
    rows.push(("socks5h", https, b"\x05\xff", "credentials"));
    rows.push(("socks5h", https, b"\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "forbidden"));
    rows.push(("socks5h", https, b"\x05\x00\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", ""));
    rows.push(("http", https, b"", ""));
    for (scheme, base, says, refusal) in rows {
        let proxy = Stub::start(Some(says)).await;
        let more = format!("proxy: \"{scheme}://{}\"", proxy.addr());
        let (status, told, tried) = failed(&Pool::new().add_with("a", base, &more).yaml()).await;
        let what = format!("{scheme} to {base}, {}: {tried:?}", says.escape_ascii());
        assert_eq!((status, &*told), (502, if refusal.is_empty() { "as it likes" } else { "no" }), "{what}");
        let fault = &tried[0];
        let code = match fault["code"].as_str().expect("a code") {
            "proxy_answer" => format!("proxy_answer.{}", fault["parameters"]["status"]),
            _ if refusal.is_empty() => {
                assert_eq!(fault["parameters"].get("refusal"), None, "{what}");
                "proxy".to_owned()
            }
            _ => {
                assert_eq!(fault["parameters"]["refusal"], refusal, "{what}");
                format!("proxy.{refusal}")
            }
        };
        if !refusal.is_empty() {
            assert_eq!(told, again_by(&code), "{what}");
        }
    }
    let authority = Authority::new();
    let behind = Stub::start(Some(b"")).await;
    let front = TlsFront::start(&authority.leaf(&["127.0.0.1"]), behind.addr()).await;
    let more = format!("proxy: \"https://{}\"", front.addr());
    let (_, told, tried) = failed(&Pool::new().add_with("a", https, &more).yaml()).await;
    assert_eq!((told, &tried[0]["parameters"]["refusal"]), (again_by("proxy.certificate"), &"certificate".into()));
}

/// A name that does not exist is one thing, and a server that cannot say is another. What follows of it after 30 s is in the
/// unit tests of the resolver and of the table.
#[tokio::test]
async fn a_name_that_does_not_exist_is_told_apart_from_one_that_cannot_be_looked_up() {
    for proxied in [false, true] {
        for (mode, is_absent) in [(DnsMode::Answering, true), (DnsMode::Failing, false)] {
            let server = DnsServer::start().await;
            server.mode(mode);
            let dns = format!("dns: {{ servers: \"{}\" }}\ntimeouts: {{ connect: 5s }}", server.addr());
            let (base, more) = match proxied {
                true => ("https://127.0.0.1:9", "proxy: \"http://proxy.test:3128\""),
                false => ("https://relay.test", ""),
            };
            let pool = Pool::new().add_with("a", base, more).setting(&dns);
            let gateway = logging().yaml(&pool.yaml()).start().await;
            for at in 0..2 {
                let answer = gateway.request(&ask(at)).await;
                assert_eq!((answer.status(), &*told(&answer)), (502, "as it likes"), "{mode:?}: {}", answer.text());
                let tried = tried(&gateway, &answer).await;
                assert_eq!(tried[0]["code"], if proxied { "proxy" } else { "resolve" }, "{tried:?}");
                let absent = tried[0]["parameters"]["absent_ms"].as_u64();
                assert_eq!(absent.is_some(), is_absent, "{mode:?}: {tried:?}");
                assert!(
                    at == 0 || absent.is_none_or(|absent| absent > 0),
                    "the time since it was first found: {tried:?}"
                );
            }
        }
    }
}

/// Servers are known to say of a name without an IPv6 address that it does not exist (RFC 4074 section 4.2).
#[tokio::test]
async fn one_kind_of_address_alone_does_not_make_a_name_absent() {
    let server = DnsServer::start().await;
    server.mode(DnsMode::NoSix);
    let dns = format!("dns: {{ servers: \"{}\" }}\ntimeouts: {{ connect: 5s }}", server.addr());
    let (_, told, tried) = failed(&Pool::new().add("a", "https://relay.test").setting(&dns).yaml()).await;
    assert_eq!((&*told, tried[0]["parameters"].get("absent_ms")), ("as it likes", None), "{tried:?}");
}

#[tokio::test]
async fn of_several_upstreams_one_that_may_be_back_is_enough_tried_or_not() {
    let authority = Authority::new();
    let leaf = authority.leaf(&["127.0.0.1"]);
    let upstream = Upstream::builder().tls(&leaf).start(|_| Reply::ok("{}")).await;
    let other = Upstream::start(|_| Reply::close()).await;
    let (bad, close) = (upstream.url(), other.url());
    let two = |second: &str| Pool::new().add("a", &bad).add("b", second).generous();
    for (pool, again) in [
        (Pool::new().add("a", &bad), "no"),
        (two(&format!("{bad}/b")), "no"),
        (two(&close), "as it likes"),
        // Not tried, but it would be by the next request.
        (two(&format!("{bad}/b")).failover("max_attempts: 1"), "as it likes"),
        (two(&close).failover("max_attempts: 1"), "as it likes"),
    ] {
        let (status, told, tried) = failed(&pool.yaml()).await;
        assert_eq!((status, &*told), (502, again), "{tried:?}\n{}", pool.yaml());
    }
}

/// An upstream that is left alone for its failures is not tried every time; what it did last counts.
#[tokio::test]
async fn upstreams_that_are_left_alone_for_what_stays_so_are_no_reason_to_try_again() {
    let authority = Authority::new();
    let leaf = authority.leaf(&["127.0.0.1"]);
    let upstream = Upstream::builder().tls(&leaf).start(|_| Reply::ok("{}")).await;
    let other = Upstream::start(|_| Reply::close()).await;
    for (second, again) in [(format!("{}/b", upstream.url()), "no"), (other.url().to_owned(), "as it likes")] {
        let pool = Pool::new().add("a", upstream.url()).add("b", &second).generous();
        let gateway = gateway().yaml(&pool.setting("health: { failures: 2 }").yaml()).start().await;
        for session in 0..8 {
            let answer = gateway.request(&ask(session)).await;
            assert_eq!((answer.status(), &*told(&answer)), (502, again), "{session}: {}", answer.text());
        }
        gateway.stderr_line(0, "the pause", |line| line.contains("is left alone")).await;
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
