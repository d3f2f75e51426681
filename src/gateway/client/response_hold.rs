//! What the proxy's phases and the client's connection tell each other while a request is served.

use super::unsent::Stalled;
use crate::upstream::clock::{millis, now_ms};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// One per client connection (HTTP/1) or request (HTTP/2). Both sides are polled by the same task.
///
/// Pingora watches the client while it waits for an upstream: the connection is therefore the place for deadlines that
/// Pingora has none for. And it is where the head of an answer can be held back: an upstream that breaks off right
/// after its head can still be replaced then.
#[derive(Debug, Default)]
pub struct ResponseHold {
    /// When the answer must have begun; 0 for no deadline.
    first_byte_by_ms: AtomicU64,
    /// How long the next head may be held back; 0 for not at all.
    hold_ms: AtomicU64,
    /// Until when the head is held that was written; 0 if none is.
    held_until_ms: AtomicU64,
    /// Whether Pingora is to read a body of one byte, which stands for the whole one.
    is_body_due: AtomicBool,
    /// Whether the client is ended for taking too little of its answer, and why.
    stalled: OnceLock<Stalled>,
}

impl ResponseHold {
    /// The client is ended because it does not take its answer.
    pub fn stall(&self, why: Stalled) {
        // Only the first time says why.
        let _ = self.stalled.set(why);
    }

    /// Why the client was ended, if it was for that.
    pub fn stalled(&self) -> Option<Stalled> {
        self.stalled.get().copied()
    }

    /// The upstream's answer has to begin within this time.
    pub fn expect_first_byte(&self, within: Option<Duration>) {
        let by = within.map_or(0, |within| now_ms() + millis(within).max(1));
        self.first_byte_by_ms.store(by, Ordering::Relaxed);
    }

    /// When the answer must have begun.
    pub fn first_byte_by_ms(&self) -> Option<u64> {
        Some(self.first_byte_by_ms.load(Ordering::Relaxed)).filter(|&by| by > 0)
    }

    /// Whether the answer should have begun by now.
    pub fn is_late(&self) -> bool {
        self.first_byte_by_ms().is_some_and(|by| by <= now_ms())
    }

    /// The head that is written next waits for the first byte of its body, up to this long.
    pub fn hold_next_head(&self, longest: Duration) {
        self.hold_ms.store(millis(longest), Ordering::Relaxed);
    }

    /// Whether the head that is being written is to be held back; it counts as held from here on.
    pub fn begin_to_hold(&self) -> bool {
        let hold = self.hold_ms.swap(0, Ordering::Relaxed);
        if hold > 0 {
            self.held_until_ms.store(now_ms() + hold, Ordering::Relaxed);
        }
        hold > 0
    }

    /// Until when a head is held back, if one is.
    pub fn held_until_ms(&self) -> Option<u64> {
        Some(self.held_until_ms.load(Ordering::Relaxed)).filter(|&until| until > 0)
    }

    /// The head that was held goes out, or is forgotten.
    pub fn end_hold(&self) {
        self.hold_ms.store(0, Ordering::Relaxed);
        self.held_until_ms.store(0, Ordering::Relaxed);
    }

    /// Pingora will read a body of one byte.
    pub fn expect_body(&self, is_due: bool) {
        self.is_body_due.store(is_due, Ordering::Relaxed);
    }

    /// Whether Pingora now reads that byte.
    pub fn take_body(&self) -> bool {
        self.is_body_due.load(Ordering::Relaxed) && self.is_body_due.swap(false, Ordering::Relaxed)
    }
}

impl ResponseHold {
    /// No deadlines, and no body, as long as the guard lives: the client is only watched.
    pub fn quiet(&self) -> Quiet<'_> {
        self.expect_first_byte(None);
        Quiet { control: self, is_body_due: self.take_body() }
    }
}

/// See [`ResponseHold::quiet`].
pub struct Quiet<'c> {
    control: &'c ResponseHold,
    is_body_due: bool,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.control.expect_body(self.is_body_due);
    }
}

/// The time until `at_ms`.
pub fn until(at_ms: u64) -> Duration {
    Duration::from_millis(at_ms.saturating_sub(now_ms()))
}
