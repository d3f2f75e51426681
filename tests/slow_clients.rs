//! Clients that are slow, silent or many cost the gateway little, and nobody else anything.

use std::net::SocketAddr;
use std::time::Duration;

use harness::siege::{Beset, Siege, ask_from, connect_from, keep_to};
use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Step, Upstream, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KEY: &str = "key-of-the-panel-for-tests";
/// More than the sockets of both sides take.
const LARGE: usize = 24 << 20;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// A gateway with these limits before an upstream whose answers are large, and small ones at `/small`.
async fn limited(limits: &str) -> (Upstream, Gateway) {
    let large = bytes::Bytes::from(vec![b'x'; LARGE]);
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/small" => Reply::ok("small"),
        _ => Reply::status(200).length(LARGE as u64).step(Step::Shared(large.clone())),
    })
    .await;
    let yaml = format!("threads: 2\ngateway:\n  dashboard: {{ api_key: {KEY} }}\n  limits: {{ {limits} }}\n");
    let gateway = gateway().upstream(upstream.url()).yaml(&yaml).start().await;
    (upstream, gateway)
}

/// A connection from `source` whose kernel takes little by itself.
async fn narrow(to: SocketAddr, source: [u8; 4]) -> TcpStream {
    within("connect", connect_from(source, to, Some(4096))).await.expect("connected")
}

async fn stalled_reader(gateway: &Gateway, source: [u8; 4], path: &str) -> TcpStream {
    let mut client = narrow(gateway.addr(), source).await;
    client.write_all(&Request::get(path).bytes()).await.expect("sent");
    client
}

async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended_and_the_row_says_by_whom() {
    let (_upstream, gateway) = limited("write_timeout: 700ms").await;
    let _client = stalled_reader(&gateway, [127, 0, 0, 1], "/stalled").await;
    let line = gateway.stderr_line(0, "the stalled one", |line| line.contains("path=/stalled ")).await;
    assert!(line.contains(" status=200 outcome=client_stalled reason=write_timeout "), "{line}");
    within("what waited to be given back", async {
        while metric(&gateway, "gateway_unsent_answer_bytes").await > 0.0 {}
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_a_byte_now_and_then_goes_on() {
    let (_upstream, gateway) = limited("write_timeout: 700ms").await;
    let mut client = stalled_reader(&gateway, [127, 0, 0, 1], "/slow").await;
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    // Far longer than the timeout, and far too little for the gateway's socket to take anything new in that time.
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let n = within("some bytes", client.read(&mut piece)).await.expect("not ended");
        all.extend_from_slice(&piece[..n]);
    }
    let mut rest = vec![0; 1 << 20];
    while all.len() < LARGE {
        let n = within("the rest", client.read(&mut rest)).await.expect("not ended");
        assert!(n > 0, "ended after {} bytes", all.len());
        all.extend_from_slice(&rest[..n]);
    }
    drop(client);
    let line = gateway.stderr_line(0, "the slow one", |line| line.contains("path=/slow ")).await;
    assert!(line.contains(" outcome=completed ") && line.contains(&format!("response_bytes={LARGE}")), "{line}");
}

#[tokio::test]
async fn over_http2_a_stream_that_is_not_read_is_ended_and_others_of_its_connection_go_on() {
    let (_upstream, gateway) = limited("write_timeout: 700ms").await;
    let client = gateway.connect_h2().await;
    let request = |path: &str| {
        let request = http::Request::builder().method("POST").uri(format!("http://gateway.test{path}"));
        request.body(()).expect("a request")
    };
    let unread = client.open(request("/stalled"), b"x").await;
    let line = gateway.stderr_line(0, "the stalled one", |line| line.contains("path=/stalled ")).await;
    assert!(line.contains(" status=200 outcome=client_stalled reason=write_timeout "), "{line}");
    // What the client keeps of it unread fills the window that all streams share.
    drop(unread);
    assert_eq!(client.send(request("/small"), &[b"x"]).await.text(), "small");
}

#[tokio::test]
async fn answers_that_wait_are_bounded_and_the_client_that_holds_most_pays() {
    // Room for four of them at most.
    let (_upstream, gateway) = limited("write_timeout: 60s, unsent_answers: 2MiB").await;
    let alone = stalled_reader(&gateway, [127, 0, 0, 2], "/alone").await;
    within("it to wait", async { while metric(&gateway, "gateway_unsent_answer_bytes").await == 0.0 {} }).await;
    let mut many = Vec::new();
    for _ in 0..12 {
        many.push(stalled_reader(&gateway, [127, 0, 0, 3], "/many").await);
    }
    within("all but some to be given up, or refused", async {
        loop {
            let log = gateway.stderr();
            let given_up = log.lines().filter(|line| {
                line.contains("path=/many ")
                    && ["client_stalled", "rejected"]
                        .iter()
                        .any(|outcome| line.contains(&format!(" outcome={outcome} reason=unsent_answers ")))
            });
            if given_up.count() >= 8 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    within("the others to fit", async {
        while metric(&gateway, "gateway_unsent_answer_bytes").await > f64::from(2 << 20) {}
    })
    .await;
    assert!(!gateway.stderr().contains("path=/alone "), "who holds little goes on");
    assert_eq!(gateway.request(&Request::get("/small")).await.text(), "small");
    drop(alone);
}

#[tokio::test]
async fn who_does_not_read_gets_no_further_response_near_the_limit_and_others_do() {
    let (_upstream, gateway) = limited("write_timeout: 60s, unsent_answers: 4MiB").await;
    let (hoarder, other) = ([127, 0, 0, 3], [127, 0, 0, 2]);
    let get = async |path: &str, source| {
        let mut client = connect_from(source, gateway.addr(), None).await.expect("accepted");
        client.write_all(&Request::get(path).bytes()).await.expect("sent");
        let mut line = [0; 12];
        within("a status line", client.read_exact(&mut line)).await.expect("a response");
        String::from_utf8_lossy(&line).into_owned()
    };
    let ask = async |source| get("/small", source).await;
    let mut unread = Vec::new();
    within("the hoarder to be refused", async {
        while ask(hoarder).await == "HTTP/1.1 200" {
            unread.push(stalled_reader(&gateway, hoarder, "/unread").await);
            assert_eq!(ask(other).await, "HTTP/1.1 200");
        }
    })
    .await;
    assert!(unread.len() >= 3, "{} unread responses", unread.len());
    assert_eq!(get("/health", hoarder).await, "HTTP/1.1 200", "the gateway's own pages are there all the same");
    assert_eq!(ask(other).await, "HTTP/1.1 200");
    let is_refusal = |line: &str| line.contains(" path=/small ") && line.contains(" reason=unsent_answers ");
    let refused = gateway.stderr_line(0, "the refusal", is_refusal).await;
    assert!(refused.contains(" status=503 outcome=rejected "), "{refused}");
    drop(unread);
    within("it to be served again", async { while ask(hoarder).await != "HTTP/1.1 200" {} }).await;
}

/// Both ports of a gateway.
fn ports(gateway: &Gateway) -> [SocketAddr; 2] {
    [gateway.addr(), gateway.admin_addr()]
}

#[tokio::test]
async fn the_api_asks_for_the_key_before_it_takes_a_body() {
    let (_upstream, gateway) = limited("body_timeout: 400ms").await;
    let right = format!("Authorization: Bearer {KEY}\r\n");
    for port in ports(&gateway) {
        for (key, length, status) in [
            ("", 1 << 20, 401),
            ("Authorization: Bearer wrong\r\n", 1 << 20, 401),
            (right.as_str(), (1 << 20) + 1, 413),
            // Its body does not come.
            (right.as_str(), 1 << 20, 408),
        ] {
            let mut client = Client::connect(port).await;
            let head = format!(
                "POST /api/admin/config/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{key}\
                 Content-Length: {length}\r\n\r\n"
            );
            client.send(&head).await;
            assert_eq!(client.response("POST").await.status(), status, "{port} {key}");
            client.closed().await;
        }
        // Who logs in has no key to show before.
        let login =
            format!("POST /api/admin/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", 1 << 20);
        let mut client = Client::connect(port).await;
        client.send(login).await;
        assert_eq!(client.response("POST").await.status(), 413);
        // Another spelling of the target is no way round.
        let mut client = Client::connect(port).await;
        client
            .send(format!("POST http://a/api/admin/reload HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 9999))
            .await;
        assert_eq!(client.response("POST").await.status(), 401);
        let mut client = Client::connect(port).await;
        let whole = Request::post("/api/admin/config/check", r#"{"overlay": ""}"#).header("Host", "127.0.0.1");
        let whole = whole.header("Content-Type", "application/json").header("Authorization", format!("Bearer {KEY}"));
        for _ in 0..3 {
            assert_eq!(client.request(&whole).await.status(), 200, "{port}: a connection serves many");
        }
    }
    let http2 = gateway.connect_h2().await;
    let request = http::Request::builder().method("POST").uri("http://gateway.test/api/admin/config/check");
    let unfinished = http2.begin(request.body(()).expect("a request"), b"{").await;
    assert_eq!(unfinished.answer().await.expect("an answer").0, 401);
}

#[tokio::test]
async fn the_admin_port_has_the_limits_of_the_other_one() {
    let (_upstream, gateway) =
        limited("header_timeout: 500ms, keepalive_timeout: 500ms, header_count: 20, header_bytes: 8KiB").await;
    let admin = gateway.admin_addr();
    let mut dripping = Client::connect(admin).await;
    let head = format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: {}", "z".repeat(2000));
    within("a dripped head to be cut off", async {
        for byte in head.bytes() {
            if dripping.try_send([byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the whole slow head was taken");
    })
    .await;
    let mut idle = Client::connect(admin).await;
    assert_eq!(idle.request(&Request::get("/healthz")).await.status(), 200);
    assert_eq!(idle.closed().await, b"", "an idle connection ends");
    let many = (0..30).fold(Request::get("/healthz"), |request, at| request.header(&format!("X-{at}"), "v"));
    let large = Request::get("/healthz").header("X-Large", "v".repeat(9000));
    for (request, status) in [(many, 431), (large, 431), (Request::get("/healthz").header("Host", "a b"), 400)] {
        assert_eq!(Client::connect(admin).await.request(&request).await.status(), status);
    }
    let pipelined = [Request::get("/healthz").bytes(), Request::new("HEAD", "/metrics").bytes()].concat();
    let mut client = Client::connect(admin).await;
    client.send([pipelined, Request::get("/readyz").bytes()].concat()).await;
    for (method, text) in [("GET", "ok\n"), ("HEAD", ""), ("GET", "ready\n")] {
        let answer = client.response(method).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, text));
    }
    let refused = metric(&gateway, "gateway_in_flight_requests").await;
    assert!(refused == 0.0 && !gateway.stderr().contains("outcome=rejected"), "none of these is traffic");
}

/// A number from the environment, for `make siege`.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A siege of which all clients have come.
async fn begun(siege: Siege, source: [u8; 4], to: SocketAddr) -> Beset {
    let all = siege.readers + siege.heads + siege.bodies + siege.hoarders + siege.silent + siege.guessers;
    let beset = siege.begin(source, to);
    let began = std::time::Instant::now();
    while beset.opened() < all as u64 {
        assert!(began.elapsed() < Duration::from_secs(120), "only {} are there", beset.opened());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{} connections after {:?}", beset.opened(), began.elapsed());
    beset
}

/// Small by default; `make siege` makes it large, and shows the times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_address_besets_the_gateway_requests_of_another_one_are_answered() {
    let (slow, idle) = (number("GATEWAY_TEST_SLOW", 60), number("GATEWAY_TEST_IDLE", 300));
    let (guessers, seconds) = (number("GATEWAY_TEST_GUESSERS", 2), number("GATEWAY_TEST_SECONDS", 3));
    let (how_long, clients) = (Duration::from_secs(seconds as u64), 8);
    // Besiegers stand for other machines, so where there are cores for that, the gateways have one of their own.
    let apart = number("GATEWAY_TEST_CORES", 0);
    if apart > 1 {
        keep_to(&[0]);
    }
    let (_upstream, gateway) = limited("unsent_answers: 32MiB").await;
    let (_neighbours_upstream, neighbour) = limited("unsent_answers: 32MiB").await;
    if apart > 1 {
        keep_to(&(1..apart).collect::<Vec<_>>());
    }
    let (besieger, other) = ([127, 0, 0, 3], [127, 0, 0, 2]);
    let (readers, heads, bodies) = (slow / 2, slow / 4, slow / 4);
    let siege = Siege { readers, heads, bodies, hoarders: 2, silent: idle, guessers };
    let quiet = ask_from(other, gateway.addr(), clients, how_long).await;
    // What a siege takes of the machine, whoever is besieged.
    let beset = begun(siege, besieger, neighbour.addr()).await;
    let beside = ask_from(other, gateway.addr(), clients, how_long).await;
    drop(beset);
    within("the neighbour to be left alone", async { while metric(&neighbour, "gateway_connections").await > 0.0 {} })
        .await;
    let beset = begun(siege, besieger, gateway.addr()).await;
    let besieged = ask_from(other, gateway.addr(), clients, how_long).await;
    let open = metric(&gateway, "gateway_connections").await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("its status");
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    for (name, seen) in [("quiet", &quiet), ("neighbour besieged", &beside), ("besieged", &besieged)] {
        println!(
            "{name}: {} requests, {} failed, p50 {:?}, p99 {:?}",
            seen.requests(),
            seen.failures.len(),
            seen.percentile(0.5),
            seen.percentile(0.99)
        );
    }
    println!("{open} connections, {} wrong keys, {resident}", beset.guesses());
    assert!(besieged.requests() > 0 && beset.guesses() > 0);
    assert_eq!([quiet.failures, beside.failures, besieged.failures], [const { Vec::<String>::new() }; 3]);
    drop(beset);
    within("the connections to be closed", async { while metric(&gateway, "gateway_connections").await > 0.0 {} })
        .await;
}

/// The gateway with so few open files, and the program that limits them.
fn with_open_files(files: u32) -> GatewayBuilder {
    let script = format!("#!/bin/sh\nulimit -n {files}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_anyrouter-gateway"));
    let path = std::env::temp_dir().join(format!("gateway-with-{files}-files-{}", std::process::id()));
    std::fs::write(&path, script).expect("written");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    Gateway::builder(path)
}

#[tokio::test]
async fn silent_connections_beyond_what_fits_end_neither_port() {
    let upstream = Upstream::start(|_| Reply::ok("small")).await;
    let gateway = with_open_files(200).upstream(upstream.url()).start().await;
    gateway.stderr_line(0, "the cap", |line| line.contains("do not fit into the 200 files")).await;
    let mut silent = Vec::new();
    for port in [gateway.addr(), gateway.admin_addr()] {
        for _ in 0..260 {
            silent.push(connect_from([127, 0, 0, 3], port, None).await.expect("accepted, or closed at once"));
        }
    }
    for _ in 0..50 {
        let answer = gateway.request(&Request::post("/small", "{}")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "small"));
    }
    let (open, cap) =
        (metric(&gateway, "gateway_connections").await, metric(&gateway, "gateway_connections_cap").await);
    assert!(open <= cap && cap < 200.0, "{open} of {cap}");
    let mut sums = [0.0, 0.0];
    for reason in ["connections", "connections_per_client", "open_files"] {
        for (sum, what) in sums.iter_mut().zip(["closed", "refused"]) {
            *sum += metric(&gateway, &format!("gateway_connections_{what}_total{{reason=\"{reason}\"}}")).await;
        }
    }
    let [closed, refused] = sums;
    // In a flood some are not taken while others are still being closed.
    assert!(closed > 0.0 && closed + refused >= 160.0, "{closed} made room, {refused} were not taken");
    drop(silent);
}

#[tokio::test]
async fn requests_of_one_client_leave_files_for_the_others() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/held" => Reply::raw(vec![Step::Stall]),
        _ => Reply::ok("small"),
    })
    .await;
    let gateway = with_open_files(200).upstream(upstream.url()).start().await;
    let mut many = Vec::new();
    for _ in 0..120 {
        if let Ok(mut stream) = connect_from([127, 0, 0, 3], gateway.addr(), None).await {
            let _ = stream.write_all(&Request::post("/held", "{}").bytes()).await;
            many.push(stream);
        }
    }
    for _ in 0..20 {
        let answer = gateway.request(&Request::post("/small", "{}")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "small"));
    }
}

#[tokio::test]
async fn the_connection_of_an_address_that_is_idle_longest_makes_room_for_its_next_one() {
    let (_upstream, gateway) = limited("connections: 100, connections_per_client: 2").await;
    // A client has the response a moment before the gateway has the connection down as idle.
    let idle = || {
        within("nothing to be served", async { while metric(&gateway, "gateway_in_flight_requests").await > 0.0 {} })
    };
    let mut first = gateway.connect().await;
    assert_eq!(first.request(&Request::get("/small")).await.status(), 200);
    let mut second = gateway.connect().await;
    assert_eq!(second.request(&Request::get("/small")).await.status(), 200);
    idle().await;
    assert_eq!(first.request(&Request::get("/small")).await.status(), 200);
    idle().await;
    let mut third = gateway.connect().await;
    assert_eq!(third.request(&Request::get("/small")).await.status(), 200);
    assert_eq!(second.closed().await, b"", "it was idle longest");
    assert_eq!(first.request(&Request::get("/small")).await.status(), 200);
    // Two that are busy are not closed, and a third one is not taken.
    let busy = [
        stalled_reader(&gateway, [127, 0, 0, 9], "/large").await,
        stalled_reader(&gateway, [127, 0, 0, 9], "/large").await,
    ];
    within("both to be busy", async { while metric(&gateway, "gateway_in_flight_requests").await < 2.0 {} }).await;
    let mut refused = connect_from([127, 0, 0, 9], gateway.addr(), None).await.expect("accepted");
    assert!(matches!(within("the end", refused.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    drop(busy);
    let check = gateway.command(&["check"]).await;
    assert!(check.stdout.contains("gateway.limits.connections_per_client"), "{}", check.stdout);
}

/// Requests of which the body does not come, from an address that has as many connections as it may.
async fn sending(to: SocketAddr, sources: std::ops::RangeInclusive<u8>, each: usize, path: &str) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for source in sources {
        for _ in 0..each {
            let mut client = connect_from([127, 0, 0, source], to, None).await.expect("accepted");
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
            client.write_all(head.as_bytes()).await.expect("sent");
            clients.push(client);
        }
    }
    clients
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_no_place_from_others() {
    let (_upstream, gateway) = limited("connections: 40, connections_per_client: 10").await;
    let mut senders = sending(gateway.addr(), 11..=14, 10, "/small").await;
    // One whose head was not read yet may have made room, without a line, for the connection by which the test saw that the
    // gateway is there.
    within("every connection to wait for a body of 100 bytes", async {
        loop {
            match metric(&gateway, "gateway_held_body_bytes").await {
                4000.0.. => break,
                3900.0.. if metric(&gateway, "gateway_connections").await < 40.0 => {
                    senders.extend(sending(gateway.addr(), 15..=15, 1, "/small").await);
                }
                _ => {}
            }
        }
    })
    .await;
    for source in 20..30 {
        let mut other = Client::connect_from(source, gateway.addr()).await;
        assert_eq!(other.request(&Request::post("/small", "{}")).await.text(), "small", "from 127.0.0.{source}");
    }
    let line = gateway.stderr_line(0, "one that made room", |line| line.contains(" reason=connections ")).await;
    assert!(line.contains(" path=/small ") && line.contains(" status=503 "), "{line}");
    // An address makes room for itself too.
    let mut own = Client::connect_from(11, gateway.addr()).await;
    assert_eq!(own.request(&Request::post("/small", "{}")).await.text(), "small");
    drop(senders);
}

#[tokio::test]
async fn responses_that_are_not_taken_keep_no_place_from_others() {
    let (_upstream, gateway) = limited("connections: 40, connections_per_client: 10").await;
    let mut readers = Vec::new();
    for source in 11..=14 {
        for _ in 0..10 {
            readers.push(stalled_reader(&gateway, [127, 0, 0, source], "/large").await);
        }
    }
    // One whose head was not read yet may have made room for the connection by which the test saw that the gateway is there.
    within("every connection to be served", async {
        loop {
            match metric(&gateway, "gateway_in_flight_requests").await {
                40.0.. => break,
                39.0.. if metric(&gateway, "gateway_connections").await < 40.0 => {
                    readers.push(stalled_reader(&gateway, [127, 0, 0, 15], "/large").await);
                }
                _ => {}
            }
        }
    })
    .await;
    // Who takes nothing for a moment may be about to; who does for longer makes room. While those are still being closed, a
    // new connection may be turned away.
    for source in 20..30 {
        within(&format!("a place for 127.0.0.{source}"), async {
            let mut other = Client::connect_from(source, gateway.addr()).await;
            while !other.try_request(&Request::get("/small")).await.is_ok_and(|answer| answer.status() == 200) {
                other = Client::connect_from(source, gateway.addr()).await;
            }
        })
        .await;
    }
    gateway.stderr_line(0, "one that made room", |line| line.contains("client_stalled reason=connections")).await;
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_from_the_admin_port() {
    let (_upstream, gateway) = limited("header_timeout: 30s").await;
    let senders = sending(gateway.admin_addr(), 11..=12, 200, "/api/admin/session").await;
    // While so many come at once, some are not taken.
    within("all of them to be looked at", async {
        let mut other = Client::connect_from(19, gateway.admin_addr()).await;
        while other.try_request(&Request::get("/healthz")).await.is_err() {
            other = Client::connect_from(19, gateway.admin_addr()).await;
        }
    })
    .await;
    for source in 20..30 {
        let mut other = Client::connect_from(source, gateway.admin_addr()).await;
        assert_eq!(other.request(&Request::get("/healthz")).await.status(), 200, "from 127.0.0.{source}");
    }
    drop(senders);
}
