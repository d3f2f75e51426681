//! Behind reverse proxies the client is who they say it is, and nobody else can say that.

use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Step, Upstream, within};

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A gateway that shows the address which its rules see, and trusts this machine.
async fn behind_proxies(trusted: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = format!(
        "gateway:\n  trusted_proxies: [{trusted}]\n  limits: {{ request_body: 1KiB }}\n  rules:\n    \
         - {{ name: show, headers: {{ set: {{ X-Client: \"${{client.ip}}\" }} }} }}\n    \
         - {{ name: office, match: {{ client: 198.51.100.0/24, path: /office }}, respond: {{ status: 204 }} }}\n"
    );
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    (upstream, gateway)
}

fn http2(method: &str, path: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(format!("http://gateway.test{path}"))
}

fn from(chain: &[&str], request: Request) -> Request {
    chain.iter().fold(request, |request, line| request.header("X-Forwarded-For", line))
}

async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn the_client_is_the_first_address_from_the_end_that_no_trusted_proxy_has() {
    let (upstream, gateway) = behind_proxies("127.0.0.0/8, 10.0.0.0/8").await;
    for (sent, client, chain) in [
        (&[][..], "127.0.0.1", "127.0.0.1"),
        (&["198.51.100.7"], "198.51.100.7", "198.51.100.7"),
        (&["203.0.113.9, 198.51.100.7"], "198.51.100.7", "203.0.113.9, 198.51.100.7"),
        (&["203.0.113.9", "198.51.100.7, 10.0.0.2"], "198.51.100.7", "203.0.113.9, 198.51.100.7"),
        (&["[2001:db8::7]:443"], "2001:db8::7", "2001:db8::7"),
        (&["198.51.100.7, unknown"], "127.0.0.1", "198.51.100.7, unknown, 127.0.0.1"),
    ] {
        let request = from(sent, Request::get("/x"));
        assert_eq!(gateway.request(&request).await.status(), 200);
        let request = sent.iter().fold(http2("GET", "/x"), |request, line| request.header("x-forwarded-for", *line));
        assert_eq!(gateway.connect_h2().await.send(request.body(()).expect("a request"), &[]).await.status, 200);
        for seen in upstream.received().iter().rev().take(2) {
            assert_eq!(seen.headers.get("x-client").as_deref(), Some(client), "{sent:?}");
            assert_eq!(seen.headers.all("x-forwarded-for").join(", "), chain, "{sent:?}");
        }
        let line = format!(" client={client} ");
        gateway.stderr_line(0, &line, |text| text.contains(&line)).await;
    }
    // Rules ask for it too.
    assert_eq!(gateway.request(&from(&["198.51.100.7"], Request::get("/office"))).await.status(), 204);
    assert_eq!(gateway.request(&from(&["198.51.100.7, 192.0.2.1"], Request::get("/office"))).await.status(), 200);
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_is_believed() {
    for trusted in ["", "10.0.0.0/8"] {
        let (upstream, gateway) = behind_proxies(trusted).await;
        assert_eq!(gateway.request(&from(&["198.51.100.7"], Request::get("/office"))).await.status(), 200);
        assert_eq!(upstream.last().headers.get("x-client").as_deref(), Some("127.0.0.1"));
        assert_eq!(upstream.last().headers.get("x-forwarded-for").as_deref(), Some("198.51.100.7, 127.0.0.1"));
    }
}

#[tokio::test]
async fn refused_requests_have_the_address_of_their_client_too() {
    let (_upstream, gateway) = behind_proxies("127.0.0.1").await;
    let large = from(&["198.51.100.7"], Request::post("/large", vec![b'x'; 2000]));
    assert_eq!(gateway.request(&large).await.status(), 413);
    gateway.stderr_line(0, "413", |line| line.contains("client=198.51.100.7 http=1.1 method=POST path=/large")).await;
    let large = http2("POST", "/large").header("x-forwarded-for", "198.51.100.8").body(()).expect("a request");
    assert_eq!(gateway.connect_h2().await.send(large, &[&[b'x'; 2000]]).await.status, 413);
    gateway.stderr_line(0, "413", |line| line.contains("client=198.51.100.8 http=2 method=POST path=/large")).await;
}

#[tokio::test]
async fn wrong_keys_count_against_the_address_behind_the_proxy_on_both_ports() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let yaml = "gateway:\n  trusted_proxies: 127.0.0.1\n  dashboard: { api_key: right-key-of-the-panel }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    for (port, one, other) in
        [(gateway.addr(), "198.51.100.1", "198.51.100.2"), (gateway.admin_addr(), "198.51.100.3", "198.51.100.4")]
    {
        let request = |client: &str, key: &str| {
            from(&[client], Request::get("/api/admin/health")).header("Authorization", format!("Bearer {key}"))
        };
        for _ in 0..5 {
            assert_eq!(Client::connect(port).await.request(&request(one, "wrong")).await.status(), 401);
        }
        assert_eq!(Client::connect(port).await.request(&request(one, "wrong")).await.status(), 429);
        assert_eq!(Client::connect(port).await.request(&request(other, "wrong")).await.status(), 401);
        assert_eq!(Client::connect(port).await.request(&request(other, "right-key-of-the-panel")).await.status(), 200);
    }
}

#[tokio::test]
async fn a_reload_takes_the_list_over_and_one_that_is_too_wide_is_warned_of() {
    let (upstream, gateway) = behind_proxies("").await;
    let yaml = std::fs::read_to_string(gateway.dir().join("gateway.yaml")).expect("the file");
    let yaml = yaml.replace("trusted_proxies: []", "trusted_proxies: [127.0.0.1, 0.0.0.0/0]");
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml).expect("written");
    let reload = gateway.command(&["reload"]).await;
    assert!(reload.status.success(), "{}", reload.stderr);
    assert_eq!(gateway.request(&from(&["198.51.100.7"], Request::get("/x"))).await.status(), 200);
    assert_eq!(upstream.last().headers.get("x-client").as_deref(), Some("198.51.100.7"));
    let check = gateway.command(&["check"]).await;
    let told = format!("{}{}", check.stdout, check.stderr);
    assert!(told.contains("gateway.trusted_proxies: 0.0.0.0/0 is no network of proxies"), "{told}");
}

#[tokio::test]
async fn a_list_with_a_mistake_is_refused_with_its_place() {
    let yaml = "gateway:\n  trusted_proxies: [127.0.0.1, nginx.internal]\n";
    let refused = gateway().yaml(yaml).arg("check").run().await;
    assert!(!refused.status.success());
    assert!(
        refused.stderr.contains("gateway.yaml:2:20: gateway.trusted_proxies: \"nginx.internal\" is not an address"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn requests_behind_a_trusted_proxy_and_over_http2_count_by_client() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/held" => Reply::raw(vec![Step::Stall]),
        _ => Reply::ok("small"),
    })
    .await;
    let yaml = "gateway:\n  trusted_proxies: 127.0.0.1\n  limits: { connections_per_client: 3 }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let from = |client: &str, path: &str| Request::get(path).header("X-Forwarded-For", client);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.send(from("198.51.100.7", "/held").bytes()).await;
        held.push(client);
    }
    within("three to be served", async { while metric(&gateway, "gateway_in_flight_requests").await < 3.0 {} }).await;
    let refused = gateway.request(&from("198.51.100.7", "/small")).await;
    assert_eq!(refused.status(), 503, "{}", refused.text());
    assert!(refused.text().contains("connections_per_client"), "{}", refused.text());
    assert_eq!(gateway.request(&from("198.51.100.8", "/small")).await.status(), 200);
    drop(held);
    within("its requests to be over", async {
        while gateway.request(&from("198.51.100.7", "/small")).await.status() != 200 {}
    })
    .await;
    // One connection, many streams.
    let http2 = gateway.connect_h2().await;
    let request = |client: &str, path: &str| {
        let request = http::Request::get(format!("http://gateway.test{path}")).header("x-forwarded-for", client);
        request.body(()).expect("a request")
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(http2.begin(request("198.51.100.9", "/held"), b"x").await);
    }
    within("three to be there", async {
        while http2.send(request("198.51.100.9", "/small"), &[]).await.status != 503 {}
    })
    .await;
    assert_eq!(http2.send(request("198.51.100.8", "/small"), &[]).await.status, 200);
}

#[tokio::test]
async fn peers_that_are_trusted_proxies_have_no_cap_of_their_own() {
    let upstream = Upstream::start(|_| Reply::ok("small")).await;
    let yaml = "gateway:\n  trusted_proxies: 127.0.0.1\n  limits: { connections_per_client: 1 }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(gateway.connect().await);
    }
    for client in &mut clients {
        assert_eq!(client.request(&Request::get("/small")).await.status(), 200);
    }
}
