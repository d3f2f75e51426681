//! What the proxy's hooks and the client's connection tell each other while a request is served: deadlines, and heads
//! of responses that are held back. Pure: whoever asks says what time it is.

use super::tunnel::Leave;
use super::unsent::Stalled;
use crate::upstream::clock::millis;
use gateway_core::errors::DECIDING_BYTES;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The most that is held of a response, its head included. Beyond it, it goes out. As much of an error decides what follows as
/// `DECIDING_BYTES` says; its head and the lengths of its chunks come on top.
pub(super) const HELD_BYTES: usize = DECIDING_BYTES + 16 * 1024;

/// One per client connection (HTTP/1) or request (HTTP/2). Both sides are polled by the same task.
///
/// Pingora watches the client while it waits for an upstream: the connection is therefore the place for deadlines that
/// Pingora has none for. And it is where the beginning of a response can be held back: an upstream that breaks off right
/// after its head, or whose response turns out to be none, can still be replaced then.
#[derive(Debug, Default)]
pub(crate) struct ResponseHold {
    /// When the response must have begun; 0 for no deadline.
    first_byte_by_ms: AtomicU64,
    /// When an event must have come that says something; 0 for no deadline.
    first_event_by_ms: AtomicU64,
    /// How long the next head may be held back; 0 for not at all.
    hold_ms: AtomicU64,
    /// Until when the head is held that was written; 0 if none is.
    held_until_ms: AtomicU64,
    /// Whether what follows the head is held with it, until somebody says that the response is a good one.
    is_body_held: AtomicBool,
    /// Whether there is no response without something that follows its head.
    must_speak: AtomicBool,
    /// Whether the response ended before it said anything, which no hook saw.
    has_said_nothing: AtomicBool,
    /// Whether Pingora is to read a body of one byte, which stands for the whole one.
    is_body_due: AtomicBool,
    /// Whether the client is ended for taking too little of its response, and why.
    stalled: OnceLock<Stalled>,
    /// Whether the connection may go on, once it is upgraded; none if that needs no leave.
    leave: OnceLock<Leave>,
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The response.
    FirstByte,
    /// An event that says something.
    FirstEvent,
}

/// How much of a response is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Its head, until the first byte of its body is written.
    Head,
    /// All of it, until [`ResponseHold::tell`]; one with nothing in it is no response.
    Beginning,
    /// All of it, until [`ResponseHold::tell`], or its end.
    Error,
}

/// What the client's connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing, at no time.
    Nothing,
    /// Nothing before this time.
    At(u64),
    /// What is held back goes out.
    Release,
    /// The response has not begun in time, or has said nothing in time.
    Late,
}

impl ResponseHold {
    /// What there is to do now.
    pub(crate) fn due(&self, now_ms: impl FnOnce() -> u64) -> Due {
        let held_until = self.held_until_ms.load(Ordering::Relaxed);
        let begun = match held_until {
            0 => (self.first_byte_by_ms.load(Ordering::Relaxed), Due::Late),
            held_until => (held_until, Due::Release),
        };
        let first_event = (self.first_event_by_ms.load(Ordering::Relaxed), Due::Late);
        // With no deadline, which is the rule, nobody asks what time it is.
        let next = [first_event, begun].into_iter().filter(|(at, _)| *at > 0).min_by_key(|(at, _)| *at);
        match next {
            None => Due::Nothing,
            Some((at, _)) if at > now_ms() => Due::At(at),
            Some((_, due)) => due,
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

    /// The connection is upgraded, and goes on for as long as it has leave.
    pub(crate) fn needs_leave(&self, leave: Leave) {
        // A connection is upgraded once.
        let _ = self.leave.set(leave);
    }

    /// Whether the connection may go on, once it is upgraded.
    pub(crate) fn leave(&self) -> Option<&Leave> {
        self.leave.get()
    }

    /// The upstream's response has to begin within this time from now.
    pub(crate) fn expect_first_byte(&self, within: Option<Duration>, now_ms: u64) {
        let by = within.map_or(0, |within| now_ms + millis(within).max(1));
        self.first_byte_by_ms.store(by, Ordering::Relaxed);
    }

    /// An event that says something has to come by then, if there is a deadline.
    pub(crate) fn expect_first_event(&self, by_ms: Option<u64>) {
        self.first_event_by_ms.store(by_ms.unwrap_or_default(), Ordering::Relaxed);
    }

    /// The upstream's response may begin at any time, or has begun.
    pub(crate) fn expect_nothing(&self) {
        self.first_byte_by_ms.store(0, Ordering::Relaxed);
        self.first_event_by_ms.store(0, Ordering::Relaxed);
    }

    /// Whether there is a time by which the response must have begun.
    pub(crate) fn expects_first_byte(&self) -> bool {
        self.first_byte_by_ms.load(Ordering::Relaxed) > 0
    }

    /// What should have come by now, if anything should.
    pub(crate) fn late(&self, now_ms: u64) -> Option<Late> {
        let is_over = |by: &AtomicU64| (1..=now_ms).contains(&by.load(Ordering::Relaxed));
        match () {
            () if is_over(&self.first_byte_by_ms) => Some(Late::FirstByte),
            () if is_over(&self.first_event_by_ms) => Some(Late::FirstEvent),
            () => None,
        }
    }

    /// The head that is written next is held back, up to this long.
    pub(crate) fn hold_next_head(&self, held: Held, longest: Duration) {
        self.hold_ms.store(millis(longest), Ordering::Relaxed);
        self.is_body_held.store(held != Held::Head, Ordering::Relaxed);
        self.must_speak.store(held == Held::Beginning, Ordering::Relaxed);
    }

    /// Whether the client has nothing of the response because somebody has yet to say that it is a good one.
    pub(crate) fn awaits_word(&self) -> bool {
        self.is_body_held.load(Ordering::Relaxed) && self.can_take_back()
    }

    /// Whether that somebody is to say so of a response with nothing in it too.
    pub(super) fn must_speak(&self) -> bool {
        self.awaits_word() && self.must_speak.load(Ordering::Relaxed)
    }

    /// Whether nothing of the response went out yet that is to be held back.
    pub(crate) fn can_take_back(&self) -> bool {
        self.hold_ms.load(Ordering::Relaxed) > 0 || self.is_holding()
    }

    /// The response is a good one, or nobody can tell: what is held goes out with what is written next.
    pub(crate) fn tell(&self) {
        self.hold_no_more();
        self.first_event_by_ms.store(0, Ordering::Relaxed);
    }

    /// What is held goes out with what is written next, whatever the response turns out to be.
    pub(super) fn hold_no_more(&self) {
        self.hold_ms.store(0, Ordering::Relaxed);
        self.is_body_held.store(false, Ordering::Relaxed);
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

    /// Whether what is written is held with the head that is held already.
    pub(super) fn holds_body(&self) -> bool {
        self.is_holding() && self.is_body_held.load(Ordering::Relaxed)
    }

    /// The response is over, and nothing came but its head. Of an HTTP/2 upstream Pingora shows no hook such an end.
    pub(super) fn say_nothing(&self) {
        self.has_said_nothing.store(true, Ordering::Relaxed);
    }

    /// Whether that happened.
    pub(crate) fn take_nothing(&self) -> bool {
        self.has_said_nothing.swap(false, Ordering::Relaxed)
    }

    /// What was held goes out, or is forgotten.
    pub(crate) fn end_hold(&self) {
        self.hold_ms.store(0, Ordering::Relaxed);
        self.held_until_ms.store(0, Ordering::Relaxed);
        self.is_body_held.store(false, Ordering::Relaxed);
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

/// What is held back of a response: its bytes (HTTP/1), or its headers and pieces of its body (HTTP/2).
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

    /// What is held, to add to it.
    pub(crate) fn kept(&mut self) -> Option<&mut T> {
        self.0.as_mut()
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
            let late = (due == Due::Late).then_some(Late::FirstByte);
            assert_eq!((hold.due(|| now), hold.late(now)), (due, late), "{now}");
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
        hold.hold_next_head(Held::Head, SECOND);
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
    fn an_event_is_waited_for_while_a_head_is_held_and_after_it_went_out() {
        for (held_until, first) in [(1500, Due::Release), (5000, Due::Late)] {
            let (hold, mut held) = (ResponseHold::default(), HeldHead::default());
            hold.hold_next_head(Held::Beginning, Duration::from_millis(held_until - 500));
            hold.expect_first_event(Some(3000));
            assert!(hold.begin_to_hold(|| 500) && hold.awaits_word() && hold.holds_body());
            held.keep("head");
            let at = held_until.min(3000);
            assert_eq!((hold.due(|| 500), hold.due(|| at)), (Due::At(at), first));
            assert_eq!(held.release(&hold), Some("head"));
            assert!(!hold.awaits_word() && !hold.holds_body(), "what went out cannot be taken back");
            assert_eq!((hold.due(|| 2999), hold.late(2999)), (Due::At(3000), None));
            assert_eq!((hold.due(|| 3000), hold.late(3000)), (Due::Late, Some(Late::FirstEvent)));
        }
    }

    #[test]
    fn a_good_response_is_held_no_longer() {
        let hold = ResponseHold::default();
        hold.hold_next_head(Held::Beginning, SECOND);
        assert!(hold.awaits_word() && !hold.holds_body(), "the head was not written yet");
        hold.tell();
        assert!(!hold.awaits_word() && !hold.begin_to_hold(|| unreachable!("nothing is to be held")));
        hold.hold_next_head(Held::Beginning, SECOND);
        hold.expect_first_event(Some(3000));
        assert!(hold.begin_to_hold(|| 500) && hold.holds_body());
        hold.tell();
        assert!(hold.is_holding() && !hold.holds_body(), "it goes out with the next piece");
        assert_eq!(hold.due(|| 1000), Due::At(1500), "no event is waited for");
    }

    #[test]
    fn a_head_that_was_forgotten_does_not_go_out() {
        let (hold, mut held) = (ResponseHold::default(), HeldHead::default());
        hold.hold_next_head(Held::Head, SECOND);
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
