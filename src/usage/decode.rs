//! A look inside of content codings, piece by piece, next to what is forwarded.

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use std::io::Write;

/// Decoded at a time: what a piece can swell to is bounded by this too (a thousandfold at worst).
const PIECE_BYTES: usize = 1024;
/// Largest window of zstd, as a power of two: what RFC 9659 allows on the web.
const ZSTD_WINDOW_LOG: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// Undoes one content coding.
pub struct Decoder(Kind);

enum Kind {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
}

/// The bytes are not in the coding that was announced.
#[derive(Debug, PartialEq, Eq)]
pub struct Undecodable;

impl Decoder {
    /// For the value of `Content-Encoding`; `None` if it names a coding that is not known, or several.
    pub fn new(coding: &[u8]) -> Option<Self> {
        let kind = match coding.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Kind::Identity,
            b"gzip" | b"x-gzip" => Kind::Gzip(MultiGzDecoder::new(Vec::new())),
            b"deflate" => Kind::Deflate(ZlibDecoder::new(Vec::new())),
            b"br" => Kind::Brotli(Box::new(brotli::DecompressorWriter::new(Vec::new(), BROTLI_BUFFER_BYTES))),
            b"zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                Kind::Zstd(decoder)
            }
            _ => return None,
        };
        Some(Self(kind))
    }

    /// Decodes the next bytes; `decoded` gets them in pieces, as they come out.
    ///
    /// # Errors
    /// When the bytes cannot be decoded. Nothing can be read of the rest then.
    pub fn push(&mut self, bytes: &[u8], mut decoded: impl FnMut(&[u8])) -> Result<(), Undecodable> {
        if let Kind::Identity = self.0 {
            decoded(bytes);
            return Ok(());
        }
        for piece in bytes.chunks(PIECE_BYTES) {
            let out = match &mut self.0 {
                Kind::Identity => return Ok(()),
                // `flush` hands out what is complete: an event should be seen when it comes.
                Kind::Gzip(decoder) => write(decoder, piece)?.get_mut(),
                Kind::Deflate(decoder) => write(decoder, piece)?.get_mut(),
                Kind::Brotli(decoder) => write(&mut **decoder, piece)?.get_mut(),
                Kind::Zstd(decoder) => write(decoder, piece)?.get_mut(),
            };
            decoded(out);
            out.clear();
        }
        Ok(())
    }
}

fn write<'d, D: Write>(decoder: &'d mut D, piece: &[u8]) -> Result<&'d mut D, Undecodable> {
    decoder.write_all(piece).and_then(|()| decoder.flush()).map_err(|_| Undecodable)?;
    Ok(decoder)
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            Kind::Identity => "identity",
            Kind::Gzip(_) => "gzip",
            Kind::Deflate(_) => "deflate",
            Kind::Brotli(_) => "br",
            Kind::Zstd(_) => "zstd",
        };
        write!(f, "Decoder({name})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
        match coding {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text).and_then(|()| encoder.finish()).expect("encoded")
            }
            "deflate" => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text).and_then(|()| encoder.finish()).expect("encoded")
            }
            "br" => {
                let mut out = Vec::new();
                let parameters = brotli::enc::BrotliEncoderParams::default();
                brotli::BrotliCompress(&mut &text[..], &mut out, &parameters).expect("encoded");
                out
            }
            "zstd" => zstd::encode_all(text, 3).expect("encoded"),
            _ => text.to_vec(),
        }
    }

    #[test]
    fn every_coding_comes_out_as_it_went_in_however_it_is_cut() {
        let text: Vec<u8> = (0..5000_u32).flat_map(|number| format!("event {number}\n").into_bytes()).collect();
        for coding in ["identity", "gzip", "deflate", "br", "zstd"] {
            let encoded = encode(coding, &text);
            for step in [1, 7, 1000, encoded.len()] {
                let (mut decoder, mut out) = (Decoder::new(coding.as_bytes()).expect("known"), Vec::new());
                for chunk in encoded.chunks(step) {
                    decoder.push(chunk, |decoded| out.extend_from_slice(decoded)).expect("decodable");
                }
                assert!(out == text, "{coding} in steps of {step}: {} of {} bytes", out.len(), text.len());
            }
        }
    }

    #[test]
    fn what_is_not_in_its_coding_is_given_up() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let mut decoder = Decoder::new(coding.as_bytes()).expect("known");
            let garbage: Vec<u8> = (0..4000_u32).map(|at| (at * 7919 % 251) as u8 | 0x80).collect();
            assert_eq!(decoder.push(&garbage, |_| {}), Err(Undecodable), "{coding}");
        }
        assert!(Decoder::new(b"compress").is_none() && Decoder::new(b"gzip, br").is_none());
    }
}
