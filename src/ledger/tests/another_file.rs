//! Another file in the place of the ledger: an older one, one that cannot be used, one that somebody holds.

use super::*;

/// A ledger of which the window with the first number is somebody else's, in a folder of its own.
async fn elsewhere(limits: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let other = ledger();
    other.keep(folder.path()).expect("a thread");
    other.publish(vec![("tok_0".into(), [Some(Arc::new(owner(Subject::Token, "tok_0", limits))), None, None])]);
    let checks = other.checks("tok_0").expect("limits");
    other.admit(&checks, None, &ONE).await.expect("let in").settle(&ONE, None, Known::Told);
    other.end();
    folder
}

/// A gateway with a ledger in this folder, of which three requests were settled.
async fn with_three(folder: &Path, limits: &[&str]) -> Arc<Ledger> {
    let ledger = gateway(folder, limits);
    for _ in 0..3 {
        ask(&ledger, ONE).await.expect("let in").settle(&ONE, None, Known::Told);
    }
    comes_to(folder, limits, 3).await;
    ledger
}

/// Puts a file in the place of the ledger.
fn put_in_place(from: &Path, folder: &Path) {
    let path = folder.join("ledger.db");
    std::fs::rename(from, &path).expect("put in its place");
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("ledger.db{end}")));
    }
}

/// Waits until so many of the keeper's transactions have failed since.
async fn fails(ledger: &Ledger, times: u64) {
    let began = Instant::now();
    let before = ledger.counts().bad_ticks();
    while ledger.counts().bad_ticks() < before + times {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn another_file_in_the_place_of_the_ledger_counts_for_whom_it_names() {
    let (folder, limits) = (tempfile::tempdir().expect("a folder"), ["requests:day:9"]);
    let elsewhere = elsewhere(&limits).await;
    let ledger = with_three(folder.path(), &limits).await;
    put_in_place(&elsewhere.path().join("ledger.db"), folder.path());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for _ in 0..2 {
        insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    }
    comes_to(folder.path(), &limits, 2).await;
    ledger.end();
    let used = usage::read(folder.path(), &[owner(Subject::Token, "tok_0", &limits)]).expect("read");
    assert_eq!(used[0][0].used, Some(1), "nobody else is charged");
    assert_eq!(self::used(folder.path(), &limits)[0].used, Some(2));
}

#[tokio::test]
async fn another_file_that_cannot_be_read_is_tried_again_and_nothing_is_lost() {
    let (folder, limits) = (tempfile::tempdir().expect("a folder"), ["requests:day:9"]);
    let elsewhere = elsewhere(&limits).await;
    let good = elsewhere.path().join("ledger.db");
    // One that is a ledger by its marks, and has no windows.
    let broken = elsewhere.path().join("broken.db");
    std::fs::copy(&good, &broken).expect("copied");
    rusqlite::Connection::open(&broken).expect("opened").execute_batch("DROP TABLE windows").expect("broken");
    let ledger = with_three(folder.path(), &limits).await;
    put_in_place(&broken, folder.path());
    fails(&ledger, 2).await;
    // What it holds is used nonetheless.
    ask(&ledger, ONE).await.expect("let in").settle(&ONE, None, Known::Told);
    put_in_place(&good, folder.path());
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for _ in 0..2 {
        insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    }
    comes_to(folder.path(), &limits, 2).await;
    ledger.end();
    let of_other = usage::read(folder.path(), &[owner(Subject::Token, "tok_0", &limits)]).expect("read");
    assert_eq!(of_other[0][0].used, Some(1), "nobody else is charged");
}

#[tokio::test]
async fn another_file_that_somebody_holds_is_waited_for() {
    let (folder, limits) = (tempfile::tempdir().expect("a folder"), ["requests:day:9"]);
    let elsewhere = elsewhere(&limits).await;
    let ledger = with_three(folder.path(), &limits).await;
    let held = ask(&ledger, ONE).await.expect("let in");
    put_in_place(&elsewhere.path().join("ledger.db"), folder.path());
    let other = rusqlite::Connection::open(folder.path().join("ledger.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    ask(&ledger, ONE).await.expect("what it holds is used").settle(&ONE, None, Known::Told);
    other.execute_batch("ROLLBACK").expect("let go");
    drop(other);
    // What was held there ends, and counts nowhere; from here on that file counts.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    held.settle(&ONE, None, Known::Told);
    insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    comes_to(folder.path(), &limits, 1).await;
    for _ in 0..8 {
        insist(&ledger, ONE).await.settle(&ONE, None, Known::Told);
    }
    ask(&ledger, ONE).await.expect_err("the tenth");
    ledger.end();
    assert_eq!(used(folder.path(), &limits)[0].used, Some(9));
}
