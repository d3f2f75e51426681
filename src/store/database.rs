//! The SQL of the request log, all in one place.

use crate::record::RequestRecord;
use once_cell::sync::Lazy;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, Sqlite, SqliteConnection};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long another program may hold the file before writing fails, to be tried again.
const BUSY: Duration = Duration::from_secs(2);
/// Rows that are deleted in one statement, so that readers and the writer are not kept waiting.
const DELETED_AT_ONCE: i64 = 5_000;

/// A record that is there already stays as it is: what was being written at a shutdown is written once more.
const INSERT: &str = "INSERT OR IGNORE INTO requests (id, started_ms, duration_ms, first_byte_ms, first_token_ms, \
    longest_gap_ms, client, http, method, path, status, outcome, reason, upstream, attempts, request_bytes, \
    response_bytes, key_fingerprint, session, rewrite, model, is_stream, input_tokens, output_tokens, \
    cache_write_tokens, cache_read_tokens, stop_reason, stream_error, tool_uses, events) VALUES ";
/// The place of one record in it.
const VALUES: &str = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
/// Records that are inserted by one statement: each one has its price, most of all for the way to SQLite's thread.
const AT_ONCE: usize = 50;

static INSERT_ONE: Lazy<String> = Lazy::new(|| format!("{INSERT}{VALUES}"));
static INSERT_MANY: Lazy<String> = Lazy::new(|| format!("{INSERT}{}", [VALUES; AT_ONCE].join(",")));

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows that are older go.
    pub age: Duration,
    /// Bytes of the file; beyond them the oldest rows go.
    pub bytes: u64,
}

/// The open file.
pub struct Database {
    connection: SqliteConnection,
}

impl Database {
    /// Opens the file, makes it if it is not there, and brings its tables up to date. A file that is damaged, or no
    /// database at all, is moved aside.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        match Self::try_open(path).await {
            Err(error) if is_damaged(&error) => {
                let aside = aside(path);
                log::error!("{} is damaged ({error}): it is moved to {}", path.display(), aside.display());
                std::fs::rename(path, &aside)?;
                for suffix in ["-wal", "-shm"] {
                    // These are no use without the file that they belong to.
                    let _ = std::fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix));
                }
                Self::try_open(path).await
            }
            opened => opened,
        }
    }

    async fn try_open(path: &Path) -> Result<Self, sqlx::Error> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        sqlx::migrate!("src/store/migrations").run_direct(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Writes records, all or none.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub async fn insert(&mut self, records: &[RequestRecord]) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        let (many, few) = records.as_chunks::<AT_ONCE>();
        for records in many {
            records.iter().fold(sqlx::query(&INSERT_MANY), bind).execute(&mut *transaction).await?;
        }
        for record in few {
            bind(sqlx::query(&INSERT_ONE), record).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Deletes what is too old, or too much.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn retain(&mut self, retention: Retention, now: SystemTime) -> Result<(), sqlx::Error> {
        let oldest = millis(now).saturating_sub(i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX));
        while self.delete_until("started_ms < ?", oldest).await? == DELETED_AT_ONCE as u64 {}
        while self.bytes().await? > retention.bytes {
            if self.delete_until("? > 0", 1).await? == 0 {
                break;
            }
            sqlx::query("PRAGMA incremental_vacuum").execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn delete_until(&mut self, condition: &str, value: i64) -> Result<u64, sqlx::Error> {
        let sql = format!(
            "DELETE FROM requests WHERE seq IN (SELECT seq FROM requests WHERE {condition} ORDER BY seq LIMIT ?)"
        );
        let deleted = sqlx::query(&sql).bind(value).bind(DELETED_AT_ONCE).execute(&mut self.connection).await?;
        Ok(deleted.rows_affected())
    }

    /// Bytes in use, in the file and not yet in it.
    async fn bytes(&mut self) -> Result<u64, sqlx::Error> {
        let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, \
                   pragma_page_size";
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// Closes the file in order.
    ///
    /// # Errors
    /// When what was written cannot be settled.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

type Insert<'q> = Query<'q, Sqlite, SqliteArguments<'q>>;

/// Adds a record's values to a statement.
fn bind<'q>(query: Insert<'q>, record: &'q RequestRecord) -> Insert<'q> {
    let answer = record.answer.as_ref();
    let tokens = answer.and_then(|answer| answer.tokens);
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let time = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    query
        .bind(&record.request_id)
        .bind(millis(record.started_at))
        .bind(time(record.duration))
        .bind(record.first_byte.map(time))
        .bind(answer.and_then(|answer| answer.first_token).map(time))
        .bind(answer.map(|answer| time(answer.longest_gap)))
        .bind(record.client.map(|client| client.to_string()))
        .bind(record.http)
        .bind(&record.method)
        .bind(&record.path)
        .bind(record.status)
        .bind(record.outcome.name())
        .bind(record.reason)
        .bind(record.upstream.as_deref())
        .bind(record.attempts)
        .bind(count(record.request_bytes))
        .bind(count(record.response_bytes))
        .bind(&record.key)
        .bind(&record.session)
        .bind(record.rewrite)
        .bind(answer.and_then(|answer| answer.model.as_deref()))
        .bind(answer.is_some_and(|answer| answer.is_stream))
        .bind(tokens.map(|tokens| count(tokens.input)))
        .bind(tokens.map(|tokens| count(tokens.output)))
        .bind(tokens.map(|tokens| count(tokens.cache_write)))
        .bind(tokens.map(|tokens| count(tokens.cache_read)))
        .bind(answer.and_then(|answer| answer.stop_reason.as_deref()))
        .bind(answer.and_then(|answer| answer.error.as_deref()))
        .bind(answer.map_or(0, |answer| answer.tool_uses))
        .bind(answer.map_or(0, |answer| answer.events))
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Whether the file itself is the matter: `SQLITE_CORRUPT`, `SQLITE_NOTADB`.
fn is_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // Extended codes have the kind in their last eight bits.
    let kind = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    matches!(kind, Some(11 | 26))
}

fn aside(path: &Path) -> PathBuf {
    with_suffix(path, &format!(".damaged-{}", millis(SystemTime::now())))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
