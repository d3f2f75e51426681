use super::partitions;
use crate::config::log_store::{LogStore, PostgresUrl};
use crate::store::batch::BatchId;
use crate::store::columns::millis;
use crate::store::test_store::TestStore;
use crate::store::{Database, RequestLog, Retention, Writer};
use gateway_core::record::{Labels, Outcome, RequestRecord};
use sqlx::{Connection as _, PgConnection, Row as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const DAY: Duration = Duration::from_secs(86_400);

fn record(id: usize, started_at: SystemTime) -> Arc<RequestRecord> {
    Arc::new(RequestRecord { request_id: format!("req_{id}"), started_at, ..crate::sample::record() })
}

fn records(ids: std::ops::Range<usize>, started_at: SystemTime) -> Vec<Arc<RequestRecord>> {
    ids.map(|id| record(id, started_at)).collect()
}

fn url(store: &LogStore) -> &PostgresUrl {
    match store {
        LogStore::Postgres(url) => url,
        LogStore::File(path) => panic!("{} is no server", path.display()),
    }
}

async fn connection(log: &TestStore) -> PgConnection {
    PgConnection::connect(url(&log.store).expose()).await.expect("the server of the tests")
}

/// A number that the database tells.
async fn number(log: &TestStore, sql: &str) -> i64 {
    let mut connection = connection(log).await;
    sqlx::query(sql).fetch_one(&mut connection).await.expect("a row").get(0)
}

/// Rows, and requests by the sums of each span.
async fn counts(log: &TestStore) -> [i64; 5] {
    let mut counts = [number(log, "SELECT COUNT(*) FROM requests").await; 5];
    for (count, span) in counts[1..].iter_mut().zip([60, 900, 3_600, 86_400]) {
        let sql = format!("SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT) FROM rollups WHERE span_s = {span}");
        *count = number(log, &sql).await;
    }
    counts
}

#[tokio::test]
async fn a_batch_counts_once_whether_it_is_known_by_its_number_or_by_its_rows() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    let mut id = BatchId::first();
    database.insert_batch(&records(0..10, now), Some(&id)).await.expect("written");
    database.insert_batch(&records(0..10, now), Some(&id)).await.expect("known by its number");
    assert_eq!(counts(&log).await, [10; 5]);
    sqlx::query("DELETE FROM requests").execute(&mut connection(&log).await).await.expect("deleted");
    database.insert_batch(&records(0..10, now), Some(&id)).await.expect("known by its number");
    assert_eq!(counts(&log).await, [0, 10, 10, 10, 10], "whatever became of its rows");
    id.advance();
    database.insert_batch(&records(10..20, now), Some(&id)).await.expect("written");
    id.advance();
    let twice: Vec<_> = records(15..25, now).into_iter().chain(records(15..25, now)).collect();
    database.insert_batch(&twice, Some(&id)).await.expect("some are new");
    database.insert(&records(10..25, now)).await.expect("none is");
    assert_eq!(counts(&log).await, [15, 25, 25, 25, 25]);
    let times = "SELECT CAST(SUM(durations) AS BIGINT) FROM latencies WHERE span_s = 60 AND series = 0";
    assert_eq!(number(&log, times).await, 25);
}

#[tokio::test]
async fn gateways_that_write_at_the_same_time_add_up() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let now = SystemTime::now();
    let write = async |first: usize| {
        let mut database = log.open().await;
        for batch in 0..20 {
            let ids = first + batch * 50;
            let several = |id| {
                let model = format!("m{}", id % 7).as_str().into();
                let labels = Labels { model, ..crate::sample::record().labels };
                Arc::new(RequestRecord { labels, ..RequestRecord::clone(&record(id, now - DAY * (id % 3) as u32)) })
            };
            database.insert(&(ids..ids + 50).map(several).collect::<Vec<_>>()).await.expect("written");
            database.retain(keep(), now).await.expect("deleted");
        }
    };
    tokio::join!(write(0), write(10_000), write(20_000), write(30_000));
    assert_eq!(counts(&log).await, [4_000; 5]);
    assert_eq!(number(&log, "SELECT COUNT(*) FROM series").await, 7);
}

fn keep() -> Retention {
    Retention { age: 30 * DAY, bytes: u64::MAX, stray_bytes: u64::MAX, statistics: 400 * DAY, shapes: 10 }
}

#[tokio::test]
async fn old_days_are_dropped_and_those_to_come_are_made() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    let of_days: Vec<_> = (0..40).map(|id| record(id, now - DAY * id as u32)).collect();
    database.insert(&of_days).await.expect("written");
    database.retain(Retention { age: 10 * DAY, statistics: 20 * DAY, ..keep() }, now).await.expect("deleted");
    // The day that is only in part older stays as a whole.
    assert_eq!(number(&log, "SELECT COUNT(*) FROM requests").await, 11);
    let sums = "SELECT COUNT(*) FROM rollups WHERE span_s = 3600";
    assert!((20..=21).contains(&number(&log, sums).await), "{}", number(&log, sums).await);
    let today = partitions::day_of(millis(now));
    let ends: Vec<_> = partitions::all(&mut connection(&log).await).await.expect("partitions");
    let last = ends.iter().map(|partition| partition.ends_ms).max().expect("some");
    assert_eq!(partitions::day_of(last), today + 3, "two days are made ahead");
    database.insert(&records(100..110, now - DAY * 15)).await.expect("written, although its day was dropped");
    assert_eq!(number(&log, "SELECT COUNT(*) FROM requests").await, 21);
    // Where there is no room at all, today stays.
    database.retain(Retention { bytes: 0, ..keep() }, now).await.expect("deleted");
    let start = partitions::day_of(millis(now)) * partitions::DAY_MS;
    assert_eq!(number(&log, &format!("SELECT COUNT(*) FROM requests WHERE started_ms < {start}")).await, 0);
    assert!(number(&log, "SELECT COUNT(*) FROM requests").await > 0);
}

#[tokio::test]
async fn a_gateway_whose_clock_is_wrong_deletes_nothing_and_writes_what_it_has() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    database.insert_batch(&records(0..10, now), Some(&BatchId::first())).await.expect("written");
    database.retain(keep(), now + 365 * DAY).await.expect("deleted");
    assert_eq!(counts(&log).await, [10; 5]);
    assert_eq!(number(&log, "SELECT COUNT(*) FROM log_batches").await, 1);
    // Before it was set, a clock may stand at its beginning.
    database.insert(&records(10..20, SystemTime::UNIX_EPOCH)).await.expect("written");
    database.insert(&records(20..30, SystemTime::UNIX_EPOCH - DAY)).await.expect("written");
    database.insert(&records(30..40, now + 365 * DAY)).await.expect("written");
    assert_eq!(counts(&log).await, [40; 5]);
    database.retain(keep(), SystemTime::UNIX_EPOCH).await.expect("deleted");
    assert_eq!(
        number(&log, "SELECT COUNT(*) FROM requests").await,
        20,
        "what is old by the server's clock is not kept"
    );
}

#[tokio::test]
async fn a_day_that_somebody_reads_keeps_nothing_else_from_being_deleted() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    database.insert(&records(0..5, now - 40 * DAY)).await.expect("written");
    let mut reading = connection(&log).await;
    let mut dump = reading.begin().await.expect("a transaction");
    sqlx::query("SELECT COUNT(*) FROM requests").fetch_one(&mut *dump).await.expect("a number");
    let note = "INSERT INTO log_batches (spool, seq, at_ms) VALUES ('old', 0, 0)";
    sqlx::query(note).execute(&mut connection(&log).await).await.expect("noted");
    let short = Retention { statistics: 20 * DAY, ..keep() };
    database.retain(short, now).await.expect("deleted, but for the day");
    assert_eq!(counts(&log).await, [5, 0, 0, 0, 0]);
    assert_eq!(number(&log, "SELECT COUNT(*) FROM log_batches").await, 0);
    dump.rollback().await.expect("over");
    database.retain(short, now).await.expect("deleted");
    assert_eq!(counts(&log).await, [0; 5]);
}

#[tokio::test]
async fn sums_take_no_more_than_half_of_the_room_and_cost_no_day() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    database.insert(&(0..3).map(|id| record(id, now - DAY * id as u32)).collect::<Vec<_>>()).await.expect("written");
    let now_s = millis(now) / 1_000;
    for (table, varied) in [("rollups", "model"), ("latencies", "bucket")] {
        let many = format!(
            "INSERT INTO {table} SELECT made.* FROM {table} AS one CROSS JOIN generate_series(1000, 20999) AS number \
             CROSS JOIN LATERAL jsonb_populate_record(one, jsonb_build_object('span_s', 60, 'at_s', \
             {now_s} - number % 1000 * 60, '{varied}', number)) AS made WHERE one.ctid = (SELECT MIN(ctid) FROM {table})"
        );
        sqlx::query(&many).execute(&mut connection(&log).await).await.expect("many");
    }
    let of = |table: &'static str| format!("SELECT COUNT(*) FROM {table}");
    let (rollups, latencies) = (number(&log, &of("rollups")).await, number(&log, &of("latencies")).await);
    database.retain(keep(), now).await.expect("deleted");
    assert_eq!(number(&log, &of("rollups")).await, rollups, "they are not too old");
    assert_eq!(number(&log, &of("latencies")).await, latencies);
    // Half of those that take most go at a time.
    for _ in 0..6 {
        database.retain(Retention { bytes: 8 << 20, ..keep() }, now).await.expect("deleted");
    }
    let left = number(&log, &of("rollups")).await * 468 + number(&log, &of("latencies")).await * 210;
    assert!(left <= 4 << 20 && left > 1 << 20, "{left}");
    // Their tables stay as large as they were, and still no day goes.
    assert_eq!(number(&log, &of("requests")).await, 3);
    assert!(number(&log, "SELECT COUNT(*) FROM rollups WHERE span_s = 86400").await >= 3, "the coarse ones stay");
}

#[tokio::test]
async fn old_sums_are_deleted_in_portions_until_none_is_left() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    database.insert(&records(0..5, now)).await.expect("written");
    for (table, varied) in [("rollups", "model"), ("latencies", "bucket")] {
        let many = format!(
            "INSERT INTO {table} SELECT made.* FROM {table} AS one CROSS JOIN generate_series(1000, 6999) AS number \
             CROSS JOIN LATERAL jsonb_populate_record(one, jsonb_build_object('span_s', 60, 'at_s', 60, '{varied}', number)) \
             AS made WHERE one.ctid = (SELECT MIN(ctid) FROM {table})"
        );
        sqlx::query(&many).execute(&mut connection(&log).await).await.expect("many");
    }
    database.retain(keep(), now).await.expect("deleted");
    assert_eq!(counts(&log).await, [5; 5]);
    for table in ["rollups", "latencies"] {
        assert_eq!(number(&log, &format!("SELECT COUNT(*) FROM {table} WHERE at_s = 60")).await, 0);
    }
}

#[tokio::test]
async fn a_partition_that_another_gateway_dropped_is_made_again() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut one, mut other, now) = (log.open().await, log.open().await, SystemTime::now());
    let old = now - 12 * DAY;
    one.insert(&records(0..5, old)).await.expect("written");
    other.retain(Retention { age: 10 * DAY, ..keep() }, now).await.expect("deleted");
    assert!(one.insert(&records(5..10, old)).await.is_err(), "it is not there");
    one.insert(&records(5..10, old)).await.expect("it is now");
    assert_eq!(number(&log, "SELECT COUNT(*) FROM requests").await, 5);
}

#[tokio::test]
async fn a_flood_of_strays_takes_no_more_than_its_share() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    let stray = |id: usize| {
        let record = RequestRecord::clone(&record(id, now));
        Arc::new(RequestRecord { outcome: Outcome::Rejected, attempts: 0, upstream: None, ..record })
    };
    database.insert(&records(100_000..100_100, now)).await.expect("written");
    for batch in 0..10 {
        database.insert(&(batch * 500..(batch + 1) * 500).map(stray).collect::<Vec<_>>()).await.expect("written");
    }
    database.retain(Retention { stray_bytes: 1 << 20, ..keep() }, now).await.expect("deleted");
    let bytes = number(&log, "SELECT CAST(SUM(stray_bytes) AS BIGINT) FROM requests").await;
    assert!(bytes <= 1 << 20 && bytes > 1 << 19, "{bytes}");
    assert_eq!(number(&log, "SELECT COUNT(*) FROM requests WHERE stray_bytes IS NULL").await, 100);
    assert_eq!(number(&log, "SELECT COUNT(*) FROM requests WHERE id = 'req_4999'").await, 1, "the newest stay");
}

#[tokio::test]
async fn a_zero_byte_in_a_text_is_no_obstacle() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (mut database, now) = (log.open().await, SystemTime::now());
    let named = |id, model: &str| {
        let labels = Labels { model: model.into(), ..crate::sample::record().labels };
        let model_asked = Some(model.to_owned());
        Arc::new(RequestRecord { labels, model_asked, ..RequestRecord::clone(&record(id, now)) })
    };
    // Two names that are one without it.
    database.insert(&[named(1, "a\0b"), named(2, "a\u{fffd}b")]).await.expect("written");
    assert_eq!(counts(&log).await, [2; 5]);
    let found = log.reader().detail("req_1\0").await.expect("a reading");
    assert!(found.is_none());
}

/// A way to the server that takes away the answer to the commit of a batch, once it was told to.
struct Cutting {
    is_cutting: Arc<AtomicBool>,
    store: LogStore,
    _folder: tempfile::TempDir,
}

impl Cutting {
    async fn before(log: &TestStore) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let exposed = url(&log.store).expose().to_owned();
        let (begin, host) = exposed.split_once("host=").expect("a socket");
        let server = percent_encoding::percent_decode_str(host).decode_utf8_lossy().into_owned();
        let store = PostgresUrl::parse(&format!("{begin}host={}", folder.path().display())).expect("a URL");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let is_cutting = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_cutting);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(Path::new(&server).join(".s.PGSQL.5432")).await.expect("the server");
                tokio::spawn(pass_on(client, server, Arc::clone(&told)));
            }
        });
        Self { is_cutting, store: LogStore::Postgres(Arc::new(store)), _folder: folder }
    }
}

async fn pass_on(mut client: UnixStream, mut server: UnixStream, is_cutting: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut has_rows = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                server.write_all(&from_client[..count]).await.expect("sent");
                let has = |words: &[u8]| from_client[..count].windows(words.len()).any(|text| text == words);
                has_rows |= has(b"COPY requests");
                if has_rows && has(b"COMMIT\0") && is_cutting.swap(false, Ordering::Relaxed) {
                    // It was done, and nobody hears of it.
                    let _ = server.read(&mut from_server).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (way, now) = (Cutting::before(&log).await, SystemTime::now());
    let mut database = Database::open(&way.store).await.expect("opened");
    database.insert(&records(100..101, now)).await.expect("its series and partitions are there");
    let id = BatchId::first();
    way.is_cutting.store(true, Ordering::Relaxed);
    assert!(database.insert_batch(&records(0..10, now), Some(&id)).await.is_err());
    assert_eq!(counts(&log).await, [11; 5], "it was done");
    let mut database = Database::open(&way.store).await.expect("opened again");
    database.insert_batch(&records(0..10, now), Some(&id)).await.expect("known by its number");
    assert_eq!(counts(&log).await, [11; 5]);
}

#[tokio::test]
async fn what_is_left_at_the_end_is_written_once_although_a_commit_was_not_answered() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let (way, now) = (Cutting::before(&log).await, SystemTime::now());
    log.open().await.insert(&records(9_000..9_001, now)).await.expect("its series and partitions are there");
    let (requests, queue) = RequestLog::new(true, false, 4_000, 1_000);
    let writer = Arc::new(Writer::new(way.store.clone(), keep(), queue));
    (0..1_500).for_each(|id| requests.submit(record(id, now)));
    let requests = Arc::new(requests);
    {
        // It is dropped while it waits to try once more, as at the end of a process.
        let running = writer.run(&requests);
        tokio::pin!(running);
        way.is_cutting.store(true, Ordering::Relaxed);
        let has_failed = async {
            while !requests.is_failing() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = &mut running => panic!("it ended"),
            () = has_failed => {}
        }
    }
    assert_eq!(counts(&log).await, [1_001; 5], "a batch was done, and nobody heard of it");
    let (last, of_last) = (Arc::clone(&writer), Arc::clone(&requests));
    tokio::task::spawn_blocking(move || last.finish(&of_last)).await.expect("finished");
    assert_eq!(counts(&log).await, [1_501; 5], "each is there once");
    assert_eq!(requests.counts()[0], ("written", 1_500));
}

#[tokio::test]
async fn no_error_tells_a_password() {
    let Some(log) = TestStore::in_postgres().await else { return };
    let secret = "a-secret-that-nobody-is-told";
    let wrong = url(&log.store).with_password(secret);
    let nowhere = PostgresUrl::parse(&format!("postgres://me:{secret}@127.0.0.1:1/log")).expect("a URL");
    let odd = PostgresUrl::parse(&format!("postgres://me:{secret}@localhost/log?sslmode=perhaps")).expect("a URL");
    for url in [wrong, nowhere, odd] {
        let store = LogStore::Postgres(Arc::new(url));
        let Err(error) = Database::open(&store).await else { panic!("opened") };
        let reading = crate::store::Reader::new(&store).oldest_ms().await.expect_err("nothing is read");
        for told in [format!("{error} {error:?}"), format!("{reading} {reading:?}"), format!("{store} {store:?}")] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
