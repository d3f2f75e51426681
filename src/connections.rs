//! The clients' connections: how many there may be, who they belong to, and which one makes room for a new one.
//!
//! Each open connection takes a file descriptor, and each request that is served one more, for the upstream. Both count
//! against what the process may open, less what is set aside for everything else; so that it never runs out of them.

mod collect;
mod fit;

use crate::addresses::client_group;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

pub use collect::Collector;
pub use fit::{Fit, fit, most_of_one};

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Connections.
    pub total: usize,
    /// Connections of one client, as [`client_group`] tells them apart.
    pub per_client: usize,
    /// Connections and requests together.
    pub descriptors: usize,
}

/// Why a connection was closed to make room, or a new one was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All connections.
    Total,
    /// Those of its client.
    Client,
    /// The files that the process may open.
    Descriptors,
}

impl Caps {
    /// How many connections may be on their way out: until they are closed they still have their descriptors, and in a
    /// flood more would be accepted than there are. Those that come meanwhile are not taken.
    fn closing_at_once(self) -> usize {
        (self.total.min(self.descriptors) / 16).clamp(4, 64)
    }
}

impl Full {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Total, Self::Client, Self::Descriptors];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "connections",
            Self::Client => "connections_per_client",
            Self::Descriptors => "open_files",
        }
    }
}

/// Counts by [`Full`].
#[derive(Debug, Default)]
struct Counts([AtomicUsize; 3]);

impl Counts {
    fn add(&self, full: Full) {
        self.0[full as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The connections of a listener, or of several that share what there is.
#[derive(Debug)]
pub struct Connections {
    table: Mutex<Table>,
    /// The length of the table, for those who do not want to wait for it.
    open: AtomicUsize,
    /// Requests that are being served.
    requests: AtomicUsize,
    /// Connections that were told to close, and that still have their descriptors.
    closing: AtomicUsize,
    closed: Counts,
    refused: Counts,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Entry>>,
    of_client: HashMap<IpAddr, Share>,
}

/// What one client has.
#[derive(Debug, Default)]
struct Share {
    open: HashSet<u64>,
    requests: Arc<AtomicUsize>,
}

/// One connection.
#[derive(Debug)]
struct Entry {
    client: Option<IpAddr>,
    /// The requests of its client that are being served.
    of_client: Arc<AtomicUsize>,
    state: Mutex<State>,
    close: Notify,
}

#[derive(Debug)]
struct State {
    /// Its requests that are being served.
    requests: usize,
    /// When the last one ended, or else when it was opened.
    since: Instant,
    /// Whether it makes room for another one.
    is_closing: bool,
}

impl Entry {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.requests == 0 && !state.is_closing).then_some(state.since)
    }

    /// Has it closed; `false` if a request began in the meantime.
    fn close(&self) -> bool {
        let mut state = self.state();
        let is_idle = state.requests == 0 && !state.is_closing;
        state.is_closing |= is_idle;
        drop(state);
        if is_idle {
            self.close.notify_one();
        }
        is_idle
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            open: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            closing: AtomicUsize::new(0),
            closed: Counts::default(),
            refused: Counts::default(),
        }
    }
}

impl Connections {
    /// How many are open.
    pub fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many were closed to make room, and how many were not taken, for each reason.
    pub fn counts(&self) -> impl Iterator<Item = (Full, usize, usize)> {
        let count = |counts: &Counts, full| counts.0[full as usize].load(Ordering::Relaxed);
        Full::ALL.into_iter().map(move |full| (full, count(&self.closed, full), count(&self.refused, full)))
    }

    /// A place for a new connection from `peer`, for which the connection that is idle longest is closed if need be.
    /// A peer that `is_exempt` stands for many clients: it has no cap of its own.
    ///
    /// # Errors
    /// When all that would have to make room are busy.
    pub fn enter(self: &Arc<Self>, peer: Option<IpAddr>, is_exempt: bool, caps: Caps) -> Result<Place, Full> {
        let client = peer.map(client_group).filter(|_| !is_exempt);
        let mut table = self.table();
        let (own, own_requests) = table.share_of(client);
        if own >= caps.per_client || own + own_requests >= most_of_one(caps.descriptors) {
            self.make_room(&mut table, Full::Client, client, (1, caps))?;
        } else if table.open.len() >= caps.total {
            self.make_room(&mut table, Full::Total, None, (1, caps))?;
        } else if table.open.len() + self.requests.load(Ordering::Relaxed) >= caps.descriptors {
            self.make_room(&mut table, Full::Descriptors, None, (1, caps))?;
        }
        table.next += 1;
        let number = table.next;
        let state = State { requests: 0, since: Instant::now(), is_closing: false };
        let of_client = client.map(|client| {
            let share = table.of_client.entry(client).or_default();
            share.open.insert(number);
            Arc::clone(&share.requests)
        });
        let of_client = of_client.unwrap_or_default();
        let entry = Arc::new(Entry { client, of_client, state: Mutex::new(state), close: Notify::new() });
        table.open.insert(number, Arc::clone(&entry));
        self.open.store(table.open.len(), Ordering::Relaxed);
        drop(table);
        let connections = Arc::clone(self);
        Ok(Place(Arc::new(Guard { connections, number, entry, caps })))
    }

    /// Closes what is idle longest: of this client, or else of the one that has most that is idle, so that one client
    /// alone does not push the others out. Of many it closes some at once, because to find them takes a look at all.
    fn make_room(
        &self,
        table: &mut Table,
        full: Full,
        client: Option<IpAddr>,
        (count, caps): (usize, Caps),
    ) -> Result<(), Full> {
        if self.closing.load(Ordering::Relaxed) + count > caps.closing_at_once() {
            self.refused.add(full);
            return Err(full);
        }
        let idle = match client {
            Some(client) => {
                let numbers = table.of_client.get(&client).into_iter().flat_map(|share| &share.open);
                let entries = numbers.filter_map(|number| Some((*number, table.open.get(number)?)));
                entries.filter_map(|(number, entry)| Some((entry.idle_since()?, number))).collect()
            }
            None => idle_of_most(&table.open),
        };
        let mut closed = 0;
        for number in longest_idle(idle, count) {
            let Some(entry) = table.open.get(&number).map(Arc::clone) else { continue };
            if entry.close() {
                // Its descriptor is free in a moment; it counts no more.
                table.remove(number, &entry);
                self.closing.fetch_add(1, Ordering::Relaxed);
                self.closed.add(full);
                closed += 1;
            }
        }
        self.open.store(table.open.len(), Ordering::Relaxed);
        if closed < count {
            self.refused.add(full);
            return Err(full);
        }
        Ok(())
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Connections of a client, and its requests that are being served.
    fn share_of(&self, client: Option<IpAddr>) -> (usize, usize) {
        let share = client.and_then(|client| self.of_client.get(&client));
        share.map_or((0, 0), |share| (share.open.len(), share.requests.load(Ordering::Relaxed)))
    }

    fn remove(&mut self, number: u64, entry: &Entry) {
        if self.open.remove(&number).is_none() {
            return;
        }
        let Some(client) = entry.client else { return };
        if let Some(share) = self.of_client.get_mut(&client) {
            share.open.remove(&number);
            if share.open.is_empty() {
                self.of_client.remove(&client);
            }
        }
    }
}

/// What is idle of the client that has most of it.
fn idle_of_most(open: &HashMap<u64, Arc<Entry>>) -> Vec<(Instant, u64)> {
    let mut idle: HashMap<Option<IpAddr>, Vec<(Instant, u64)>> = HashMap::new();
    for (&number, entry) in open {
        if let Some(since) = entry.idle_since() {
            idle.entry(entry.client).or_default().push((since, number));
        }
    }
    // Of equal ones, that with the oldest.
    let most = idle.into_values().max_by_key(|idle| (idle.len(), idle.iter().min().map(|&(since, _)| Reverse(since))));
    most.unwrap_or_default()
}

/// Those that are idle longest: so many at least, and of many a sixty-fourth part.
fn longest_idle(mut idle: Vec<(Instant, u64)>, at_least: usize) -> impl Iterator<Item = u64> {
    let count = at_least.max(idle.len() / 64).min(idle.len());
    if count < idle.len() {
        idle.select_nth_unstable(count);
    }
    idle.truncate(count);
    idle.into_iter().map(|(_, number)| number)
}

/// The place of a connection among all of them. The last clone gives it back.
#[derive(Clone, Debug)]
pub struct Place(Arc<Guard>);

#[derive(Debug)]
struct Guard {
    connections: Arc<Connections>,
    number: u64,
    entry: Arc<Entry>,
    /// What [`Caps`] said when it was opened.
    caps: Caps,
}

tokio::task_local! {
    /// The place of the connection that a task serves.
    static SERVED: Place;
}

/// The place of the connection that this task serves.
pub fn served() -> Option<Place> {
    SERVED.try_with(Place::clone).ok()
}

impl Place {
    /// Serves the connection, unless it has to make room for another one.
    pub async fn hold(self, serving: impl Future<Output = ()>) {
        SERVED.scope(self, serving).await;
    }

    /// A request begins, and is served as long as the guard lives.
    ///
    /// # Errors
    /// When the connection makes room for another one, or no descriptor is left for an upstream.
    pub fn begin(&self) -> Result<Serving, Full> {
        let Guard { connections, entry, caps, .. } = &*self.0;
        {
            let mut state = entry.state();
            if state.is_closing {
                return Err(Full::Total);
            }
            state.requests += 1;
        }
        let own = entry.of_client.fetch_add(1, Ordering::Relaxed) + 1;
        let requests = connections.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let serving = Serving(self.clone());
        // There is room enough then, and no lock is needed.
        if connections.open_count() + requests <= most_of_one(caps.descriptors) {
            return Ok(serving);
        }
        let mut table = connections.table();
        if let Some(client) = entry.client {
            let too_much = (table.share_of(Some(client)).0 + own).saturating_sub(most_of_one(caps.descriptors));
            if too_much > 0 {
                connections.make_room(&mut table, Full::Client, Some(client), (too_much, *caps))?;
            }
        }
        let too_much = (table.open.len() + requests).saturating_sub(caps.descriptors);
        if too_much > 0 {
            connections.make_room(&mut table, Full::Descriptors, None, (too_much, *caps))?;
        }
        drop(table);
        Ok(serving)
    }

    /// Resolves when the connection is to be closed.
    pub async fn closing(&self) {
        self.0.entry.close.notified().await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.entry.state().is_closing {
            self.connections.closing.fetch_sub(1, Ordering::Relaxed);
        }
        let mut table = self.connections.table();
        table.remove(self.number, &self.entry);
        self.connections.open.store(table.open.len(), Ordering::Relaxed);
    }
}

/// See [`Place::begin`].
#[derive(Debug)]
pub struct Serving(Place);

impl Drop for Serving {
    fn drop(&mut self) {
        let Guard { connections, entry, .. } = &*self.0.0;
        connections.requests.fetch_sub(1, Ordering::Relaxed);
        entry.of_client.fetch_sub(1, Ordering::Relaxed);
        let mut state = entry.state();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
#[path = "connections/tests.rs"]
mod tests;
