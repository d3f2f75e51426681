//! What requests and the keeper have in common: whose limits there are, and the time.

use super::book::Book;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What requests and the keeper have in common.
#[derive(Debug)]
pub(super) struct Common {
    book: ArcSwap<Book>,
    began: Instant,
    /// Whether the keeper was told that a stock is low.
    is_low: AtomicBool,
}

impl Default for Common {
    fn default() -> Self {
        Self { book: ArcSwap::default(), began: Instant::now(), is_low: AtomicBool::new(false) }
    }
}

/// Milliseconds since 1970, by the clock of the ledger: with a file that is this machine's.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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

    /// The ledger's own time, which only goes on.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A stock is low; whether the keeper is to be told.
    pub(super) fn is_low(&self) -> bool {
        !self.is_low.swap(true, Ordering::Relaxed)
    }

    /// The keeper has heard of it.
    pub(super) fn low_is_heard(&self) {
        self.is_low.store(false, Ordering::Relaxed);
    }
}
