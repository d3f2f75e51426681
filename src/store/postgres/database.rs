//! The database of the request log: its opening, and what is deleted from it.

use super::connections::{connect, within};
use super::insert::Inserter;
use super::partitions::{self, day_of};
use crate::config::log_store::PostgresUrl;
use crate::store::batch::BatchId;
use crate::store::retention::{MINUTES_KEPT, Retention};
use crate::store::rollup::{QUARTER, SPANS};
use gateway_core::record::RequestRecord;
use sqlx::{Connection as _, PgConnection, Row as _};
use std::sync::Arc;
use std::time::Duration;

/// How long its opening may take, with its tables brought up to date.
const OPENING: Duration = Duration::from_secs(60);
/// How long a batch may take; it is repeated on another connection then.
const WRITING: Duration = Duration::from_secs(30);
/// How long what is deleted may take.
const DELETING: Duration = Duration::from_secs(60);
/// Days before which partitions are made.
const DAYS_AHEAD: i64 = 2;
/// Rows that are deleted in one statement.
const DELETED_AT_ONCE: i64 = 5_000;
/// Such statements in one go.
const DELETIONS: usize = 10;
/// What a row of sums takes, about, and a count of times, with their indexes, in bytes.
const ROLLUP_BYTES: i64 = 468;
const LATENCY_BYTES: i64 = 210;
/// How long it is known which batches were written: no gateway repeats one after so long.
const BATCHES_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Of several gateways one deletes at a time: it has this lock.
const DELETING_LOCK: i64 = 0x6167_7764_656c;
/// And one makes costs anew.
const RECOST_LOCK: i64 = 0x6167_7763_6f73;

/// The open database, to be written.
pub(in crate::store) struct Database {
    connection: PgConnection,
    inserter: Inserter,
}

impl Database {
    /// Opens it, and brings its tables up to date.
    ///
    /// # Errors
    /// When the server cannot be reached, or what is there cannot be changed.
    pub(in crate::store) async fn open(url: &PostgresUrl) -> Result<Self, sqlx::Error> {
        let mut connection = connect(url).await?;
        let mut migrations = sqlx::migrate!("src/store/postgres/migrations");
        // A newer gateway may have added some already: the older ones go on beside it.
        migrations.set_ignore_missing(true);
        let mut inserter = Inserter::new(gateway());
        within(OPENING, "it takes too long to open", async {
            migrations.run_direct(&mut connection).await?;
            let today = day_of(time(&mut connection).await?);
            inserter.prepare(&mut connection, (today - 1).max(0)..=today + DAYS_AHEAD).await
        })
        .await?;
        Ok(Self { connection, inserter })
    }

    /// Finds out whether it can be written, without a trace.
    ///
    /// # Errors
    /// When it cannot, as in a standby.
    pub(in crate::store) async fn check_writable(&mut self) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        sqlx::query("INSERT INTO log_batches (spool, seq, at_ms) VALUES ('write check', 0, 0) ON CONFLICT DO NOTHING")
            .execute(&mut *transaction)
            .await?;
        transaction.rollback().await
    }

    /// Writes records, all or none. Those that are there already stay as they are, and count once; a batch whose number is
    /// there is not written again.
    ///
    /// # Errors
    /// When they cannot be written, or it is not known whether they are.
    pub(in crate::store) async fn insert(
        &mut self,
        records: &[Arc<RequestRecord>],
        id: Option<&BatchId>,
    ) -> Result<(), sqlx::Error> {
        let Self { connection, inserter } = self;
        within(WRITING, "it takes too long to write", inserter.insert(connection, records, id)).await
    }

    /// Deletes what is too old, or too much, by the server's clock, unless another gateway does so just now. After an error
    /// the connection must go, and with it the lock that keeps others from deleting.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(in crate::store) async fn retain(&mut self, retention: Retention) -> Result<(), sqlx::Error> {
        within(DELETING, "it takes too long to delete", async {
            let now = time(&mut self.connection).await?;
            let today = day_of(now);
            self.inserter.prepare(&mut self.connection, today..=today + DAYS_AHEAD).await?;
            let lock = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(DELETING_LOCK);
            if !lock.fetch_one(&mut self.connection).await?.try_get::<bool, _>(0)? {
                return Ok(());
            }
            self.delete(retention, now).await?;
            let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(DELETING_LOCK);
            unlock.execute(&mut self.connection).await.map(drop)
        })
        .await
    }

    async fn delete(&mut self, retention: Retention, now: i64) -> Result<(), sqlx::Error> {
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let oldest = before(retention.age);
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
        for span in SPANS {
            let age = if span < QUARTER { MINUTES_KEPT } else { retention.statistics };
            self.delete_sums(span, before(age) / 1_000).await?;
        }
        let batches = sqlx::query("DELETE FROM log_batches WHERE at_ms < $1").bind(before(BATCHES_KEPT));
        batches.execute(&mut self.connection).await?;
        let most = i64::try_from(retention.bytes.saturating_add(strays)).unwrap_or(i64::MAX);
        let beside = self.make_room_beside(most / 2, now / 1_000).await?;
        self.drop_days(oldest, most.saturating_sub(beside), now).await
    }

    /// Drops the days that are older, and then the oldest ones until those that are over take no more than this. What cannot be
    /// dropped yet, today's rows and those of days to come, does not count: it would cost all the others.
    async fn drop_days(&mut self, oldest: i64, most: i64, now: i64) -> Result<(), sqlx::Error> {
        let mut days = partitions::all(&mut self.connection).await?;
        days.retain(|day| day.ends_ms <= now);
        let mut excess = days.iter().map(|day| day.bytes).sum::<i64>().saturating_sub(most);
        for day in days {
            let is_old = day.ends_ms <= oldest;
            if !is_old && excess <= 0 {
                break;
            }
            self.inserter.forget_days();
            if let Err(error) = day.drop(&mut self.connection).await {
                // Who reads for long, as pg_dump does, mostly reads all of them: the others would be in vain too.
                log::warn!("{} of the request log is not deleted yet, it is tried again: {error}", day.name);
                break;
            }
            if !is_old {
                log::warn!("{} is deleted: the request log takes more than log.keep_size", day.name);
            }
            excess -= day.bytes;
        }
        Ok(())
    }

    /// Deletes what requests look like, but of so many, the newest, and what is older than all rows.
    async fn delete_shapes(&mut self, most: usize, oldest: i64) -> Result<u64, sqlx::Error> {
        let sql = "DELETE FROM shapes WHERE id IN (SELECT id FROM shapes ORDER BY started_ms DESC LIMIT $1 OFFSET $2) \
                   OR id IN (SELECT id FROM shapes WHERE started_ms < $3 LIMIT $1)";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let delete = sqlx::query(sql).bind(DELETED_AT_ONCE).bind(most).bind(oldest);
        Ok(delete.execute(&mut self.connection).await?.rows_affected())
    }

    /// Deletes the oldest strays, until so many bytes of them are gone, or many of them.
    async fn delete_strays(&mut self, excess: u64) -> Result<u64, sqlx::Error> {
        let sql = "WITH oldest AS (\
                       SELECT id, started_ms, SUM(stray_bytes) OVER (ORDER BY started_ms, seq) - stray_bytes AS before FROM (\
                           SELECT id, seq, started_ms, stray_bytes FROM requests WHERE stray_bytes IS NOT NULL \
                           ORDER BY started_ms, seq LIMIT $1) AS strays), \
                   chosen AS (SELECT id, started_ms FROM oldest WHERE before < $2), \
                   of_texts AS (DELETE FROM texts USING chosen \
                                WHERE texts.id = chosen.id AND texts.started_ms = chosen.started_ms), \
                   of_shapes AS (DELETE FROM shapes USING chosen WHERE shapes.id = chosen.id) \
                   DELETE FROM requests USING chosen \
                   WHERE requests.id = chosen.id AND requests.started_ms = chosen.started_ms";
        let excess = i64::try_from(excess).unwrap_or(i64::MAX);
        let delete = sqlx::query(sql).bind(DELETED_AT_ONCE).bind(excess);
        Ok(delete.execute(&mut self.connection).await?.rows_affected())
    }

    /// About how much room strays take.
    async fn bytes_of_strays(&mut self) -> Result<u64, sqlx::Error> {
        let sql = "SELECT CAST(COALESCE(SUM(stray_bytes), 0) AS BIGINT) FROM requests WHERE stray_bytes IS NOT NULL";
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// What the tables beside the days take, after the older sums went if they took more than this. Room that those left in
    /// their tables is used again, and never given back: more than this does not count.
    async fn make_room_beside(&mut self, most: i64, now_s: i64) -> Result<i64, sqlx::Error> {
        let sql = "SELECT pg_total_relation_size('rollups') + pg_total_relation_size('latencies') AS sums, \
                   pg_total_relation_size('shapes') + pg_total_relation_size('series') + pg_total_relation_size('log_batches') \
                   AS others";
        let row = sqlx::query(sql).fetch_one(&mut self.connection).await?;
        let (sums, others): (i64, i64) = (row.try_get("sums")?, row.try_get("others")?);
        if sums > most {
            self.delete_oldest_sums(most, now_s).await?;
        }
        Ok(others + sums.min(most))
    }

    /// Deletes the older half of the sums of that span which takes most, if all of them take more bytes than this. It is looked
    /// again the next time.
    async fn delete_oldest_sums(&mut self, most: i64, now_s: i64) -> Result<(), sqlx::Error> {
        let sql = "SELECT span_s, CAST(SUM(bytes) AS BIGINT) AS bytes FROM (\
                       SELECT span_s, COUNT(*) * $1 AS bytes FROM rollups GROUP BY span_s \
                       UNION ALL SELECT span_s, COUNT(*) * $2 FROM latencies GROUP BY span_s) AS sums \
                   GROUP BY span_s ORDER BY bytes DESC, span_s";
        let query = sqlx::query(sql).bind(ROLLUP_BYTES).bind(LATENCY_BYTES);
        let mut spans = Vec::new();
        for row in query.fetch_all(&mut self.connection).await? {
            spans.push((row.try_get::<i64, _>("span_s")?, row.try_get::<i64, _>("bytes")?));
        }
        if spans.iter().map(|(_, bytes)| bytes).sum::<i64>() <= most {
            return Ok(());
        }
        for (span, _) in spans {
            let range = sqlx::query("SELECT MIN(at_s), MAX(at_s) FROM rollups WHERE span_s = $1").bind(span);
            let range = range.fetch_one(&mut self.connection).await?;
            let (Some(first), Some(last)) = (range.try_get::<Option<i64>, _>(0)?, range.try_get::<Option<i64>, _>(1)?)
            else {
                continue;
            };
            // A gateway's clock may be far ahead.
            let last = last.min(now_s);
            // Where the half is none, as of one day, the next span has to give some.
            if self.delete_sums(span, last - (last - first) / 2).await? > 0 {
                log::warn!(
                    "sums over {span} s of the request log are deleted: they take more than half of log.keep_size"
                );
                break;
            }
        }
        Ok(())
    }

    /// Deletes sums and counts of a span, or many of them; how many.
    async fn delete_sums(&mut self, span: i64, before: i64) -> Result<u64, sqlx::Error> {
        let rollups = "DELETE FROM rollups WHERE ctid = ANY (ARRAY(\
                           SELECT ctid FROM rollups WHERE span_s = $1 AND at_s < $2 LIMIT $3))";
        // Series by series, so that the index leads to the old ones.
        let latencies = "DELETE FROM latencies WHERE ctid = ANY (ARRAY(\
                             SELECT old.ctid FROM (SELECT 0 AS id UNION ALL SELECT id FROM series) AS kinds \
                             CROSS JOIN LATERAL (SELECT ctid FROM latencies WHERE span_s = $1 AND series = kinds.id \
                                                 AND at_s < $2 LIMIT $3) AS old LIMIT $3))";
        let mut deleted = 0;
        for sql in [rollups, latencies] {
            for _ in 0..DELETIONS {
                let delete = sqlx::query(sql).bind(span).bind(before).bind(DELETED_AT_ONCE);
                let count = delete.execute(&mut self.connection).await?.rows_affected();
                deleted += count;
                if count < DELETED_AT_ONCE as u64 {
                    break;
                }
            }
        }
        Ok(deleted)
    }

    /// What all of it goes through.
    pub(in crate::store) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Begins what no other gateway may do at the same time: to make costs anew.
    ///
    /// # Errors
    /// When the database does not.
    pub(in crate::store) async fn begin_alone(&mut self) -> Result<sqlx::Transaction<'_, sqlx::Postgres>, sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(RECOST_LOCK).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Closes the connection in order.
    ///
    /// # Errors
    /// When it is broken.
    pub(in crate::store) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

/// The server's time, in milliseconds since 1970: one gateway whose clock is wrong must not delete what is everybody's.
async fn time(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query(&format!("SELECT {}", super::NOW)).fetch_one(connection).await?.try_get(0)
}

/// The name under which this gateway sums up: its machine's. Several of one machine may have one name.
fn gateway() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
