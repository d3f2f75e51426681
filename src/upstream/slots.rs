//! How many requests an upstream gets at one time, and those that wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one upstream.
#[derive(Debug)]
pub struct Slots {
    /// `None`: as many as come.
    free: Option<Arc<Semaphore>>,
    in_flight: Arc<AtomicU32>,
    waiting: AtomicUsize,
    most_waiting: usize,
    longest_wait: Duration,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    in_flight: Arc<AtomicU32>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many requests as may wait are waiting.
    QueueFull,
    /// None became free in time.
    Late,
}

impl Slots {
    /// `most` places; beyond them `most_waiting` requests wait for `longest_wait`.
    pub fn new(most: Option<u32>, most_waiting: usize, longest_wait: Duration) -> Self {
        Self {
            free: most.map(|most| Arc::new(Semaphore::new(most as usize))),
            in_flight: Arc::default(),
            waiting: AtomicUsize::new(0),
            most_waiting,
            longest_wait,
        }
    }

    /// Whether there is a place now.
    pub fn has_room(&self) -> bool {
        self.free.as_ref().is_none_or(|free| free.available_permits() > 0)
    }

    /// A place, if there is one now.
    pub fn take(&self) -> Option<Place> {
        let permit = match &self.free {
            None => None,
            Some(free) => Some(Arc::clone(free).try_acquire_owned().ok()?),
        };
        Some(self.place(permit))
    }

    /// A place, as soon as there is one.
    ///
    /// # Errors
    /// When too many wait already, or it takes too long.
    pub async fn wait(&self) -> Result<Place, NoPlace> {
        let Some(free) = &self.free else { return Ok(self.place(None)) };
        let _turn = Waiting::begin(&self.waiting, self.most_waiting).ok_or(NoPlace::QueueFull)?;
        match tokio::time::timeout(self.longest_wait, Arc::clone(free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(self.place(Some(permit))),
            _ => Err(NoPlace::Late),
        }
    }

    fn place(&self, permit: Option<OwnedSemaphorePermit>) -> Place {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Place { in_flight: Arc::clone(&self.in_flight), _permit: permit }
    }

    /// Requests that have a place, and those that wait for one.
    pub fn counts(&self) -> (u32, usize) {
        (self.in_flight.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one that waits, also when its request is given up in the meantime.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let begun =
            waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < most).then_some(count + 1));
        begun.ok().map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_and_turns_are_bounded_and_given_back() {
        let slots = Arc::new(Slots::new(Some(1), 1, Duration::from_secs(20)));
        let place = slots.take().expect("the first place");
        assert!(!slots.has_room() && slots.take().is_none());
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.wait().await.map(drop) }
        });
        while slots.counts() != (1, 1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.wait().await.err(), Some(NoPlace::QueueFull));
        drop(place);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
        assert_eq!(slots.counts(), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let slots = Slots::new(Some(1), 1, Duration::from_millis(1));
        let _place = slots.take();
        assert_eq!(slots.wait().await.err(), Some(NoPlace::Late));
        assert_eq!(slots.counts().1, 0);
        assert!(Slots::new(None, 0, Duration::ZERO).wait().await.is_ok(), "without a limit nobody waits");
    }
}
