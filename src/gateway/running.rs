//! The requests that are being served, for people to look at. Each takes a slot when it begins and gives it back when
//! its context goes; nobody waits for anybody.

use super::snapshot::Snapshot;
use arc_swap::ArcSwapOption;
use crossbeam_queue::ArrayQueue;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

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
    /// Method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The model that it asks for.
    pub model_asked: Option<String>,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// The session that the client names.
    pub session: Option<String>,
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
    phase: AtomicU8,
    response_bytes: AtomicU64,
}

impl Entry {
    /// The upstream that it is at.
    pub(crate) fn upstream(&self) -> Option<&str> {
        let at = self.progress.upstream.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.snapshot.upstreams.get(at)?.config.name.as_str())
    }

    /// What it is at.
    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.progress.phase.load(Ordering::Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// Bytes of the response's body so far.
    pub(crate) fn response_bytes(&self) -> u64 {
        self.progress.response_bytes.load(Ordering::Relaxed)
    }
}

/// All slots.
pub(crate) struct Running {
    slots: Box<[ArcSwapOption<Entry>]>,
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
        Self { slots: (0..SLOTS).map(|_| ArcSwapOption::empty()).collect(), free, more: AtomicUsize::new(0) }
    }
}

impl Running {
    /// Shows a request until the ticket is dropped.
    pub(crate) fn enter(self: &Arc<Self>, entry: Entry) -> Ticket {
        let entry = Arc::new(entry);
        let slot = self.free.pop();
        match slot {
            Some(slot) => self.slots[slot].store(Some(Arc::clone(&entry))),
            None => {
                self.more.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ticket { all: Arc::clone(self), slot, entry }
    }

    /// Those that are shown, oldest first, and how many more there are.
    pub(crate) fn list(&self) -> (Vec<Arc<Entry>>, usize) {
        let mut entries: Vec<_> = self.slots.iter().filter_map(|slot| slot.load_full()).collect();
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

    /// The request goes to the upstream with this place in the snapshot.
    pub(crate) fn at_upstream(&self, destination: usize) {
        self.entry.progress.upstream.store(destination + 1, Ordering::Relaxed);
    }

    /// So many more bytes of the response came.
    pub(crate) fn got(&self, bytes: usize) {
        self.entry.progress.response_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.slot {
            Some(slot) => {
                self.all.slots[slot].store(None);
                // There is room: this one came from there.
                let _ = self.all.free.push(slot);
            }
            None => {
                self.all.more.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
