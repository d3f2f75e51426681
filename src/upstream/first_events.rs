//! How long the first events of streams took at one upstream, with what kind of request each was. Atomics only.
//!
//! A first event takes longer after a long prompt, with a large model, and where no prompt cache knows the session yet.
//! So each time is noted with these three, and only times of the same kind are compared ([`super::like_with_like`]).

use super::clock::millis;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How many times are kept.
const KEPT: usize = 256;
/// How long one counts.
pub(super) const COUNTED_FOR: Duration = Duration::from_secs(5 * 60);
/// Bits of a time in milliseconds: 17 minutes.
const TIME_BITS: u32 = 20;
/// Bits of a kind.
const KIND_BITS: u32 = 19;
/// Bits of the second in which the event came: half a year, then they begin anew.
const SECOND_BITS: u32 = 24;

/// What requests must have in common for their times to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(u32);

impl Kind {
    /// Of a request for what this number stands for (a model, or an endpoint), with so many bytes of body, from a session
    /// that was served here before (`is_known`) or not.
    pub fn of(model: u64, body_bytes: u64, is_known: bool) -> Self {
        // Less than 16 KiB, 64, 256, 1024, or more: side requests, first ones, long ones.
        let size = (body_bytes >> 14).checked_ilog2().map_or(0, |log| log / 2 + 1).min(4);
        Self((model as u32 & 0x7fff) << 4 | size << 1 | u32::from(is_known))
    }
}

/// One first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstEvent {
    /// Of what kind the request was.
    pub kind: Kind,
    /// How long it took, from the connection on.
    pub time: Duration,
    /// Whether the client waited no longer, so that it would have taken more than this.
    pub is_given_up: bool,
}

/// The last first events of one upstream.
#[derive(Debug)]
pub(super) struct FirstEvents {
    /// When it was, its kind, whether it was given up, its time in milliseconds; 0 for none.
    packed: [AtomicU64; KEPT],
    noted: AtomicUsize,
}

impl Default for FirstEvents {
    fn default() -> Self {
        Self { packed: [const { AtomicU64::new(0) }; KEPT], noted: AtomicUsize::new(0) }
    }
}

impl FirstEvents {
    /// Notes one.
    pub(super) fn note(&self, event: FirstEvent, now_ms: u64) {
        let time = millis(event.time).clamp(1, (1 << TIME_BITS) - 1);
        let kind = u64::from(event.kind.0) << 1 | u64::from(event.is_given_up);
        let packed = (now_ms / 1000) << (TIME_BITS + 1 + KIND_BITS) | kind << TIME_BITS | time;
        let at = self.noted.fetch_add(1, Ordering::Relaxed) % KEPT;
        self.packed[at].store(packed, Ordering::Relaxed);
    }

    /// Those of the last minutes.
    pub(super) fn recent(&self, now_ms: u64) -> Vec<FirstEvent> {
        let all = self.packed.iter().map(|packed| packed.load(Ordering::Relaxed)).filter(|&packed| packed > 0);
        let is_recent = |packed: &u64| {
            let second = packed >> (TIME_BITS + 1 + KIND_BITS);
            let age = (now_ms / 1000).wrapping_sub(second) & ((1 << SECOND_BITS) - 1);
            age < COUNTED_FOR.as_secs()
        };
        let event = |packed: u64| FirstEvent {
            kind: Kind((packed >> (TIME_BITS + 1)) as u32 & ((1 << KIND_BITS) - 1)),
            time: Duration::from_millis(packed & ((1 << TIME_BITS) - 1)),
            is_given_up: packed >> TIME_BITS & 1 == 1,
        };
        all.filter(is_recent).map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_comes_back_for_some_minutes() {
        let event = |kind, seconds, is_given_up| FirstEvent { kind, time: Duration::from_secs(seconds), is_given_up };
        let (small, large) = (Kind::of(u64::MAX, 100, false), Kind::of(7, 2_000_000, true));
        // As long as a process may live: the seconds begin anew.
        for start in [1_000, ((1 << SECOND_BITS) - 100) * 1000] {
            let events = FirstEvents::default();
            events.note(event(small, 3, false), start);
            events.note(event(large, 90, true), start + 200_000);
            assert_eq!(events.recent(start + 250_000), [event(small, 3, false), event(large, 90, true)]);
            assert_eq!(events.recent(start + 350_000), [event(large, 90, true)]);
            assert_eq!(events.recent(start + 550_000), []);
        }
        let events = FirstEvents::default();
        (0..KEPT).for_each(|_| events.note(event(small, 100_000, false), 1_000_000));
        let recent = events.recent(1_000_000);
        assert_eq!((recent.len(), recent[0].time.as_millis()), (KEPT, (1 << TIME_BITS) - 1), "the longest that fits");
    }

    #[test]
    fn requests_of_a_kind_have_model_size_and_session_in_common() {
        let kib = 1024;
        for (one, other, are_alike) in [
            (Kind::of(1, 0, false), Kind::of(1, 15 * kib, false), true),
            (Kind::of(1, 15 * kib, false), Kind::of(1, 17 * kib, false), false),
            (Kind::of(1, 64 * kib, false), Kind::of(1, 255 * kib, false), true),
            (Kind::of(1, 255 * kib, false), Kind::of(1, 256 * kib, false), false),
            (Kind::of(1, 1024 * kib, false), Kind::of(1, 32_000 * kib, false), true),
            (Kind::of(1, 0, false), Kind::of(2, 0, false), false),
            (Kind::of(1, 0, false), Kind::of(1, 0, true), false),
        ] {
            assert_eq!(one == other, are_alike, "{one:?} {other:?}");
        }
    }
}
