//! The mock upstream: an origin on a real socket that records what it gets and guesses nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::deadline::within;
use crate::received::{Early, Open, Received, Shared};
use crate::reply::Reply;
use crate::tls::{Alpn, Leaf};
use crate::wire::{Socket, Wire, show};
use crate::{h1_upstream, h2_upstream};

/// How to start an [`Upstream`].
#[derive(Default)]
pub struct UpstreamBuilder {
    tls: Option<Leaf>,
    http2: bool,
    early: Option<Box<Early>>,
    allow_malformed: bool,
    forgetful: bool,
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

    /// Keeps no request that is well-formed: for tests that run for hours.
    pub fn forgetful(mut self) -> Self {
        self.forgetful = true;
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
        let shared = Arc::new(Shared::new(Box::new(handler), self.early, self.forgetful));
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
        self.shared.connections()
    }

    /// How many of them are open.
    pub fn open_connections(&self) -> usize {
        self.shared.open()
    }

    /// Waits until exactly `n` connections are open.
    pub async fn wait_open_connections(&self, n: usize) {
        let what = format!("{n} open connections at the mock upstream");
        self.until(&what, || self.open_connections() == n).await;
    }

    /// Waits until exactly `n` answers are under way (over HTTP/2: streams).
    pub async fn wait_answering(&self, n: usize) {
        let what = format!("{n} answers under way at the mock upstream");
        self.until(&what, || self.shared.answering() == n).await;
    }

    async fn until(&self, what: &str, reached: impl FnMut() -> bool) {
        within(what, self.shared.until(reached)).await;
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
        let number = shared.next_connection();
        connections.spawn(connection(tcp, speech.clone(), number, Open::new(&shared), killed.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
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
            _ = h2_upstream::serve(socket, number, open.shared()) => {}
            Ok(()) = &mut killed => {}
        }
        return;
    }
    let mut wire = Wire::new(socket);
    let was_killed = tokio::select! {
        () = h1_upstream::serve(&mut wire, number, open.shared()) => false,
        Ok(()) = &mut killed => true,
    };
    if was_killed {
        wire.socket.reset_on_close();
    }
    // The socket goes before the count does.
    drop(wire);
    drop(open);
}
