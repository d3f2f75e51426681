//! Who reads the request log: lists, sums and sessions are in the files beside this one.

use crate::config::log_store::LogStore;
use crate::store::pool::Pool;
use crate::store::{postgres, sqlite};

/// Reads the request log.
#[derive(Clone, Debug)]
pub struct Reader {
    store: LogStore,
    connections: Connections,
}

/// What it reads through.
#[derive(Clone, Debug)]
enum Connections {
    Sqlite(sqlite::Connections),
    Postgres(postgres::Connections),
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
#[error("the request log cannot be read: {0}")]
pub struct ReadError(#[from] sqlx::Error);

impl Reader {
    /// A reader of this log, which is opened when something is read.
    pub fn new(store: impl Into<LogStore>) -> Self {
        let store = store.into();
        let connections = match &store {
            LogStore::File(path) => Connections::Sqlite(sqlite::Connections::to(path)),
            LogStore::Postgres(url) => Connections::Postgres(postgres::Connections::to(url.clone())),
        };
        Self { store, connections }
    }

    /// What statements are executed on.
    ///
    /// # Errors
    /// When it is not known how to get there.
    pub(super) async fn pool(&self) -> Result<Pool, sqlx::Error> {
        Ok(match &self.connections {
            Connections::Sqlite(connections) => Pool::Sqlite(connections.pool().await),
            Connections::Postgres(connections) => Pool::Postgres(connections.pool()?),
        })
    }

    /// What it reads.
    pub fn store(&self) -> &LogStore {
        &self.store
    }

    /// The log's size in bytes: that of the file with what is not yet in its place, or of all tables with their indexes, as
    /// they were known to be last.
    pub async fn bytes(&self) -> u64 {
        match &self.connections {
            Connections::Sqlite(connections) => connections.bytes(),
            Connections::Postgres(connections) => connections.bytes().await,
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
