//! A client's HTTP/1 connection: reads whole requests from it, then stands in for it towards Pingora.
//!
//! Pingora gets the head of a request that was read and checked, and nothing more: the body has its own way to the
//! upstream (see `proxy::request_head`), so that Pingora neither copies it nor touches an upstream before it is whole.
//! What follows on the connection waits here until the response is out. After a `101` the bytes go straight through.

use super::body_budget::{HeldBody, Hold};
use super::incoming::Incoming;
use super::request::{Expected, NoRequest, ReadRequest};
use super::response_hold::{HeldHead, ResponseHold};
use super::unsent::Taking;
use crate::config::Limits;
use crate::gateway::snapshot::peer;
use bytes::{Buf, Bytes, BytesMut};
use gateway_core::body_intake::Framing;
use gateway_core::http1::head::{self, Head, Scanner};
use gateway_core::http1::{Refusal, chunked};
use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Sleep;

/// How much is read at a time while a head is expected: most heads, with the beginning of the body.
const READ_BYTES: usize = 8 * 1024;
/// Bytes of next requests that are taken while one is served; the connection is watched until then.
pub(super) const AHEAD_BYTES: usize = 8 * 1024;
/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A request of which the head was read.
pub(crate) struct Begun {
    started: Instant,
    parsed: Head,
    head: BytesMut,
}

impl Begun {
    /// Its head as it came in.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether a body follows.
    pub(crate) fn has_body(&self) -> bool {
        self.parsed.framing != head::Framing::None
    }

    /// What is asked for: path and query.
    pub(crate) fn target(&self) -> Cow<'_, [u8]> {
        match &self.parsed.absolute_target {
            Some(absolute) => absolute.forwarded(&self.head),
            None => self.head[..].split(|&byte| byte == b' ').nth(1).unwrap_or_default().into(),
        }
    }

    /// Its head with all of its fields, for those who must know it before there is a session of Pingora's.
    pub(crate) fn request(&self) -> Option<RequestHeader> {
        request_of(&self.head, &self.target())
    }
}

/// A head as Pingora has it, with this target.
fn request_of(head: &[u8], target: &[u8]) -> Option<RequestHeader> {
    let method = head.split(|&byte| byte == b' ').next()?;
    let mut request = RequestHeader::build(method, target, None).ok()?;
    for (name, value) in head::fields(head) {
        let name = std::str::from_utf8(name).ok()?;
        request.append_header(name.to_owned(), HeaderValue::from_bytes(value).ok()?).ok()?;
    }
    Some(request)
}

/// A client's connection.
pub(crate) struct ClientStream {
    pub(super) inner: Stream,
    /// Read from the socket, but not part of the current request.
    pub(super) buffer: BytesMut,
    /// The request that Pingora is about to handle. The lock is never contended: the connection's one task takes it.
    pub(super) request: Mutex<Option<ReadRequest>>,
    pub(super) mode: Mode,
    /// The head of a request that is refused for its body.
    pub(super) refused: BytesMut,
    /// Whether something was written that may still be in a buffer.
    pub(super) is_unflushed: bool,
    pub(super) hold: Arc<ResponseHold>,
    /// The beginning of a response that is held back.
    pub(super) held: HeldHead<BytesMut>,
    /// Whether that is only its head.
    pub(super) is_head_alone: bool,
    /// What is left to be sent of what was held back.
    pub(super) releasing: Bytes,
    /// The next deadline, and when that is.
    pub(super) timer: Option<(u64, Pin<Box<Sleep>>)>,
    /// When it is asked next whether it may go on, once it is upgraded.
    pub(super) next_look: Option<Pin<Box<Sleep>>>,
    /// How the client takes its response; `None` before there is one, and for HTTP/2, where each stream has its own.
    pub(super) taking: Option<Taking>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A request is being handled; the client may only wait or go away.
    Waiting,
    /// As `Waiting`, but the response may switch protocols.
    MaySwitch,
    /// Bytes go through as they are: HTTP/2, or after a `101`.
    Tunnel,
}

impl ClientStream {
    /// Takes over a new connection.
    pub(crate) fn new(inner: Stream) -> Self {
        Self {
            inner,
            buffer: BytesMut::new(),
            request: Mutex::new(None),
            mode: Mode::Waiting,
            refused: BytesMut::new(),
            is_unflushed: false,
            hold: Arc::default(),
            held: HeldHead::default(),
            is_head_alone: false,
            releasing: Bytes::new(),
            timer: None,
            next_look: None,
            taking: None,
        }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        peer(self.inner.get_socket_digest()?.peer_addr())
    }

    /// Waits for the first byte of a request, until `end` at most.
    ///
    /// # Errors
    /// When none came.
    pub(crate) async fn wait(&mut self, mut end: Pin<&mut Sleep>) -> Result<(), NoRequest> {
        loop {
            // A client may send an empty line too much before a request (RFC 9112 section 2.2).
            while self.buffer.starts_with(b"\r\n") {
                self.buffer.advance(2);
            }
            if !self.buffer.is_empty() && self.buffer != b"\r"[..] {
                return Ok(());
            }
            let filled = tokio::select! {
                biased;
                filled = self.fill() => filled,
                () = &mut end => return Err(NoRequest::Gone),
            };
            if !matches!(filled, Ok(1..)) {
                return Err(NoRequest::Gone);
            }
        }
    }

    /// Whether the client speaks HTTP/2 with prior knowledge. To be asked once, after the first [`ClientStream::wait`].
    ///
    /// # Errors
    /// When the client goes away or takes too long before it is clear.
    pub(crate) async fn is_http2(&mut self, limits: &Limits) -> Result<bool, NoRequest> {
        let deadline = Instant::now() + limits.header_timeout;
        loop {
            let known = self.buffer.len().min(H2_PREFACE.len());
            if self.buffer[..known] != H2_PREFACE[..known] {
                return Ok(false);
            }
            if known == H2_PREFACE.len() {
                self.mode = Mode::Tunnel;
                return Ok(true);
            }
            self.fill_until(deadline, Refusal::late_head).await?;
        }
    }

    /// Reads the head of a request.
    ///
    /// # Errors
    /// Why there is no request to handle.
    pub(crate) async fn read_head(&mut self, limits: &Limits) -> Result<Begun, NoRequest> {
        let started = Instant::now();
        let length = self.find_head(limits, started + limits.header_timeout).await?;
        let parsed = head::parse(&self.buffer[..length], &limits.head)?;
        // A copy of its own size: Pingora keeps the head as long as the response takes, and would keep the whole
        // buffer.
        let head = BytesMut::from(&self.buffer[..length]);
        self.buffer.advance(length);
        Ok(Begun { started, parsed, head })
    }

    /// Reads the body behind a head, with what is known of it; it must be known if there is one. Returns the head for
    /// Pingora, with a body length of zero, or of one byte for a body if Pingora `must_see_bodies`; the rest is kept
    /// for [`ClientStream::take_request`].
    ///
    /// # Errors
    /// Why there is no request to handle.
    pub(crate) async fn read_rest(
        &mut self,
        begun: Begun,
        limits: &Limits,
        expected: Option<Expected>,
        must_see_bodies: bool,
    ) -> Result<BytesMut, NoRequest> {
        let Begun { started, parsed, head } = begun;
        let (found, hold) = expected.map(|expected| (expected.found, expected.hold)).unzip();
        let read = match hold {
            Some(hold) => self.read_body(&parsed, limits, hold).await,
            None => Ok(None),
        };
        let (found, body) = match read {
            Ok(body) => (found.flatten(), body),
            Err(error) => {
                self.refused = head;
                return Err(error);
            }
        };
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        self.mode = if parsed.wants_upgrade { Mode::MaySwitch } else { Mode::Waiting };
        let is_shown = must_see_bodies && body.as_ref().is_some_and(|held| !held.bytes.is_empty());
        let (head, length_name) = without_body(head, &parsed, is_shown);
        self.hold.end_hold();
        self.hold.expect_nothing();
        self.hold.expect_body(is_shown);
        let hold = Arc::clone(&self.hold);
        let request = ReadRequest { started, body, found, length_name, hold };
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        Ok(head)
    }

    /// The way to tell this connection something.
    pub(crate) fn response_hold(&self) -> Arc<ResponseHold> {
        Arc::clone(&self.hold)
    }

    /// Watches from here on how the client takes what is sent to it.
    pub(crate) fn watch(&mut self, taking: Taking) {
        self.taking = Some(taking);
    }

    /// Hands out what [`ClientStream::read_rest`] kept, once.
    pub(crate) fn take_request(&self) -> Option<ReadRequest> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The request that is refused, if its head can be read.
    pub(crate) fn refused(&self) -> Option<RequestHeader> {
        let target = self.refused[..].split(|&byte| byte == b' ').nth(1)?;
        request_of(&self.refused, target)
    }

    /// Notes that this request is refused for its head alone.
    pub(crate) fn refuse(&mut self, begun: Begun) {
        self.refused = begun.head;
    }

    /// The head of the request that is refused for its body; empty if it is refused for its head.
    pub(crate) fn refused_head(&self) -> &[u8] {
        &self.refused
    }

    /// What there is of the refused request's head: to choose how to answer, not to be relied on.
    pub(crate) fn refused_bytes(&self) -> &[u8] {
        if self.refused.is_empty() { &self.buffer } else { &self.refused }
    }

    /// Whether the response to the refused request must not have a body.
    pub(crate) fn refused_is_head(&self) -> bool {
        self.refused.starts_with(b"HEAD ") || self.buffer.starts_with(b"HEAD ")
    }

    /// Sends a last response and closes the connection, so that the client gets to read it: what it still sends is
    /// read and dropped for a moment, because closing with unread bytes would reset the connection.
    pub(crate) async fn send_last(mut self, bytes: &[u8], write_timeout: Duration) {
        const LINGER: Duration = Duration::from_secs(2);
        let sent = tokio::time::timeout(write_timeout, async {
            self.inner.write_all(bytes).await?;
            self.inner.flush().await?;
            AsyncWriteExt::shutdown(&mut self.inner).await
        });
        if matches!(sent.await, Ok(Ok(()))) {
            // However much comes in that time: a client that is cut in the middle of its body may lose the response.
            let drained = async {
                let mut scratch = vec![0; READ_BYTES];
                while let Ok(1..) = self.inner.read(&mut scratch).await {}
            };
            let _ = tokio::time::timeout(LINGER, drained).await;
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        self.inner.read_buf(&mut self.buffer).await
    }

    async fn fill_until(&mut self, deadline: Instant, late: fn() -> Refusal) -> Result<(), NoRequest> {
        match tokio::time::timeout_at(deadline.into(), self.fill()).await {
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(NoRequest::Aborted),
            Err(_) => Err(late().into()),
        }
    }

    async fn find_head(&mut self, limits: &Limits, deadline: Instant) -> Result<usize, NoRequest> {
        let mut scanner = Scanner::default();
        loop {
            if let Some(length) = scanner.scan(&self.buffer, &limits.head)? {
                return Ok(length);
            }
            self.fill_until(deadline, Refusal::late_head).await?;
        }
    }

    /// Whether the whole body came together with the head: then it is simpler to take it than to close the connection.
    pub(crate) fn holds_body(&self, begun: &Begun) -> bool {
        matches!(begun.parsed.framing, head::Framing::Length(length) if self.buffer.len() as u64 >= length)
    }

    async fn read_body(&mut self, head: &Head, limits: &Limits, mut hold: Hold) -> Result<Option<HeldBody>, NoRequest> {
        let framing = match head.framing {
            head::Framing::None => return Ok(None),
            head::Framing::Length(length) => Framing::Length(usize::try_from(length).unwrap_or(usize::MAX)),
            head::Framing::Chunked => Framing::Chunked(chunked::Decoder::default()),
        };
        if let Framing::Length(length) = framing
            && length <= self.buffer.len().min(limits.request_body)
        {
            // It came with the head, as most do.
            hold.take_whole(length, limits)?;
            let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
            self.buffer.advance(length);
            return Ok(Some(HeldBody { bytes, hold: Some(hold) }));
        }
        let mut body = Incoming::new(framing, hold, limits)?;
        self.invite(head, limits.write_timeout).await?;
        loop {
            if !self.buffer.is_empty() {
                let taken = body.push(&self.buffer)?;
                self.buffer.advance(taken);
            }
            if body.is_complete() {
                return Ok(Some(body.finish()?));
            }
            let read = match body.read_from(&mut self.inner).await? {
                Some(read) => read,
                None => body.in_time(self.fill()).await?,
            };
            if !matches!(read, Ok(1..)) {
                return Err(NoRequest::Aborted);
            }
        }
    }

    /// Tells a client that waits for it to send the body.
    async fn invite(&mut self, head: &Head, write_timeout: Duration) -> Result<(), NoRequest> {
        if head.expects_continue && self.buffer.is_empty() {
            let sent = async {
                self.inner.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                self.inner.flush().await
            };
            let sent = tokio::time::timeout(write_timeout, sent).await;
            sent.ok().and_then(Result::ok).ok_or(NoRequest::Aborted)?;
        }
        Ok(())
    }
}

/// `head` as Pingora is to see it: with a body length of zero, or of one if the body `is_shown`, a target in origin form,
/// and a version that it knows; and the name of its `Content-Length` field.
fn without_body(mut head: BytesMut, parsed: &Head, is_shown: bool) -> (BytesMut, Bytes) {
    let mut length_name = Bytes::from_static(b"Content-Length");
    match parsed.framing {
        head::Framing::None => {}
        head::Framing::Length(_) => {
            let line = &mut head[parsed.framing_line.clone()];
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            if &line[..colon] != b"Content-Length" {
                length_name = Bytes::copy_from_slice(&line[..colon]);
            }
            // Overwriting the digits keeps the field in its place, without moving what follows.
            line[colon..].iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|digit| *digit = b'0');
            if let Some(last) = line.iter_mut().rfind(|byte| byte.is_ascii_digit()).filter(|_| is_shown) {
                *last = b'1';
            }
        }
        head::Framing::Chunked if is_shown => replace(&mut head, parsed.framing_line.clone(), b"Content-Length: 1\r\n"),
        head::Framing::Chunked => replace(&mut head, parsed.framing_line.clone(), b"Content-Length: 0\r\n"),
    }
    if let Some(absolute) = &parsed.absolute_target {
        // The target stands before all fields, so its place is still right.
        let target = absolute.forwarded(&head).into_owned();
        replace(&mut head, absolute.target.clone(), &target);
    }
    head::put_last(&mut head, is_removed);
    if let Some(end) = memchr::memchr(b'\r', &head)
        && let Some(minor @ b'2'..=b'9') = head[..end].last_mut()
    {
        *minor = b'1';
    }
    (head, length_name)
}

/// Whether a field goes no further: Pingora removes it, or the gateway. Its map puts the last field into the gap, which is
/// of no matter if that is such a one too.
fn is_removed(name: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        2 => is("te"),
        6 => is("expect"),
        7 => is("trailer") || is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        14 => is("http2-settings"),
        16 => is("proxy-connection"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        _ => false,
    }
}

fn replace(head: &mut BytesMut, span: std::ops::Range<usize>, with: &[u8]) {
    let tail = head.split_off(span.end);
    head.truncate(span.start);
    head.extend_from_slice(with);
    head.extend_from_slice(&tail);
}

impl std::fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the buffer: it may hold keys.
        f.debug_struct("ClientStream").field("mode", &self.mode).finish_non_exhaustive()
    }
}
