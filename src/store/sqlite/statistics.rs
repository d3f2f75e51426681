//! Statistics from the sums: of a time as a whole, by steps, and by group.

use super::fingerprint::has_fingerprint;
use super::insert::ALL_SERIES;
use super::reader::{ReadError, Reader};
use crate::store::figures::{Group, Percentiles, Series, Summary, ThreeTimes, Totals, group, point, share};
use crate::store::key_groups;
use crate::store::rollup::{COLUMNS, Piece, SUMS, Sums, cover};
use crate::store::row::count;
use crate::store::statistics::{By, Span, StatsFilter, Steps};
use gateway_core::record::Outcome;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::collections::{BTreeMap, HashMap};

/// The classes of statuses.
const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

fn add_times(times: &mut ThreeTimes, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let bucket = row.try_get("bucket")?;
    for (times, column) in times.iter_mut().zip(["durations", "first_bytes", "first_tokens"]) {
        times.add(bucket, count(row.try_get(column)?));
    }
    Ok(())
}

fn sums_of(row: &SqliteRow) -> Result<Sums, sqlx::Error> {
    let mut sums = [0; SUMS];
    for (sum, column) in sums.iter_mut().zip(COLUMNS) {
        *sum = count(row.try_get(column)?);
    }
    Ok(sums)
}

fn push_sums(sql: &mut QueryBuilder<'_, Sqlite>) {
    for column in COLUMNS {
        sql.push(format_args!(", SUM({column}) AS {column}"));
    }
}

const TIMES: &str = ", SUM(durations) AS durations, SUM(first_bytes) AS first_bytes, SUM(first_tokens) AS first_tokens";

/// Sums, or counts of times of these series.
pub(super) fn within(sql: &mut QueryBuilder<'_, Sqlite>, pieces: &[Piece], series: Option<&[i64]>) {
    // Only conditions on the columns of the index, so that SQLite takes each of them from there.
    sql.push(if pieces.is_empty() { " WHERE (1 = 0" } else { " WHERE (" });
    for (index, piece) in pieces.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " OR (" });
        sql.push("span_s = ").push_bind(piece.span);
        if let Some(series) = series {
            sql.push(" AND series IN (");
            let mut list = sql.separated(", ");
            for id in series {
                list.push_bind(*id);
            }
            sql.push(")");
        }
        sql.push(" AND at_s >= ").push_bind(piece.time.start);
        sql.push(" AND at_s < ").push_bind(piece.time.end).push(")");
    }
    sql.push(")");
}

/// The condition that a filter is, behind others.
fn write(filter: &StatsFilter, sql: &mut QueryBuilder<'_, Sqlite>) {
    let columns = [
        ("model", &filter.model),
        ("upstream", &filter.upstream),
        ("path", &filter.path),
        ("request_class", &filter.request_class),
        ("upstream_key", &filter.upstream_key),
    ];
    for (column, value) in columns {
        if let Some(value) = value {
            sql.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    if let Some(key) = &filter.key {
        sql.push(" AND ");
        has_fingerprint(sql, "key_fingerprint", std::slice::from_ref(key));
    }
}

/// The column that requests are grouped by.
fn column(by: By) -> &'static str {
    match by {
        By::Key => "key_fingerprint",
        other => other.name(),
    }
}

impl Reader {
    /// A time as a whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn summary(&self, span: &Span, filter: &StatsFilter) -> Result<Summary, ReadError> {
        let pieces = cover(span.time.clone(), span.finest);
        let mut sql = QueryBuilder::new("SELECT outcome, status");
        push_sums(&mut sql);
        sql.push(" FROM rollups");
        within(&mut sql, &pieces, None);
        write(filter, &mut sql);
        sql.push(" GROUP BY outcome, status");
        let mut totals = Totals::default();
        let mut statuses: BTreeMap<&str, u64> = STATUSES.iter().map(|status| (*status, 0)).collect();
        for row in sql.build().fetch_all(&self.pool().await).await? {
            let sums = sums_of(&row)?;
            totals.add(row.try_get("outcome")?, &sums);
            if let Some(status) = statuses.get_mut(row.try_get::<&str, _>("status")?) {
                *status += sums[0];
            }
        }
        let times = self.times(&pieces, filter).await?;
        let times = |which: usize| times.as_ref().map(|times| &times[which]);
        let tokens = totals.tokens();
        Ok(Summary {
            from_ms: span.millis().0,
            to_ms: span.millis().1,
            requests: totals.sum("requests"),
            success_rate: totals.success_rate(),
            outcomes: Outcome::ALL.into_iter().map(|outcome| (outcome.name(), totals.of(outcome))).collect(),
            statuses,
            tokens,
            cache_hit_rate: share(tokens.cache_read, tokens.input + tokens.cache_write + tokens.cache_read),
            cost_usd: totals.cost(),
            unpriced_requests: totals.sum("unpriced"),
            estimated_requests: totals.sum("estimated"),
            estimated_output_tokens: totals.sum("estimated_output_tokens"),
            request_bytes: totals.sum("request_bytes"),
            response_bytes: totals.sum("response_bytes"),
            attempts: totals.sum("attempts"),
            tool_uses: totals.sum("tool_uses"),
            duration_ms: Percentiles::new(totals.sum("requests"), totals.sum("duration_ms"), times(0)),
            first_byte_ms: Percentiles::new(totals.sum("first_bytes"), totals.sum("first_byte_ms"), times(1)),
            first_token_ms: Percentiles::new(totals.sum("first_tokens"), totals.sum("first_token_ms"), times(2)),
        })
    }

    /// The series of times that a filter asks for: each by itself, or the one of all.
    async fn series_of(&self, filter: &StatsFilter) -> Result<Vec<i64>, ReadError> {
        if filter.model.is_none() && filter.upstream.is_none() {
            return Ok(vec![ALL_SERIES]);
        }
        Ok(self.named_series(filter).await?.into_iter().map(|(id, ..)| id).collect())
    }

    /// The series of times with their upstream and model.
    async fn named_series(&self, filter: &StatsFilter) -> Result<Vec<(i64, String, String)>, ReadError> {
        let rows = sqlx::query("SELECT id, upstream, model FROM series").fetch_all(&self.pool().await).await?;
        let mut named = Vec::new();
        for row in rows {
            let (upstream, model): (String, String) = (row.try_get("upstream")?, row.try_get("model")?);
            let is_wanted = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
            if is_wanted(&filter.upstream, &upstream) && is_wanted(&filter.model, &model) {
                named.push((row.try_get("id")?, upstream, model));
            }
        }
        Ok(named)
    }

    async fn times(&self, pieces: &[Piece], filter: &StatsFilter) -> Result<Option<ThreeTimes>, ReadError> {
        if !filter.has_times() {
            return Ok(None);
        }
        let series = self.series_of(filter).await?;
        let mut sql = QueryBuilder::new("SELECT bucket");
        sql.push(TIMES).push(" FROM latencies");
        within(&mut sql, pieces, Some(&series));
        sql.push(" GROUP BY bucket");
        let mut times = ThreeTimes::default();
        for row in sql.build().fetch_all(&self.pool().await).await? {
            add_times(&mut times, &row)?;
        }
        Ok(Some(times))
    }

    /// A time by steps of so many milliseconds; `None` if that is no whole number of minutes (or of quarters of an hour, where
    /// those by the minute are gone), or would be too many points.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn series(&self, span: &Span, step_ms: i64, filter: &StatsFilter) -> Result<Option<Series>, ReadError> {
        let step = step_ms / 1_000;
        if step_ms <= 0 || step_ms % 60_000 != 0 {
            return Ok(None);
        }
        let Some(Steps { time, count, pieces }) = span.steps(step) else { return Ok(None) };
        let place = format!("(at_s - {}) / {step}", time.start);
        let mut sql = QueryBuilder::new("SELECT outcome");
        sql.push(format_args!(", {place} AS step"));
        push_sums(&mut sql);
        sql.push(" FROM rollups");
        within(&mut sql, &pieces, None);
        write(filter, &mut sql);
        sql.push(" GROUP BY step, outcome");
        let mut totals = vec![Totals::default(); usize::try_from(count).unwrap_or_default()];
        for row in sql.build().fetch_all(&self.pool().await).await? {
            if let Some(totals) = totals.get_mut(row.try_get::<i64, _>("step")? as usize) {
                totals.add(row.try_get("outcome")?, &sums_of(&row)?);
            }
        }
        let mut times = vec![ThreeTimes::default(); totals.len()];
        if filter.has_times() {
            let series = self.series_of(filter).await?;
            let mut sql = QueryBuilder::new("SELECT bucket");
            sql.push(format_args!(", {place} AS step{TIMES} FROM latencies"));
            within(&mut sql, &pieces, Some(&series));
            sql.push(" GROUP BY step, bucket");
            for row in sql.build().fetch_all(&self.pool().await).await? {
                if let Some(times) = times.get_mut(row.try_get::<i64, _>("step")? as usize) {
                    add_times(times, &row)?;
                }
            }
        }
        let at = |index: usize| (time.start + index as i64 * step) * 1_000;
        let points =
            totals.iter().zip(&times).enumerate().map(|(index, (totals, times))| point(at(index), totals, times));
        Ok(Some(Series { from_ms: time.start * 1_000, to_ms: time.end * 1_000, step_ms, points: points.collect() }))
    }

    /// A time by group, those with most requests first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn groups(
        &self,
        span: &Span,
        by: By,
        filter: &StatsFilter,
        limit: usize,
    ) -> Result<Vec<Group>, ReadError> {
        let pieces = cover(span.time.clone(), span.finest);
        let mut sql = QueryBuilder::new("SELECT outcome, ");
        sql.push(column(by)).push(" AS name");
        push_sums(&mut sql);
        sql.push(" FROM rollups");
        within(&mut sql, &pieces, None);
        write(filter, &mut sql);
        sql.push(" GROUP BY name, outcome");
        let mut groups: BTreeMap<String, Totals> = BTreeMap::new();
        for row in sql.build().fetch_all(&self.pool().await).await? {
            groups.entry(row.try_get("name")?).or_default().add(row.try_get("outcome")?, &sums_of(&row)?);
        }
        if by == By::Key {
            key_groups::join(&mut groups);
        }
        let mut times: HashMap<String, ThreeTimes> = HashMap::new();
        let has_times = by.has_times() && filter.has_times();
        if has_times {
            let named = self.named_series(filter).await?;
            let ids: Vec<i64> = named.iter().map(|(id, ..)| *id).collect();
            let mut sql = QueryBuilder::new("SELECT series, bucket");
            sql.push(TIMES).push(" FROM latencies");
            within(&mut sql, &pieces, Some(&ids));
            sql.push(" GROUP BY series, bucket");
            for row in sql.build().fetch_all(&self.pool().await).await? {
                let id: i64 = row.try_get("series")?;
                let Some((_, upstream, model)) = named.iter().find(|(named, ..)| *named == id) else { continue };
                let name = if by == By::Model { model } else { upstream };
                add_times(times.entry(name.clone()).or_default(), &row)?;
            }
        }
        let mut groups: Vec<Group> = groups
            .into_iter()
            .map(|(name, totals)| {
                let times = times.get(&name).filter(|_| has_times);
                group(name, &totals, times)
            })
            .collect();
        groups.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.name.cmp(&b.name)));
        groups.truncate(limit);
        Ok(groups)
    }
}
