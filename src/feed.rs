//! Tells those who look on of each request that is over, and what each second brought. Requests never wait for them.

use gateway_core::record::{Outcome, RequestRecord};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// Events that a slow listener may be behind; after that it misses some, and is told how many.
const BEHIND: usize = 256;

/// Requests of those that anybody can send that listeners hear of in one second; of the others only how many there
/// were.
const STRAYS_A_SECOND: usize = 20;

/// What listeners hear.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request is over.
    Request(Arc<RequestRecord>),
    /// A second is over.
    Second(Second),
    /// Another configuration is in force; its version.
    Config(Arc<str>),
    /// The process drains: there will be no more.
    End,
}

/// What one second brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Requests that are over.
    pub requests: u64,
    /// Those of them that completed.
    pub completed: u64,
    /// Those that failed by no doing of the client's.
    pub failed: u64,
    /// Tokens: input, output, written to the cache, read from it.
    pub tokens: [u64; 4],
    /// What those of them cost that have a price, in billionths of a dollar.
    pub cost: u64,
    /// Those that used tokens without a price.
    pub unpriced: u64,
    /// Bytes of answers.
    pub response_bytes: u64,
    /// Requests that listeners were not told of one by one.
    pub untold: u64,
}

/// Where requests tell of themselves.
#[derive(Debug)]
pub(crate) struct Feed {
    events: Sender<Event>,
    /// The channel would take its lock to count them.
    listeners: Arc<AtomicUsize>,
    requests: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    tokens: [AtomicU64; 4],
    cost: AtomicU64,
    unpriced: AtomicU64,
    response_bytes: AtomicU64,
    /// Requests in this second that anybody can send.
    strays: AtomicUsize,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            events: channel(BEHIND).0,
            listeners: Arc::default(),
            requests: AtomicU64::default(),
            completed: AtomicU64::default(),
            failed: AtomicU64::default(),
            tokens: Default::default(),
            cost: AtomicU64::default(),
            unpriced: AtomicU64::default(),
            response_bytes: AtomicU64::default(),
            strays: AtomicUsize::default(),
        }
    }
}

impl Feed {
    /// Tells of a request that is over.
    pub(crate) fn tell(&self, record: &Arc<RequestRecord>) {
        let add = |counter: &AtomicU64, count: u64| {
            counter.fetch_add(count, Ordering::Relaxed);
        };
        add(&self.requests, 1);
        match record.outcome {
            Outcome::Completed => add(&self.completed, 1),
            outcome if outcome.is_failure() => add(&self.failed, 1),
            _ => {}
        }
        if let Some(tokens) = record.answer.as_ref().and_then(|answer| answer.tokens) {
            let counts = [tokens.input, tokens.output, tokens.cache_write, tokens.cache_read];
            self.tokens.iter().zip(counts).for_each(|(counter, count)| add(counter, count));
        }
        add(&self.cost, record.cost.unwrap_or_default());
        add(&self.unpriced, record.is_unpriced().into());
        add(&self.response_bytes, record.response_bytes);
        // A flood of them would leave no room for what was served.
        if !record.is_stray() || self.strays.fetch_add(1, Ordering::Relaxed) < STRAYS_A_SECOND {
            self.send(|| Event::Request(Arc::clone(record)));
        }
    }

    /// Ends a second: tells what it brought.
    pub(crate) fn tick(&self) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let second = Second {
            requests: take(&self.requests),
            completed: take(&self.completed),
            failed: take(&self.failed),
            tokens: [0, 1, 2, 3].map(|kind| take(&self.tokens[kind])),
            cost: take(&self.cost),
            unpriced: take(&self.unpriced),
            response_bytes: take(&self.response_bytes),
            untold: self.strays.swap(0, Ordering::Relaxed).saturating_sub(STRAYS_A_SECOND) as u64,
        };
        self.send(|| Event::Second(second));
    }

    /// Tells listeners something, if there are any. The channel's lock is held for a few instructions, and not taken at
    /// all while nobody listens.
    pub(crate) fn send(&self, event: impl FnOnce() -> Event) {
        if self.listeners.load(Ordering::Relaxed) > 0 {
            // It fails only when the last listener has just left.
            let _ = self.events.send(event());
        }
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> Listener {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Listener { events: self.events.subscribe(), listeners: Arc::clone(&self.listeners) }
    }
}

/// Hears of what happens as long as it lives.
pub(crate) struct Listener {
    events: Receiver<Event>,
    listeners: Arc<AtomicUsize>,
}

impl Listener {
    /// The next event, and how many were missed before it.
    pub(crate) async fn next(&mut self) -> (Event, u64) {
        let mut missed = 0;
        loop {
            match self.events.recv().await {
                Ok(event) => return (event, missed),
                Err(RecvError::Lagged(count)) => missed += count,
                Err(RecvError::Closed) => return (Event::End, missed),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::usage::summary::{Summary, Tokens};

    #[tokio::test]
    async fn listeners_hear_of_each_request_and_of_what_a_second_brought() {
        let feed = Feed::default();
        let answer =
            Summary { tokens: Some(Tokens { input: 3, output: 4, ..Tokens::default() }), ..Summary::default() };
        let record = Arc::new(RequestRecord { answer: Some(answer), cost: Some(7), ..crate::sample::record() });
        // Nobody hears of this one, but it counts.
        feed.tell(&record);
        let mut listener = feed.listen();
        let of_no_price = RequestRecord { answer: record.answer.clone(), ..crate::sample::record() };
        feed.tell(&Arc::new(RequestRecord { outcome: Outcome::Stalled, ..of_no_price }));
        feed.tick();
        feed.tick();
        let (Event::Request(heard), 0) = listener.next().await else { panic!("a request") };
        assert_eq!(heard.outcome, Outcome::Stalled);
        let (Event::Second(second), 0) = listener.next().await else { panic!("a second") };
        let wanted = Second {
            requests: 2,
            completed: 1,
            failed: 1,
            tokens: [6, 8, 0, 0],
            cost: 7,
            unpriced: 1,
            response_bytes: 8,
            untold: 0,
        };
        assert_eq!(second, wanted);
        let (Event::Second(second), 0) = listener.next().await else { panic!("a second") };
        assert_eq!(second, Second::default());
    }

    #[tokio::test]
    async fn a_flood_that_anybody_can_send_leaves_room_for_what_was_served() {
        let feed = Feed::default();
        let mut listener = feed.listen();
        let stray = Arc::new(RequestRecord { outcome: Outcome::Rejected, attempts: 0, ..crate::sample::record() });
        for _ in 0..10 * BEHIND {
            feed.tell(&stray);
        }
        feed.tell(&Arc::new(crate::sample::record()));
        feed.tick();
        let (mut heard, mut served) = (0, 0);
        let second = loop {
            match listener.next().await {
                (Event::Request(record), 0) => {
                    heard += 1;
                    served += usize::from(!record.is_stray());
                }
                (Event::Second(second), 0) => break second,
                _ => panic!("something was missed"),
            }
        };
        assert_eq!((heard, served), (STRAYS_A_SECOND + 1, 1));
        assert_eq!((second.requests, second.untold), (10 * BEHIND as u64 + 1, (10 * BEHIND - STRAYS_A_SECOND) as u64));
    }
}
