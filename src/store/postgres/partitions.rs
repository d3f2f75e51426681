//! Partitions by the day: made before they are needed, and dropped as a whole.

use sqlx::{Connection as _, PgConnection, Row as _};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// A day, in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;
/// The tables that have them.
const TABLES: [&str; 2] = ["requests", "texts"];
/// Who makes some has this lock meanwhile.
const LOCK: i64 = 0x6167_7770_6172;

/// The day of a time, both since 1970.
pub(super) fn day_of(started_ms: i64) -> i64 {
    started_ms.div_euclid(DAY_MS)
}

/// What a day's partition is called.
fn name(table: &str, day: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(day).unwrap_or_default().saturating_mul(86_400));
    let mut date = String::new();
    // A date that takes more than four digits for the year is none to it.
    match write!(date, "{}", humantime::format_rfc3339_seconds(at)) {
        Ok(()) => format!("{table}_{}", date[..10].replace('-', "")),
        Err(_) => format!("{table}_day{day}"),
    }
}

/// Makes the partitions of these days that are not there.
///
/// # Errors
/// When the database does not.
pub(super) async fn make(connection: &mut PgConnection, days: &BTreeSet<i64>) -> Result<(), sqlx::Error> {
    for day in days {
        let mut transaction = connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
        for table in TABLES {
            let name = name(table, *day);
            let there = sqlx::query("SELECT to_regclass($1) IS NOT NULL").bind(&name).fetch_one(&mut *transaction);
            if there.await?.try_get(0)? {
                continue;
            }
            // Made by itself and attached: who reads and writes in the meantime waits for neither.
            let (from, to) = (day.saturating_mul(DAY_MS), (day + 1).saturating_mul(DAY_MS));
            for sql in [
                format!("CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"),
                format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"),
            ] {
                sqlx::query(&sql).execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// A partition that is there.
#[derive(Debug)]
pub(super) struct Partition {
    /// Its name, as SQL takes it.
    pub name: String,
    /// Its end, in milliseconds since 1970.
    pub ends_ms: i64,
    /// What it takes, with its indexes.
    pub bytes: i64,
}

/// All that there are, the oldest first.
///
/// # Errors
/// When the database does not tell.
pub(super) async fn all(connection: &mut PgConnection) -> Result<Vec<Partition>, sqlx::Error> {
    let sql = "SELECT CAST(CAST(oid AS REGCLASS) AS TEXT) AS name, pg_total_relation_size(oid) AS bytes, \
               CAST(SUBSTRING(pg_get_expr(relpartbound, oid) FROM 'TO \\(''?(-?[0-9]+)') AS BIGINT) AS ends_ms \
               FROM pg_class WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = ANY ($1::REGCLASS[])) \
               ORDER BY ends_ms, name";
    let tables: Vec<String> = TABLES.map(str::to_owned).to_vec();
    let rows = sqlx::query(sql).bind(tables).fetch_all(connection).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let ends_ms: Option<i64> = row.try_get("ends_ms")?;
        let (name, bytes) = (row.try_get("name")?, row.try_get("bytes")?);
        // One without an end was made by somebody else, and has what is of no day.
        Ok(Partition { name, bytes, ends_ms: ends_ms.unwrap_or(i64::MAX) })
    };
    rows.iter().map(read).collect()
}

impl Partition {
    /// Drops it with all that is in it. Who writes waits as long as that waits for others: not for long.
    ///
    /// # Errors
    /// When somebody reads it just now, or the database does not.
    pub(super) async fn drop(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin().await?;
        sqlx::query("SET LOCAL lock_timeout = '200ms'").execute(&mut *transaction).await?;
        sqlx::query(&format!("DROP TABLE IF EXISTS {}", self.name)).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_by_its_date() {
        assert_eq!(name("requests", day_of(1_764_374_400_000)), "requests_20251129");
        assert_eq!(
            (name("texts", 0).as_str(), name("texts", 9_000_000).as_str()),
            ("texts_19700101", "texts_day9000000")
        );
        assert_eq!((day_of(DAY_MS - 1), day_of(DAY_MS)), (0, 1));
    }
}
