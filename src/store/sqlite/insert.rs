//! Records into rows, sums and counts, in one transaction.

use crate::store::columns::{COLUMNS, Value, millis, number};
use crate::store::rollup::{self, Rollup, SUMS};
use gateway_core::record::RequestRecord;
use once_cell::sync::Lazy;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection, QueryBuilder, Row, Sqlite, SqliteConnection};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Records that are inserted by one statement: each one has its price, most of all for the way to SQLite's thread.
const AT_ONCE: usize = 50;
/// The same for sums.
const SUMS_AT_ONCE: usize = 100;
/// The number in `latencies` that stands for all upstreams and models together; those in `series` begin with 1.
pub(super) const ALL_SERIES: i64 = 0;

static INSERT_ONE: Lazy<String> = Lazy::new(|| insert(1));
static INSERT_MANY: Lazy<String> = Lazy::new(|| insert(AT_ONCE));

/// A record that is there already stays as it is: what was being written at a shutdown is written once more.
fn insert(rows: usize) -> String {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.sql).collect();
    let places = format!("({})", vec!["?"; names.len()].join(","));
    format!("INSERT OR IGNORE INTO requests ({}) VALUES {}", names.join(","), vec![places; rows].join(","))
}

/// Writes records.
#[derive(Debug, Default)]
pub(super) struct Inserter {
    /// The numbers of upstreams and models in `series`.
    series: HashMap<(String, String), i64>,
}

impl Inserter {
    /// Writes records, all or none. Those that are there already stay as they are, and count once.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub(super) async fn insert(
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
        insert_shapes(&mut transaction, written).await?;
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

/// Writes down what requests look like: it is done here so that no request waits for it.
async fn insert_shapes(connection: &mut SqliteConnection, records: &[Arc<RequestRecord>]) -> Result<(), sqlx::Error> {
    let shape_of = |record: &RequestRecord| record.kept_shape().and_then(|(head, shape)| head.kept(shape));
    let shapes = records.iter().filter_map(|record| Some((record, shape_of(record)?)));
    for shapes in shapes.collect::<Vec<_>>().chunks(AT_ONCE) {
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT OR IGNORE INTO shapes (id, started_ms, shape) ");
        sql.push_values(shapes, |mut row, (record, shape)| {
            row.push_bind(&record.request_id).push_bind(millis(record.started_at)).push_bind(shape);
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn add_sums(connection: &mut SqliteConnection, rollup: &Rollup<'_>) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = rollup.sums.iter().collect();
    for rows in rows.chunks(SUMS_AT_ONCE) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO rollups (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, \
             upstream_key",
        );
        for column in rollup::COLUMNS {
            sql.push(", ").push(column);
        }
        sql.push(") ");
        sql.push_values(rows, |mut row, (key, sums)| {
            row.push_bind(key.span).push_bind(key.at).push_bind(key.upstream).push_bind(key.model);
            row.push_bind(key.path).push_bind(key.key).push_bind(key.outcome).push_bind(key.status);
            row.push_bind(key.request_class).push_bind(key.upstream_key);
            for &sum in sums.iter() {
                row.push_bind(number(sum));
            }
        });
        sql.push(" ON CONFLICT DO UPDATE SET ");
        let mut list = sql.separated(", ");
        for column in rollup::COLUMNS {
            list.push(format_args!("{column} = rollups.{column} + excluded.{column}"));
        }
        sql.build().execute(&mut *connection).await?;
    }
    debug_assert_eq!(rollup::COLUMNS.len(), SUMS);
    Ok(())
}

type Insert<'q> = Query<'q, Sqlite, SqliteArguments<'q>>;

/// Adds a record's values to a statement, in the order of the columns.
fn bind<'q>(query: Insert<'q>, record: &'q RequestRecord) -> Insert<'q> {
    COLUMNS.iter().fold(query, |query, column| match (column.value)(record) {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(number) => query.bind(number),
        Value::Real(number) => query.bind(number),
        Value::Text(Cow::Borrowed(text)) => query.bind(text),
        Value::Text(Cow::Owned(text)) => query.bind(text),
    })
}
