//! The content codings, one step at a time: what a step takes and gives is bounded by the slices that it gets.

use brotli::BrotliState;
use brotli::writer::{BrotliDecompressStream, BrotliResult, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

/// Window of gzip and deflate, as a power of two: the largest that there is.
const GZIP_WINDOW_LOG: u8 = 15;
/// Largest window of zstd, as a power of two: what RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Largest window of Brotli: what servers use. All of it is decoded in one step, so that 16 MiB would be too much.
const BROTLI_WINDOW_LOG: u32 = 22;

/// The bytes are not in the coding that was announced, or are more than anybody decodes.
#[derive(Debug, PartialEq, Eq)]
pub struct Undecodable;

/// Undoes one content coding.
pub(super) enum Coding {
    Identity,
    Gzip(Decompress),
    /// Its first byte, once that is there: two tell whether it has zlib's frame (RFC 9110 section 8.4.1.2 knows of relays
    /// that leave it out).
    DeflateStart(Option<u8>),
    Deflate(Decompress),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(zstd::stream::raw::Decoder<'static>),
    /// The end was reached; whatever follows is not in the coding.
    Over,
}

/// What a step took and gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub read: usize,
    pub written: usize,
}

impl Coding {
    /// For the only coding of a body; `None` if it is not known.
    pub(super) fn new(name: &[u8]) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Self::Identity,
            // Names and comments in a gzip header are skipped, not kept.
            b"gzip" | b"x-gzip" => Self::Gzip(Decompress::new_gzip(GZIP_WINDOW_LOG)),
            b"deflate" => Self::DeflateStart(None),
            // Strict: without the extension for windows of up to a gigabyte.
            b"br" => {
                let alloc = StandardAlloc::default;
                Self::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            b"zstd" => {
                let mut decoder = zstd::stream::raw::Decoder::new().ok()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
                Self::Zstd(decoder)
            }
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip(_) => "gzip",
            Self::DeflateStart(_) | Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
            Self::Over => "over",
        }
    }

    /// Decodes as much as fits. When `output` comes back full, there may be more of it without any more input.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Undecodable> {
        match self {
            Self::Over if input.is_empty() => Ok(Step { read: 0, written: 0 }),
            Self::Over => Err(Undecodable),
            Self::Identity => {
                let length = input.len().min(output.len());
                output[..length].copy_from_slice(&input[..length]);
                Ok(Step { read: length, written: length })
            }
            Self::Gzip(decoder) => {
                let (step, is_over) = inflate(decoder, input, output)?;
                // Another member may follow (RFC 1952 section 2.2).
                if is_over {
                    decoder.reset(true);
                }
                Ok(step)
            }
            Self::DeflateStart(_) if input.is_empty() => Ok(Step { read: 0, written: 0 }),
            Self::DeflateStart(start @ None) => {
                *start = Some(input[0]);
                Ok(Step { read: 1, written: 0 })
            }
            Self::DeflateStart(Some(start)) => {
                let start = *start;
                let mut decoder = Decompress::new(is_zlib(start, input[0]));
                inflate(&mut decoder, &[start], output)?;
                *self = Self::Deflate(decoder);
                self.step(input, output)
            }
            Self::Deflate(decoder) => {
                let (step, is_over) = inflate(decoder, input, output)?;
                if is_over {
                    *self = Self::Over;
                }
                Ok(step)
            }
            Self::Brotli(state) => {
                let (step, is_over) = unbrotli(state, input, output)?;
                if is_over {
                    *self = Self::Over;
                }
                Ok(step)
            }
            Self::Zstd(decoder) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
                // A next frame begins by itself.
                decoder.run(&mut from, &mut to).map_err(|_| Undecodable)?;
                Ok(Step { read: from.pos(), written: to.pos() })
            }
        }
    }
}

/// Whether two bytes begin zlib's frame (RFC 1950 section 2.2).
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// One step, and whether the end was reached.
fn inflate(decoder: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<(Step, bool), Undecodable> {
    let (was_read, was_written) = (decoder.total_in(), decoder.total_out());
    let status = decoder.decompress(input, output, FlushDecompress::None).map_err(|_| Undecodable)?;
    let since = |now: u64, then: u64| usize::try_from(now - then).unwrap_or_default();
    let step = Step { read: since(decoder.total_in(), was_read), written: since(decoder.total_out(), was_written) };
    Ok((step, status == Status::StreamEnd))
}

fn unbrotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Step, bool), Undecodable> {
    // The first byte tells the window, before anything is made of that size.
    let is_first = state.window_bits == 0;
    let input = if is_first { &input[..input.len().min(1)] } else { input };
    let (mut left_in, mut read, mut left_out, mut written, mut total) = (input.len(), 0, output.len(), 0, 0);
    let result =
        BrotliDecompressStream(&mut left_in, &mut read, input, &mut left_out, &mut written, output, &mut total, state);
    match result {
        BrotliResult::ResultFailure => Err(Undecodable),
        _ if state.window_bits > BROTLI_WINDOW_LOG => Err(Undecodable),
        BrotliResult::ResultSuccess => Ok((Step { read, written }, true)),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok((Step { read, written }, false)),
    }
}
