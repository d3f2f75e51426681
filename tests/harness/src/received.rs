//! What a mock upstream got, and what its connections share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::reply::Reply;
use crate::wire::{Framing, Headers};

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// The head's bytes, up to and with the empty line; nothing over HTTP/2.
    pub raw_head: Vec<u8>,
    /// The method token.
    pub method: String,
    /// The request target as spelled.
    pub target: String,
    /// The fields, in order and as spelled.
    pub headers: Headers,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// How the body was framed.
    pub framing: Framing,
    /// Fields after a chunked body.
    pub trailers: Headers,
    /// Why this request is not to be trusted: it is incomplete, or could be parsed in more than one way.
    pub malformed: Option<String>,
    /// Which connection it came on, from 1.
    pub connection: usize,
}

impl Received {
    /// Nothing yet, on this connection.
    pub(crate) fn on(connection: usize) -> Self {
        Self {
            raw_head: vec![],
            method: String::new(),
            target: String::new(),
            headers: Headers::default(),
            body: vec![],
            framing: Framing::None,
            trailers: Headers::default(),
            malformed: None,
            connection,
        }
    }
}

pub(crate) type Handler = dyn Fn(&Received) -> Reply + Send + Sync;
pub(crate) type Early = dyn Fn(&Received) -> Option<Reply> + Send + Sync;

pub(crate) struct Shared {
    pub(crate) handler: Box<Handler>,
    pub(crate) early: Option<Box<Early>>,
    received: Mutex<Vec<Arc<Received>>>,
    forgets: bool,
    connections: AtomicUsize,
    open: AtomicUsize,
    answering: AtomicUsize,
    changed: Notify,
}

impl Shared {
    /// Nothing received yet.
    pub(crate) fn new(handler: Box<Handler>, early: Option<Box<Early>>, forgets: bool) -> Self {
        Self {
            handler,
            early,
            received: Mutex::default(),
            forgets,
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> MutexGuard<'_, Vec<Arc<Received>>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request for the test to look at.
    pub(crate) fn record(&self, request: Received) -> Arc<Received> {
        let request = Arc::new(request);
        if !self.forgets || request.malformed.is_some() {
            self.received().push(Arc::clone(&request));
        }
        self.changed.notify_waiters();
        request
    }

    /// Counts a connection; its number, from 1.
    pub(crate) fn next_connection(&self) -> usize {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How many answers are under way.
    pub(crate) fn answering(&self) -> usize {
        self.answering.load(Ordering::SeqCst)
    }

    /// Waits until this is so; it is asked again after each change.
    pub(crate) async fn until(&self, mut reached: impl FnMut() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if reached() {
                return;
            }
            changed.await;
        }
    }
}

/// Counts an answer as under way until dropped.
pub(crate) struct Answering<'a>(&'a Shared);

impl<'a> Answering<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        shared.answering.fetch_add(1, Ordering::SeqCst);
        shared.changed.notify_waiters();
        Self(shared)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

/// Counts a connection as open until dropped.
pub(crate) struct Open(Arc<Shared>);

impl Open {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        shared.changed.notify_waiters();
        Self(Arc::clone(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}
