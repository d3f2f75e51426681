//! Two thousand answers of which everything is known: the request log, the metrics and the API tell exactly that.

#[path = "conformance/odd.rs"]
mod odd;

use fastrand::Rng;
use harness::metrics::sum;
use harness::{Client, Gateway, Pool, Received, Reply, Request, Step, Upstream, within};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CASES: usize = 2_000;
/// Requests at one time.
const CLIENTS: usize = 16;
/// Fixed, so that a failure can be seen again.
const SEED: u64 = 20_261_124;
/// Larger than an event may be to be read (`limits.event` below).
const HUGE: usize = 6_000;

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With `message_stop`.
    Whole,
    /// With all that was said, and the connection cut.
    SaidAll,
    /// Without `message_stop`.
    Cut,
    /// The connection ends in the middle.
    Broken,
    /// With an error in the stream.
    Error,
    /// Silence.
    Stall,
    /// The client goes away.
    Abort,
}

/// What is known of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
struct Truth {
    outcome: &'static str,
    status: u64,
    model: Option<String>,
    /// Input, output, written to the cache, read from it.
    tokens: Option<[u64; 4]>,
    /// Whether the output among them is estimated.
    estimated: bool,
    stop_reason: Option<String>,
    error_type: Option<String>,
    tool_uses: u64,
    events: u64,
    skipped: u64,
}

struct Case {
    reply: Reply,
    truth: Truth,
    ending: Ending,
}

/// Writes a stream of events, and notes what it says.
struct Story<'r> {
    rng: &'r mut Rng,
    end: &'static str,
    is_named: bool,
    text: String,
    /// Bytes of content.
    content: u64,
    truth: Truth,
}

impl Story<'_> {
    fn event(&mut self, name: &str, mut data: Value) {
        data["type"] = name.into();
        let end = self.end;
        if self.rng.u8(..10) == 0 {
            self.text += &format!(": a comment{end}{end}");
        }
        if self.is_named {
            let blank = if self.rng.bool() { " " } else { "" };
            self.text += &format!("event:{blank}{name}{end}");
        }
        // A line may be taken apart wherever JSON allows a blank.
        let data = data.to_string();
        match self.rng.u8(..8) {
            0 => self.text += &format!("data: {{{end}data:{}{end}", &data[1..]),
            _ => self.text += &format!("data: {data}{end}"),
        }
        self.text += end;
        self.truth.events += 1;
    }

    /// All but the end.
    fn tell(&mut self) {
        let model =
            ["claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001", "some-model"][self.rng.usize(..4)];
        let mut count = |most| self.rng.u64(..most);
        let mut tokens = [count(100_000), count(5), count(50_000), count(200_000)];
        let usage = json!({ "input_tokens": tokens[0], "output_tokens": tokens[1],
            "cache_creation_input_tokens": tokens[2], "cache_read_input_tokens": tokens[3] });
        self.truth.model = Some(model.to_owned());
        self.event("message_start", json!({ "message": { "model": model, "usage": usage, "content": [] } }));
        for index in 0..self.rng.usize(..4) {
            let kind = ["text", "thinking", "tool_use", "server_tool_use"][self.rng.usize(..4)];
            self.truth.tool_uses += u64::from(kind.ends_with("tool_use"));
            self.event("content_block_start", json!({ "index": index, "content_block": { "type": kind } }));
            for _ in 0..self.rng.usize(..12) {
                let text = ["plain", "ümläut 中文 😀", "\"quoted\" \\ \n line", ""][self.rng.usize(..4)];
                self.content += text.len() as u64;
                let delta = match kind {
                    "text" => json!({ "type": "text_delta", "text": text }),
                    "thinking" => json!({ "type": "thinking_delta", "thinking": text }),
                    _ => json!({ "type": "input_json_delta", "partial_json": text }),
                };
                self.event("content_block_delta", json!({ "index": index, "delta": delta }));
                if self.rng.u8(..10) == 0 {
                    self.event("ping", json!({}));
                }
            }
            self.event("content_block_stop", json!({ "index": index }));
        }
        if self.is_named && self.rng.u8(..20) == 0 {
            self.event("a_later_invention", json!({ "usage": { "output_tokens": 1 }, "text": "x".repeat(HUGE) }));
            self.truth.skipped += 1;
        }
        if self.rng.u8(..10) > 0 {
            let reason = ["end_turn", "tool_use", "max_tokens"][self.rng.usize(..3)];
            let output = self.rng.u64(1..8_000);
            // What is told once more may be told as nothing.
            let usage = match self.rng.u8(..4) {
                0 => json!({ "output_tokens": output, "input_tokens": 0, "cache_read_input_tokens": null }),
                1 => json!({ "output_tokens": output, "input_tokens": tokens[0] }),
                _ => json!({ "output_tokens": output }),
            };
            self.event("message_delta", json!({ "delta": { "stop_reason": reason }, "usage": usage }));
            tokens[1] = output;
            self.truth.stop_reason = Some(reason.to_owned());
        }
        self.truth.tokens = Some(tokens);
    }
}

const CODINGS: [&str; 6] = ["identity", "gzip", "deflate", RAW, "br", "zstd"];
/// Deflate without zlib's frame, as some relays send it.
const RAW: &str = "raw deflate";

/// What a coding is called in a head.
fn named(coding: &str) -> &str {
    if coding == RAW { "deflate" } else { coding }
}

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish()).expect("encoded")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish()).expect("encoded")
        }
        RAW => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish()).expect("encoded")
        }
        "br" => {
            let mut out = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams { quality: 3, ..Default::default() };
            brotli::BrotliCompress(&mut &text[..], &mut out, &parameters).expect("encoded");
            out
        }
        "zstd" => zstd::encode_all(text, 1).expect("encoded"),
        _ => text.to_vec(),
    }
}

/// A body in pieces of random sizes, single bytes among them.
fn pieces(rng: &mut Rng, mut reply: Reply, body: &[u8]) -> Reply {
    let largest = [1, 7, 100, 2_000, usize::MAX][rng.usize(..5)].min(body.len().max(1));
    // A byte at a time takes a chunk for each.
    let largest = if body.len() > 4_000 { largest.max(100) } else { largest };
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rng.usize(1..=largest).min(rest.len()));
        reply = reply.bytes(piece);
        rest = after;
    }
    reply
}

fn stream(rng: &mut Rng, ending: Ending) -> Case {
    let coding = CODINGS[rng.usize(..CODINGS.len())];
    let content_type = odd::stream_type(rng);
    let end = ["\n", "\r\n", "\r"][rng.usize(..3)];
    let is_named = rng.u8(..5) > 0;
    let truth = Truth { status: 200, ..Truth::default() };
    let mut story = Story { rng, end, is_named, text: String::new(), content: 0, truth };
    story.tell();
    match ending {
        Ending::Whole | Ending::SaidAll => {
            story.event("message_stop", json!({}));
            story.truth.outcome = "completed";
        }
        Ending::Error => {
            let kind = ["overloaded_error", "api_error", "an_invented_error"][story.rng.usize(..3)];
            story.event("error", json!({ "error": { "type": kind, "message": "no" } }));
            story.truth.error_type = Some(kind.to_owned());
            story.truth.outcome = "stream_error";
        }
        Ending::Cut | Ending::Broken => story.truth.outcome = "truncated",
        Ending::Stall => story.truth.outcome = "stalled",
        Ending::Abort => story.truth.outcome = "client_aborted",
    }
    let Story { text, content, mut truth, .. } = story;
    let (guess, is_whole) = (content.div_ceil(4), matches!(ending, Ending::Whole | Ending::SaidAll));
    // Without `message_delta` nobody told it; of a whole stream the count at its beginning is believed if it can be.
    if let (None, Some(tokens)) = (&truth.stop_reason, &mut truth.tokens)
        && (!is_whole || guess > 8 * tokens[1])
    {
        tokens[1] = tokens[1].max(guess);
        truth.estimated = true;
    }
    let reply = Reply::status(200).header("Content-Type", content_type).chunked();
    let reply = if coding == "identity" { reply } else { reply.header("Content-Encoding", named(coding)) };
    let reply = pieces(rng, reply, &encode(coding, text.as_bytes()));
    let reply = match ending {
        Ending::Whole | Ending::Cut | Ending::Error => reply,
        Ending::SaidAll | Ending::Broken => reply.step(Step::Close),
        Ending::Stall | Ending::Abort => reply.step(Step::Stall),
    };
    Case { reply, truth, ending }
}

/// A reply that comes as a whole.
fn whole(rng: &mut Rng) -> Case {
    let coding = CODINGS[rng.usize(..CODINGS.len())];
    let tokens = [rng.u64(..1_000), rng.u64(..1_000), rng.u64(..1_000), rng.u64(..1_000)];
    let tools = rng.u64(..3);
    let content: Vec<Value> =
        (0..tools).map(|_| json!({ "type": "tool_use" })).chain([json!({ "type": "text" })]).collect();
    let body = json!({ "type": "message", "model": "claude-opus-4-8", "content": content, "stop_reason": "end_turn", "usage": {
        "input_tokens": tokens[0], "output_tokens": tokens[1],
        "cache_creation_input_tokens": tokens[2], "cache_read_input_tokens": tokens[3] } });
    let body = encode(coding, body.to_string().as_bytes());
    let mut truth = Truth { outcome: "completed", status: 200, tool_uses: tools, ..Truth::default() };
    let reply = Reply::status(200).header("Content-Type", "application/json").header("Content-Encoding", named(coding));
    if rng.u8(..8) == 0 {
        // A stream was asked for: what is none waits until it is whole.
        truth = Truth { outcome: "truncated", status: 502, ..Truth::default() };
        let reply = reply.length(body.len() as u64 + 1).bytes(body).step(Step::Close);
        // All that was announced did not come, and what came is a whole text all the same.
        truth.model = Some("claude-opus-4-8".to_owned());
        truth.tokens = Some(tokens);
        truth.stop_reason = Some("end_turn".to_owned());
        truth.tool_uses = tools;
        return Case { reply, truth, ending: Ending::Broken };
    }
    truth.model = Some("claude-opus-4-8".to_owned());
    truth.tokens = Some(tokens);
    truth.stop_reason = Some("end_turn".to_owned());
    Case { reply: pieces(rng, reply.chunked(), &body), truth, ending: Ending::Whole }
}

/// An error instead of an answer.
fn refusal(rng: &mut Rng) -> Case {
    let (status, kind) =
        [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "new_api_error"), (529, "overloaded_error")]
            [rng.usize(..4)];
    let body = json!({ "type": "error", "error": { "type": kind, "message": "no" } }).to_string();
    let truth = Truth {
        outcome: "upstream_error",
        status: status.into(),
        error_type: Some(kind.to_owned()),
        ..Truth::default()
    };
    let coding = ["identity", "gzip", "br"][rng.usize(..3)];
    let reply = Reply::status(status)
        .header("Content-Type", "application/json")
        .header("Content-Encoding", coding)
        .body(encode(coding, body.as_bytes()));
    Case { reply, truth, ending: Ending::Whole }
}

fn case(index: usize) -> Case {
    let mut rng = Rng::with_seed(SEED + index as u64);
    match index % 20 {
        0..=2 => whole(&mut rng),
        3 => refusal(&mut rng),
        4 | 5 => stream(&mut rng, Ending::Cut),
        6 => stream(&mut rng, Ending::Broken),
        7 | 8 => stream(&mut rng, Ending::Error),
        9 => stream(&mut rng, Ending::SaidAll),
        // Each of these waits for the clock.
        10 if index % 100 == 10 => stream(&mut rng, Ending::Stall),
        11 if index % 100 == 11 => stream(&mut rng, Ending::Abort),
        12 if index % 100 == 12 => odd::unreadable(),
        12 | 13 => odd::odd(&mut rng),
        _ => stream(&mut rng, Ending::Whole),
    }
}

/// Whether the first upstream fails before it says anything, so that another one gives the answer.
fn is_replaced(index: usize) -> bool {
    index % 20 == 14
}

/// Asks for case after case.
async fn ask(gateway: Arc<Gateway>, next: Arc<AtomicUsize>) {
    let mut client = gateway.connect().await;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= CASES {
            return;
        }
        let request = Request::post(&format!("/v1/messages?case={index}"), r#"{"model":"asked","stream":true}"#)
            .header("X-Claude-Code-Session-Id", format!("case-{index}"));
        // This key may go to both upstreams.
        let request = if is_replaced(index) { request.header("x-api-key", "sk-both") } else { request };
        let ending = case(index).ending;
        let is_intact = match ending {
            Ending::Abort => {
                client.send(request.bytes()).await;
                client.head("POST").await;
                // Everything has come: the rest is silence. A case without a piece is one that a client leaves at once.
                let mut left = 0;
                while left < abort_bytes(index) {
                    left += client.piece().await.map_or(0, |piece| piece.len());
                }
                false
            }
            _ => client.try_request(&request).await.is_ok(),
        };
        if !is_intact || ending != Ending::Whole {
            client = gateway.connect().await;
        }
    }
}

/// Bytes of the body that come before the silence.
fn abort_bytes(index: usize) -> usize {
    case(index).reply.body_bytes()
}

/// All rows, by session.
async fn rows(gateway: &Gateway) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let target = format!("/api/admin/requests?limit=500&cursor={cursor}");
        let page = gateway.request(&gateway.as_admin(Request::get(&target))).await;
        if page.status() != 200 {
            return rows;
        }
        let page = page.json();
        for row in page["requests"].as_array().expect("rows") {
            rows.insert(row["session"].as_str().expect("a session").to_owned(), row.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return rows,
        }
    }
}

fn told(row: &Value) -> Truth {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    let count = |name: &str| row[name].as_u64().unwrap_or_default();
    let kinds = ["input", "output", "cache_write", "cache_read"];
    Truth {
        outcome: "",
        status: count("status"),
        model: text("model"),
        tokens: row["tokens"].as_object().map(|tokens| kinds.map(|kind| tokens[kind].as_u64().expect("a count"))),
        estimated: row["estimated"] == true,
        stop_reason: text("stop_reason"),
        error_type: text("error_type"),
        tool_uses: count("tool_uses"),
        events: count("events"),
        skipped: count("skipped_events"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_answers_are_told_as_they_were_by_log_metrics_and_api() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("log.db");
    let number =
        |request: &Received| request.target.rsplit('=').next().and_then(|index| index.parse().ok()).expect("a case");
    let first = Upstream::start(move |request| match number(request) {
        index if is_replaced(index) => odd::replaced(&mut Rng::with_seed(SEED + index as u64)),
        index => case(index).reply,
    })
    .await;
    let second = Upstream::start(move |request| case(number(request)).reply).await;
    // One with a key of its own serves only those whom a route sends there.
    let pool = Pool::new()
        .add("first", first.url())
        .add_with("second", second.url(), "api_key: sk-own")
        // A client whose quota is used up would go elsewhere from then on.
        .failover("retry_budget: 100%, retry_budget_min: 1000, errors_off: quota")
        .setting("routes:\n  - { keys: [sk-both], upstreams: [first, second] }")
        .setting("limits: { event: 4KiB }\ntimeouts: { read: 2s }\nhealth: { failures: 1000, min_requests: 10000 }");
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", &database.display().to_string())
        .yaml(&pool.yaml())
        .start()
        .await;
    let (gateway, next) = (Arc::new(gateway), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(ask(Arc::clone(&gateway), Arc::clone(&next)))).collect();
    for client in clients {
        client.await.expect("a client that does not panic");
    }
    let rows = within("all rows", async {
        loop {
            let rows = rows(&gateway).await;
            if rows.len() >= CASES {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;

    let (mut outcomes, mut tokens) = (BTreeMap::<&str, u64>::new(), [0; 4]);
    for index in 0..CASES {
        let truth = case(index).truth;
        let row = &rows[&format!("case-{index}")];
        assert_eq!(row["outcome"], truth.outcome, "case {index}: {row}");
        assert_eq!(told(row), Truth { outcome: "", ..truth.clone() }, "case {index}: {row}");
        assert_eq!(row["model_asked"], "asked", "case {index}");
        assert_eq!(row["attempts"], 1 + u64::from(is_replaced(index)), "case {index}: {row}");
        *outcomes.entry(truth.outcome).or_default() += 1;
        tokens.iter_mut().zip(truth.tokens.unwrap_or_default()).for_each(|(sum, count)| *sum += count);
    }
    assert_eq!(outcomes.len(), 7, "{outcomes:?}");

    let metrics = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let stats = gateway.request(&gateway.as_admin(Request::get("/api/admin/stats"))).await.json();
    let mut connection = SqliteConnectOptions::new().filename(&database).connect().await.expect("the file");
    for (outcome, count) in &outcomes {
        let counted = sum(&metrics, "gateway_requests_total", &[("outcome", outcome)]);
        assert_eq!((counted, stats["outcomes"][outcome].as_u64()), (*count as f64, Some(*count)), "{outcome}");
        let rows = sqlx::query("SELECT COUNT(*) FROM requests WHERE outcome = ?").bind(outcome);
        let rows: i64 = rows.fetch_one(&mut connection).await.expect("a count").get(0);
        assert_eq!(rows as u64, *count, "{outcome}");
    }
    for (kind, count) in ["input", "output", "cache_write", "cache_read"].into_iter().zip(tokens) {
        let counted = sum(&metrics, "gateway_tokens_total", &[("kind", kind)]);
        assert_eq!((counted, stats["tokens"][kind].as_u64()), (count as f64, Some(count)), "{kind}");
        let sql = format!("SELECT SUM({kind}_tokens) FROM requests");
        let rows: i64 = sqlx::query(&sql).fetch_one(&mut connection).await.expect("a sum").get(0);
        assert_eq!(rows as u64, count, "{kind}");
    }
    let estimated: u64 = (0..CASES)
        .map(|index| case(index).truth)
        .filter(|truth| truth.estimated)
        .fold(0, |sum, truth| sum + truth.tokens.unwrap_or_default()[1]);
    let counted = sum(&metrics, "gateway_estimated_output_tokens_total", &[]);
    assert_eq!((counted, stats["estimated_output_tokens"].as_u64()), (estimated as f64, Some(estimated)));
    let cost: i64 =
        sqlx::query("SELECT SUM(cost_nano) FROM requests").fetch_one(&mut connection).await.expect("a sum").get(0);
    let (of_metrics, of_api) =
        (sum(&metrics, "gateway_cost_usd_total", &[]), stats["cost_usd"].as_f64().expect("a cost"));
    assert!(
        (of_metrics - cost as f64 / 1e9).abs() < 1e-6 && (of_api - cost as f64 / 1e9).abs() < 1e-9,
        "{cost} {of_metrics} {of_api}"
    );
    assert_eq!(sum(&metrics, "gateway_request_duration_seconds_count", &[]), CASES as f64);
}
