//! How many requests an upstream gets at one time, and those that wait for their turn.

use super::sessions::Owner;
use super::turns::Turns;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The places of one upstream.
#[derive(Debug)]
pub struct Slots {
    shared: Arc<Shared>,
    longest_wait: Duration,
}

#[derive(Debug)]
struct Shared {
    in_flight: AtomicU32,
    /// `None`: as many as come.
    bound: Option<Bound>,
}

#[derive(Debug)]
struct Bound {
    /// Places that nobody has; more only while `waiting` is locked, and none while somebody waits.
    free: AtomicU32,
    /// Locked for a few instructions: by requests that find no place, and by those that give one back.
    waiting: Mutex<Turns<oneshot::Sender<Place>>>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub struct Place(Option<Arc<Shared>>);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many requests as may wait are waiting.
    QueueFull,
    /// None became free in time.
    Late,
    /// There is no key that is used.
    NoKey,
}

impl Slots {
    /// `most` places; beyond them `most_waiting` requests wait for `longest_wait`.
    pub fn new(most: Option<u32>, most_waiting: usize, longest_wait: Duration) -> Self {
        let bound = most.map(|most| Bound { free: most.into(), waiting: Mutex::new(Turns::new(most_waiting)) });
        Self { shared: Arc::new(Shared { in_flight: AtomicU32::new(0), bound }), longest_wait }
    }

    /// Whether there is a place now.
    pub fn has_room(&self) -> bool {
        self.shared.bound.as_ref().is_none_or(|bound| bound.free.load(Ordering::Relaxed) > 0)
    }

    /// A place, if there is one now.
    pub fn take(&self) -> Option<Place> {
        self.shared.bound.as_ref().is_none_or(Bound::take).then(|| self.place())
    }

    /// A place, as soon as it is this sender's turn.
    ///
    /// # Errors
    /// When too many wait already, or it takes too long.
    pub async fn wait(&self, sender: Owner) -> Result<Place, NoPlace> {
        let Some(bound) = &self.shared.bound else { return Ok(self.place()) };
        let (place, turn) = oneshot::channel();
        let number = {
            let mut waiting = bound.waiting();
            // It may have become free in the meantime, and is not given back while this is locked.
            if bound.take() {
                return Ok(self.place());
            }
            let (number, left) = waiting.join(sender, place).ok_or(NoPlace::QueueFull)?;
            // That one learns by this that its place in the queue is gone.
            drop(left);
            number
        };
        let _waits = Waits { bound, sender, number };
        match tokio::time::timeout(self.longest_wait, turn).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(NoPlace::QueueFull),
            Err(_) => Err(NoPlace::Late),
        }
    }

    fn place(&self) -> Place {
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Place(Some(Arc::clone(&self.shared)))
    }

    /// Requests that have a place, and those that wait for one.
    pub fn counts(&self) -> (u32, usize) {
        let waiting = self.shared.bound.as_ref().map_or(0, |bound| bound.waiting().len());
        (self.shared.in_flight.load(Ordering::Relaxed), waiting)
    }
}

impl Bound {
    fn waiting(&self) -> MutexGuard<'_, Turns<oneshot::Sender<Place>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> bool {
        self.free.try_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1)).is_ok()
    }
}

impl Drop for Place {
    /// Gives the place to whose turn it is.
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let Some(bound) = &shared.bound else {
            shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let mut place = Place(Some(Arc::clone(&shared)));
        let mut waiting = bound.waiting();
        while let Some(turn) = waiting.next_turn() {
            match turn.send(place) {
                Ok(()) => return,
                // It has just gone.
                Err(back) => place = back,
            }
        }
        place.0 = None;
        shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        bound.free.fetch_add(1, Ordering::AcqRel);
    }
}

/// One that waits, also when its request is given up in the meantime.
struct Waits<'b> {
    bound: &'b Bound,
    sender: Owner,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.bound.waiting().leave(self.sender, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Owner = Owner::Key(1);

    async fn waiting(slots: &Slots, count: usize) {
        while slots.counts().1 != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn places_and_turns_are_bounded_and_given_back() {
        let slots = Arc::new(Slots::new(Some(1), 1, Duration::from_secs(20)));
        let place = slots.take().expect("the first place");
        assert!(!slots.has_room() && slots.take().is_none());
        let task = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.wait(SENDER).await.map(drop) }
        });
        waiting(&slots, 1).await;
        assert_eq!(slots.counts(), (1, 1));
        assert_eq!(slots.wait(SENDER).await.err(), Some(NoPlace::QueueFull));
        drop(place);
        assert_eq!(task.await.expect("no panic"), Ok(()));
        assert_eq!(slots.counts(), (0, 0));
        assert!(slots.has_room());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let slots = Slots::new(Some(1), 1, Duration::from_millis(1));
        let _place = slots.take();
        assert_eq!(slots.wait(SENDER).await.err(), Some(NoPlace::Late));
        assert_eq!(slots.counts().1, 0);
        assert!(Slots::new(None, 0, Duration::ZERO).wait(SENDER).await.is_ok(), "without a limit nobody waits");
    }

    #[tokio::test]
    async fn a_place_in_the_queue_can_go_to_another_sender() {
        let slots = Arc::new(Slots::new(Some(1), 2, Duration::from_secs(20)));
        let place = slots.take().expect("the first place");
        let wait = |sender: u64| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move { slots.wait(Owner::Key(sender)).await })
        };
        let first = wait(1);
        waiting(&slots, 1).await;
        let second = wait(1);
        waiting(&slots, 2).await;
        let other = wait(2);
        assert_eq!(second.await.expect("no panic").err(), Some(NoPlace::QueueFull));
        waiting(&slots, 2).await;
        drop(place);
        let place = first.await.expect("no panic").expect("its turn");
        assert_eq!(slots.counts(), (1, 1));
        drop(place);
        drop(other.await.expect("no panic").expect("its turn"));
        assert_eq!(slots.counts(), (0, 0));
    }

    #[tokio::test]
    async fn a_place_that_is_given_to_one_who_left_goes_to_the_next() {
        let slots = Slots::new(Some(1), 2, Duration::from_secs(20));
        let place = slots.take().expect("the first place");
        {
            let mut leaves = std::pin::pin!(slots.wait(SENDER));
            assert!(futures::poll!(leaves.as_mut()).is_pending());
            drop(place);
            // It has its place already, and never looks.
        }
        assert_eq!(slots.counts(), (0, 0));
        assert!(slots.take().is_some());
    }
}
