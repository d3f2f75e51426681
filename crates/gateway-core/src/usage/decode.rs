//! A look inside of content codings, piece by piece, next to what is forwarded, and within bounds: some hundred bytes
//! can stand for a gigabyte.
//!
//! Decoded bytes go through one small buffer. One call decodes no more than [`GO_BYTES`]; what it did not get to
//! waits for the next one. All of a response may be [`MOST_FOLD`] times as large as what came in.

mod coding;

use coding::Coding;
pub use coding::Undecodable;
use std::ops::ControlFlow;

/// Decoded in one go: with what reads the text, some tenths of a millisecond of a worker's time, at worst a little more
/// than one. (Brotli decodes a window of up to 4 MiB before it gives any of it away: about two milliseconds, once.)
pub(crate) const GO_BYTES: usize = 128 * 1024;
/// What the decoders write into.
pub(crate) const BUFFER_BYTES: usize = 8 * 1024;
/// The most that waits to be decoded: a response that comes so much faster than it can be read is not read.
const WAITING_BYTES: usize = 2 * 1024 * 1024;
/// Decoded of every response, however few bytes it came in.
pub(crate) const FREE_BYTES: u64 = 1024 * 1024;
/// Beyond that, decoded for each byte that came in. Event streams of the Messages API reach 10 when each event is
/// flushed, 35 when they are compressed as a whole.
pub(crate) const MOST_FOLD: u64 = 200;
/// A byte that is read counts as so many that are written: some codings can make much work of it without writing any.
const READ_COST: usize = 2;

/// Undoes the content coding of one body.
pub struct Decoder {
    coding: Coding,
    read: u64,
    written: u64,
    /// What came in and was not decoded yet begins at `at`.
    waiting: Vec<u8>,
    at: usize,
    /// Whether the decoder had no room for all that it could write.
    has_more: bool,
}

impl Decoder {
    /// For the values of `Content-Encoding`, in their order; `None` if they name a coding that is not known, or
    /// several.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Self> {
        let members = values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        let mut codings = members.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let only = codings.next().unwrap_or_default();
        // Nobody sends several, and each would multiply what a byte can stand for.
        if codings.next().is_some() {
            return None;
        }
        let coding = Coding::new(only)?;
        Some(Self { coding, read: 0, written: 0, waiting: Vec::new(), at: 0, has_more: false })
    }

    /// Whether the body is in no coding: it is as it comes.
    pub fn is_identity(&self) -> bool {
        matches!(self.coding, Coding::Identity)
    }

    /// Takes the next bytes and decodes some: `decoded` gets them in pieces, until it breaks off.
    ///
    /// # Errors
    /// When the bytes cannot be decoded, or stand for too much. Nothing can be read of the rest then.
    pub fn push(&mut self, bytes: &[u8], mut decoded: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), Undecodable> {
        if let Coding::Identity = self.coding {
            let _ = decoded(bytes);
            return Ok(());
        }
        if !self.is_behind() {
            let read = self.go(bytes, decoded)?;
            return self.keep(&bytes[read..]);
        }
        self.keep(bytes)?;
        let waiting = std::mem::take(&mut self.waiting);
        self.at += self.go(&waiting[self.at..], decoded)?;
        if self.at < waiting.len() {
            self.waiting = waiting;
        } else {
            self.at = 0;
        }
        Ok(())
    }

    /// Whether there is something to decode without any more input.
    pub fn is_behind(&self) -> bool {
        self.has_more || !self.waiting.is_empty()
    }

    /// Decodes until the work of one go is done; returns how much of `bytes` was taken.
    fn go(&mut self, bytes: &[u8], mut decoded: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<usize, Undecodable> {
        let mut buffer = [0; BUFFER_BYTES];
        let (mut taken, mut work) = (0, 0);
        while work < GO_BYTES && (taken < bytes.len() || self.has_more) {
            let piece = &bytes[taken..bytes.len().min(taken + BUFFER_BYTES / READ_COST)];
            let step = self.coding.step(piece, &mut buffer)?;
            let is_full = step.written == buffer.len();
            // Neither can be: it would be an endless loop.
            if step.read == 0 && step.written == 0 && !piece.is_empty() {
                return Err(Undecodable);
            }
            (taken, self.has_more) = (taken + step.read, is_full);
            work += step.written.max(step.read * READ_COST);
            (self.read, self.written) = (self.read + step.read as u64, self.written + step.written as u64);
            if self.written > FREE_BYTES + MOST_FOLD * self.read {
                return Err(Undecodable);
            }
            if step.written > 0 && decoded(&buffer[..step.written]).is_break() {
                // Nobody wants the rest.
                self.has_more = false;
                return Ok(bytes.len());
            }
        }
        Ok(taken)
    }

    /// Puts off what there was no time for.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Undecodable> {
        if self.waiting.len() - self.at + bytes.len() > WAITING_BYTES {
            return Err(Undecodable);
        }
        self.waiting.drain(..std::mem::take(&mut self.at));
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({}, {} of {} bytes)", self.coding.name(), self.written, self.read)
    }
}

#[cfg(test)]
#[path = "decode/tests.rs"]
mod tests;
