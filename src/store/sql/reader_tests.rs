//! What is read of rows and sums that this version, and earlier ones, wrote.

use super::*;
use crate::config::fingerprint::KeyFingerprint;
use crate::store::rollup::COLUMNS;
use crate::store::test_store::TestStore;
use crate::store::{By, Filter, GroupsBy, Span, StatsFilter};
use gateway_core::holder::Holder;
use gateway_core::record::{Labels, RequestRecord};
use gateway_core::usage::summary::{Summary, Tokens};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
const QUARTER: Duration = Duration::from_secs(900);

fn millis(time: SystemTime) -> i64 {
    crate::store::columns::millis(time)
}

async fn written(log: &TestStore, records: Vec<RequestRecord>) {
    let numbered = |(number, record)| Arc::new(RequestRecord { request_id: format!("req_{number}"), ..record });
    let records: Vec<_> = records.into_iter().enumerate().map(numbered).collect();
    let mut database = log.open().await;
    database.insert(&records).await.expect("written");
    database.close().await.expect("closed");
}

/// A record of each ten minutes of so many days before this moment.
fn of_days(days: u32, now: SystemTime) -> Vec<RequestRecord> {
    let at = |number: u32| now - number * Duration::from_secs(600);
    let answer = || Summary { tokens: Some(Tokens { output: 7, ..Tokens::default() }), ..Summary::default() };
    (1..days * 144)
        .map(|number| RequestRecord { started_at: at(number), answer: Some(answer()), ..crate::sample::record() })
        .collect()
}

async fn requests(reader: &Reader, span: &Span) -> u64 {
    let summary = reader.summary(span, &StatsFilter::default()).await.expect("a summary");
    assert_eq!(summary.tokens.output, 7 * summary.requests);
    assert_eq!(summary.duration_ms.count, summary.requests);
    summary.requests
}

/// The beginnings of so many days of a zone, the last of which has begun at `now` or before.
fn midnights(days: i64, offset_ms: i64, now: SystemTime) -> Vec<i64> {
    let day = DAY.as_millis() as i64;
    let last = (millis(now) + offset_ms).div_euclid(day) * day - offset_ms;
    (0..=days).rev().map(|before| last - before * day).collect()
}

#[tokio::test]
async fn the_days_of_each_zone_add_up_to_all_and_so_do_the_steps_of_a_series() {
    let log = TestStore::new().await;
    let now = SystemTime::now();
    written(&log, of_days(9, now)).await;
    let reader = log.reader();
    for offset_minutes in [0, 330, 345, -210, 765] {
        let bounds = midnights(7, offset_minutes * 60_000, now);
        let span = |from, to| Span::new(from, to, millis(now));
        let mut of_days = Vec::new();
        for day in bounds.windows(2) {
            of_days.push(requests(&reader, &span(day[0], day[1])).await);
        }
        assert_eq!(of_days, [144; 7], "at {offset_minutes} minutes");
        let whole = span(bounds[0], bounds[7]);
        assert_eq!(requests(&reader, &whole).await, 7 * 144);
        let series = reader.series(&whole, DAY.as_millis() as i64, &StatsFilter::default(), None).await;
        let series = series.expect("read").expect("a series");
        let points: Vec<_> = series.points.iter().map(|point| (point.at_ms, point.requests)).collect();
        assert_eq!(points, bounds[..7].iter().map(|at| (*at, 144)).collect::<Vec<_>>(), "at {offset_minutes} minutes");
        assert_eq!((series.from_ms, series.to_ms), (bounds[0], bounds[7]));
    }
}

#[tokio::test]
async fn sums_of_an_earlier_version_count_once_too() {
    let log = TestStore::in_file();
    let path = log.path();
    let now = SystemTime::now();
    written(&log, of_days(9, now)).await;
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.expect("opened");
    // As it left them: no quarters, and minutes of the last days only.
    for table in ["rollups", "latencies"] {
        for condition in
            ["span_s = 900".to_owned(), format!("span_s = 60 AND at_s < {}", millis(now - 3 * DAY) / 1_000)]
        {
            let sql = format!("DELETE FROM {table} WHERE {condition}");
            sqlx::query(&sql).execute(&mut connection).await.expect("deleted");
        }
    }
    let columns = COLUMNS.join(", ");
    let without_class = format!(
        "CREATE TABLE old AS SELECT span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, {columns} \
         FROM rollups; DROP TABLE rollups; ALTER TABLE old RENAME TO rollups"
    );
    let hints = include_str!("../sqlite/migrations/0010_hints.sql");
    let sums_by_class = &hints[hints.find("CREATE TABLE rollups_by_class").expect("the new table")..];
    for migration in [&without_class, include_str!("../sqlite/migrations/0007_quarters.sql"), sums_by_class] {
        sqlx::raw_sql(migration).execute(&mut connection).await.expect("migrated");
    }
    let reader = log.reader();
    let span = |from, to| Span::new(from, to, millis(now));
    for offset_minutes in [0, 330, -210] {
        let bounds = midnights(7, offset_minutes * 60_000, now);
        let mut sum = 0;
        for day in bounds.windows(2) {
            let of_day = requests(&reader, &span(day[0], day[1])).await;
            assert!((141..=147).contains(&of_day), "{of_day} of 144 at {offset_minutes} minutes");
            sum += of_day;
        }
        assert_eq!(sum, requests(&reader, &span(bounds[0], bounds[7])).await, "at {offset_minutes} minutes");
    }
    // Of the last days the quarters are exact.
    let start = millis(now - DAY) / 900_000 * 900_000;
    let quarters = |table: &str, span: i64| {
        format!("SELECT COUNT(*) FROM {table} WHERE span_s = {span} AND at_s >= {}", start / 1_000)
    };
    let found =
        sqlx::query_scalar::<_, i64>(&quarters("rollups", 900)).fetch_one(&mut connection).await.expect("a count");
    assert!((95..=97).contains(&found), "{found} quarters with a request in a day");
}

#[tokio::test]
async fn keys_of_earlier_versions_join_those_of_today() {
    let log = TestStore::new().await;
    let keys = ["0a1b2c3d", "0a1b2c3d4e5f6071", "0a1b2c3d4e5f6071", "ffffffff00000000", "ffffffff"];
    let now = SystemTime::now();
    let record = |key: &&str| RequestRecord {
        started_at: now - QUARTER,
        key: Some((*key).to_owned()),
        ..crate::sample::record()
    };
    written(&log, keys.iter().map(record).collect()).await;
    let reader = log.reader();
    let span = Span::new(millis(now - DAY), millis(now), millis(now));
    let groups =
        reader.groups(&span, By::Key, &StatsFilter::default(), GroupsBy::Requests, 50).await.expect("groups").groups;
    let groups: Vec<_> = groups.iter().map(|group| (group.name.as_deref(), group.requests)).collect();
    assert_eq!(groups, [(Some("0a1b2c3d4e5f6071"), 3), (Some("ffffffff00000000"), 2)]);
    for (wanted, count) in [
        ("0a1b2c3d", 3),
        ("0A1B2C3D", 3),
        ("0a1b2c3d4e5f6071", 3),
        ("0a1b2c3d4e5f6072", 1),
        ("0a1b2c3d4e", 3),
        ("0a", 3),
        ("b", 0),
        ("%", 0),
    ] {
        let filter = StatsFilter { key: Some(wanted.to_owned()), ..StatsFilter::default() };
        assert_eq!(reader.summary(&span, &filter).await.expect("sums").requests, count, "sums of {wanted}");
        let only = BTreeMap::from([("key", vec![wanted.to_owned()])]);
        let page = reader.page(&Filter { only, ..Filter::default() }, None, 50).await.expect("rows");
        assert_eq!(page.requests.len() as u64, count, "rows of {wanted}");
    }
    let only = BTreeMap::from([("key", vec!["0a1b".to_owned(), "ffff".to_owned()])]);
    let page = reader.page(&Filter { only, ..Filter::default() }, None, 50).await.expect("rows");
    assert_eq!(page.requests.len(), keys.len());
}

#[tokio::test]
async fn requests_with_some_client_tokens_are_counted_alone() {
    let log = TestStore::new().await;
    let (ids, now) = (["tok_8c1f0a2b6d3e4f5a", "tok_8c1f0a2b6d3e4f5b"], SystemTime::now());
    let record = |key, holder| RequestRecord { started_at: now - QUARTER, key, holder, ..crate::sample::record() };
    let of = |id: &str| {
        let holder = Holder { user: "alice".into(), group: None, token: id.into() };
        record(Some(KeyFingerprint::of_token(id).to_string()), Some(Arc::new(holder)))
    };
    // Another one's key is the id of a token, or has a half of its fingerprint.
    let stranger = KeyFingerprint::of(ids[0].as_bytes()).to_string();
    let half = KeyFingerprint::of_token(ids[0]).to_string()[..8].to_owned();
    let others = [None, Some(stranger), Some(half)].map(|key| record(key, None));
    written(&log, ids.iter().chain(&ids[..1]).map(|id| of(id)).chain(others).collect()).await;
    let reader = log.reader();
    let span = Span::new(millis(now - DAY), millis(now), millis(now));
    let client = crate::sample::record().client.map(|client| client.to_string());
    assert!(client.is_some());
    for (tokens, count) in [(&ids[..], 3), (&ids[..1], 2), (&ids[1..], 1), (&["tok_0"], 0), (&[], 0)] {
        let tokens = Some(tokens.iter().map(|&id| id.to_owned()).collect());
        let of_sums = StatsFilter { tokens, ..StatsFilter::default() };
        let of_rows = StatsFilter { client: client.clone(), ..of_sums.clone() };
        for filter in [of_sums, of_rows] {
            assert_eq!(reader.summary(&span, &filter).await.expect("sums").requests, count, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn what_requests_are_for_is_summed_up_by_few_names_and_can_be_asked_for() {
    let log = TestStore::new().await;
    let now = SystemTime::now();
    let record = |(class, cost): &(&'static str, u64)| RequestRecord {
        started_at: now - QUARTER,
        answer: Some(Summary { tokens: Some(Tokens { output: 7, ..Tokens::default() }), ..Summary::default() }),
        cost: Some(*cost),
        labels: Labels { request_class: class, ..crate::sample::record().labels },
        ..crate::sample::record()
    };
    let classes = [("main", 1_000), ("subagent", 20), ("subagent", 30), ("", 5)];
    written(&log, classes.iter().map(record).collect()).await;
    let reader = log.reader();
    let span = Span::new(millis(now - DAY), millis(now), millis(now));
    let groups = reader
        .groups(&span, By::RequestClass, &StatsFilter::default(), GroupsBy::Requests, 50)
        .await
        .expect("groups")
        .groups;
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.name.as_deref(), group.requests, group.tokens.output, group.cost_usd))
        .collect();
    assert_eq!(
        told,
        [(Some("subagent"), 2, 14, Some(5e-8)), (None, 1, 7, Some(5e-9)), (Some("main"), 1, 7, Some(1e-6))]
    );
    let of_agents = StatsFilter { request_class: Some("subagent".to_owned()), ..StatsFilter::default() };
    assert_eq!(reader.summary(&span, &of_agents).await.expect("sums").requests, 2);
    assert_eq!(
        reader.groups(&span, By::Model, &of_agents, GroupsBy::Requests, 50).await.expect("groups").groups[0].requests,
        2
    );
    assert_eq!(requests(&reader, &span).await, 4, "each counts once");
}

#[tokio::test]
async fn rows_are_read_while_a_newer_process_adds_a_column() {
    let log = TestStore::in_file();
    let path = log.path();
    written(&log, of_days(1, SystemTime::now())).await;
    let reader = log.reader();
    let read = async |reader: &Reader| {
        let page = reader.page(&Filter::default(), None, 5).await.expect("a page");
        let detail = reader.detail("req_1").await.expect("a reading");
        (page.requests.len(), detail.is_some())
    };
    assert_eq!(read(&reader).await, (5, true));
    let mut newer = SqliteConnectOptions::new().filename(&path).connect().await.expect("opened");
    for table in ["requests", "texts"] {
        let sql = format!("ALTER TABLE {table} ADD COLUMN of_a_newer_version TEXT");
        sqlx::query(&sql).execute(&mut newer).await.expect("a column more");
    }
    assert_eq!(read(&reader).await, (5, true));
}

/// SQLite's lock on an open file keeps other programs from taking its write-ahead log for one that nobody needs.
#[tokio::test]
async fn opening_the_file_once_more_leaves_the_lock_of_those_who_have_it_open() {
    let log = TestStore::in_file();
    let path = log.path();
    written(&log, of_days(1, SystemTime::now())).await;
    let inode = std::fs::metadata(&path).expect("the file").ino();
    // The kernel tells all locks of the machine in pieces: one may be missed while others come and go.
    let is_locked = || {
        (0..20).any(|_| {
            let locks = std::fs::read_to_string("/proc/locks").expect("Linux");
            locks.lines().any(|lock| lock.contains(" POSIX ") && lock.contains(&format!(":{inode} ")))
        })
    };
    assert!(!is_locked());
    let reader = log.reader();
    reader.page(&Filter::default(), None, 5).await.expect("a page");
    assert!(is_locked());
    let _database = log.open().await;
    assert!(is_locked());
}
