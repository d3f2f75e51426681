//! Event streams, and codings of bodies.

use super::Choices;
use crate::usage::decode::{BUFFER_BYTES, Decoder, FREE_BYTES, GO_BYTES, MOST_FOLD, Undecodable};
use crate::usage::sse::{LONGEST_NAME, Reader, Sink};
use std::io::Write as _;
use std::ops::ControlFlow;

const LIMIT: usize = 40;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The name of an event, and its data or how much too large that is.
type Event = (Vec<u8>, Result<Vec<u8>, usize>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen(Vec<Event>);

impl Sink for Seen {
    fn wants_data(&self, _: &[u8]) -> bool {
        true
    }
    fn event(&mut self, name: &[u8], data: Option<&[u8]>) {
        if let Some(data) = data {
            self.0.push((name.to_vec(), Ok(data.to_vec())));
        }
    }
    fn too_large(&mut self, name: &[u8], size: usize) {
        self.0.push((name.to_vec(), Err(size)));
    }
}

/// The events of a stream are those that the standard finds, wherever the stream is cut.
pub(super) fn sse(input: &[u8]) {
    let mut choices = Choices::new(input);
    let step = 1 + choices.below(64);
    let stream = choices.rest();
    let read = |step: usize| {
        let (mut reader, mut seen) = (Reader::new(LIMIT), Seen::default());
        stream.chunks(step).for_each(|chunk| reader.push(chunk, &mut seen));
        seen
    };
    let whole = read(stream.len().max(1));
    assert_eq!(whole, read(step), "in steps of {step}");
    let (before, after) = stream.split_at(step.min(stream.len()));
    let (mut reader, mut seen) = (Reader::new(LIMIT), Seen::default());
    reader.push(before, &mut seen);
    reader.push(after, &mut seen);
    assert_eq!(whole, seen, "cut at {step}");
    // A mark in the middle, which nobody sends, is passed over in front of any field.
    if memchr::memmem::rfind(stream, MARK).is_none_or(|at| at == 0) {
        assert_eq!(whole.0, as_the_standard_says(stream));
    }
}

/// Section 9.2.6 of the HTML standard, line by line.
fn as_the_standard_says(stream: &[u8]) -> Vec<Event> {
    let (mut events, mut name, mut data) = (Vec::new(), Vec::new(), None::<Vec<u8>>);
    let mut rest = stream.strip_prefix(MARK).unwrap_or(stream);
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end..];
        rest = rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]);
        let colon = memchr::memchr(b':', line);
        let value = colon.map_or(&[][..], |at| line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..]));
        match &line[..colon.unwrap_or(line.len())] {
            b"event" => name = value.to_vec(),
            b"data" => match &mut data {
                None => data = Some(value.to_vec()),
                Some(data) => data.extend([b"\n", value].concat()),
            },
            b"" if line.is_empty() => {
                let mut name = std::mem::take(&mut name);
                name.truncate(LONGEST_NAME);
                if let Some(data) = data.take() {
                    let size = data.len();
                    events.push((name, if size > LIMIT { Err(size) } else { Ok(data) }));
                }
            }
            _ => {}
        }
    }
    events
}

/// All that comes out, and how that ended. No call gives more than one may, and all together no more than what came in may
/// stand for.
fn decoded<'c>(coding: &str, chunks: impl Iterator<Item = &'c [u8]>) -> (Vec<u8>, Result<(), Undecodable>) {
    let (mut decoder, mut out, mut came) = (Decoder::new([coding.as_bytes()]).expect("known"), Vec::new(), 0_u64);
    let mut chunks = chunks.fuse();
    loop {
        let (chunk, before) = (chunks.next(), out.len());
        if chunk.is_none() && !decoder.is_behind() {
            return (out, Ok(()));
        }
        let chunk = chunk.unwrap_or_default();
        came += chunk.len() as u64;
        let pushed = decoder.push(chunk, |piece| {
            assert!(piece.len() <= BUFFER_BYTES);
            out.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        assert!(out.len() - before <= GO_BYTES + BUFFER_BYTES, "{} in one go", out.len() - before);
        assert!(out.len() as u64 <= FREE_BYTES + MOST_FOLD * came + BUFFER_BYTES as u64, "{} of {came}", out.len());
        if pushed.is_err() {
            return (out, pushed);
        }
    }
}

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// Whatever comes in, what comes out is bounded, and the same however it is cut, as far as it comes.
pub(super) fn decode(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (coding, step) = (*choices.one(&CODINGS), 1 + choices.below(64));
    let body = choices.rest();
    let (whole, is_whole) = decoded(coding, body.chunks(body.len().max(1)));
    let (stepped, is_stepped) = decoded(coding, body.chunks(step));
    if is_whole.is_ok() && is_stepped.is_ok() {
        assert!(whole == stepped, "{coding}: {} bytes, and {} in steps of {step}", whole.len(), stepped.len());
    } else {
        assert!(whole.starts_with(&stepped) || stepped.starts_with(&whole), "{coding} in steps of {step}");
    }
}

/// What was put into a coding comes out of it.
pub(super) fn decode_roundtrip(input: &[u8]) {
    let mut choices = Choices::new(input);
    let (coding, step, times) = (*choices.one(&CODINGS), 1 + choices.below(64), 1 + choices.below(32));
    let text = choices.rest().repeat(times);
    let coded = match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).and_then(|()| encoder.finish())
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).and_then(|()| encoder.finish())
        }
        "br" => {
            let parameters = brotli::enc::BrotliEncoderParams { quality: 1, lgwin: 16, ..Default::default() };
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &text[..], &mut out, &parameters).map(|_| out)
        }
        _ => zstd::encode_all(&text[..], 1),
    };
    let coded = coded.expect("coded");
    let (out, ended) = decoded(coding, coded.chunks(step));
    assert_eq!(ended, Ok(()), "{coding}");
    assert!(out == text, "{coding}: {} of {} bytes", out.len(), text.len());
}
