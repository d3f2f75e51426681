//! What the gateway says about itself and about each request, and what it never says.

use std::collections::HashSet;
use std::fs;
use std::time::Instant;

use harness::metrics::sum;
use harness::{Client, Gateway, GatewayBuilder, Port, Reply, Request, Step, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

#[tokio::test]
async fn health_tells_who_answers() {
    // No upstream is needed for it.
    let port = Port::free();
    let mut boots = HashSet::new();
    for _ in 0..2 {
        let gateway = gateway().upstream(format!("http://{}", port.addr())).start().await;
        for target in ["/health", "/health?probe=1"] {
            let answer = gateway.request(&Request::get(target)).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.header("content-type").as_deref(), Some("application/json"));
            let health = answer.json();
            for key in ["status", "service", "version", "boot_id", "started_at"] {
                assert!(health[key].is_string() || health[key].is_number(), "{key}: {health}");
            }
            assert_eq!(health["service"], "anyrouter-gateway");
            boots.insert(health["boot_id"].to_string());
        }
        assert_eq!(gateway.request(&Request::new("HEAD", "/health")).await.body, b"");
    }
    assert_eq!(boots.len(), 2, "one boot_id a start");
}

#[tokio::test]
async fn the_root_shows_browsers_the_panel_and_proxies_everything_else() {
    let upstream = Upstream::start(|_| Reply::ok("upstream")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = gateway.request(&Request::get("/").header("Accept", browser)).await;
    assert!([302, 303, 307].contains(&answer.status()), "{}", answer.status());
    assert_eq!(answer.header("location").as_deref(), Some("/admin"));
    let page = gateway.request(&Request::get("/admin").header("Accept", browser)).await;
    assert_eq!(page.status(), 200);
    assert!(page.header("content-type").is_some_and(|value| value.starts_with("text/html")), "{:?}", page.head);
    assert_eq!(upstream.connections(), 0);

    for request in [
        Request::get("/"),
        Request::get("/").header("Accept", "*/*"),
        Request::get("/").header("Accept", "application/json"),
        Request::new("HEAD", "/"),
        Request::post("/", "x").header("Accept", "application/json"),
        Request::get("/index.html").header("Accept", browser),
        Request::get("/healthz"),
    ] {
        let before = upstream.received().len();
        assert_eq!(gateway.request(&request).await.status(), 200);
        assert_eq!(upstream.received().len(), before + 1, "{request:?}");
    }
}

#[tokio::test]
async fn the_admin_service_answers_on_its_own_port() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    assert_eq!(gateway.request(&Request::get("/x")).await.status(), 200);
    let mut admin = Client::connect(gateway.admin_addr()).await;
    let metrics = admin.request(&Request::get("/metrics")).await;
    assert_eq!(metrics.status(), 200);
    assert!(metrics.text().contains("gateway_"), "{}", metrics.text());
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn each_request_leaves_one_line_with_what_happened() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/line-reset" => Reply::reset(),
        "/line-404" => Reply::status(404).body("no"),
        _ => Reply::ok("yes"),
    })
    .await;
    for format in ["text", "json"] {
        let gateway = gateway().upstream(upstream.url()).env("LOG_FORMAT", format).start().await;
        let rows = [
            (Request::get("/line-ok"), "/line-ok", 200),
            (Request::post("/line-post", "12345"), "/line-post", 200),
            (Request::get("/line-404"), "/line-404", 404),
            (Request::get("/line-reset"), "/line-reset", 502),
            (Request::new("TRACE", "/line-trace"), "TRACE", 405),
            (Request::get("/line-host").header("Host", "a b"), "400", 400),
        ];
        for (request, mark, status) in rows {
            let before = gateway.stderr_lines();
            let answer = gateway.request(&request).await;
            assert_eq!(answer.status(), status);
            let id = answer.header("x-request-id").expect("x-request-id");
            // What failed on the way is told in lines of their own.
            let is_access = |line: &str| line.contains(&id) && line.contains("access");
            let line = gateway.stderr_line(before, &format!("{mark} {id}"), is_access).await;
            assert!(line.contains(&status.to_string()), "{format}: {line}");
            assert!(mark == "400" || line.contains(mark) || status == 405, "{format}: {line}");
            if format == "json" {
                let fields: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
                assert!(fields.is_object(), "{line}");
            }
        }
        // One line each: a fence request, then count.
        gateway.request(&Request::get("/line-fence")).await;
        gateway.stderr_line(0, "the fence", |line| line.contains("/line-fence")).await;
        for mark in ["/line-ok", "/line-post", "/line-404"] {
            let stderr = gateway.stderr();
            let lines: Vec<_> = stderr.lines().filter(|line| line.contains(mark)).collect();
            assert_eq!(lines.len(), 1, "{format}: {lines:#?}");
        }
    }
}

#[tokio::test]
async fn each_way_to_end_is_told_and_counted_apart() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/stream" => Reply::sse().bytes("data: 1\n\n"),
        "/refused" => Reply::status(529).body("overloaded"),
        "/closed" => Reply::close(),
        "/silent" => Reply::stall(),
        "/cut" => Reply::sse().bytes("data: 1\n\n").step(Step::Close),
        "/stalls" | "/left" => Reply::sse().bytes("data: 1\n\n").step(Step::Stall),
        _ => Reply::ok("whole"),
    })
    .await;
    let gateway = gateway().upstream(upstream.url()).yaml("gateway:\n  timeouts: { read: 1500ms }\n").start().await;
    let rows = [
        ("/whole", "completed"),
        ("/stream", "completed"),
        ("/refused", "upstream_error"),
        ("/closed", "unreachable"),
        ("/silent", "unreachable"),
        ("/cut", "truncated"),
        ("/stalls", "stalled"),
        ("/left", "client_aborted"),
    ];
    for (target, outcome) in rows {
        let mut client = gateway.connect().await;
        client.send(Request::post(target, "{}").bytes()).await;
        client.head("POST").await;
        if target == "/left" {
            client.piece_until("data: 1").await;
            drop(client);
        } else {
            while let Ok(Some(_)) = client.try_piece().await {}
        }
        let line = gateway.stderr_line(0, target, |line| line.contains(&format!("path={target} "))).await;
        assert!(line.contains(&format!("outcome={outcome} ")), "{target}: {line}");
    }
    gateway.request(&Request::new("TRACE", "/rejected")).await;
    gateway.request(&Request::get("/rejected").header("Host", "a b")).await;

    let mut admin = Client::connect(gateway.admin_addr()).await;
    let outcome = |outcome: &'static str| ("gateway_requests_total", vec![("outcome", outcome)]);
    let counted = [
        (outcome("upstream_error"), 1.0),
        (outcome("unreachable"), 2.0),
        (outcome("truncated"), 1.0),
        (outcome("stalled"), 1.0),
        (outcome("client_aborted"), 1.0),
        (outcome("rejected"), 2.0),
        (("gateway_held_body_bytes", vec![]), 0.0),
        (("gateway_in_flight_requests", vec![]), 0.0),
    ];
    let mut metrics = String::new();
    let reached = within("the counters", async {
        for _ in 0..200 {
            metrics = admin.request(&Request::get("/metrics")).await.text();
            if counted.iter().all(|((name, labels), value)| sum(&metrics, name, labels) == *value) {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        false
    })
    .await;
    assert!(reached, "{counted:?} expected:\n{metrics}");
}

#[tokio::test]
async fn a_text_from_outside_cannot_forge_a_line() {
    let upstream = Upstream::start(|_| Reply::ok("{}").header("X-Request-Id", "evil id=1 status=999")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let request = Request::get("/forge%0aforged%20line?x=%0d%0aforged").header("User-Agent", "\x1b[31mred\u{7f}");
    // It may be refused for its control characters; then it is a line as well.
    gateway.request(&request).await;
    gateway.request(&Request::get("/forge-fence")).await;
    gateway.stderr_line(0, "the fence", |line| line.contains("/forge-fence")).await;
    assert!(!gateway.stderr().lines().any(|line| line.starts_with("forged")), "{}", gateway.stderr());
    assert!(!gateway.stderr().contains('\x1b'), "no control characters in the log");
}

#[tokio::test]
async fn a_pattern_in_rust_log_chooses_among_access_lines() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("RUST_LOG", "info/path=/wanted").start().await;
    for path in ["/other", "/wanted"] {
        assert_eq!(gateway.request(&Request::get(path)).await.status(), 200);
    }
    gateway.stderr_line(0, "the wanted one", |line| line.contains("path=/wanted")).await;
    assert!(!gateway.stderr().contains("path=/other"), "{}", gateway.stderr());
}

const SECRETS: [&str; 8] = [
    "sk-secret-in-x-api-key-0123456789",
    "sk-secret-in-authorization-0123456789",
    "secret-in-cookie-0123456789",
    "secret-in-query-0123456789",
    "secret-in-body-0123456789",
    "secret-in-headers-file-0123456789",
    "secret-in-set-cookie-0123456789",
    "secret-in-basic-0123456789",
];

fn with_secrets(method: &str, path: &str) -> Request {
    Request::new(method, &format!("{path}?beta=true&key={}&api_key={}", SECRETS[3], SECRETS[3]))
        .header("x-api-key", SECRETS[0])
        .header("Authorization", format!("Bearer {}", SECRETS[1]))
        .header("Proxy-Authorization", format!("Basic {}", SECRETS[7]))
        .header("Cookie", format!("session={}", SECRETS[2]))
}

#[tokio::test]
async fn no_secret_is_ever_written_or_told() {
    let upstream = Upstream::start(|request| match request.target.split('?').next() {
        Some("/reset") => Reply::reset(),
        Some("/garbage") => {
            Reply::raw(vec![Step::Raw(format!("HTTP/1.1 abc {}\r\n\r\n", SECRETS[6]).into_bytes()), Step::Close])
        }
        _ => Reply::ok("{}").header("Set-Cookie", format!("id={}", SECRETS[6])),
    })
    .await;
    for (debug, format) in [("false", "text"), ("true", "text"), ("true", "json")] {
        let gateway = gateway()
            .upstream(upstream.url())
            .env("DEBUG_MODE", debug)
            .env("LOG_FORMAT", format)
            .env("SYSTEM_PROMPT_REPLACEMENT", "new")
            .file("env/.env.headers.json", &format!(r#"{{"X-Extra": "{}"}}"#, SECRETS[5]))
            .yaml("gateway:\n  limits: { request_body: 10KiB, body_timeout: 300ms, header_timeout: 300ms }\n")
            .start()
            .await;
        let body = format!("not json {}", SECRETS[4]);
        let requests = [
            with_secrets("POST", "/v1/messages").body(body.as_str()),
            with_secrets("GET", "/x"),
            with_secrets("GET", "/reset"),
            with_secrets("GET", "/garbage"),
            with_secrets("TRACE", "/x"),
            with_secrets("POST", "/big").body(SECRETS[4].repeat(1000)),
            with_secrets("GET", "/x").header("Host", "bad host"),
            with_secrets("GET", "/x").header(&format!("bad name {}", SECRETS[0]), "x"),
            with_secrets("GET", "/x").header("X-Bad", format!("{}\x01", SECRETS[0])),
            with_secrets("POST", "/x").header("Content-Length", SECRETS[0]),
            with_secrets("POST", "/x").header("Transfer-Encoding", SECRETS[0]),
            with_secrets("GET", "/x").header("Expect", SECRETS[0]),
            with_secrets("GET", "/x").header("Connection", SECRETS[0]),
            with_secrets(SECRETS[0], "/x"),
        ];
        for request in requests {
            let answer = gateway.request(&request).await;
            for secret in SECRETS.iter().filter(|_| answer.status() >= 400) {
                assert!(!answer.text().contains(secret), "{secret} in an error: {}", answer.text());
            }
        }
        let slow = with_secrets("POST", "/slow").header("Content-Length", "1000").bytes();
        gateway.exchange(&slow, "POST").await;
        gateway.exchange(&slow[..slow.len() - 10], "POST").await;
        gateway.request(&Request::get("/secrets-fence")).await;
        gateway.stderr_line(0, "the fence", |line| line.contains("/secrets-fence")).await;
        let stderr = gateway.stderr();
        for secret in SECRETS {
            let method = secret == SECRETS[0];
            let lines: Vec<_> = stderr.lines().filter(|line| line.contains(secret)).collect();
            // The method is no place for a key; its line may show it.
            assert!(lines.len() <= usize::from(method), "debug {debug}, {format}: {lines:#?}");
        }
    }
}

/// How often a thread of a process has waited for something.
fn waits(pid: u32, thread: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads").map(|task| task.expect("a thread").path());
    let of = |name: &str, task: &std::path::Path| fs::read_to_string(task.join(name)).unwrap_or_default();
    let named = tasks.filter(|task| of("comm", task).trim() == thread);
    let status: String = named.map(|task| of("status", &task)).collect();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("a count");
    line.trim().parse().expect("a number")
}

#[tokio::test]
async fn no_request_wakes_the_thread_that_writes_its_line() {
    const REQUESTS: usize = 1000;
    let upstream = Upstream::start(|_| Reply::ok("a")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let mut client = gateway.connect().await;
    let (before, began) = (waits(gateway.pid(), "log"), Instant::now());
    for _ in 0..REQUESTS {
        assert_eq!(client.request(&Request::get("/v1/models")).await.status(), 200);
    }
    let waited = waits(gateway.pid(), "log") - before;
    // It gathers lines for 20 ms, then writes them and waits for the next: three waits at most.
    let most = 3 * (began.elapsed().as_millis() as u64 / 20 + 2);
    assert!(waited <= most, "{waited} waits in {:?}, for {REQUESTS} lines", began.elapsed());
}
