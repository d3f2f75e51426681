//! What no rule names reaches the upstream as the client wrote it.

use harness::{Framing, Gateway, GatewayBuilder, Headers, Reply, Request, Upstream, fixtures};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn pair() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| Reply::ok("hello")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    (upstream, gateway)
}

/// Fields as texts.
fn texts(headers: &Headers) -> Vec<(String, String)> {
    headers.0.iter().map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
}

/// What the gateway may set by itself.
const OURS: [&str; 3] = ["host", "connection", "x-forwarded-for"];

#[tokio::test]
async fn every_fixture_arrives_with_its_body_and_every_end_to_end_field() {
    let (upstream, gateway) = pair().await;
    for fixture in fixtures::all() {
        let mut client = gateway.connect().await;
        client.send(fixture.bytes()).await;
        assert_eq!(client.response("POST").await.text(), "hello", "{}", fixture.name);

        let got = upstream.last();
        assert_eq!(got.method, "POST");
        assert_eq!(got.target, fixture.target(), "{}", fixture.name);
        assert_eq!(got.framing, Framing::Length(fixture.body.len() as u64), "{}", fixture.name);
        assert!(got.body == fixture.body, "{}: the body differs", fixture.name);
        let sent = Headers(fixture.fields().into_iter().map(|(name, value)| (name, value.into_bytes())).collect());
        assert_eq!(texts(&got.headers.without(&OURS)), texts(&sent.without(&OURS)), "{}: in order", fixture.name);
        assert_eq!(got.headers.all("host"), [upstream.addr().to_string()]);
        assert_eq!(got.headers.all("x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test]
async fn fields_keep_their_case_their_bytes_and_the_order_of_their_repeats() {
    let (upstream, gateway) = pair().await;
    let long = "v".repeat(8000);
    let fields: Vec<(&str, &[u8])> = vec![
        ("X-MiXeD-cAsE", b"1"),
        ("x-repeat", b"one"),
        ("X-Repeat", b"two"),
        ("x-repeat", b"three, four"),
        ("Cookie", b"a=1; b=2"),
        ("Cookie", b"c=3"),
        ("X-Empty", b""),
        ("X-Latin", b"caf\xe9 \xff"),
        ("X-Utf8", "网关".as_bytes()),
        ("X-Tab", b"a\tb"),
        ("X-Long", long.as_bytes()),
        ("x!#$%&'*+-.^_`|~9", b"token name"),
        ("anthropic-beta", b"a,b"),
        ("Anthropic-Beta", b"c"),
        ("Via", b"1.1 other"),
        ("Forwarded", b"for=203.0.113.9"),
        ("Accept-Encoding", b"gzip, br;q=0.5, zstd"),
        ("If-None-Match", b"\"tag\""),
        ("Range", b"bytes=0-10"),
    ];
    let request = fields.iter().fold(Request::get("/fields"), |request, (name, value)| request.header(name, value));
    assert_eq!(gateway.request(&request).await.status(), 200);
    let sent = Headers(fields.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect());
    let got = upstream.last();
    let mut want = sent.0.clone();
    let mut have = got.headers.without(&OURS).0;
    want.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    have.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    assert_eq!(Headers(have), Headers(want));
}

#[tokio::test]
async fn hop_by_hop_fields_and_those_that_connection_names_stay_here() {
    let (upstream, gateway) = pair().await;
    let request = Request::post("/hop", "12345")
        .header("Connection", "keep-alive, X-Private, TE")
        .header("Connection", "x-OTHER")
        .header("X-Private", "1")
        .header("X-Other", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers")
        .header("X-Stays", "1");
    assert_eq!(gateway.request(&request).await.status(), 200);
    let got = upstream.last();
    for gone in ["x-private", "x-other", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding"] {
        assert!(!got.headers.has(gone), "{gone} reached the upstream: {:?}", got.headers);
    }
    assert_eq!(got.headers.all("x-stays"), ["1"]);
    let options = got.headers.all("connection").join(",").to_ascii_lowercase();
    assert!(["", "keep-alive"].contains(&options.as_str()), "Connection: {options}");
}

#[tokio::test]
async fn connection_cannot_name_away_what_frames_or_routes_the_request() {
    let (upstream, gateway) = pair().await;
    for named in ["content-length", "host", "content-length, host", "transfer-encoding", "x-forwarded-for"] {
        let request = Request::post("/named", "12345").header("Connection", named);
        let answer = gateway.request(&request).await;
        if answer.status() == 400 {
            continue;
        }
        let got = upstream.last();
        assert_eq!((got.framing, got.body.as_slice()), (Framing::Length(5), b"12345".as_slice()), "{named}");
        assert_eq!(got.headers.all("host"), [upstream.addr().to_string()], "{named}");
        assert_eq!(got.headers.all("x-forwarded-for"), ["127.0.0.1"], "{named}");
    }
}

#[tokio::test]
async fn an_upgrade_to_another_protocol_than_websocket_is_not_offered_upstream_with_a_body() {
    let (upstream, gateway) = pair().await;
    let request = Request::post("/h2c", "12345")
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
    assert_eq!(gateway.request(&request).await.status(), 200);
    let got = upstream.last();
    assert!(!got.headers.has("http2-settings") && !got.headers.has("upgrade"), "{:?}", got.headers);
    assert_eq!(got.body, b"12345");
}

#[tokio::test]
async fn the_host_is_the_upstreams_or_on_request_the_clients() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    for (preserve, want) in [("false", upstream.addr().to_string()), ("true", "gateway.test".to_owned())] {
        let gateway = gateway().upstream(upstream.url()).env("PRESERVE_HOST", preserve).start().await;
        assert_eq!(gateway.request(&Request::get("/host")).await.status(), 200);
        assert_eq!(upstream.last().headers.all("host"), [want], "PRESERVE_HOST={preserve}");
    }
}

#[tokio::test]
async fn the_forwarded_chain_is_appended_to_kept_or_removed() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let rows: [(&str, &[&str], &str); 8] = [
        ("append", &[], "127.0.0.1"),
        ("append", &["203.0.113.7"], "203.0.113.7, 127.0.0.1"),
        ("append", &["203.0.113.7, 10.0.0.1", "2001:db8::1"], "203.0.113.7, 10.0.0.1, 2001:db8::1, 127.0.0.1"),
        ("keep", &[], ""),
        ("keep", &["203.0.113.7"], "203.0.113.7"),
        ("keep", &["a", "b"], "a, b"),
        ("off", &[], ""),
        ("off", &["203.0.113.7", "10.0.0.1"], ""),
    ];
    for mode in ["append", "keep", "off"] {
        let yaml = format!("gateway:\n  forwarded_for: {mode}\n");
        let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
        for (_, sent, want) in rows.iter().filter(|row| row.0 == mode) {
            let request =
                sent.iter().fold(Request::get("/chain"), |request, value| request.header("X-Forwarded-For", value));
            assert_eq!(gateway.request(&request).await.status(), 200);
            assert_eq!(upstream.last().headers.all("x-forwarded-for").join(", "), *want, "{mode} {sent:?}");
        }
    }
}

#[tokio::test]
async fn hints_of_what_a_request_is_for_go_on_unless_they_are_consumed() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let hints = ["request-class", "agent-type", "compaction", "context-compacted", "prompt-id", "prev-tool-durations"]
        .map(|hint| format!("x-claude-code-{hint}"));
    let rule = "  rules:\n    - name: seen\n      match: {header: {x-claude-code-request-class: hint}}\n      \
                headers: {set: {x-seen: \"yes\", x-claude-code-agent-type: \"by a rule\"}}\n";
    for (mode, are_passed) in [("", true), ("  hint_headers: pass\n", true), ("  hint_headers: consume\n", false)] {
        let gateway = gateway().upstream(upstream.url()).yaml(&format!("gateway:\n{mode}{rule}")).start().await;
        let request =
            Request::get("/hints").header("X-Claude-Code-Session-Id", "s").header("X-Claude-Code-Agent-Id", "a");
        let request = hints.iter().fold(request, |request, name| request.header(name, "hint"));
        assert_eq!(gateway.request(&request).await.status(), 200);
        let got = &upstream.last().headers.clone();
        for name in &hints {
            let wanted: &[&str] = match (name.ends_with("agent-type"), are_passed) {
                (true, _) => &["by a rule"],
                (false, true) => &["hint"],
                (false, false) => &[],
            };
            assert_eq!(got.all(name), wanted, "{mode} {name}");
        }
        assert_eq!(got.all("x-seen"), ["yes"], "rules see what came");
        assert!(got.has("x-claude-code-session-id") && got.has("x-claude-code-agent-id"), "these are no hints");
    }
}

#[tokio::test]
async fn odd_paths_and_queries_arrive_unchanged() {
    let (upstream, gateway) = pair().await;
    let long = format!("/long?{}", "q=1&".repeat(2000));
    let targets = [
        "/?",
        "/?a",
        "//",
        "//double//slash//",
        "//other.example/path",
        "/a/../b",
        "/..",
        "/./././a",
        "/%2e%2e/%2E",
        "/a%2Fb%2fc",
        "/%00%0d%0a",
        "/%E7%BD%91%e5%85%b3",
        "/%zz%",
        "/a?b=c&&d",
        "/a?",
        "/a??b?c",
        "/a?b=/c/../d//",
        "/a?x=%20+%2B&y=%26",
        "/a?url=https://other.example/x",
        "/;p=1;q=2/x,y",
        "/:@!$&'()*+,;=-._~",
        "/a?:@!$&'()*+,;=-._~/",
        "/healthx",
        "//health",
        "/adminx",
        "/v1/models?limit=1000",
        "/*",
        long.as_str(),
    ];
    for target in targets {
        assert_eq!(gateway.request(&Request::get(target)).await.status(), 200, "{target}");
        assert_eq!(upstream.last().target, target);
    }
}

#[tokio::test]
async fn an_absolute_target_for_this_host_becomes_its_path() {
    let (upstream, gateway) = pair().await;
    for (target, want) in [
        ("http://gateway.test/abs?x=1", "/abs?x=1"),
        ("http://GATEWAY.test/abs//b", "/abs//b"),
        ("http://gateway.test/", "/"),
        ("http://gateway.test?q", "/?q"),
    ] {
        assert_eq!(gateway.request(&Request::get(target)).await.status(), 200, "{target}");
        assert_eq!(upstream.last().target, want, "{target}");
    }
    // RFC 9112 section 3.2.4
    for (target, want) in [
        ("http://gateway.test", "*"),
        ("HTTP://GATEWAY.test", "*"),
        ("http://gateway.test/", "/"),
        ("http://gateway.test?q", "/?q"),
    ] {
        assert_eq!(gateway.request(&Request::new("OPTIONS", target)).await.status(), 200, "{target}");
        assert_eq!(upstream.last().target, want, "OPTIONS {target}");
    }
}

#[tokio::test]
async fn fields_go_out_in_the_order_in_which_they_came() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:\n  rules: [{name: r, headers: {remove: [X-Gone], set: {X-Set: new}}}]\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let fields = "X-Gone: 1\r\nExpect: 100-continue\r\nConnection: keep-alive, X-Hop\r\nAccept: */*\r\nX-Hop: 1\r\n\
                  User-Agent: a\r\nHost: gateway.test\r\nX-Set: old\r\nKeep-Alive: 5\r\n";
    let want = ["Accept", "User-Agent", "Host", "X-Set"];
    for (rest, body, behind) in [
        ("Content-Length: 2\r\nAccept-Encoding: gzip\r\nX-Last: 1\r\n\r\n", "{}", "Content-Length"),
        (
            "transfer-encoding: chunked\r\nAccept-Encoding: gzip\r\nX-Last: 1\r\n\r\n",
            "2\r\n{}\r\n0\r\n\r\n",
            "Content-Length",
        ),
        ("Accept-Encoding: gzip\r\ncontent-length: 2\r\nX-Last: 1\r\n\r\n", "{}", "Accept-Encoding"),
    ] {
        let sent = format!("POST /v1/messages HTTP/1.1\r\n{fields}{rest}{body}");
        assert_eq!(gateway.exchange(&sent, "POST").await.status(), 200, "{rest}");
        let got = upstream.last();
        let names = got.headers.names();
        let third = if behind == "Content-Length" { "Accept-Encoding" } else { "content-length" };
        assert_eq!(names, [&want[..], &[behind, third, "X-Last", "X-Forwarded-For"]].concat(), "{rest}");
        assert_eq!(got.body, b"{}");
    }
}

#[tokio::test]
async fn options_go_as_far_as_max_forwards_says() {
    let (upstream, gateway) = pair().await;
    for target in ["*", "/v1/messages"] {
        let request = |left: &str| Request::new("OPTIONS", target).header("Max-Forwards", left);
        let answer = gateway.request(&request("0")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, ""), "{target}");
        assert!(
            answer.header("allow").is_some_and(|methods| methods.contains("POST, PUT")),
            "{:?}",
            answer.header("allow")
        );
        assert_eq!(upstream.received().iter().filter(|got| got.target == target).count(), 0, "RFC 9110 section 7.6.2");
        for (sent, want) in [("1", "0"), ("10", "9"), ("many", "many")] {
            assert_eq!(gateway.request(&request(sent)).await.status(), 200);
            assert_eq!(upstream.last().headers.all("max-forwards"), [want]);
        }
    }
    let get = Request::get("/v1/models").header("Max-Forwards", "0");
    assert_eq!(gateway.request(&get).await.text(), "hello", "it says nothing of other methods");
    assert_eq!(upstream.last().headers.all("max-forwards"), ["0"]);
}

#[tokio::test]
async fn a_later_minor_version_is_served_as_the_one_that_is_known() {
    let (upstream, gateway) = pair().await;
    for version in ["HTTP/1.2", "HTTP/1.9"] {
        let request =
            format!("POST http://gateway.test/a {version}\r\nHost: gateway.test\r\nContent-Length: 2\r\n\r\nhi");
        let mut client = gateway.connect().await;
        // The connection is kept, as for HTTP/1.1.
        for _ in 0..2 {
            client.send(&request).await;
            assert_eq!(client.response("POST").await.text(), "hello", "{version}");
        }
        let got = upstream.last();
        assert!(got.raw_head.starts_with(b"POST /a HTTP/1.1\r\n"), "{}", got.raw_head.escape_ascii());
        assert_eq!(got.body, b"hi");
    }
}

#[tokio::test]
async fn the_gateway_names_itself_in_via_only_if_it_is_told_to() {
    let upstream = Upstream::start(|_| Reply::ok("{}").header("Via", "1.1 cdn")).await;
    for (via, sent, got) in
        [("off", "1.0 fred", "1.1 cdn"), ("add", "1.0 fred, 1.1 anyrouter-gateway", "1.1 cdn, 1.1 anyrouter-gateway")]
    {
        let yaml = format!("gateway:\n  via: {via}\n");
        let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
        let answer = gateway.request(&Request::get("/v1/models").header("Via", "1.0 fred")).await;
        assert_eq!(upstream.last().headers.all("via").join(", "), sent, "{via}");
        assert_eq!(answer.head.headers.all("via").join(", "), got, "{via}");
    }
}

#[tokio::test]
async fn a_base_url_with_a_path_is_a_prefix() {
    for base in ["/relay/v2", "/relay/v2/"] {
        let upstream = Upstream::start(|_| Reply::ok("{}")).await;
        let gateway = gateway().upstream(format!("{}{base}", upstream.url())).start().await;
        for (target, want) in [
            ("/v1/messages?beta=true", "/relay/v2/v1/messages?beta=true"),
            ("/", "/relay/v2/"),
            ("/?x", "/relay/v2/?x"),
            ("//a//b", "/relay/v2//a//b"),
            ("/a%2Fb/../c?d=e&&f", "/relay/v2/a%2Fb/../c?d=e&&f"),
        ] {
            assert_eq!(gateway.request(&Request::get(target)).await.status(), 200, "{target}");
            assert_eq!(upstream.last().target, want);
        }
    }
}

#[tokio::test]
async fn every_method_goes_through_with_and_without_a_body() {
    let (upstream, gateway) = pair().await;
    let methods = [
        "GET",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "HEAD",
        "PROPFIND",
        "M-SEARCH",
        "get",
        "x!#$%&'*+-.^_`|~9",
    ];
    for method in methods {
        let answer = gateway.request(&Request::new(method, "/method")).await;
        assert_eq!(answer.status(), 200, "{method}");
        let got = upstream.last();
        assert_eq!(got.method, method);
        assert!(got.body.is_empty() && matches!(got.framing, Framing::None | Framing::Length(0)), "{method}");
        for body in ["", "12345"] {
            let request = Request::new(method, "/method").body(body);
            assert_eq!(gateway.request(&request).await.status(), 200, "{method} with {body:?}");
            let got = upstream.last();
            assert_eq!((got.method.as_str(), got.body.as_slice()), (method, body.as_bytes()));
            assert_eq!(got.framing, Framing::Length(body.len() as u64), "{method} with {body:?}");
        }
    }
    assert_eq!(gateway.request(&Request::new("OPTIONS", "*")).await.status(), 200);
    assert_eq!((upstream.last().method.as_str(), upstream.last().target.as_str()), ("OPTIONS", "*"));
}

#[tokio::test]
async fn a_chunked_request_arrives_whole_with_its_exact_length() {
    let (upstream, gateway) = pair().await;
    let big = vec![b'z'; 300_000];
    let big_chunked = [format!("{:x}\r\n", big.len()).as_bytes(), &big, b"\r\n0\r\n\r\n"].concat();
    let rows: [(&[u8], &[u8]); 5] = [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n006\r\n world\r\n000\r\n\r\n", b"hello world"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"0\r\n\r\n", b""),
        (&big_chunked, &big),
    ];
    for (wire, want) in rows {
        let head = "POST /chunked HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n";
        let answer = gateway.exchange([head.as_bytes(), wire].concat(), "POST").await;
        assert_eq!(answer.status(), 200);
        let got = upstream.last();
        assert!(got.body == want, "{} bytes wanted, {} came", want.len(), got.body.len());
        assert_eq!(got.framing, Framing::Length(want.len() as u64));
        assert_eq!(got.headers.all("x-a"), ["1"]);
    }
}

#[tokio::test]
async fn a_body_arrives_whole_however_it_is_cut() {
    let (upstream, gateway) = pair().await;
    let body: Vec<u8> = (0..5_000_000u32).flat_map(|n| n.to_le_bytes()).take(5_000_000).collect();
    let answer = gateway.request(&Request::post("/big", body.clone())).await;
    assert_eq!(answer.status(), 200);
    assert!(upstream.last().body == body, "the body differs");

    let bytes = Request::post("/pieces", "0123456789").bytes();
    for size in [1, 7, 64] {
        let mut client = gateway.connect().await;
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        client.send_pieces(&pieces, std::time::Duration::from_millis(1)).await;
        assert_eq!(client.response("POST").await.status(), 200);
        assert_eq!(upstream.last().body, b"0123456789");
    }
}
