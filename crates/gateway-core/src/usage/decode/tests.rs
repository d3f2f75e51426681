use super::*;
use proptest::prelude::*;
use std::io::{Read, Write};

/// The last one is deflate without zlib's frame.
const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", RAW];
const RAW: &str = "raw deflate";

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    encode_stream(coding, &mut &text[..])
}

fn encode_stream(coding: &str, text: &mut dyn Read) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::copy(text, &mut encoder).and_then(|_| encoder.finish()).expect("encoded")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::copy(text, &mut encoder).and_then(|_| encoder.finish()).expect("encoded")
        }
        RAW => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::copy(text, &mut encoder).and_then(|_| encoder.finish()).expect("encoded")
        }
        "br" => brotli(text, 22),
        "zstd" => zstd::encode_all(text, 3).expect("encoded"),
        _ => panic!("no coding: {coding}"),
    }
}

fn decoder(coding: &str) -> Decoder {
    let name = if coding == RAW { "deflate" } else { coding };
    Decoder::new([name.as_bytes()]).expect("known")
}

fn brotli(mut text: &mut dyn Read, window_log: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 5, lgwin: window_log, ..Default::default() };
    brotli::BrotliCompress(&mut text, &mut out, &parameters).expect("encoded");
    out
}

/// So much of one byte: all codings make next to nothing of it.
fn bomb(coding: &str, megabytes: u64) -> Vec<u8> {
    encode_stream(coding, &mut std::io::repeat(b'\n').take(megabytes << 20))
}

/// Everything that `chunks` decode to, and the most that one call gave.
fn decode<'c>(coding: &str, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, usize, Result<(), Undecodable>) {
    let mut decoder = decoder(coding);
    let (mut out, mut most) = (Vec::new(), 0);
    let mut chunks = chunks.into_iter();
    loop {
        let (chunk, before) = (chunks.next(), out.len());
        if chunk.is_none() && !decoder.is_behind() {
            return (out, most, Ok(()));
        }
        let pushed = decoder.push(chunk.unwrap_or_default(), |decoded| {
            assert!(decoded.len() <= BUFFER_BYTES);
            out.extend_from_slice(decoded);
            ControlFlow::Continue(())
        });
        most = most.max(out.len() - before);
        if pushed.is_err() {
            return (out, most, pushed);
        }
    }
}

/// An event stream with as much to say as `numbers`.
fn events(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    let event = |number| format!("event: content_block_delta\ndata: {{\"delta\":{{\"text\":\"{number}\"}}}}\n\n");
    numbers.flat_map(|number| event(number).into_bytes()).collect()
}

proptest! {
    #[test]
    fn what_went_in_comes_out_however_it_is_cut(
        numbers in prop::collection::vec(any::<u32>(), 0..3000),
        fill in 0..400_000_usize,
        cuts in prop::collection::vec(1..5000_usize, 1..20),
        coding in 0..CODINGS.len(),
    ) {
        let coding = CODINGS[coding];
        let text = [events(numbers.into_iter()), vec![b' '; fill]].concat();
        let (mut rest, mut chunks) = (&encode(coding, &text)[..], Vec::new());
        let encoded = rest;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(rest.len().min(*cut));
            chunks.push(chunk);
            rest = after;
        }
        let (out, most, result) = decode(coding, chunks);
        prop_assert_eq!(result, Ok(()));
        prop_assert!(out == text, "{}: {} of {} bytes", coding, out.len(), text.len());
        prop_assert!(most <= GO_BYTES + BUFFER_BYTES);
        let (at_once, _, result) = decode(coding, [encoded]);
        prop_assert!(result.is_ok() && at_once == text);
    }
}

#[test]
fn a_bomb_is_put_out_after_the_free_megabyte_and_each_go_is_bounded() {
    for coding in CODINGS {
        let encoded = bomb(coding, 64);
        for step in [1000, encoded.len()] {
            let (out, most, result) = decode(coding, encoded.chunks(step));
            assert_eq!(result, Err(Undecodable), "{coding} in steps of {step}");
            assert!(out.len() as u64 <= FREE_BYTES + MOST_FOLD * 2048 + BUFFER_BYTES as u64, "{coding}: {}", out.len());
            assert!(most <= GO_BYTES + BUFFER_BYTES, "{coding}: {most} in one go");
        }
    }
}

#[test]
fn what_waits_is_bounded() {
    // Much that decodes to much, so fast that nobody can keep up with it.
    let text = events((0..100_000_u32).map(|number| number.wrapping_mul(2_654_435_761)));
    for coding in CODINGS {
        let encoded = encode(coding, &text);
        let mut decoder = decoder(coding);
        let mut pushed = 0;
        for _ in 0..100 {
            let result = decoder.push(&encoded, |_| ControlFlow::Continue(()));
            assert!(decoder.waiting.capacity() <= 2 * WAITING_BYTES, "{coding}: {}", decoder.waiting.capacity());
            pushed += encoded.len();
            if result.is_err() {
                break;
            }
        }
        assert!(pushed < 2 * WAITING_BYTES + encoded.len() + GO_BYTES, "{coding}: {pushed}");
    }
}

#[test]
fn long_streams_of_either_make_are_read_whole() {
    let numbers = || (0..40_000_u32).map(|number| number.wrapping_mul(2_654_435_761));
    let text = events(numbers());
    for coding in CODINGS {
        let encoded = encode(coding, &text);
        let (out, _, result) = decode(coding, encoded.chunks(64 * 1024));
        assert!(result.is_ok() && out == text, "{coding}: {} of {} bytes", out.len(), text.len());
    }
    // Each event as soon as it is there.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut chunks = Vec::new();
    for number in numbers() {
        encoder.write_all(&events(std::iter::once(number))).and_then(|()| encoder.flush()).expect("encoded");
        chunks.push(std::mem::take(encoder.get_mut()));
    }
    chunks.push(encoder.finish().expect("encoded"));
    let mut decoder = Decoder::new([&b"gzip"[..]]).expect("known");
    let mut seen = 0;
    for (chunk, number) in chunks.iter().zip(numbers()) {
        let before = seen;
        decoder
            .push(chunk, |decoded| {
                seen += decoded.len();
                ControlFlow::Continue(())
            })
            .expect("decodable");
        assert_eq!(seen - before, events(std::iter::once(number)).len(), "an event is seen when it comes");
    }
}

#[test]
fn what_is_not_in_its_coding_is_given_up() {
    let garbage: Vec<u8> = (0..4000_u32).map(|at| (at * 7919 % 251) as u8 | 0x80).collect();
    for coding in CODINGS {
        assert_eq!(decode(coding, [&garbage[..]]).2, Err(Undecodable), "{coding}");
        let behind = [encode(coding, b"text"), garbage.clone()].concat();
        assert_eq!(decode(coding, behind.chunks(7)).2, Err(Undecodable), "{coding}");
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in ["gzip", "zstd"] {
        let encoded = [encode(coding, b"one "), encode(coding, b""), encode(coding, b"two")].concat();
        for step in 1..encoded.len() {
            let (out, _, result) = decode(coding, encoded.chunks(step));
            assert_eq!((&out[..], result), (&b"one two"[..], Ok(())), "{coding} in steps of {step}");
        }
    }
}

#[test]
fn windows_are_bounded() {
    let text = events(0..1000);
    assert_eq!(decode("br", [&brotli(&mut &text[..], 22)[..]]).0, text);
    assert_eq!(decode("br", [&brotli(&mut &text[..], 24)[..]]).2, Err(Undecodable));
    let zstd = |window_log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
        encoder.window_log(window_log).and_then(|()| encoder.include_contentsize(false)).expect("settings");
        encoder.write_all(&text).expect("encoded");
        encoder.finish().expect("encoded")
    };
    assert_eq!(decode("zstd", [&zstd(23)[..]]).0, text);
    assert_eq!(decode("zstd", [&zstd(27)[..]]).2, Err(Undecodable));
}

#[test]
fn nothing_is_decoded_that_nobody_wants() {
    for coding in CODINGS {
        let encoded = bomb(coding, 8);
        let mut decoder = decoder(coding);
        let mut calls = 0;
        let pushed = decoder.push(&encoded, |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert_eq!((pushed, calls, decoder.is_behind()), (Ok(()), 1, false), "{coding}");
    }
}

#[test]
fn codings_go_by_their_names() {
    let known = |values: &[&str]| Decoder::new(values.iter().map(|value| value.as_bytes())).is_some();
    for names in [&[][..], &[""], &["identity"], &["GZIP"], &["x-gzip"], &["identity, br"], &["", "zstd"]] {
        assert!(known(names), "{names:?}");
    }
    for names in [&["compress"][..], &["gzip, br"], &["gzip", "br"], &["gzip, gzip"]] {
        assert!(!known(names), "{names:?}");
    }
}
