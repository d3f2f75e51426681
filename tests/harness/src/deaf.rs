//! A place that no connection gets through to, without a firewall.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A listener that never accepts and whose queue is full: on Linux further connections hang, as at an address whose
/// packets are dropped.
pub struct Deaf {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Deaf {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await.expect("a free port")
    }

    /// At this address.
    ///
    /// # Errors
    /// When the address is taken, or this machine has none of its kind.
    pub async fn start_at(addr: SocketAddr) -> io::Result<Self> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(1)?;
        let addr = listener.local_addr()?;
        let mut queued = Vec::new();
        // Full once a connection hangs; a shorter wait would take a slow machine for a full queue.
        while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(addr)).await {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue does not fill");
        }
        Ok(Self { addr, _listener: listener, _queued: queued })
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
