//! Answers that decode to far more than was sent: they pass as they are, and cost neither memory nor the others' time.

use harness::{Gateway, GatewayBuilder, Reply, Request, Upstream, anthropic};
use std::io::Read;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

const MEGABYTE: u64 = 1 << 20;
const TYPES: [&str; 2] = ["text/event-stream", "application/json"];

/// 256 MiB of newlines in each coding, and gzip of events that each want to be looked into.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let newlines = || std::io::repeat(b'\n').take(256 * MEGABYTE);
    let mut brotli = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    brotli::BrotliCompress(&mut newlines(), &mut brotli, &parameters).expect("encoded");
    let events = b"event: message_start\ndata: {}\n\n".repeat(1_000_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut &events[..], &mut gzip).expect("encoded");
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut newlines(), &mut deflate).expect("encoded");
    vec![
        ("br", brotli),
        ("gzip", gzip.finish().expect("encoded")),
        ("deflate", deflate.finish().expect("encoded")),
        ("zstd", zstd::encode_all(newlines(), 3).expect("encoded")),
    ]
}

/// The most memory that the process ever had, in bytes.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Answers `/coding/status/type/v1/messages` with that bomb.
async fn pair(bombs: Vec<(&'static str, Vec<u8>)>) -> (Upstream, Gateway) {
    let plain = anthropic::handler();
    let upstream = Upstream::start(move |request| {
        let mut words = request.target.trim_start_matches('/').split('/');
        let coding = words.next().unwrap_or_default();
        let Some((_, bomb)) = bombs.iter().find(|(name, _)| *name == coding) else { return plain(request) };
        let status = words.next().and_then(|status| status.parse().ok()).expect("a status");
        let content_type = TYPES[words.next().and_then(|at| at.parse::<usize>().ok()).expect("a type")];
        let reply = Reply::status(status).header("Content-Type", content_type);
        reply.header("Content-Encoding", coding).body(bomb.clone())
    })
    .await;
    let gateway = gateway().upstream(upstream.url()).yaml("gateway:\n  health: { failures: 1000 }\n").start().await;
    (upstream, gateway)
}

#[tokio::test]
async fn four_bombs_at_once_pass_untouched_while_others_are_served() {
    let bombs = bombs();
    let (_upstream, gateway) = pair(bombs.clone()).await;
    let message = || harness::fixtures::named("sdk-cli-2.1.330-turn1");
    assert_eq!(gateway.exchange(message().bytes(), "POST").await.status(), 200);
    let before = peak(&gateway);
    for (status, content_type) in [(200, 0), (200, 1), (400, 1)] {
        let first_line = gateway.stderr_lines();
        let ask = |coding: &'static str| {
            let target = format!("/{coding}/{status}/{content_type}/v1/messages");
            let gateway = &gateway;
            async move { gateway.request(&Request::post(&target, "{}")).await }
        };
        let (a, b, c, d, other) = tokio::join!(
            ask(bombs[0].0),
            ask(bombs[1].0),
            ask(bombs[2].0),
            ask(bombs[3].0),
            gateway.exchange(message().bytes(), "POST")
        );
        assert_eq!(other.status(), 200);
        for (answer, (coding, bomb)) in [a, b, c, d].iter().zip(&bombs) {
            assert_eq!((answer.status(), answer.header("content-encoding").as_deref()), (status, Some(*coding)));
            assert!(answer.body == *bomb, "{coding}: the body differs");
            let path = format!(" path=/{coding}/{status}/{content_type}/v1/messages ");
            let line = gateway.stderr_line(first_line, "an access line", |line| line.contains(&path)).await;
            assert_eq!(line.contains(" reason=unreadable"), status == 200, "{line}");
        }
    }
    let grown = peak(&gateway) - before;
    assert!(grown < 64 * MEGABYTE, "the bombs took {} MiB", grown / MEGABYTE);
}
