//! Request bodies in memory, and the bound on all of them together.

use bytes::Bytes;
use pingora_prometheus::prometheus::IntGauge;
use std::sync::Arc;

/// Counts the bytes of request bodies that are held. One per process; a gauge that is also a metric.
#[derive(Clone, Debug)]
pub struct Budget(Arc<IntGauge>);

impl Budget {
    /// A budget that is counted by `gauge`.
    pub fn new(gauge: IntGauge) -> Self {
        Self(Arc::new(gauge))
    }
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Budget,
    bytes: usize,
}

impl Hold {
    /// A share of nothing yet.
    pub fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Makes the share `bytes` large; `false` if all shares together would then be larger than `limit`.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize, limit: usize) -> bool {
        let more = i64::try_from(bytes.saturating_sub(self.bytes)).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.budget.0.add(more);
        if self.budget.0.get() > limit {
            self.budget.0.sub(more);
            return false;
        }
        self.bytes = self.bytes.max(bytes);
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.0.sub(i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}

/// A whole request body.
#[derive(Debug)]
pub struct HeldBody {
    /// The body as it is to be sent.
    pub bytes: Bytes,
    /// Its share of the budget.
    pub hold: Hold,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::new(IntGauge::new("held", "held").expect("a gauge"));
        let (mut a, mut b) = (Hold::new(&budget), Hold::new(&budget));
        assert!(a.grow_to(60, 100));
        assert!(!b.grow_to(41, 100));
        assert!(b.grow_to(40, 100) && b.grow_to(10, 100));
        drop(a);
        assert!(b.grow_to(100, 100));
        drop(b);
        assert_eq!(budget.0.get(), 0);
    }
}
