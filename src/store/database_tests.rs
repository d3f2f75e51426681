use super::*;
use crate::usage::meter::{Summary, Tokens};

fn record(id: usize, started_at: SystemTime) -> Arc<RequestRecord> {
    Arc::new(RequestRecord {
        request_id: format!("req_{id}"),
        started_at,
        answer: Some(Summary {
            tokens: Some(Tokens { input: 5, output: 6, ..Tokens::default() }),
            ..Summary::default()
        }),
        ..RequestRecord::sample()
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
    let keep = Retention { age: day, bytes: u64::MAX, statistics: 400 * day };
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
    // A key of its own for each request: as many sums as rows, four times over.
    let keyed = |id: usize| {
        let started_at = now - Duration::from_secs(id as u64 * 60);
        Arc::new(RequestRecord {
            request_id: format!("req_{id}"),
            started_at,
            key: Some(format!("{id:08x}")),
            ..RequestRecord::sample()
        })
    };
    let records: Vec<_> = (0..5_000).map(keyed).collect();
    database.insert(&records).await.expect("written");
    let bytes = database.bytes().await.expect("a size");
    let keep = Retention { age: Duration::MAX, bytes: bytes / 2, statistics: Duration::from_secs(400 * 86_400) };
    database.retain(keep, now).await.expect("deleted");
    assert!(database.bytes().await.expect("a size") <= bytes / 2);
    assert_eq!(rows(&mut database).await, 5_000, "it was the sums that had to go");
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
