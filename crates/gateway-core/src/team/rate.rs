//! Requests a minute: the generic cell rate algorithm, with a share of the rate for each gateway.
//!
//! The limit is on any minute, not on those of the clock: a rate R lets at most R + max(R/10, N) requests through in 60 s with N
//! gateways, each of which may let some through at once. A gateway has one number, the time at which what it let through is
//! paid for; it grows by a request's share of the minute.

use super::atomics::{AtomicI64, AtomicU64, Ordering};
use super::grant::Report;
use super::limit::Limit;
use super::stock::{Lack, nanos};
use std::time::Duration;

const MINUTE: u64 = 60_000_000_000;
/// This part of the rate may come at once.
const AT_ONCE: i64 = 10;

/// How many requests each gateway may let through at once, with a share of a rate: one, and its part of what is left of
/// max(rate / 10, gateways).
pub fn burst(rate: i64, share: i64, gateways: i64) -> i64 {
    let (gateways, rate) = (gateways.max(1), rate.max(1));
    let shared = (rate / AT_ONCE).max(gateways) - gateways;
    let part = i128::from(shared) * i128::from(share.clamp(0, rate)) / i128::from(rate);
    1 + i64::try_from(part).unwrap_or_default()
}

/// A gateway's share of a rate. Times are the gateway's own, since it began; nanoseconds inside.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Rate {
    /// When what was let through is paid for.
    paid_at: AtomicU64,
    /// How long one request takes to be paid for; 0 without a share.
    interval: AtomicU64,
    /// How far ahead of the time that may be.
    ahead: AtomicU64,
    until: AtomicU64,
    let_through: AtomicI64,
    limit: Limit,
    share: AtomicI64,
    window: i64,
}

impl Rate {
    /// One without a share, of the window with this id in the ledger.
    pub fn new(limit: Limit, window: i64) -> Self {
        Self {
            paid_at: AtomicU64::new(0),
            interval: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            until: AtomicU64::new(0),
            let_through: AtomicI64::new(0),
            limit,
            share: AtomicI64::new(0),
            window,
        }
    }

    /// The limit as it was when this was made.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The id of the window.
    pub fn window(&self) -> i64 {
        self.window
    }

    /// How long a request has to wait; `Ok` if not at all.
    pub(super) fn look(&self, now: Duration) -> Result<(), Slow> {
        self.asked(nanos(now), self.paid_at.load(Ordering::Acquire)).map(drop)
    }

    /// Lets a request through. What comes back undoes it, as long as no other came since.
    pub(super) fn take(&self, now: Duration) -> Result<Taken, Slow> {
        let now = nanos(now);
        let (mut slow, mut after) = (Slow::Lack(Lack::Stale), 0);
        let next = |paid_at| match self.asked(now, paid_at) {
            Ok(next) => {
                after = next;
                Some(next)
            }
            Err(why) => {
                slow = why;
                None
            }
        };
        let before = self.paid_at.try_update(Ordering::AcqRel, Ordering::Acquire, next).map_err(|_| slow)?;
        self.let_through.fetch_add(1, Ordering::Relaxed);
        Ok(Taken { before, after })
    }

    /// A request that was let through does not go on, because something else is missing.
    pub(super) fn undo(&self, taken: &Taken) {
        // If another came since, this one stays counted: rather one too many than one too few.
        let undone =
            self.paid_at.compare_exchange(taken.after, taken.before, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.let_through.fetch_sub(i64::from(undone), Ordering::Relaxed);
    }

    fn asked(&self, now: u64, paid_at: u64) -> Result<u64, Slow> {
        let interval = self.interval.load(Ordering::Acquire);
        if interval == 0 || self.until.load(Ordering::Acquire) <= now {
            return Err(Slow::Lack(Lack::Stale));
        }
        let from = paid_at.max(now);
        match (from - now).checked_sub(self.ahead.load(Ordering::Acquire)) {
            None | Some(0) => Ok(from + interval),
            Some(wait) => Err(Slow::Wait(Duration::from_nanos(wait))),
        }
    }

    /// Requests that were let through since this was last asked: by these the keeper knows what is used of the share.
    pub fn take_let_through(&self) -> i64 {
        self.let_through.swap(0, Ordering::Relaxed)
    }

    /// What the keeper tells the ledger, if so many a minute are used: the rest of the share may go elsewhere.
    pub fn report(&self, used: i64) -> Report {
        let share = self.share.load(Ordering::Relaxed);
        let held = used.clamp(0, share);
        Report { granted: share, spent: 0, held, free: share - held }
    }

    /// The keeper sets the share, in requests a minute, and how many of them may come at once (see [`burst`]). What was let
    /// through and is not paid for yet stays as many requests as it was. If those are more than may come at once with a
    /// smaller share, nothing changes for now, and this is false: they are to be paid for from the share that they came
    /// with, or they would be let through a second time elsewhere. So a share that becomes smaller is set before the ledger
    /// is told, and one that becomes larger after it was.
    pub fn set(&self, share: i64, burst: i64, now: Duration, until: Duration) -> bool {
        let (now, share, burst) = (nanos(now), share.max(0), burst.max(1).unsigned_abs());
        let interval = if share == 0 { 0 } else { MINUTE.div_ceil(share.unsigned_abs()) };
        let most = interval.saturating_mul(burst);
        let before = self.interval.load(Ordering::Acquire);
        let is_smaller = interval > before || interval == 0;
        if is_smaller {
            // Whoever comes in between is counted by the smaller one.
            self.interval.store(interval, Ordering::Release);
        }
        let open = |paid_at: u64| match (paid_at.checked_sub(now), before) {
            (None | Some(0), _) => Some(paid_at),
            (Some(open), 0) => (!is_smaller || open == 0).then_some(paid_at),
            (Some(_), _) if interval == 0 => None,
            (Some(open), _) => {
                let open = scaled(open, interval, before);
                (!is_smaller || open <= most).then(|| now.saturating_add(open))
            }
        };
        let is_set = self.paid_at.try_update(Ordering::AcqRel, Ordering::Acquire, open).is_ok();
        if is_set {
            self.ahead.store(most.saturating_sub(interval), Ordering::Release);
            self.share.store(share, Ordering::Relaxed);
        }
        self.interval.store(if is_set { interval } else { before }, Ordering::Release);
        self.until.store(nanos(until), Ordering::Release);
        is_set
    }
}

/// A time that was for requests of one interval, for as many of another one.
fn scaled(open: u64, interval: u64, before: u64) -> u64 {
    let scaled = (u128::from(open) * u128::from(interval)).div_ceil(u128::from(before));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// A request that was let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    before: u64,
    after: u64,
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    /// It is too early, by this.
    Wait(Duration),
    /// There is no share, or it is over.
    Lack(Lack),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOR_EVER: Duration = Duration::MAX;

    fn rate(share: i64, burst: i64) -> Rate {
        let limit = Limit { amount: share.max(1).unsigned_abs(), ..limit() };
        let rate = Rate::new(limit, 1);
        assert!(rate.set(share, burst, Duration::ZERO, FOR_EVER));
        rate
    }

    fn limit() -> Limit {
        "requests:minute:60".parse().expect("a limit")
    }

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(100.0 + seconds)
    }

    #[test]
    fn some_requests_come_at_once_and_then_one_after_the_other() {
        let rate = rate(60, burst(60, 60, 1));
        (0..6).for_each(|_| assert!(rate.take(at(0.0)).is_ok()));
        assert_eq!(rate.look(at(0.0)), Err(Slow::Wait(Duration::from_secs(1))));
        assert_eq!(rate.take(at(0.75)).err(), Some(Slow::Wait(Duration::from_millis(250))));
        assert!(rate.take(at(1.0)).is_ok());
        assert!(rate.take(at(1.5)).is_err());
        assert_eq!((rate.take_let_through(), rate.take_let_through()), (7, 0));
    }

    #[test]
    fn without_a_share_nothing_is_known() {
        let rate = Rate::new(limit(), 1);
        assert_eq!(rate.look(at(0.0)), Err(Slow::Lack(Lack::Stale)));
        assert!(rate.set(60, 1, at(0.0), at(20.0)));
        assert!(rate.take(at(19.0)).is_ok());
        assert_eq!(rate.take(at(20.0)).err(), Some(Slow::Lack(Lack::Stale)));
    }

    #[test]
    fn a_request_that_does_not_go_on_is_taken_back() {
        let rate = rate(60, 1);
        let taken = rate.take(at(0.0)).expect("the first");
        rate.undo(&taken);
        let first = rate.take(at(0.0)).expect("it is as if it had not been there");
        let second = rate.take(at(1.0)).expect("the next");
        rate.undo(&first);
        assert!(rate.take(at(1.0)).is_err(), "another came since");
        rate.undo(&second);
        assert_eq!((rate.take(at(1.0)).is_ok(), rate.take_let_through()), (true, 2));
    }

    #[test]
    fn bursts_of_all_gateways_together_are_no_more_than_is_promised() {
        for gateways in 1..=5_i64 {
            for rate in [1, 5, 9, 10, 11, 20, 49, 60, 100, 1_000, 1_000_000_000_000] {
                let shares = (0..gateways).map(|at| if at == 0 { rate - (gateways - 1) } else { 1 });
                let together: i64 = shares.map(|share| burst(rate, share, gateways)).sum();
                assert!(together <= (rate / 10).max(gateways), "{together} of {rate} with {gateways}");
            }
        }
        assert_eq!((burst(1_000, 1_000, 1), burst(60, 30, 2), burst(5, 5, 1)), (100, 3, 1));
    }

    #[test]
    fn what_is_not_used_of_a_share_may_go_elsewhere_once_its_requests_are_paid_for() {
        let rate = rate(60, 6);
        assert_eq!(rate.report(10), Report { granted: 60, spent: 0, held: 10, free: 50 });
        assert_eq!(rate.report(100), Report { granted: 60, spent: 0, held: 60, free: 0 });
        (0..6).for_each(|_| assert!(rate.take(at(0.0)).is_ok()));
        assert!(!rate.set(30, 3, at(1.0), FOR_EVER), "five are not paid for");
        assert!(rate.set(30, 3, at(3.0), FOR_EVER));
        assert_eq!(rate.look(at(3.0)), Err(Slow::Wait(Duration::from_secs(2))), "three are left, of two seconds each");
        assert!(!rate.set(0, 1, at(8.0), FOR_EVER));
        assert!(rate.set(0, 1, at(9.0), FOR_EVER));
        assert_eq!(rate.look(at(9.0)), Err(Slow::Lack(Lack::Stale)));
        assert!(rate.set(60, 6, at(9.0), FOR_EVER) && rate.take(at(9.0)).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Time(u64),
        Requests(usize, usize),
        Move(usize, usize, i64),
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (1..5_000_u64).prop_map(Step::Time),
            4 => (0..4_usize, 1..40_usize).prop_map(|(gateway, count)| Step::Requests(gateway, count)),
            2 => (0..4_usize, 0..4_usize, 1..200_i64).prop_map(|(from, to, part)| Step::Move(from, to, part)),
        ]
    }

    proptest! {
        /// Gateways that hand shares to each other, as a ledger would have them do, and clients that come to any of them.
        #[test]
        fn no_minute_has_more_than_is_promised(
            amount in prop::sample::select(vec![1_i64, 3, 10, 20, 47, 60, 200, 1_000]),
            gateways in 1..=4_usize,
            steps in prop::collection::vec(steps(), 1..400),
        ) {
            let count = i64::try_from(gateways).expect("few");
            let mut shares: Vec<i64> = (0..gateways).map(|at| if at == 0 { amount } else { 0 }).collect();
            let rates: Vec<Rate> = shares.iter().map(|share| rate(*share, burst(amount, *share, count))).collect();
            let (mut now, mut times) = (1_000_u64, Vec::new());
            for step in steps {
                let at = Duration::from_millis(now);
                match step {
                    Step::Time(ms) => now += ms,
                    Step::Requests(gateway, count) => {
                        let rate = &rates[gateway % gateways];
                        times.extend((0..count).filter(|_| rate.take(at).is_ok()).map(|_| now));
                    }
                    Step::Move(from, to, part) => {
                        let (from, to) = (from % gateways, to % gateways);
                        let part = part.min(shares[from]);
                        let less = shares[from] - part;
                        if from != to && rates[from].set(less, burst(amount, less, count), at, FOR_EVER) {
                            shares[from] = less;
                            shares[to] += part;
                            prop_assert!(rates[to].set(shares[to], burst(amount, shares[to], count), at, FOR_EVER));
                        }
                    }
                }
            }
            let most = usize::try_from(amount + (amount / 10).max(count)).expect("few");
            for (first, begin) in times.iter().enumerate() {
                let in_a_minute = times[first..].iter().take_while(|at| **at < begin + 60_000).count();
                prop_assert!(in_a_minute <= most, "{in_a_minute} of {amount} with {gateways}");
            }
        }
    }
}
