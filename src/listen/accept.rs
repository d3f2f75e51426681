//! The loops that accept connections and hand them to an application.

use super::sockets::Loop;
use super::{Accepting, Connection, Sockets};
use crate::connections::{self, Full, Place};
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use pingora_runtime::current_handle;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// How long a loop waits when the kernel gives it no connection: for descriptors to become free.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the log says so.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// An address, and whether its clients speak TLS.
pub(crate) struct Endpoint {
    /// One of [`Sockets`].
    pub address: SocketAddr,
    /// Makes the TLS handshake.
    pub tls: Option<Arc<Acceptor>>,
}

/// A service of Pingora's: an application, and the endpoints whose connections it gets.
pub(crate) struct Listening<A> {
    name: &'static str,
    app: Arc<A>,
    sockets: Arc<Sockets>,
    endpoints: Vec<Endpoint>,
    /// Time for a TLS handshake.
    handshake_time: Arc<dyn Fn() -> Duration + Send + Sync>,
    admission: Arc<Admission>,
}

/// Finds a place for a connection from an address.
pub(super) type Admission = dyn Fn(SocketAddr) -> Result<Place, Full> + Send + Sync;

impl<A: ServerApp + Send + Sync + 'static> Listening<A> {
    /// `handshake_time` and `admission` are asked anew for each connection.
    pub(crate) fn new(
        name: &'static str,
        app: A,
        sockets: Arc<Sockets>,
        endpoints: Vec<Endpoint>,
        handshake_time: impl Fn() -> Duration + Send + Sync + 'static,
        admission: impl Fn(SocketAddr) -> Result<Place, Full> + Send + Sync + 'static,
    ) -> Self {
        let (handshake_time, admission) = (Arc::new(handshake_time), Arc::new(admission));
        Self { name, app: Arc::new(app), sockets, endpoints, handshake_time, admission }
    }

    fn acceptances(&self, endpoint: &Endpoint, loops: usize, shutdown: &ShutdownWatch) -> Vec<Acceptance<A>> {
        let listener = self.sockets.at(endpoint.address).and_then(TcpListener::from_std);
        let listener = match listener {
            Ok(listener) => Arc::new(listener),
            Err(error) => {
                log::error!("no connections are accepted at {}: {error}", endpoint.address);
                return Vec::new();
            }
        };
        let one = || Acceptance {
            listener: Arc::clone(&listener),
            address: endpoint.address,
            tls: endpoint.tls.clone(),
            app: Arc::clone(&self.app),
            sockets: Arc::clone(&self.sockets),
            shutdown: shutdown.clone(),
            handshake_time: Arc::clone(&self.handshake_time),
            admission: Arc::clone(&self.admission),
        };
        (0..loops).map(|_| one()).collect()
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Listening<A> {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, listeners_per_fd: usize) {
        let loops = self.endpoints.iter().flat_map(|endpoint| self.acceptances(endpoint, listeners_per_fd, &shutdown));
        let runtime = current_handle();
        let tasks: Vec<_> = loops.map(|acceptance| runtime.spawn(acceptance.run())).collect();
        futures::future::join_all(tasks).await;
        self.app.cleanup().await;
    }

    fn name(&self) -> &str {
        self.name
    }
}

/// One loop.
struct Acceptance<A> {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    app: Arc<A>,
    sockets: Arc<Sockets>,
    shutdown: ShutdownWatch,
    handshake_time: Arc<dyn Fn() -> Duration + Send + Sync>,
    admission: Arc<Admission>,
}

impl<A: ServerApp + Send + Sync + 'static> Acceptance<A> {
    async fn run(self) {
        let (mut accepting, mut shutdown) = (self.sockets.watch(), self.shutdown.clone());
        let mut told: Option<Instant> = None;
        // There while this loop accepts.
        let mut counted: Option<Loop<'_>> = None;
        loop {
            if *accepting.borrow() != Accepting::On {
                // Only here is a pause waited for: whoever waits for all loops to pause would wait for a counted one.
                counted = None;
                let next = accepting.wait_for(|&now| now != Accepting::Paused).await.map(|now| *now);
                if !matches!(next, Ok(Accepting::On)) {
                    return;
                }
            }
            counted.get_or_insert_with(|| self.sockets.loop_began());
            let accepted = tokio::select! {
                // A pause that began before the loop was counted, or while its thread was blocked, is seen first.
                biased;
                _ = accepting.wait_for(|&now| now != Accepting::On) => continue,
                _ = shutdown.wait_for(|&is_on| is_on) => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match (self.admission)(peer) {
                    Ok(place) => self.begin(stream, peer, place),
                    Err(full) => log::debug!("a connection of {peer} is not taken: {}", full.name()),
                },
                // The client has gone again.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                        told = Some(Instant::now());
                        log::error!("no connection can be accepted at {} for the moment: {error}", self.address);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own.
    fn begin(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let Ok(connection) = Connection::new(stream, peer, self.tls.is_some()) else { return };
        let (app, tls, shutdown) = (Arc::clone(&self.app), self.tls.clone(), self.shutdown.clone());
        let handshake_time = Arc::clone(&self.handshake_time);
        let at = place.clone();
        current_handle().spawn(place.hold(async move {
            let stream: Stream = match tls {
                None => Box::new(connection),
                // On the heap, or every connection would keep the room of a handshake as long as it is open.
                Some(tls) => match Box::pin(shake_hands(&tls, connection, peer, handshake_time(), &at)).await {
                    Some(stream) => stream,
                    None => return,
                },
            };
            let mut next = app.process_new(stream, &shutdown).await;
            while let Some(stream) = next {
                next = app.process_new(stream, &shutdown).await;
            }
        }));
    }
}

/// The connection as a TLS one; nothing if that failed, took too long, or its place is needed.
async fn shake_hands(
    tls: &Acceptor,
    connection: Connection,
    peer: SocketAddr,
    within: Duration,
    at: &Place,
) -> Option<Stream> {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(within, tls.tls_handshake(connection)) => shaken,
        () = connections::making_room(Some(at)) => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(Box::new(stream)),
        Ok(Err(error)) => log::debug!("no TLS connection with {peer}: {error}"),
        Err(_) => log::debug!("no TLS connection with {peer}: the handshake took too long"),
    }
    None
}

/// Whether the next connection may be had at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncReadExt as _;
    use tokio::sync::watch;

    struct Nobody;

    #[async_trait]
    impl ServerApp for Nobody {
        async fn process_new(self: &Arc<Self>, _: Stream, _: &ShutdownWatch) -> Option<Stream> {
            None
        }
    }

    /// Loops at a free port, which close each connection that they accept, and count it.
    struct Loops {
        count: usize,
        sockets: Arc<Sockets>,
        address: SocketAddr,
        accepted: Arc<AtomicUsize>,
        _shutdown: watch::Sender<bool>,
    }

    impl Loops {
        fn start(count: usize) -> Self {
            let (sockets, accepted) = (Arc::new(Sockets::default()), Arc::<AtomicUsize>::default());
            let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.expect("a port");
            sockets.bind("gateway.listen", address).expect("bound");
            let counter = Arc::clone(&accepted);
            let refuse = move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                Err(Full::Total)
            };
            let listening = Listening::new("test", Nobody, Arc::clone(&sockets), Vec::new(), || Duration::ZERO, refuse);
            let (shutdown, is_shut_down) = watch::channel(false);
            for acceptance in listening.acceptances(&Endpoint { address, tls: None }, count, &is_shut_down) {
                tokio::spawn(acceptance.run());
            }
            Self { count, sockets, address, accepted, _shutdown: shutdown }
        }

        async fn begin(&self) {
            self.sockets.accept(true);
            within("all loops to accept", self.sockets.accepted_by(self.count)).await;
        }

        async fn pause(&self) {
            self.sockets.accept(false);
            within("no loop to accept", self.sockets.accepted_by_none()).await;
        }

        fn accepted(&self) -> usize {
            self.accepted.load(Ordering::SeqCst)
        }
    }

    async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("waited for {what}"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_pause_is_one_whatever_a_loop_is_about_to_do() {
        let loops = Loops::start(4);
        for round in 0..4_000 {
            if round % 2 == 0 {
                loops.begin().await;
            }
            let _waits = TcpStream::connect(loops.address).await.expect("connected");
            // The loops wake up, and find anything.
            for _ in 0..round % 8 {
                loops.sockets.accept(false);
                loops.sockets.accept(true);
            }
            loops.pause().await;
            let accepted = loops.accepted();
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            assert_eq!(loops.accepted(), accepted, "round {round}: accepted during the pause");
        }
    }

    #[tokio::test]
    async fn what_comes_during_a_pause_waits_for_its_end() {
        let loops = Loops::start(2);
        loops.begin().await;
        loops.pause().await;
        let mut waits = TcpStream::connect(loops.address).await.expect("connected");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(loops.accepted(), 0);
        loops.begin().await;
        assert_eq!(within("the connection to be closed", waits.read(&mut [0])).await.expect("closed"), 0);
        assert_eq!(loops.accepted(), 1);
    }
}
