//! What the gateway takes of memory is bounded by a formula of its configuration (docs/reliability.md), whatever
//! clients and relays have it hold at one time.

use std::net::SocketAddr;

use bytes::Bytes;
use harness::siege::connect_from;
use harness::{Client, Gateway, Reply, Request, Step, Upstream, fixtures, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// More than the sockets of both sides take.
const LARGE: usize = 24 * MIB;
const EVENTS: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-opus-5-5\",\"usage\":{}}}\n\n",
    "event: content_block_delta\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
);

// What is configured, in bytes.
const HEAD: usize = 64 * KIB;
const BODY: usize = 4 * MIB;
const BODIES: usize = 32 * MIB;
const UNSENT: usize = 32 * MIB;

// How many of each there are at one time.
const IDLE: usize = 600;
const HEADS: usize = 200;
const STREAMS: usize = 300;
const UNREAD: usize = 200;

/// The formula, in bytes.
const PROGRAM: usize = 64 * MIB;
const CONNECTION: usize = 24 * KIB;
const STREAM: usize = 80 * KIB;
const RESPONSE: usize = 740 * KIB;
const BOUND: usize = PROGRAM
    + IDLE * CONNECTION
    + HEADS * (CONNECTION + HEAD)
    + STREAMS * (CONNECTION + STREAM)
    + UNREAD * (CONNECTION + RESPONSE)
    + 2 * BODIES;

/// The most that was resident so far, in bytes.
fn peak(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * KIB
}

async fn sent(to: SocketAddr, source: u8, buffer: Option<u32>, bytes: &[u8]) -> TcpStream {
    let mut client = within("a connection", connect_from([127, 0, 0, source], to, buffer)).await.expect("accepted");
    within("the gateway to read", client.write_all(bytes)).await.expect("sent");
    client
}

/// One whose response has begun.
async fn answered(to: SocketAddr, source: u8, bytes: &[u8]) -> TcpStream {
    let mut client = sent(to, source, None, bytes).await;
    assert!(within("a response", client.read(&mut [0; 512])).await.expect("a response") > 0);
    client
}

async fn unsent(gateway: &Gateway) -> usize {
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let value = metrics.lines().find_map(|line| line.strip_prefix("gateway_unsent_answer_bytes "));
    value.and_then(|value| value.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_takes_is_within_the_formula_of_its_configuration() {
    let large = Bytes::from(vec![b'x'; LARGE]);
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/large" => Reply::status(200).length(LARGE as u64).step(Step::Shared(large.clone())),
        "/small" => Reply::ok("small"),
        _ => Reply::sse().bytes(EVENTS).step(Step::Stall),
    })
    .await;
    let limits =
        format!("header_bytes: {HEAD}, request_body: {BODY}, request_bodies_total: {BODIES}, unsent_answers: {UNSENT}");
    let waits = "header_timeout: 60s, body_timeout: 60s, body_min_rate: 1";
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).upstream(upstream.url());
    let gateway = gateway.yaml(&format!("threads: 2\ngateway:\n  limits: {{ {limits}, {waits} }}\n")).start().await;
    let to = gateway.addr();
    let mut open = Vec::new();
    for _ in 0..IDLE {
        open.push(answered(to, 2, &Request::get("/small").bytes()).await);
    }
    let head = format!("GET /small HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(HEAD - 2 * KIB));
    for _ in 0..HEADS {
        open.push(sent(to, 3, None, head.as_bytes()).await);
    }
    let fixture = fixtures::all().into_iter().find(|one| one.name == "sdk-cli-2.1.330-turn1").expect("a fixture");
    for _ in 0..STREAMS {
        open.push(answered(to, 4, &fixture.bytes()).await);
    }
    for number in 0..UNREAD {
        let source = 5 + (number % 8) as u8;
        open.push(sent(to, source, Some(4096), &Request::get("/large").bytes()).await);
    }
    within("responses to wait for who does not read them", async { while unsent(&gateway).await < UNSENT / 2 {} })
        .await;
    let head =
        format!("POST /small HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n");
    let most = vec![b'x'; BODY - 2];
    for number in 0..BODIES / BODY * 2 {
        let mut client = sent(to, 20 + number as u8, None, head.as_bytes()).await;
        // Those for which there is no room any more are ended.
        let _ = within("the gateway to read", client.write_all(&most)).await;
        open.push(client);
    }
    within("the responses that wait to be within their limit", async { while unsent(&gateway).await > UNSENT {} })
        .await;
    let peak = peak(&gateway);
    println!("{} MiB, of {} at most", peak / MIB, BOUND / MIB);
    assert!((BOUND / 3..=BOUND).contains(&peak), "{} MiB, not at most {}", peak / MIB, BOUND / MIB);
    assert_eq!(gateway.request(&Request::get("/small")).await.text(), "small");
    drop(open);
}
