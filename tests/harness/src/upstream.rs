//! The mock upstream: an origin on a real socket that records what it gets and guesses nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::reply::Reply;
use crate::tls::{Alpn, Leaf};
use crate::wire::{Framing, Headers, Socket, Wire, show};
use crate::{h1_upstream, h2_upstream, within};

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

type Handler = dyn Fn(&Received) -> Reply + Send + Sync;
type Early = dyn Fn(&Received) -> Option<Reply> + Send + Sync;

pub(crate) struct Shared {
    pub(crate) handler: Box<Handler>,
    pub(crate) early: Option<Box<Early>>,
    received: Mutex<Vec<Arc<Received>>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    answering: AtomicUsize,
    changed: Notify,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Vec<Arc<Received>>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a request for the test to look at.
    pub(crate) fn record(&self, request: Received) -> Arc<Received> {
        let request = Arc::new(request);
        self.received().push(Arc::clone(&request));
        self.changed.notify_waiters();
        request
    }
}

/// How to start an [`Upstream`].
#[derive(Default)]
pub struct UpstreamBuilder {
    tls: Option<Leaf>,
    http2: bool,
    early: Option<Box<Early>>,
    allow_malformed: bool,
}

impl UpstreamBuilder {
    /// Speaks TLS with this certificate.
    pub fn tls(mut self, leaf: &Leaf) -> Self {
        self.tls = Some(leaf.clone());
        self
    }

    /// Speaks HTTP/2 and nothing else: chosen by ALPN with TLS, by prior knowledge without. [`crate::Step::Reset`] resets
    /// the stream then, [`crate::Step::Close`] the connection; steps cannot write raw bytes.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Asked when only the head has come; an answer here is sent before the body is read, and the connection
    /// is closed after it.
    pub fn early(mut self, early: impl Fn(&Received) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.early = Some(Box::new(early));
        self
    }

    /// Does not fail the test when a malformed request arrived.
    pub fn allow_malformed(mut self) -> Self {
        self.allow_malformed = true;
        self
    }

    /// Starts on a free port of 127.0.0.1.
    pub async fn start(self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Upstream {
        self.start_on(0, handler).await.expect("a free port for the mock upstream")
    }

    /// Starts on the given port of 127.0.0.1 (0: a free one).
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(
        self,
        port: u16,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Upstream> {
        self.start_at(([127, 0, 0, 1], port).into(), handler).await
    }

    /// Starts at the given address.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn start_at(
        self,
        addr: SocketAddr,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Upstream> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            early: self.early,
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            changed: Notify::new(),
        });
        let alpn = if self.http2 { Alpn::H2 } else { Alpn::Http1 };
        let speech = Speech { tls: self.tls.map(|leaf| leaf.acceptor(alpn)), http2: self.http2 };
        let serving = Mutex::new(Some(Serving::start(listener, speech.clone(), &shared)));
        Ok(Upstream { addr, speech, shared, serving, allow_malformed: self.allow_malformed })
    }
}

/// A running mock upstream. Dropping it stops it, and panics if it ever got a malformed request (unless
/// [`UpstreamBuilder::allow_malformed`] was asked for): no test has to remember that check.
pub struct Upstream {
    addr: SocketAddr,
    speech: Speech,
    shared: Arc<Shared>,
    serving: Mutex<Option<Serving>>,
    allow_malformed: bool,
}

impl Upstream {
    /// A plain one that answers by `handler`, called once a request is whole.
    pub async fn start(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::builder().start(handler).await
    }

    /// More choices.
    pub fn builder() -> UpstreamBuilder {
        UpstreamBuilder::default()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its URL without a path: `http://127.0.0.1:PORT`, with TLS `https://localhost:PORT`.
    pub fn url(&self) -> String {
        match self.speech.tls.is_some() {
            true => format!("https://localhost:{}", self.addr.port()),
            false => format!("http://{}", self.addr),
        }
    }

    /// Ends it as a killed process ends: nobody listens any more, and its connections are reset. What it recorded
    /// stays; [`Upstream::restart`] brings it back.
    pub async fn stop(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut serving) = serving {
            let _ = serving.killed.send(true);
            let _ = within("the mock upstream to end", &mut serving.task).await;
        }
    }

    /// Listens again where it did, after [`Upstream::stop`]. The address stays free in between when the port is
    /// one of [`crate::Port`]'s.
    ///
    /// # Panics
    /// When somebody else has taken the port.
    pub async fn restart(&self) {
        let listener = TcpListener::bind(self.addr).await.expect("the port of the stopped mock upstream");
        let serving = Serving::start(listener, self.speech.clone(), &self.shared);
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
    }

    /// The requests so far, oldest first; a request is here before its answer is.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.shared.received().clone()
    }

    /// The latest request.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self) -> Arc<Received> {
        self.shared.received().last().cloned().expect("a request at the mock upstream")
    }

    /// Waits for the `n`th request and returns all so far.
    pub async fn wait_received(&self, n: usize) -> Vec<Arc<Received>> {
        self.until(&format!("request {n} at the mock upstream"), || self.shared.received().len() >= n).await;
        self.received()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Waits until exactly `n` connections are open.
    pub async fn wait_open_connections(&self, n: usize) {
        let what = format!("{n} open connections at the mock upstream");
        self.until(&what, || self.open_connections() == n).await;
    }

    /// Waits until exactly `n` answers are under way (over HTTP/2: streams).
    pub async fn wait_answering(&self, n: usize) {
        let what = format!("{n} answers under way at the mock upstream");
        self.until(&what, || self.shared.answering.load(Ordering::SeqCst) == n).await;
    }

    async fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        within(what, async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if reached() {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if self.allow_malformed || std::thread::panicking() {
            return;
        }
        for request in self.shared.received().iter() {
            if let Some(why) = &request.malformed {
                panic!("the upstream got a malformed request ({why}): {}", show(&request.raw_head));
            }
        }
    }
}

/// What it speaks on its connections.
#[derive(Clone)]
struct Speech {
    tls: Option<TlsAcceptor>,
    http2: bool,
}

/// The listener and its connections; dropping it ends them.
struct Serving {
    task: tokio::task::JoinHandle<()>,
    killed: watch::Sender<bool>,
}

impl Serving {
    fn start(listener: TcpListener, speech: Speech, shared: &Arc<Shared>) -> Self {
        let (killed, is_killed) = watch::channel(false);
        let task = tokio::spawn(accept(listener, speech, Arc::clone(shared), is_killed));
        Self { task, killed }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, speech: Speech, shared: Arc<Shared>, mut is_killed: watch::Receiver<bool>) {
    // Its tasks end with it.
    let mut connections = tokio::task::JoinSet::new();
    let killed = is_killed.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Ok(_) = is_killed.changed() => break,
        };
        let Ok((tcp, _)) = accepted else { continue };
        while connections.try_join_next().is_some() {}
        let _ = tcp.set_nodelay(true);
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        connections.spawn(connection(tcp, speech.clone(), number, Open::new(&shared), killed.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
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
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        shared.changed.notify_waiters();
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

async fn connection(tcp: TcpStream, speech: Speech, number: usize, open: Open, mut is_killed: watch::Receiver<bool>) {
    let killed = async { is_killed.wait_for(|killed| *killed).await.map(|_| ()) };
    tokio::pin!(killed);
    let socket = match speech.tls {
        None => Socket::Plain(tcp),
        Some(acceptor) => tokio::select! {
            accepted = acceptor.accept(tcp) => match accepted {
                Ok(stream) => Socket::Tls(Box::new(stream.into())),
                Err(_) => return,
            },
            Ok(()) = &mut killed => return,
        },
    };
    if speech.http2 {
        tokio::select! {
            _ = h2_upstream::serve(socket, number, &open.0) => {}
            Ok(()) = &mut killed => {}
        }
        return;
    }
    let mut wire = Wire::new(socket);
    let was_killed = tokio::select! {
        () = h1_upstream::serve(&mut wire, number, &open.0) => false,
        Ok(()) = &mut killed => true,
    };
    if was_killed {
        wire.socket.reset_on_close();
    }
    // The socket goes before the count does.
    drop(wire);
    drop(open);
}
