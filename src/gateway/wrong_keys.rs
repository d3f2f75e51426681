//! Wrong keys, of the panel and of clients: counted by client and in all, and answered late, or not at all, when there
//! are too many. The right key is compared before anything of this is asked: nobody can lock its owner out.

use gateway_core::addresses::client_group;
use gateway_core::recent::Recent;
use moka::sync::Cache;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How many wrong keys are answered at once within [`WINDOW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Free {
    /// Of one client: an address, or an IPv6 network.
    pub by_client: u32,
    /// Of all clients together: an attacker may have many addresses.
    pub in_all: u32,
}

impl Free {
    /// As many as of the panel's keys.
    pub(crate) const FEW: Self = Self { by_client: 5, in_all: 100 };
}

/// How long a wrong key counts.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// How long the answer to one too many waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers that wait at one time, one of each client: others get none, since what waits takes memory.
const MOST_WAITING: usize = 64;
/// Clients that are remembered.
const MOST_CLIENTS: u64 = 10_000;

/// What becomes of a wrong key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is answered at once.
    Counted,
    /// There were too many: the answer has waited.
    Late,
    /// There were too many, and others of this client wait: an answer would tell as many guessers as come at one time.
    Unanswered,
}

/// When it was last warned of something.
#[derive(Default)]
struct Warned(AtomicU64);

impl Warned {
    /// Whether there was none in the minute before: there is one now.
    fn is_due(&self, now: Duration) -> bool {
        // 0 is a minute before the first second.
        let second = (now + WINDOW).as_secs();
        let next = |last: u64| (second >= last + WINDOW.as_secs()).then_some(second);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// The wrong keys of one client.
struct Tried {
    recent: Mutex<Recent>,
    warned: Warned,
    waiting: Semaphore,
    /// In which second one was logged, in the upper half, and how many there were since that were not.
    logged: AtomicU64,
}

impl Default for Tried {
    fn default() -> Self {
        Self {
            recent: Mutex::default(),
            warned: Warned::default(),
            waiting: Semaphore::new(1),
            logged: AtomicU64::new(0),
        }
    }
}

impl Tried {
    /// For how many one stands that comes in this second, those since the last one that was logged, if it is logged:
    /// the first of each second is. One of a second before that, which its thread read earlier, is not.
    fn line(&self, second: u64) -> Option<u64> {
        let is_new = |logged: u64| second > logged >> 32;
        let next = |logged: u64| if is_new(logged) { second << 32 } else { logged + 1 };
        let before = self.logged.update(Ordering::Relaxed, Ordering::Relaxed, next);
        is_new(before).then(|| (before & u64::from(u32::MAX)) + 1)
    }
}

/// The wrong keys of the last minute.
pub(crate) struct WrongKeys {
    /// What they are, in the log.
    what: &'static str,
    by_client: Cache<IpAddr, Arc<Tried>>,
    in_all: Mutex<Recent>,
    warned: Warned,
    began: Instant,
    waiting: Semaphore,
}

impl fmt::Debug for WrongKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrongKeys")
    }
}

impl WrongKeys {
    /// None so far; `what` they are is for the log.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            by_client: Cache::builder().max_capacity(MOST_CLIENTS).time_to_idle(WINDOW * 2).build(),
            in_all: Mutex::default(),
            warned: Warned::default(),
            began: Instant::now(),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    /// Counts one, and waits a moment if there were too many.
    pub(crate) async fn note(&self, client: Option<IpAddr>, free: Free) -> Noted {
        let tried = client.map(|client| self.by_client.get_with(client_group(client), Arc::default));
        if !self.is_too_many(client, tried.as_deref(), free, self.began.elapsed()) {
            return Noted::Counted;
        }
        let own = tried.as_ref().map(|tried| tried.waiting.try_acquire()).transpose();
        match (own, self.waiting.try_acquire()) {
            (Ok(_own), Ok(_place)) => {
                tokio::time::sleep(PAUSE).await;
                Noted::Late
            }
            _ => Noted::Unanswered,
        }
    }

    /// For how many of this client an unanswered one stands, if it is logged: one of each second is.
    pub(crate) fn line(&self, client: Option<IpAddr>) -> Option<u64> {
        let Some(client) = client else { return Some(1) };
        // The seconds begin with 1: 0 is before all of them.
        self.by_client.get_with(client_group(client), Arc::default).line(self.began.elapsed().as_secs() + 1)
    }

    fn is_too_many(&self, client: Option<IpAddr>, tried: Option<&Tried>, free: Free, now: Duration) -> bool {
        let of_client = tried.map_or(0, |tried| noted(&tried.recent, now));
        let in_all = noted(&self.in_all, now);
        let of_one = tried.filter(|_| of_client >= free.by_client);
        let is_all = in_all >= free.in_all;
        if let Some((client, tried)) = client.zip(of_one)
            && tried.warned.is_due(now)
        {
            let (what, most) = (self.what, free.by_client);
            log::warn!(
                "{client} tries wrong {what}, more than {most} within a minute: while it does, one at a time is \
                 answered, slowly"
            );
        }
        if is_all && self.warned.is_due(now) {
            let (what, most) = (self.what, free.in_all);
            log::warn!(
                "clients try wrong {what}, more than {most} of all within a minute: while they do, one of each at a \
                 time is answered, slowly"
            );
        }
        of_one.is_some() || is_all
    }
}

/// Counts one more; how many there were in the minute before. This lock is waited for, since a wrong key that found it
/// taken would go uncounted. Only who has a wrong key waits, and each one holds it for a dozen additions.
fn noted(recent: &Mutex<Recent>, now: Duration) -> u32 {
    recent.lock().unwrap_or_else(PoisonError::into_inner).note(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl WrongKeys {
        async fn is_free(&self, client: Option<IpAddr>) -> bool {
            self.note(client, Free::FEW).await == Noted::Counted
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_an_address_or_an_ipv6_network() {
        let wrong = WrongKeys::new("keys");
        let v6 = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        for last in 0..5 {
            assert!(wrong.is_free(v6(last)).await);
        }
        assert!(!wrong.is_free(v6(99)).await, "another address of the same network");
        assert!(wrong.is_free(Some(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]))).await);
        assert!(wrong.is_free(Some([192, 0, 2, 1].into())).await);
    }

    #[test]
    fn one_of_a_second_is_logged_and_says_how_many_were_not() {
        let tried = Tried::default();
        let lines = |second: u64, count: usize| (0..count).filter_map(|_| tried.line(second)).collect::<Vec<_>>();
        assert_eq!(lines(1, 1), [1]);
        assert_eq!(lines(2, 500), [1]);
        assert_eq!(lines(4, 3), [500]);
        assert_eq!(lines(5, 1), [3]);
        // Another thread read the clock earlier.
        assert!(lines(4, 2).is_empty() && lines(5, 1).is_empty());
        assert_eq!(lines(6, 1), [4]);
        let wrong = WrongKeys::new("keys");
        let of = |last: u8| (0..100).filter_map(|_| wrong.line(Some([192, 0, 2, last].into()))).count();
        assert!((1..=2).contains(&of(1)) && (1..=2).contains(&of(2)), "of each client");
        assert_eq!(wrong.line(None), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn many_clients_together_are_too_many_too() {
        let wrong = WrongKeys::new("keys");
        let mut slow = 0;
        for last in 0..200u8 {
            slow += usize::from(!wrong.is_free(Some([192, 0, 2, last].into())).await);
        }
        assert_eq!(slow, 100);
    }

    #[test]
    fn the_sixth_within_any_minute_is_one_too_many() {
        let (wrong, client) = (WrongKeys::new("keys"), Some([192, 0, 2, 1].into()));
        let at = |second| {
            let tried = wrong.by_client.get_with(client_group([192, 0, 2, 1].into()), Arc::default);
            wrong.is_too_many(client, Some(&tried), Free::FEW, Duration::from_secs(second))
        };
        // The first one is a minute ago when the last ones come, and those before these are not.
        assert_eq!([0, 55, 56, 57, 58, 59, 61, 62].map(at), [false, false, false, false, false, true, true, true]);
        assert!(!at(200));
    }

    #[test]
    fn it_is_warned_of_once_a_minute_while_it_goes_on() {
        let warned = Warned::default();
        let due = |second: &u64| warned.is_due(Duration::from_secs(*second));
        let seconds: Vec<u64> = (0..200).filter(due).collect();
        assert_eq!(seconds, [0, 60, 120, 180]);
        assert!(!warned.is_due(Duration::from_secs(100)), "another thread read the clock earlier");
    }

    /// What `each` wrong keys of some clients learn that come at one time.
    async fn at_once(wrong: &Arc<WrongKeys>, clients: u8, each: usize) -> Vec<Noted> {
        let tries = (0..clients).flat_map(|client| std::iter::repeat_n(Some(IpAddr::from([192, 0, 2, client])), each));
        let tries = tries.map(|client| {
            let wrong = Arc::clone(wrong);
            tokio::spawn(async move { wrong.note(client, Free::FEW).await })
        });
        let mut noted = Vec::new();
        for one in tries.collect::<Vec<_>>() {
            noted.push(one.await.expect("no panic"));
        }
        noted
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_one_of_each_client_is_answered_a_second() {
        let wrong = Arc::new(WrongKeys::new("keys"));
        let began = tokio::time::Instant::now();
        let count = |noted: &[Noted], what| noted.iter().filter(|&&one| one == what).count();
        let first = at_once(&wrong, 1, 1000).await;
        assert_eq!((count(&first, Noted::Counted), count(&first, Noted::Late)), (5, 1));
        for _ in 0..9 {
            assert_eq!(count(&at_once(&wrong, 1, 1000).await, Noted::Late), 1);
        }
        assert_eq!(began.elapsed(), 10 * PAUSE);
        // However many clients there are.
        assert_eq!(count(&at_once(&wrong, 200, 10).await, Noted::Late), MOST_WAITING);
    }
}
