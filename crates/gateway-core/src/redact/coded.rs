//! What stands in a text in Base64 or in hexadecimal digits, decoded, and where in the text each byte stands.

use super::decode::Layer;
use super::escape::hex;
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

    fn has(self, byte: u8) -> bool {
        match self {
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// The parts of a layer that may be in a code: for each its characters, as places in the layer.
pub(super) struct Parts {
    code: Code,
    is_cut: bool,
    characters: Vec<usize>,
    /// Where each part ends in `characters`.
    ends: Vec<usize>,
}

impl Parts {
    /// Those of a layer. Codes may be broken into lines. Of a layer that is not the text itself, only what was not in the
    /// same form in the layer before; of a text that is cut, what stands at its end counts however short it is.
    pub(super) fn of(layer: &Layer, code: Code, is_text: bool, is_cut: bool) -> Self {
        let mut parts = Self { code, is_cut, characters: Vec::new(), ends: Vec::new() };
        let bytes = &layer.bytes;
        let mut at = 0;
        while at < bytes.len() {
            if !code.has(bytes[at]) {
                at += 1;
                continue;
            }
            let first = parts.characters.len();
            while let Some(next) = next(bytes, at, code) {
                parts.characters.extend(at..next);
                match line_break(&bytes[next..]) {
                    Some(length) if bytes.get(next + length).is_some_and(|&byte| code.has(byte)) => at = next + length,
                    _ => {
                        at = next;
                        break;
                    }
                }
            }
            let length = parts.characters.len() - first;
            let least = match code {
                _ if is_cut && at == bytes.len() => SHORTEST_CUT,
                Code::Base64 => SHORTEST_BASE64,
                Code::Hex => SHORTEST_HEX,
            };
            let place = |at: usize| layer.places[parts.characters[at]];
            let is_known = !is_text && length > 0 && place(first + length - 1).1 - place(first).0 == length;
            match length < least || is_known {
                true => parts.characters.truncate(first),
                false => parts.ends.push(parts.characters.len()),
            }
        }
        parts
    }

    /// The texts that they stand for, when this many characters of a group are missing before each of them; `None` if there are
    /// none. What is no text is left out: most of what can be decoded was never coded. A line break stands between two texts.
    pub(super) fn decoded(&self, layer: &Layer, skipped: usize) -> Option<Layer> {
        let mut texts = Layer { bytes: Vec::new(), places: Vec::new() };
        let mut decoded = Layer { bytes: Vec::new(), places: Vec::new() };
        let mut start = 0;
        for &end in &self.ends {
            let part = &self.characters[start..end];
            start = end;
            decoded.bytes.clear();
            decoded.places.clear();
            for group in part.get(skipped..).unwrap_or_default().chunks(self.code.group()) {
                self.decode(layer, group, &mut decoded);
            }
            // Characters that belong to a byte in part go with it.
            if let [first, .., last] = part
                && let [begin, .., end] = &mut *decoded.places
            {
                begin.0 = layer.places[*first].0;
                end.1 = layer.places[*last].1;
                let least = if self.is_cut && *last + 1 == layer.bytes.len() { SHORTEST_BEGINNING } else { SHORTEST };
                add_texts(&decoded, least, &mut texts);
            }
        }
        texts.bytes.pop();
        texts.places.pop();
        (!texts.bytes.is_empty()).then_some(texts)
    }

    fn decode(&self, layer: &Layer, group: &[usize], decoded: &mut Layer) {
        let mut push = |byte: u8, from: usize, to: usize| {
            decoded.bytes.push(byte);
            decoded.places.push((layer.places[group[from]].0, layer.places[group[to]].1));
        };
        if self.code == Code::Hex {
            if let [high, low] = group
                && let Some(byte) = hex(&[layer.bytes[*high], layer.bytes[*low]])
            {
                push(byte as u8, 0, 1);
            }
            return;
        }
        let mut bits = 0_u32;
        for (at, &character) in group.iter().enumerate() {
            bits = bits << 6 | u32::from(value(layer.bytes[character]));
            if at > 0 {
                let left = 6 - 2 * at as u32;
                push((bits >> left) as u8, at - 1, at);
            }
        }
    }
}

/// Adds what is text in `decoded`, from this length on. A character that the end cuts off goes with what is before it.
fn add_texts(decoded: &Layer, least: usize, texts: &mut Layer) {
    let is_no_text = |character: char| character.is_control() && character != '\n';
    let mut from = 0;
    for chunk in decoded.bytes.utf8_chunks() {
        for piece in chunk.valid().split_inclusive(is_no_text) {
            let text = piece.trim_end_matches(is_no_text);
            let places = &decoded.places[from..from + text.len()];
            if let [.., last] = places
                && text.len() >= least
            {
                let is_cut_off = decoded.bytes.len() - from - text.len() < 4;
                let end = decoded.places.last().filter(|_| is_cut_off).map_or(last.1, |end| end.1);
                texts.bytes.extend_from_slice(text.as_bytes());
                texts.places.extend_from_slice(places);
                texts.places.last_mut().into_iter().for_each(|last| last.1 = end);
                texts.bytes.push(b'\n');
                texts.places.push((end, end));
            }
            from += piece.len();
        }
        from += chunk.invalid().len();
    }
}

/// Where the characters of a code that begin at `at` end, if there are some.
fn next(bytes: &[u8], at: usize, code: Code) -> Option<usize> {
    let length = bytes[at..].iter().take_while(|&&byte| code.has(byte)).count();
    (length > 0).then_some(at + length)
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

/// The six bits of a character of Base64.
fn value(byte: u8) -> u8 {
    match standard(byte) {
        letter @ b'A'..=b'Z' => letter - b'A',
        letter @ b'a'..=b'z' => letter - b'a' + 26,
        digit @ b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, code: Code, skipped: usize) -> Option<(String, Vec<(usize, usize)>)> {
        let layer = Layer::of(text.as_bytes());
        let decoded = Parts::of(&layer, code, true, false).decoded(&layer, skipped)?;
        Some((String::from_utf8_lossy(&decoded.bytes).into_owned(), decoded.places))
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
    fn each_byte_takes_the_characters_that_it_is_in() {
        let (_, places) = decoded("..YWJjZGVmZ2g=", Code::Base64, 0).expect("eight bytes");
        assert_eq!(places, [(2, 4), (3, 5), (4, 6), (6, 8), (7, 9), (8, 10), (10, 12), (11, 13)]);
        let (_, places) = decoded("a616263646566", Code::Hex, 1).expect("six bytes");
        assert_eq!(places[0], (0, 3), "the digit before belongs to it in part");
    }
}
