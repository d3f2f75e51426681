//! What is remembered of clients: sessions that had to move, and keys that have to wait.

use crate::config::resilience::Affinity;
use gateway_core::addresses::client_group;
use moka::Expiry;
use moka::sync::Cache;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What requests stay together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// The client names it.
    Named(u64),
    /// Only the client's key is known.
    Key(u64),
    /// Nothing is known: any upstream will do.
    Unknown,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its session.
    pub session: Session,
    /// Stands for its key; 0 for none.
    pub key: u64,
}

impl Client {
    /// The client with this name for its session, and this key.
    pub fn new(session: Option<&[u8]>, key: Option<&[u8]>) -> Self {
        let key = key.map(hash);
        let by_key = || key.map_or(Session::Unknown, Session::Key);
        Self { session: session.map_or_else(by_key, |name| Session::Named(hash(name))), key: key.unwrap_or_default() }
    }

    /// The same client where only some of its requests go, for which `number` stands: they stay together by themselves, and
    /// that they move says nothing of the others.
    #[must_use]
    pub fn among(self, number: u64) -> Self {
        let session = match self.session {
            Session::Named(session) => Session::Named(session.rotate_left(1) ^ number),
            Session::Key(key) => Session::Key(key.rotate_left(1) ^ number),
            Session::Unknown => Session::Unknown,
        };
        Self { session, ..self }
    }

    /// Nobody that is known.
    pub const UNKNOWN: Self = Self { session: Session::Unknown, key: 0 };

    /// Stands for its session, if that is known.
    pub fn number(self) -> Option<u64> {
        match self.session {
            Session::Named(number) | Session::Key(number) => Some(number),
            Session::Unknown => None,
        }
    }
}

/// Whom something is charged to that clients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Stands for a key.
    Key(u64),
    /// The address that stands for a client's ([`gateway_core::addresses::client_group`]).
    Address(Option<IpAddr>),
}

impl Owner {
    /// The client's key, or its address if it has none.
    pub fn of(client: Client, address: Option<IpAddr>) -> Self {
        match client.key {
            0 => Self::Address(address.map(client_group)),
            key => Self::Key(key),
        }
    }
}

/// The same in every process, so that sessions stay where they are over a restart.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What is remembered of clients; bounded. Upstreams are known by their seeds.
#[derive(Debug)]
pub struct AffinityTable {
    /// Where sessions are that had to move, and those of upstreams with several keys. They stay there when their first
    /// upstream, or key, is back: its caches know nothing of what was said in the meantime.
    places: Cache<u64, Kept>,
    /// How many of them had to move.
    moved: Arc<AtomicU64>,
    /// Keys, each with an upstream that told it to wait (429).
    waiting: Cache<(u64, u64), Duration>,
    /// Spare requests the look-ups as long as nothing is remembered.
    has_places: AtomicBool,
    has_waiting: AtomicBool,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPlace {
    /// Stands for the upstream.
    pub seed: u64,
    /// Stands for its key, if it has several.
    pub key: Option<u64>,
    /// Whether it is another upstream than the session's first one.
    pub has_moved: bool,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    place: SessionPlace,
    is_named: bool,
}

/// A named session is over when it has been idle; a key never is, so its requests go back after the same time in any
/// case.
#[derive(Debug)]
struct Idle(Duration);

impl Expiry<u64, Kept> for Idle {
    fn expire_after_create(&self, _: &u64, _: &Kept, _: Instant) -> Option<Duration> {
        Some(self.0)
    }

    fn expire_after_read(
        &self,
        _: &u64,
        kept: &Kept,
        _: Instant,
        left: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        if kept.is_named { Some(self.0) } else { left }
    }
}

/// Each key waits for the time that it was told.
#[derive(Debug)]
struct AsTold;

impl Expiry<(u64, u64), Duration> for AsTold {
    fn expire_after_create(&self, _: &(u64, u64), wait: &Duration, _: Instant) -> Option<Duration> {
        Some(*wait)
    }
}

impl AffinityTable {
    /// Room for as many sessions as configured, and for as many keys.
    pub fn new(settings: &Affinity) -> Self {
        let most = settings.sessions as u64;
        let moved = Arc::new(AtomicU64::new(0));
        let forgotten = {
            let moved = Arc::clone(&moved);
            move |_: Arc<u64>, kept: Kept, _| {
                moved.fetch_sub(u64::from(kept.place.has_moved), Ordering::Relaxed);
            }
        };
        let places = Cache::builder().max_capacity(most).expire_after(Idle(settings.idle));
        Self {
            places: places.eviction_listener(forgotten).build(),
            moved,
            waiting: Cache::builder().max_capacity(most).expire_after(AsTold).build(),
            has_places: AtomicBool::new(false),
            has_waiting: AtomicBool::new(false),
        }
    }

    /// Where the client's session is, if that is remembered.
    pub fn place_of(&self, client: Client) -> Option<SessionPlace> {
        if !self.has_places.load(Ordering::Relaxed) {
            return None;
        }
        self.places.get(&client.number()?).map(|kept| kept.place)
    }

    /// Remembers that the client's session is here.
    pub fn move_to(&self, client: Client, place: SessionPlace) {
        let Some(number) = client.number() else { return };
        if self.place_of(client) != Some(place) {
            self.moved.fetch_add(u64::from(place.has_moved), Ordering::Relaxed);
            self.places.insert(number, Kept { place, is_named: matches!(client.session, Session::Named(_)) });
            self.has_places.store(true, Ordering::Relaxed);
        }
    }

    /// The client's session is at its first upstream again.
    pub fn move_home(&self, client: Client) {
        if let Some(number) = client.number() {
            self.places.invalidate(&number);
        }
    }

    /// How many sessions have moved.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// The upstream with this seed told the client's key to wait.
    pub fn wait(&self, client: Client, seed: u64, wait: Duration) {
        self.waiting.insert((client.key, seed), wait);
        self.has_waiting.store(true, Ordering::Relaxed);
    }

    /// Whether the client's key still has to wait for this upstream.
    pub fn must_wait(&self, client: Client, seed: u64) -> bool {
        self.has_waiting.load(Ordering::Relaxed) && self.waiting.contains_key(&(client.key, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_among_some_requests_is_another_one_and_always_the_same() {
        let client = Client::new(Some(b"s"), Some(b"k"));
        let (some, others) = (client.among(7), client.among(8));
        assert_eq!((some.key, some), (client.key, Client::new(Some(b"s"), Some(b"k")).among(7)));
        assert!(some.number() != client.number() && some.number() != others.number());
        assert_eq!(Client::UNKNOWN.among(7), Client::UNKNOWN);
    }

    #[test]
    fn a_key_waits_at_the_upstream_that_told_it_to() {
        let memory = AffinityTable::new(&Affinity { sessions: 10, idle: Duration::from_secs(60) });
        let (one, other) = (Client::new(None, Some(b"sk-1")), Client::new(Some(b"session"), Some(b"sk-2")));
        memory.wait(one, 7, Duration::from_secs(60));
        assert!(memory.must_wait(one, 7));
        assert!(memory.must_wait(Client::new(Some(b"another"), Some(b"sk-1")), 7), "in all its sessions");
        assert!(!memory.must_wait(one, 8) && !memory.must_wait(other, 7));
    }

    #[test]
    fn sessions_are_named_or_known_by_their_key() {
        let memory = AffinityTable::new(&Affinity { sessions: 10, idle: Duration::from_secs(60) });
        let (named, keyed) = (Client::new(Some(b"a"), Some(b"k")), Client::new(None, Some(b"k")));
        let place = |seed| SessionPlace { seed, key: None, has_moved: true };
        memory.move_to(named, place(1));
        memory.move_to(Client::UNKNOWN, place(2));
        assert_eq!((memory.place_of(named), memory.place_of(keyed)), (Some(place(1)), None));
        assert_eq!(memory.place_of(Client::UNKNOWN), None);
        memory.move_home(named);
        assert_eq!(memory.place_of(named), None);
    }

    #[test]
    fn only_sessions_that_moved_are_counted_however_they_are_forgotten() {
        let memory = AffinityTable::new(&Affinity { sessions: 10, idle: Duration::from_secs(60) });
        let client = |number: u8| Client::new(Some(&[number]), None);
        let place = |seed, has_moved| SessionPlace { seed, key: Some(9), has_moved };
        memory.move_to(client(1), place(1, true));
        memory.move_to(client(2), place(1, false));
        memory.move_to(client(1), place(2, true));
        assert_eq!(memory.moved(), 1);
        memory.move_to(client(1), place(1, false));
        assert_eq!(memory.moved(), 0);
        memory.move_to(client(2), place(2, true));
        memory.move_home(client(2));
        assert_eq!(memory.moved(), 0);
    }
}
