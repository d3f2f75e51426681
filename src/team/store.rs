//! The file of the team: its opening, its tables, and what is asked of it.

pub(super) use crate::database_file::FileError;
use crate::database_file::{self, Kind};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::time::Duration;

/// The marks of the file are `agwt`. What was said to be revoked stays so, whatever happens to the machine.
const KIND: Kind = Kind {
    application: 0x6167_7774,
    busy: Duration::from_secs(5),
    pragmas: "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL",
    migrations: &[include_str!("migrations/0001_team.sql"), include_str!("migrations/0002_limits.sql")],
};

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// Which file it is: its device and its number.
    file: (u64, u64),
}

impl Store {
    /// Opens the file, and makes it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        Ok(Self { connection: database_file::open(path, &KIND)?, file: database_file::place_of(path)? })
    }

    /// Opens a file that is there, and changes nothing.
    pub(super) fn look(path: &Path) -> Result<Self, FileError> {
        Ok(Self { connection: database_file::look(path, &KIND)?, file: database_file::place_of(path)? })
    }

    /// Whether the open file is the one at this path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        database_file::place_of(path).is_ok_and(|file| file == self.file)
    }

    /// A number that differs when another process has changed the file.
    pub(super) fn version(&self) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    /// Writes all of it into a new file at this path, which somebody deleted.
    pub(super) fn bring_back(&self, path: &Path) -> Result<(), FileError> {
        database_file::bring_back(&self.connection, path)
    }

    /// What is read, in one piece, or written as a whole or not at all.
    pub(super) fn transaction(&mut self, does_write: bool) -> rusqlite::Result<Transaction<'_>> {
        let behavior = if does_write { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        self.connection.transaction_with_behavior(behavior)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
