//! Costs of rows made anew, and what that changes in the sums: a few rows at a time, all of them or none.

use super::listing::WHOLE_ROWS;
use super::text::{Row, Text};
use crate::store::columns::number;
use crate::store::costs::{Batch, Costs, Span, Tariff, Used, Wanted};
use crate::store::database::Database;
use crate::store::pool::{On, Transaction};
use crate::store::rollup::{COLUMNS, Key, QUARTER, SPANS, floor};
use gateway_core::cache_waste::without_loss;
use gateway_core::protocol::Protocol;
use gateway_core::record::{request_class, status_class};
use gateway_core::usage::pricing::NanoUsd;
use gateway_core::usage::summary::{Details, Tokens};
use once_cell::sync::Lazy;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are looked at in one go: about ten milliseconds for which others wait.
const ROWS: i64 = 500;
/// Sums that one statement is about: SQLite bounds the values of one.
const SUMS_AT_ONCE: usize = 200;
/// An hour, in seconds.
const HOUR: i64 = 3_600;
/// What the sums call models beyond those that have names of their own.
const OTHER: &str = "other";

/// A row whose cost can be made anew.
struct Old {
    seq: i64,
    started_ms: i64,
    method: String,
    path: String,
    status: u16,
    outcome: String,
    upstream: String,
    /// The fingerprint under which it is summed up.
    key: String,
    model: Option<String>,
    model_label: Option<String>,
    request_class: Option<String>,
    upstream_key: Option<String>,
    tokens: Tokens,
    details: Details,
    cost: Option<i64>,
    /// Tokens that were written to the cache although they had been there, and what that cost.
    wasted: Option<u64>,
    waste: Option<i64>,
}

/// What is to be added to a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Added {
    cost: i64,
    unpriced: i64,
}

/// What becomes of some rows.
#[derive(Default)]
struct Anew {
    batch: Batch,
    rows: Vec<Old>,
    /// The new costs, by the row's number, and what of them was waste.
    costs: Vec<(i64, Option<i64>, Option<i64>)>,
}

impl Database {
    /// The numbers of the first and the last row of a time; `None` if it has none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in crate::store) async fn rows_within(&mut self, span: Span) -> Result<Option<(i64, i64)>, sqlx::Error> {
        let mut sql = Text::new("SELECT MIN(seq), MAX(seq) FROM requests WHERE started_ms >= ");
        sql.push_bind(span.from_ms).push(" AND started_ms < ").push_bind(span.to_ms);
        let row = sql.fetch_one(self.on()).await?;
        Ok(row.try_get::<Option<i64>, _>(0)?.zip(row.try_get::<Option<i64>, _>(1)?))
    }

    /// Makes the costs of the next of these rows anew, and adds to the sums what that changes: all or none.
    ///
    /// # Errors
    /// When the file cannot be read or written; it is as it was, then.
    pub(in crate::store) async fn recost(
        &mut self,
        wanted: &Wanted<'_>,
        span: Span,
        tariff: &Tariff,
    ) -> Result<Batch, sqlx::Error> {
        // Where nothing changes, nobody has to wait.
        let seen = anew(self.on(), wanted, span, tariff).await?;
        if seen.costs.is_empty() {
            return Ok(seen.batch);
        }
        let mut transaction = self.begin_alone().await?;
        // Once more: in the meantime another process may have done the same.
        let anew = anew(&mut transaction, wanted, span, tariff).await?;
        write_costs(&mut transaction, &anew.costs).await?;
        add_to_sums(&mut transaction, &anew).await?;
        transaction.commit().await?;
        Ok(anew.batch)
    }
}

/// Reads the next rows, and makes their costs.
async fn anew(on: impl Into<On<'_>>, wanted: &Wanted<'_>, span: Span, tariff: &Tariff) -> Result<Anew, sqlx::Error> {
    let mut sql = Text::new(WHOLE_ROWS.as_str());
    sql.push(" WHERE seq BETWEEN ").push_bind(*wanted.rows.start()).push(" AND ").push_bind(*wanted.rows.end());
    let found = sql.push(" ORDER BY seq LIMIT ").push_bind(ROWS).fetch_all(on).await?;
    let mut anew = Anew::default();
    for row in &found {
        let seq = row.try_get("seq")?;
        anew.batch.last = Some(seq);
        if wanted.but.contains(&seq) {
            continue;
        }
        anew.batch.rows.insert(seq);
        let Some(old) = read(row, span)? else { continue };
        anew.batch.see(old.started_ms);
        let (cost, waste) = match tariff.cost(&old.used(&old.tokens)) {
            Costs::Now(cost) => (cost.map(number), old.waste(tariff, cost).map(number)),
            Costs::AsItDid => {
                anew.batch.leave(&old.upstream);
                (old.cost, old.waste)
            }
        };
        anew.batch.unpriced += u64::from(cost.is_none());
        if (cost, waste) != (old.cost, old.waste) {
            anew.batch.changed += 1;
            anew.costs.push((old.seq, cost, waste));
            anew.rows.push(old);
        }
    }
    Ok(anew)
}

/// A row of this time whose usage is known.
fn read(row: &Row, span: Span) -> Result<Option<Old>, sqlx::Error> {
    let started_ms: i64 = row.try_get("started_ms")?;
    let count = |name: &str| {
        let count: Option<i64> = row.try_get(name)?;
        Ok::<_, sqlx::Error>(count.map(|count| u64::try_from(count).unwrap_or_default()))
    };
    let (Some(input), true) = (count("input_tokens")?, (span.from_ms..span.to_ms).contains(&started_ms)) else {
        return Ok(None);
    };
    // As `RequestRecord::summed_key`.
    let is_summed = row.try_get::<Option<i64>, _>("stray_bytes")?.is_none()
        || row.try_get::<Option<String>, _>("token_id")?.is_some();
    let key: Option<String> = row.try_get("key_fingerprint")?;
    let model: Option<String> = row.try_get("model")?;
    let asked: Option<String> = row.try_get("model_asked")?;
    Ok(Some(Old {
        seq: row.try_get("seq")?,
        started_ms,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        status: u16::try_from(row.try_get::<i64, _>("status")?).unwrap_or_default(),
        outcome: row.try_get("outcome")?,
        upstream: row.try_get::<Option<String>, _>("upstream")?.unwrap_or_default(),
        key: key.filter(|_| is_summed).unwrap_or_default(),
        model: model.or(asked),
        model_label: row.try_get("model_label")?,
        request_class: row.try_get("request_class")?,
        upstream_key: row.try_get("upstream_key")?,
        tokens: Tokens {
            input,
            output: count("output_tokens")?.unwrap_or_default(),
            cache_write: count("cache_write_tokens")?.unwrap_or_default(),
            cache_write_1h: count("cache_write_1h_tokens")?.unwrap_or_default(),
            cache_read: count("cache_read_tokens")?.unwrap_or_default(),
        },
        details: Details {
            cache_write_5m: count("cache_write_5m_tokens")?,
            cache_write_1h: count("cache_write_1h_tokens")?,
            thinking: count("thinking_tokens")?,
            web_searches: count("web_search_requests")?,
            web_fetches: count("web_fetch_requests")?,
            service_tier: row.try_get("service_tier")?,
            inference_geo: row.try_get("inference_geo")?,
            speed: row.try_get("speed")?,
        },
        cost: row.try_get("cost_nano")?,
        wasted: count("waste_tokens")?,
        waste: row.try_get("waste_nano")?,
    }))
}

async fn write_costs(
    transaction: &mut Transaction<'_>,
    costs: &[(i64, Option<i64>, Option<i64>)],
) -> Result<(), sqlx::Error> {
    let mut sql = Text::new("WITH anew (seq, cost, waste) AS (VALUES ");
    for (index, (seq, cost, waste)) in costs.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { ", (" }).push_values([Some(*seq), *cost, *waste]).push(")");
    }
    sql.push(
        ") UPDATE requests SET cost_nano = anew.cost, waste_nano = anew.waste FROM anew WHERE requests.seq = anew.seq",
    );
    sql.execute(transaction).await
}

impl Old {
    /// What of this cost reading the cache would have saved.
    fn waste(&self, tariff: &Tariff, cost: Option<NanoUsd>) -> Option<NanoUsd> {
        let without = without_loss(&self.tokens, self.wasted?);
        match tariff.cost(&self.used(&without)) {
            Costs::Now(less) => Some(cost?.saturating_sub(less?)),
            Costs::AsItDid => None,
        }
    }

    fn used<'u>(&'u self, tokens: &'u Tokens) -> Used<'u> {
        Used {
            started_ms: self.started_ms,
            upstream: &self.upstream,
            model: self.model.as_deref(),
            tokens,
            details: &self.details,
        }
    }

    /// The sums that may have it, the likely one first, over this span. It is one; but what an earlier version wrote does not
    /// tell under which name its model was summed up, had no class, and may be of a time before there were quarters: all of
    /// an hour was made its first one then (migration 7).
    fn sums(&self, span: i64) -> Vec<Key<'_>> {
        let (own, started) = (self.model.as_deref().unwrap_or_default(), self.started_ms / 1_000);
        let (models, class) = match self.model_label.as_deref() {
            Some(label) => {
                let model = if label.is_empty() { own } else { label };
                (vec![model], request_class::label(self.request_class.as_deref()))
            }
            None => (vec![own, OTHER], ""),
        };
        let mut begins = vec![floor(started, span)];
        if self.model_label.is_none() && span == QUARTER {
            begins.push(floor(started, HOUR));
        }
        let path = Protocol::of(&self.method, self.path.as_bytes()).endpoint().name();
        let key = |at: i64, model| Key {
            span,
            at,
            upstream: &self.upstream,
            model,
            path,
            key: &self.key,
            outcome: &self.outcome,
            status: status_class(self.status),
            request_class: class,
            upstream_key: self.upstream_key.as_deref().unwrap_or_default(),
        };
        begins.iter().flat_map(|at| models.iter().map(|model| key(*at, *model))).collect()
    }
}

/// Adds what the new costs change to the sums of each span that are there: those by the minute go after some days.
async fn add_to_sums(transaction: &mut Transaction<'_>, anew: &Anew) -> Result<(), sqlx::Error> {
    let mut wanted = Vec::with_capacity(anew.rows.len() * SPANS.len());
    for (old, (_, cost, _)) in anew.rows.iter().zip(&anew.costs) {
        let added = Added {
            cost: cost.unwrap_or_default() - old.cost.unwrap_or_default(),
            unpriced: i64::from(cost.is_none()) - i64::from(old.cost.is_none()),
        };
        wanted.extend(SPANS.into_iter().map(|span| (old.sums(span), added)));
    }
    let candidates: BTreeSet<&Key<'_>> = wanted.iter().flat_map(|(sums, _)| sums).collect();
    let candidates: Vec<&Key<'_>> = candidates.into_iter().collect();
    let mut there = BTreeSet::new();
    for some in candidates.chunks(SUMS_AT_ONCE) {
        there.extend(present(transaction, some).await?);
    }
    let mut sums: BTreeMap<&Key<'_>, Added> = BTreeMap::new();
    for (candidates, added) in &wanted {
        if let Some(sum) = candidates.iter().find(|sum| there.contains(sum)) {
            let sum = sums.entry(sum).or_default();
            sum.cost += added.cost;
            sum.unpriced += added.unpriced;
        }
    }
    let changes: Vec<_> = sums.into_iter().filter(|(_, added)| *added != Added::default()).collect();
    for some in changes.chunks(SUMS_AT_ONCE) {
        let mut sql = with_sums(some.iter().map(|(key, added)| (*key, [added.cost, added.unpriced])));
        sql.push_each(CHANGE_SUMS.as_str(), ADD_CHANGES.as_str());
        sql.execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Those of some sums that there are.
async fn present<'k>(transaction: &mut Transaction<'_>, some: &[&'k Key<'k>]) -> Result<Vec<&'k Key<'k>>, sqlx::Error> {
    let mut sql = with_sums(some.iter().zip(0..).map(|(key, number)| (*key, [number, 0])));
    sql.push(" SELECT wanted.a FROM wanted CROSS JOIN rollups WHERE ").push(IS_WANTED);
    let rows = sql.fetch_all(transaction).await?;
    let found = |row: &Row| Ok(some[row.try_get::<i64, _>(0)? as usize]);
    rows.iter().map(found).collect()
}

/// The beginning of a statement about these sums, each with two numbers `a` and `b`.
fn with_sums<'k>(sums: impl Iterator<Item = (&'k Key<'k>, [i64; 2])>) -> Text {
    let mut sql = Text::new(format!("WITH wanted ({KEYS}, a, b) AS (VALUES "));
    for (index, (key, numbers)) in sums.enumerate() {
        sql.push(if index == 0 { "(" } else { ", (" }).push_values([key.span, key.at]).push(", ");
        sql.push_values(key.names()).push(", ").push_values(numbers).push(")");
    }
    sql.push(")");
    sql
}

/// Changes the sums that there are.
static CHANGE_SUMS: Lazy<String> = Lazy::new(|| {
    format!(
        " UPDATE rollups SET cost_nano = rollups.cost_nano + wanted.a, unpriced = rollups.unpriced + wanted.b FROM wanted \
         WHERE {IS_WANTED}"
    )
});

/// Adds what changes to the sums of no gateway: in PostgreSQL those of one are its own, and it goes on adding to them.
static ADD_CHANGES: Lazy<String> = Lazy::new(|| {
    let values = COLUMNS.map(|column| match column {
        "cost_nano" => "a",
        "unpriced" => "b",
        _ => "0",
    });
    format!(
        " INSERT INTO rollups ({KEYS}, gateway, {}) SELECT {KEYS}, '', {} FROM wanted ON CONFLICT ({KEYS}, gateway) DO UPDATE \
         SET cost_nano = rollups.cost_nano + excluded.cost_nano, unpriced = rollups.unpriced + excluded.unpriced",
        COLUMNS.join(", "),
        values.join(", "),
    )
});

const KEYS: &str = "span_s, at_s, upstream, model, path, key_fingerprint, outcome, status, request_class, upstream_key";
const IS_WANTED: &str = "rollups.span_s = wanted.span_s AND rollups.at_s = wanted.at_s \
    AND rollups.upstream = wanted.upstream AND rollups.model = wanted.model AND rollups.path = wanted.path \
    AND rollups.key_fingerprint = wanted.key_fingerprint AND rollups.outcome = wanted.outcome \
    AND rollups.status = wanted.status AND rollups.request_class = wanted.request_class \
    AND rollups.upstream_key = wanted.upstream_key";

#[cfg(test)]
#[path = "recost_tests.rs"]
mod tests;
