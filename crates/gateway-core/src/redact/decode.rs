//! Texts as they are behind their escapes, and where in the text each byte stands.
//!
//! What an upstream repeats may be escaped for JSON, for a URL or for HTML, wholly or in part, and more than once: taking the
//! escapes away leads back to one form, in which secrets can be looked for.

use super::entities;
use super::escape::{Escape, hex};
use std::borrow::Cow;

/// The bytes of a text, and where each stands in what it was read from.
pub(super) struct Layer<'t> {
    pub bytes: Cow<'t, [u8]>,
    /// Beginning and end in the original text, for each byte; `None` if this is that text.
    places: Option<Vec<(usize, usize)>>,
}

impl<'t> Layer<'t> {
    /// The text itself.
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self { bytes: Cow::Borrowed(text), places: None }
    }

    /// What was read from another layer.
    pub(super) fn read(bytes: Vec<u8>, places: Vec<(usize, usize)>) -> Self {
        Self { bytes: Cow::Owned(bytes), places: Some(places) }
    }

    /// Where a byte begins and ends in the original text.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        self.places.as_ref().map_or((at, at + 1), |places| places[at])
    }

    /// Where the last byte ends there, if there is one.
    pub(super) fn end(&self) -> Option<usize> {
        self.bytes.len().checked_sub(1).map(|last| self.place(last).1)
    }

    /// With one layer of escapes taken away; `None` if there are none. Of a text that is cut, an escape that the end cuts
    /// off goes too.
    pub(super) fn decoded(&self, is_cut: bool) -> Option<Layer<'static>> {
        memchr::memchr3(b'\\', b'%', b'&', &self.bytes)?;
        let (mut read, mut places) = (Vec::with_capacity(self.bytes.len()), Vec::with_capacity(self.bytes.len()));
        let (mut at, mut has_escapes) = (0, false);
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let mut buffer = [0; 4];
            let (length, bytes) = match escape(rest, is_cut) {
                Escape::Byte(length, byte) => (length, {
                    buffer[0] = byte;
                    &buffer[..1]
                }),
                Escape::Char(length, character) => (length, character.encode_utf8(&mut buffer).as_bytes()),
                Escape::Cut => (rest.len(), &buffer[..0]),
                Escape::None => (1, &rest[..1]),
            };
            has_escapes |= length > 1 || bytes.is_empty();
            let place = (self.place(at).0, self.place(at + length - 1).1);
            match (bytes.is_empty(), places.last_mut()) {
                (true, Some((_, end))) => *end = place.1,
                _ => {
                    read.extend_from_slice(bytes);
                    places.extend(bytes.iter().map(|_| place));
                }
            }
            at += length;
        }
        has_escapes.then(|| Layer::read(read, places))
    }
}

fn escape(bytes: &[u8], is_cut: bool) -> Escape {
    match bytes[0] {
        b'\\' => backslash(bytes),
        b'%' => percent(bytes),
        b'&' => entities::entity(bytes, is_cut),
        _ => Escape::None,
    }
}

/// `%2D`, and `%u002D` of JavaScript's `escape`.
fn percent(bytes: &[u8]) -> Escape {
    let is_cut = |from: usize, length: usize| {
        bytes.len() < length && bytes.get(from..).is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit))
    };
    match bytes.get(1) {
        Some(b'u' | b'U') => match bytes.get(2..6).and_then(hex) {
            Some(unit) => Escape::Char(6, char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
            None if is_cut(2, 6) => Escape::Cut,
            None => Escape::None,
        },
        _ => match bytes.get(1..3).and_then(hex) {
            Some(byte) => Escape::Byte(3, byte as u8),
            None if is_cut(1, 3) => Escape::Cut,
            None => Escape::None,
        },
    }
}

/// Those of JSON and of programming languages; before a sign, as in regular expressions and Markdown, it stands for nothing.
fn backslash(bytes: &[u8]) -> Escape {
    let Some(&kind) = bytes.get(1) else { return Escape::Cut };
    let is_cut = |length: usize| bytes.len() < length && bytes[2..].iter().all(u8::is_ascii_hexdigit);
    match kind {
        b'n' => Escape::Byte(2, b'\n'),
        b'r' => Escape::Byte(2, b'\r'),
        b't' => Escape::Byte(2, b'\t'),
        b'x' => match bytes.get(2..4).and_then(hex) {
            Some(byte) => Escape::Byte(4, byte as u8),
            None if is_cut(4) => Escape::Cut,
            None => Escape::None,
        },
        b'u' if bytes.get(2) == Some(&b'{') => braces(bytes),
        b'u' => match bytes.get(2..6).and_then(hex) {
            Some(unit @ 0xd800..0xdc00) => match bytes.get(6..12) {
                Some([b'\\', b'u', low @ ..]) if hex(low).is_some_and(|low| (0xdc00..0xe000).contains(&low)) => {
                    let low = hex(low).unwrap_or_default();
                    let both = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    Escape::Char(12, char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER))
                }
                Some(_) => Escape::Char(6, char::REPLACEMENT_CHARACTER),
                None => Escape::Cut,
            },
            Some(unit) => Escape::Char(6, char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
            None if is_cut(6) => Escape::Cut,
            None => Escape::None,
        },
        sign if sign.is_ascii_punctuation() => Escape::Byte(2, sign),
        _ => Escape::None,
    }
}

/// `\u{2d}`.
fn braces(bytes: &[u8]) -> Escape {
    let window = &bytes[3..bytes.len().min(10)];
    let Some(end) = window.iter().position(|&byte| byte == b'}') else {
        let is_begun = bytes.len() < 10 && window.iter().all(u8::is_ascii_hexdigit);
        return if is_begun { Escape::Cut } else { Escape::None };
    };
    let character = hex(&window[..end]).and_then(char::from_u32);
    character.map_or(Escape::None, |character| Escape::Char(4 + end, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_lead_back_to_their_text() {
        for (text, plain) in [
            (r"a\u0062\n\/\x41", "ab\n/A"),
            ("%41b%C3%bc", "Abü"),
            ("%u0041%u4f60%u00", "A你"),
            (r"\u{41}\-\_\.", "A-_."),
            ("&lt;&#65;&#x42;&amp;amp;", "<AB&amp;"),
            ("&hyphen;&lowbar;&period;&sol;&Hat;", "-_./^"),
            ("&#65&#66&#x2dz&lt&lowbar!", "AB-z<_!"),
            (r"\ud83d\ude00!", "😀!"),
            ("100 % of it & more; \\d", "100 % of it & more; \\d"),
            ("?a=1&period=5&numbers=2&copy;", "?a=1&period=5&numbers=2&copy;"),
            ("cut %4", "cut "),
            (r"cut \u00", "cut "),
            (r"cut \u{2", "cut "),
            ("cut &#6", "cut "),
            ("cut &per", "cut "),
            ("cut \\", "cut "),
        ] {
            let layer = Layer::of(text.as_bytes());
            let decoded = layer.decoded(true).unwrap_or(layer);
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), plain, "{text}");
            assert_eq!(decoded.end(), Some(text.len()), "{text}");
        }
        assert!(Layer::of(b"plain").decoded(true).is_none());
        let whole = Layer::of(b"ends in &#45").decoded(false).expect("an escape");
        assert_eq!(String::from_utf8_lossy(&whole.bytes), "ends in -");
    }
}
