use super::*;
use gateway_core::record::Outcome;
use gateway_core::usage::summary::{Summary, Tokens};

fn record(id: usize, started_at: SystemTime) -> Arc<RequestRecord> {
    Arc::new(RequestRecord {
        request_id: format!("req_{id}"),
        started_at,
        answer: Some(Summary {
            tokens: Some(Tokens { input: 5, output: 6, ..Tokens::default() }),
            ..Summary::default()
        }),
        ..crate::sample::record()
    })
}

async fn rows(database: &mut Database) -> i64 {
    let row = sqlx::query("SELECT COUNT(*) FROM requests").fetch_one(&mut database.connection).await.expect("a count");
    row.get(0)
}

#[tokio::test]
async fn what_is_written_is_there_after_the_file_was_closed_and_nothing_is_there_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/folder/log.db");
    let mut database = Database::open(&path).await.expect("opened");
    let records: Vec<_> = (0..10).map(|id| record(id, SystemTime::now())).collect();
    database.insert(&records).await.expect("written");
    database.insert(&records[5..]).await.expect("written once more");
    database.close().await.expect("closed");
    let mut database = Database::open(&path).await.expect("opened again");
    assert_eq!(rows(&mut database).await, 10);
    let row = sqlx::query("SELECT SUM(input_tokens), SUM(output_tokens), MIN(outcome) FROM requests")
        .fetch_one(&mut database.connection)
        .await
        .expect("sums");
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1), row.get::<String, _>(2)), (50, 60, "completed".to_owned()));
}

#[tokio::test]
async fn old_rows_and_too_many_of_them_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = Database::open(&folder.path().join("log.db")).await.expect("opened");
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let records: Vec<_> = (0..20_000).map(|id| record(id, if id < 6_000 { now - 2 * day } else { now })).collect();
    database.insert(&records).await.expect("written");
    let keep = Retention { age: day, bytes: u64::MAX, stray_bytes: u64::MAX, statistics: 400 * day, shapes: 10 };
    database.retain(keep, now).await.expect("deleted");
    assert_eq!(rows(&mut database).await, 14_000, "the old ones are gone");
    let bytes = database.bytes().await.expect("a size");
    database.retain(Retention { bytes: bytes / 2, ..keep }, now).await.expect("deleted");
    assert!(database.bytes().await.expect("a size") <= bytes / 2);
    let row = sqlx::query("SELECT MIN(seq), COUNT(*) FROM requests").fetch_one(&mut database.connection).await;
    let row = row.expect("a row");
    assert!(row.get::<i64, _>(0) > 10_000 && row.get::<i64, _>(1) > 0, "the newest stay");
}

#[tokio::test]
async fn sums_without_end_make_room_before_all_rows_are_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = Database::open(&folder.path().join("log.db")).await.expect("opened");
    let now = SystemTime::now();
    // A key of its own for each request: as many sums as rows, four times over. Of the rows there is little to keep.
    let keyed = |id: usize| {
        let started_at = now - Duration::from_secs(id as u64 * 60);
        Arc::new(RequestRecord {
            request_id: format!("req_{id}"),
            started_at,
            key: Some(format!("{id:08x}")),
            is_keyed: true,
            attempts: 1,
            status: 200,
            ..RequestRecord::new(String::new(), started_at)
        })
    };
    let records: Vec<_> = (0..5_000).map(keyed).collect();
    database.insert(&records).await.expect("written");
    let bytes = database.bytes().await.expect("a size");
    let sums = database.bytes_of_sums().await.expect("a size");
    assert!(sums > bytes / 10 * 9 / 2, "sums take more than their half: {sums} of {bytes}");
    let statistics = Duration::from_secs(400 * 86_400);
    let keep = Retention { age: Duration::MAX, bytes: bytes / 10 * 9, stray_bytes: u64::MAX, statistics, shapes: 10 };
    database.retain(keep, now).await.expect("deleted");
    assert!(database.bytes().await.expect("a size") <= bytes / 10 * 9);
    assert_eq!(rows(&mut database).await, 5_000, "it was the sums that had to go");
}

#[tokio::test]
async fn what_an_earlier_version_wrote_beside_this_one_is_in_the_quarters_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    let mut database = Database::open(&path).await.expect("opened");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_100);
    let records: Vec<_> = (0..40).map(|id| record(id, start + Duration::from_secs(60 * id as u64))).collect();
    database.insert(&records).await.expect("written");
    let sums = async |database: &mut Database| {
        let mut sums = Vec::new();
        for (table, count) in [("rollups", "requests"), ("rollups", "input_tokens"), ("latencies", "durations")] {
            for span in [60, 900] {
                // Whole quarters: the first minutes are in one that began before them.
                let sql = format!("SELECT SUM({count}) FROM {table} WHERE span_s = ? AND at_s >= 1700001000");
                let sum = sqlx::query(&sql).bind(span).fetch_one(&mut database.connection).await.expect("a sum");
                sums.push(sum.get::<i64, _>(0));
            }
        }
        sums
    };
    let whole = sums(&mut database).await;
    assert!(whole[0] > 0 && whole[0] == whole[1] && whole[2] == whole[3] && whole[4] == whole[5], "{whole:?}");
    for table in ["rollups", "latencies"] {
        let sql = format!("DELETE FROM {table} WHERE span_s = 900 AND at_s > 1700001500");
        sqlx::query(&sql).execute(&mut database.connection).await.expect("deleted");
    }
    assert_ne!(sums(&mut database).await, whole);
    drop(database);
    let mut database = Database::open(&path).await.expect("opened");
    assert_eq!(sums(&mut database).await, whole);
}

/// A request that the gateway refused, with a key and a model that anybody can think of.
fn stray(id: usize, started_at: SystemTime) -> Arc<RequestRecord> {
    Arc::new(RequestRecord {
        request_id: format!("req_stray_{id:022}"),
        started_at,
        outcome: Outcome::Rejected,
        reason: Some(gateway_core::reason::Reason::UnknownKey),
        cause: Some(gateway_core::record::Cause::Rejected),
        status: 401,
        attempts: 0,
        upstream: None,
        key: Some(format!("{id:08x}")),
        model_asked: Some(format!("model-{id}")),
        ..crate::sample::record()
    })
}

#[tokio::test]
async fn a_flood_of_rejected_requests_removes_no_row_of_a_served_one() {
    const FLOOD: usize = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = Database::open(&folder.path().join("log.db")).await.expect("opened");
    let now = SystemTime::now();
    let served: Vec<_> = (0..2_000).map(|id| record(id, now - Duration::from_secs(60))).collect();
    database.insert(&served).await.expect("written");
    let day = Duration::from_secs(86_400);
    let full = database.bytes().await.expect("a size");
    // There is room for what was served, and some for sums, but none for the flood.
    let stray_bytes = 2 << 20;
    let keep = Retention { age: 30 * day, bytes: full + (1 << 20), stray_bytes, statistics: 400 * day, shapes: 10 };
    for batch in 0..FLOOD / 1_000 {
        let strays: Vec<_> = (0..1_000).map(|id| stray(batch * 1_000 + id, now)).collect();
        database.insert(&strays).await.expect("written");
        database.retain(keep, now).await.expect("deleted");
    }
    let count = |condition: &str| format!("SELECT COUNT(*) FROM requests WHERE outcome {condition} 'rejected'");
    let mut counts = Vec::new();
    for condition in ["!=", "="] {
        let row = sqlx::query(&count(condition)).fetch_one(&mut database.connection).await.expect("a count");
        counts.push(row.get::<i64, _>(0));
    }
    assert_eq!(counts[0], 2_000);
    let bytes = database.bytes().await.expect("a size");
    assert!(counts[1] > 1_000 && bytes < full + stray_bytes + (1 << 20), "{counts:?} {full} {bytes}");
    assert!(database.bytes_of_strays().await.expect("a size") <= stray_bytes);
    // What they are said to take is no less than what they do.
    assert!(bytes - full < stray_bytes * 11 / 10, "{full} {bytes}");
    let newest = "SELECT COUNT(*) FROM requests WHERE id = ?";
    let row = sqlx::query(newest).bind(&stray(FLOOD - 1, now).request_id).fetch_one(&mut database.connection).await;
    assert_eq!(row.expect("a row").get::<i64, _>(0), 1, "the newest of them stay");
    let sums = "SELECT SUM(requests), COUNT(DISTINCT key_fingerprint), COUNT(*) FROM rollups WHERE span_s = 86400";
    let row = sqlx::query(sums).fetch_one(&mut database.connection).await.expect("sums");
    assert_eq!(row.get::<i64, _>(0), 2_000 + FLOOD as i64, "all of them count");
    assert!(row.get::<i64, _>(2) <= 6, "and no key of them by itself: {}", row.get::<i64, _>(2));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_moved_aside_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.db");
    std::fs::write(&path, "this is somebody's text, and long enough to be looked at as a database".repeat(100))
        .expect("written");
    let mut database = Database::open(&path).await.expect("a new one");
    assert_eq!(rows(&mut database).await, 0);
    let names = std::fs::read_dir(folder.path())
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let aside = names.filter(|name| name.starts_with("log.db.damaged-")).count();
    assert_eq!(aside, 1);
}

#[tokio::test]
async fn the_database_of_another_program_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("theirs.db");
    let mut theirs = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.expect("made");
    sqlx::query("CREATE TABLE notes (text TEXT)").execute(&mut theirs).await.expect("a table");
    theirs.close().await.expect("closed");
    let before = (std::fs::read(&path).expect("there"), path.metadata().expect("there").permissions().mode());
    let Err(error) = Database::open(&path).await else { panic!("opened") };
    assert!(error.to_string().contains("another program's database"), "{error}");
    assert_eq!((std::fs::read(&path).expect("there"), path.metadata().expect("there").permissions().mode()), before);
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1);
}

/// A record with what its request looks like.
fn shaped(id: usize, started_at: SystemTime) -> Arc<RequestRecord> {
    use gateway_core::prompt_shape::{PromptShape, kept::KeptHead};
    let headers = http::HeaderMap::new();
    let head = KeptHead::new(&http::Method::POST, b"/v1/messages", http::Version::HTTP_11, &headers, Arc::default());
    let shape = PromptShape::of(br#"{"model":"m"}"#).expect("a shape");
    Arc::new(RequestRecord {
        head: Some(Box::new(head)),
        shape: Some(Box::new(shape)),
        ..RequestRecord::clone(&record(id, started_at))
    })
}

#[tokio::test]
async fn what_requests_look_like_goes_with_their_rows_and_by_its_own_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = Database::open(&folder.path().join("log.db")).await.expect("opened");
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let records: Vec<_> = (0..100_usize).map(|id| shaped(id, now - u32::try_from(id).expect("small") * day)).collect();
    for batch in records.chunks(50) {
        database.insert(batch).await.expect("written");
    }
    database.insert(&records[..5]).await.expect("written once more");
    let keep = Retention { age: 20 * day, bytes: u64::MAX, stray_bytes: u64::MAX, statistics: 400 * day, shapes: 50 };
    let shapes = async |database: &mut Database| {
        let sql = "SELECT COUNT(*), COUNT(requests.id) FROM shapes LEFT JOIN requests ON requests.id = shapes.id";
        let row = sqlx::query(sql).fetch_one(&mut database.connection).await.expect("counts");
        (row.get::<i64, _>(0), row.get::<i64, _>(1))
    };
    assert_eq!(shapes(&mut database).await, (100, 100));
    database.retain(keep, now + Duration::from_secs(1)).await.expect("deleted");
    assert_eq!(shapes(&mut database).await, (20, 20), "with their rows");
    database.retain(Retention { shapes: 7, ..keep }, now).await.expect("deleted");
    assert_eq!((shapes(&mut database).await, rows(&mut database).await), ((7, 7), 20), "by their number");
    database.retain(Retention { shapes: 0, ..keep }, now).await.expect("deleted");
    assert_eq!(shapes(&mut database).await, (0, 0));
}
