//! Proxies that refuse, hang, talk nonsense or are not there: the client is told which one, and never its password.

use harness::{
    Authority, CREDENTIALS, Deaf, Gateway, GatewayBuilder, Pool, Port, Proxy, Reply, Request, Response, Stub, Upstream,
    ask, named,
};

/// A password that no other text of an answer or a log contains.
const PASSWORD: &str = "wr0ng-pa55word";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// What the client is told by a gateway whose only upstream is behind this proxy.
async fn told(proxy: &str, https: bool) -> (Response, String) {
    let authority = Authority::new();
    let builder = Upstream::builder();
    let builder = if https { builder.tls(&authority.leaf(&["localhost"])) } else { builder };
    let upstream = builder.start(|_| Reply::ok("never asked")).await;
    let mut more = format!("proxy: \"{proxy}\", connect_timeout: 1s, first_byte_timeout: 1s");
    if https {
        more += &format!(", ca_file: \"{}\"", authority.ca_file().display());
    }
    let gateway = gateway().yaml(&Pool::new().add_with("relay", upstream.url(), &more).yaml()).start().await;
    let answer = gateway.request(&Request::post("/v1/messages", "{}")).await;
    assert_eq!(upstream.received().len(), 0, "{proxy}: never around the proxy");
    (answer, log(&gateway).await)
}

/// The log, once the failure stands in it.
async fn log(gateway: &Gateway) -> String {
    gateway.stderr_line(0, "the operator's line", |line| line.contains("could not be reached: the proxy")).await;
    gateway.stderr()
}

fn assert_tells(what: &str, told: (Response, String), place: &str) {
    let (answer, log) = told;
    assert_eq!(answer.status(), 502, "{what}: {}", answer.text());
    let error = answer.json();
    assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some("api_error")), "{what}");
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(!message.contains(place), "{what}: it tells clients of {place}: {message}");
    assert!(log.contains(place), "{what}: it names {place} to the operator:\n{log}");
    assert!(message.to_lowercase().contains("proxy"), "{what}: {message}");
    for secret in [PASSWORD, CREDENTIALS.1] {
        assert!(!answer.text().contains(secret), "{what}: the password is told: {message}");
        assert!(!log.contains(secret), "{what}: the password is logged:\n{log}");
    }
}

fn with_password(scheme: &str, place: impl std::fmt::Display) -> String {
    format!("{scheme}://somebody:{PASSWORD}@{place}")
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let port = Port::free();
    for scheme in ["http", "https", "socks5", "socks5h"] {
        for https in [true, false] {
            let what = format!("{scheme}, https {https}");
            let told = told(&with_password(scheme, port.addr()), https).await;
            assert_tells(&what, told, &port.addr().to_string());
        }
    }
}

#[tokio::test]
async fn a_proxy_whose_name_does_not_exist() {
    let told = told(&with_password("http", "no-such-proxy.invalid:3128"), true).await;
    assert_tells("no such name", told, "no-such-proxy.invalid:3128");
}

#[tokio::test]
async fn a_proxy_that_wants_another_password() {
    let proxy = Proxy::http(true, &[]).await;
    for https in [true, false] {
        for address in [with_password("http", proxy.addr()), format!("http://{}", proxy.addr())] {
            let told = told(&address, https).await;
            assert!(told.1.contains("407") || told.1.contains("password"), "{}", told.1);
            assert_tells(&format!("407, https {https}"), told, &proxy.addr().to_string());
        }
    }
    let proxy = Proxy::socks5(true).await;
    for scheme in ["socks5", "socks5h"] {
        for address in [with_password(scheme, proxy.addr()), format!("{scheme}://{}", proxy.addr())] {
            assert_tells(scheme, told(&address, true).await, &proxy.addr().to_string());
        }
    }
}

#[tokio::test]
async fn a_proxy_that_forbids_the_tunnel() {
    // CONNECT to port 1 only.
    let proxy = Proxy::http(false, &[1]).await;
    let told = told(&format!("http://{}", proxy.addr()), true).await;
    assert!(told.1.contains("it answered 403"), "{}", told.1);
    assert_tells("403", told, &proxy.addr().to_string());
}

#[tokio::test]
async fn a_proxy_that_cannot_reach_the_upstream() {
    let (http, socks, nobody) = (Proxy::http(false, &[]).await, Proxy::socks5(false).await, Port::free());
    for (scheme, proxy) in [("http", &http), ("socks5", &socks)] {
        let more = format!("proxy: \"{scheme}://{}\"", proxy.addr());
        let base = format!("https://{}", nobody.addr());
        let gateway = gateway().yaml(&Pool::new().add_with("relay", base, &more).yaml()).start().await;
        let answer = gateway.request(&ask(1)).await;
        assert_tells(scheme, (answer, log(&gateway).await), &proxy.addr().to_string());
    }
}

#[tokio::test]
async fn a_proxy_that_hangs() {
    let (stub, deaf) = (Stub::start(None).await, Deaf::start().await);
    for scheme in ["http", "socks5", "socks5h", "https"] {
        // Only Linux lets connections to a full queue hang.
        for place in [stub.addr(), deaf.addr()].into_iter().take(if cfg!(target_os = "linux") { 2 } else { 1 }) {
            let told = told(&with_password(scheme, place), true).await;
            assert_tells(&format!("{scheme}, {place}"), told, &place.to_string());
        }
    }
}

#[tokio::test]
async fn a_proxy_that_talks_nonsense() {
    let nonsense: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nhalf a hea",
        b"\x05\x63\x05\x63",
        b"",
    ];
    for answer in nonsense {
        let stub = Stub::start(Some(answer)).await;
        for scheme in ["http", "socks5", "socks5h", "https"] {
            let what = format!("{scheme}: {}", answer.escape_ascii());
            let told = told(&with_password(scheme, stub.addr()), true).await;
            assert_tells(&what, told, &stub.addr().to_string());
            assert!(!stub.heard().is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn an_upstream_behind_a_broken_proxy_is_replaced_by_another() {
    let (hanging, garbled, refusing) = (Stub::start(None).await, Stub::start(Some(b"what?\r\n")).await, Port::free());
    let forbidding = Proxy::http(true, &[]).await;
    let places = [
        format!("http://{}", hanging.addr()),
        format!("http://{}", garbled.addr()),
        format!("http://{}", refusing.addr()),
        format!("http://{}", forbidding.addr()),
        format!("socks5://{}", refusing.addr()),
        format!("socks5h://{}", garbled.addr()),
    ];
    for https in [true, false] {
        for place in &places {
            let (behind, good) = (named("behind").await, named("good").await);
            let base = if https { behind.url().replace("http:", "https:") } else { behind.url() };
            let more = format!("proxy: \"{place}\", connect_timeout: 500ms, first_byte_timeout: 500ms");
            let pool = Pool::new().add_with("behind", base, &more).add("good", good.url()).forgetful();
            let gateway = gateway().yaml(&pool.yaml()).start().await;
            let answer = gateway.request(&ask(1)).await;
            assert_eq!(answer.outcome(), "200 good 2", "{place}, https {https}: {}", answer.text());
            assert_eq!(behind.received().len(), 0);
        }
    }
}
