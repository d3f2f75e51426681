//! The requests that are being served, for people to look at. Each takes a slot when it begins and gives it back when
//! its context goes; nobody waits for anybody.

use super::clean::Names;
use super::snapshot::Snapshot;
use crate::config::fingerprint::KeyFingerprint;
use crossbeam_queue::ArrayQueue;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

/// Requests that are shown at one time; there may be more.
const SLOTS: usize = 1024;

/// What a running request is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It waits for a place at an upstream.
    Queue = 0,
    /// A connection is being made.
    Connect = 1,
    /// The upstream is at work, and has not answered.
    Wait = 2,
    /// The response comes.
    Answer = 3,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Queue, Self::Connect, Self::Wait, Self::Answer];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Wait => "wait",
            Self::Answer => "answer",
        }
    }
}

/// A running request: what does not change, and what does.
pub(crate) struct Entry {
    /// The gateway's id of it.
    pub request_id: String,
    /// When its first byte came in.
    pub started: Instant,
    /// The same as a date.
    pub started_at: SystemTime,
    /// What it is, in the client's words.
    pub names: Arc<Names>,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// Stands for the key that it came with.
    pub key: Option<KeyFingerprint>,
    /// The configuration that it began with.
    pub snapshot: Arc<Snapshot>,
    /// How far it is.
    pub progress: Progress,
}

/// What changes while a request is served.
#[derive(Default)]
pub(crate) struct Progress {
    /// One more than the place of its upstream in the snapshot; 0 before there is one.
    upstream: AtomicUsize,
    /// The same of the upstream's key that it goes out with.
    upstream_key: AtomicUsize,
    attempts: AtomicU32,
    phase: AtomicU8,
    response_bytes: AtomicU64,
    output_tokens: AtomicU64,
    /// One more than the milliseconds from its beginning until something was heard of the upstream, or sent to it; 0 as long
    /// as nobody waits for it.
    heard: AtomicU64,
}

impl Entry {
    fn place(&self) -> Option<usize> {
        self.progress.upstream.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The upstream that it is at.
    pub(crate) fn upstream(&self) -> Option<&str> {
        Some(self.snapshot.upstreams.get(self.place()?)?.config.name.as_str())
    }

    /// What the key there is called that it goes out with.
    pub(crate) fn upstream_key(&self) -> Option<&str> {
        let key = self.progress.upstream_key.load(Ordering::Relaxed).checked_sub(1)?;
        Some(&*self.snapshot.upstreams.get(self.place()?)?.keys.get(key)?.label)
    }

    /// How many attempts were begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.progress.attempts.load(Ordering::Relaxed)
    }

    /// What it is at.
    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.progress.phase.load(Ordering::Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// Bytes of the response's body so far.
    pub(crate) fn response_bytes(&self) -> u64 {
        self.progress.response_bytes.load(Ordering::Relaxed)
    }

    /// Tokens of output so far: an estimate, until the upstream has told them.
    pub(crate) fn output_tokens(&self) -> u64 {
        self.progress.output_tokens.load(Ordering::Relaxed)
    }

    /// For how long nothing was heard of the upstream; `None` as long as nobody waits for it.
    pub(crate) fn silent(&self, now: Instant) -> Option<Duration> {
        let heard = self.progress.heard.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.started).saturating_sub(Duration::from_millis(heard)))
    }
}

/// All slots.
pub(crate) struct Running {
    /// An entry goes with its ticket: a slot does not keep it. Locked for as long as it takes to put one in or to look at it;
    /// nobody waits for that either.
    slots: Box<[Mutex<Weak<Entry>>]>,
    free: ArrayQueue<usize>,
    /// Requests without a slot.
    more: AtomicUsize,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({} free)", self.free.len())
    }
}

impl Default for Running {
    fn default() -> Self {
        let free = ArrayQueue::new(SLOTS);
        for slot in 0..SLOTS {
            // There is room for each.
            let _ = free.push(slot);
        }
        Self { slots: (0..SLOTS).map(|_| Mutex::default()).collect(), free, more: AtomicUsize::new(0) }
    }
}

impl Running {
    /// Shows a request until the ticket is dropped.
    pub(crate) fn enter(self: &Arc<Self>, entry: Entry) -> Ticket {
        let entry = Arc::new(entry);
        let slot = self.free.pop().filter(|&slot| self.put(&entry, slot));
        if slot.is_none() {
            self.more.fetch_add(1, Ordering::Relaxed);
        }
        Ticket { all: Arc::clone(self), slot, entry }
    }

    /// Puts an entry into a slot; `false`, and the slot is free again, if somebody is looking at that one just now.
    fn put(&self, entry: &Arc<Entry>, slot: usize) -> bool {
        let Ok(mut shown) = self.slots[slot].try_lock() else {
            // There is room: it came from there.
            let _ = self.free.push(slot);
            return false;
        };
        *shown = Arc::downgrade(entry);
        true
    }

    fn shown(&self) -> impl Iterator<Item = Arc<Entry>> {
        self.slots.iter().filter_map(|slot| slot.try_lock().ok()?.upgrade())
    }

    /// The one with this id, if it is among those that are shown.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.shown().find(|entry| entry.request_id == id)
    }

    /// Those that are shown, oldest first, and how many more there are.
    pub(crate) fn list(&self) -> (Vec<Arc<Entry>>, usize) {
        let mut entries: Vec<_> = self.shown().collect();
        entries.sort_by_key(|entry| entry.started);
        (entries, self.more.load(Ordering::Relaxed))
    }
}

/// A request's place among the running ones.
pub(crate) struct Ticket {
    all: Arc<Running>,
    slot: Option<usize>,
    entry: Arc<Entry>,
}

impl Ticket {
    /// The request goes on to this.
    pub(crate) fn phase(&self, phase: Phase) {
        self.entry.progress.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// An attempt begins, the one with this number, at the upstream in this place of the snapshot and with its key in that
    /// place.
    pub(crate) fn attempt(&self, upstream: usize, key: Option<usize>, number: u32) {
        let progress = &self.entry.progress;
        progress.upstream.store(upstream + 1, Ordering::Relaxed);
        progress.upstream_key.store(key.map_or(0, |key| key + 1), Ordering::Relaxed);
        progress.attempts.store(number, Ordering::Relaxed);
        progress.output_tokens.store(0, Ordering::Relaxed);
        progress.response_bytes.store(0, Ordering::Relaxed);
        progress.heard.store(0, Ordering::Relaxed);
        self.phase(Phase::Connect);
    }

    /// There is a connection: from now on the upstream is listened to.
    pub(crate) fn waits(&self, now: Instant) {
        self.heard(now);
        self.phase(Phase::Wait);
    }

    /// So many more bytes of the response came, with which it has so many tokens of output.
    pub(crate) fn got(&self, bytes: usize, output_tokens: u64, now: Instant) {
        self.entry.progress.response_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.entry.progress.output_tokens.store(output_tokens, Ordering::Relaxed);
        self.heard(now);
    }

    /// Something was heard of the upstream.
    pub(crate) fn heard(&self, now: Instant) {
        let after = now.saturating_duration_since(self.entry.started).as_millis();
        self.entry.progress.heard.store(u64::try_from(after).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.slot {
            Some(slot) => {
                // There is room: this one came from there.
                let _ = self.all.free.push(slot);
            }
            None => {
                self.all.more.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
