//! The request log as it is written: in whichever database.

use super::batch::BatchId;
use super::pool::{On, Transaction};
use super::retention::Retention;
use super::sqlite::{Rows, WriteError};
use super::{postgres, sqlite};
use crate::config::log_store::LogStore;
use gateway_core::record::RequestRecord;
use sqlx::Connection as _;
use std::sync::Arc;
use std::time::SystemTime;

/// The open database, to be written.
pub struct Database(Kind);

enum Kind {
    Sqlite(Box<sqlite::Database>),
    Postgres(Box<postgres::Database>),
}

impl Database {
    /// Opens it, makes it if it is a file that is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be opened or written.
    pub async fn open(store: impl Into<LogStore>) -> Result<Self, sqlx::Error> {
        Ok(Self(match store.into() {
            LogStore::File(path) => Kind::Sqlite(Box::new(sqlite::Database::open(&path).await?)),
            LogStore::Postgres(url) => Kind::Postgres(Box::new(postgres::Database::open(&url).await?)),
        }))
    }

    /// Finds out whether it can be written, without a trace.
    ///
    /// # Errors
    /// When it cannot, as on a full disk.
    pub async fn check_writable(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.0 {
            Kind::Sqlite(database) => database.check_writable().await,
            Kind::Postgres(database) => database.check_writable().await,
        }
    }

    /// Writes records, all or none. Those that are there already stay as they are, and count once.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub async fn insert(&mut self, records: &[Arc<RequestRecord>]) -> Result<(), WriteError> {
        self.insert_batch(records, None).await
    }

    /// The same with a batch that has a number: one that was written already is not written again, whatever became of its rows.
    ///
    /// # Errors
    /// When they cannot be written; whether they are is not known where the connection broke meanwhile.
    pub(super) async fn insert_batch(
        &mut self,
        records: &[Arc<RequestRecord>],
        id: Option<&BatchId>,
    ) -> Result<(), WriteError> {
        match &mut self.0 {
            // Here rows that are there are enough to know.
            Kind::Sqlite(database) => database.insert(records).await,
            Kind::Postgres(database) => Ok(database.insert(records, id).await?),
        }
    }

    /// Deletes what is too old, or too much; a server does so by its own clock.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn retain(&mut self, retention: Retention, now: SystemTime) -> Result<(), sqlx::Error> {
        match &mut self.0 {
            Kind::Sqlite(database) => database.retain(retention, now).await,
            Kind::Postgres(database) => database.retain(retention).await,
        }
    }

    /// Whether what is open is still what is at its place.
    pub(super) fn is_in_place(&self) -> bool {
        match &self.0 {
            Kind::Sqlite(database) => database.is_in_place(),
            Kind::Postgres(_) => true,
        }
    }

    /// Puts the rows of a file that was deleted into a new one at its path; one that was only moved keeps them.
    ///
    /// # Errors
    /// When the new file cannot be written; the old one is open as before.
    pub(super) async fn bring_back(&mut self) -> Result<Option<Rows>, sqlx::Error> {
        match &mut self.0 {
            Kind::Sqlite(database) => database.bring_back().await.map(Some),
            Kind::Postgres(_) => Ok(None),
        }
    }

    /// What a statement is executed on.
    pub(super) fn on(&mut self) -> On<'_> {
        match &mut self.0 {
            Kind::Sqlite(database) => database.connection().into(),
            Kind::Postgres(database) => database.connection().into(),
        }
    }

    /// Begins what no other process may do at the same time.
    ///
    /// # Errors
    /// When the database does not.
    pub(super) async fn begin_alone(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Ok(match &mut self.0 {
            Kind::Sqlite(database) => Transaction::Sqlite(database.connection().begin_with("BEGIN IMMEDIATE").await?),
            Kind::Postgres(database) => Transaction::Postgres(database.begin_alone().await?),
        })
    }

    /// Closes it in order.
    ///
    /// # Errors
    /// When what was written cannot be settled.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Kind::Sqlite(database) => database.close().await,
            Kind::Postgres(database) => database.close().await,
        }
    }
}
