//! What a row of the request log costs by the prices in force, and what became of rows whose costs were made anew.

use crate::config::Config;
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::pricing::{NanoUsd, Prices};
use gateway_core::usage::summary::{Details, Tokens};
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::time::{Duration, UNIX_EPOCH};

/// The prices in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tariff {
    /// By model.
    pub prices: Prices,
    /// How many times as much the upstreams that there are charge; what others charged, nobody knows any more.
    pub factors: HashMap<String, Factor>,
}

/// What a row tells of what it cost.
#[derive(Debug)]
pub(super) struct Used<'r> {
    /// When the request began, in milliseconds since 1970.
    pub started_ms: i64,
    /// The upstream.
    pub upstream: &'r str,
    /// The model that answered, or else the one that was asked for.
    pub model: Option<&'r str>,
    /// The tokens.
    pub tokens: &'r Tokens,
    /// What else was told; what an old row does not tell counts as the standard.
    pub details: &'r Details,
}

impl Tariff {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let factors = config.upstreams.iter().map(|upstream| (upstream.name.to_string(), upstream.cost_factor));
        Self { prices: config.prices.clone(), factors: factors.collect() }
    }

    /// What that costs.
    pub(super) fn cost(&self, used: &Used<'_>) -> Costs {
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(used.started_ms).unwrap_or_default());
        let Some(&factor) = self.factors.get(used.upstream) else { return Costs::AsItDid };
        Costs::Now(used.model.and_then(|model| self.prices.cost(model, used.tokens, used.details, at, factor)))
    }
}

/// What a row costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Costs {
    /// What the prices say; `None` if they have none for it.
    Now(Option<NanoUsd>),
    /// What it did: the upstream is not there any more, so its factor is not known.
    AsItDid,
}

/// A time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its beginning.
    pub from_ms: i64,
    /// Its end, which is not in it.
    pub to_ms: i64,
}

/// Rows that are asked for.
#[derive(Debug)]
pub(super) struct Wanted<'r> {
    /// The numbers of the first and the last.
    pub rows: RangeInclusive<i64>,
    /// Those among them that are not.
    pub but: &'r BTreeSet<i64>,
}

/// Most upstreams that are told by name of those that are not there any more.
const MOST_NAMED: usize = 20;

/// What became of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// The number of the last row; `None` if there were none.
    pub last: Option<i64>,
    /// The numbers of all of them.
    pub rows: BTreeSet<i64>,
    /// Rows whose usage is known.
    pub seen: u64,
    /// Those whose cost changed.
    pub changed: u64,
    /// Those without a price.
    pub unpriced: u64,
    /// Those that were left as they are, because their upstream is not there any more.
    pub left: u64,
    /// The first names of such upstreams.
    pub left_upstreams: BTreeSet<String>,
    /// When the oldest and the newest of them began.
    pub time: Option<(i64, i64)>,
}

impl Batch {
    /// Counts a row that began then.
    pub(super) fn see(&mut self, started_ms: i64) {
        self.seen += 1;
        let (first, last) = self.time.unwrap_or((started_ms, started_ms));
        self.time = Some((first.min(started_ms), last.max(started_ms)));
    }

    /// Counts a row of an upstream that is not there any more.
    pub(super) fn leave(&mut self, upstream: &str) {
        self.left += 1;
        self.name([upstream.to_owned()]);
    }

    fn name(&mut self, upstreams: impl IntoIterator<Item = String>) {
        for upstream in upstreams {
            if self.left_upstreams.len() < MOST_NAMED {
                self.left_upstreams.insert(upstream);
            }
        }
    }

    /// Counts those of another one.
    pub(super) fn add(&mut self, other: Self) {
        self.last = other.last.or(self.last);
        self.seen += other.seen;
        self.changed += other.changed;
        self.unpriced += other.unpriced;
        self.left += other.left;
        self.name(other.left_upstreams);
        self.time = match (self.time, other.time) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
    }
}
