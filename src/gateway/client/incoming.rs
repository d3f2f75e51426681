//! A request body that comes in: its buffer, its part of the memory, and its time. What of it belongs to the body is
//! [`BodyIntake`]'s.

use super::body_budget::{HeldBody, Hold};
use super::buffers;
use crate::config::Limits;
use crate::connections::{self, Place};
use gateway_core::body_intake::{BodyIntake, Bounds, Framing};
use gateway_core::http1::Refusal;
use std::io;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A body that comes in.
pub(super) struct Incoming<'l> {
    intake: BodyIntake,
    hold: Hold,
    limits: &'l Limits,
    /// The place of the connection that it comes from; `None` over HTTP/2, where a connection is closed as a whole.
    place: Option<Place>,
}

impl<'l> Incoming<'l> {
    /// A body of which nothing came yet.
    ///
    /// # Errors
    /// 413 when it is too long.
    pub(super) fn new(framing: Framing, hold: Hold, limits: &'l Limits) -> Result<Self, Refusal> {
        let bounds = Bounds { bytes: limits.request_body, silence: limits.body_timeout };
        let intake = BodyIntake::new(framing, bounds, Instant::now())?;
        Ok(Self { intake, hold, limits, place: connections::served() })
    }

    /// Whether all of it is there.
    pub(super) fn is_complete(&self) -> bool {
        self.intake.is_complete()
    }

    /// The client says that it ends here.
    ///
    /// # Errors
    /// When it announced another length.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        self.intake.end()
    }

    /// Makes room for so many bytes more, and some.
    fn reserve(&mut self, more: usize) -> Result<(), Refusal> {
        let Some(room) = self.intake.room_for(more) else { return Ok(()) };
        let larger = buffers::take_within(room, self.limits.request_body);
        // No body counts for more than the largest one may have, whatever the size of its buffer.
        let most = self.limits.request_body.max(self.intake.len() + more);
        self.hold.grow_to(larger.capacity().min(most), self.limits)?;
        buffers::give(self.intake.move_to(larger));
        Ok(())
    }

    /// Takes bytes that came, and says how many: what follows the end of the body is not taken.
    ///
    /// # Errors
    /// When it becomes too long, it is malformed, or there is no room.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        self.reserve(bytes.len())?;
        let taken = self.intake.push(bytes)?;
        self.hold.came(self.intake.len());
        Ok(taken)
    }

    /// What `read` gives, unless that takes too long, or the body or its connection has to make room.
    ///
    /// # Errors
    /// 408 or 503.
    pub(super) async fn in_time<T>(&self, read: impl Future<Output = T>) -> Result<T, Refusal> {
        in_time(&self.hold, self.place.as_ref(), self.intake.read_by(Instant::now()), read).await
    }

    /// Reads some of it straight into its buffer; `None` if what comes must go through [`Self::push`].
    ///
    /// # Errors
    /// 408 or 503.
    pub(super) async fn read_from(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<io::Result<usize>>, Refusal> {
        if self.intake.spare().is_none() {
            return Ok(None);
        }
        self.reserve(1)?;
        let until = self.intake.read_by(Instant::now());
        let Some(mut spare) = self.intake.spare() else { return Ok(None) };
        let read = in_time(&self.hold, self.place.as_ref(), until, from.read_buf(&mut spare)).await;
        self.hold.came(self.intake.len());
        read.map(Some)
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it had to make room in the last moment.
    pub(super) fn finish(self) -> Result<HeldBody, Refusal> {
        self.hold.finish()?;
        Ok(HeldBody { bytes: buffers::into_bytes(self.intake.into_bytes()), hold: Some(self.hold) })
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
