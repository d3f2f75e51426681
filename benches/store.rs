//! How long the panel's first page takes with a million rows: `cargo bench --bench store`. ROWS=100000 for fewer.

use anyrouter_gateway::measured::{By, Database, Filter, GroupsBy, LogStore, Reader, SessionsAsked, Span, StatsFilter};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "../examples/fill_log/record.rs"]
mod record;

/// Days over which the rows are spread.
const DAYS: u64 = 30;
const RUNS: usize = 9;

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

/// CPU time of this process so far, all threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("the kernel's figures");
    let (_, after_name) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("ticks");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// What a row takes of the processor when a thousand requests end each second.
async fn batches() {
    const BATCHES: u64 = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = Database::open(&folder.path().join("log.db")).await.expect("opened");
    let begin = SystemTime::now();
    let mut each = Vec::new();
    for number in 0..BATCHES {
        let at = begin + Duration::from_secs(number);
        let indices = number * 1_000..(number + 1) * 1_000;
        let records: Vec<_> = indices.map(|index| record::record(index, BATCHES * 1_000, 0, at)).collect();
        let before = cpu();
        database.insert(&records).await.expect("written");
        each.push(cpu() - before);
    }
    println!(
        "{:.1?} of CPU time for a row of {BATCHES} batches",
        each.iter().sum::<Duration>() / (BATCHES * 1_000) as u32
    );
    database.close().await.expect("closed");
}

/// Rows a second of the writer in both databases, in turn in one run, if `GATEWAY_TEST_STORE` names a PostgreSQL server
/// (`FSYNC=on scripts/with-postgres.sh cargo bench --bench store`).
async fn both() {
    const ROUNDS: u64 = 15;
    const BATCHES: u64 = 10;
    let Ok(server) = std::env::var("GATEWAY_TEST_STORE") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = LogStore::parse(&folder.path().join("log.db").display().to_string()).expect("a path");
    let server = LogStore::parse(&server).expect("a URL");
    let mut opened = Vec::new();
    for (name, store) in [("SQLite", &file), ("PostgreSQL", &server)] {
        opened.push((name, Database::open(store).await.expect("opened"), Vec::new(), Vec::new()));
    }
    let begin = SystemTime::now();
    let run = fastrand::u64(..1 << 40) << 20;
    for round in 0..ROUNDS {
        let batch = |number: u64| {
            let at = begin + Duration::from_secs(round * BATCHES + number);
            let first = run + (round * BATCHES + number) * 1_000;
            (first..first + 1_000).map(|index| record::record(index, u64::MAX, 0, at)).collect::<Vec<_>>()
        };
        let batches: Vec<_> = (0..BATCHES).map(batch).collect();
        for (_, database, rates, costs) in &mut opened {
            let (started, before) = (Instant::now(), cpu());
            for records in &batches {
                database.insert(records).await.expect("written");
            }
            rates.push((BATCHES * 1_000) as f64 / started.elapsed().as_secs_f64());
            costs.push((cpu() - before) / (BATCHES * 1_000) as u32);
        }
    }
    for (name, database, mut rates, mut costs) in opened {
        rates.sort_by(f64::total_cmp);
        costs.sort();
        let (slowest, median, fastest) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        let cost = costs[costs.len() / 2];
        println!(
            "{name}: {median:.0} rows a second ({slowest:.0} to {fastest:.0}), {cost:.1?} of this process's CPU time for a row"
        );
        database.close().await.expect("closed");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    both().await;
    if std::env::var_os("ONLY_BOTH").is_some() {
        return;
    }
    batches().await;
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    let now = SystemTime::now();
    let mut database = Database::open(&path).await.expect("opened");
    let started = Instant::now();
    for batch in (0..rows).collect::<Vec<u64>>().chunks(1_000) {
        let records: Vec<_> = batch.iter().map(|&index| record::record(index, rows, DAYS, now)).collect();
        database.insert(&records).await.expect("written");
    }
    let each = started.elapsed() / rows as u32;
    println!("{rows} rows over {DAYS} days: {each:.1?} to make and write each");
    database.close().await.expect("closed");
    let reader = Reader::new(&path);
    println!("{} bytes a row, sums included", reader.bytes().await / rows);

    let now = now.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    for (name, hours, step) in [("24 hours", 24, 600_000), ("30 days", DAYS as i64 * 24, 4 * 3_600_000)] {
        let span = Span::new(now - hours * 3_600_000, now, now);
        let all = StatsFilter::default();
        let (reader, span, all) = (&reader, &span, &all);
        let mut page = Duration::ZERO;
        page += median(&format!("{name}: summary"), || async { reader.summary(span, all).await.expect("read") }).await;
        page += median(&format!("{name}: series"), || async {
            reader.series(span, step, all, None).await.expect("read").expect("a series")
        })
        .await;
        for by in [By::Model, By::Upstream] {
            let name = format!("{name}: groups by {}", by.name());
            page +=
                median(&name, || async { reader.groups(span, by, all, GroupsBy::Requests, 50).await.expect("read") })
                    .await;
        }
        page += median("newest 100 rows", || async { reader.page(&Filter::default(), None, 100).await.expect("read") })
            .await;
        println!("{name}: all of them one after the other {page:.1?}");
    }
    for (name, hours) in [("24 hours", 24), ("30 days", DAYS as i64 * 24)] {
        let (from_ms, reader) = (now - hours * 3_600_000, &reader);
        let asked = SessionsAsked { from_ms, to_ms: now, limit: 50, ..SessionsAsked::default() };
        median(&format!("{name}: sessions"), || async { reader.sessions(&asked).await.expect("read") }).await;
        let (span, all) = (Span::new(from_ms, now, now), StatsFilter::default());
        for by in [By::Session, By::AgentType] {
            let name = format!("{name}: groups by {}", by.name());
            median(&name, || async { reader.groups(&span, by, &all, GroupsBy::Cost, 50).await.expect("read") }).await;
        }
    }
    let reader = &reader;
    median("newest 100 failures", || async {
        let only = [("cause", vec!["pool_closed".to_owned()])].into();
        let filter = Filter { only, ..Filter::default() };
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
