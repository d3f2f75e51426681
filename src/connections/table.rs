//! All connections, and which one of them makes room for another one.

use super::caps::{Caps, Full, most_of_one};
use gateway_core::addresses::client_group;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Counts by [`Full`].
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicUsize; 3]);

impl Counts {
    pub(super) fn add(&self, full: Full) {
        self.0[full as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The connections of a listener, or of several that share what there is.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    /// The length of the table, for those who do not want to wait for it.
    pub(super) open: AtomicUsize,
    /// Requests, from their heads on.
    pub(super) requests: AtomicUsize,
    /// Requests of clients behind trusted proxies. Those of all others are counted with their connections.
    pub(super) behind_proxies: Mutex<HashMap<IpAddr, usize>>,
    /// Connections that were told to close, and that still have their descriptors.
    pub(super) closing: AtomicUsize,
    closed: Counts,
    pub(super) refused: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    next: u64,
    pub(super) open: HashMap<u64, Arc<Entry>>,
    pub(super) of_client: HashMap<IpAddr, Share>,
}

/// What one client has.
#[derive(Debug, Default)]
pub(super) struct Share {
    open: HashSet<u64>,
    requests: Arc<AtomicUsize>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whose it is; `None` for one of a trusted proxy, which stands for many clients.
    pub(super) client: Option<IpAddr>,
    /// The requests of its client.
    pub(super) of_client: Arc<AtomicUsize>,
    state: Mutex<State>,
    pub(super) close: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    /// Its requests, from their heads on.
    pub(super) requests: usize,
    /// Those of them that are not whole yet.
    pub(super) coming: usize,
    /// Those of which the client takes nothing of the response.
    pub(super) untaken: usize,
    /// When its last request began or ended, or else when it was opened.
    pub(super) since: Instant,
    /// Who sent its last request, if that was a client behind a trusted proxy.
    pub(super) asking: Option<IpAddr>,
    /// Whether it makes room for another one.
    pub(super) is_closing: bool,
}

/// What a connection does that can make room. Those that do the first are taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It has no request.
    Nothing,
    /// Its requests are still coming in.
    Sending,
    /// Its requests are coming in, or wait for the client to take their responses.
    Waiting,
}

impl Doing {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Sending, Self::Waiting];
}

impl State {
    /// `None` if it cannot make room.
    fn doing(&self) -> Option<Doing> {
        match self.requests {
            _ if self.is_closing => None,
            0 => Some(Doing::Nothing),
            all if all == self.coming => Some(Doing::Sending),
            all => (all == self.coming + self.untaken).then_some(Doing::Waiting),
        }
    }
}

impl Entry {
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when it does this, and whose it is.
    fn since(&self, doing: Doing) -> Option<(Instant, Option<IpAddr>)> {
        let state = self.state();
        (state.doing() == Some(doing)).then_some((state.since, self.client.or(state.asking)))
    }

    /// Has it closed; how many requests end with that, or `None` if it does something else in the meantime.
    fn close(&self, doing: Doing) -> Option<usize> {
        let mut state = self.state();
        if state.doing() != Some(doing) {
            return None;
        }
        state.is_closing = true;
        self.close.notify_waiters();
        Some(state.requests)
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            open: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            behind_proxies: Mutex::default(),
            closing: AtomicUsize::new(0),
            closed: Counts::default(),
            refused: Counts::default(),
        }
    }
}

impl Connections {
    /// How many are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many were closed to make room, and how many were not taken, for each reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Full, usize, usize)> {
        let count = |counts: &Counts, full| counts.0[full as usize].load(Ordering::Relaxed);
        Full::ALL.into_iter().map(move |full| (full, count(&self.closed, full), count(&self.refused, full)))
    }

    /// Enters a new connection into the table (see `Connections::enter`); its number there.
    pub(super) fn open(&self, peer: Option<IpAddr>, is_exempt: bool, caps: Caps) -> Result<(u64, Arc<Entry>), Full> {
        let client = peer.map(client_group).filter(|_| !is_exempt);
        let mut table = self.table();
        let (own, own_requests) = table.share_of(client);
        if own >= caps.per_client || own + own_requests >= most_of_one(caps.descriptors) {
            self.make_room(&mut table, Full::Client, client, &Doing::ALL, (1, caps))?;
        } else if table.open.len() >= caps.total {
            self.make_room(&mut table, Full::Total, None, &Doing::ALL, (1, caps))?;
        } else if table.open.len() + self.requests.load(Ordering::Relaxed) >= caps.descriptors {
            self.make_room(&mut table, Full::Descriptors, None, &Doing::ALL, (1, caps))?;
        }
        table.next += 1;
        let number = table.next;
        let state =
            State { requests: 0, coming: 0, untaken: 0, since: Instant::now(), asking: None, is_closing: false };
        let of_client = client.map(|client| {
            let share = table.of_client.entry(client).or_default();
            share.open.insert(number);
            Arc::clone(&share.requests)
        });
        let of_client = of_client.unwrap_or_default();
        let entry = Arc::new(Entry { client, of_client, state: Mutex::new(state), close: Notify::new() });
        table.open.insert(number, Arc::clone(&entry));
        self.open.store(table.open.len(), Ordering::Relaxed);
        Ok((number, entry))
    }

    /// Closes what is idle longest: of this client, or else of the one that has most that is idle, so that one client
    /// alone does not push the others out. Then, in the same way, what is sending its requests, and what takes no
    /// response. Of many it closes some at once, because to find them takes a look at all.
    pub(super) fn make_room(
        &self,
        table: &mut Table,
        full: Full,
        client: Option<IpAddr>,
        what: &[Doing],
        (count, caps): (usize, Caps),
    ) -> Result<(), Full> {
        if self.closing.load(Ordering::Relaxed) + count > caps.closing_at_once() {
            self.refused.add(full);
            return Err(full);
        }
        let mut closed = 0;
        for &doing in what {
            if closed >= count {
                break;
            }
            for number in longest(table.doing(doing, client), count - closed) {
                let Some(entry) = table.open.get(&number).map(Arc::clone) else { continue };
                if let Some(requests) = entry.close(doing) {
                    // Its descriptor is free in a moment; it counts no more.
                    table.remove(number, &entry);
                    self.requests.fetch_sub(requests, Ordering::Relaxed);
                    self.closing.fetch_add(1, Ordering::Relaxed);
                    self.closed.add(full);
                    closed += 1;
                }
            }
        }
        self.open.store(table.open.len(), Ordering::Relaxed);
        if closed < count {
            self.refused.add(full);
            return Err(full);
        }
        Ok(())
    }

    pub(super) fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Connections of a client, and its requests that are being served.
    pub(super) fn share_of(&self, client: Option<IpAddr>) -> (usize, usize) {
        let share = client.and_then(|client| self.of_client.get(&client));
        share.map_or((0, 0), |share| (share.open.len(), share.requests.load(Ordering::Relaxed)))
    }

    pub(super) fn remove(&mut self, number: u64, entry: &Entry) {
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

    /// What does this, and since when: of this client, or else of the one that has most of it.
    fn doing(&self, doing: Doing, client: Option<IpAddr>) -> Vec<(Instant, u64)> {
        if let Some(client) = client {
            let numbers = self.of_client.get(&client).into_iter().flat_map(|share| &share.open);
            let entries = numbers.filter_map(|number| Some((*number, self.open.get(number)?)));
            return entries.filter_map(|(number, entry)| Some((entry.since(doing)?.0, number))).collect();
        }
        let mut of_each: HashMap<Option<IpAddr>, Vec<(Instant, u64)>> = HashMap::new();
        for (&number, entry) in &self.open {
            if let Some((since, whose)) = entry.since(doing) {
                of_each.entry(whose).or_default().push((since, number));
            }
        }
        // Of equal ones, that with the oldest.
        let oldest = |found: &Vec<(Instant, u64)>| found.iter().min().map(|&(since, _)| Reverse(since));
        of_each.into_values().max_by_key(|found| (found.len(), oldest(found))).unwrap_or_default()
    }
}

/// Those that do it longest: so many at least, and of many a sixty-fourth part.
fn longest(mut found: Vec<(Instant, u64)>, at_least: usize) -> impl Iterator<Item = u64> {
    let count = at_least.max(found.len() / 64).min(found.len());
    if count < found.len() {
        found.select_nth_unstable(count);
    }
    found.truncate(count);
    found.into_iter().map(|(_, number)| number)
}
