//! What statistics say, made of sums.

use super::latency::Times;
use super::rollup::{COLUMNS, Sums};
use super::row::{TokenCounts, cost_of};
use gateway_core::record::Outcome;
use serde::Serialize;
use std::collections::BTreeMap;

/// Times of some requests, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Percentiles {
    pub count: u64,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

impl Percentiles {
    /// Of so many, which took `sum_ms` together.
    pub fn new(count: u64, sum_ms: u64, times: Option<&Times>) -> Self {
        let at = |share| times.and_then(|times| times.percentile(share)).map(rounded);
        let mean = (count > 0).then(|| rounded(sum_ms as f64 / count as f64));
        Self { count, mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99) }
    }
}

/// To a tenth.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A time as a whole. A flat list, because it is an object of the API.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Summary {
    pub from_ms: i64,
    pub to_ms: i64,
    pub requests: u64,
    pub success_rate: Option<f64>,
    pub outcomes: BTreeMap<&'static str, u64>,
    pub statuses: BTreeMap<&'static str, u64>,
    pub tokens: TokenCounts,
    pub cache_hit_rate: Option<f64>,
    pub cost_usd: Option<f64>,
    pub unpriced_requests: u64,
    pub estimated_requests: u64,
    pub estimated_output_tokens: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub attempts: u64,
    pub tool_uses: u64,
    pub duration_ms: Percentiles,
    pub first_byte_ms: Percentiles,
    pub first_token_ms: Percentiles,
    pub rows_from_ms: Option<i64>,
}

/// One step of a series.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Point {
    pub at_ms: i64,
    pub requests: u64,
    pub completed: u64,
    pub failed: u64,
    pub rejected: u64,
    pub client_aborted: u64,
    pub tokens: TokenCounts,
    pub cost_usd: Option<f64>,
    pub unpriced_requests: u64,
    pub response_bytes: u64,
    pub duration_p50_ms: Option<f64>,
    pub duration_p95_ms: Option<f64>,
    pub first_token_p50_ms: Option<f64>,
    pub first_token_p95_ms: Option<f64>,
}

/// A time by steps.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Series {
    pub from_ms: i64,
    pub to_ms: i64,
    pub step_ms: i64,
    pub rows_from_ms: Option<i64>,
    pub points: Vec<Point>,
    #[serde(flatten)]
    pub grouped: Option<Grouped>,
}

/// What the groups of a series cost, step by step.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Grouped {
    pub by: &'static str,
    pub groups: Vec<GroupPoints>,
    pub others: Vec<Option<f64>>,
}

/// What one of them costs.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct GroupPoints {
    pub name: Option<String>,
    pub key_name: Option<String>,
    pub points: Vec<Option<f64>>,
}

/// The requests of one group.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Group {
    pub name: Option<String>,
    pub key_name: Option<String>,
    pub requests: u64,
    pub completed: u64,
    pub failed: u64,
    pub success_rate: Option<f64>,
    pub tokens: TokenCounts,
    pub cache_hit_rate: Option<f64>,
    pub cost_usd: Option<f64>,
    pub unpriced_requests: u64,
    pub estimated_requests: u64,
    pub estimated_output_tokens: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration_ms: Percentiles,
    pub first_token_ms: Percentiles,
    pub has_price: Option<bool>,
}

/// The groups of a time.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "docs/api.md has them")]
pub struct Groups {
    pub from_ms: i64,
    pub to_ms: i64,
    pub by: &'static str,
    pub rows_from_ms: Option<i64>,
    pub groups: Vec<Group>,
}

/// Sums by outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    all: Sums,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Totals {
    /// Adds the sums of requests that ended so.
    pub(super) fn add(&mut self, outcome: &str, sums: &Sums) {
        self.all.iter_mut().zip(sums).for_each(|(all, sum)| *all = all.saturating_add(*sum));
        if let Some(outcome) = Outcome::ALL.into_iter().find(|known| known.name() == outcome) {
            self.outcomes[outcome.index()] += sums[0];
        }
    }

    /// Adds the sums of requests that ended in several ways.
    pub(super) fn add_all(&mut self, sums: &Sums, outcomes: &[u64; Outcome::ALL.len()]) {
        self.merge(&Self { all: *sums, outcomes: *outcomes });
    }

    /// Adds those of others.
    pub(super) fn merge(&mut self, other: &Self) {
        let add = |all: &mut u64, sum: &u64| *all = all.saturating_add(*sum);
        self.all.iter_mut().zip(&other.all).for_each(|(all, sum)| add(all, sum));
        self.outcomes.iter_mut().zip(&other.outcomes).for_each(|(all, sum)| add(all, sum));
    }

    /// Requests that ended so.
    pub(super) fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome.index()]
    }

    /// Requests that failed.
    pub(super) fn failed(&self) -> u64 {
        Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure()).map(|outcome| self.of(outcome)).sum()
    }

    /// The sum of this column.
    pub(super) fn sum(&self, column: &str) -> u64 {
        COLUMNS.iter().position(|known| *known == column).map_or(0, |at| self.all[at])
    }

    /// Their tokens.
    pub(super) fn tokens(&self) -> TokenCounts {
        TokenCounts {
            input: self.sum("input_tokens"),
            output: self.sum("output_tokens"),
            cache_write: self.sum("cache_write_tokens"),
            cache_read: self.sum("cache_read_tokens"),
        }
    }

    /// The part of prompts that came from the cache.
    pub(super) fn cache_hit_rate(&self) -> Option<f64> {
        let tokens = self.tokens();
        share(tokens.cache_read, tokens.input + tokens.cache_write + tokens.cache_read)
    }

    /// What those of them cost that have a price; `None` if none has.
    pub(super) fn cost(&self) -> Option<f64> {
        cost_of(self.sum("cost_nano"), self.sum("unpriced"), self.tokens())
    }

    /// Those that ended early for the client's sake.
    pub(super) fn left_by_clients(&self) -> u64 {
        self.of(Outcome::ClientAborted) + self.of(Outcome::ClientStalled)
    }

    /// Of those that no client gave up, and of which it is known how they ended.
    pub(super) fn success_rate(&self) -> Option<f64> {
        let unknown = self.left_by_clients() + self.of(Outcome::Unreadable);
        share(self.of(Outcome::Completed), self.all[0] - unknown)
    }
}

/// A part of a whole, if there is any.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Durations, times to the first byte and times to the first token.
pub(super) type ThreeTimes = [Times; 3];

/// One step.
pub(super) fn point(at_ms: i64, totals: &Totals, times: &ThreeTimes) -> Point {
    let at = |which: usize, share| times[which].percentile(share).map(rounded);
    Point {
        at_ms,
        requests: totals.sum("requests"),
        completed: totals.of(Outcome::Completed),
        failed: totals.failed(),
        rejected: totals.of(Outcome::Rejected),
        client_aborted: totals.left_by_clients(),
        tokens: totals.tokens(),
        cost_usd: totals.cost(),
        unpriced_requests: totals.sum("unpriced"),
        response_bytes: totals.sum("response_bytes"),
        duration_p50_ms: at(0, 0.5),
        duration_p95_ms: at(0, 0.95),
        first_token_p50_ms: at(2, 0.5),
        first_token_p95_ms: at(2, 0.95),
    }
}

/// One group.
pub(super) fn group(name: String, totals: &Totals, times: Option<&ThreeTimes>) -> Group {
    let times = |which: usize| times.map(|times| &times[which]);
    Group {
        name: (!name.is_empty()).then_some(name),
        key_name: None,
        requests: totals.sum("requests"),
        completed: totals.of(Outcome::Completed),
        failed: totals.failed(),
        success_rate: totals.success_rate(),
        tokens: totals.tokens(),
        cache_hit_rate: totals.cache_hit_rate(),
        cost_usd: totals.cost(),
        unpriced_requests: totals.sum("unpriced"),
        estimated_requests: totals.sum("estimated"),
        estimated_output_tokens: totals.sum("estimated_output_tokens"),
        request_bytes: totals.sum("request_bytes"),
        response_bytes: totals.sum("response_bytes"),
        duration_ms: Percentiles::new(totals.sum("requests"), totals.sum("duration_ms"), times(0)),
        first_token_ms: Percentiles::new(totals.sum("first_tokens"), totals.sum("first_token_ms"), times(2)),
        has_price: None,
    }
}
