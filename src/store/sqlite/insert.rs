//! Records into rows, sums and counts, in one transaction.
//!
//! They have a connection and a thread of their own: a statement that hops to another thread costs more than the row that it
//! writes.

use super::WriteError;
use crate::store::beside::{Texts, shapes_of};
use crate::store::columns::{COLUMNS, Value, millis, number};
use crate::store::rollup::{self, ALL_SERIES, Rollup, SUMS};
use gateway_core::record::RequestRecord;
use once_cell::sync::Lazy;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, Transaction, TransactionBehavior, params};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A record that is there already stays as it is: what was being written at a shutdown is written once more.
static INSERT_ROW: Lazy<String> = Lazy::new(|| {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.sql).collect();
    format!("INSERT OR IGNORE INTO requests ({}) VALUES ({})", names.join(","), vec!["?"; names.len()].join(","))
});
const INSERT_TEXTS: &str =
    "INSERT OR IGNORE INTO texts (id, started_ms, error_body, head, body, is_cut) VALUES (?, ?, ?, ?, ?, ?)";
const INSERT_SHAPE: &str = "INSERT OR IGNORE INTO shapes (id, started_ms, shape) VALUES (?, ?, ?)";
static ADD_SUMS: Lazy<String> = Lazy::new(|| {
    let columns = rollup::COLUMNS;
    let added = columns.map(|column| format!("{column} = rollups.{column} + excluded.{column}"));
    format!(
        "INSERT INTO rollups (span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, \
         upstream_key, {}) VALUES ({}) ON CONFLICT DO UPDATE SET {}",
        columns.join(", "),
        vec!["?"; 10 + SUMS].join(","),
        added.join(", "),
    )
});
const ADD_LATENCIES: &str = "INSERT INTO latencies (span_s, at_s, series, bucket, durations, first_bytes, first_tokens) \
     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET durations = latencies.durations + excluded.durations, \
     first_bytes = latencies.first_bytes + excluded.first_bytes, \
     first_tokens = latencies.first_tokens + excluded.first_tokens";

/// Writes records.
#[derive(Debug)]
pub(super) struct Inserter {
    path: PathBuf,
    /// How long another program may hold the file.
    busy: Duration,
    /// None while records are being written, and once that was given up.
    open: Option<Open>,
}

/// What records are written through.
#[derive(Debug)]
struct Open {
    connection: Connection,
    /// The numbers of upstreams and models in `series`.
    series: HashMap<(String, String), i64>,
}

impl Inserter {
    /// For the file at this path, which is there, with all tables.
    pub(super) fn new(path: &Path, busy: Duration) -> Self {
        Self { path: path.to_owned(), busy, open: None }
    }

    /// Writes records, all or none. Those that are there already stay as they are, and count once. Who gives up waiting does
    /// not know whether they were written.
    ///
    /// # Errors
    /// When they cannot be written; they are not, then.
    pub(super) async fn insert(&mut self, records: &[Arc<RequestRecord>]) -> Result<(), WriteError> {
        let open = self.open.take();
        let (path, busy, records) = (self.path.clone(), self.busy, records.to_vec());
        let written = tokio::task::spawn_blocking(move || {
            let mut open = match open {
                Some(open) => open,
                None => Open::at(&path, busy)?,
            };
            // What failed may be the connection's matter.
            open.insert(&records).map(|()| open)
        });
        self.open = Some(written.await.map_err(std::io::Error::other)??);
        Ok(())
    }

    /// Closes the file; the next records open it again.
    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

impl Open {
    fn at(path: &Path, busy: Duration) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self { connection, series: HashMap::new() })
    }

    fn insert(&mut self, records: &[Arc<RequestRecord>]) -> rusqlite::Result<()> {
        let shapes = shapes_of(records);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let written = insert_rows(&transaction, records)?;
        for record in &written {
            if let Some(texts) = Texts::of(record) {
                insert_texts(&transaction, record, &texts)?;
            }
        }
        insert_shapes(&transaction, &shapes)?;
        let rollup = Rollup::of(written.into_iter());
        add_sums(&transaction, &rollup)?;
        add_latencies(&transaction, &rollup, &mut self.series)?;
        transaction.commit()
    }
}

/// Writes the rows of those that are not there yet; returns which.
fn insert_rows<'r>(
    transaction: &Transaction<'_>,
    records: &'r [Arc<RequestRecord>],
) -> rusqlite::Result<Vec<&'r RequestRecord>> {
    let mut insert = transaction.prepare_cached(&INSERT_ROW)?;
    let mut written = Vec::with_capacity(records.len());
    for record in records {
        insert.clear_bindings();
        for (place, column) in (1..).zip(COLUMNS) {
            let value = (column.value)(record);
            // Most of them are, and that is what they are bound to without being told.
            if value != Value::Null {
                insert.raw_bind_parameter(place, value)?;
            }
        }
        if insert.raw_execute()? == 1 {
            written.push(&**record);
        }
    }
    Ok(written)
}

fn insert_texts(transaction: &Transaction<'_>, record: &RequestRecord, texts: &Texts<'_>) -> rusqlite::Result<()> {
    let Texts { error_body, head, body, is_cut } = texts;
    let mut insert = transaction.prepare_cached(INSERT_TEXTS)?;
    insert.execute(params![record.request_id, millis(record.started_at), error_body, head, body, is_cut]).map(drop)
}

fn insert_shapes(transaction: &Transaction<'_>, shapes: &[(&RequestRecord, String)]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(INSERT_SHAPE)?;
    for (record, shape) in shapes {
        insert.execute(params![record.request_id, millis(record.started_at), shape])?;
    }
    Ok(())
}

fn add_sums(transaction: &Transaction<'_>, rollup: &Rollup<'_>) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(&ADD_SUMS)?;
    for (key, sums) in &rollup.sums {
        let names = key.names().into_iter().map(Value::from);
        let values = [key.span, key.at].into_iter().map(Value::from).chain(names);
        let values = values.chain(sums.iter().map(|sum| Value::from(*sum)));
        for (place, value) in (1..).zip(values) {
            add.raw_bind_parameter(place, value)?;
        }
        add.raw_execute()?;
    }
    Ok(())
}

fn add_latencies(
    transaction: &Transaction<'_>,
    rollup: &Rollup<'_>,
    known: &mut HashMap<(String, String), i64>,
) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(ADD_LATENCIES)?;
    for ((span, series, at, bucket), counts) in &rollup.latencies {
        let series = match series {
            Some((upstream, model)) => series_of(transaction, known, upstream, model)?,
            None => ALL_SERIES,
        };
        let [durations, first_bytes, first_tokens] = counts.map(number);
        add.execute(params![span, at, series, bucket, durations, first_bytes, first_tokens])?;
    }
    Ok(())
}

fn series_of(
    transaction: &Transaction<'_>,
    known: &mut HashMap<(String, String), i64>,
    upstream: &str,
    model: &str,
) -> rusqlite::Result<i64> {
    let key = (upstream.to_owned(), model.to_owned());
    if let Some(&id) = known.get(&key) {
        return Ok(id);
    }
    let insert = "INSERT INTO series (upstream, model) VALUES (?, ?) ON CONFLICT DO NOTHING";
    transaction.execute(insert, params![upstream, model])?;
    let select = "SELECT id FROM series WHERE upstream = ? AND model = ?";
    let id = transaction.query_row(select, params![upstream, model], |row| row.get(0))?;
    known.insert(key, id);
    Ok(id)
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => Null.to_sql(),
            Self::Integer(number) => number.to_sql(),
            Self::Real(number) => number.to_sql(),
            Self::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
        }
    }
}
