//! The place of one connection among all of them, and of its requests.

use super::caps::{Caps, Full, most_of_one};
use super::table::{Connections, Doing, Entry};
use gateway_core::addresses::client_group;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

/// The place of a connection. The last clone gives it back.
#[derive(Clone, Debug)]
pub(crate) struct Place(Arc<Guard>);

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
pub(crate) fn served() -> Option<Place> {
    SERVED.try_with(Place::clone).ok()
}

/// Resolves when the connection that has this place is to be closed for another one.
pub(crate) async fn making_room(place: Option<&Place>) {
    match place {
        Some(place) => place.closing().await,
        None => std::future::pending().await,
    }
}

impl Place {
    /// Serves the connection, unless it has to make room for another one.
    pub(crate) async fn hold(self, serving: impl Future<Output = ()>) {
        SERVED.scope(self, serving).await;
    }

    /// A request of `client` begins, whose head is there. It counts as long as the guard lives. Behind a trusted proxy
    /// the client is another one than the peer.
    ///
    /// # Errors
    /// When the connection makes room for another one, the client has as many requests as it may, or no descriptor is
    /// left for an upstream.
    pub(crate) fn begin(&self, client: Option<IpAddr>) -> Result<Serving, Full> {
        let Guard { connections, entry, caps, .. } = &*self.0;
        let asking = client.map(client_group).filter(|_| entry.client.is_none());
        {
            let mut state = entry.state();
            if state.is_closing {
                return Err(Full::Total);
            }
            state.requests += 1;
            state.asking = asking;
        }
        let own = match asking {
            Some(client) => connections.asked(client),
            None => entry.of_client.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let requests = connections.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let serving = Serving { place: self.clone(), asking, is_coming: false };
        let most = most_of_one(caps.descriptors);
        // The connections of a proxy that a client's requests came over are as much its own.
        if own > caps.per_client || asking.is_some() && own.saturating_mul(2) > most {
            connections.refused.add(Full::Client);
            return Err(Full::Client);
        }
        // As long as there is room enough, no lock is needed.
        if connections.open_count() + requests > most || requests > caps.total {
            self.make_room(own, requests)?;
        }
        Ok(serving.comes())
    }

    fn make_room(&self, own: usize, requests: usize) -> Result<(), Full> {
        let Guard { connections, entry, caps, .. } = &*self.0;
        let mut table = connections.table();
        if let Some(client) = entry.client {
            let too_much = (table.share_of(Some(client)).0 + own).saturating_sub(most_of_one(caps.descriptors));
            if too_much > 0 {
                connections.make_room(&mut table, Full::Client, Some(client), &Doing::ALL, (too_much, *caps))?;
            }
        }
        let too_much = (table.open.len() + requests).saturating_sub(caps.descriptors);
        if too_much > 0 {
            connections.make_room(&mut table, Full::Descriptors, None, &Doing::ALL, (too_much, *caps))?;
        }
        let too_much = requests.saturating_sub(caps.total);
        if too_much > 0 {
            // Idle connections have no requests that could make room.
            connections.make_room(&mut table, Full::Total, None, &Doing::ALL[1..], (too_much, *caps))?;
        }
        Ok(())
    }

    /// The client takes nothing of the response to one of its requests, as long as this lives.
    pub(crate) fn untaken(&self) -> Untaken {
        self.0.entry.state().untaken += 1;
        let place = self.clone();
        Untaken { place: self.clone(), closing: Box::pin(async move { place.closing().await }) }
    }

    /// Resolves when the connection is to be closed.
    async fn closing(&self) {
        let told = self.0.entry.close.notified();
        if !self.is_closing() {
            told.await;
        }
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.entry.state().is_closing
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.remove(self.number, &self.entry);
        self.connections.open.store(table.open.len(), Ordering::Relaxed);
        drop(table);
        // Nobody can close it any more: not before, for whoever does has the table.
        if self.entry.state().is_closing {
            self.connections.closing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Connections {
    /// A place for a new connection from `peer`, for which the connection that is idle longest is closed if need be, or
    /// else the one that has been sending a request for longest. A peer that `is_exempt` stands for many clients: it has
    /// no cap of its own.
    ///
    /// # Errors
    /// When all that would have to make room are busy.
    pub(crate) fn enter(self: &Arc<Self>, peer: Option<IpAddr>, is_exempt: bool, caps: Caps) -> Result<Place, Full> {
        let (number, entry) = self.open(peer, is_exempt, caps)?;
        Ok(Place(Arc::new(Guard { connections: Arc::clone(self), number, entry, caps })))
    }

    fn behind_proxies(&self) -> MutexGuard<'_, std::collections::HashMap<IpAddr, usize>> {
        self.behind_proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request more of a client behind a trusted proxy; how many it has by now.
    fn asked(&self, client: IpAddr) -> usize {
        let mut table = self.behind_proxies();
        let own = table.entry(client).or_default();
        *own += 1;
        *own
    }

    fn answered(&self, client: IpAddr) {
        let mut table = self.behind_proxies();
        if let Some(own) = table.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                table.remove(&client);
            }
        }
    }
}

/// See [`Place::begin`].
#[derive(Debug)]
pub(crate) struct Serving {
    place: Place,
    /// Its client, if that is one behind a trusted proxy.
    asking: Option<IpAddr>,
    is_coming: bool,
}

impl Serving {
    /// The request is whole: from now on its connection stays.
    ///
    /// # Errors
    /// When the connection makes room for another one.
    pub(crate) fn whole(&mut self) -> Result<(), Full> {
        let mut state = self.place.0.entry.state();
        if state.is_closing {
            return Err(Full::Total);
        }
        state.coming -= usize::from(std::mem::take(&mut self.is_coming));
        Ok(())
    }

    /// Its body comes in from now on.
    fn comes(mut self) -> Self {
        self.is_coming = true;
        let mut state = self.place.0.entry.state();
        state.coming += 1;
        state.since = Instant::now();
        drop(state);
        self
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Guard { connections, entry, .. } = &*self.place.0;
        match self.asking {
            Some(client) => connections.answered(client),
            None => drop(entry.of_client.fetch_sub(1, Ordering::Relaxed)),
        }
        let mut state = entry.state();
        state.requests -= 1;
        state.coming -= usize::from(self.is_coming);
        state.since = Instant::now();
        // Those of a connection that makes room count no more.
        if !state.is_closing {
            connections.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// See [`Place::untaken`].
pub(crate) struct Untaken {
    place: Place,
    closing: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Untaken {
    /// Whether its connection is to be closed.
    pub(crate) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.closing.as_mut().poll(cx)
    }
}

impl fmt::Debug for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Untaken").field(&self.place).finish()
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.place.0.entry.state().untaken -= 1;
    }
}
