//! The file of the request log: its opening, and what is deleted from it.

use super::WriteError;
use super::insert::Inserter;
use super::place::{NewFile, Place, Rows, destination, make_folder, with_suffix};
use super::quarters;
use crate::store::columns::millis;
use crate::store::retention::{MINUTES_KEPT, Retention};
use crate::store::rollup::{QUARTER, SPANS};
use gateway_core::record::RequestRecord;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long another program may hold the file before writing fails, to be tried again.
const BUSY: Duration = Duration::from_secs(2);
/// Rows that are deleted in one statement, so that readers and the writer are not kept waiting.
const DELETED_AT_ONCE: i64 = 5_000;
/// Such statements in one go.
const DELETIONS: usize = 10;
/// Of sums that are too many this part stays, the newest: one in so many.
const NEWEST_SHARE: i64 = 8;
/// What is kept of requests beside their rows, and goes with them.
const BESIDE_ROWS: [&str; 2] = ["texts", "shapes"];
/// A span that earlier versions had sums of, in seconds.
const TEN_MINUTES: i64 = 600;
/// What a row of sums takes, about, and a count of times, in bytes.
const ROLLUP_BYTES: i64 = 160;
const LATENCY_BYTES: i64 = 24;

/// The open file, to be written.
pub(in crate::store) struct Database {
    connection: SqliteConnection,
    inserter: Inserter,
    place: Place,
}

impl Database {
    /// Opens the file, makes it if it is not there, and brings its tables up to date. A file that is damaged, or no
    /// database at all, is moved aside.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub(in crate::store) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
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
        let target = destination(path);
        if let Some(folder) = target.parent() {
            make_folder(folder)?;
        }
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            return Err(sqlx::Error::Io(std::io::Error::other("it is there, and is no file")));
        }
        if !path.exists() {
            // Made as a whole: who reads meanwhile would find some of the tables, and some of their columns.
            let new = NewFile::beside(&target)?;
            Self::connect(&new.beside).await?.close().await?;
            new.put()?;
        }
        if is_foreign(path).await {
            let why = "it is another program's database, in which nothing is written";
            return Err(sqlx::Error::Io(std::io::Error::other(why)));
        }
        keep_from_others(path)?;
        Self::connect(path).await
    }

    /// Opens a file that is there, and brings its tables up to date.
    async fn connect(path: &Path) -> Result<Self, sqlx::Error> {
        let mut place = Place::of(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        let mut migrations = sqlx::migrate!("src/store/sqlite/migrations");
        // A newer process may have added some already: while it takes over, the old one still writes its last rows.
        migrations.set_ignore_missing(true);
        migrations.run_direct(&mut connection).await?;
        quarters::complete(&mut connection).await?;
        place.note_beside()?;
        Ok(Self { connection, inserter: Inserter::new(path, BUSY), place })
    }

    /// Finds out whether the file can grow, without a trace.
    ///
    /// # Errors
    /// When it cannot, as on a full disk.
    pub(in crate::store) async fn check_writable(&mut self) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        sqlx::query("CREATE TABLE write_check (bytes BLOB)").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO write_check VALUES (zeroblob(65536))").execute(&mut *transaction).await?;
        sqlx::query("DROP TABLE write_check").execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Writes records, all or none. Those that are there already stay as they are, and count once.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub(in crate::store) async fn insert(&mut self, records: &[Arc<RequestRecord>]) -> Result<(), WriteError> {
        self.inserter.insert(records).await
    }

    /// Deletes what is too old, or too much.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(in crate::store) async fn retain(&mut self, retention: Retention, now: SystemTime) -> Result<(), sqlx::Error> {
        let before = |age: Duration| millis(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let oldest = before(retention.age);
        quarters::complete(&mut self.connection).await?;
        // The rest has to wait for the next time: so have the records that come in the meantime.
        for _ in 0..DELETIONS {
            if self.delete_requests("started_ms < ?", oldest).await? < DELETED_AT_ONCE as u64 {
                break;
            }
        }
        for _ in 0..DELETIONS {
            if self.delete_shapes(retention.shapes, oldest).await? < DELETED_AT_ONCE as u64 {
                break;
            }
        }
        let mut strays = self.bytes_of_strays().await?;
        for _ in 0..DELETIONS {
            if strays <= retention.stray_bytes || self.delete_strays(strays - retention.stray_bytes).await? == 0 {
                break;
            }
            strays = self.bytes_of_strays().await?;
        }
        for span in SPANS.into_iter().chain([TEN_MINUTES]) {
            let age = if span < QUARTER { MINUTES_KEPT } else { retention.statistics };
            self.delete_sums(span, before(age) / 1_000).await?;
        }
        for _ in 0..DELETIONS {
            if self.bytes().await?.saturating_sub(strays) <= retention.bytes {
                break;
            }
            // Sums that take more than their share go first: rows alone would not make room then.
            let are_sums = self.delete_oldest_sums(retention.bytes / 2).await?;
            if !are_sums && self.delete_requests("? > 0 AND stray_bytes IS NULL", 1).await? == 0 {
                break;
            }
            sqlx::query("PRAGMA incremental_vacuum").execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Deletes rows with this condition, the oldest first, and their texts.
    async fn delete_requests(&mut self, condition: &str, value: i64) -> Result<u64, sqlx::Error> {
        let chosen = format!("SELECT seq FROM requests WHERE {condition} ORDER BY started_ms, seq LIMIT ?");
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for table in BESIDE_ROWS {
            let beside = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM requests WHERE seq IN ({chosen}))");
            sqlx::query(&beside).bind(value).bind(DELETED_AT_ONCE).execute(&mut *transaction).await?;
        }
        let rows = format!("DELETE FROM requests WHERE seq IN ({chosen})");
        let deleted = sqlx::query(&rows).bind(value).bind(DELETED_AT_ONCE).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes what requests look like, but of so many, the newest, and what is older than all rows: an earlier version deletes
    /// rows alone.
    async fn delete_shapes(&mut self, most: usize, oldest: i64) -> Result<u64, sqlx::Error> {
        let sql = "DELETE FROM shapes WHERE id IN (SELECT id FROM shapes ORDER BY started_ms DESC LIMIT ? OFFSET ?) \
                   OR id IN (SELECT id FROM shapes WHERE started_ms < ? LIMIT ?)";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let delete = sqlx::query(sql).bind(DELETED_AT_ONCE).bind(most).bind(oldest).bind(DELETED_AT_ONCE);
        Ok(delete.execute(&mut self.connection).await?.rows_affected())
    }

    /// Deletes the oldest strays, until so many bytes of them are gone, or many of them.
    async fn delete_strays(&mut self, excess: u64) -> Result<u64, sqlx::Error> {
        let chosen = "SELECT seq FROM (\
                          SELECT seq, SUM(stray_bytes) OVER (ORDER BY started_ms, seq) - stray_bytes AS before FROM (\
                              SELECT seq, started_ms, stray_bytes FROM requests WHERE stray_bytes IS NOT NULL \
                              ORDER BY started_ms, seq LIMIT ?)) \
                      WHERE before < ?";
        let excess = i64::try_from(excess).unwrap_or(i64::MAX);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for table in BESIDE_ROWS {
            let beside = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM requests WHERE seq IN ({chosen}))");
            sqlx::query(&beside).bind(DELETED_AT_ONCE).bind(excess).execute(&mut *transaction).await?;
        }
        let rows = format!("DELETE FROM requests WHERE seq IN ({chosen})");
        let deleted = sqlx::query(&rows).bind(DELETED_AT_ONCE).bind(excess).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected())
    }

    /// About how much room strays take.
    async fn bytes_of_strays(&mut self) -> Result<u64, sqlx::Error> {
        let sql = "SELECT COALESCE(SUM(stray_bytes), 0) FROM requests WHERE stray_bytes IS NOT NULL";
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// Deletes the older part of sums, the finest first, until all of them take no more bytes than this; whether any went.
    async fn delete_oldest_sums(&mut self, most: u64) -> Result<bool, sqlx::Error> {
        let mut deleted = false;
        for span in SPANS.into_iter().rev() {
            if self.bytes_of_sums().await? <= most {
                break;
            }
            let range = sqlx::query("SELECT MIN(at_s), MAX(at_s) FROM rollups WHERE span_s = ?").bind(span);
            let range = range.fetch_one(&mut self.connection).await?;
            if let (Some(first), Some(last)) =
                (range.try_get::<Option<i64>, _>(0)?, range.try_get::<Option<i64>, _>(1)?)
                && first < last
            {
                self.delete_sums(span, last - (last - first) / NEWEST_SHARE).await?;
                deleted = true;
            }
        }
        if deleted {
            log::warn!("the sums of the request log took more than half of its room: the oldest ones are deleted");
        }
        Ok(deleted)
    }

    /// About how much room the sums take.
    async fn bytes_of_sums(&mut self) -> Result<u64, sqlx::Error> {
        let sql = "SELECT (SELECT COUNT(*) FROM rollups) * ? + (SELECT COUNT(*) FROM latencies) * ?";
        let row = sqlx::query(sql).bind(ROLLUP_BYTES).bind(LATENCY_BYTES).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    async fn delete_sums(&mut self, span: i64, before: i64) -> Result<(), sqlx::Error> {
        let rollups = "DELETE FROM rollups WHERE span_s = ? AND at_s < ?";
        // Series by series, so that the index leads to the old ones.
        let latencies = "DELETE FROM latencies WHERE span_s = ? AND at_s < ? \
                         AND series IN (SELECT 0 UNION ALL SELECT id FROM series)";
        for sql in [rollups, latencies] {
            sqlx::query(sql).bind(span).bind(before).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Bytes in use, in the file and not yet in it.
    async fn bytes(&mut self) -> Result<u64, sqlx::Error> {
        let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, \
                   pragma_page_size";
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// Whether the open file is still the one at its path.
    pub(in crate::store) fn is_in_place(&self) -> bool {
        self.place.is_taken()
    }

    /// Puts the rows of a file that was deleted into a new one at its path; one that was only moved keeps them.
    ///
    /// # Errors
    /// When the new file cannot be written; the old one is open as before.
    pub(in crate::store) async fn bring_back(&mut self) -> Result<Rows, sqlx::Error> {
        self.inserter.close();
        self.place.bring_back(&mut self.connection).await
    }

    /// What all of it goes through.
    pub(in crate::store) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Closes the file in order.
    ///
    /// # Errors
    /// When what was written cannot be settled.
    pub(in crate::store) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

/// Whether a file is another program's: it has tables, and none that says how far ours are up to date. Nothing of it is
/// changed, not even how it is written.
async fn is_foreign(path: &Path) -> bool {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY);
    // What is wrong with it otherwise, its opening tells.
    let Ok(mut connection) = options.disable_statement_logging().connect().await else { return false };
    let sql = "SELECT COUNT(*) > 0 AND SUM(name = '_sqlx_migrations') = 0 FROM sqlite_master \
               WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let found = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
    let _ = connection.close().await;
    found.unwrap_or(false)
}

/// Makes the file, or closes it to everybody: it may hold whole prompts. What SQLite puts beside it is as open as the
/// file. A file that is there is not opened: closing it would release the locks of this process's connections to it.
fn keep_from_others(path: &Path) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made.map(drop),
    }
    // Versions before this let all read it.
    let mode = path.metadata()?.permissions().mode();
    if mode & 0o007 != 0
        && let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o770))
    {
        log::warn!("{} can be read by everybody on this machine: {error}", path.display());
    }
    Ok(())
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

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
