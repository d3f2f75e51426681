//! Outbound proxies: tinyproxy and microsocks from Debian between the gateway and its upstreams.

use harness::{
    Authority, CREDENTIALS, Gateway, GatewayBuilder, Pool, Proxy, Received, Reply, Request, TlsFront, Upstream, ask,
};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

fn reply(request: &Received) -> Reply {
    Reply::json(request.body.len().to_string())
}

fn post(size: usize) -> Request {
    let body: Vec<u8> = (0u32..).flat_map(|n| format!("{n} ").into_bytes()).take(size).collect();
    Request::post("/v1/messages?beta=true", body).header("x-api-key", "sk-client")
}

/// An https upstream at `localhost`, and what its entry needs to be trusted.
async fn secured(authority: &Authority) -> (Upstream, String) {
    let upstream = Upstream::builder().tls(&authority.leaf(&["localhost"])).start(reply).await;
    (upstream, format!("ca_file: \"{}\"", authority.ca_file().display()))
}

/// Bodies of all sizes go through, and come out as requests to an origin.
async fn assert_goes_through(gateway: &Gateway, upstream: &Upstream, what: &str) {
    for size in [2_000, 54_000, 4_000_000] {
        let answer = gateway.request(&post(size)).await;
        assert_eq!((answer.status(), answer.text()), (200, size.to_string()), "{what}");
        let got = upstream.last();
        assert!(got.body == post(size).bytes()[post(size).bytes().len() - size..], "{what}: the whole body");
        assert_eq!(got.target, "/v1/messages?beta=true", "{what}: the origin-form");
        assert!(!got.headers.has("proxy-authorization"), "{what}: the password is the proxy's alone");
        assert!(!got.headers.has("proxy-connection"), "{what}");
        assert_eq!(got.headers.all("x-api-key"), ["sk-client"], "{what}");
    }
}

/// `scheme://[user:password@]address`
fn url(scheme: &str, proxy: &Proxy, authenticated: bool) -> String {
    let (user, password) = CREDENTIALS;
    let credentials = if authenticated { format!("{user}:{password}@") } else { String::new() };
    format!("{scheme}://{credentials}{}", proxy.addr())
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_is_used_again() {
    let authority = Authority::new();
    for authenticated in [false, true] {
        let (upstream, ca) = secured(&authority).await;
        let proxy = Proxy::http(authenticated, &[]).await;
        let more = format!("{ca}, proxy: \"{}\"", url("http", &proxy, authenticated));
        let gateway = gateway().yaml(&Pool::new().add_with("secured", upstream.url(), &more).yaml()).start().await;
        assert_goes_through(&gateway, &upstream, "CONNECT").await;
        for session in 0..10 {
            assert_eq!(gateway.request(&ask(session)).await.status(), 200);
        }
        assert_eq!(proxy.requests(), [format!("CONNECT localhost:{} HTTP/1.1", upstream.addr().port())]);
        assert_eq!((upstream.connections(), upstream.received().len()), (1, 13));
    }
}

#[tokio::test]
async fn plain_http_is_asked_of_the_proxy_in_absolute_form() {
    for authenticated in [false, true] {
        let upstream = Upstream::start(reply).await;
        let proxy = Proxy::http(authenticated, &[]).await;
        let more = format!("proxy: \"{}\"", url("http", &proxy, authenticated));
        let gateway = gateway().yaml(&Pool::new().add_with("plain", upstream.url(), &more).yaml()).start().await;
        assert_goes_through(&gateway, &upstream, "absolute-form").await;
        assert_eq!(proxy.requests(), vec![format!("POST {}/v1/messages?beta=true HTTP/1.1", upstream.url()); 3]);
        let got = upstream.last();
        assert!(got.headers.get("via").is_some_and(|via| via.contains("tinyproxy")), "{:?}", got.headers);
        assert_eq!(got.headers.all("host"), [upstream.addr().to_string()]);
    }
}

#[tokio::test]
async fn a_path_prefix_is_part_of_the_absolute_form() {
    let (upstream, proxy) = (Upstream::start(reply).await, Proxy::http(false, &[]).await);
    let more = format!("proxy: \"{}\"", url("http", &proxy, false));
    let base = format!("{}/relay/", upstream.url());
    let gateway = gateway().yaml(&Pool::new().add_with("plain", base, &more).yaml()).start().await;
    assert_eq!(gateway.request(&Request::get("/v1/models?limit=9")).await.status(), 200);
    assert_eq!(proxy.requests(), [format!("GET {}/relay/v1/models?limit=9 HTTP/1.1", upstream.url())]);
    assert_eq!(upstream.last().target, "/relay/v1/models?limit=9");
}

#[tokio::test]
async fn socks5_carries_http_and_https_and_socks5h_leaves_the_name_to_the_proxy() {
    let authority = Authority::new();
    for (scheme, authenticated) in [("socks5", false), ("socks5", true), ("socks5h", false), ("socks5h", true)] {
        let what = format!("{scheme}, password {authenticated}");
        let proxy = Proxy::socks5(authenticated).await;
        let through = format!("proxy: \"{}\"", url(scheme, &proxy, authenticated));
        let (safe, ca) = secured(&authority).await;
        let plain = Upstream::start(reply).await;
        let plain_url = format!("http://localhost:{}", plain.addr().port());
        for (upstream, base, more) in [(&safe, safe.url(), format!("{ca}, {through}")), (&plain, plain_url, through)] {
            let before = proxy.requests().len();
            let gateway = gateway().yaml(&Pool::new().add_with("relay", base, &more).yaml()).start().await;
            assert_goes_through(&gateway, upstream, &what).await;
            let asked = proxy.wait_requests(before + 1).await.split_off(before);
            let port = upstream.addr().port();
            let place = if scheme == "socks5h" { "localhost" } else { "127.0.0.1" };
            // With IPv6, localhost may have been tried as [::1] before.
            assert_eq!(asked.last(), Some(&format!("{place}:{port}")), "{what}");
            assert_eq!(upstream.connections(), 1, "{what}: one connection carries all requests");
        }
    }
}

#[tokio::test]
async fn the_authorities_of_the_system_can_be_replaced_by_ssl_cert_file() {
    let authority = Authority::new();
    let (upstream, _) = secured(&authority).await;
    let ca = authority.ca_file().display().to_string();
    let gateway = gateway().upstream(upstream.url()).env("SSL_CERT_FILE", &ca).start().await;
    assert_eq!(gateway.request(&post(2_000)).await.status(), 200);
}

#[tokio::test]
async fn an_https_proxy_is_reached_over_tls_and_its_certificate_checked() {
    let (authority, of_upstream) = (Authority::new(), Authority::new());
    let proxy = Proxy::http(true, &[]).await;
    let front = TlsFront::start(&authority.leaf(&["localhost"]), proxy.addr()).await;
    let (user, password) = CREDENTIALS;
    let through = format!("proxy: \"https://{user}:{password}@localhost:{}\"", front.addr().port());
    let (safe, ca) = secured(&of_upstream).await;
    let plain = Upstream::start(reply).await;
    for (upstream, more) in [(&safe, format!("{ca}, {through}")), (&plain, through.clone())] {
        let yaml = Pool::new().add_with("relay", upstream.url(), &more).yaml();
        let trusting = gateway().yaml(&yaml).env("SSL_CERT_FILE", &authority.ca_file().display().to_string());
        assert_goes_through(&trusting.start().await, upstream, "https proxy").await;
        // Its authority is not among the system's.
        let heard = upstream.received().len();
        let wary = gateway().yaml(&yaml).start().await;
        let answer = wary.request(&post(2_000)).await;
        assert_eq!(answer.status(), 502, "{}", answer.text());
        let place = format!("localhost:{}", front.addr().port());
        let line = wary.stderr_line(0, "the operator's line", |line| line.contains("could not be reached")).await;
        assert!(line.contains(&place) && !line.contains(password), "{line}");
        assert!(!answer.text().contains(&place) && answer.text().contains("outbound proxy"), "{}", answer.text());
        assert_eq!(upstream.received().len(), heard);
    }
    let asked = proxy.requests();
    assert!(asked.iter().any(|line| line.starts_with("CONNECT localhost:")), "{asked:?}");
    assert!(asked.iter().any(|line| line.starts_with("POST http://")), "{asked:?}");
}

#[tokio::test]
async fn the_environment_names_proxies_by_scheme() {
    let authority = Authority::new();
    let (safe, ca) = secured(&authority).await;
    let plain = Upstream::start(reply).await;
    let proxy = Proxy::http(true, &[]).await;
    let address = url("http", &proxy, true);
    // Variable, and whether the https and the http upstream go through it.
    let rows = [
        ("HTTPS_PROXY", true, false),
        ("https_proxy", true, false),
        ("HTTP_PROXY", false, true),
        ("http_proxy", false, true),
        ("ALL_PROXY", true, true),
        ("all_proxy", true, true),
    ];
    for (variable, for_https, for_http) in rows {
        for (upstream, more, expected) in [(&safe, ca.as_str(), for_https), (&plain, "", for_http)] {
            let before = proxy.requests().len();
            let yaml = Pool::new().add_with("relay", upstream.url(), more).yaml();
            let gateway = gateway().yaml(&yaml).env(variable, &address).start().await;
            assert_eq!(gateway.request(&post(2_000)).await.status(), 200, "{variable}");
            let asked = proxy.requests().len() - before;
            assert_eq!(asked, usize::from(expected), "{variable}, {}", upstream.url());
        }
    }
}

#[tokio::test]
async fn the_configuration_names_proxies_as_the_environment_does_and_an_upstream_its_own() {
    let upstream = Upstream::start(reply).await;
    let (general, own) = (Proxy::http(false, &[]).await, Proxy::http(false, &[]).await);
    let setting = format!("proxy: {{ http: \"{}\" }}", url("http", &general, false));
    let its_own = format!("proxy: \"{}\"", url("http", &own, false));
    // What the entry says, and how many requests each proxy gets.
    for (more, through_general, through_own) in [("", 1, 0), (its_own.as_str(), 0, 1), ("proxy: off", 0, 0)] {
        let before = (general.requests().len(), own.requests().len());
        let yaml = Pool::new().add_with("relay", upstream.url(), more).setting(&setting).yaml();
        let gateway = gateway().yaml(&yaml).start().await;
        assert_eq!(gateway.request(&post(2_000)).await.status(), 200, "{more}");
        let after = (general.requests().len(), own.requests().len());
        assert_eq!((after.0 - before.0, after.1 - before.1), (through_general, through_own), "{more}");
    }
}

#[tokio::test]
async fn no_proxy_exempts_hosts_and_nothing_else_is_exempt() {
    let upstream = Upstream::start(reply).await;
    let proxy = Proxy::http(false, &[]).await;
    let port = upstream.addr().port();
    let rows = [
        ("127.0.0.1", "", true),
        ("localhost", "", true),
        ("127.0.0.1", "127.0.0.1", false),
        ("127.0.0.1", "example.com, 127.0.0.1", false),
        ("127.0.0.1", "127.0.0.0/8", false),
        ("127.0.0.1", "10.0.0.0/8", true),
        ("127.0.0.1", "localhost", true),
        ("localhost", "localhost", false),
        ("localhost", "LOCALHOST", false),
        ("localhost", "host", true),
        ("localhost", "*", false),
    ];
    for (host, exempt, expected) in rows {
        let before = proxy.requests().len();
        let yaml = Pool::new().add("relay", format!("http://{host}:{port}")).yaml();
        let builder = gateway().yaml(&yaml).env("HTTP_PROXY", &url("http", &proxy, false)).env("NO_PROXY", exempt);
        assert_eq!(builder.start().await.request(&post(2_000)).await.status(), 200, "{host}, NO_PROXY={exempt}");
        let asked = proxy.requests().len() - before;
        assert_eq!(asked, usize::from(expected), "{host}, NO_PROXY={exempt}");
    }
}
