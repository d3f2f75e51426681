//! A request body that comes in, pure: however it is framed and cut, bytes go in, and it says how large its buffer has
//! to be, until when something must come, and when it is whole. Whoever reads has the buffers, the memory and the
//! clock.

use crate::http1::{Refusal, chunked};
use crate::language::both;
use crate::reason::Reason;
use bytes::BufMut;
use bytes::buf::Limit;
use std::time::{Duration, Instant};

/// Room that is made for a body of a known length at once. A usual one has it all, so that its part of the budget is
/// taken in one go; and an announced length alone takes no more than this.
const FIRST_BYTES: usize = 64 * 1024;
/// Room that is made when this is full; from there on four times as much each time.
const SECOND_BYTES: usize = 1024 * 1024;
/// The first room for a body of an unknown length.
const FIRST_UNKNOWN_BYTES: usize = 16 * 1024;
/// How many times the longest silence a whole body may take: a client that sends a byte now and then ends too.
const TIMEOUTS: u32 = 10;

/// How it can be told where a body ends.
#[derive(Debug)]
pub enum Framing {
    /// It has this length.
    Length(usize),
    /// It comes in chunks.
    Chunked(chunked::Decoder),
    /// The other side says so; perhaps it announced a length too.
    UntilEnd(Option<usize>),
}

/// What a body may have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes.
    pub bytes: usize,
    /// The longest time in which nothing comes.
    pub silence: Duration,
}

/// A body that comes in.
#[derive(Debug)]
pub struct BodyIntake {
    framing: Framing,
    bytes: Vec<u8>,
    bounds: Bounds,
    deadline: Instant,
}

impl BodyIntake {
    /// A body of which nothing came yet.
    ///
    /// # Errors
    /// 413 when its length is too large.
    pub fn new(framing: Framing, bounds: Bounds, now: Instant) -> Result<Self, Refusal> {
        let intake = Self { framing, bytes: Vec::new(), bounds, deadline: now + bounds.silence * TIMEOUTS };
        match intake.length() {
            Some(length) if length > bounds.bytes => Err(Refusal::too_large(bounds.bytes)),
            _ => Ok(intake),
        }
    }

    fn length(&self) -> Option<usize> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked(_) => None,
            Framing::UntilEnd(announced) => announced,
        }
    }

    /// How much of it is there.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing of it is there.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Until when the next byte must come.
    pub fn read_by(&self, now: Instant) -> Instant {
        self.deadline.min(now + self.bounds.silence)
    }

    /// How large the buffer has to be before so many bytes more come; `None` if it is.
    pub fn room_for(&self, more: usize) -> Option<usize> {
        let needed = self.bytes.len() + more;
        let room = self.bytes.capacity();
        if needed <= room {
            return None;
        }
        let next = match room {
            0 if self.length().is_some() => FIRST_BYTES,
            0 => FIRST_UNKNOWN_BYTES,
            1..FIRST_BYTES => FIRST_BYTES,
            FIRST_BYTES..SECOND_BYTES => SECOND_BYTES,
            _ => room.saturating_mul(4),
        };
        Some(next.min(self.length().unwrap_or(self.bounds.bytes)).max(needed))
    }

    /// Goes on in a larger buffer, which is empty; the one before.
    pub fn move_to(&mut self, mut larger: Vec<u8>) -> Vec<u8> {
        larger.extend_from_slice(&self.bytes);
        std::mem::replace(&mut self.bytes, larger)
    }

    /// Takes bytes that came, and says how many: what follows the end of the body belongs to another request.
    ///
    /// # Errors
    /// 413 when it becomes too long, 400 when its chunks are malformed.
    pub fn push(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let taken = match &mut self.framing {
            Framing::Length(length) => {
                let taken = input.len().min(*length - self.bytes.len());
                self.bytes.extend_from_slice(&input[..taken]);
                taken
            }
            Framing::Chunked(decoder) => decoder.push(input, &mut self.bytes)?,
            Framing::UntilEnd(_) => {
                self.bytes.extend_from_slice(input);
                input.len()
            }
        };
        if self.bytes.len() > self.bounds.bytes {
            return Err(Refusal::too_large(self.bounds.bytes));
        }
        Ok(taken)
    }

    /// Where the rest of the body can be read to as it comes, with no step between: as much as there is room for.
    /// `None` if what comes must be looked at first.
    pub fn spare(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let Framing::Length(length) = self.framing else { return None };
        let room = self.bytes.capacity().min(length) - self.bytes.len();
        Some((&mut self.bytes).limit(room))
    }

    /// Whether all of it is there.
    pub fn is_complete(&self) -> bool {
        match &self.framing {
            Framing::Length(length) => self.bytes.len() >= *length,
            Framing::Chunked(decoder) => decoder.is_done(),
            Framing::UntilEnd(_) => false,
        }
    }

    /// The other side says that it ends here.
    ///
    /// # Errors
    /// 400 when more, or less, was announced.
    pub fn end(&self) -> Result<(), Refusal> {
        match self.length() {
            Some(length) if length != self.bytes.len() => Err(Refusal::bad(
                Reason::ContentLength,
                both!("The body is not as long as Content-Length says.", "请求体的长度与 Content-Length 不符。"),
            )),
            _ => Ok(()),
        }
    }

    /// What came.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1024 * 1024, silence: Duration::from_secs(30) };

    #[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
    fn start() -> Instant {
        Instant::now()
    }

    fn intake(framing: Framing) -> BodyIntake {
        BodyIntake::new(framing, BOUNDS, start()).expect("within bounds")
    }

    /// Makes a framing; what it takes on the wire for `abcde`; whether it knows its end.
    type Case<'w> = (fn() -> Framing, &'w [u8], bool);

    /// Pushes pieces as a reader does: into a buffer that is large enough; what was left of them.
    fn push(intake: &mut BodyIntake, pieces: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
        let mut waiting = Vec::new();
        for piece in pieces {
            waiting.extend_from_slice(piece);
            if let Some(room) = intake.room_for(waiting.len()) {
                intake.move_to(Vec::with_capacity(room));
            }
            let taken = intake.push(&waiting)?;
            waiting.drain(..taken);
        }
        Ok(waiting)
    }

    #[test]
    fn a_body_is_the_same_however_it_is_framed_and_cut() {
        let chunks = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\nGET";
        let framings: [Case<'_>; 4] = [
            (|| Framing::Length(5), b"abcdeGET", true),
            (|| Framing::Chunked(chunked::Decoder::default()), chunks, true),
            (|| Framing::UntilEnd(None), b"abcde", false),
            (|| Framing::UntilEnd(Some(5)), b"abcde", false),
        ];
        for (framing, wire, ends_by_itself) in framings {
            for first in 0..=wire.len() {
                for second in first..=wire.len() {
                    let mut body = intake(framing());
                    let left = push(&mut body, &[&wire[..first], &wire[first..second], &wire[second..]]);
                    let expected = if ends_by_itself { &b"GET"[..] } else { b"" };
                    assert_eq!(left.expect("valid"), expected, "{framing:?} {first} {second}", framing = body.framing);
                    assert_eq!(body.is_complete(), ends_by_itself);
                    assert!(body.end().is_ok());
                    assert_eq!((body.len(), body.into_bytes()), (5, b"abcde".to_vec()));
                }
            }
        }
    }

    #[test]
    fn a_body_that_is_not_whole_is_not_complete_at_any_cut() {
        for end in 0..5 {
            let mut body = intake(Framing::Length(5));
            push(&mut body, &[&b"abcde"[..end]]).expect("valid");
            assert!(!body.is_complete(), "{end}");
            let mut body = intake(Framing::UntilEnd(Some(5)));
            push(&mut body, &[&b"abcde"[..end]]).expect("valid");
            assert_eq!(body.end().expect_err("too short").reason, Reason::ContentLength);
        }
        let mut body = intake(Framing::UntilEnd(Some(5)));
        push(&mut body, &[b"abcdef"]).expect("it is the end that tells");
        assert!(body.end().is_err());
        let chunks = b"3\r\nabc\r\n0\r\n\r\n";
        for end in 0..chunks.len() {
            let mut body = intake(Framing::Chunked(chunked::Decoder::default()));
            push(&mut body, &[&chunks[..end]]).expect("valid so far");
            assert!(!body.is_complete(), "{end}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_as_soon_as_that_is_known() {
        let bounds = Bounds { bytes: 4, ..BOUNDS };
        for framing in [Framing::Length(5), Framing::UntilEnd(Some(5))] {
            assert_eq!(BodyIntake::new(framing, bounds, start()).expect_err("too large").status, 413);
        }
        let chunked = Framing::Chunked(chunked::Decoder::default());
        for (framing, wire) in [(Framing::UntilEnd(None), &b"abcde"[..]), (chunked, b"5\r\nabcde")] {
            let mut body = BodyIntake::new(framing, bounds, start()).expect("nothing is known");
            for byte in &wire[..wire.len() - 1] {
                assert_eq!(body.push(&[*byte]), Ok(1));
            }
            assert_eq!(body.push(b"e").expect_err("too large").status, 413);
        }
    }

    #[test]
    fn malformed_chunks_are_refused_at_every_cut() {
        let wire = b"3\r\nabcX";
        for cut in 0..wire.len() {
            let mut body = intake(Framing::Chunked(chunked::Decoder::default()));
            assert!(push(&mut body, &[&wire[..cut], &wire[cut..]]).is_err(), "{cut}");
        }
    }

    #[test]
    fn the_buffer_grows_in_steps_and_an_announced_length_alone_takes_little() {
        let mut body = intake(Framing::Length(BOUNDS.bytes));
        let mut steps = Vec::new();
        while !body.is_complete() {
            if let Some(room) = body.room_for(1) {
                steps.push(room);
                body.move_to(Vec::with_capacity(room));
            }
            assert_eq!(body.push(&[b'x'; 4096]), Ok(4096));
        }
        assert_eq!(steps, [FIRST_BYTES, SECOND_BYTES]);
        assert_eq!(intake(Framing::Length(100)).room_for(1), Some(100));
        assert_eq!(intake(Framing::UntilEnd(None)).room_for(1), Some(FIRST_UNKNOWN_BYTES));
        assert_eq!(intake(Framing::UntilEnd(None)).room_for(100_000), Some(100_000));
        let tight = Bounds { bytes: 100, ..BOUNDS };
        let body = BodyIntake::new(Framing::UntilEnd(None), tight, start()).expect("within bounds");
        assert_eq!(body.room_for(1), Some(100), "no more than the largest body may have");
    }

    #[test]
    fn only_a_body_of_known_length_is_read_straight_into_its_buffer_and_not_beyond_its_end() {
        let mut body = intake(Framing::Length(5));
        assert_eq!(body.spare().map(|spare| spare.remaining_mut()), Some(0), "there is no room yet");
        body.move_to(Vec::with_capacity(100));
        assert_eq!(body.push(b"ab"), Ok(2));
        body.spare().expect("room").put_slice(b"cde");
        assert_eq!(body.spare().map(|spare| spare.remaining_mut()), Some(0));
        assert!(body.is_complete());
        assert!(intake(Framing::UntilEnd(Some(5))).spare().is_none());
        assert!(intake(Framing::Chunked(chunked::Decoder::default())).spare().is_none());
    }

    #[test]
    fn silence_ends_a_body_and_so_does_a_byte_now_and_then() {
        let start = start();
        let body = BodyIntake::new(Framing::UntilEnd(None), BOUNDS, start).expect("within bounds");
        let at = |silences: u32| start + BOUNDS.silence * silences;
        assert_eq!((body.read_by(at(0)), body.read_by(at(4))), (at(1), at(5)));
        assert_eq!((body.read_by(at(9)), body.read_by(at(20))), (at(TIMEOUTS), at(TIMEOUTS)));
    }
}
