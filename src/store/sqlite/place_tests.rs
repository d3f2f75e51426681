use super::super::Database;
use super::*;
use gateway_core::record::RequestRecord;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::os::unix::fs::symlink;
use std::sync::Arc;

fn records(ids: std::ops::Range<usize>) -> Vec<Arc<RequestRecord>> {
    ids.map(|id| Arc::new(RequestRecord { request_id: format!("req_{id}"), ..crate::sample::record() })).collect()
}

async fn opened(path: &Path) -> Database {
    Database::open(path).await.expect("opened")
}

async fn with_rows(path: &Path, ids: std::ops::Range<usize>) -> Database {
    let mut database = opened(path).await;
    database.insert(&records(ids)).await.expect("written");
    database
}

async fn rows(path: &Path) -> i64 {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("opened");
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("checked");
    assert_eq!(check, "ok");
    sqlx::query_scalar("SELECT COUNT(*) FROM requests").fetch_one(&mut connection).await.expect("a count")
}

/// As `rm log.db*` does.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(with_suffix(path, suffix)).expect("removed");
    }
}

fn identities(path: &Path) -> [Identity; 3] {
    ["", "-wal", "-shm"].map(|suffix| Identity::of(&with_suffix(path, suffix)).expect("there"))
}

#[tokio::test]
async fn where_a_link_led_to_a_deleted_file_it_does_again() {
    for (link, leads_to) in [("data", "far/away"), ("data/log.db", "../far/away/log.db")] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("data/log.db");
        std::fs::create_dir_all(dir.path().join("far/away")).expect("made");
        if link != "data" {
            std::fs::create_dir(dir.path().join("data")).expect("made");
        }
        symlink(leads_to, dir.path().join(link)).expect("a link");
        let mut database = with_rows(&path, 0..3).await;
        std::fs::remove_dir_all(dir.path().join("far")).expect("removed");
        assert!(!database.is_in_place(), "{link}");
        assert_eq!(database.bring_back().await.expect("made anew"), Rows::Kept(3), "{link}");
        assert_eq!((rows(&path).await, rows(&dir.path().join("far/away/log.db")).await), (3, 3), "{link}");
        assert!(dir.path().join(link).is_symlink());
    }
}

#[tokio::test]
async fn of_two_processes_the_second_finds_all_rows_there_and_touches_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log.db");
    let (mut first, mut second) = (with_rows(&path, 0..3).await, opened(&path).await);
    remove(&path);
    assert_eq!(first.bring_back().await.expect("made anew"), Rows::Kept(3));
    let mut first = with_rows(&path, 3..5).await;
    let before = identities(&path);
    assert_eq!(second.bring_back().await.expect("found"), Rows::Kept(3));
    assert_eq!(identities(&path), before, "what the first process writes to");
    assert!(first.is_in_place());
    first.insert(&records(5..6)).await.expect("written");
    assert_eq!(rows(&path).await, 6);
    assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 3, "nothing is left over");
}

#[tokio::test]
async fn where_somebody_put_another_file_the_rows_are_set_aside_and_that_file_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log.db");
    let mut database = with_rows(&path, 0..3).await;
    let other = dir.path().join("other.db");
    with_rows(&other, 10..12).await.close().await.expect("closed");
    std::fs::rename(&other, &path).expect("in its place");
    let Rows::SetAside(former) = database.bring_back().await.expect("set aside") else { panic!("not set aside") };
    drop(database);
    assert_eq!((rows(&former).await, rows(&path).await), (3, 2));
    // What is no database at all as well.
    let mut database = opened(&path).await;
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "text").expect("written");
    let Rows::SetAside(former) = database.bring_back().await.expect("set aside") else { panic!("not set aside") };
    assert_eq!((rows(&former).await, std::fs::read(&path).expect("there")), (2, b"text".to_vec()));
}

#[tokio::test]
async fn a_moved_file_that_is_being_read_gets_its_last_rows_before_what_is_beside_it_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, moved) = (dir.path().join("log.db"), dir.path().join("moved.db"));
    let mut database = with_rows(&path, 0..3).await;
    let mut reader = SqliteConnectOptions::new().filename(&path).connect().await.expect("opened");
    sqlx::query("BEGIN").execute(&mut reader).await.expect("begun");
    let read = "SELECT COUNT(*) FROM requests";
    assert_eq!(sqlx::query_scalar::<_, i64>(read).fetch_one(&mut reader).await.expect("read"), 3);
    database.insert(&records(3..5)).await.expect("written");
    std::fs::rename(&path, &moved).expect("moved");
    database.bring_back().await.expect_err("not yet");
    sqlx::query("COMMIT").execute(&mut reader).await.expect("ended");
    assert_eq!(database.bring_back().await.expect("settled"), Rows::Elsewhere(moved.clone()));
    assert_eq!(rows(&moved).await, 5);
    assert_eq!(
        std::fs::read_dir(dir.path())
            .expect("there")
            .filter(|file| { file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().starts_with("log.db")) })
            .count(),
        0
    );
}
