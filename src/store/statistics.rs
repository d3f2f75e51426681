//! What is asked of the statistics: for which time, which requests, by what.

use super::retention::MINUTES_KEPT;
use super::rollup::{HOUR, SPANS, ceil, floor};
use std::ops::Range;

/// Most points of a series.
pub(crate) const MOST_POINTS: i64 = 2_000;
/// Which requests; `None` asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsFilter {
    /// Label of the model.
    pub model: Option<String>,
    /// The upstream.
    pub upstream: Option<String>,
    /// Label of the path.
    pub path: Option<String>,
    /// Fingerprint of the key.
    pub key: Option<String>,
}

/// A time, in whole minutes, or in whole hours where sums by the minute are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Seconds since 1970.
    pub(super) time: Range<i64>,
    pub(super) finest: i64,
}

impl Span {
    /// From one time to another, both in milliseconds since 1970, widened outward; `now` likewise.
    pub fn new(from_ms: i64, to_ms: i64, now_ms: i64) -> Self {
        let oldest_minute = now_ms / 1_000 - MINUTES_KEPT.as_secs() as i64;
        // To the millisecond that is over.
        let (from, to) = (from_ms.div_euclid(1_000), (to_ms + 999).div_euclid(1_000));
        let finest = if from >= oldest_minute { 60 } else { HOUR };
        Self { time: floor(from, finest)..ceil(to.max(from), finest), finest }
    }

    /// Its beginning and end, in milliseconds since 1970.
    pub fn millis(&self) -> (i64, i64) {
        (self.time.start * 1_000, self.time.end * 1_000)
    }

    /// The same in steps of so many seconds, and the span of the sums that make them: the coarsest that fits.
    pub(super) fn steps(&self, step: i64) -> Option<(Range<i64>, i64)> {
        let span = SPANS.into_iter().find(|span| step % span == 0 && *span >= self.finest)?;
        Some((floor(self.time.start, step)..ceil(self.time.end, step), span))
    }
}

/// By what requests are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The model's label.
    Model,
    /// The upstream.
    Upstream,
    /// The path's label.
    Path,
    /// The fingerprint of the client's key.
    Key,
}

impl By {
    /// The group with this name.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Model, Self::Upstream, Self::Path, Self::Key].into_iter().find(|by| by.name() == name)
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Path => "path",
            Self::Key => "key",
        }
    }

    /// Whether times are counted by it.
    pub(super) fn has_times(self) -> bool {
        matches!(self, Self::Model | Self::Upstream)
    }
}

impl StatsFilter {
    /// Whether times are counted by what it asks for.
    pub(super) fn has_times(&self) -> bool {
        self.path.is_none() && self.key.is_none()
    }
}
