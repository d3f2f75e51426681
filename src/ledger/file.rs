//! The ledger's file (`ledger.db` in the state folder): its opening, its tables, and the marks of the gateways that share it.
//!
//! It is not the team's file. That one is written through to the disk with each change, and seldom; this one is written
//! each second while limits are used, by whoever serves, and a request may wait for it. So nothing waits for the disk here
//! (`synchronous = NORMAL`): a process that is killed loses nothing of what it wrote, a power cut the last seconds.

pub(super) use crate::database_file::FileError;
use crate::database_file::{self, Kind};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fs::{File as Mark, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its name in the state folder.
const FILE: &str = "ledger.db";
/// The marks of the file are `agwl`.
const KIND: Kind = Kind {
    application: 0x6167_776c,
    busy: Duration::from_secs(1),
    pragmas: "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
    migrations: &[include_str!("migrations/0001_ledger.sql"), include_str!("migrations/0002_notices.sql")],
};
/// The names of the marks of gateways that live: these around an id.
const MARK: &str = "ledger-";
const MARK_END: &str = ".lock";
/// Statements that are kept prepared.
const STATEMENTS: usize = 32;

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
        let connection = database_file::open(&path, &KIND)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let place = database_file::place_of(&path)?;
        Ok(Self { connection, path, place })
    }

    /// Writes all of it into a new file if somebody deleted it; whether another file than the open one is there now, be it that
    /// one or what somebody put in its place.
    pub(super) fn bring_back(&self) -> Result<bool, FileError> {
        if database_file::place_of(&self.path).is_ok_and(|place| place == self.place) {
            return Ok(false);
        }
        if !self.path.exists() {
            // What stands beside it is of the one that is gone.
            for end in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(database_file::beside(&self.path, end));
            }
            database_file::bring_back(&self.connection, &self.path)?;
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

    /// A number that is another one whenever another connection has changed something.
    pub(super) fn version(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    /// Puts what was written so far through to the disk.
    pub(super) fn put_through(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    }
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

/// Takes the marks away of which neither a process nor the ledger knows anything: those of gateways that ended before they
/// told the ledger of themselves. Of `known` ones the leases are still to be settled.
pub(super) fn sweep(folder: &Path, known: &[String]) {
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files.filter_map(Result::ok) {
        let name = file.file_name();
        let gateway = name.to_str().and_then(|name| name.strip_prefix(MARK)?.strip_suffix(MARK_END));
        if let Some(gateway) = gateway.filter(|gateway| !known.iter().any(|known| known == gateway))
            && is_gone(folder, gateway)
        {
            forget(folder, gateway);
        }
    }
}

fn mark_of(folder: &Path, gateway: &str) -> PathBuf {
    folder.join(format!("{MARK}{gateway}{MARK_END}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn marks_of_which_nobody_knows_anything_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let _alive = Alive::mark(folder.path(), "a").expect("marked");
        for name in ["ledger-b.lock", "ledger-c.lock", "ledger.db", "other.lock"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        sweep(folder.path(), &["b".to_owned()]);
        let names = std::fs::read_dir(folder.path()).expect("a folder");
        let mut names: Vec<_> = names.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        assert_eq!(names, ["ledger-a.lock", "ledger-b.lock", "ledger.db", "other.lock"]);
    }
}
