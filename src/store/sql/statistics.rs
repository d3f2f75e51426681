//! Statistics from the sums: of a time as a whole, by steps, and by group.

use super::made_of::{MadeOf, within};
use super::reader::{ReadError, Reader};
use super::text::{Row, Text};
use crate::store::figures::{
    GroupPoints, Grouped, Groups, Percentiles, Series, Summary, ThreeTimes, Totals, group, point,
};
use crate::store::key_groups;
use crate::store::rollup::{ALL_SERIES, COLUMNS, Piece, SUMS, Sums, cover};
use crate::store::row::{TokenCounts, cost_of, count};
use crate::store::statistics::{By, GroupedBy, GroupsBy, Span, StatsFilter, Steps};
use gateway_core::record::Outcome;
use std::collections::{BTreeMap, HashMap};

/// The classes of statuses.
const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

fn add_times(times: &mut ThreeTimes, row: &Row) -> Result<(), sqlx::Error> {
    let bucket = row.try_get("bucket")?;
    for (times, column) in times.iter_mut().zip(["durations", "first_bytes", "first_tokens"]) {
        times.add(bucket, count(row.try_get(column)?));
    }
    Ok(())
}

fn sums_of(row: &Row) -> Result<Sums, sqlx::Error> {
    let mut sums = [0; SUMS];
    for (sum, column) in sums.iter_mut().zip(COLUMNS) {
        *sum = count(row.try_get(column)?);
    }
    Ok(sums)
}

const TIMES: &str = ", CAST(SUM(durations) AS BIGINT) AS durations, CAST(SUM(first_bytes) AS BIGINT) AS first_bytes, \
                     CAST(SUM(first_tokens) AS BIGINT) AS first_tokens";

/// The sums that tell what requests cost, if anything is known of it.
const COSTS: [&str; 6] =
    ["cost_nano", "unpriced", "input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens"];

/// What those say.
fn cost_in(row: &Row) -> Result<Option<f64>, sqlx::Error> {
    let [cost, unpriced, input, output, cache_write, cache_read] = COSTS;
    let sum = |column| row.try_get(column).map(count);
    let tokens = TokenCounts {
        input: sum(input)?,
        output: sum(output)?,
        cache_write: sum(cache_write)?,
        cache_read: sum(cache_read)?,
    };
    Ok(cost_of(sum(cost)?, sum(unpriced)?, tokens))
}

/// How the requests of a row of groups ended.
fn outcomes_of(row: &Row) -> Result<[u64; Outcome::ALL.len()], sqlx::Error> {
    let mut outcomes = [0; Outcome::ALL.len()];
    for outcome in Outcome::ALL {
        outcomes[outcome.index()] = count(row.try_get(outcome.name())?);
    }
    Ok(outcomes)
}

/// A group that was found.
struct Found {
    name: String,
    /// The half of its fingerprint under which older sums of it are.
    half: Option<String>,
    totals: Totals,
}

/// The dearest groups of a series, by the names that they have in the table.
struct Dearest {
    /// Each as it is shown, and what else it is there.
    names: Vec<(String, Option<String>)>,
}

impl Dearest {
    /// The place of a row's group among them; after all of them if it is none.
    fn push_place(&self, column: &str, sql: &mut Text) {
        // A `CASE` without a `WHEN` is no SQL.
        if self.names.is_empty() {
            sql.push("CAST(0 AS BIGINT)");
            return;
        }
        sql.push("CAST(CASE");
        for (place, (name, other)) in self.names.iter().enumerate() {
            sql.push(" WHEN ").push(column).push(" IN (").push_bind(name.clone());
            if let Some(other) = other {
                sql.push(", ").push_bind(other.clone());
            }
            sql.push(format_args!(") THEN {place}"));
        }
        sql.push(format_args!(" ELSE {} END AS BIGINT)", self.names.len()));
    }
}

impl Reader {
    /// A time as a whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn summary(&self, span: &Span, filter: &StatsFilter) -> Result<Summary, ReadError> {
        let pieces = cover(span.time.clone(), span.finest);
        let made_of = MadeOf::new(span, pieces.clone(), None, filter);
        let mut sql = Text::new("SELECT outcome, ");
        sql.push(made_of.status()).push(" AS status_class");
        made_of.push_sums(&mut sql);
        made_of.push_from(&mut sql, filter);
        sql.push(" GROUP BY outcome, status_class");
        let mut totals = Totals::default();
        let mut statuses: BTreeMap<&str, u64> = STATUSES.iter().map(|status| (*status, 0)).collect();
        for row in sql.fetch_all(&self.pool().await?).await? {
            let sums = sums_of(&row)?;
            totals.add(row.try_get("outcome")?, &sums);
            if let Some(status) = statuses.get_mut(row.try_get::<&str, _>("status_class")?) {
                *status += sums[0];
            }
        }
        let times = match made_of.has_times() {
            true => self.times(&pieces, filter).await?,
            false => None,
        };
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
            cache_hit_rate: totals.cache_hit_rate(),
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
            rows_from_ms: self.rows_from(&made_of).await?,
        })
    }

    /// The begin of what is kept of rows, where something is made of these.
    async fn rows_from(&self, made_of: &MadeOf) -> Result<Option<i64>, ReadError> {
        let MadeOf::Rows(_) = made_of else { return Ok(None) };
        // Those that anybody can send have bounds of their own.
        let sql = "SELECT started_ms FROM requests WHERE stray_bytes IS NULL ORDER BY started_ms LIMIT 1";
        let found = Text::new(sql).fetch_optional(&self.pool().await?).await?;
        Ok(found.map(|row| row.try_get(0)).transpose()?)
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
        let rows = Text::new("SELECT id, upstream, model FROM series").fetch_all(&self.pool().await?).await?;
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
        let mut sql = Text::new("SELECT bucket");
        sql.push(TIMES).push(" FROM latencies");
        within(&mut sql, pieces, Some(&series));
        sql.push(" GROUP BY bucket");
        let mut times = ThreeTimes::default();
        for row in sql.fetch_all(&self.pool().await?).await? {
            add_times(&mut times, &row)?;
        }
        Ok(Some(times))
    }

    /// A time by steps of so many milliseconds, and what the dearest groups cost in each; `None` if that is no whole number of
    /// minutes (or of quarters of an hour, where those by the minute are gone), or would be too many points.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn series(
        &self,
        span: &Span,
        step_ms: i64,
        filter: &StatsFilter,
        grouped: Option<GroupedBy>,
    ) -> Result<Option<Series>, ReadError> {
        let step = step_ms / 1_000;
        if step_ms <= 0 || step_ms % 60_000 != 0 {
            return Ok(None);
        }
        let Some(steps) = span.steps(step) else { return Ok(None) };
        let Steps { time, count, pieces } = &steps;
        let made_of = MadeOf::new(span, pieces.clone(), None, filter);
        let place = format!("({} - {}) / {step}", made_of.at_s(), time.start);
        let mut sql = Text::new("SELECT outcome");
        sql.push(format_args!(", {place} AS step"));
        made_of.push_sums(&mut sql);
        made_of.push_from(&mut sql, filter);
        sql.push(" GROUP BY step, outcome");
        let mut totals = vec![Totals::default(); usize::try_from(*count).unwrap_or_default()];
        for row in sql.fetch_all(&self.pool().await?).await? {
            if let Some(totals) = totals.get_mut(row.try_get::<i64, _>("step")? as usize) {
                totals.add(row.try_get("outcome")?, &sums_of(&row)?);
            }
        }
        let mut times = vec![ThreeTimes::default(); totals.len()];
        if filter.has_times() && made_of.has_times() {
            let series = self.series_of(filter).await?;
            let mut sql = Text::new("SELECT bucket");
            sql.push(format_args!(", {place} AS step{TIMES} FROM latencies"));
            within(&mut sql, pieces, Some(&series));
            sql.push(" GROUP BY step, bucket");
            for row in sql.fetch_all(&self.pool().await?).await? {
                if let Some(times) = times.get_mut(row.try_get::<i64, _>("step")? as usize) {
                    add_times(times, &row)?;
                }
            }
        }
        let at = |index: usize| (time.start + index as i64 * step) * 1_000;
        let points =
            totals.iter().zip(&times).enumerate().map(|(index, (totals, times))| point(at(index), totals, times));
        let points = points.collect();
        let by = grouped.map(|grouped| grouped.by);
        let rows_from_ms = self.rows_from(&MadeOf::new(span, Vec::new(), by, filter)).await?;
        let grouped = match grouped {
            Some(grouped) => Some(self.grouped(span, &steps, step, filter, grouped).await?),
            None => None,
        };
        let (from_ms, to_ms) = (time.start * 1_000, time.end * 1_000);
        Ok(Some(Series { from_ms, to_ms, step_ms, rows_from_ms, points, grouped }))
    }

    /// What the dearest groups cost, step by step, and all others together.
    async fn grouped(
        &self,
        span: &Span,
        steps: &Steps,
        step: i64,
        filter: &StatsFilter,
        GroupedBy { by, top }: GroupedBy,
    ) -> Result<Grouped, ReadError> {
        let made_of = MadeOf::new(span, steps.pieces.clone(), Some(by), filter);
        let found = self.totals_of(&made_of, by, filter, GroupsBy::Cost, top).await?;
        let dearest = Dearest { names: found.into_iter().map(|found| (found.name, found.half)).collect() };
        let mut sql = Text::new("SELECT ");
        sql.push(format_args!("({} - {}) / {step} AS step, ", made_of.at_s(), steps.time.start));
        dearest.push_place(made_of.column(by), &mut sql);
        sql.push(" AS place");
        made_of.push_some(&COSTS, &mut sql);
        made_of.push_from(&mut sql, filter);
        sql.push(" GROUP BY step, place");
        let count = usize::try_from(steps.count).unwrap_or_default();
        let mut costs = vec![vec![None; count]; dearest.names.len() + 1];
        for row in sql.fetch_all(&self.pool().await?).await? {
            let (place, step): (i64, i64) = (row.try_get("place")?, row.try_get("step")?);
            if let Some(cost) = costs.get_mut(place as usize).and_then(|points| points.get_mut(step as usize)) {
                *cost = cost_in(&row)?;
            }
        }
        let others = costs.pop().unwrap_or_default();
        let groups = dearest.names.into_iter().zip(costs).map(|((name, _), points)| GroupPoints {
            name: (!name.is_empty()).then_some(name),
            key_name: None,
            points,
        });
        Ok(Grouped { by: by.name(), groups: groups.collect(), others })
    }

    /// The sums of each group, so many of those that come first.
    async fn totals_of(
        &self,
        made_of: &MadeOf,
        by: By,
        filter: &StatsFilter,
        first: GroupsBy,
        limit: usize,
    ) -> Result<Vec<Found>, ReadError> {
        let mut sql = Text::new("SELECT ");
        sql.push(made_of.group(by)).push(" AS name");
        made_of.push_sums(&mut sql);
        for outcome in Outcome::ALL.map(Outcome::name) {
            let counted = format!("{} FILTER (WHERE outcome = '{outcome}')", made_of.requests());
            sql.push(format_args!(", CAST(COALESCE({counted}, 0) AS BIGINT) AS {outcome}"));
        }
        made_of.push_from(&mut sql, filter);
        sql.push(" GROUP BY name");
        // Of rows there may be as many groups as there are rows: they are not all read.
        if !made_of.has_times() {
            sql.push(match first {
                GroupsBy::Requests => " ORDER BY requests DESC, name NULLS FIRST LIMIT ",
                GroupsBy::Cost => " ORDER BY cost_nano DESC, requests DESC, name NULLS FIRST LIMIT ",
            });
            sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        let mut groups: BTreeMap<String, Totals> = BTreeMap::new();
        for row in sql.fetch_all(&self.pool().await?).await? {
            let name: Option<String> = row.try_get("name")?;
            groups.entry(name.unwrap_or_default()).or_default().add_all(&sums_of(&row)?, &outcomes_of(&row)?);
        }
        let mut halves = if by == By::Key { key_groups::join(&mut groups) } else { BTreeMap::new() };
        let mut found: Vec<Found> =
            groups.into_iter().map(|(name, totals)| Found { half: halves.remove(&name), name, totals }).collect();
        let rank = |found: &Found| match first {
            GroupsBy::Requests => (0, found.totals.sum("requests")),
            GroupsBy::Cost => (found.totals.sum("cost_nano"), found.totals.sum("requests")),
        };
        found.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name)));
        found.truncate(limit);
        Ok(found)
    }

    /// A time by group.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn groups(
        &self,
        span: &Span,
        by: By,
        filter: &StatsFilter,
        first: GroupsBy,
        limit: usize,
    ) -> Result<Groups, ReadError> {
        let pieces = cover(span.time.clone(), span.finest);
        let made_of = MadeOf::new(span, pieces.clone(), Some(by), filter);
        let found = self.totals_of(&made_of, by, filter, first, limit).await?;
        let has_times = by.has_times() && filter.has_times() && made_of.has_times();
        let mut times: HashMap<String, ThreeTimes> = HashMap::new();
        if has_times {
            let named = self.named_series(filter).await?;
            let ids: Vec<i64> = named.iter().map(|(id, ..)| *id).collect();
            let mut sql = Text::new("SELECT series, bucket");
            sql.push(TIMES).push(" FROM latencies");
            within(&mut sql, &pieces, Some(&ids));
            sql.push(" GROUP BY series, bucket");
            for row in sql.fetch_all(&self.pool().await?).await? {
                let id: i64 = row.try_get("series")?;
                let Some((_, upstream, model)) = named.iter().find(|(named, ..)| *named == id) else { continue };
                let name = if by == By::Model { model } else { upstream };
                add_times(times.entry(name.clone()).or_default(), &row)?;
            }
        }
        let groups = found.into_iter().map(|Found { name, totals, .. }| {
            let times = times.get(&name).filter(|_| has_times);
            group(name, &totals, times)
        });
        let groups = groups.collect();
        let (from_ms, to_ms) = span.millis();
        Ok(Groups { from_ms, to_ms, by: by.name(), rows_from_ms: self.rows_from(&made_of).await?, groups })
    }
}
