//! The client's connection as Pingora sees it: the head that was read, then nothing until the response is out, then,
//! after a `101`, whatever comes.

use super::http1::{AHEAD_BYTES, ClientStream, Mode};
use super::response_hold::{Due, HELD_BYTES};
use super::tunnel::LOOK;
use crate::upstream::clock::{now_ms, until};
use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How Pingora writes the end of a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl ClientStream {
    /// Keeps the deadlines of [`super::response_hold::ResponseHold`]: a response that does not begin in time is an
    /// error, what was held back for long enough goes out.
    fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            let mut due = self.hold.due(now_ms);
            if let Due::At(at) = due {
                let timer = match &mut self.timer {
                    Some((set_to, timer)) if *set_to == at => timer,
                    other => &mut other.insert((at, Box::pin(tokio::time::sleep(until(at))))).1,
                };
                if timer.as_mut().poll(cx).is_pending() {
                    return Ok(());
                }
                due = self.hold.due(|| at);
            }
            self.timer = None;
            match due {
                Due::Nothing | Due::At(_) => return Ok(()),
                Due::Late => return Err(io::ErrorKind::TimedOut.into()),
                Due::Release => match self.poll_release(cx) {
                    // Another deadline may be left.
                    Poll::Ready(released) => released?,
                    Poll::Pending => return Ok(()),
                },
            }
        }
    }

    /// Asks every few seconds whether an upgraded connection may go on.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(leave) = self.hold.leave() else { return Ok(()) };
        let timer = self.next_look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
        while timer.as_mut().poll(cx).is_ready() {
            if !leave.is_given() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            timer.as_mut().reset(tokio::time::Instant::now() + LOOK);
        }
        Ok(())
    }

    /// An attempt to send `in_hand` bytes, which fails when the client has taken nothing for too long.
    fn watched(
        &mut self,
        cx: &mut Context<'_>,
        in_hand: usize,
        sent: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(taking) = &mut self.taking else { return sent };
        match &sent {
            Poll::Ready(Ok(sent)) => taking.took(*sent, in_hand),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Err(stalled) = taking.poll_blocked(cx, in_hand) {
                    self.hold.stall(stalled);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        sent
    }

    /// Flushes, for as long as the client takes something.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx).map_ok(|()| 0);
        let flushed = ready!(self.watched(cx, 0, flushed)).map(drop);
        self.is_unflushed &= flushed.is_err();
        Poll::Ready(flushed)
    }

    /// Holds back what Pingora writes, if that is to wait; whether it does.
    fn holds(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.hold.begin_to_hold(now_ms) {
            self.held.keep(BytesMut::from(bytes));
            self.is_head_alone = true;
            return Ok(true);
        }
        if !self.hold.holds_body() {
            return Ok(false);
        }
        match self.held.kept() {
            // An end that no hook saw: nobody said what the response is.
            _ if bytes == LAST_CHUNK && self.is_head_alone && self.hold.must_speak() => {
                self.hold.say_nothing();
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Some(held) if held.len() + bytes.len() <= HELD_BYTES && bytes != LAST_CHUNK => {
                held.extend_from_slice(bytes);
                self.is_head_alone = false;
                Ok(true)
            }
            _ => {
                self.hold.hold_no_more();
                Ok(false)
            }
        }
    }

    /// Sends what was held back, if anything was.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.releasing.is_empty() && self.held.is_there() {
            self.releasing = self.held.release(&self.hold).unwrap_or_default().freeze();
        }
        if self.releasing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.releasing.is_empty() {
            let sent = Pin::new(&mut self.inner).poll_write(cx, &self.releasing);
            let sent = ready!(self.watched(cx, self.releasing.len(), sent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.releasing.advance(sent);
        }
        self.releasing = Bytes::new();
        self.is_unflushed = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientStream {
    /// Pingora reads from a client whose request is complete only one byte at a time, to see whether it went away,
    /// and always when it has nothing more to write: what it left in a buffer, such as the head of a response whose
    /// body is slow to come, goes out then.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.hold.take_body() {
            buf.put_slice(b"x");
            return Poll::Ready(Ok(()));
        }
        this.poll_deadlines(cx)?;
        if this.is_unflushed
            && let Poll::Ready(flushed) = this.poll_flushed(cx)
        {
            flushed?;
        }
        if this.mode == Mode::Tunnel {
            this.poll_leave(cx)?;
            if this.buffer.is_empty() {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            let n = this.buffer.len().min(buf.remaining());
            buf.put_slice(&this.buffer[..n]);
            this.buffer.advance(n);
            return Poll::Ready(Ok(()));
        }
        // A next request waits here for its turn, and its bytes do not hide that the client went away.
        while this.buffer.len() < AHEAD_BYTES {
            let mut probe = [0; 512];
            let mut probed = ReadBuf::new(&mut probe);
            match Pin::new(&mut this.inner).poll_read(cx, &mut probed) {
                Poll::Ready(Ok(())) if !probed.filled().is_empty() => this.buffer.extend_from_slice(probed.filled()),
                ready_or_pending => return ready_or_pending,
            }
        }
        // Nothing here wakes the task then; the response's progress does.
        Poll::Pending
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.mode == Mode::MaySwitch {
            // Each head of a response is one write. Interim responses may come before the one that decides.
            if bytes.starts_with(b"HTTP/1.1 101") {
                self.mode = Mode::Tunnel;
            } else if !bytes.starts_with(b"HTTP/1.1 1") {
                self.mode = Mode::Waiting;
            }
        }
        if self.mode == Mode::Tunnel {
            self.poll_leave(cx)?;
        }
        if self.holds(bytes)? {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_release(cx))?;
        self.is_unflushed = true;
        let sent = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watched(cx, bytes.len(), sent)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hold.stalled().is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.mode == Mode::MaySwitch || self.hold.holds_body() {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(cx, first);
        }
        ready!(self.poll_release(cx))?;
        self.is_unflushed = true;
        let sent = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watched(cx, slices.iter().map(|slice| slice.len()).sum(), sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Peek for ClientStream {
    /// Shows what was read to find out about HTTP/2.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let is_there = self.buffer.len() >= buf.len();
        if is_there {
            buf.copy_from_slice(&self.buffer[..buf.len()]);
        }
        Ok(is_there)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // What a client that takes nothing has not got yet is not waited for.
        if self.hold.stalled().is_some() {
            return;
        }
        Shutdown::shutdown(&mut *self.inner).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for ClientStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}
