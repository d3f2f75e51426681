//! How much of its weight an upstream has for new sessions, by its times and failures. Pure.
//!
//! Nothing here is fast: sessions stay where they are for long, so that what is shifted today is load for an hour. Steps
//! are halvings and doublings, a minute apart, and only after a minute in which the other share was better all the time.

use super::clock::millis;
use super::window::Counts;
use std::time::Duration;

/// The least share: somebody has to find out that it is good again.
const LEAST: f64 = 0.05;
/// Within what factor a share is as good as another.
const AS_GOOD: f64 = 1.5;
/// Most that a share changes by at once.
const STEP: f64 = 2.0;
/// For how long another share must be better.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same for an upstream that nothing is known of any more: what it was is no reason for ever.
const FORGETTING: Duration = Duration::from_secs(5 * 60);
/// How much slower an upstream counts that fails all the time: a share of failures is worth as much of this.
const PRICE_OF_FAILURES: f64 = 4.0;
/// As if so many more requests had gone well: one failure of two requests is not a half.
const GOOD_WILL: f64 = 10.0;

/// What was seen of one of the upstreams that share new sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// How many times as long as in the middle its first events take; `None` if that is not known.
    pub time: Option<f64>,
    /// How its requests ended.
    pub ends: Counts,
}

/// The share that an upstream should have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    /// From [`LEAST`] to 1.
    share: f64,
    /// Whether its times are known.
    is_measured: bool,
}

/// The share of failures that counts.
pub(super) fn failure_share(ends: Counts) -> f64 {
    f64::from(ends.bad) / (f64::from(ends.good) + f64::from(ends.bad) + GOOD_WILL)
}

/// The shares that these should have beside each other: one that takes twice as long, a quarter.
pub(super) fn targets(seen: &[Seen]) -> Vec<Target> {
    let price = |seen: &Seen| 1.0 + PRICE_OF_FAILURES * failure_share(seen.ends);
    let fastest = seen.iter().filter_map(|seen| seen.time).fold(f64::INFINITY, f64::min);
    let cheapest = seen.iter().map(price).fold(f64::INFINITY, f64::min);
    let target = |seen: &Seen| {
        let by_time = seen.time.map_or(1.0, |time| fastest / time);
        let share = (by_time * cheapest / price(seen)).powi(2);
        Target { share: share.clamp(LEAST, 1.0), is_measured: seen.time.is_some() }
    };
    seen.iter().map(target).collect()
}

/// The share that an upstream has, and since when another one would be better.
#[derive(Debug)]
pub(super) struct ShareChoice {
    share: f64,
    /// Whether it should be more, and since when.
    leaning: Option<(bool, u64)>,
}

impl Default for ShareChoice {
    fn default() -> Self {
        Self { share: 1.0, leaning: None }
    }
}

impl ShareChoice {
    /// The share from now on.
    pub(super) fn look(&mut self, target: Target, now_ms: u64) -> f64 {
        let is_more = target.share > self.share;
        let is_all_of_it = is_more && target.share >= 1.0;
        let factor = if is_more { target.share / self.share } else { self.share / target.share };
        if factor < AS_GOOD && !is_all_of_it {
            self.leaning = None;
            return self.share;
        }
        let since = match self.leaning {
            Some((leans_to_more, since)) if leans_to_more == is_more => since,
            _ => now_ms,
        };
        self.leaning = Some((is_more, since));
        let patience = if is_more && !target.is_measured { FORGETTING } else { PATIENCE };
        if now_ms - since >= millis(patience) {
            self.share = target.share.clamp(self.share / STEP, self.share * STEP);
            self.leaning = None;
        }
        self.share
    }
}

#[cfg(test)]
#[path = "share_choice_tests.rs"]
mod tests;
