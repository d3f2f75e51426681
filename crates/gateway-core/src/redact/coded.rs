//! What stands in a text in Base64 or in hexadecimal digits, decoded, and where in the text each byte stands.

use super::decode::Layer;
use super::length::{SHORTEST, SHORTEST_BEGINNING};

/// Shortest texts in a code that may hold a secret.
const SHORTEST_BASE64: usize = (SHORTEST * 4).div_ceil(3);
const SHORTEST_HEX: usize = SHORTEST * 2;
/// At the end of a text that is cut: the beginning of a secret.
const SHORTEST_CUT: usize = 4;

/// A way to code bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Groups of four characters for three bytes, in either alphabet.
    Base64,
    /// Two digits for a byte.
    Hex,
}

impl Code {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Base64, Self::Hex];

    /// Characters of a group, at any of which a text may begin.
    pub(super) fn group(self) -> usize {
        match self {
            Self::Base64 => 4,
            Self::Hex => 2,
        }
    }

    /// What a byte stands for, or [`NO_VALUE`].
    fn value(self, byte: u8) -> u8 {
        match self {
            Self::Base64 => OF_BASE64[usize::from(byte)],
            Self::Hex => OF_HEX[usize::from(byte)],
        }
    }

    fn has(self, byte: u8) -> bool {
        self.value(byte) != NO_VALUE
    }

    /// Adds the bytes that these values stand for.
    fn decode(self, values: &[u8], decoded: &mut Vec<u8>) {
        match self {
            Self::Hex => decoded.extend(values.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1])),
            Self::Base64 => {
                let (groups, rest) = values.as_chunks::<4>();
                decoded.reserve(values.len());
                for &[a, b, c, d] in groups {
                    decoded.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
                }
                decoded.extend(
                    rest.windows(2).zip([(2, 4), (4, 2)]).map(|(at, (left, right))| at[0] << left | at[1] >> right),
                );
            }
        }
    }
}

/// The parts of a layer that may be in a code: for each its characters, as places in the layer.
pub(super) struct Parts<'l> {
    layer: &'l Layer<'l>,
    code: Code,
    is_cut: bool,
    characters: Vec<usize>,
    /// What each of them stands for.
    values: Vec<u8>,
    /// Where each part ends in `characters`.
    ends: Vec<usize>,
}

impl<'l> Parts<'l> {
    /// Those of a layer. Codes may be broken into lines. Of a layer that is not the text itself, only what was not in the
    /// same form in the layer before; of a text that is cut, what stands at its end counts however short it is.
    pub(super) fn of(layer: &'l Layer<'l>, code: Code, is_text: bool, is_cut: bool) -> Self {
        let mut parts = Self { layer, code, is_cut, characters: Vec::new(), values: Vec::new(), ends: Vec::new() };
        let bytes = &layer.bytes;
        let mut at = 0;
        while at < bytes.len() {
            if !code.has(bytes[at]) {
                at += 1;
                continue;
            }
            let (first, mut length) = (at, 0);
            loop {
                let run = bytes[at..].iter().take_while(|&&byte| code.has(byte)).count();
                length += run;
                at += run;
                match line_break(&bytes[at..]) {
                    Some(skipped) if bytes.get(at + skipped).is_some_and(|&byte| code.has(byte)) => at += skipped,
                    _ => break,
                }
            }
            let least = match code {
                _ if is_cut && at == bytes.len() => SHORTEST_CUT,
                Code::Base64 => SHORTEST_BASE64,
                Code::Hex => SHORTEST_HEX,
            };
            let is_known = || !is_text && layer.place(at - 1).1 - layer.place(first).0 == length;
            if length >= least && !is_known() {
                let of_code = (first..at).map(|at| (at, code.value(bytes[at]))).filter(|&(_, value)| value != NO_VALUE);
                for (at, value) in of_code {
                    parts.characters.push(at);
                    parts.values.push(value);
                }
                parts.ends.push(parts.characters.len());
            }
        }
        parts
    }

    /// The texts that they stand for, when this many characters of a group are missing before each of them; `None` if there are
    /// none. What is no text is left out: most of what can be decoded was never coded. A line break stands between two texts.
    pub(super) fn decoded(&self, skipped: usize) -> Option<Layer<'static>> {
        let (mut texts, mut places) = (Vec::new(), Vec::new());
        let mut decoded = Vec::new();
        let mut start = 0;
        for &end in &self.ends {
            let part = &self.characters[start..end];
            let values = &self.values[start..end];
            start = end;
            let ([.., last], Some(values)) = (part, values.get(skipped..)) else { continue };
            decoded.clear();
            self.code.decode(values, &mut decoded);
            let least = if self.is_cut && *last + 1 == self.layer.bytes.len() { SHORTEST_BEGINNING } else { SHORTEST };
            if may_have_text(&decoded, least) {
                let place = |at: usize| self.place_of(part, skipped, at, decoded.len());
                add_texts(&decoded, least, place, &mut texts, &mut places);
            }
        }
        texts.pop();
        places.pop();
        (!texts.is_empty()).then(|| Layer::read(texts, places))
    }

    /// Where the byte at this place of the `length` bytes of a part stands in the original text. Characters that belong to a byte
    /// in part go with it.
    fn place_of(&self, part: &[usize], skipped: usize, at: usize, length: usize) -> (usize, usize) {
        let first = skipped
            + match self.code {
                Code::Base64 => at / 3 * 4 + at % 3,
                Code::Hex => at * 2,
            };
        let first = if at == 0 { 0 } else { first };
        let last = if at + 1 == length { part.len() - 1 } else { skipped.max(first) + 1 };
        (self.layer.place(part[first]).0, self.layer.place(part[last]).1)
    }
}

/// Adds what is text in `decoded`, from this length on. A character that the end cuts off goes with what is before it.
fn add_texts(
    decoded: &[u8],
    least: usize,
    place: impl Fn(usize) -> (usize, usize),
    texts: &mut Vec<u8>,
    places: &mut Vec<(usize, usize)>,
) {
    let is_no_text = |character: char| character.is_control() && character != '\n';
    let mut from = 0;
    for chunk in decoded.utf8_chunks() {
        let long = Some(chunk.valid()).filter(|valid| valid.len() >= least);
        let mut at = from;
        for piece in long.into_iter().flat_map(|valid| valid.split_inclusive(is_no_text)) {
            let text = piece.trim_end_matches(is_no_text);
            if text.len() >= least {
                texts.extend_from_slice(text.as_bytes());
                places.extend((at..at + text.len()).map(&place));
                let is_cut_off = decoded.len() - at - text.len() < 4;
                let last = if is_cut_off { decoded.len() } else { at + text.len() } - 1;
                let end = place(last).1;
                places.last_mut().into_iter().for_each(|last| last.1 = end);
                texts.push(b'\n');
                places.push((end, end));
            }
            at += piece.len();
        }
        from += chunk.valid().len() + chunk.invalid().len();
    }
}

/// The length of a line break at the beginning, with the blanks around it.
fn line_break(bytes: &[u8]) -> Option<usize> {
    let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    bytes[..blanks].contains(&b'\n').then_some(blanks)
}

/// The standard alphabet of Base64 in place of that for URLs.
pub(super) fn standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

/// What no character of a code stands for.
const NO_VALUE: u8 = 0xff;
/// The six bits of each character of Base64, in either alphabet. All texts are looked through for them.
const OF_BASE64: [u8; 256] = {
    let mut values = values_of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    (values[b'-' as usize], values[b'_' as usize]) = (62, 63);
    values
};
/// The four bits of each hexadecimal digit.
const OF_HEX: [u8; 256] = {
    let mut values = values_of(b"0123456789abcdef");
    let mut value = 10;
    while value < 16 {
        values[b'A' as usize + value - 10] = value as u8;
        value += 1;
    }
    values
};

const fn values_of(characters: &[u8]) -> [u8; 256] {
    let mut values = [NO_VALUE; 256];
    let mut value = 0;
    while value < characters.len() {
        values[characters[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Whether there may be a text of this many bytes: `false` of nearly all that was never coded, and that for little.
fn may_have_text(decoded: &[u8], least: usize) -> bool {
    let (mut before, mut length) = (NO_TEXT, 0);
    for &byte in decoded {
        let class = CLASSES[usize::from(byte)];
        length = match BEHIND[usize::from(before)] & 1 << class {
            0 => usize::from(class == ASCII || class == LEADS),
            _ => length + 1,
        };
        if length >= least {
            return true;
        }
        before = class;
    }
    false
}

/// Classes of bytes in a text: control characters and what UTF-8 does not have, a character, the first byte of a longer
/// one, a further one of it.
const NO_TEXT: u8 = 0;
const ASCII: u8 = 1;
const LEADS: u8 = 2;
const FOLLOWS: u8 = 3;

const CLASSES: [u8; 256] = {
    let mut classes = [NO_TEXT; 256];
    let mut byte = 0;
    while byte < classes.len() {
        classes[byte] = match byte as u8 {
            b'\n' | b' '..=b'~' => ASCII,
            0x80..=0xbf => FOLLOWS,
            0xc2..=0xf4 => LEADS,
            _ => NO_TEXT,
        };
        byte += 1;
    }
    classes
};

/// The classes, as bits, that may stand behind each class in a text. Whether a character has all of its bytes is not asked.
const BEHIND: [u8; 4] = [0, 1 << ASCII | 1 << LEADS, 1 << FOLLOWS, 1 << ASCII | 1 << LEADS | 1 << FOLLOWS];

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, code: Code, skipped: usize) -> Option<(String, Vec<(usize, usize)>)> {
        let layer = Layer::of(text.as_bytes());
        let decoded = Parts::of(&layer, code, true, false).decoded(skipped)?;
        let places = (0..decoded.bytes.len()).map(|at| decoded.place(at)).collect();
        Some((String::from_utf8_lossy(&decoded.bytes).into_owned(), places))
    }

    #[test]
    fn codes_lead_back_to_their_text_wherever_they_begin() {
        let text = |text, code, skipped| decoded(text, code, skipped).map(|(text, _)| text);
        assert_eq!(text("is: c2VjcmV0LTE!", Code::Base64, 0).as_deref(), Some("secret-1"));
        assert_eq!(text("xc2VjcmV0LTE=", Code::Base64, 1).as_deref(), Some("secret-1"));
        assert_eq!(text("c2Vj\r\n  cmV0\nLTE=", Code::Base64, 0).as_deref(), Some("secret-1"));
        assert_eq!(text("7365637265742d31 7365637265742D32", Code::Hex, 0).as_deref(), Some("secret-1\nsecret-2"));
        assert_eq!(text("a7365637265742d31", Code::Hex, 1).as_deref(), Some("secret-1"));
        assert_eq!(text("a key is bad", Code::Base64, 0), None);
        assert_eq!(text("beef", Code::Hex, 0), None);
    }

    #[test]
    fn no_text_is_passed_over() {
        let is_text = |decoded: &[u8], least| {
            let mut texts = Vec::new();
            add_texts(decoded, least, |at| (at, at + 1), &mut texts, &mut Vec::new());
            !texts.is_empty()
        };
        let mut random = 1_u64;
        let pieces: [&[u8]; 8] =
            [b"a", b"-", b"\n", "\u{fc}".as_bytes(), "\u{4f60}".as_bytes(), &[0xff], &[0], &[0x9d]];
        for _ in 0..20_000 {
            let mut decoded = Vec::new();
            for _ in 0..12 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                decoded.extend_from_slice(pieces[(random >> 60) as usize % pieces.len()]);
            }
            for least in [SHORTEST_BEGINNING, SHORTEST] {
                assert!(may_have_text(&decoded, least) || !is_text(&decoded, least), "{decoded:?}");
            }
        }
        assert!(!may_have_text(b"\xff\x9dab\x00cdef\xc3h", SHORTEST));
    }

    #[test]
    fn each_byte_takes_the_characters_that_it_is_in() {
        let (_, places) = decoded("..YWJjZGVmZ2g=", Code::Base64, 0).expect("eight bytes");
        assert_eq!(places, [(2, 4), (3, 5), (4, 6), (6, 8), (7, 9), (8, 10), (10, 12), (11, 13)]);
        let (_, places) = decoded("a616263646566", Code::Hex, 1).expect("six bytes");
        assert_eq!(places[0], (0, 3), "the digit before belongs to it in part");
    }
}
