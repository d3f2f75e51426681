//! What the upstream answers reaches the client as it was.

use harness::{Framing, Gateway, GatewayBuilder, Headers, Received, Reply, Request, Step, Upstream, gzip};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> (Upstream, Gateway) {
    let upstream = Upstream::start(handler).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn end_to_end_fields_come_as_they_were_with_their_repeats() {
    let fields: [(&str, &[u8]); 12] = [
        ("Content-Type", b"application/json; charset=utf-8"),
        ("Set-Cookie", b"a=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        ("set-cookie", b"b=2"),
        ("X-MiXeD", b"caf\xe9"),
        ("request-id", b"req_upstream"),
        ("anthropic-ratelimit-requests-remaining", b"49"),
        ("retry-after-ms", b"250"),
        ("x-should-retry", b"true"),
        ("Vary", b"Accept-Encoding"),
        ("ETag", b"W/\"x\""),
        ("Server", b"cloud/1.0"),
        ("X-Empty", b""),
    ];
    let (_upstream, gateway) =
        pair(move |_| fields.iter().fold(Reply::ok("{}"), |reply, (name, value)| reply.header(name, value))).await;
    let answer = gateway.request(&Request::get("/fields")).await;
    let mut want: Vec<_> = fields.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
    want.push(("Content-Length".into(), b"2".to_vec()));
    // The gateway adds fields of its own, and Pingora its Date and connection options.
    let ours = ["x-request-id", "x-gateway-upstream", "x-gateway-attempts", "date", "connection", "keep-alive"];
    let mut have = answer.head.headers.without(&ours).0;
    want.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    have.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    assert_eq!(Headers(have), Headers(want));
}

#[tokio::test]
async fn every_answer_has_an_x_request_id_and_the_upstreams_own_is_kept() {
    let (_upstream, gateway) = pair(|request| match request.target.as_str() {
        "/own" => Reply::ok("").header("X-Request-Id", "upstream-1"),
        _ => Reply::ok(""),
    })
    .await;
    assert_eq!(gateway.request(&Request::get("/own")).await.head.headers.all("x-request-id"), ["upstream-1"]);
    let mut seen = std::collections::HashSet::new();
    for target in ["/", "/a", "/health", "/admin", "/v1/messages"] {
        let ids = gateway.request(&Request::get(target)).await.head.headers.all("x-request-id");
        assert!(ids.len() == 1 && !ids[0].is_empty(), "{target}: {ids:?}");
        assert!(seen.insert(ids[0].clone()), "{target}: {ids:?} again");
    }
}

#[tokio::test]
async fn hop_by_hop_fields_of_an_answer_stay_here() {
    let (_upstream, gateway) = pair(|_| {
        Reply::ok("x")
            .header("Connection", "X-Internal, keep-alive")
            .header("X-Internal", "1")
            .header("Keep-Alive", "timeout=7")
            .header("Proxy-Connection", "keep-alive")
            .header("X-Stays", "1")
    })
    .await;
    let answer = gateway.request(&Request::get("/hop")).await;
    for gone in ["x-internal", "proxy-connection"] {
        assert!(!answer.head.headers.has(gone), "{gone}: {:?}", answer.head.headers);
    }
    assert_ne!(answer.header("keep-alive").as_deref(), Some("timeout=7"));
    assert_eq!(answer.header("x-stays").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_content_encoding_is_left_alone() {
    let body = gzip(b"{\"type\":\"message\"}");
    let sent = body.clone();
    let (_upstream, gateway) = pair(move |request| {
        let reply = Reply::status(200).header("Content-Encoding", "gzip").body(sent.clone());
        if request.target == "/chunked" { reply.chunked() } else { reply }
    })
    .await;
    for target in ["/plain", "/chunked"] {
        for accept in ["gzip, br", "identity", ""] {
            let answer = gateway.request(&Request::get(target).header("Accept-Encoding", accept)).await;
            assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"), "{target} {accept}");
            assert!(answer.body == body, "{target} {accept}: the body differs");
        }
    }
}

#[tokio::test]
async fn statuses_and_error_bodies_come_as_they_were() {
    let (upstream, gateway) = pair(|request| {
        let status = request.target.trim_start_matches('/').parse().unwrap_or(200);
        Reply::status(status).header("Retry-After", "3").body(format!("<html>{status}</html>"))
    })
    .await;
    let statuses = [
        200, 201, 202, 206, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 407, 408, 409, 413,
        418, 421, 422, 425, 426, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 511, 520, 524, 529, 599,
    ];
    for status in statuses {
        let request = Request::post(&format!("/{status}"), "{}");
        let answer = gateway.request(&request).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.text(), format!("<html>{status}</html>"));
        assert_eq!(answer.header("retry-after").as_deref(), Some("3"), "{status}");
    }
    assert_eq!(upstream.received().len(), statuses.len(), "each request reached the upstream once");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (upstream, gateway) = pair(|_| Reply::status(302).header("Location", "http://127.0.0.1:1/elsewhere")).await;
    let answer = gateway.request(&Request::get("/v1/models")).await;
    assert_eq!((answer.status(), answer.header("location").as_deref()), (302, Some("http://127.0.0.1:1/elsewhere")));
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let (_upstream, gateway) = pair(|request| match request.target.as_str() {
        "/204" => Reply::status(204).header("X-A", "1"),
        "/304" => Reply::status(304).header("ETag", "\"t\""),
        "/304-length" => Reply::status(304).header("Content-Length", "1234"),
        "/0" => Reply::ok(""),
        _ => Reply::ok("0123456789"),
    })
    .await;
    let mut client = gateway.connect().await;
    for (method, target, status) in [
        ("GET", "/204", 204),
        ("POST", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/304-length", 304),
        ("GET", "/0", 200),
        ("HEAD", "/x", 200),
        ("HEAD", "/204", 204),
    ] {
        let answer = client.request(&Request::new(method, target)).await;
        assert_eq!((answer.status(), answer.body.len()), (status, 0), "{method} {target}");
        assert!(status != 204 || !answer.head.headers.has("content-length"), "RFC 9110 8.6: no length in a 204");
        if (method, target) == ("HEAD", "/x") {
            assert_eq!(answer.header("content-length").as_deref(), Some("10"));
        }
        let next = client.request(&Request::get("/next")).await;
        assert_eq!(next.text(), "0123456789", "after {method} {target}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let (_upstream, gateway) =
        pair(|_| Reply::ok("done").interim(103, &[("Link", "</style.css>; rel=preload")]).interim(102, &[])).await;
    let answer = gateway.request(&Request::get("/hints")).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "done"));
    let interim: Vec<_> = answer.head.interim.iter().map(|(status, _)| *status).collect();
    assert_eq!(interim, [103, 102], "RFC 9110 15.2: a proxy forwards 1xx answers");
    assert_eq!(answer.head.interim[0].1.get("link").as_deref(), Some("</style.css>; rel=preload"));
}

#[tokio::test]
async fn interim_answers_say_nothing_of_connections_and_bodies() {
    let fields = [
        ("Link", "</style.css>"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("X-Last", "1"),
    ];
    let (_upstream, gateway) = pair(move |_| Reply::ok("done").interim(103, &fields)).await;
    let mut client = gateway.connect().await;
    for _ in 0..2 {
        let answer = client.request(&Request::get("/hints")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "done"));
        assert_eq!(answer.head.interim[0].1.names(), ["Link", "X-Last"]);
    }
}

#[tokio::test]
async fn fields_come_in_the_order_in_which_the_upstream_sent_them() {
    let (_upstream, gateway) = pair(|_| {
        let head = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nServer: a\r\nX-Hop: 1\r\nSet-Cookie: a\r\nConnection: X-Hop\r\n\
                    content-type: text/plain\r\nContent-Length: 2\r\nX-Last: 1\r\n\r\nok";
        Reply::raw(vec![Step::Raw(head.into())])
    })
    .await;
    let answer = gateway.request(&Request::get("/")).await;
    let theirs = ["server", "set-cookie", "content-type", "content-length", "x-last"];
    let names: Vec<String> = answer.head.headers.names().iter().map(|name| name.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| theirs.contains(name)).collect();
    assert_eq!(names, theirs);
}

#[tokio::test]
async fn bodies_of_every_framing_and_size_come_whole() {
    let big: Vec<u8> = (0..2_500_000u32).flat_map(u32::to_le_bytes).collect();
    let sent = big.clone();
    let (_upstream, gateway) = pair(move |request| match request.target.as_str() {
        "/length" => Reply::ok(sent.clone()),
        "/chunked" => sent.chunks(70_000).fold(Reply::status(200).chunked(), |reply, part| reply.bytes(part)),
        "/close" => Reply::ok(sent.clone()).close_delimited(),
        "/http10" => Reply::raw(vec![
            Step::Raw(b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\n".to_vec()),
            Step::Raw(sent.clone()),
            Step::Close,
        ]),
        _ => Reply::ok(""),
    })
    .await;
    for target in ["/length", "/chunked", "/close", "/http10"] {
        let answer = gateway.request(&Request::get(target)).await;
        assert_eq!(answer.status(), 200, "{target}");
        assert!(answer.body == big, "{target}: {} bytes came, or others", answer.body.len());
        if target == "/length" {
            assert_eq!(answer.head.framing, Framing::Length(big.len() as u64));
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let (_upstream, gateway) = pair(|_| Reply::status(200).chunked().bytes("hello ").bytes("world")).await;
    let mut client = gateway.connect().await;
    client.send("GET /old HTTP/1.0\r\nHost: gateway.test\r\n\r\n").await;
    let all = String::from_utf8(client.closed().await).expect("text");
    let (head, body) = all.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "hello world");
}

#[tokio::test]
async fn an_answer_before_the_body_was_taken_reaches_the_client() {
    let upstream = Upstream::builder()
        // Reads on after its answer, so that no reset destroys it.
        .early(|_| Some(Reply::status(401).header("Connection", "close").body("no key").step(Step::Stall)))
        .start(|_| Reply::ok("late"))
        .await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    for size in [10, 100_000, 8_000_000] {
        let answer = gateway.request(&Request::post("/v1/messages", vec![b'x'; size])).await;
        assert_eq!((answer.status(), answer.text().as_str()), (401, "no key"), "{size} bytes");
    }
}

/// What a relay may say to a browser that looks at a page of its.
const OF_A_PAGE: [(&str, &str); 6] = [
    ("Content-Type", "text/html"),
    ("Content-Security-Policy", "default-src *; sandbox allow-scripts allow-same-origin"),
    ("X-Content-Type-Options", "sniff"),
    ("X-Own", "kept"),
    ("Location", "/elsewhere"),
    ("Refresh", "60"),
];
/// What would go on for the whole origin, or the whole host, which are the gateway's.
const BEYOND_THE_PAGE: [(&str, &str); 17] = [
    ("Set-Cookie", "own=1; Path=/api/admin"),
    ("Set-Cookie", "__cf_bm=x; Path=/; HttpOnly"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("Public-Key-Pins", "pin-sha256=\"x\"; max-age=9"),
    ("Alt-Svc", "h3=\"evil.example:443\""),
    ("NEL", "{\"report_to\":\"x\"}"),
    ("Report-To", "{\"group\":\"x\"}"),
    ("Reporting-Endpoints", "x=\"https://evil.example/\""),
    ("Service-Worker-Allowed", "/"),
    ("Sec-Session-Registration", "(RS256);path=\"/x\""),
    ("Secure-Session-Registration", "(RS256);path=\"/x\""),
    ("Accept-CH", "Sec-CH-UA-Model"),
    ("Use-As-Dictionary", "match=\"/admin/*\""),
    ("Speculation-Rules", "\"/rules\""),
    ("WWW-Authenticate", "Basic realm=\"the gateway\""),
    ("Set-Login", "logged-out"),
    ("Origin-Agent-Cluster", "?0"),
];
/// What is nobody's to say but ours.
const OURS: [(&str, &str); 3] = [
    ("Clear-Site-Data", "\"*\""),
    ("Set-Cookie", "gateway_session=x; Path=/api/admin"),
    ("set-cookie", "=__Secure-Gateway_Session=x"),
];
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn relay_page(_: &Received) -> Reply {
    let fields = OF_A_PAGE.iter().chain(&BEYOND_THE_PAGE).chain(&OURS);
    fields.fold(Reply::ok("<script>"), |reply, (name, value)| reply.header(name, value))
}

#[tokio::test]
async fn what_a_browser_gets_runs_in_no_origin_of_ours_whatever_relay_and_rules_say() {
    let upstream = Upstream::start(relay_page).await;
    let yaml = "gateway:\n  rules:\n    - name: lift\n      match: {path: \"/lift*\"}\n      response_headers:\n        \
                set: {Content-Security-Policy: \"default-src 'self'\", X-Content-Type-Options: \"no\", Set-Cookie: \"a=1\"}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let browsers = [
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Dest", "iframe"),
        ("Sec-Fetch-Dest", "embed"),
        ("Sec-Fetch-Dest", "object"),
        ("Sec-Fetch-Dest", "frame"),
        ("Sec-Fetch-Dest", "empty"),
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        // A part of a page, over plain HTTP from another machine.
        ("User-Agent", FIREFOX),
    ];
    for target in ["/page", "/lift"] {
        for (name, value) in browsers {
            let answer = gateway.request(&Request::get(target).header(name, value)).await;
            let fields = &answer.head.headers;
            assert_eq!(fields.all("content-security-policy").last().map(String::as_str), Some("sandbox"), "{fields:?}");
            assert_eq!(fields.all("content-security-policy").len(), 2, "{target} {value}: {fields:?}");
            assert_eq!(fields.all("x-content-type-options"), ["nosniff"], "{target} {value}");
            assert_eq!((fields.all("x-own"), answer.text().as_str()), (vec!["kept".to_owned()], "<script>"));
            for (name, _) in BEYOND_THE_PAGE.iter().chain(&OURS) {
                assert!(!fields.has(name), "{name} came, {target} {value}: {fields:?}");
            }
        }
    }
    let request = http::Request::get("http://gateway.test/page").header("sec-fetch-dest", "document").body(());
    let answer = gateway.connect_h2().await.send(request.expect("a request"), &[]).await;
    let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
    assert_eq!((policies.len(), policies[1].to_str().ok()), (2, Some("sandbox")));
    assert!(!answer.headers.contains_key("set-cookie"));
    // What names no browser gets everything as it came, but for what is nobody's to say but ours.
    for program in [
        Request::get("/page"),
        Request::get("/page").header("Accept", "*/*").header("Sec-Fetch-Mode", "cors").header("User-Agent", "node"),
        Request::get("/page").header("Accept", "application/json").header("User-Agent", "Anthropic/Python 0.70.0"),
        Request::get("/page").header("User-Agent", "claude-cli/2.0.30 (external, cli)"),
    ] {
        let fields = gateway.request(&program).await.head.headers;
        for (name, value) in OF_A_PAGE.iter().chain(&BEYOND_THE_PAGE[2..]) {
            assert_eq!(fields.all(name), [*value], "{name}");
        }
        assert_eq!(fields.all("set-cookie"), [BEYOND_THE_PAGE[0].1, BEYOND_THE_PAGE[1].1]);
        assert!(!fields.has("clear-site-data"));
    }
}

#[tokio::test]
async fn what_the_gateway_says_itself_is_confined_too_and_its_own_pages_keep_their_policy() {
    let upstream = Upstream::start(|_| Reply::close()).await;
    let yaml = "gateway:\n  rules:\n    - name: page\n      match: {path: /page}\n      respond: {status: 200, headers: \
                {Content-Type: text/html}, body: \"<h1>\"}\n    - name: own\n      match: {path: /own}\n      respond: {status: 200, \
                headers: {Content-Type: text/html, Content-Security-Policy: \"script-src 'none'\"}, body: \"<h1>\"}\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    for (target, status, policy) in
        [("/page", 200, "sandbox"), ("/own", 200, "script-src 'none'"), ("/x", 502, "sandbox")]
    {
        let answer = gateway.request(&Request::get(target).header("Sec-Fetch-Dest", "document")).await;
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.head.headers.all("content-security-policy"), [policy], "{target}");
        assert_eq!(answer.head.headers.all("x-content-type-options"), ["nosniff"], "{target}");
        assert!(!gateway.request(&Request::get(target)).await.head.headers.has("x-content-type-options"), "{target}");
    }
    let panel = gateway.request(&Request::get("/admin").header("Accept", "text/html")).await;
    let policies = panel.head.headers.all("content-security-policy");
    assert!(!policies.iter().any(|policy| policy == "sandbox"), "{policies:?}");
}

#[tokio::test]
async fn no_service_worker_comes_from_a_relay() {
    let (upstream, gateway) = pair(|_| Reply::ok("self.onfetch = 1").header("Service-Worker-Allowed", "/")).await;
    for (name, value) in [("Service-Worker", "script"), ("Sec-Fetch-Dest", "serviceworker")] {
        let before = gateway.stderr_lines();
        let answer = gateway.request(&Request::get("/sw.js").header(name, value)).await;
        assert_eq!((answer.status(), answer.json()["error"]["type"].as_str()), (403, Some("permission_error")));
        assert!(answer.text().contains("service worker"), "{}", answer.text());
        let line = gateway.stderr_line(before, "an access line", |line| line.contains(" path=/sw.js ")).await;
        assert!(line.contains(" outcome=rejected reason=service_worker"), "{line}");
        let request = http::Request::get("http://gateway.test/sw.js").header(name, value).body(()).expect("a request");
        assert_eq!(gateway.connect_h2().await.send(request, &[]).await.status, 403);
    }
    assert_eq!(upstream.received().len(), 0);
}
