//! How long the panel's first page takes with a million rows: `cargo bench --bench store`. ROWS=100000 for fewer.

use anyrouter_gateway::record::{Labels, Outcome, RequestRecord};
use anyrouter_gateway::store::{By, Database, Filter, Reader, Span, StatsFilter};
use anyrouter_gateway::usage::meter::{Summary, Tokens};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Days over which the rows are spread.
const DAYS: u64 = 30;
const RUNS: usize = 9;
const MODELS: [&str; 3] = ["claude-sonnet-4-6", "claude-opus-4-8", "claude-haiku-4-5-20251001"];
const UPSTREAMS: [&str; 3] = ["anyrouter", "mirror", "spare"];

fn record(index: u64, rows: u64, now: SystemTime) -> Arc<RequestRecord> {
    let mut rng = fastrand::Rng::with_seed(index);
    let age = Duration::from_secs(DAYS * 86_400) * (rows - index) as u32 / rows as u32;
    let model = MODELS[rng.usize(..MODELS.len())];
    let failed = rng.u8(..20) == 0;
    // Most take seconds, some minutes.
    let duration = Duration::from_millis((rng.f64().powi(4) * 240_000.0) as u64 + 300);
    let tokens = Tokens { input: rng.u64(..3_000), output: rng.u64(..3_000), cache_read: 60_000, ..Tokens::default() };
    let answer = Summary {
        is_stream: true,
        is_complete: true,
        model: Some(model.to_owned()),
        tokens: Some(tokens),
        first_token: Some(duration / 5),
        last_token: Some(duration),
        stop_reason: Some("end_turn".to_owned()),
        events: 200,
        ..Summary::default()
    };
    Arc::new(RequestRecord {
        request_id: format!("req_{index:032x}"),
        started_at: now - age,
        duration,
        queue: Some(Duration::ZERO),
        connect: Some(Duration::from_millis(1)),
        first_byte: Some(duration / 6),
        client: Some([10, 0, 0, rng.u8(..)].into()),
        http: "1.1",
        method: "POST".to_owned(),
        path: "/v1/messages".to_owned(),
        status: if failed { 503 } else { 200 },
        outcome: if failed { Outcome::UpstreamError } else { Outcome::Completed },
        reason: "",
        upstream: Some(UPSTREAMS[rng.usize(..UPSTREAMS.len())].into()),
        attempts: 1,
        request_bytes: 54_000,
        response_bytes: 12_000,
        key: Some(format!("key{:05}", rng.u32(..5))),
        rewrite: "replaced",
        session: Some(format!("{:08x}-0000-4000-8000-000000000000", index / 40)),
        agent: None,
        parent_agent: None,
        model_asked: Some(model.to_owned()),
        rules: "anyrouter.beta,anyrouter.metadata".to_owned(),
        tried: Vec::new(),
        answer: (!failed).then_some(answer),
        error: None,
        cause: failed.then_some("pool_closed"),
        cost: (!failed).then_some(50_000_000),
        labels: Labels { model: model.into(), path: "/v1/messages" },
        capture: None,
    })
}

async fn median<F: Future>(name: &str, run: impl Fn() -> F) -> Duration {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        run().await;
        times.push(started.elapsed());
    }
    times.sort();
    println!("{name:<34} {:>8.1?} (slowest {:.1?})", times[RUNS / 2], times[RUNS - 1]);
    times[RUNS / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    let now = SystemTime::now();
    let mut database = Database::open(&path).await.expect("opened");
    let started = Instant::now();
    for batch in (0..rows).collect::<Vec<u64>>().chunks(1_000) {
        let records: Vec<_> = batch.iter().map(|&index| record(index, rows, now)).collect();
        database.insert(&records).await.expect("written");
    }
    let each = started.elapsed() / rows as u32;
    println!("{rows} rows over {DAYS} days: {each:.1?} to make and write each");
    database.close().await.expect("closed");
    let reader = Reader::new(&path);
    println!("{} bytes a row, sums included", reader.bytes() / rows);

    let now = now.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    for (name, hours, step) in [("24 hours", 24, 600_000), ("30 days", DAYS as i64 * 24, 4 * 3_600_000)] {
        let span = Span::new(now - hours * 3_600_000, now, now);
        let all = StatsFilter::default();
        let (reader, span, all) = (&reader, &span, &all);
        let mut page = Duration::ZERO;
        page += median(&format!("{name}: summary"), || async { reader.summary(span, all).await.expect("read") }).await;
        page += median(&format!("{name}: series"), || async {
            reader.series(span, step, all).await.expect("read").expect("a series")
        })
        .await;
        for by in [By::Model, By::Upstream] {
            let name = format!("{name}: groups by {}", by.name());
            page += median(&name, || async { reader.groups(span, by, all, 50).await.expect("read") }).await;
        }
        page += median("newest 100 rows", || async { reader.page(&Filter::default(), None, 100).await.expect("read") })
            .await;
        println!("{name}: all of them one after the other {page:.1?}");
    }
    let reader = &reader;
    median("newest 100 failures", || async {
        let filter = Filter { cause: vec!["pool_closed".to_owned()], ..Filter::default() };
        reader.page(&filter, None, 100).await.expect("read")
    })
    .await;
    median("a text that is nowhere", || async {
        let filter = Filter { text: Some("nowhere".to_owned()), ..Filter::default() };
        reader.page(&filter, None, 100).await.expect("read")
    })
    .await;
    median("errors of 30 days", || async { reader.errors(now - DAYS as i64 * 86_400_000, now).await.expect("read") })
        .await;
    median("a session", || async {
        reader.session("00000010-0000-4000-8000-000000000000").await.expect("read").expect("a session")
    })
    .await;
}
