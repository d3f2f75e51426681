//! Who may see the gateway's own pages, and who may change anything.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Upstream};
use std::net::{IpAddr, SocketAddr, UdpSocket};

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

#[tokio::test]
async fn only_who_has_the_key_may_look_and_five_wrong_ones_make_one_wait() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).env("DASHBOARD_API_KEY", "the-key").start().await;
    let health = || look("health");
    let status = async |request: Request| gateway.request(&request).await.status();
    assert_eq!(status(health()).await, 401);
    assert_eq!(status(health().header("Authorization", "Bearer the-key")).await, 200);
    let login = |key: &str| change("session", &format!("{{\"key\":\"{key}\"}}"));
    let answer = gateway.request(&login("the-key")).await;
    assert_eq!(answer.status(), 204);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair");
    assert_eq!(status(health().header("Cookie", pair)).await, 200);
    assert_eq!(status(health().header("Cookie", format!("{pair}x"))).await, 401);
    let cross = health().header("Cookie", pair).header("Sec-Fetch-Site", "cross-site");
    assert_eq!(status(cross).await, 403);
    let form = Request::post("/api/admin/upstreams/a/drain", "").header("Cookie", pair);
    assert_eq!(status(form.header("Content-Type", "application/x-www-form-urlencoded")).await, 415);
    for _ in 0..5 {
        assert_eq!(status(login("wrong")).await, 401);
    }
    let late = gateway.request(&login("the-key")).await;
    assert_eq!((late.status(), late.header("retry-after").is_some()), (429, true));
    assert_eq!(status(health().header("Authorization", "Bearer the-key")).await, 429);
    assert_eq!(status(health().header("Cookie", pair)).await, 200, "who is logged in stays so");
    let mut admin = Client::connect(gateway.admin_addr()).await;
    assert_eq!(admin.request(&Request::get("/metrics")).await.status(), 200, "Prometheus needs no key");
    assert_eq!(admin.request(&health()).await.status(), 401);
}

#[tokio::test]
async fn without_a_key_this_machine_may_look_and_nobody_may_change_anything() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let session = gateway.request(&look("session")).await.json();
    assert_eq!((session["may_read"].as_bool(), session["may_write"].as_bool()), (Some(true), Some(false)));
    let answer = gateway.request(&change("upstreams/a/drain", "{}")).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("DASHBOARD_API_KEY"), "{}", answer.text());
    for (name, value) in [("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 proxy"), ("Forwarded", "for=192.0.2.1")] {
        let answer = gateway.request(&look("health").header(name, value)).await;
        assert_eq!(answer.status(), 401, "{name}");
    }
    let rebound = format!("GET /api/admin/health HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", gateway.addr().port());
    assert_eq!(gateway.exchange(rebound, "GET").await.status(), 401);
}

#[tokio::test]
async fn without_a_key_no_change_is_made_for_anybody_on_any_path() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let builder = gateway().upstream(upstream.url());
    let port = builder.addr().port();
    let gateway = builder.env("LISTEN", &format!("0.0.0.0:{port}")).start().await;
    for (method, target) in CHANGES {
        let here = with_method(method, target);
        assert_eq!(gateway.request(&here).await.status(), 403, "{method} {target} from this machine");
        let forwarded = here.header("X-Forwarded-For", "192.0.2.1");
        assert_eq!(gateway.request(&forwarded).await.status(), 401, "{method} {target} from behind a proxy");
    }
    // A client that is not on this machine, which may not even look. Not every machine can be one.
    let Some(address) = outward_address() else { return };
    for (method, target) in CHANGES.into_iter().chain([("GET", "requests"), ("GET", "config"), ("GET", "live")]) {
        let mut client = Client::connect(SocketAddr::new(address, port)).await;
        let answer = client.request(&with_method(method, target).body("{}")).await;
        assert_eq!(answer.status(), 401, "{method} {target} from {address}");
    }
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
    // Without the key there is not even a hint of what exists.
    for target in
        ["..%2fhealth", "../health", "%2e%2e/%2e%2e/etc/passwd", "health/..", "config%2f", "", "session/../config"]
    {
        assert_eq!(gateway.request(&look(target)).await.status(), 401, "{target}");
    }
    assert!(upstream.received().is_empty(), "none of them was sent to the upstream");
    // These are not the gateway's own paths: they go to the upstream as they are.
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
        let login = change("session", r#"{"key":"the-key"}"#).header("Origin", origin);
        let answer = gateway.request(&login).await;
        assert_eq!(answer.status(), 204, "{origin}");
        answer.header("set-cookie").expect("a cookie")
    };
    assert!(cookie("https://127.0.0.1").await.ends_with("; SameSite=Strict; Secure"));
    assert!(cookie("http://127.0.0.1").await.ends_with("; SameSite=Strict"));
}
