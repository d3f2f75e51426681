//! Records into rows, sums and counts, in one transaction.

use super::copy_text::CopyText;
use super::partitions::{self, day_of};
use crate::store::batch::BatchId;
use crate::store::beside::{Texts, shapes_of};
use crate::store::columns::{COLUMNS, Value, millis, number};
use crate::store::rollup::{self, ALL_SERIES, Rollup};
use gateway_core::record::RequestRecord;
use once_cell::sync::Lazy;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Connection as _, PgConnection, Postgres, Row as _};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

static COPY_ROWS: Lazy<String> = Lazy::new(|| {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.sql).collect();
    format!("COPY requests ({}) FROM STDIN", names.join(", "))
});
const COPY_TEXTS: &str = "COPY texts (id, started_ms, error_body, head, body, is_cut) FROM STDIN";
const INSERT_SHAPES: &str = "INSERT INTO shapes (id, started_ms, shape) \
    SELECT * FROM UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[]) ON CONFLICT DO NOTHING";
static NOTE_BATCH: Lazy<String> = Lazy::new(|| {
    format!("INSERT INTO log_batches (spool, seq, at_ms) VALUES ($1, $2, {}) ON CONFLICT DO NOTHING", super::NOW)
});
const MAKE_SERIES: &str = "INSERT INTO series (upstream, model) SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]) \
    ON CONFLICT DO NOTHING";
const FIND_SERIES: &str = "SELECT id, upstream, model FROM series \
    WHERE (upstream, model) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";
/// The names in the keys of sums.
const NAMES: [&str; 8] =
    ["upstream", "model", "path", "key_fingerprint", "outcome", "status", "request_class", "upstream_key"];

/// Adds sums in the order of their keys: gateways with one name that add to the same ones never wait for each other in a circle.
static ADD_SUMS: Lazy<String> = Lazy::new(|| {
    let (keys, sums) = (["span_s", "at_s"].iter().chain(&NAMES), rollup::COLUMNS);
    let keys = keys.copied().chain(["gateway"]).collect::<Vec<_>>().join(", ");
    let types = std::iter::repeat_n("BIGINT", 2).chain(std::iter::repeat_n("TEXT", NAMES.len()));
    let types = types.chain(std::iter::repeat_n("BIGINT", sums.len()));
    let arrays: Vec<_> = (2..).zip(types).map(|(place, kind)| format!("${place}::{kind}[]")).collect();
    let values = ["span_s", "at_s"].iter().chain(&NAMES).chain(&sums).copied().collect::<Vec<_>>().join(", ");
    let added = sums.map(|column| format!("{column} = rollups.{column} + excluded.{column}"));
    format!(
        "INSERT INTO rollups ({values}, gateway) SELECT {values}, $1 FROM UNNEST({}) AS added ({values}) \
         ON CONFLICT ({keys}) DO UPDATE SET {}",
        arrays.join(", "),
        added.join(", "),
    )
});
const ADD_LATENCIES: &str = "INSERT INTO latencies (span_s, at_s, series, bucket, durations, first_bytes, first_tokens, gateway) \
    SELECT span_s, at_s, series, bucket, durations, first_bytes, first_tokens, $1 FROM UNNEST($2::BIGINT[], $3::BIGINT[], \
    $4::BIGINT[], $5::BIGINT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[]) \
    AS added (span_s, at_s, series, bucket, durations, first_bytes, first_tokens) \
    ON CONFLICT (span_s, series, at_s, bucket, gateway) DO UPDATE SET durations = latencies.durations + excluded.durations, \
    first_bytes = latencies.first_bytes + excluded.first_bytes, first_tokens = latencies.first_tokens + excluded.first_tokens";

/// Writes records.
#[derive(Debug)]
pub(super) struct Inserter {
    /// The name under which this gateway sums up.
    gateway: String,
    /// The numbers of upstreams and models in `series`.
    series: HashMap<(String, String), i64>,
    /// Days whose partitions are there.
    days: BTreeSet<i64>,
}

impl Inserter {
    /// For the gateway of this name.
    pub(super) fn new(gateway: String) -> Self {
        Self { gateway, series: HashMap::new(), days: BTreeSet::new() }
    }

    /// Makes the partitions of these days, if they are not there.
    ///
    /// # Errors
    /// When the database does not.
    pub(super) async fn prepare(
        &mut self,
        connection: &mut PgConnection,
        days: impl Iterator<Item = i64>,
    ) -> Result<(), sqlx::Error> {
        let new: BTreeSet<i64> = days.filter(|day| !self.days.contains(day)).collect();
        partitions::make(connection, &new).await?;
        self.days.extend(new);
        Ok(())
    }

    /// Forgets which partitions are there: some were dropped.
    pub(super) fn forget_days(&mut self) {
        self.days.clear();
    }

    /// Writes records, all or none. Those that are there already stay as they are, and count once.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) async fn insert(
        &mut self,
        connection: &mut PgConnection,
        records: &[Arc<RequestRecord>],
        id: Option<&BatchId>,
    ) -> Result<(), sqlx::Error> {
        let records: Vec<_> = records.iter().map(storable).collect();
        self.prepare(connection, records.iter().map(|record| day_of(millis(record.started_at)))).await?;
        self.make_series(connection, &records).await?;
        match self.try_insert(connection, &records, id).await {
            Err(error) if is_there_already(&error) => {
                let new = new_ones(connection, &records).await?;
                self.try_insert(connection, &new, id).await
            }
            // Perhaps another gateway dropped a partition that was there.
            Err(error) => {
                self.forget_days();
                Err(error)
            }
            done => done,
        }
    }

    async fn try_insert(
        &self,
        connection: &mut PgConnection,
        records: &[Arc<RequestRecord>],
        id: Option<&BatchId>,
    ) -> Result<(), sqlx::Error> {
        let shapes = shapes_of(records);
        let rollup = Rollup::of(records.iter().map(|record| &**record));
        let mut transaction = connection.begin().await?;
        if let Some(BatchId { spool, seq }) = id {
            let note = sqlx::query(&NOTE_BATCH).bind(spool).bind(seq);
            if note.execute(&mut *transaction).await?.rows_affected() == 0 {
                return transaction.rollback().await;
            }
        }
        copy(&mut transaction, &COPY_ROWS, rows(records)).await?;
        copy(&mut transaction, COPY_TEXTS, texts(records)).await?;
        if !shapes.is_empty() {
            let (mut ids, mut times, mut texts) = (Vec::new(), Vec::new(), Vec::new());
            for (record, shape) in shapes {
                ids.push(record.request_id.as_str());
                times.push(millis(record.started_at));
                texts.push(shape.replace('\0', "\u{fffd}"));
            }
            sqlx::query(INSERT_SHAPES).bind(ids).bind(times).bind(texts).execute(&mut *transaction).await?;
        }
        self.sums(&rollup).execute(&mut *transaction).await?;
        self.latencies(&rollup).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    /// Finds the numbers of upstreams and models, and makes those that are not there. It is done before the transaction: others
    /// that need the same ones would wait for its end.
    async fn make_series(
        &mut self,
        connection: &mut PgConnection,
        records: &[Arc<RequestRecord>],
    ) -> Result<(), sqlx::Error> {
        let name = |record: &Arc<RequestRecord>| {
            (record.upstream.as_deref().unwrap_or_default().to_owned(), String::from(&*record.labels.model))
        };
        let new: BTreeSet<_> = records.iter().map(name).filter(|name| !self.series.contains_key(name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let (upstreams, models): (Vec<String>, Vec<String>) = new.into_iter().unzip();
        sqlx::query(MAKE_SERIES).bind(&upstreams).bind(&models).execute(&mut *connection).await?;
        for row in sqlx::query(FIND_SERIES).bind(&upstreams).bind(&models).fetch_all(connection).await? {
            self.series.insert((row.try_get("upstream")?, row.try_get("model")?), row.try_get("id")?);
        }
        Ok(())
    }

    fn sums<'q>(&'q self, rollup: &Rollup<'q>) -> Query<'q, Postgres, PgArguments> {
        let keys = || rollup.sums.keys();
        let mut query = sqlx::query(&ADD_SUMS).bind(&self.gateway);
        query = query.bind(keys().map(|key| key.span).collect::<Vec<_>>());
        query = query.bind(keys().map(|key| key.at).collect::<Vec<_>>());
        for place in 0..NAMES.len() {
            query = query.bind(keys().map(|key| key.names()[place]).collect::<Vec<_>>());
        }
        for place in 0..rollup::SUMS {
            query = query.bind(rollup.sums.values().map(|sums| number(sums[place])).collect::<Vec<_>>());
        }
        query
    }

    fn latencies<'q>(&'q self, rollup: &Rollup<'q>) -> Query<'q, Postgres, PgArguments> {
        let mut columns: [Vec<i64>; 7] = Default::default();
        for ((span, series, at, bucket), counts) in &rollup.latencies {
            let known = |(upstream, model): &(&str, &str)| {
                self.series.get(&((*upstream).to_owned(), (*model).to_owned())).copied()
            };
            let series = series.as_ref().map_or(Some(ALL_SERIES), known);
            // All of them were made just now.
            let Some(series) = series else { continue };
            let [durations, first_bytes, first_tokens] = counts.map(number);
            let values = [*span, *at, series, *bucket, durations, first_bytes, first_tokens];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        columns.into_iter().fold(sqlx::query(ADD_LATENCIES).bind(&self.gateway), Query::bind)
    }
}

/// A record as PostgreSQL takes it: two names in the keys of sums would be one without the zero bytes that it has no texts with.
fn storable(record: &Arc<RequestRecord>) -> Arc<RequestRecord> {
    let has_zero = |text: &str| text.contains('\0');
    if !has_zero(&record.labels.model) && !record.upstream.as_deref().is_some_and(has_zero) {
        return Arc::clone(record);
    }
    let mut record = RequestRecord::clone(record);
    record.labels.model = record.labels.model.replace('\0', "\u{fffd}").into();
    record.upstream = record.upstream.map(|upstream| upstream.replace('\0', "\u{fffd}").into());
    Arc::new(record)
}

/// Those of some records that are not there yet, each once.
async fn new_ones(
    connection: &mut PgConnection,
    records: &[Arc<RequestRecord>],
) -> Result<Vec<Arc<RequestRecord>>, sqlx::Error> {
    let ids: Vec<&str> = records.iter().map(|record| record.request_id.as_str()).collect();
    let there = sqlx::query("SELECT id FROM requests WHERE id = ANY ($1)").bind(ids).fetch_all(connection).await?;
    let mut seen: HashSet<String> = there.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(records.iter().filter(|record| seen.insert(record.request_id.clone())).cloned().collect())
}

/// Whether a row is there that was to be written: `unique_violation`.
fn is_there_already(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("23505")
}

fn rows(records: &[Arc<RequestRecord>]) -> CopyText {
    let mut rows = CopyText::default();
    for record in records {
        COLUMNS.iter().for_each(|column| rows.add(&(column.value)(record)));
        rows.end_row();
    }
    rows
}

fn texts(records: &[Arc<RequestRecord>]) -> CopyText {
    let mut rows = CopyText::default();
    for (record, texts) in records.iter().filter_map(|record| Some((record, Texts::of(record)?))) {
        rows.add(&(&record.request_id).into());
        rows.add(&millis(record.started_at).into());
        [texts.error_body, texts.head, texts.body].into_iter().for_each(|text| rows.add(&text.into()));
        rows.add(&Value::from(if texts.is_cut { "t" } else { "f" }));
        rows.end_row();
    }
    rows
}

async fn copy(connection: &mut PgConnection, statement: &str, rows: CopyText) -> Result<(), sqlx::Error> {
    let rows = rows.into_bytes();
    if rows.is_empty() {
        return Ok(());
    }
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(rows).await?;
    copy.finish().await.map(drop)
}
