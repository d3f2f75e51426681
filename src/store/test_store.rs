//! A request log for a test: in a file, or in a database of its own on the PostgreSQL server that `GATEWAY_TEST_STORE` names
//! (`scripts/with-postgres.sh`).

use super::{Database, Reader};
use crate::config::log_store::{LogStore, PostgresUrl};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A log that is empty at first.
pub(super) struct TestStore {
    pub store: LogStore,
    _folder: TempDir,
}

impl TestStore {
    /// In the database that the tests run with.
    pub(super) async fn new() -> Self {
        match std::env::var("GATEWAY_TEST_STORE") {
            Ok(server) => Self::on(&server).await,
            Err(_) => Self::in_file(),
        }
    }

    /// In a file.
    pub(super) fn in_file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { store: LogStore::File(folder.path().join("log.db")), _folder: folder }
    }

    /// In PostgreSQL, if there is a server for the tests: what only it does is tested with it alone.
    pub(super) async fn in_postgres() -> Option<Self> {
        match std::env::var("GATEWAY_TEST_STORE") {
            Ok(server) => Some(Self::on(&server).await),
            Err(_) => None,
        }
    }

    async fn on(server: &str) -> Self {
        let name = format!("test_{:x}", fastrand::u64(..));
        let mut connection = PgConnection::connect(server).await.expect("the server of the tests");
        // Sorted by no bytes, so that what is sorted so is sorted by its own columns' order.
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'");
        connection.execute(sql.as_str()).await.expect("a database");
        connection.close().await.expect("closed");
        let url = PostgresUrl::parse(&server.replacen("/postgres?", &format!("/{name}?"), 1)).expect("a URL");
        let folder = tempfile::tempdir().expect("a folder");
        Self { store: LogStore::Postgres(Arc::new(url)), _folder: folder }
    }

    /// Opens it to write.
    pub(super) async fn open(&self) -> Database {
        Database::open(&self.store).await.expect("opened")
    }

    /// What reads it.
    pub(super) fn reader(&self) -> Reader {
        Reader::new(&self.store)
    }

    /// Its file.
    pub(super) fn path(&self) -> PathBuf {
        self.store.file().expect("a file").to_owned()
    }
}
