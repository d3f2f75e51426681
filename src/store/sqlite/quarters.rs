//! Sums by the quarter of an hour that lack requests: a process of an earlier version knows no quarters, and may have
//! written its last requests beside this one.

use crate::store::rollup::{COLUMNS, QUARTER};
use sqlx::{Connection, SqliteConnection};

/// Makes the quarters anew that the kept minutes cover, where they do not tell of as many requests.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) async fn complete(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let first = format!("SELECT (MIN(at_s) + {QUARTER} - 1) / {QUARTER} * {QUARTER} FROM rollups WHERE span_s = 60");
    let first: Option<i64> = sqlx::query_scalar(&first).fetch_one(&mut *connection).await?;
    let Some(first) = first else { return Ok(()) };
    let requests = "SELECT COALESCE(SUM(requests), 0) FROM rollups WHERE span_s = ? AND at_s >= ?";
    let by_minute: i64 = sqlx::query_scalar(requests).bind(60).bind(first).fetch_one(&mut *connection).await?;
    let by_quarter: i64 = sqlx::query_scalar(requests).bind(QUARTER).bind(first).fetch_one(&mut *connection).await?;
    if by_minute == by_quarter {
        return Ok(());
    }
    let (columns, added) = (COLUMNS.join(", "), COLUMNS.map(|column| format!("SUM({column})")).join(", "));
    let by = "upstream, model, path, key_fingerprint, outcome, status, request_class, upstream_key";
    let start = format!("at_s / {QUARTER} * {QUARTER}");
    let minutes = "WHERE span_s = 60 AND at_s >= ?";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for sql in [
        format!("DELETE FROM rollups WHERE span_s = {QUARTER} AND at_s >= ?"),
        format!(
            "INSERT INTO rollups (span_s, at_s, {by}, {columns}) SELECT {QUARTER}, {start}, {by}, {added} \
             FROM rollups {minutes} GROUP BY {start}, {by}"
        ),
        format!("DELETE FROM latencies WHERE span_s = {QUARTER} AND at_s >= ?"),
        format!(
            "INSERT INTO latencies (span_s, at_s, series, bucket, durations, first_bytes, first_tokens) \
             SELECT {QUARTER}, {start}, series, bucket, SUM(durations), SUM(first_bytes), SUM(first_tokens) \
             FROM latencies {minutes} GROUP BY {start}, series, bucket"
        ),
    ] {
        sqlx::query(&sql).bind(first).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
