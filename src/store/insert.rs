//! Records into rows, sums and counts, in one transaction.

use super::database::millis;
use super::rollup::{COLUMNS, Rollup, SUMS};
use super::tried;
use gateway_core::reason::Reason;
use gateway_core::record::{Cause, PromptOutcome, RequestRecord};
use once_cell::sync::Lazy;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Records that are inserted by one statement: each one has its price, most of all for the way to SQLite's thread.
const AT_ONCE: usize = 50;
/// The same for sums.
const SUMS_AT_ONCE: usize = 100;
/// The number in `latencies` that stands for all upstreams and models together; those in `series` begin with 1.
pub const ALL_SERIES: i64 = 0;

/// The columns of a row, in the order in which [`bind`] gives their values.
const ROW: [&str; 43] = [
    "id",
    "started_ms",
    "duration_ms",
    "queue_ms",
    "connect_ms",
    "first_byte_ms",
    "first_token_ms",
    "longest_gap_ms",
    "tokens_per_second",
    "client",
    "http",
    "method",
    "path",
    "status",
    "outcome",
    "reason",
    "cause",
    "upstream",
    "attempts",
    "tried",
    "request_bytes",
    "response_bytes",
    "key_fingerprint",
    "session",
    "agent",
    "parent_agent",
    "rewrite",
    "rules",
    "model_asked",
    "model",
    "is_stream",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_nano",
    "stop_reason",
    "error_type",
    "error_message",
    "tool_uses",
    "events",
    "skipped_events",
    "stray_bytes",
];

static INSERT_ONE: Lazy<String> = Lazy::new(|| insert(1));
static INSERT_MANY: Lazy<String> = Lazy::new(|| insert(AT_ONCE));

/// A record that is there already stays as it is: what was being written at a shutdown is written once more.
fn insert(rows: usize) -> String {
    let places = format!("({})", ["?"; ROW.len()].join(","));
    format!("INSERT OR IGNORE INTO requests ({}) VALUES {}", ROW.join(","), vec![places; rows].join(","))
}

/// Writes records.
#[derive(Debug, Default)]
pub struct Inserter {
    /// The numbers of upstreams and models in `series`.
    series: HashMap<(String, String), i64>,
}

impl Inserter {
    /// Writes records, all or none. Those that are there already stay as they are, and count once.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub async fn insert(
        &mut self,
        connection: &mut SqliteConnection,
        records: &[Arc<RequestRecord>],
    ) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let written = match insert_rows(&mut transaction, records).await? {
            rows if rows == records.len() as u64 => None,
            _ => {
                // Some were there already: they are told apart by beginning anew.
                transaction.rollback().await?;
                transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
                let new = only_new(&mut transaction, records).await?;
                insert_rows(&mut transaction, &new).await?;
                Some(new)
            }
        };
        let written = written.as_deref().unwrap_or(records);
        for record in written.iter().filter(|record| record.kept_bytes() > 0) {
            insert_texts(&mut transaction, record).await?;
        }
        let rollup = Rollup::of(written.iter().map(|record| &**record));
        add_sums(&mut transaction, &rollup).await?;
        let result = self.add_latencies(&mut transaction, &rollup).await;
        let result = match result {
            Ok(()) => transaction.commit().await,
            failed => failed,
        };
        if result.is_err() {
            // Numbers that were given in a transaction that failed are no numbers.
            self.series.clear();
        }
        result
    }

    async fn add_latencies(
        &mut self,
        connection: &mut SqliteConnection,
        rollup: &Rollup<'_>,
    ) -> Result<(), sqlx::Error> {
        let mut rows = Vec::with_capacity(rollup.latencies.len());
        for ((span, series, at, bucket), counts) in &rollup.latencies {
            let series = match series {
                Some((upstream, model)) => self.series(connection, upstream, model).await?,
                None => ALL_SERIES,
            };
            rows.push((*span, *at, series, *bucket, counts));
        }
        for rows in rows.chunks(SUMS_AT_ONCE) {
            let mut sql = QueryBuilder::<Sqlite>::new(
                "INSERT INTO latencies (span_s, at_s, series, bucket, durations, first_bytes, first_tokens) ",
            );
            sql.push_values(rows, |mut row, (span, at, series, bucket, counts)| {
                row.push_bind(span).push_bind(at).push_bind(series).push_bind(bucket);
                for &count in counts.iter() {
                    row.push_bind(number(count));
                }
            });
            sql.push(" ON CONFLICT DO UPDATE SET durations = latencies.durations + excluded.durations, ");
            sql.push("first_bytes = latencies.first_bytes + excluded.first_bytes, ");
            sql.push("first_tokens = latencies.first_tokens + excluded.first_tokens");
            sql.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    async fn series(
        &mut self,
        connection: &mut SqliteConnection,
        upstream: &str,
        model: &str,
    ) -> Result<i64, sqlx::Error> {
        let key = (upstream.to_owned(), model.to_owned());
        if let Some(&id) = self.series.get(&key) {
            return Ok(id);
        }
        let insert = "INSERT INTO series (upstream, model) VALUES (?, ?) ON CONFLICT DO NOTHING";
        sqlx::query(insert).bind(upstream).bind(model).execute(&mut *connection).await?;
        let select = "SELECT id FROM series WHERE upstream = ? AND model = ?";
        let row = sqlx::query(select).bind(upstream).bind(model).fetch_one(&mut *connection).await?;
        let id = row.try_get(0)?;
        self.series.insert(key, id);
        Ok(id)
    }
}

async fn insert_rows(connection: &mut SqliteConnection, records: &[Arc<RequestRecord>]) -> Result<u64, sqlx::Error> {
    let mut written = 0;
    let (many, few) = records.as_chunks::<AT_ONCE>();
    for records in many {
        let insert = records.iter().fold(sqlx::query(&INSERT_MANY), |insert, record| bind(insert, record));
        written += insert.execute(&mut *connection).await?.rows_affected();
    }
    for record in few {
        written += bind(sqlx::query(&INSERT_ONE), record).execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

/// Those of the records that are not there yet, each once.
async fn only_new(
    connection: &mut SqliteConnection,
    records: &[Arc<RequestRecord>],
) -> Result<Vec<Arc<RequestRecord>>, sqlx::Error> {
    let mut known = HashSet::new();
    let mut new = Vec::new();
    for record in records {
        let row = sqlx::query("SELECT 1 FROM requests WHERE id = ?").bind(&record.request_id);
        if row.fetch_optional(&mut *connection).await?.is_none() && known.insert(&record.request_id) {
            new.push(Arc::clone(record));
        }
    }
    Ok(new)
}

async fn insert_texts(connection: &mut SqliteConnection, record: &RequestRecord) -> Result<(), sqlx::Error> {
    let capture = record.capture.as_deref();
    let error_body = record.error.as_ref().map(|error| error.body.as_str()).filter(|body| !body.is_empty());
    sqlx::query(
        "INSERT OR IGNORE INTO texts (id, started_ms, error_body, head, body, is_cut) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&record.request_id)
    .bind(millis(record.started_at))
    .bind(error_body)
    .bind(capture.map(|capture| &capture.head))
    .bind(capture.map(|capture| &capture.body))
    .bind(capture.is_some_and(|capture| capture.is_cut))
    .execute(connection)
    .await
    .map(drop)
}

async fn add_sums(connection: &mut SqliteConnection, rollup: &Rollup<'_>) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = rollup.sums.iter().collect();
    for rows in rows.chunks(SUMS_AT_ONCE) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO rollups (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status",
        );
        for column in COLUMNS {
            sql.push(", ").push(column);
        }
        sql.push(") ");
        sql.push_values(rows, |mut row, (key, sums)| {
            row.push_bind(key.span).push_bind(key.at).push_bind(key.upstream).push_bind(key.model);
            row.push_bind(key.path).push_bind(key.key).push_bind(key.outcome).push_bind(key.status);
            for &sum in sums.iter() {
                row.push_bind(number(sum));
            }
        });
        sql.push(" ON CONFLICT DO UPDATE SET ");
        let mut list = sql.separated(", ");
        for column in COLUMNS {
            list.push(format_args!("{column} = rollups.{column} + excluded.{column}"));
        }
        sql.build().execute(&mut *connection).await?;
    }
    debug_assert_eq!(COLUMNS.len(), SUMS);
    Ok(())
}

/// Counts as SQL knows them.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

type Insert<'q> = Query<'q, Sqlite, SqliteArguments<'q>>;

/// Adds a record's values to a statement, in the order of [`ROW`].
fn bind<'q>(query: Insert<'q>, record: &'q RequestRecord) -> Insert<'q> {
    let answer = record.answer.as_ref();
    let tokens = answer.and_then(|answer| answer.tokens);
    let time = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    query
        .bind(&record.request_id)
        .bind(millis(record.started_at))
        .bind(time(record.duration))
        .bind(record.queue.map(time))
        .bind(record.connect.map(time))
        .bind(record.first_byte.map(time))
        .bind(answer.and_then(|answer| answer.first_token).map(time))
        .bind(answer.map(|answer| time(answer.longest_gap)))
        .bind(answer.and_then(|answer| answer.tokens_per_second()))
        .bind(record.client.map(|client| client.to_string()))
        .bind(record.http)
        .bind(&record.method)
        .bind(&record.path)
        .bind(record.status)
        .bind(record.outcome.name())
        .bind(record.reason.map_or("", Reason::code))
        .bind(record.cause.map(Cause::code))
        .bind(record.upstream.as_deref())
        .bind(record.attempts)
        .bind(tried::write(record))
        .bind(number(record.request_bytes))
        .bind(number(record.response_bytes))
        .bind(&record.key)
        .bind(&record.session)
        .bind(&record.agent)
        .bind(&record.parent_agent)
        .bind(record.rewrite.map_or("", PromptOutcome::code))
        .bind(record.rules.join(","))
        .bind(&record.model_asked)
        .bind(answer.and_then(|answer| answer.model.as_deref()))
        .bind(answer.is_some_and(|answer| answer.is_stream))
        .bind(tokens.map(|tokens| number(tokens.input)))
        .bind(tokens.map(|tokens| number(tokens.output)))
        .bind(tokens.map(|tokens| number(tokens.cache_write)))
        .bind(tokens.map(|tokens| number(tokens.cache_read)))
        .bind(record.cost.map(number))
        .bind(answer.and_then(|answer| answer.stop_reason.as_deref()))
        .bind(record.error_type())
        .bind(record.error_message())
        .bind(answer.map_or(0, |answer| answer.tool_uses))
        .bind(answer.map_or(0, |answer| answer.events))
        .bind(answer.map_or(0, |answer| answer.skipped))
        .bind(record.is_stray().then(|| stray_bytes(record)))
}

/// What a row takes with its indexes, beside its texts.
const ROW_BYTES: usize = 700;

/// About how much room a stray takes.
pub fn stray_bytes(record: &RequestRecord) -> i64 {
    let message = record.error_message().map_or(0, str::len);
    let names = [&record.session, &record.agent, &record.parent_agent, &record.model_asked];
    let names: usize = names.into_iter().flatten().map(String::len).sum();
    let rules: usize = record.rules.iter().map(|rule| rule.len() + 1).sum();
    let texts = record.path.len() + message + 2 * names + rules + record.kept_bytes();
    i64::try_from(ROW_BYTES + texts).unwrap_or(i64::MAX)
}
