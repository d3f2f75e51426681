//! The file of the team: its opening, its tables, and what is asked of it.

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// Marks the file as this program's (`agwt`).
const APPLICATION: i64 = 0x6167_7774;
/// What brings the tables up to date. A file that a newer version has changed stays as it is: its changes leave what this one
/// writes valid.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/0001_team.sql"), include_str!("migrations/0002_limits.sql")];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Statement(#[from] rusqlite::Error),
    #[error("it is another program's database")]
    Foreign,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// Which file it is: its device and its number.
    file: (u64, u64),
}

impl Store {
    /// Opens the file, and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        // Nobody else may read it from the beginning; what SQLite puts beside it is as closed as the file.
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map(drop)?,
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What was said to be revoked stays so, whatever happens to the machine.
        connection.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut connection)?;
        Ok(Self { connection, file: file_at(path)? })
    }

    /// Opens a file that is there, and changes nothing.
    pub(super) fn look(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(Self { connection, file: file_at(path)? })
    }

    /// Whether the open file is the one at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        file_at(path).is_ok_and(|file| file == self.file)
    }

    /// A number that differs when another process has changed the file.
    pub(super) fn version(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    /// Writes all of it into a new file at this path, which somebody deleted.
    pub(super) fn bring_back(&self, path: &Path) -> Result<(), StoreError> {
        let beside = beside(path);
        let _ = std::fs::remove_file(&beside);
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        self.connection.execute("VACUUM INTO ?", [beside.to_string_lossy()])?;
        Ok(std::fs::rename(&beside, path)?)
    }

    /// What is read, in one piece, or written as a whole or not at all.
    pub(super) fn transaction(&mut self, does_write: bool) -> rusqlite::Result<Transaction<'_>> {
        let behavior = if does_write { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        self.connection.transaction_with_behavior(behavior)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

fn file_at(path: &Path) -> std::io::Result<(u64, u64)> {
    let there = path.metadata()?;
    Ok((there.dev(), there.ino()))
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, done) = (number("application_id")?, number("user_version")?);
    let tables: i64 = transaction.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        return Err(StoreError::Foreign);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_is_its_owners_and_a_newer_version_may_have_changed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("team.db");
        let store = Store::open(&path).expect("opened");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        store.connection.pragma_update(None, "user_version", 99).expect("written");
        drop(store);
        assert!(Store::open(&path).is_ok());
        std::fs::remove_file(&path).expect("removed");
        Connection::open(&path).expect("made").execute_batch("CREATE TABLE t (a)").expect("written");
        assert!(matches!(Store::open(&path), Err(StoreError::Foreign)));
    }

    #[test]
    fn a_file_that_was_deleted_is_brought_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("team.db");
        let store = Store::open(&path).expect("opened");
        store
            .connection
            .execute("INSERT INTO groups (id, name, created_ms) VALUES ('g', 'dev', 1)", [])
            .expect("written");
        std::fs::remove_file(&path).expect("removed");
        assert!(!store.is_at(&path));
        store.bring_back(&path).expect("brought back");
        let again = Store::open(&path).expect("opened");
        let names: i64 = again.connection.query_row("SELECT COUNT(*) FROM groups", [], |row| row.get(0)).expect("one");
        assert_eq!((names, path.metadata().expect("a file").permissions().mode() & 0o777), (1, 0o600));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn it_shows_when_another_process_has_changed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("team.db");
        let (one, mut other) = (Store::open(&path).expect("opened"), Store::open(&path).expect("opened"));
        let before = one.version().expect("a number");
        assert_eq!(one.version().expect("a number"), before);
        let transaction = other.transaction(true).expect("begun");
        transaction.execute("INSERT INTO groups (id, name, created_ms) VALUES ('g', 'dev', 1)", []).expect("written");
        transaction.commit().expect("written");
        assert_ne!(one.version().expect("a number"), before);
    }
}
