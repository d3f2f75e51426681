//! Who may see the gateway's own pages, and who may change anything.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Response, Upstream, within};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Every change that the API knows.
const CHANGES: [(&str, &str); 7] = [
    ("PUT", "config"),
    ("POST", "reload"),
    ("POST", "upstreams/a/drain"),
    ("POST", "upstreams/a/enable"),
    ("POST", "upstreams/a/test"),
    ("DELETE", "config"),
    ("POST", "no-such-thing"),
];

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A request to the API as a browser on this machine makes it.
fn look(target: &str) -> Request {
    Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1")
}

/// A change.
fn change(target: &str, body: &str) -> Request {
    with_method("POST", target).body(body)
}

fn with_method(method: &str, target: &str) -> Request {
    let request = Request::new(method, &format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    request.header("Content-Type", "application/json")
}

/// An address of this machine that others can reach, if it has one. Nothing is sent.
fn outward_address() -> Option<IpAddr> {
    let probe = UdpSocket::bind("0.0.0.0:0").ok()?;
    probe.connect("192.0.2.1:9").ok()?;
    probe.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

/// A login with this key.
fn login(key: &str) -> Request {
    change("session", &format!("{{\"key\":\"{key}\"}}"))
}

/// The name and the value of the cookie that an answer sets.
fn cookie(answer: &Response) -> String {
    let cookie = answer.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn only_who_has_the_key_or_a_session_may_look() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "the-key").start().await;
    let health = || look("health");
    let status = async |request: Request| gateway.request(&request).await.status();
    assert_eq!(status(health()).await, 401);
    assert_eq!(status(health().header("Authorization", "Bearer the-key")).await, 200);
    let answer = gateway.request(&login("the-key")).await;
    assert_eq!(answer.status(), 204);
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/api/admin;"), "{set}");
    let pair = cookie(&answer);
    assert_eq!(status(health().header("Cookie", &pair)).await, 200);
    assert_eq!(
        status(health().header("Cookie", format!("__Secure-{pair}"))).await,
        200,
        "the name that it has over TLS"
    );
    assert_eq!(status(health().header("Cookie", format!("{pair}x"))).await, 401);
    let cross = health().header("Cookie", &pair).header("Sec-Fetch-Site", "cross-site");
    assert_eq!(status(cross).await, 403);
    let form = Request::post("/api/admin/upstreams/a/drain", "").header("Cookie", &pair);
    assert_eq!(status(form.header("Content-Type", "application/x-www-form-urlencoded")).await, 415);
    let mut admin = Client::connect(gateway.admin_addr()).await;
    assert_eq!(admin.request(&Request::get("/metrics")).await.status(), 200, "Prometheus needs no key");
    assert_eq!(admin.request(&health()).await.status(), 401);
}

#[tokio::test]
async fn wrong_keys_are_slowed_down_and_never_lock_the_right_one_out() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let key = gateway.panel_key();
    let status = async |request: Request| gateway.request(&request).await.status();
    let with = |key: &str| look("health").header("Authorization", format!("Bearer {key}"));
    let session = cookie(&gateway.request(&login(&key)).await);
    for _ in 0..2 {
        assert_eq!(status(login("wrong")).await, 401);
        assert_eq!(status(with("wrong")).await, 401);
    }
    // A session that somebody else signed is a guess of the key too.
    let forged = look("health").header("Cookie", format!("{session}x"));
    assert_eq!(status(forged).await, 401);
    let began = Instant::now();
    let late = gateway.request(&login("wrong")).await;
    assert_eq!((late.status(), late.header("retry-after").as_deref()), (429, Some("60")));
    assert_eq!(status(with("wrong")).await, 429);
    assert!(began.elapsed() >= Duration::from_secs(2), "each of them waits a second");
    assert_eq!(status(login(&key)).await, 204);
    assert_eq!(status(with(&key)).await, 200);
    assert_eq!(status(look("health").header("Cookie", session)).await, 200);
    assert!(!gateway.stderr().contains(&key));
}

/// Who opens many connections learns no more of his guesses than who waits for each answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_guesses_at_once_get_few_answers_and_the_right_key_gets_its_own() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let key = gateway.panel_key();
    let with = |key: &str| look("health").header("Authorization", format!("Bearer {key}"));
    let answered = Arc::new(AtomicUsize::new(0));
    let guessers: Vec<_> = (0..60)
        .map(|guesser| {
            let (address, answered) = (gateway.addr(), Arc::clone(&answered));
            let guess = match guesser % 3 {
                0 => with("wrong"),
                1 => login("wrong"),
                _ => change("explain", "{}").header("Authorization", "Bearer wrong"),
            };
            tokio::spawn(async move {
                for _ in 0..20 {
                    if Client::connect(address).await.try_request(&guess).await.is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // The owner comes from the same address, with a link too, and with a cookie of a key from before.
    for _ in 0..20 {
        assert_eq!(gateway.request(&with(&key)).await.status(), 200);
        assert_eq!(
            gateway.request(&login(&key).header("Cookie", "gateway_session=9999999999.x.y")).await.status(),
            204
        );
    }
    within("all guesses to be made", async {
        for guesser in guessers {
            guesser.await.expect("no panic");
        }
    })
    .await;
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered < 60, "{answered} of 1200 guesses were answered");
    // Over HTTP/2 the stream ends. Another client that waits makes it so.
    let mut waiting = gateway.connect().await;
    waiting.send(with("wrong").bytes()).await;
    let request = http::Request::get(format!("http://{}/api/admin/health", gateway.addr()));
    let request = request.header("authorization", format!("Bearer {key}")).body(()).expect("a request");
    assert_eq!(gateway.connect_h2().await.send(request, &[]).await.status, 200);
}

#[tokio::test]
async fn large_cookies_of_other_programs_hide_no_session() {
    let gateway = gateway().upstream("http://127.0.0.1:9").start().await;
    let pair = cookie(&gateway.request(&login(&gateway.panel_key())).await);
    // Browsers send those of all ports of a host, in the order of their age.
    let theirs = "gateway_session=9999999999.x.y; ".repeat(20);
    let look = look("health").header("Cookie", [theirs.as_bytes(), b"name=caf\xe9; ", pair.as_bytes()].concat());
    assert_eq!(gateway.request(&look).await.status(), 200);
    let large = Request::get("/api/admin/health").header("Cookie", format!("a={}; {pair}", "x".repeat(30_000)));
    assert_eq!(gateway.request(&large).await.status(), 200);
}

#[tokio::test]
async fn a_session_can_be_ended_and_stays_ended() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let mut gateway = gateway().upstream(upstream.url()).start().await;
    let key = gateway.panel_key();
    let (one, other) = (cookie(&gateway.request(&login(&key)).await), cookie(&gateway.request(&login(&key)).await));
    let session = |pair: &str| look("health").header("Cookie", pair);
    let logout = with_method("DELETE", "session").header("Cookie", &one);
    // Whoever looks on with it sees no more.
    let mut live = gateway.connect().await;
    live.send(look("live").header("Cookie", &one).bytes()).await;
    assert_eq!(live.head("GET").await.status, 200);
    assert_eq!(gateway.request(&logout).await.status(), 204);
    within("the live feed of an ended session ends", async { while live.piece().await.is_some() {} }).await;
    assert_eq!(gateway.request(&session(&one)).await.status(), 401);
    assert_eq!(gateway.request(&session(&other)).await.status(), 200, "another session goes on");
    let old = gateway.pid();
    let output = gateway.command(&["upgrade"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert!(!gateway.wait_processes(1).await.contains(&old));
    assert_eq!(gateway.request(&session(&one)).await.status(), 401, "the next process knows");
    assert_eq!(gateway.request(&session(&other)).await.status(), 200);
    let output = gateway.command(&["panel", "--new-key"]).await;
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(gateway.request(&session(&other)).await.status(), 401, "a new key ends all");
    assert_eq!(gateway.request(&login(&key)).await.status(), 401);
    assert_eq!(gateway.request(&login(&gateway.panel_key())).await.status(), 204);
}

/// The original fault: behind a reverse proxy every client is on this machine, and chooses its `Host`.
#[tokio::test]
async fn nobody_looks_without_a_key_wherever_a_request_says_it_comes_from() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let builder = gateway().upstream(upstream.url());
    let port = builder.addr().port();
    let gateway = builder.env("LISTEN", &format!("0.0.0.0:{port}")).start().await;
    let session = gateway.request(&look("session")).await.json();
    assert_eq!((session["may_read"].as_bool(), session["may_write"].as_bool()), (Some(false), Some(false)));
    let looks =
        ["health", "config", "requests", "export", "live", "running", "rules", "config/history", "openapi.yaml"];
    let looks = looks.map(|target| ("GET", target)).into_iter();
    for (method, target) in looks.chain(CHANGES).chain([("POST", "explain"), ("POST", "config/check")]) {
        for host in ["localhost", "127.0.0.1:8088", "[::1]", "evil.example"] {
            let request = Request::new(method, &format!("/api/admin/{target}")).header("Host", host);
            let request = request.header("Content-Type", "application/json");
            assert_eq!(gateway.request(&request).await.status(), 401, "{method} {target}, Host: {host}");
            let forwarded = request.header("X-Forwarded-For", "127.0.0.1");
            assert_eq!(gateway.request(&forwarded).await.status(), 401, "{method} {target}, forwarded");
        }
    }
    // A client that is not on this machine. Not every machine can be one.
    let Some(address) = outward_address() else { return };
    let mut client = Client::connect(SocketAddr::new(address, port)).await;
    assert_eq!(client.request(&look("config")).await.status(), 401, "from {address}");
}

#[tokio::test]
async fn with_a_key_a_change_needs_it_on_every_path() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "the-key").start().await;
    for (method, target) in CHANGES {
        let none = gateway.request(&with_method(method, target)).await;
        assert_eq!(none.status(), 401, "{method} {target} without a key");
        let foreign = with_method(method, target)
            .header("Authorization", "Bearer the-key")
            .header("Sec-Fetch-Site", "cross-site");
        assert_eq!(gateway.request(&foreign).await.status(), 403, "{method} {target} from another site's page");
    }
    let wrong = with_method("PUT", "config").header("Authorization", "Bearer the-kex");
    assert_eq!(gateway.request(&wrong).await.status(), 401);
    let large = change("explain", &format!("{{\"body\":\"{}\"}}", "x".repeat(1024 * 1024)));
    assert_eq!(gateway.request(&large.header("Authorization", "Bearer the-key")).await.status(), 413);
}

#[tokio::test]
async fn tricks_with_paths_lead_nowhere() {
    let upstream = Upstream::start(|_| Reply::ok("from the upstream")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "the-key").start().await;
    for target in [
        "/admin/..%2f",
        "/admin/..%2fapi/admin/config",
        "/admin/../api/admin/config",
        "/admin/%2e%2e/conf/gateway.yaml",
        "/admin/assets/../../../../etc/passwd",
        "/admin/assets/..%5c..%5cCargo.toml",
        "/admin/index.html.br",
        "/admin/%00",
        "/admin/.built",
    ] {
        let answer = gateway.request(&Request::get(target).header("Host", "127.0.0.1")).await;
        assert_eq!(
            (answer.status(), answer.json()["error"]["type"].as_str()),
            (404, Some("not_found_error")),
            "{target}"
        );
    }
    let code = async |request: Request| {
        let error = gateway.request(&request).await.json()["error"].clone();
        (error["code"].as_str().unwrap_or_default().to_owned(), error["parameters"].clone())
    };
    assert_eq!(code(Request::get("/admin/%00")).await, ("no_page".to_owned(), serde_json::json!({})));
    assert_eq!(code(look("stats")).await.0, "key_needed");
    let drain = change("upstreams/none/drain", "{}").header("Authorization", "Bearer the-key");
    assert_eq!(code(drain).await, ("no_upstream".to_owned(), serde_json::json!({ "name": "none" })));
    // Without the key there is not even a hint of what exists.
    for target in
        ["..%2fhealth", "../health", "%2e%2e/%2e%2e/etc/passwd", "health/..", "config%2f", "", "session/../config"]
    {
        assert_eq!(gateway.request(&look(target)).await.status(), 401, "{target}");
    }
    assert!(upstream.received().is_empty(), "none of them was sent to the upstream");
    // These hold nothing that is the gateway's own: they go to the upstream as they are.
    for target in ["//admin", "/ADMIN/", "/administrator", "/api/administer/config", "/%61dmin/", "/x/../admin/"] {
        let answer = gateway.request(&Request::get(target).header("Host", "127.0.0.1")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "from the upstream"), "{target}");
    }
}

#[tokio::test]
async fn behind_tls_the_cookie_never_travels_in_the_clear() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "the-key").start().await;
    let cookie = async |origin: &str| {
        let answer = gateway.request(&login("the-key").header("Origin", origin)).await;
        assert_eq!(answer.status(), 204, "{origin}");
        answer.header("set-cookie").expect("a cookie")
    };
    let over_tls = cookie("https://127.0.0.1").await;
    assert!(
        over_tls.starts_with("__Secure-gateway_session=") && over_tls.ends_with("; SameSite=Strict; Secure"),
        "{over_tls}"
    );
    let plain = cookie("http://127.0.0.1").await;
    assert!(plain.starts_with("gateway_session=") && plain.ends_with("; SameSite=Strict"), "{plain}");
}

/// With each character percent-encoded.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The status of the answer to a request over HTTP/2.
async fn over_http2(gateway: &Gateway, path: &str, key: &str) -> u16 {
    let request = http::Request::builder().uri(format!("http://{}{path}", gateway.addr())).header("x-api-key", key);
    gateway.connect_h2().await.send(request.body(()).expect("a request"), &[]).await.status
}

#[tokio::test]
async fn no_spelling_of_the_admin_api_goes_to_an_upstream() {
    let upstream = Upstream::start(|_| Reply::ok("from the upstream")).await;
    for is_on in ["true", "false"] {
        let gateway = gateway().upstream(upstream.url()).env("ENABLE_DASHBOARD", is_on).start().await;
        for target in [
            "/api/admin",
            "/api/admin?x=1",
            "/API/admin/config",
            "/api/Admin/",
            "//api/admin/config",
            "/api//admin/config",
            "/x/../api/admin/config",
            "/./api/admin",
            "/x/%2e%2e/api/admin/config",
            "/%61pi/admin/config",
            "/api%2Fadmin/config",
            "/%2561pi/admin",
            "/api%5cadmin",
            "/api;x/admin/config",
            "/api/admin%3fx",
            "/api/admin%23",
            "/api/admin%0d%0aX-Field:1",
            "/%25252525252561pi/admin",
            "/api%c0%afadmin",
            "/ap%u0069/admin/config",
        ] {
            for method in ["GET", "POST", "OPTIONS"] {
                let answer = gateway.request(&gateway.as_admin(Request::new(method, target))).await;
                assert_eq!(answer.status(), 404, "{method} {target}, dashboard {is_on}");
            }
        }
        let absolute = "GET http://gateway.example/api/admin HTTP/1.1\r\nHost: gateway.example\r\n\r\n";
        assert_eq!(gateway.exchange(absolute, "GET").await.status(), 404);
        let config = gateway.request(&gateway.as_admin(look("config"))).await.status();
        assert_eq!(config, if is_on == "true" { 200 } else { 404 });
        assert_eq!(over_http2(&gateway, "/api/Admin/config", "").await, 404);
    }
    assert!(upstream.received().is_empty(), "nothing was sent to the upstream");
}

#[tokio::test]
async fn the_panels_key_never_goes_upstream() {
    let upstream = Upstream::start(|_| Reply::ok("from the upstream")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("log.db").display().to_string();
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{ base_url: \"{}\" }}\n  log: {{ capture: all }}\n  rules:\n    \
         - {{ name: x, match: {{ path: /answered }}, respond: {{ status: 418, body: \"${{header.x-api-key}}\" }} }}\n",
        upstream.url()
    );
    let gateway = gateway().yaml(&yaml).env("GATEWAY_DB", &database).start().await;
    let key = gateway.panel_key();
    let with = |name: &str, value: String| Request::post("/v1/messages", "{}").header(name, value);
    for request in [
        with("Authorization", format!("Bearer {key}")),
        with("Authorization", key.clone()),
        with("x-api-key", key.clone()),
        with("x-goog-api-key", key.clone()),
        with("Cookie", format!("a=b; key={key}")),
        with("X-Whatever", key.clone()),
        with("Authorization", format!("Bearer a.{key}")),
        with("Authorization", format!("Basic {}", STANDARD.encode(format!("user:{key}")))),
        with("Referer", format!("http://127.0.0.1/x{key}x")),
        with("Sec-WebSocket-Protocol", format!("chat, key.{key}")),
        with("Cookie", format!("a={}", escaped(&key))),
        with(&format!("X-{key}"), "1".to_owned()),
        Request::get(&format!("/v1/models?key={key}")),
        Request::get(&format!("/v1/models?key={}", escaped(&key))),
        Request::get(&format!("/v1/models/a.{key}")),
        Request::get("/answered").header("x-api-key", &key),
        Request::new(&key, "/v1/messages"),
    ] {
        let answer = gateway.request(&request).await;
        assert_eq!((answer.status(), answer.json()["error"]["type"].as_str()), (401, Some("authentication_error")));
        assert!(answer.text().contains("ANTHROPIC_AUTH_TOKEN") && !answer.text().contains(&key), "{}", answer.text());
    }
    assert_eq!(over_http2(&gateway, "/v1/messages", &key).await, 401);
    // A program has read the file, say.
    let text = format!("{{\"messages\":[{{\"content\":\"{}dashboard.key: {key}\\n\"}}]}}", "x".repeat(100_000));
    for body in [
        Request::post("/v1/messages", text.clone()),
        Request::post("/v1/messages", text).header("Expect", "100-continue"),
    ] {
        let answer = gateway.request(&body).await;
        assert_eq!((answer.status(), answer.json()["error"]["type"].as_str()), (403, Some("permission_error")));
        assert!(answer.text().contains("--new-key") && !answer.text().contains(&key), "{}", answer.text());
    }
    assert!(upstream.received().is_empty(), "nothing was sent to the upstream");
    let another = with("x-api-key", key[1..].to_owned()).body(format!("{{\"x\":\"{}\"}}", &key[1..]));
    assert_eq!(gateway.request(&another).await.status(), 200, "another key");
    let requests = within("all rows", async {
        loop {
            let page = gateway.request(&gateway.as_admin(look("requests?q=panel_key&limit=500"))).await;
            let text = page.text();
            if text.matches("\"panel_key\"").count() == 20 {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(!requests.contains(&key) && !gateway.stderr().contains(&key));
    for file in std::fs::read_dir(folder.path()).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("read");
        assert!(memchr::memmem::find(&bytes, key.as_bytes()).is_none(), "the key is in the request log");
    }
}
