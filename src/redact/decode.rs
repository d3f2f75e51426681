//! Texts as they are behind their escapes, and where in the text each byte stands.
//!
//! What an upstream repeats may be escaped for JSON, for a URL or for HTML, wholly or in part, and more than once: taking the
//! escapes away leads back to one form, in which secrets can be looked for.

/// The bytes of a text, and where each stands in what it was read from.
pub struct Layer {
    pub bytes: Vec<u8>,
    /// Beginning and end in the original text, for each byte.
    pub places: Vec<(usize, usize)>,
}

impl Layer {
    /// The text itself.
    pub fn of(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), places: (0..text.len()).map(|at| (at, at + 1)).collect() }
    }

    /// With one layer of escapes taken away; `None` if there are none. An escape that the end cuts off goes too.
    pub fn decoded(&self) -> Option<Self> {
        let mut decoded = Self { bytes: Vec::with_capacity(self.bytes.len()), places: Vec::new() };
        decoded.places.reserve(self.bytes.len());
        let (mut at, mut has_escapes) = (0, false);
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let mut buffer = [0; 4];
            let (length, bytes) = match escape(rest) {
                Escape::Byte(length, byte) => (length, {
                    buffer[0] = byte;
                    &buffer[..1]
                }),
                Escape::Char(length, character) => (length, character.encode_utf8(&mut buffer).as_bytes()),
                Escape::Cut => (rest.len(), &buffer[..0]),
                Escape::None => (1, &rest[..1]),
            };
            has_escapes |= length > 1 || bytes.is_empty();
            let place = (self.places[at].0, self.places[at + length - 1].1);
            match (bytes.is_empty(), decoded.places.last_mut()) {
                (true, Some(last)) => last.1 = place.1,
                _ => {
                    decoded.bytes.extend_from_slice(bytes);
                    decoded.places.extend(bytes.iter().map(|_| place));
                }
            }
            at += length;
        }
        has_escapes.then_some(decoded)
    }
}

/// What stands at the beginning of some bytes.
enum Escape {
    /// An escape of this length for a byte.
    Byte(usize, u8),
    /// The same for a character.
    Char(usize, char),
    /// The beginning of one that the end cuts off.
    Cut,
    /// None.
    None,
}

fn escape(bytes: &[u8]) -> Escape {
    match bytes[0] {
        b'\\' => backslash(bytes),
        b'%' => match (bytes.get(1..3).and_then(hex), bytes) {
            (Some(byte), _) => Escape::Byte(3, byte as u8),
            (None, [_] | [_, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F']) => Escape::Cut,
            _ => Escape::None,
        },
        b'&' => entity(bytes),
        _ => Escape::None,
    }
}

fn backslash(bytes: &[u8]) -> Escape {
    let Some(&kind) = bytes.get(1) else { return Escape::Cut };
    let is_cut = |length: usize| bytes.len() < length && bytes[2..].iter().all(u8::is_ascii_hexdigit);
    match kind {
        b'n' => Escape::Byte(2, b'\n'),
        b'r' => Escape::Byte(2, b'\r'),
        b't' => Escape::Byte(2, b'\t'),
        b'"' | b'\'' | b'/' | b'\\' => Escape::Byte(2, kind),
        b'x' => match bytes.get(2..4).and_then(hex) {
            Some(byte) => Escape::Byte(4, byte as u8),
            None if is_cut(4) => Escape::Cut,
            None => Escape::None,
        },
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
        _ => Escape::None,
    }
}

/// Longest reference of HTML that is looked for.
const LONGEST_ENTITY: usize = 10;

fn entity(bytes: &[u8]) -> Escape {
    let window = &bytes[..bytes.len().min(LONGEST_ENTITY)];
    let Some(end) = window.iter().position(|&byte| byte == b';') else {
        let is_begun =
            bytes.len() < LONGEST_ENTITY && bytes[1..].iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'#');
        return if is_begun { Escape::Cut } else { Escape::None };
    };
    let name = &bytes[1..end];
    let known = match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x' | b'X', digits @ ..] => hex(digits).and_then(char::from_u32),
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok().and_then(|n| n.parse().ok()).and_then(char::from_u32),
        _ => None,
    };
    known.map_or(Escape::None, |character| Escape::Char(end + 1, character))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    is_hex.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_lead_back_to_their_text() {
        for (text, plain) in [
            (r"a\u0062\n\/\x41", "ab\n/A"),
            ("%41b%C3%bc", "Abü"),
            ("&lt;&#65;&#x42;&amp;amp;", "<AB&amp;"),
            (r"\ud83d\ude00!", "😀!"),
            ("100 % of it & more; \\d", "100 % of it & more; \\d"),
            ("cut %4", "cut "),
            (r"cut \u00", "cut "),
            ("cut &#6", "cut "),
            ("cut \\", "cut "),
        ] {
            let layer = Layer::of(text.as_bytes());
            let decoded = layer.decoded().unwrap_or(layer);
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), plain, "{text}");
            assert!(decoded.places.last().is_some_and(|&(_, end)| end == text.len()), "{text}");
        }
        assert!(Layer::of(b"plain").decoded().is_none());
    }
}
