//! Counts of two kinds over the last seconds, without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Parts of a window; the oldest is dropped as a whole.
const SLOTS: usize = 10;

/// What happened in a window of time that moves on. Counts at the seam of two slots may get lost when several threads
/// meet there: this is for rates, not for accounting.
#[derive(Debug)]
pub(crate) struct Window {
    slot_ms: u64,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    /// Which slot of all time this is, plus one.
    number: AtomicU64,
    good: AtomicU32,
    bad: AtomicU32,
}

/// The sums of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successes, or all requests where the others are retries.
    pub good: u32,
    /// Failures, or retries.
    pub bad: u32,
}

impl Window {
    /// A window of this length.
    pub(crate) fn new(length: Duration) -> Self {
        let slot_ms = (super::clock::millis(length) / SLOTS as u64).max(1);
        Self { slot_ms, slots: Default::default() }
    }

    /// Counts one.
    pub(crate) fn add(&self, is_bad: bool, now_ms: u64) {
        let number = now_ms / self.slot_ms + 1;
        let slot = &self.slots[(number % SLOTS as u64) as usize];
        let before = slot.number.load(Ordering::Acquire);
        let is_turn = before != number
            && slot.number.compare_exchange(before, number, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if is_turn {
            slot.good.store(0, Ordering::Relaxed);
            slot.bad.store(0, Ordering::Relaxed);
        }
        if is_bad { &slot.bad } else { &slot.good }.fetch_add(1, Ordering::Relaxed);
    }

    /// The sums up to now.
    pub(crate) fn counts(&self, now_ms: u64) -> Counts {
        let newest = now_ms / self.slot_ms + 1;
        let is_recent = |slot: &&Slot| slot.number.load(Ordering::Acquire) + SLOTS as u64 > newest;
        self.slots.iter().filter(is_recent).fold(Counts::default(), |sum, slot| Counts {
            good: sum.good.saturating_add(slot.good.load(Ordering::Relaxed)),
            bad: sum.bad.saturating_add(slot.bad.load(Ordering::Relaxed)),
        })
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for slot in &self.slots {
            slot.number.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let window = Window::new(Duration::from_secs(10));
        window.add(true, 1);
        window.add(false, 500);
        window.add(false, 5_000);
        assert_eq!(window.counts(9_000), Counts { good: 2, bad: 1 });
        assert_eq!(window.counts(10_500), Counts { good: 1, bad: 0 });
        assert_eq!(window.counts(60_000), Counts::default());
        window.add(true, 60_000);
        assert_eq!(window.counts(60_000), Counts { good: 0, bad: 1 }, "a slot is used again");
        window.clear();
        assert_eq!(window.counts(60_000), Counts::default());
    }
}
