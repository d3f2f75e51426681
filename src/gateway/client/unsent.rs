//! Responses that clients are slow to take: how long each may wait, and the bound on all of them together.
//!
//! Pingora reads ahead of a client: a queue of pieces, and as many that are being written. That is bounded for each
//! response (see `docs/operations.md`), but not for all: a client that asks for many large responses and reads none of
//! them would have them all in memory until `write_timeout`.

use crate::connections;
use pingora::protocols::SocketDigest;
use pingora_prometheus::prometheus::IntGauge;
use std::collections::{BinaryHeap, HashMap};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// What Pingora reads from an upstream at a time, into a buffer that it keeps as long as the response takes.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// How many pieces it reads ahead: four in its queue, and one that waits for a place there.
const PIECES_AHEAD: usize = 5;
/// How long a client that has not taken a whole batch is not to be blamed for it: one that reads, at 10 Mbit/s, takes
/// it in this time. How often one that is blocked is looked at.
const PATIENCE: Duration = Duration::from_millis(250);

/// The responses of this process that wait for their clients.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// The bytes that they hold; a gauge that is also a metric.
    bytes: IntGauge,
    waiting: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// When it was looked through for responses to give up.
    looked: Option<Instant>,
    answers: HashMap<u64, Waiting>,
}

/// A response that waits.
#[derive(Debug)]
struct Waiting {
    /// Whose it is, as caps and rates count clients.
    client: Option<IpAddr>,
    /// Since when the bytes wait that are being written.
    since: Instant,
    bytes: usize,
    is_given_up: Arc<AtomicBool>,
}

impl Unsent {
    /// No responses; their bytes are counted by `gauge`.
    pub(crate) fn new(gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { bytes: gauge, waiting: Mutex::default() })
    }

    fn add(self: &Arc<Self>, client: Option<IpAddr>, batch: usize, now: Instant) -> Place {
        let bytes = bytes_held(batch);
        let is_given_up = Arc::<AtomicBool>::default();
        let waiting = Waiting { client, since: now, bytes, is_given_up: Arc::clone(&is_given_up) };
        let mut table = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        table.next += 1;
        let number = table.next;
        table.answers.insert(number, waiting);
        self.bytes.add(signed(bytes));
        Place { unsent: Arc::clone(self), number, is_given_up }
    }

    /// Whether a further response of this client would soon have to be given up: all that wait come near the `limit`, and
    /// a large part of it is this client's. Clients that ask again for each response that they lost would otherwise
    /// have as much read ahead for them as the machine can read.
    pub(crate) fn is_full_for(&self, client: Option<IpAddr>, limit: usize) -> bool {
        if self.bytes.get() <= signed(limit / 4 * 3) {
            return false;
        }
        let table = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = table.answers.values().filter(|waiting| waiting.client == client);
        theirs.map(|waiting| waiting.bytes).sum::<usize>() > limit / 4
    }

    /// Gives responses up until the others hold no more than `limit` bytes.
    fn relieve(&self, limit: usize, now: Instant) {
        if self.bytes.get() <= signed(limit) {
            return;
        }
        let mut table = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // All that are blocked ask for this.
        if table.looked.is_some_and(|at| now.saturating_duration_since(at) < PATIENCE / 10) {
            return;
        }
        table.looked = Some(now);
        let excess = usize::try_from(self.bytes.get() - signed(limit)).unwrap_or_default();
        for number in to_give_up(&table.answers, excess, now) {
            if let Some(waiting) = table.answers.remove(&number) {
                waiting.is_given_up.store(true, Ordering::Relaxed);
                self.bytes.sub(signed(waiting.bytes));
            }
        }
    }
}

/// The responses of a client: bytes of all, and since when each waits, its number and its bytes.
type Held = (usize, Vec<(Instant, u64, usize)>);

/// Responses that hold `excess` bytes, or fewer while others have just begun to wait: again and again, of the client
/// whose responses hold most, the one that waits longest.
fn to_give_up(answers: &HashMap<u64, Waiting>, excess: usize, now: Instant) -> Vec<u64> {
    let mut of_each: HashMap<Option<IpAddr>, Held> = HashMap::new();
    for (&number, waiting) in answers {
        let (held, theirs) = of_each.entry(waiting.client).or_default();
        *held += waiting.bytes;
        theirs.push((waiting.since, number, waiting.bytes));
    }
    let mut clients = BinaryHeap::new();
    for (client, (held, theirs)) in &mut of_each {
        theirs.sort_unstable_by(|one, other| other.cmp(one));
        clients.push((*held, *client));
    }
    let (mut given_up, mut freed) = (Vec::new(), 0);
    while freed < excess
        && let Some((held, client)) = clients.pop()
        && let Some((since, number, bytes)) = of_each.get_mut(&client).and_then(|(_, theirs)| theirs.pop())
        // If it has only begun to wait, nobody else pays for it.
        && now.saturating_duration_since(since) >= PATIENCE
    {
        freed += bytes;
        given_up.push(number);
        clients.push((held - bytes, client));
    }
    given_up
}

/// What is held of a response while a batch of so many bytes is being written: it is held until all of it was taken,
/// and the pieces that come behind are not seen here, but as large as these.
fn bytes_held(batch: usize) -> usize {
    batch + PIECES_AHEAD * batch.min(READ_BUFFER_BYTES) + READ_BUFFER_BYTES
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The place of one response among those that wait, as long as it lives.
#[derive(Debug)]
struct Place {
    unsent: Arc<Unsent>,
    number: u64,
    is_given_up: Arc<AtomicBool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.unsent.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = table.answers.remove(&self.number) {
            self.unsent.bytes.sub(signed(waiting.bytes));
        }
    }
}

/// Why a client gets no more of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// It took no byte for too long.
    TooLong,
    /// All responses that wait hold too much, and this one waited longest.
    TooMuch,
    /// Its connection makes room for another one.
    NoRoom,
}

/// Watches how a client takes its response.
#[derive(Debug)]
pub(crate) struct Taking {
    unsent: Arc<Unsent>,
    client: Option<IpAddr>,
    /// Longest time without a byte.
    timeout: Duration,
    /// Bytes that all responses which wait may hold.
    limit: usize,
    socket: Option<Arc<SocketDigest>>,
    /// The place of its connection.
    connection: Option<connections::Place>,
    /// The bytes that were to be written when the last ones had been taken.
    batch: usize,
    blocked: Option<Blocked>,
}

#[derive(Debug)]
struct Blocked {
    place: Place,
    /// When the client took a byte.
    last_byte: Instant,
    /// How many bytes it had acknowledged when that was looked at last.
    acknowledged: u64,
    timer: Pin<Box<Sleep>>,
    /// Once it has lasted for some time.
    untaken: Option<connections::Untaken>,
}

impl Taking {
    /// For a response to `client`, as caps count clients, over `socket`.
    pub(crate) fn new(
        unsent: &Arc<Unsent>,
        client: Option<IpAddr>,
        timeout: Duration,
        limit: usize,
        socket: Option<Arc<SocketDigest>>,
        connection: Option<connections::Place>,
    ) -> Self {
        Self { unsent: Arc::clone(unsent), client, timeout, limit, socket, connection, batch: 0, blocked: None }
    }

    /// The client took some of the `in_hand` bytes that there were for it, and perhaps all.
    pub(crate) fn took(&mut self, some: usize, in_hand: usize) {
        if some >= in_hand {
            self.batch = 0;
            self.blocked = None;
            return;
        }
        self.batch = self.batch.max(in_hand);
        if let Some(blocked) = self.blocked.as_mut().filter(|_| some > 0) {
            blocked.last_byte = Instant::now();
        }
    }

    /// The client takes nothing at the moment of the `in_hand` bytes that there are for it.
    ///
    /// # Errors
    /// When that lasts too long.
    pub(crate) fn poll_blocked(&mut self, cx: &mut Context<'_>, in_hand: usize) -> Result<(), Stalled> {
        let now = Instant::now();
        let tick = PATIENCE.min(self.timeout);
        self.batch = self.batch.max(in_hand);
        let batch = self.batch;
        let (unsent, client) = (&self.unsent, self.client);
        let blocked = self.blocked.get_or_insert_with(|| Blocked {
            place: unsent.add(client, batch, now),
            last_byte: now,
            acknowledged: acknowledged(self.socket.as_deref()),
            timer: Box::pin(tokio::time::sleep(tick)),
            untaken: None,
        });
        while blocked.timer.as_mut().poll(cx).is_ready() {
            if blocked.untaken.is_none() {
                blocked.untaken = self.connection.as_ref().map(connections::Place::untaken);
            }
            self.unsent.relieve(self.limit, now);
            let acknowledged = acknowledged(self.socket.as_deref());
            if std::mem::replace(&mut blocked.acknowledged, acknowledged) != acknowledged {
                blocked.last_byte = now;
            }
            let left = self.timeout.saturating_sub(now.saturating_duration_since(blocked.last_byte));
            if left.is_zero() {
                return Err(Stalled::TooLong);
            }
            if blocked.place.is_given_up.load(Ordering::Relaxed) {
                return Err(Stalled::TooMuch);
            }
            blocked.timer.as_mut().reset((now + PATIENCE.min(left)).into());
        }
        match blocked.untaken.as_mut().map(|untaken| untaken.poll_closing(cx)) {
            Some(Poll::Ready(())) => Err(Stalled::NoRoom),
            _ => Ok(()),
        }
    }
}

/// How many bytes the other end has acknowledged while the kernel still has some for it: it takes new ones from us only
/// when a third of its buffer is free, which a slow client may need minutes for.
fn acknowledged(socket: Option<&SocketDigest>) -> u64 {
    let info = socket.and_then(SocketDigest::tcp_info).filter(|info| info.tcpi_notsent_bytes > 0);
    info.map_or(0, |info| info.tcpi_bytes_acked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent() -> Arc<Unsent> {
        Unsent::new(IntGauge::new("unsent", "unsent").expect("a gauge"))
    }

    fn client(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn of_the_client_that_holds_most_the_answer_that_waits_longest_is_given_up() {
        let (unsent, start) = (unsent(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let alone = unsent.add(client(1), 100_000, at(0));
        let many: Vec<Place> = (0..4).map(|second| unsent.add(client(2), 100_000, at(4 - second))).collect();
        let one = bytes_held(100_000);
        assert_eq!(unsent.bytes.get(), signed(5 * one));
        let given_up = || -> Vec<bool> {
            [&alone].into_iter().chain(&many).map(|it| it.is_given_up.load(Ordering::Relaxed)).collect()
        };
        unsent.relieve(5 * one, at(10));
        assert_eq!(given_up(), vec![false; 5], "they fit");
        unsent.relieve(3 * one, at(10));
        assert_eq!(given_up(), [false, false, false, true, true]);
        assert_eq!(unsent.bytes.get(), signed(3 * one), "what was given up counts no more");
        drop((alone, many));
        assert_eq!(unsent.bytes.get(), 0);
        assert!(unsent.waiting.lock().expect("a table").answers.is_empty());
    }

    #[test]
    fn near_the_limit_who_holds_much_of_it_gets_no_further_response() {
        let (unsent, now) = (unsent(), Instant::now());
        let one = bytes_held(100_000);
        let _many: Vec<Place> = (0..3).map(|_| unsent.add(client(1), 100_000, now)).collect();
        let _few = unsent.add(client(2), 100_000, now);
        let are_full = |limit| [1, 2, 3].map(|last| unsent.is_full_for(client(last), limit));
        assert_eq!(are_full(6 * one), [false; 3], "two thirds");
        assert_eq!(are_full(5 * one), [true, false, false], "four fifths, and one of five is the second's");
        assert_eq!(are_full(3 * one), [true, true, false]);
    }

    #[test]
    fn nobody_is_given_up_who_has_only_begun_to_wait() {
        let (unsent, start) = (unsent(), Instant::now());
        let place = unsent.add(client(1), 100_000, start);
        unsent.relieve(1, start + PATIENCE / 2);
        assert!(!place.is_given_up.load(Ordering::Relaxed));
        unsent.relieve(1, start + PATIENCE);
        assert!(place.is_given_up.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_client_may_take_its_time_as_long_as_it_takes_a_byte_now_and_then() {
        let unsent = unsent();
        let mut taking = Taking::new(&unsent, client(1), Duration::from_millis(100), 1 << 30, None, None);
        let blocked = async |taking: &mut Taking| {
            std::future::poll_fn(|cx| match taking.poll_blocked(cx, 10) {
                Ok(()) => std::task::Poll::Pending,
                Err(stalled) => std::task::Poll::Ready(stalled),
            })
            .await
        };
        for _ in 0..5 {
            assert!(tokio::time::timeout(Duration::from_millis(50), blocked(&mut taking)).await.is_err());
            taking.took(1, 10);
        }
        assert!(unsent.bytes.get() > 0);
        assert_eq!(blocked(&mut taking).await, Stalled::TooLong);
        taking.took(10, 10);
        assert_eq!(unsent.bytes.get(), 0);
        taking.took(90, 100);
        let _ = tokio::time::timeout(Duration::from_millis(1), blocked(&mut taking)).await;
        assert_eq!(unsent.bytes.get(), signed(bytes_held(100)), "a batch is held until the last byte of it was taken");
    }
}
