//! What is asked of the statistics: for which time, which requests, by what.

use super::retention::MINUTES_KEPT;
use super::rollup::{Piece, QUARTER, SPANS, ceil, cover_by, floor};
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
    /// Fingerprint of the key, or its beginning.
    pub key: Option<String>,
    /// What the requests are for: a label of `gateway_core::record::request_class`.
    pub request_class: Option<String>,
    /// What an upstream's key is called.
    pub upstream_key: Option<String>,
    /// The session that the client names.
    pub session: Option<String>,
    /// The kind of agent that the client names.
    pub agent_type: Option<String>,
    /// The client's address.
    pub client: Option<String>,
    /// The ids of client tokens: only requests with one of these, and none at all if there are none.
    pub tokens: Option<Vec<String>>,
}

/// A time, in whole minutes, or in whole quarters of an hour where sums by the minute are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Seconds since 1970.
    pub(super) time: Range<i64>,
    pub(super) finest: i64,
    /// Whether its beginning was given as a whole quarter of an hour, as that of a day is in every zone.
    is_of_calendar: bool,
}

/// A time by steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// From the beginning of the first step to the end of the time, in seconds since 1970.
    pub time: Range<i64>,
    /// How many there are; the last one may be cut by the end.
    pub count: i64,
    /// The sums that make them.
    pub pieces: Vec<Piece>,
}

impl Span {
    /// From one time to another, both in milliseconds since 1970, widened outward; `now` likewise.
    pub fn new(from_ms: i64, to_ms: i64, now_ms: i64) -> Self {
        let oldest_minute = now_ms / 1_000 - MINUTES_KEPT.as_secs() as i64;
        // To the millisecond that is over.
        let (from, to) = (from_ms.div_euclid(1_000), (to_ms + 999).div_euclid(1_000));
        let finest = if from >= oldest_minute { 60 } else { QUARTER };
        let is_of_calendar = from_ms.rem_euclid(QUARTER * 1_000) == 0;
        Self { time: floor(from, finest)..ceil(to.max(from), finest), finest, is_of_calendar }
    }

    /// Its beginning and end, in milliseconds since 1970.
    pub fn millis(&self) -> (i64, i64) {
        (self.time.start * 1_000, self.time.end * 1_000)
    }

    /// The same in steps of so many seconds, made of the coarsest sums that fit; `None` if none do, or for too many
    /// steps. They begin where the time does: the days of a zone are its own. Only one that begins at any moment gets
    /// whole steps since 1970, so that they stay where they are while it moves on.
    pub(super) fn steps(&self, step: i64) -> Option<Steps> {
        let start = if self.is_of_calendar { self.time.start } else { floor(self.time.start, step) };
        let time = start..self.time.end;
        let count = ceil(time.end - start, step) / step;
        if step % self.finest != 0 || count > MOST_POINTS {
            return None;
        }
        let spans: Vec<i64> = SPANS.into_iter().filter(|span| step % span == 0 && start % span == 0).collect();
        Some(Steps { pieces: cover_by(&spans, time.clone(), self.finest), time, count })
    }
}

/// Where the tokens of prompts came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheUse {
    /// Requests.
    pub requests: u64,
    /// Tokens that no cache was used for.
    pub input: u64,
    /// Tokens that were written to the cache.
    pub write: u64,
    /// Tokens that were read from it.
    pub read: u64,
}

impl CacheUse {
    /// All tokens of the prompts.
    pub(crate) fn all(&self) -> u64 {
        self.input + self.write + self.read
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
    /// What the requests are for.
    RequestClass,
    /// What the upstream's key is called.
    UpstreamKey,
    /// The session that the client names.
    Session,
    /// The kind of agent that the client names.
    AgentType,
    /// The client's address.
    Client,
}

/// Which groups come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupsBy {
    /// Those with most requests.
    #[default]
    Requests,
    /// The dearest.
    Cost,
}

/// A series by group too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedBy {
    /// By what.
    pub by: By,
    /// How many groups, the dearest ones.
    pub top: usize,
}

impl By {
    /// All there are.
    pub(crate) const ALL: [Self; 9] = [
        Self::Model,
        Self::Upstream,
        Self::Path,
        Self::Key,
        Self::RequestClass,
        Self::UpstreamKey,
        Self::Session,
        Self::AgentType,
        Self::Client,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Upstream => "upstream",
            Self::Path => "path",
            Self::Key => "key",
            Self::RequestClass => "request_class",
            Self::UpstreamKey => "upstream_key",
            Self::Session => "session",
            Self::AgentType => "agent_type",
            Self::Client => "client",
        }
    }

    /// Whether times are counted by it.
    pub(super) fn has_times(self) -> bool {
        matches!(self, Self::Model | Self::Upstream)
    }

    /// Whether the sums do not tell it: clients may name as many as they like.
    pub(super) fn is_of_rows(self) -> bool {
        matches!(self, Self::Session | Self::AgentType | Self::Client)
    }
}

impl StatsFilter {
    /// Whether times are counted by what it asks for.
    pub(super) fn has_times(&self) -> bool {
        let is_of_keys = self.key.is_some() || self.tokens.is_some() || self.upstream_key.is_some();
        !is_of_keys && self.path.is_none() && self.request_class.is_none()
    }

    /// Whether it asks for what the sums do not tell.
    pub(super) fn is_of_rows(&self) -> bool {
        self.session.is_some() || self.agent_type.is_some() || self.client.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const DAY: i64 = 86_400;
    /// Of no zone a round time: 2026-11-27T13:37:41Z.
    const NOW: i64 = 1_795_786_661;

    fn span(from: i64, to: i64) -> Span {
        Span::new(from * 1_000, to * 1_000, NOW * 1_000)
    }

    /// How many spans of sums each moment is in that a request may begin at, from the first day's quarter on.
    fn counted(spans: &[Span], at: i64) -> usize {
        let is_in = |piece: &Piece| piece.time.contains(&at);
        spans.iter().flat_map(|span| super::super::rollup::cover(span.time.clone(), span.finest)).filter(is_in).count()
    }

    #[test]
    fn the_days_of_every_zone_count_each_moment_once() {
        for offset_minutes in [0, 60, 330, 345, 570, 765, -210, -570, 840, -720] {
            let midnight = |days: i64| (NOW / DAY - days) * DAY - offset_minutes * MINUTE;
            // Some days, of which one has 23 hours and one has 25, as where clocks change.
            let mut bounds = vec![midnight(12), midnight(11), midnight(10) - 3_600, midnight(9), midnight(8) + 1_800];
            bounds.extend((0..8).rev().map(midnight));
            let days: Vec<Span> = bounds.windows(2).map(|day| span(day[0], day[1])).collect();
            for at in (bounds[0]..bounds[bounds.len() - 1]).step_by(97) {
                assert_eq!(counted(&days, at), 1, "{at} at {offset_minutes} minutes");
            }
            let whole = span(bounds[0], bounds[bounds.len() - 1]);
            assert_eq!((whole.time.start, whole.time.end), (bounds[0], bounds[bounds.len() - 1]));
        }
    }

    #[test]
    fn steps_begin_where_a_day_does_and_end_with_the_time() {
        for offset_minutes in [0, 330, 345, -210] {
            let midnight = (NOW / DAY - 20) * DAY - offset_minutes * MINUTE;
            for (length, step) in [(10 * DAY, DAY), (DAY + 3_600, DAY), (DAY, 3_600), (DAY, 900)] {
                let steps = span(midnight, midnight + length).steps(step).expect("steps");
                assert_eq!(steps.time, midnight..midnight + length);
                assert_eq!(steps.count, (length + step - 1) / step);
                let mut at = midnight;
                for piece in &steps.pieces {
                    assert_eq!(piece.time.start, at, "no gap and no overlap in {steps:?}");
                    assert!(
                        step % piece.span == 0 && (at - midnight) % piece.span == 0,
                        "no sum of two steps: {piece:?}"
                    );
                    at = piece.time.end;
                }
                assert_eq!(at, midnight + length);
            }
        }
    }

    #[test]
    fn steps_of_a_time_that_moves_on_stay_where_they_are() {
        let steps = |from: i64| span(from, NOW).steps(900).expect("steps").time.start;
        assert_eq!((steps(NOW - 7_200), steps(NOW - 7_200 + 60)), (1_795_779_000, 1_795_779_000));
        assert_eq!(span(NOW - 30 * DAY, NOW).steps(60), None, "sums by the minute are gone");
        assert_eq!(span(NOW - 30 * DAY, NOW).steps(900), None, "too many");
        assert_eq!(span(NOW - DAY, NOW).steps(30), None);
    }
}
