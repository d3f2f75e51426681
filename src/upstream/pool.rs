//! Which upstream gets a request: by priority, then the one that its session belongs to, if it is healthy.

use super::Upstream;
use super::circuit::State;
use crate::config::resilience::Affinity;
use moka::Expiry;
use moka::sync::Cache;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

impl Session {
    /// The session with this name.
    pub fn named(name: &[u8]) -> Self {
        Self::Named(hash(name))
    }

    /// The requests with this key.
    pub fn key(key: &[u8]) -> Self {
        Self::Key(hash(key))
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Named(number) | Self::Key(number) => Some(number),
            Self::Unknown => None,
        }
    }
}

/// The same in every process, so that sessions stay where they are over a restart.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, now.
    Ready(usize),
    /// All that are healthy are full: this one, when a place is free.
    Full(usize),
    /// None is healthy: this one is the least bad.
    LeastBad(usize),
}

/// Chooses among the members of `group`, places in `upstreams`, leaving out those in `tried`. `None` if none is left.
pub fn choose(
    upstreams: &[Arc<Upstream>],
    group: &[usize],
    tried: &[usize],
    session: Session,
    pins: &Pins,
    now_ms: u64,
) -> Option<Choice> {
    let number = session.number();
    let pinned = pins.get(session);
    let number = number.unwrap_or_else(|| fastrand::u64(..));
    let (mut ready, mut full, mut least_bad) = (Best::default(), Best::default(), None::<(u64, usize)>);
    for &at in group.iter().filter(|at| !tried.contains(at)) {
        let upstream = &upstreams[at];
        if !upstream.circuit.is_ready(now_ms) {
            let pause = match upstream.circuit.state(now_ms) {
                State::Open(pause) => pause,
                // Somebody tries it already.
                State::HalfOpen | State::Closed => 0,
            };
            if least_bad.is_none_or(|(least, _)| pause < least) {
                least_bad = Some((pause, at));
            }
            continue;
        }
        let has_room = upstream.slots.has_room();
        if has_room && pinned == Some(upstream.seed) {
            return Some(Choice::Ready(at));
        }
        let best = if has_room { &mut ready } else { &mut full };
        best.offer(at, upstream.config.priority, || score(number, upstream.seed, upstream.config.weight));
    }
    let ready = ready.at.map(Choice::Ready);
    ready.or(full.at.map(Choice::Full)).or(least_bad.map(|(_, at)| Choice::LeastBad(at)))
}

/// The upstream that a session belongs to while all are healthy.
pub fn home(upstreams: &[Arc<Upstream>], group: &[usize], session: Session) -> Option<usize> {
    let number = session.number()?;
    let mut best = Best::default();
    for &at in group {
        let Upstream { config, seed, .. } = &*upstreams[at];
        best.offer(at, config.priority, || score(number, *seed, config.weight));
    }
    best.at
}

/// The best one so far: of the lowest priority, the highest score.
#[derive(Default)]
struct Best {
    at: Option<usize>,
    priority: u32,
    score: f64,
}

impl Best {
    fn offer(&mut self, at: usize, priority: u32, score: impl Fn() -> f64) {
        if self.at.is_some() && priority > self.priority {
            return;
        }
        let score = score();
        if self.at.is_none() || priority < self.priority || score > self.score {
            (self.at, self.priority, self.score) = (Some(at), priority, score);
        }
    }
}

/// Weighted rendezvous hashing: each session ranks all upstreams; the share of first places follows the weights, and
/// when one goes, only its own sessions move.
fn score(session: u64, seed: u64, weight: u32) -> f64 {
    // The finalizer of SplitMix64 mixes both numbers.
    let mut mixed = session ^ seed.rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight) / -uniform.ln()
}

/// Sessions that had to move, and where to. They stay there when their first upstream is back: its caches know
/// nothing of what was said in the meantime.
#[derive(Debug)]
pub struct Pins {
    moved: Cache<u64, Pin>,
    /// Spares requests the look-up until a session has moved for the first time.
    is_used: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    seed: u64,
    is_named: bool,
}

/// A named session is over when it has been idle; a key never is, so its requests go back after the same time in any
/// case.
#[derive(Debug)]
struct Idle(Duration);

impl Expiry<u64, Pin> for Idle {
    fn expire_after_create(&self, _: &u64, _: &Pin, _: Instant) -> Option<Duration> {
        Some(self.0)
    }

    fn expire_after_read(
        &self,
        _: &u64,
        pin: &Pin,
        _: Instant,
        left: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        if pin.is_named { Some(self.0) } else { left }
    }
}

impl Pins {
    /// Room for as many sessions as configured.
    pub fn new(settings: &Affinity) -> Self {
        let cache = Cache::builder().max_capacity(u64::from(settings.sessions)).expire_after(Idle(settings.idle));
        Self { moved: cache.build(), is_used: AtomicBool::new(false) }
    }

    fn get(&self, session: Session) -> Option<u64> {
        if !self.is_used.load(Ordering::Relaxed) {
            return None;
        }
        self.moved.get(&session.number()?).map(|pin| pin.seed)
    }

    /// Remembers that the session moved to the upstream with this seed.
    pub fn set(&self, session: Session, seed: u64) {
        let Some(number) = session.number() else { return };
        if self.get(session) != Some(seed) {
            self.moved.insert(number, Pin { seed, is_named: matches!(session, Session::Named(_)) });
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// How many sessions have moved.
    pub fn count(&self) -> u64 {
        self.moved.entry_count()
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
