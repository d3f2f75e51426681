//! What the proxy's hooks and the client's connection tell each other while a request is served: deadlines, and heads
//! of responses that are held back. Pure: whoever asks says what time it is.

use super::unsent::Stalled;
use crate::upstream::clock::millis;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// One per client connection (HTTP/1) or request (HTTP/2). Both sides are polled by the same task.
///
/// Pingora watches the client while it waits for an upstream: the connection is therefore the place for deadlines that
/// Pingora has none for. And it is where the head of a response can be held back: an upstream that breaks off right
/// after its head can still be replaced then.
#[derive(Debug, Default)]
pub(crate) struct ResponseHold {
    /// When the response must have begun; 0 for no deadline.
    first_byte_by_ms: AtomicU64,
    /// How long the next head may be held back; 0 for not at all.
    hold_ms: AtomicU64,
    /// Until when the head is held that was written; 0 if none is.
    held_until_ms: AtomicU64,
    /// Whether Pingora is to read a body of one byte, which stands for the whole one.
    is_body_due: AtomicBool,
    /// Whether the client is ended for taking too little of its response, and why.
    stalled: OnceLock<Stalled>,
}

/// What the client's connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing, at no time.
    Nothing,
    /// Nothing before this time.
    At(u64),
    /// The head that is held back goes out.
    Release,
    /// The response has not begun in time.
    Late,
}

impl ResponseHold {
    /// What there is to do now.
    pub(crate) fn due(&self, now_ms: impl FnOnce() -> u64) -> Due {
        let held_until = self.held_until_ms.load(Ordering::Relaxed);
        let (at, due) = match held_until {
            0 => (self.first_byte_by_ms.load(Ordering::Relaxed), Due::Late),
            held_until => (held_until, Due::Release),
        };
        match at {
            0 => Due::Nothing,
            at if at > now_ms() => Due::At(at),
            _ => due,
        }
    }

    /// The client is ended because it does not take its response.
    pub(crate) fn stall(&self, why: Stalled) {
        // Only the first time says why.
        let _ = self.stalled.set(why);
    }

    /// Why the client was ended, if it was for that.
    pub(crate) fn stalled(&self) -> Option<Stalled> {
        self.stalled.get().copied()
    }

    /// The upstream's response has to begin within this time from now.
    pub(crate) fn expect_first_byte(&self, within: Option<Duration>, now_ms: u64) {
        let by = within.map_or(0, |within| now_ms + millis(within).max(1));
        self.first_byte_by_ms.store(by, Ordering::Relaxed);
    }

    /// The upstream's response may begin at any time, or has begun.
    pub(crate) fn expect_nothing(&self) {
        self.first_byte_by_ms.store(0, Ordering::Relaxed);
    }

    /// Whether there is a time by which the response must have begun.
    pub(crate) fn expects_first_byte(&self) -> bool {
        self.first_byte_by_ms.load(Ordering::Relaxed) > 0
    }

    /// Whether the response should have begun by now.
    pub(crate) fn is_late(&self, now_ms: u64) -> bool {
        let by = self.first_byte_by_ms.load(Ordering::Relaxed);
        by > 0 && by <= now_ms
    }

    /// The head that is written next waits for the first byte of its body, up to this long.
    pub(crate) fn hold_next_head(&self, longest: Duration) {
        self.hold_ms.store(millis(longest), Ordering::Relaxed);
    }

    /// Whether the head that is being written is to be held back; it counts as held from here on.
    pub(crate) fn begin_to_hold(&self, now_ms: impl FnOnce() -> u64) -> bool {
        let hold = self.hold_ms.swap(0, Ordering::Relaxed);
        if hold > 0 {
            self.held_until_ms.store(now_ms() + hold, Ordering::Relaxed);
        }
        hold > 0
    }

    /// Whether a head is held back.
    pub(crate) fn is_holding(&self) -> bool {
        self.held_until_ms.load(Ordering::Relaxed) > 0
    }

    /// The head that was held goes out, or is forgotten.
    pub(crate) fn end_hold(&self) {
        self.hold_ms.store(0, Ordering::Relaxed);
        self.held_until_ms.store(0, Ordering::Relaxed);
    }

    /// Pingora will read a body of one byte.
    pub(crate) fn expect_body(&self, is_due: bool) {
        self.is_body_due.store(is_due, Ordering::Relaxed);
    }

    /// Whether Pingora now reads that byte.
    pub(crate) fn take_body(&self) -> bool {
        self.is_body_due.load(Ordering::Relaxed) && self.is_body_due.swap(false, Ordering::Relaxed)
    }

    /// No deadlines, and no body, as long as the guard lives: the client is only watched.
    pub(crate) fn quiet(&self) -> Quiet<'_> {
        self.expect_nothing();
        Quiet { hold: self, is_body_due: self.take_body() }
    }
}

/// See [`ResponseHold::quiet`].
pub(crate) struct Quiet<'c> {
    hold: &'c ResponseHold,
    is_body_due: bool,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.hold.expect_body(self.is_body_due);
    }
}

/// The head of a response that is held back: its bytes (HTTP/1) or its headers (HTTP/2).
#[derive(Debug)]
pub(crate) struct HeldHead<T>(Option<T>);

impl<T> Default for HeldHead<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> HeldHead<T> {
    /// Holds this one back.
    pub(crate) fn keep(&mut self, head: T) {
        self.0 = Some(head);
    }

    /// Whether there is one, be it one that was forgotten.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Ends the hold; the head, if it is to go out. One that was forgotten in the meantime is not.
    pub(crate) fn release(&mut self, hold: &ResponseHold) -> Option<T> {
        let is_wanted = hold.is_holding();
        hold.end_hold();
        self.0.take().filter(|_| is_wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_response_is_late_from_its_deadline_on() {
        let hold = ResponseHold::default();
        assert_eq!(hold.due(|| unreachable!("nobody asks for the time without a deadline")), Due::Nothing);
        hold.expect_first_byte(Some(SECOND), 500);
        for (now, due) in [(500, Due::At(1500)), (1499, Due::At(1500)), (1500, Due::Late), (9000, Due::Late)] {
            assert_eq!((hold.due(|| now), hold.is_late(now)), (due, due == Due::Late), "{now}");
        }
        hold.expect_nothing();
        assert_eq!((hold.due(|| 9000), hold.expects_first_byte()), (Due::Nothing, false));
        hold.expect_first_byte(Some(Duration::ZERO), 500);
        assert_eq!(hold.due(|| 500), Due::At(501), "a deadline of no time is one all the same");
    }

    #[test]
    fn a_head_is_held_once_and_goes_out_when_its_time_is_over() {
        let (hold, mut held) = (ResponseHold::default(), HeldHead::default());
        assert!(!hold.begin_to_hold(|| unreachable!("nothing is to be held")));
        hold.hold_next_head(SECOND);
        assert!(hold.begin_to_hold(|| 500) && !hold.begin_to_hold(|| 500));
        held.keep("head");
        // What was expected of the upstream before does not matter while a head is held.
        hold.expect_first_byte(Some(SECOND), 0);
        for (now, due) in [(500, Due::At(1500)), (1499, Due::At(1500)), (1500, Due::Release)] {
            assert_eq!((hold.due(|| now), hold.is_holding()), (due, true), "{now}");
        }
        assert_eq!((held.release(&hold), held.is_there(), hold.is_holding()), (Some("head"), false, false));
        assert_eq!(held.release(&hold), None);
    }

    #[test]
    fn a_head_that_was_forgotten_does_not_go_out() {
        let (hold, mut held) = (ResponseHold::default(), HeldHead::default());
        hold.hold_next_head(SECOND);
        assert!(hold.begin_to_hold(|| 500));
        held.keep("head");
        hold.end_hold();
        assert_eq!(hold.due(|| 500), Due::Nothing);
        assert!(held.is_there());
        assert_eq!((held.release(&hold), held.is_there()), (None, false));
    }

    #[test]
    fn while_a_client_is_only_watched_nothing_is_expected_of_it_and_its_body_comes_later() {
        let hold = ResponseHold::default();
        hold.expect_body(true);
        hold.expect_first_byte(Some(SECOND), 500);
        let quiet = hold.quiet();
        assert_eq!((hold.take_body(), hold.due(|| 9000)), (false, Due::Nothing));
        drop(quiet);
        assert_eq!((hold.take_body(), hold.take_body()), (true, false));
    }
}
