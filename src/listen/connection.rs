//! A client's TCP connection as Pingora gets it.
//!
//! Pingora's own stream would do, but for its read buffer of 64 KiB, which only its own listeners can leave out.

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use futures::FutureExt as _;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio::net::TcpStream;

/// What waits to be written: the head of an answer and a small body, or the first event of a stream, go out together.
const WRITE_BYTES: usize = 1460;
/// What is read at a time for TLS, which by itself reads 4 KiB at a time.
const TLS_READ_BYTES: usize = 56 * 1024;

/// A client's connection. What belongs to it as long as it is open, such as its place among all connections, belongs
/// into this type: whatever becomes of the connection, this is dropped when it is closed.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufWriter<TcpStream>,
    /// How much is read at once; 0 for what the reader has room for.
    read_bytes: usize,
    /// Read, but not asked for yet.
    ahead: BytesMut,
    digest: Arc<SocketDigest>,
    since: SystemTime,
}

impl Connection {
    /// A connection that was accepted from `peer`.
    ///
    /// # Errors
    /// When it was closed again by now.
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr, is_tls: bool) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        let _ = digest.peer_addr.set(Some(peer.into()));
        Ok(Self {
            stream: BufWriter::with_capacity(WRITE_BYTES, stream),
            read_bytes: if is_tls { TLS_READ_BYTES } else { 0 },
            ahead: BytesMut::new(),
            digest: Arc::new(digest),
            since: SystemTime::now(),
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if buf.remaining() >= this.read_bytes {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            this.ahead.reserve(this.read_bytes);
            let read = pin!(this.stream.read_buf(&mut this.ahead)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                // An idle connection has no buffer.
                this.ahead = BytesMut::new();
                ready!(read)?;
                return Poll::Ready(Ok(()));
            }
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..n]);
        this.ahead.advance(n);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Connection {
    /// Sends what was written and not flushed, as far as the kernel takes it at once.
    fn drop(&mut self) {
        if !self.stream.buffer().is_empty() {
            let _ = self.stream.flush().now_or_never();
        }
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            log::debug!("a connection could not be shut down: {error}");
        }
    }
}

#[async_trait]
impl Peek for Connection {}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().as_raw_fd()
    }
}

impl Ssl for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest { established_ts: self.since, ..TimingDigest::default() })]
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair(is_tls: bool) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (accepted, peer) = listener.accept().await.expect("accepted");
        (client, Connection::new(accepted, peer, is_tls).expect("open"))
    }

    #[tokio::test]
    async fn bytes_come_in_order_whatever_room_the_reader_has() {
        for is_tls in [false, true] {
            let (mut client, mut connection) = pair(is_tls).await;
            let sent: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
            let copy = sent.clone();
            let writing = tokio::spawn(async move {
                client.write_all(&copy).await.expect("written");
            });
            let mut got = Vec::new();
            for room in (1..=70_000).step_by(997).cycle() {
                let mut piece = vec![0; room];
                match connection.read(&mut piece).await.expect("read") {
                    0 => break,
                    n => got.extend_from_slice(&piece[..n]),
                }
            }
            writing.await.expect("written");
            assert!(got == sent, "TLS: {is_tls}");
            assert_eq!(connection.ahead.capacity(), 0, "nothing is kept for nothing");
        }
    }

    #[tokio::test]
    async fn what_was_not_flushed_is_sent_at_the_end() {
        let (mut client, mut connection) = pair(false).await;
        connection.write_all(b"a small answer").await.expect("written");
        drop(connection);
        let mut got = String::new();
        client.read_to_string(&mut got).await.expect("read");
        assert_eq!(got, "a small answer");
    }
}
