//! Request bodies in memory, and the bound on all of them together.

use super::body_shares::{Bounds, Evicted, Owners, Progress, Shares};
use crate::config::Limits;
use crate::upstream::clock::now_ms;
use bytes::Bytes;
use gateway_core::http1::Refusal;
use pingora_prometheus::prometheus::{IntCounter, IntGauge};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory for request bodies. One per process.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Locked once for a body of the usual size, and once more when it is gone; larger ones take it at each step.
    shares: Mutex<Shares>,
    held_bytes: IntGauge,
    /// Bodies that had to make room: those that came in too slowly, and those of clients beyond their share.
    evicted: [IntCounter; 2],
}

impl Budget {
    /// A budget that shows itself in these metrics.
    pub(crate) fn new(held_bytes: IntGauge, evicted: [IntCounter; 2]) -> Self {
        Self(Arc::new(Inner { shares: Mutex::default(), held_bytes, evicted }))
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, shares: &Shares) {
        self.0.held_bytes.set(i64::try_from(shares.held_bytes()).unwrap_or(i64::MAX));
    }
}

/// A body's part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Budget,
    owners: Owners,
    number: Option<usize>,
    progress: Option<Arc<Progress>>,
    rewritten_bytes: usize,
}

impl Hold {
    /// A part of nothing yet.
    pub(crate) fn new(budget: &Budget, owners: Owners) -> Self {
        Self { budget: budget.clone(), owners, number: None, progress: None, rewritten_bytes: 0 }
    }

    /// Makes it as large as a body that is there as a whole.
    ///
    /// # Errors
    /// 503 when there is no room.
    pub(crate) fn take_whole(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        self.grow(bytes, limits)
    }

    /// Makes it as large as the buffer of a body that comes in.
    ///
    /// # Errors
    /// 503 when there is no room; what it says when the body had to make room.
    pub(crate) fn grow_to(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        self.progress.get_or_insert_with(|| Arc::new(Progress::new(now_ms())));
        self.check()?;
        self.grow(bytes, limits)
    }

    fn grow(&mut self, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        let bounds = Bounds {
            total_bytes: limits.request_bodies_total,
            body_bytes: limits.request_body,
            min_rate: limits.body_min_rate as u64,
        };
        let mut shares = self.budget.shares();
        let number = *self.number.get_or_insert_with(|| shares.enter(self.owners, self.progress.clone()));
        let grown = shares.grow(number, bytes, bounds, now_ms());
        self.budget.show(&shares);
        drop(shares);
        for why in grown.map_err(|_| Refusal::too_many_bytes())? {
            self.budget.0.evicted[usize::from(why == Evicted::Share)].inc();
        }
        Ok(())
    }

    /// Counts what the gateway itself makes of the body, of which it holds one at a time, and in any case.
    pub(crate) fn charge_rewritten(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.rewritten_bytes);
        if let Some(number) = self.number.filter(|_| more > 0) {
            self.rewritten_bytes = bytes;
            let mut shares = self.budget.shares();
            shares.charge(number, more);
            self.budget.show(&shares);
        }
    }

    /// So many bytes are there by now.
    pub(crate) fn came(&self, bytes: usize) {
        if let Some(progress) = &self.progress {
            progress.came(bytes, now_ms());
        }
    }

    /// Waits until the body has to make room.
    pub(crate) async fn evicted(&self) -> Refusal {
        loop {
            match &self.progress {
                Some(progress) => progress.wake.notified().await,
                None => std::future::pending().await,
            }
            if let Err(refusal) = self.check() {
                return refusal;
            }
        }
    }

    /// Whether the body may go on coming in.
    ///
    /// # Errors
    /// When it had to make room.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.progress.as_ref().and_then(|progress| progress.evicted()) {
            None => Ok(()),
            Some(Evicted::Slow) => Err(Refusal::slow_body()),
            Some(Evicted::Share) => Err(Refusal::over_share()),
        }
    }

    /// The body is whole: it stays.
    ///
    /// # Errors
    /// When it had to make room before.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        match &self.progress {
            Some(progress) if !progress.finish() => self.check(),
            _ => Ok(()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut shares = self.budget.shares();
        shares.leave(number);
        self.budget.show(&shares);
    }
}

/// A whole request body.
#[derive(Debug)]
pub(crate) struct HeldBody {
    /// The body as it is to be sent.
    pub bytes: Bytes,
    /// Its part of the budget; `None` for one that no client sent.
    pub hold: Option<Hold>,
}
