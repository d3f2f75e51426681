//! How a request ended, by what its answer said: in the log, and in the metrics.

use harness::metrics::sum;
use harness::{Client, Gateway, GatewayBuilder, Reply, Request, Step, Upstream, anthropic, gzip, within};
use std::time::Duration;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// An event in the middle of which the upstream says that it cannot go on.
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";

fn answer(target: &str) -> Reply {
    let events = anthropic::events("claude-sonnet-4-5");
    let whole = events.concat();
    let without_end = events[..events.len() - 1].concat();
    match target {
        "/v1/messages?whole" => events.iter().fold(Reply::sse(), |reply, event| reply.bytes(event.as_str())),
        "/v1/messages?bytewise" => whole.bytes().fold(Reply::sse(), |reply, byte| reply.bytes([byte])),
        "/v1/messages?gzip" => Reply::sse().header("Content-Encoding", "gzip").bytes(gzip(whole.as_bytes())),
        "/v1/messages?cut" => Reply::sse().bytes(without_end),
        "/v1/messages?broken" => Reply::sse().bytes(without_end).step(Step::Close),
        "/v1/messages?error" => Reply::sse().bytes(without_end).bytes(OVERLOADED),
        "/v1/messages?said-all" => Reply::sse().bytes(whole).step(Step::Close),
        "/v1/messages?other" => Reply::sse().bytes("data: 1\n\n"),
        "/v1/messages?reply" => Reply::json(
            r#"{"model":"claude-x","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}"#,
        ),
        _ => Reply::json(r#"{"usage":{"input_tokens":1000}}"#),
    }
}

#[tokio::test]
async fn each_answer_counts_as_what_it_was() {
    let upstream = Upstream::start(|request| answer(&request.target)).await;
    let yaml = "gateway:\n  health: { failures: 1000 }\n";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let used = "model=claude-sonnet-4-5 input_tokens=42 output_tokens=9 cache_write_tokens=7 cache_read_tokens=5";
    for (target, wanted) in [
        ("/v1/messages?whole", vec!["outcome=completed", used, "stop_reason=end_turn", "first_token_ms="]),
        ("/v1/messages?bytewise", vec!["outcome=completed", used, "stop_reason=end_turn"]),
        ("/v1/messages?gzip", vec!["outcome=completed", used, "stop_reason=end_turn"]),
        ("/v1/messages?cut", vec!["outcome=truncated reason=no_message_stop", used]),
        ("/v1/messages?broken", vec!["outcome=truncated reason=truncated", used]),
        ("/v1/messages?error", vec!["outcome=stream_error", "stream_error=overloaded_error", used]),
        ("/v1/messages?said-all", vec!["outcome=completed", used]),
        ("/v1/messages?other", vec!["outcome=completed"]),
        ("/v1/messages?reply", vec!["outcome=completed", "model=claude-x input_tokens=3 output_tokens=4"]),
        ("/v1/messages/count_tokens", vec!["outcome=completed"]),
    ] {
        let before = gateway.stderr_lines();
        let mut client = gateway.connect().await;
        let _ = client.try_request(&Request::post(target, "{}")).await;
        let line = gateway.stderr_line(before, "an access line", |line| line.contains(" path=/v1/messages")).await;
        for wanted in &wanted {
            assert!(line.contains(wanted), "{target}: {wanted} is not in {line}");
        }
        assert!(target != "/v1/messages/count_tokens" || !line.contains("_tokens="), "{line}");
    }
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    for (outcome, count) in [("truncated", 2.0), ("stream_error", 1.0), ("completed", 6.0)] {
        let counted = sum(&metrics, "gateway_requests_total", &[("outcome", outcome), ("path", "/v1/messages")]);
        assert_eq!(counted, count, "{outcome} in\n{metrics}");
    }
    for line in [
        r#"gateway_tokens_total{kind="input"} 297"#,
        r#"gateway_tokens_total{kind="output"} 67"#,
        r#"gateway_tokens_total{kind="cache_write"} 49"#,
        r#"gateway_tokens_total{kind="cache_read"} 35"#,
        r#"gateway_stream_errors_total{type="overloaded_error"} 1"#,
        "gateway_first_token_seconds_count 7",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

/// What an answer is goes by its bytes: neither by its status nor by its type.
#[tokio::test]
async fn a_success_that_is_none_counts_as_what_it_is() {
    let whole = anthropic::events("claude-sonnet-4-5").concat();
    let untyped = |reply: Reply| reply.bytes(whole.as_bytes());
    let json = |body: &str| Reply::json(body.to_owned());
    let answers = [
        (
            "stream-as-json",
            untyped(Reply::status(200).header("Content-Type", "application/json").chunked()),
            "completed",
        ),
        ("stream-without-type", untyped(Reply::status(200).close_delimited()), "completed"),
        ("reply-as-stream", Reply::sse().bytes(r#"{"type":"message","content":[]}"#), "completed"),
        ("error", json(r#"{"type":"error","error":{"type":"overloaded_error"}}"#), "upstream_error reason=error_reply"),
        ("error-as-stream", Reply::sse().bytes(r#"{"code":500,"msg":"no"}"#), "upstream_error reason=error_reply"),
        ("error-event", Reply::ok("data: {\"detail\":\"no\"}\n\n"), "stream_error"),
        ("no-message", json("null"), "upstream_error reason=no_message"),
        ("done", Reply::sse().bytes("data: [DONE]\n\n"), "upstream_error reason=no_answer"),
        ("accepted", Reply::status(202), "upstream_error reason=no_message"),
        ("no-content", Reply::status(204), "upstream_error reason=no_message"),
        ("moved", Reply::status(302).header("Location", "/login"), "upstream_error reason=no_message"),
        ("unknown-coding", json("{}").header("Content-Encoding", "compress"), "unreadable reason=unreadable"),
    ];
    let replies = answers.clone();
    let upstream = Upstream::start(move |request| {
        let kind = request.target.rsplit('?').next().unwrap_or_default();
        let of_kind = replies.iter().find(|(name, ..)| *name == kind);
        of_kind.map_or_else(|| Reply::status(500), |(_, reply, _)| reply.clone())
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = gateway()
        .env("GATEWAY_DB", &folder.path().join("log.db").display().to_string())
        .upstream(upstream.url())
        .yaml(
            "gateway:
  health: { failures: 1000 }
",
        )
        .start()
        .await;
    for (kind, _, outcome) in &answers {
        let before = gateway.stderr_lines();
        gateway
            .connect()
            .await
            .try_request(&Request::post(&format!("/v1/messages?{kind}"), "{}"))
            .await
            .expect("an answer");
        let line = gateway.stderr_line(before, "an access line", |line| line.contains(" path=/v1/messages")).await;
        assert!(line.contains(&format!(" outcome={outcome} ")), "{kind}: {line}");
    }
    let stats = within("all rows", async {
        loop {
            let stats = gateway.request(&gateway.as_admin(Request::get("/api/admin/stats"))).await.json();
            if stats["requests"] == answers.len() {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(stats["outcomes"]["unreadable"], 1, "{stats}");
    let rate = 3.0 / (answers.len() - 1) as f64;
    assert_eq!(stats["success_rate"], rate, "what nobody could read is no failure: {stats}");
}

/// The names of metrics in a text, without the endings of histograms' series.
fn names(text: &str) -> std::collections::BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // One outcome looks like a name.
    let names = words.filter(|word| word.starts_with("gateway_") && *word != "gateway_error");
    names
        .map(|name| ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.trim_end_matches(end)).to_owned())
        .collect()
}

#[tokio::test]
async fn alerts_ask_for_metrics_that_there_are() {
    let upstream = Upstream::start(|request| answer(&request.target)).await;
    // Some are only there with a request log.
    let gateway = gateway().upstream(upstream.url()).env("GATEWAY_DB", "data/log.db").start().await;
    gateway.request(&Request::post("/v1/messages?whole", "{}")).await;
    gateway.stderr_line(0, "an access line", |line| line.contains(" path=/v1/messages")).await;
    assert_eq!(gateway.exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET").await.status(), 400);
    gateway.stderr_line(0, "an access line", |line| line.contains(" outcome=rejected")).await;
    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let found = names(&metrics);
    let alerts = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/alerts.yml")).expect("the alerts");
    let wanted = names(&alerts);
    assert!(wanted.len() >= 4, "{wanted:?}");
    assert!(wanted.is_subset(&found), "{wanted:?} are not all in {found:?}");
}
