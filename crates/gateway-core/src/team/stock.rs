//! What a gateway holds of a lease: numbers that requests take from and give back to, without a lock. Only the keeper, of which
//! a gateway has one, adds to them and takes away.
//!
//! `granted = free + held + spent` at any time at which no request is in the middle of a step. A step first takes and then
//! counts, or first counts and then gives back, so that the keeper, who may read in between, never sees less than is used.

use super::atomics::{AtomicI64, AtomicU64, Ordering};
use super::grant::{Granted, Report};
use super::limit::{Kind, Limit};
use std::time::Duration;

/// A stock is low when less than one in so many is left of what it had when it was filled.
const LOW: i64 = 4;

/// A gateway's stock of one window. Times are the gateway's own, since it began.
///
/// What a request looks at is in the first 64 bytes, which a processor fetches at once: with ten thousand tokens few of them
/// are there already.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Stock {
    free: AtomicI64,
    held: AtomicI64,
    spent: AtomicI64,
    /// Until when it may be used, in nanoseconds.
    until: AtomicU64,
    /// What was free when it was filled, if the ledger has more.
    filled: AtomicI64,
    limit: Limit,
    granted: AtomicI64,
    unspent: AtomicI64,
    /// What there was to spend, for whoever, before this gateway spent something.
    whole: AtomicI64,
    window: i64,
}

/// Why a stock has nothing for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The lease is over, or there was none yet: nothing is known.
    Stale,
    /// So much is missing.
    Missing {
        /// How much.
        amount: i64,
    },
}

impl Stock {
    /// An empty one, of the window with this id in the ledger, that may not be used yet.
    pub fn new(limit: Limit, window: i64) -> Self {
        Self {
            free: AtomicI64::new(0),
            held: AtomicI64::new(0),
            spent: AtomicI64::new(0),
            until: AtomicU64::new(0),
            filled: AtomicI64::new(0),
            limit,
            granted: AtomicI64::new(0),
            unspent: AtomicI64::new(0),
            whole: AtomicI64::new(0),
            window,
        }
    }

    /// The limit as it was when the stock was made; its amount may have changed since.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The id of the window.
    pub fn window(&self) -> i64 {
        self.window
    }

    /// What nobody had spent of the window when the ledger was last asked, wherever it is.
    pub fn unspent(&self) -> i64 {
        self.unspent.load(Ordering::Relaxed)
    }

    /// What nobody has spent of the window, as far as this gateway knows: what others spent since the last tick is not in it.
    pub fn left(&self) -> i64 {
        self.whole.load(Ordering::Relaxed).saturating_sub(self.spent.load(Ordering::Relaxed))
    }

    /// The keeper hears that of a window, of which it told that this gateway had spent so much.
    pub fn hear(&self, granted: &Granted, told: i64) {
        self.whole.store(granted.unspent.saturating_add(told), Ordering::Relaxed);
    }

    /// Takes what a request is likely to use.
    pub(crate) fn reserve(&self, amount: i64, now: Duration) -> Result<(), Lack> {
        if self.until.load(Ordering::Acquire) <= nanos(now) {
            return Err(Lack::Stale);
        }
        let take = |free: i64| (free >= amount).then(|| free - amount);
        let taken = self.free.try_update(Ordering::AcqRel, Ordering::Acquire, take);
        taken.map_err(|free| Lack::Missing { amount: amount.saturating_sub(free) })?;
        self.held.fetch_add(amount, Ordering::AcqRel);
        Ok(())
    }

    /// Whether it may be used, and has so little left that the keeper should ask for more.
    pub(super) fn is_low(&self) -> bool {
        self.free.load(Ordering::Relaxed) < self.filled.load(Ordering::Relaxed) / LOW
    }

    /// A request is over that took so much, and used so much: more than it took, perhaps. Whether that was more than there
    /// was: others have to know of such a debt, or they spend what it takes. Places are not used up.
    pub(crate) fn settle(&self, taken: i64, used: i64) -> bool {
        let used = if self.limit.kind() == Kind::Places { 0 } else { used.max(0) };
        self.spent.fetch_add(used, Ordering::AcqRel);
        self.held.fetch_sub(taken, Ordering::AcqRel);
        let back = taken - used;
        let free = self.free.fetch_add(back, Ordering::AcqRel).saturating_add(back);
        back < 0 && free < 0
    }

    /// Whether no request holds anything of it.
    pub fn is_at_rest(&self) -> bool {
        self.held.load(Ordering::Acquire) == 0
    }

    /// What the keeper tells the ledger. What is held is read first: a request that is settled meanwhile may count twice, but
    /// never not at all.
    pub fn report(&self) -> Report {
        let free = self.free.load(Ordering::Acquire);
        let held = self.held.load(Ordering::Acquire);
        let spent = self.spent.load(Ordering::Acquire);
        Report { granted: self.granted.load(Ordering::Acquire), spent, held, free }
    }

    /// The keeper takes back so much of what is free, or as much as there is, to tell the ledger with its next report.
    pub fn withdraw(&self, most: i64) -> i64 {
        let mut taken = 0;
        self.free.update(Ordering::AcqRel, Ordering::Acquire, |free| {
            taken = most.clamp(0, free.max(0));
            free - taken
        });
        self.granted.fetch_sub(taken, Ordering::AcqRel);
        self.filled.store(0, Ordering::Relaxed);
        taken
    }

    /// The keeper does what the ledger asks for beside: gives back what others wait for or are owed, to tell with its next
    /// report, which is due at once if this is true.
    pub fn give_back(&self, granted: &Granted) -> bool {
        self.free.fetch_sub(granted.owed, Ordering::AcqRel);
        self.granted.fetch_sub(granted.owed, Ordering::AcqRel);
        self.withdraw(granted.recalled) > 0 || granted.owed > 0
    }

    /// The keeper adds what the ledger granted, for use until then: 20 s after the tick was sent, or when the window ends.
    pub fn fill(&self, granted: &Granted, until: Duration) {
        let before = self.granted.swap(granted.granted, Ordering::AcqRel);
        let added = granted.granted.saturating_sub(before);
        let free = self.free.fetch_add(added, Ordering::AcqRel).saturating_add(added);
        self.unspent.store(granted.unspent, Ordering::Relaxed);
        if added > 0 || !granted.has_more {
            self.filled.store(if granted.has_more { free } else { 0 }, Ordering::Relaxed);
        }
        self.until.store(nanos(until), Ordering::Release);
    }

    /// The ledger is away, and the gateway may go on with this beside what it has (`on_store_loss`).
    pub fn extend(&self, more: i64, until: Duration) {
        self.free.fetch_add(more, Ordering::AcqRel);
        self.granted.fetch_add(more, Ordering::AcqRel);
        self.until.store(nanos(until), Ordering::Release);
    }

    /// The ledger has charged this for the lease, and no row of it any more: the keeper closed it, or it was taken for lost.
    /// What is used since, or is still to be settled, begins anew from there; what was free is gone.
    pub fn begin_anew(&self, charged: i64) {
        self.until.store(0, Ordering::Release);
        self.withdraw(i64::MAX);
        self.whole.fetch_sub(charged, Ordering::Relaxed);
        self.spent.fetch_sub(charged, Ordering::AcqRel);
        self.granted.fetch_sub(charged, Ordering::AcqRel);
    }
}

/// A time in nanoseconds, which last for five hundred years.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(30);

    fn stock(limit: &str, granted: i64) -> Stock {
        let stock = Stock::new(limit.parse().expect(limit), 7);
        stock.fill(&Granted { granted, unspent: granted, has_more: true, ..Granted::default() }, LATER);
        stock
    }

    fn report(stock: &Stock) -> [i64; 4] {
        let Report { granted, spent, held, free } = stock.report();
        assert_eq!(granted, spent + held + free);
        [granted, spent, held, free]
    }

    #[test]
    fn a_request_takes_what_it_may_use_and_gives_back_what_it_did_not() {
        let stock = stock("usd:day:5", 100);
        assert_eq!(stock.reserve(30, NOW), Ok(()));
        assert_eq!(report(&stock), [100, 0, 30, 70]);
        assert!(!stock.settle(30, 10));
        assert_eq!(report(&stock), [100, 10, 0, 90]);
        assert_eq!(stock.reserve(91, NOW), Err(Lack::Missing { amount: 1 }));
        assert_eq!(stock.reserve(90, NOW), Ok(()));
        // More than it was taken for: the debt stays.
        assert!(stock.settle(90, 150));
        assert_eq!(report(&stock), [100, 160, 0, -60]);
        assert_eq!(stock.reserve(1, NOW), Err(Lack::Missing { amount: 61 }));
        assert!(stock.is_at_rest());
    }

    #[test]
    fn a_lease_that_is_over_gives_nothing() {
        let stock = stock("usd:day:5", 100);
        assert_eq!(stock.reserve(1, LATER - Duration::from_nanos(1)), Ok(()));
        assert_eq!(stock.reserve(1, LATER), Err(Lack::Stale));
        assert_eq!(Stock::new("usd:day:5".parse().expect("a limit"), 7).reserve(0, Duration::ZERO), Err(Lack::Stale));
        // What was taken in time is settled all the same.
        stock.settle(1, 5);
        assert_eq!(report(&stock), [100, 5, 0, 95]);
    }

    #[test]
    fn places_come_back() {
        let stock = stock("requests:now:2", 2);
        assert_eq!((stock.reserve(1, NOW), stock.reserve(1, NOW)), (Ok(()), Ok(())));
        assert_eq!(stock.reserve(1, NOW), Err(Lack::Missing { amount: 1 }));
        stock.settle(1, 1);
        assert_eq!(report(&stock), [2, 0, 1, 1]);
    }

    #[test]
    fn the_keeper_adds_and_takes_back() {
        let stock = stock("usd:day:5", 100);
        assert_eq!(stock.reserve(60, NOW), Ok(()));
        assert_eq!(stock.withdraw(25), 25);
        assert_eq!(report(&stock), [75, 0, 60, 15]);
        assert_eq!(stock.withdraw(100), 15);
        assert_eq!(stock.withdraw(100), 0);
        stock.settle(60, 80);
        assert_eq!(report(&stock), [60, 80, 0, -20]);
        assert_eq!(stock.withdraw(100), 0, "a debt is nothing to give back");
        // The ledger has 100 more, of which 20 are the debt's.
        stock.fill(&Granted { granted: 180, unspent: 500, has_more: true, ..Granted::default() }, LATER);
        assert_eq!((report(&stock), stock.unspent()), ([180, 80, 0, 100], 500));
        stock.extend(50, LATER);
        assert_eq!(report(&stock), [230, 80, 0, 150]);
        // What is recalled is what is free, and what is owed is more, if need be.
        assert_eq!(stock.reserve(100, NOW), Ok(()));
        assert!(stock.give_back(&Granted { owed: 70, recalled: 9, ..Granted::default() }));
        assert_eq!(report(&stock), [160, 80, 100, -20]);
        assert!(!stock.give_back(&Granted { recalled: 9, ..Granted::default() }));
        stock.settle(100, 70);
        assert_eq!(report(&stock), [160, 150, 0, 10]);
    }

    #[test]
    fn a_stock_is_low_when_a_quarter_is_left_and_there_is_more_to_be_had() {
        let stock = stock("usd:day:5", 100);
        assert_eq!((stock.reserve(75, NOW), stock.is_low()), (Ok(()), false));
        assert_eq!((stock.reserve(1, NOW), stock.is_low()), (Ok(()), true));
        let all = Granted { granted: 100, unspent: 100, ..Granted::default() };
        stock.fill(&all, LATER);
        assert!(!stock.is_low(), "there is no more");
        stock.fill(&Granted { granted: 150, has_more: true, ..all }, LATER);
        assert!(!stock.is_low());
    }

    #[test]
    fn a_lease_that_was_taken_for_lost_goes_on_from_what_was_charged() {
        let stock = stock("usd:day:5", 100);
        assert_eq!((stock.reserve(20, NOW), stock.reserve(30, NOW)), (Ok(()), Ok(())));
        stock.settle(20, 10);
        // The ledger was told 10 and 30, and charged 40. Since then 30 became 35.
        stock.settle(30, 35);
        stock.begin_anew(40);
        assert_eq!(report(&stock), [5, 5, 0, 0], "with the 40 these are the 45 that were spent");
        assert_eq!(stock.reserve(0, NOW), Err(Lack::Stale));
    }

    #[test]
    fn the_keeper_never_sees_less_than_is_used() {
        let stock = stock("usd:day:5", 1_000_000_000);
        let settled = AtomicI64::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for at in 0..20_000_i64 {
                            assert_eq!(stock.reserve(100, NOW), Ok(()));
                            // Some use more, and some less.
                            let used = at % 200;
                            stock.settle(100, used);
                            settled.fetch_add(used, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                let at_least = settled.load(Ordering::SeqCst);
                let told = stock.report();
                assert!(told.spent + told.held >= at_least, "{told:?} of {at_least}");
                let taken = stock.withdraw(10);
                let granted = stock.report().granted + taken;
                stock.fill(&Granted { granted, has_more: true, ..Granted::default() }, LATER);
            }
        });
        assert_eq!(report(&stock)[1..3], [settled.load(Ordering::SeqCst), 0]);
    }

    #[test]
    fn what_is_left_of_a_window_goes_down_with_each_request_and_stays_when_the_lease_is_over() {
        let stock = Stock::new("usd:day:0.000001".parse().expect("a limit"), 7);
        let granted = Granted { granted: 500, recalled: 0, owed: 0, unspent: 800, has_more: true };
        stock.hear(&granted, 0);
        stock.fill(&granted, LATER);
        assert_eq!(stock.left(), 800);
        stock.reserve(100, NOW).expect("taken");
        assert_eq!(stock.left(), 800, "it is not known yet what it uses");
        stock.settle(100, 60);
        assert_eq!(stock.left(), 740);
        // Others spent 40 in the meantime.
        stock.hear(&Granted { unspent: 700, ..granted }, 60);
        assert_eq!(stock.left(), 700);
        stock.begin_anew(60);
        assert_eq!(stock.left(), 700);
    }
}
