//! A request body that comes in: its buffer, its part of the memory, and its time.

use super::body_budget::{HeldBody, Hold};
use super::buffers;
use crate::config::Limits;
use crate::connections::{self, Place};
use bytes::BufMut;
use gateway_core::http1::Refusal;
use std::io;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room that is made for a body of a known length at once. A usual one has it all, so that its part of the budget is taken
/// in one go; and an announced length alone takes no more than this.
const FIRST_BYTES: usize = 64 * 1024;
/// Room that is made when this is full; from there on four times as much each time.
const SECOND_BYTES: usize = 1024 * 1024;
/// The first room for a body of an unknown length.
const FIRST_UNKNOWN_BYTES: usize = 16 * 1024;
/// How many times the longest silence a whole body may take: a client that sends a byte now and then ends too.
const TIMEOUTS: u32 = 10;

/// A body that comes in.
pub struct Incoming<'l> {
    bytes: Vec<u8>,
    hold: Hold,
    /// Its length, if that is known.
    length: Option<usize>,
    limits: &'l Limits,
    deadline: Instant,
    /// The place of the connection that it comes from; `None` over HTTP/2, where a connection is closed as a whole.
    place: Option<Place>,
}

impl<'l> Incoming<'l> {
    /// A body of this length, or of an unknown one, of which nothing came yet.
    ///
    /// # Errors
    /// 413 when it is too long.
    pub fn new(length: Option<usize>, hold: Hold, limits: &'l Limits) -> Result<Self, Refusal> {
        if length.is_some_and(|length| length > limits.request_body) {
            return Err(Refusal::too_large(limits.request_body));
        }
        let deadline = Instant::now() + limits.body_timeout * TIMEOUTS;
        Ok(Self { bytes: Vec::new(), hold, length, limits, deadline, place: connections::served() })
    }

    /// How much of it is there.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether as much is there as was announced.
    pub fn is_complete(&self) -> bool {
        self.length.is_some_and(|length| self.bytes.len() >= length)
    }

    /// Makes room for so many bytes more, and some.
    fn reserve(&mut self, more: usize) -> Result<(), Refusal> {
        let needed = self.bytes.len() + more;
        let room = self.bytes.capacity();
        if needed <= room {
            return Ok(());
        }
        let most = self.length.unwrap_or(self.limits.request_body);
        let next = match room {
            0 if self.length.is_some() => FIRST_BYTES,
            0 => FIRST_UNKNOWN_BYTES,
            1..FIRST_BYTES => FIRST_BYTES,
            FIRST_BYTES..SECOND_BYTES => SECOND_BYTES,
            _ => room.saturating_mul(4),
        };
        let mut larger = buffers::take_within(next.min(most).max(needed), self.limits.request_body);
        // No body counts for more than the largest one may have, whatever the size of its buffer.
        self.hold.grow_to(larger.capacity().min(self.limits.request_body.max(needed)), self.limits)?;
        larger.extend_from_slice(&self.bytes);
        buffers::give(std::mem::replace(&mut self.bytes, larger));
        Ok(())
    }

    /// Adds bytes that came.
    ///
    /// # Errors
    /// When it becomes too long, or there is no room for them.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.push_with(bytes.len(), |body| {
            body.extend_from_slice(bytes);
            Ok(())
        })
        .map(drop)
    }

    /// Adds what `write` does, which is no more than `most` bytes.
    ///
    /// # Errors
    /// When it becomes too long, there is no room, or `write` says so.
    pub fn push_with<T>(
        &mut self,
        most: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.reserve(most)?;
        let written = write(&mut self.bytes)?;
        if self.bytes.len() > self.limits.request_body {
            return Err(Refusal::too_large(self.limits.request_body));
        }
        self.hold.came(self.bytes.len());
        Ok(written)
    }

    /// What `read` gives, unless that takes too long, or the body or its connection has to make room.
    ///
    /// # Errors
    /// 408 or 503.
    pub async fn in_time<T>(&self, read: impl Future<Output = T>) -> Result<T, Refusal> {
        let until = self.deadline.min(Instant::now() + self.limits.body_timeout);
        in_time(&self.hold, self.place.as_ref(), until, read).await
    }

    /// Reads some of it.
    ///
    /// # Errors
    /// 408 or 503.
    pub async fn read_from(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<io::Result<usize>, Refusal> {
        self.reserve(1)?;
        let room = self.bytes.capacity() - self.bytes.len();
        let left = self.length.map_or(room, |length| length - self.bytes.len());
        let mut spare = (&mut self.bytes).limit(room.min(left));
        let until = self.deadline.min(Instant::now() + self.limits.body_timeout);
        let read = in_time(&self.hold, self.place.as_ref(), until, from.read_buf(&mut spare)).await;
        self.hold.came(self.bytes.len());
        read
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it had to make room in the last moment.
    pub fn finish(self) -> Result<HeldBody, Refusal> {
        self.hold.finish()?;
        Ok(HeldBody { bytes: buffers::into_bytes(self.bytes), hold: Some(self.hold) })
    }
}

async fn in_time<T>(
    hold: &Hold,
    place: Option<&Place>,
    until: Instant,
    read: impl Future<Output = T>,
) -> Result<T, Refusal> {
    // One that always has something to read ends too.
    hold.check()?;
    tokio::select! {
        biased;
        read = tokio::time::timeout_at(until.into(), read) => read.map_err(|_| Refusal::late_body()),
        refusal = hold.evicted() => Err(refusal),
        () = connections::making_room(place) => Err(Refusal::no_room()),
    }
}
