//! Names of upstreams: asked of a name server, kept for as long as it says, and never waited for while known.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::{Deaf, DnsMode, DnsServer, Gateway, GatewayBuilder, Port, Reply, Upstream, ask, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A gateway whose only upstream is `relay.test` at this port, a name that only `server` knows.
async fn to_relay(server: &DnsServer, port: u16) -> Gateway {
    let yaml = format!(
        "gateway:\n  dns: {{ servers: \"{}\" }}\n  timeouts: {{ connect: 5s }}\n  upstreams:\n    - {{ name: relay, base_url: \"http://relay.test:{port}\" }}\n",
        server.addr()
    );
    gateway().yaml(&yaml).start().await
}

/// A mock at this address that answers with it.
async fn at(ip: &str, port: u16) -> Upstream {
    let addr: SocketAddr = format!("{ip}:{port}").parse().expect("an address");
    let ip = ip.to_owned();
    // Closed after each answer: a kept connection would outlive a change of the address.
    let reply = move |_: &_| Reply::ok(ip.as_str()).header("Connection", "close");
    Upstream::builder().start_at(addr, reply).await.expect("a free port")
}

#[tokio::test]
async fn a_name_is_asked_of_the_configured_server() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let upstream = at("127.0.0.1", port.number()).await;
    server.set("relay.test", &["127.0.0.1"]);
    let gateway = to_relay(&server, port.number()).await;
    let answer = gateway.request(&ask(1)).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "127.0.0.1"));
    assert_eq!(upstream.last().headers.all("host"), [format!("relay.test:{}", port.number())]);
    assert!(server.queries().iter().any(|query| query == "A relay.test"), "{:?}", server.queries());
}

#[tokio::test]
async fn a_dead_address_among_good_ones_is_passed_over() {
    for addresses in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
        let (port, server) = (Port::free(), DnsServer::start().await);
        let _upstream = at("127.0.0.1", port.number()).await;
        server.set("relay.test", &addresses);
        let gateway = to_relay(&server, port.number()).await;
        for session in 0..10 {
            let answer = gateway.request(&ask(session)).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "127.0.0.1"), "{addresses:?}");
        }
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_address_that_swallows_connections_costs_little_time() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let _upstream = at("127.0.0.1", port.number()).await;
    // On a machine without IPv6 the address fails at once, which is the easier case.
    let deaf = Deaf::start_at(([0, 0, 0, 0, 0, 0, 0, 1], port.number()).into()).await;
    server.set("relay.test", &["::1", "127.0.0.1"]);
    let gateway = to_relay(&server, port.number()).await;
    for session in 0..5 {
        let started = Instant::now();
        let answer = gateway.request(&ask(session)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "127.0.0.1"));
        // The second address is tried beside the first, long before that is given up after 5 s.
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}, IPv6: {}", started.elapsed(), deaf.is_ok());
    }
}

#[tokio::test]
async fn an_upstream_with_an_ipv6_address_only_is_reached() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let addr = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port.number()));
    let Ok(_upstream) = Upstream::builder().start_at(addr, |_| Reply::ok("six")).await else {
        eprintln!("this machine has no IPv6: nothing to test");
        return;
    };
    server.set("relay.test", &["::1"]);
    let gateway = to_relay(&server, port.number()).await;
    assert_eq!(gateway.request(&ask(1)).await.text(), "six");
}

#[tokio::test]
#[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this machine
async fn a_changed_address_is_used_once_the_old_one_has_expired() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let (old, new) = (at("127.0.0.1", port.number()).await, at("127.0.0.2", port.number()).await);
    server.ttl(1);
    server.set("relay.test", &["127.0.0.1"]);
    let gateway = to_relay(&server, port.number()).await;
    assert_eq!(gateway.request(&ask(1)).await.text(), "127.0.0.1");
    server.set("relay.test", &["127.0.0.2"]);
    let changed = Instant::now();
    while gateway.request(&ask(1)).await.text() != "127.0.0.2" {
        assert!(changed.elapsed() < Duration::from_secs(10), "still at the old address");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = old.received().len();
    for session in 0..10 {
        assert_eq!(gateway.request(&ask(session)).await.text(), "127.0.0.2");
    }
    assert_eq!(old.received().len(), before);
    assert!(new.received().len() >= 11);
}

#[tokio::test]
async fn while_an_answer_is_fresh_nothing_is_asked() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let _upstream = at("127.0.0.1", port.number()).await;
    server.set("relay.test", &["127.0.0.1"]);
    let gateway = to_relay(&server, port.number()).await;
    assert_eq!(gateway.request(&ask("first")).await.status(), 200);
    let asked = server.queries();
    assert!(!asked.is_empty());
    server.mode(DnsMode::Silent);
    for session in 0..50 {
        assert_eq!(gateway.request(&ask(session)).await.status(), 200);
    }
    assert_eq!(server.queries(), asked);
}

#[tokio::test]
async fn while_the_server_is_down_the_last_answer_serves_and_nobody_waits() {
    for mode in [DnsMode::Silent, DnsMode::Failing] {
        let (port, server) = (Port::free(), DnsServer::start().await);
        let _upstream = at("127.0.0.1", port.number()).await;
        server.ttl(1);
        server.set("relay.test", &["127.0.0.1"]);
        let gateway = to_relay(&server, port.number()).await;
        assert_eq!(gateway.request(&ask("first")).await.status(), 200);
        server.mode(mode);
        let asked = server.queries().len();
        // Until the answer has expired, which shows in the server being asked again.
        within("the name server to be asked again", async {
            while server.queries().len() == asked {
                assert_eq!(gateway.request(&ask("waiting")).await.status(), 200, "{mode:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        for session in 0..20 {
            let started = Instant::now();
            assert_eq!(gateway.request(&ask(session)).await.status(), 200, "{mode:?}");
            assert!(started.elapsed() < Duration::from_secs(1), "{mode:?}: {:?}", started.elapsed());
        }
        server.mode(DnsMode::Answering);
        assert_eq!(gateway.request(&ask("after")).await.status(), 200, "{mode:?}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_502_that_says_so() {
    for mode in [DnsMode::Answering, DnsMode::Failing] {
        let (port, server) = (Port::free(), DnsServer::start().await);
        server.mode(mode);
        let gateway = to_relay(&server, port.number()).await;
        let answer = gateway.request(&ask(1)).await;
        assert_eq!(answer.status(), 502, "{mode:?}: {}", answer.text());
        let error = answer.json();
        assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some("api_error")));
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("\"relay\"") && !message.contains("relay.test"), "{mode:?}: {message}");
        let line = gateway.stderr_line(0, "the operator's line", |line| line.contains("could not be found")).await;
        assert_eq!(line.matches("relay.test").count(), 1, "the operator reads which name: {line}");
        assert!(message.to_lowercase().contains("resolve") || message.to_lowercase().contains("dns"), "{message}");
        assert!(!server.queries().is_empty(), "{mode:?}");
    }
}

#[tokio::test]
async fn a_name_that_comes_to_exist_is_found() {
    let (port, server) = (Port::free(), DnsServer::start().await);
    let _upstream = at("127.0.0.1", port.number()).await;
    let gateway = to_relay(&server, port.number()).await;
    assert_eq!(gateway.request(&ask(1)).await.status(), 502);
    server.set("relay.test", &["127.0.0.1"]);
    within("the name to be found", async {
        while gateway.request(&ask(1)).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
