//! The ledger's file (`ledger.db` in the state folder): its opening, its tables, and the marks of the gateways that share it.
//!
//! It is not the team's file. That one is written through to the disk with each change, and seldom; this one is written
//! each second while limits are used, by whoever serves, and a request may wait for it. So nothing waits for the disk here
//! (`synchronous = NORMAL`): a process that is killed loses nothing of what it wrote, a power cut the last seconds.

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fs::{File as Mark, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its name in the state folder.
const FILE: &str = "ledger.db";
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(1);
/// Marks the file as this program's (`agwl`).
const APPLICATION: i64 = 0x6167_776c;
/// What brings the tables up to date. A file that a newer version has changed stays as it is: its changes leave what this one
/// writes valid.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_ledger.sql")];
/// Statements that are kept prepared.
const STATEMENTS: usize = 32;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Statement(#[from] rusqlite::Error),
    #[error("it is another program's database")]
    Foreign,
}

/// The open file.
#[derive(Debug)]
pub(super) struct File {
    connection: Connection,
    path: PathBuf,
    /// Which file it is: its device and its number.
    place: (u64, u64),
}

/// Where the file is in a state folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl File {
    /// Opens the file, and makes it if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, FileError> {
        let path = path(folder);
        // Nobody else may read it from the beginning; what SQLite puts beside it is as closed as the file.
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map(drop)?,
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        migrate(&mut connection)?;
        let place = place_of(&path)?;
        Ok(Self { connection, path, place })
    }

    /// Writes all of it into a new file if somebody deleted it; whether that was so, and the file is to be opened anew.
    pub(super) fn bring_back(&self) -> Result<bool, FileError> {
        if place_of(&self.path).is_ok_and(|place| place == self.place) {
            return Ok(false);
        }
        if !self.path.exists() {
            // What stands beside it is of the one that is gone.
            for end in ["-wal", "-shm"] {
                let mut beside = self.path.clone().into_os_string();
                beside.push(end);
                let _ = std::fs::remove_file(beside);
            }
            let mut beside = self.path.clone().into_os_string();
            beside.push(format!(".new-{}", std::process::id()));
            let beside = PathBuf::from(beside);
            let _ = std::fs::remove_file(&beside);
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
            self.connection.execute("VACUUM INTO ?", [beside.to_string_lossy()])?;
            std::fs::rename(&beside, &self.path)?;
            log::warn!("{} was deleted: it is there again", self.path.display());
        }
        Ok(true)
    }

    /// What is written as a whole or not at all.
    pub(super) fn transaction(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// To read from.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Puts what was written so far through to the disk.
    pub(super) fn put_through(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
}

fn place_of(path: &Path) -> std::io::Result<(u64, u64)> {
    let there = path.metadata()?;
    Ok((there.dev(), there.ino()))
}

fn migrate(connection: &mut Connection) -> Result<(), FileError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, done) = (number("application_id")?, number("user_version")?);
    let tables: i64 = transaction.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        return Err(FileError::Foreign);
    }
    let done = usize::try_from(done).unwrap_or_default();
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    Ok(transaction.commit()?)
}

/// Says that a gateway lives: a file beside the ledger that its process holds locked. The system gives it free when the
/// process ends, however that ends, so that nobody has to wait until its leases are over.
#[derive(Debug)]
pub(super) struct Alive {
    _mark: Mark,
    path: PathBuf,
}

impl Alive {
    /// That the gateway of this process lives.
    pub(super) fn mark(folder: &Path, gateway: &str) -> std::io::Result<Self> {
        let path = mark_of(folder, gateway);
        let mark = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        mark.try_lock().map_err(std::io::Error::other)?;
        Ok(Self { _mark: mark, path })
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether a gateway is gone for certain. One whose mark cannot be found is not.
pub(super) fn is_gone(folder: &Path, gateway: &str) -> bool {
    let Ok(mark) = OpenOptions::new().write(true).open(mark_of(folder, gateway)) else { return false };
    match mark.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Takes the mark of a gateway away that is gone.
pub(super) fn forget(folder: &Path, gateway: &str) {
    let _ = std::fs::remove_file(mark_of(folder, gateway));
}

fn mark_of(folder: &Path, gateway: &str) -> PathBuf {
    folder.join(format!("ledger-{gateway}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_is_its_owners_and_no_other_programs() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::open(folder.path()).expect("opened");
        let path = path(folder.path());
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        file.connection.pragma_update(None, "user_version", 99).expect("written");
        drop(file);
        assert!(File::open(folder.path()).is_ok(), "a newer version's");
        std::fs::remove_file(&path).expect("removed");
        Connection::open(&path).expect("made").execute_batch("CREATE TABLE t (a)").expect("written");
        assert!(matches!(File::open(folder.path()), Err(FileError::Foreign)));
    }

    #[test]
    fn a_file_that_was_deleted_is_brought_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::open(folder.path()).expect("opened");
        assert!(!file.bring_back().expect("looked"));
        file.connection
            .execute("INSERT INTO gateways (id, version, seen_ms) VALUES ('g', '1', 1)", [])
            .expect("written");
        std::fs::remove_file(path(folder.path())).expect("removed");
        assert!(file.bring_back().expect("looked"));
        let again = File::open(folder.path()).expect("opened");
        let rows: i64 =
            again.connection.query_row("SELECT COUNT(*) FROM gateways", [], |row| row.get(0)).expect("a number");
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_gateway_is_gone_when_its_process_let_its_mark_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let alive = Alive::mark(folder.path(), "a").expect("marked");
        assert!(!is_gone(folder.path(), "a") && !is_gone(folder.path(), "b"));
        std::fs::copy(&alive.path, mark_of(folder.path(), "b")).expect("copied");
        assert!(is_gone(folder.path(), "b"), "nobody holds it");
        drop(alive);
        assert!(!mark_of(folder.path(), "a").exists());
    }
}
