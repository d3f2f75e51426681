//! https upstreams: whom the gateway trusts, and what it says when it does not.

use harness::{Authority, Gateway, GatewayBuilder, Leaf, Reply, Response, Upstream, anthropic, fixtures};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// An upstream with a certificate for `names`, and a gateway that reaches it at `host` with `more` settings, in
/// which `CA` stands for the authority's file.
async fn secured(names: &[&str], host: &str, more: &str) -> (Upstream, Gateway) {
    shown(|authority| authority.leaf(names), host, more).await
}

/// The same with any certificate.
async fn shown(leaf: impl FnOnce(&Authority) -> Leaf, host: &str, more: &str) -> (Upstream, Gateway) {
    let authority = Authority::new();
    let upstream = Upstream::builder().tls(&leaf(&authority)).start(anthropic::handler()).await;
    let builder = gateway();
    let ca = builder.dir().join("authority.pem");
    std::fs::copy(authority.ca_file(), &ca).expect("the authority's file");
    let more = more.replace("CA", &ca.display().to_string());
    let yaml = format!(
        "gateway:\n  upstreams:\n    - name: secured\n      base_url: https://{host}:{}\n{more}",
        upstream.addr().port()
    );
    let gateway = builder.yaml(&yaml).start().await;
    (upstream, gateway)
}

async fn ask(gateway: &Gateway) -> Response {
    gateway.exchange(fixtures::named("sdk-cli-2.1.330-turn1").bytes(), "POST").await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_by_address_and_by_name() {
    for host in ["127.0.0.1", "localhost"] {
        let (upstream, gateway) = secured(&[host], host, "      ca_file: CA\n").await;
        for _ in 0..10 {
            assert_eq!(ask(&gateway).await.status(), 200, "{host}");
        }
        let got = upstream.last();
        assert_eq!(got.headers.all("host"), [format!("{host}:{}", upstream.addr().port())]);
        assert!(got.body == fixtures::named("sdk-cli-2.1.330-turn1").body);
        assert_eq!(upstream.received().len(), 10);
        assert!(upstream.connections() < 10, "TLS connections are kept too");
    }
}

#[tokio::test]
async fn another_name_can_be_asked_for_and_checked() {
    let (_upstream, gateway) =
        secured(&["relay.example"], "127.0.0.1", "      ca_file: CA\n      sni: relay.example\n").await;
    assert_eq!(ask(&gateway).await.status(), 200);
    let (_upstream, gateway) =
        secured(&["relay.example"], "127.0.0.1", "      ca_file: CA\n      sni: other.example\n").await;
    assert_refused(&gateway, "another sni").await;
}

async fn assert_refused(gateway: &Gateway, what: &str) {
    let answer = ask(gateway).await;
    assert_eq!(answer.status(), 502, "{what}: {}", answer.text());
    let error = answer.json();
    assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some("api_error")), "{what}");
    let message = error["error"]["message"].as_str().unwrap_or_default().to_lowercase();
    assert!(message.contains("certificate") || message.contains("tls"), "{what}: {message}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_502_that_says_so() {
    let (upstream, gateway) = secured(&["relay.example"], "localhost", "      ca_file: CA\n").await;
    assert_refused(&gateway, "wrong name").await;
    assert_eq!(upstream.received().len(), 0, "not a byte of the request left");
}

#[tokio::test]
async fn an_unknown_authority_is_a_502_that_says_so() {
    let (upstream, gateway) = secured(&["localhost"], "localhost", "").await;
    assert_refused(&gateway, "system roots").await;
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test]
async fn insecure_accepts_any_certificate_when_asked_to() {
    for names in [["localhost"], ["relay.example"]] {
        let (_upstream, gateway) = secured(&names, "localhost", "      insecure: true\n").await;
        assert_eq!(ask(&gateway).await.status(), 200, "{names:?}");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_a_502() {
    let upstream = Upstream::builder().allow_malformed().start(|_| Reply::ok("plain")).await;
    let gateway = gateway().upstream(format!("https://{}", upstream.addr())).start().await;
    assert_refused(&gateway, "plain upstream").await;
}

#[tokio::test]
async fn tls_where_plain_http_is_expected_is_a_502() {
    let authority = Authority::new();
    let upstream = Upstream::builder().tls(&authority.leaf(&["127.0.0.1"])).start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(format!("http://{}", upstream.addr())).start().await;
    assert_eq!(ask(&gateway).await.status(), 502);
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_named_to_the_operator_with_the_cure_and_to_the_client_without_the_place() {
    let year = 2000..2001;
    let later = 2900..2901;
    let trusted = "      ca_file: CA\n";
    type Make = Box<dyn FnOnce(&Authority) -> Leaf>;
    let rows: [(&str, Make, &str, &str); 5] = [
        ("has expired", Box::new(move |of| of.leaf_valid(&["localhost"], year)), trusted, "renewed"),
        ("is not valid yet", Box::new(move |of| of.leaf_valid(&["localhost"], later)), trusted, "clock"),
        ("is for another name", Box::new(|of| of.leaf(&["relay.example"])), trusted, "set sni"),
        ("issued by nobody", Box::new(|of| of.leaf(&["localhost"])), "", "set ca_file"),
        ("is self-signed", Box::new(|of| of.leaf_that_is_an_authority(&["localhost"])), trusted, "set ca_file"),
    ];
    for (fault, leaf, more, cure) in rows {
        let (upstream, gateway) = shown(leaf, "localhost", more).await;
        let answer = ask(&gateway).await;
        assert_eq!(answer.status(), 502);
        let told = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(
            told.contains("\"secured\"") && told.contains("TLS: its certificate") && told.contains(fault),
            "{told}"
        );
        for place in ["localhost", "127.0.0.1", "relay.example", &upstream.addr().port().to_string()] {
            assert!(!told.contains(place), "{place} is in {told}");
        }
        let line = gateway.stderr_line(0, "the operator's line", |line| line.contains("its certificate")).await;
        let place = format!("(https://localhost:{})", upstream.addr().port());
        assert!([&place, fault, cure].iter().all(|part| line.contains(*part)), "{line}");
        assert_eq!(upstream.received().len(), 0, "not a byte of the request left");
    }
}
