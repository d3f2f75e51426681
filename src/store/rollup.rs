//! Sums over minutes, hours and days: from records to what is added to them, and from a span of time to the sums that
//! cover it. Pure.

use super::latency::bucket;
use gateway_core::record::{RequestRecord, status_class};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::UNIX_EPOCH;

/// A day, an hour, a quarter of one and a minute, in seconds.
pub(super) const SPANS: [i64; 4] = [86_400, 3_600, QUARTER, 60];
/// A quarter of an hour, in seconds: sums over less are not kept for long. Days begin with one in every zone there is.
pub(super) const QUARTER: i64 = 900;

/// The number in `latencies` that stands for all upstreams and models together; those in `series` begin with 1.
pub(super) const ALL_SERIES: i64 = 0;

/// What a sum is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'r> {
    /// Length of the span, in seconds.
    pub span: i64,
    /// Its beginning, in seconds since 1970.
    pub at: i64,
    /// The upstream; empty if there was none, like all that follows.
    pub upstream: &'r str,
    /// The model's label.
    pub model: &'r str,
    /// The path's label.
    pub path: &'r str,
    /// Fingerprint of the client's key.
    pub key: &'r str,
    /// How the requests ended.
    pub outcome: &'r str,
    /// Class of the status.
    pub status: &'r str,
    /// What the requests are for.
    pub request_class: &'r str,
    /// The upstream's key that they went out with.
    pub upstream_key: &'r str,
}

/// How many columns are summed up.
pub(super) const SUMS: usize = 18;

/// Their names, in the order of [`Sums`].
pub(super) const COLUMNS: [&str; SUMS] = [
    "requests",
    "attempts",
    "duration_ms",
    "first_bytes",
    "first_byte_ms",
    "first_tokens",
    "first_token_ms",
    "request_bytes",
    "response_bytes",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_nano",
    "unpriced",
    "tool_uses",
    "estimated",
    "estimated_output_tokens",
];

/// What is summed up.
pub(super) type Sums = [u64; SUMS];

/// Counts of durations, times to the first byte and times to the first token in one bucket.
pub(super) type Counts = [u64; 3];

/// What a count of times is of: the span; upstream and model, or all of them; the span's beginning; the bucket.
pub(super) type LatencyKey<'r> = (i64, Option<(&'r str, &'r str)>, i64, i64);

/// What some records add.
#[derive(Debug, Default)]
pub(super) struct Rollup<'r> {
    /// To the sums.
    pub sums: BTreeMap<Key<'r>, Sums>,
    /// To the counts of times.
    pub latencies: BTreeMap<LatencyKey<'r>, Counts>,
}

impl<'r> Rollup<'r> {
    /// What these records add.
    pub(super) fn of(records: impl Iterator<Item = &'r RequestRecord>) -> Self {
        // By the minute first: the records of a batch are of few, and all longer spans are made of these.
        let mut minutes: HashMap<Key<'r>, Minute> = HashMap::new();
        for record in records {
            minutes.entry(Key::of(record)).or_default().add(record);
        }
        let mut rollup = Self::default();
        for (key, minute) in &minutes {
            rollup.add(key, minute);
        }
        rollup
    }

    fn add(&mut self, key: &Key<'r>, minute: &Minute) {
        for span in SPANS {
            let at = floor(key.at, span);
            let total = self.sums.entry(Key { span, at, ..key.clone() }).or_insert([0; SUMS]);
            add(total, &minute.sums);
            for series in [None, Some((key.upstream, key.model))] {
                for (bucket, counts) in &minute.times {
                    add(self.latencies.entry((span, series, at, *bucket)).or_default(), counts);
                }
            }
        }
    }
}

/// What some records of one minute add that have all else in common.
#[derive(Debug, Default)]
struct Minute {
    sums: Sums,
    times: BTreeMap<i64, Counts>,
}

impl Minute {
    fn add(&mut self, record: &RequestRecord) {
        add(&mut self.sums, &sums(record));
        let first_token = record.answer.as_ref().and_then(|answer| answer.first_token);
        for (which, time) in [Some(record.duration), record.first_byte, first_token].into_iter().enumerate() {
            let Some(time) = time else { continue };
            self.times.entry(bucket(time)).or_default()[which] += 1;
        }
    }
}

impl<'r> Key<'r> {
    /// Its names, in the order in which keys are compared.
    pub(super) fn names(&self) -> [&'r str; 8] {
        let Self { upstream, model, path, key, outcome, status, request_class, upstream_key, .. } = self;
        [upstream, model, path, key, outcome, status, request_class, upstream_key]
    }

    /// The minute's sum that a record belongs to.
    fn of(record: &'r RequestRecord) -> Self {
        let [.., span] = SPANS;
        let started = record.started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            span,
            at: floor(i64::try_from(started).unwrap_or(i64::MAX), span),
            upstream: record.upstream.as_deref().unwrap_or_default(),
            model: &record.labels.model,
            path: record.labels.path,
            key: record.summed_key().unwrap_or_default(),
            outcome: record.outcome.name(),
            status: status_class(record.status),
            request_class: record.labels.request_class,
            upstream_key: record.upstream_key.as_deref().unwrap_or_default(),
        }
    }
}

fn add<const N: usize>(total: &mut [u64; N], more: &[u64; N]) {
    total.iter_mut().zip(more).for_each(|(total, more)| *total = total.saturating_add(*more));
}

/// What one record adds, in the order of [`COLUMNS`].
fn sums(record: &RequestRecord) -> Sums {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let answer = record.answer.as_ref();
    let first_token = answer.and_then(|answer| answer.first_token);
    let tokens = answer.and_then(|answer| answer.tokens);
    let is_estimated = answer.is_some_and(|answer| answer.is_estimated);
    let tokens = tokens.unwrap_or_default();
    [
        1,
        u64::from(record.attempts),
        millis(record.duration),
        u64::from(record.first_byte.is_some()),
        record.first_byte.map_or(0, millis),
        u64::from(first_token.is_some()),
        first_token.map_or(0, millis),
        record.request_bytes,
        record.response_bytes,
        tokens.input,
        tokens.output,
        tokens.cache_write,
        tokens.cache_read,
        record.cost.unwrap_or_default(),
        u64::from(record.is_unpriced()),
        answer.map_or(0, |answer| u64::from(answer.tool_uses)),
        u64::from(is_estimated),
        if is_estimated { tokens.output } else { 0 },
    ]
}

/// Sums of one span that cover a part of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The span, in seconds.
    pub span: i64,
    /// From the beginning of the first one to the end of the last one, in seconds since 1970.
    pub time: Range<i64>,
}

/// The fewest sums that cover a time exactly, none finer than `finest`. The time is widened to whole spans of that.
pub(super) fn cover(time: Range<i64>, finest: i64) -> Vec<Piece> {
    cover_by(&SPANS, time, finest)
}

/// The same with these sums only, the coarsest first.
pub(super) fn cover_by(spans: &[i64], time: Range<i64>, finest: i64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let rest = floor(time.start, finest)..ceil(time.end, finest);
    cover_with(spans, rest, finest, &mut pieces);
    pieces
}

fn cover_with(spans: &[i64], time: Range<i64>, finest: i64, pieces: &mut Vec<Piece>) {
    let Some((&span, finer)) = spans.split_first() else { return };
    if time.is_empty() || span < finest {
        return;
    }
    let whole = ceil(time.start, span)..floor(time.end, span);
    if whole.is_empty() {
        return cover_with(finer, time, finest, pieces);
    }
    cover_with(finer, time.start..whole.start, finest, pieces);
    let after = whole.end..time.end;
    pieces.push(Piece { span, time: whole });
    cover_with(finer, after, finest, pieces);
}

/// The beginning of the span that holds this time.
pub(super) fn floor(time: i64, span: i64) -> i64 {
    time - time.rem_euclid(span)
}

/// The end of the span that holds the moment before this time.
pub(super) fn ceil(time: i64, span: i64) -> i64 {
    floor(time.saturating_add(span - 1), span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::usage::summary::{Summary, Tokens};
    use std::time::Duration;

    #[test]
    fn a_time_is_covered_once_and_by_few_pieces() {
        for (from, to) in [(0, 0), (59, 61), (60, 120), (3_540, 90_061), (1, 10_000_000), (86_400, 172_800)] {
            let pieces = cover(from..to, 60);
            assert!(pieces.len() <= 7, "{pieces:?}");
            let mut at = floor(from, 60);
            for piece in &pieces {
                assert_eq!(piece.time.start, at, "no gap and no overlap in {pieces:?}");
                assert!(piece.time.start % piece.span == 0 && piece.time.end % piece.span == 0, "{piece:?}");
                at = piece.time.end;
            }
            assert_eq!(at, ceil(to, 60).max(floor(from, 60)), "{pieces:?}");
        }
        let quarters = cover(59..7_201, QUARTER);
        assert_eq!(quarters, [Piece { span: 3_600, time: 0..7_200 }, Piece { span: QUARTER, time: 7_200..8_100 }]);
    }

    #[test]
    fn records_add_to_the_sums_of_their_minute_hour_and_day() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let answer = Summary {
            tokens: Some(Tokens { input: 5, output: 6, ..Tokens::default() }),
            is_estimated: true,
            first_token: Some(Duration::from_millis(11)),
            ..Summary::default()
        };
        let first = RequestRecord { started_at: at(119), answer: Some(answer), ..crate::sample::record() };
        let second = RequestRecord { started_at: at(120), ..crate::sample::record() };
        let rollup = Rollup::of([&first, &second].into_iter());
        let requests: Vec<_> = rollup.sums.iter().map(|(key, sums)| (key.span, key.at, sums[0])).collect();
        assert_eq!(requests, [(60, 60, 1), (60, 120, 1), (900, 0, 2), (3_600, 0, 2), (86_400, 0, 2)]);
        let day = rollup.sums.iter().find(|(key, _)| key.span == 86_400).expect("a day").1;
        let column = |name| day[COLUMNS.iter().position(|column| *column == name).expect("a column")];
        assert_eq!((column("duration_ms"), column("output_tokens"), column("unpriced")), (24, 6, 1));
        assert_eq!((column("estimated"), column("estimated_output_tokens")), (1, 6));
        for is_all in [true, false] {
            let of_minutes = rollup.latencies.iter().filter(|(key, _)| key.0 == 60 && key.1.is_none() == is_all);
            let times: u64 = of_minutes.flat_map(|(_, counts)| counts).sum();
            assert_eq!(times, 5, "two durations, two first bytes, one first token");
        }
    }
}
