//! The end of a process's work: whether it has begun, and what is still going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::watch;

/// One per process.
#[derive(Debug)]
pub(crate) struct Drain {
    began: watch::Sender<bool>,
    has_successor: AtomicBool,
    busy: AtomicUsize,
}

impl Default for Drain {
    fn default() -> Self {
        Self { began: watch::Sender::new(false), has_successor: AtomicBool::new(false), busy: AtomicUsize::new(0) }
    }
}

impl Drain {
    /// From here on no connection is kept, and whatever waits for news is to end.
    pub(crate) fn begin(&self) {
        self.began.send_replace(true);
    }

    /// Another process serves from here on.
    pub(crate) fn hand_over(&self) {
        self.has_successor.store(true, Ordering::Release);
    }

    /// Whether another process serves, and what is said to this one comes too late.
    pub(crate) fn has_successor(&self) -> bool {
        self.has_successor.load(Ordering::Acquire)
    }

    /// Whether the process finishes what it has, and is to get nothing new.
    pub(crate) fn is_on(&self) -> bool {
        *self.began.borrow()
    }

    /// Resolves when that begins: for streams that would never end by themselves.
    pub(crate) async fn began(&self) {
        // It cannot fail: the sender is a part of this.
        let _ = self.began.subscribe().wait_for(|&began| began).await;
    }

    /// Something has begun that the process waits for before it ends, as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// How much of that is going on.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }
}

/// See [`Drain::enter`].
#[derive(Debug)]
pub(crate) struct Busy(Arc<Drain>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_busy_is_counted_and_the_beginning_is_heard() {
        let drain = Arc::new(Drain::default());
        let busy = [drain.enter(), drain.enter()];
        assert_eq!((drain.busy(), drain.is_on()), (2, false));
        let heard = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move { drain.began().await }
        });
        drain.begin();
        heard.await.expect("heard");
        drain.began().await;
        drop(busy);
        assert_eq!((drain.busy(), drain.is_on()), (0, true));
    }
}
