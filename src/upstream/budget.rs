//! How many retries all requests together may make, so that retries cannot make a bad moment worse.

use super::window::Window;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Over how long the share is taken.
const WINDOW: Duration = Duration::from_secs(10);

/// A share of the requests of the last seconds, and some every second in any case.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    percent: u32,
    per_second: u32,
    requests: Window,
    /// The present second in the upper half, its retries in the lower.
    second: AtomicU64,
}

impl RetryBudget {
    /// `percent` of the requests, and at least `per_second`.
    pub(crate) fn new(percent: u32, per_second: u32) -> Self {
        Self { percent, per_second, requests: Window::new(WINDOW), second: AtomicU64::new(0) }
    }

    /// Counts a request.
    pub(crate) fn request(&self, now_ms: u64) {
        self.requests.add(false, now_ms);
    }

    /// Takes one retry, if there is one left.
    pub(crate) fn take(&self, now_ms: u64) -> bool {
        let is_within = self.take_of_second(now_ms / 1000) || {
            let counts = self.requests.counts(now_ms);
            u64::from(counts.bad) * 100 < u64::from(counts.good) * u64::from(self.percent)
        };
        if is_within {
            self.requests.add(true, now_ms);
        }
        is_within
    }

    fn take_of_second(&self, second: u64) -> bool {
        let limit = u64::from(self.per_second);
        let taken = self.second.try_update(Ordering::AcqRel, Ordering::Acquire, |packed| {
            let used = if packed >> 32 == second { packed & u64::from(u32::MAX) } else { 0 };
            (used < limit).then_some(second << 32 | (used + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_retries_are_there_every_second() {
        let budget = RetryBudget::new(0, 2);
        assert_eq!((0..4).filter(|_| budget.take(1_000)).count(), 2);
        assert_eq!((0..4).filter(|_| budget.take(2_000)).count(), 2);
    }

    #[test]
    fn a_share_of_the_requests_may_be_tried_again() {
        let budget = RetryBudget::new(20, 0);
        assert!(!budget.take(1_000));
        (0..50).for_each(|_| budget.request(1_000));
        assert_eq!((0..50).filter(|_| budget.take(1_500)).count(), 10);
        assert!(!budget.take(30_000), "old requests earn nothing");
    }
}
