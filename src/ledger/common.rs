//! What requests and the keeper have in common: whose limits there are, and the time.

use super::book::Book;
use super::counts::Counts;
use super::notices::Waiting;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Most requests that wait for the keeper until somebody says how many; more are refused, as all are whom it does not answer
/// in time.
const MOST_WAITING: u32 = 4_096;

/// What requests and the keeper have in common.
#[derive(Debug)]
pub(super) struct Common {
    book: ArcSwap<Book>,
    began: Instant,
    /// Whether the keeper was told that a stock is low.
    is_low: AtomicBool,
    /// Whether other gateways share the ledger, as far as the keeper knows.
    has_others: AtomicBool,
    /// Questions that the keeper has not taken yet.
    waiting: AtomicU32,
    most_waiting: AtomicU32,
    /// What is counted.
    pub counts: Counts,
    /// What somebody is to be told of limits.
    pub notices: Waiting,
}

impl Common {
    pub(super) fn new(counts: Counts) -> Self {
        Self {
            book: ArcSwap::default(),
            began: Instant::now(),
            is_low: AtomicBool::new(false),
            has_others: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            most_waiting: AtomicU32::new(MOST_WAITING),
            counts,
            notices: Waiting::default(),
        }
    }
}

impl Common {
    /// Whose limits there are.
    pub(super) fn book(&self) -> arc_swap::Guard<Arc<Book>> {
        self.book.load()
    }

    /// There are others from here on.
    pub(super) fn set_book(&self, book: Book) {
        self.book.store(Arc::new(book));
    }

    /// Nothing is held of any limit.
    pub(super) fn close_all(&self) {
        self.book().each().for_each(|standing| standing.set(None));
    }

    /// The ledger's own time, which only goes on.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes that a stock is low; whether the keeper is to be told.
    pub(super) fn note_low(&self) -> bool {
        !self.is_low.swap(true, Ordering::Relaxed)
    }

    /// The keeper has heard of it.
    pub(super) fn low_is_heard(&self) {
        self.is_low.store(false, Ordering::Relaxed);
    }

    /// Whether other gateways share the ledger.
    pub(super) fn has_others(&self) -> bool {
        self.has_others.load(Ordering::Relaxed)
    }

    /// The keeper has looked whether they do.
    pub(super) fn set_others(&self, has_others: bool) {
        self.has_others.store(has_others, Ordering::Relaxed);
    }

    /// One more asks the keeper; whether there is room for it.
    pub(super) fn enter(&self) -> bool {
        let most = self.most_waiting.load(Ordering::Relaxed);
        let more = |waiting| (waiting < most).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// So many may ask at one time.
    pub(super) fn bound_waiting(&self, most: u32) {
        self.most_waiting.store(most, Ordering::Relaxed);
    }

    /// The keeper has taken a question.
    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_prometheus::prometheus::Registry;

    #[test]
    fn so_many_may_wait_and_no_more() {
        let counts = Counts::register(&Registry::new()).expect("registered");
        let common = Common::new(counts);
        assert!((0..MOST_WAITING).all(|_| common.enter()) && !common.enter());
        common.leave();
        assert!(common.enter() && !common.enter());
        common.bound_waiting(MOST_WAITING + 1);
        assert!(common.enter() && !common.enter());
    }
}
