//! Work that takes time and memory, done by one at a time and away from the threads that serve requests.

use super::fault::Fault;
use super::refused::Refused;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long somebody waits for a turn.
const WAIT: Duration = Duration::from_secs(5);
/// How long somebody waits for the work itself. It goes on to its end, and the turn with it.
const WORK: Duration = Duration::from_secs(10);

/// Turns, of which only so many are taken at a time.
#[derive(Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
}

impl Turns {
    /// For one kind of work.
    pub(super) fn new() -> Self {
        Self::of(1)
    }

    /// The same for so many at a time.
    pub(super) fn of(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)) }
    }

    /// A turn, once there is one; it is over when it is dropped.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Refused> {
        match timeout(WAIT, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Fault::Waiting.into()),
        }
    }

    /// Does some work when it is its turn.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
        let turn = self.turn().await?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match timeout(WORK, working).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Refused::failed(error)),
            Err(_) => Err(Fault::TookTooLong { seconds: WORK.as_secs() }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_works_at_a_time() {
        let turns = Turns::new();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            turns.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
            })
        };
        let done = tokio::join!(work(), work(), work());
        assert!(done.0.is_ok() && done.1.is_ok() && done.2.is_ok());
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
