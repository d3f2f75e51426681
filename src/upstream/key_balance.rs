//! What is known of the balance of a key: the last readings, whether it is used up, and when it is read again.

use super::clock::millis;
use arc_swap::ArcSwap;
use gateway_core::balance::{Balance, Level, Unread};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A key that is used up is back this late at the earliest, whatever is to happen before.
const SOON_MS: u64 = 1_000;

/// How long a key that is used up is left alone without another reading.
const TRUSTED: Duration = Duration::from_secs(24 * 60 * 60);

/// What was read of a balance.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// The last balance, and when it was read.
    pub last: Option<(Balance, SystemTime)>,
    /// Why the last reading told none, if it did not.
    pub fault: Option<Unread>,
}

/// The balance of a key, as far as it is known.
#[derive(Debug, Default)]
pub struct KeyBalance {
    readings: ArcSwap<Readings>,
    /// When it is read next; 0 for as soon as possible.
    next_ms: AtomicU64,
    /// How often somebody wanted it read anew: what was under way by then is old news.
    wishes: AtomicU64,
    /// Until when it counts as used up, if nobody says anything else; 0 if it is not.
    used_up_until_ms: AtomicU64,
    /// Readings that told it, and those that did not.
    good: AtomicU64,
    bad: AtomicU64,
}

impl KeyBalance {
    /// What was read of it.
    pub fn readings(&self) -> Arc<Readings> {
        self.readings.load_full()
    }

    /// Readings that told it, and those that did not.
    pub fn counts(&self) -> (u64, u64) {
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }

    /// Whether it is to be read.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.next_ms.load(Ordering::Relaxed) <= now_ms
    }

    /// Has it read as soon as possible.
    pub fn ask(&self) {
        self.wishes.fetch_add(1, Ordering::AcqRel);
        self.next_ms.store(0, Ordering::Relaxed);
    }

    /// What a reading that begins now has to bring back.
    pub fn wishes(&self) -> u64 {
        self.wishes.load(Ordering::Acquire)
    }

    /// When it is back if it is used up: the next reading says whether it is.
    pub fn out_until(&self, now_ms: u64) -> Option<u64> {
        let is_used_up = self.used_up_until_ms.load(Ordering::Acquire) > now_ms;
        is_used_up.then(|| self.next_ms.load(Ordering::Relaxed).max(now_ms + SOON_MS))
    }

    /// It counts as used up no more, until the next reading.
    pub(super) fn forgive(&self) {
        self.used_up_until_ms.store(0, Ordering::Release);
    }

    /// Nothing is known of it.
    pub(super) fn forget(&self) {
        self.ask();
        self.readings.store(Arc::default());
        self.forgive();
    }

    /// Notes a reading. One that tells nothing changes nothing but that, and one that somebody wanted anew meanwhile nothing at
    /// all. Returns how much it is, if that is known.
    pub(super) fn learn(&self, reading: Reading, now_ms: u64) -> Option<Level> {
        if reading.wishes != self.wishes() {
            return None;
        }
        self.next_ms.store(reading.next_ms, Ordering::Relaxed);
        let balance = match reading.found {
            Ok(balance) => balance,
            Err(fault) => {
                self.bad.fetch_add(1, Ordering::Relaxed);
                let last = self.readings.load().last.clone();
                self.readings.store(Arc::new(Readings { last, fault: Some(fault) }));
                return None;
            }
        };
        self.good.fetch_add(1, Ordering::Relaxed);
        let level = balance.level(reading.rest_below);
        // A relay that never answers again must not keep a key out for ever: after a day a request shows.
        let until = if level == Level::UsedUp { now_ms + millis(TRUSTED) } else { 0 };
        self.used_up_until_ms.store(until, Ordering::Release);
        self.readings.store(Arc::new(Readings { last: Some((balance, SystemTime::now())), fault: None }));
        Some(level)
    }
}

/// A reading of the balance of a key.
#[derive(Debug)]
pub struct Reading {
    /// What it told.
    pub found: Result<Balance, Unread>,
    /// What the operator wants to be left.
    pub rest_below: Option<f64>,
    /// When the next one is.
    pub next_ms: u64,
    /// What [`KeyBalance::wishes`] was when it began.
    pub wishes: u64,
}
