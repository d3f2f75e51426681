//! 64 bytes of a JSON text at once: where in them a string cannot go on.
//!
//! A prompt has a quote or a backslash every 18 bytes, so that what a loop does from one of them to the next cannot be
//! foretold, and a processor waits more than it computes. Here all of a block is done without a branch, as in simdjson
//! (Langdale and Lemire, "Parsing gigabytes of JSON per second"), but for a look at each escape that is not a common one.

use wide::u8x16;

/// Bytes of a block.
pub(super) const BYTES: usize = 64;
/// A bit for every second byte.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// What a block of a text has, a bit for each byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Where it begins in the text. It may end behind its end.
    pub(super) start: usize,
    /// Quotes that are not escaped, control characters, and backslashes that escape nothing.
    pub(super) stops: u64,
    /// Whether the first byte behind it is escaped.
    escapes_next: bool,
}

impl Block {
    /// The one that begins at `start`, with a byte that is not escaped.
    pub(super) fn at(text: &[u8], start: usize) -> Self {
        Self::of(text, start, false)
    }

    /// The one behind this.
    pub(super) fn next(self, text: &[u8]) -> Self {
        Self::of(text, self.start + BYTES, self.escapes_next)
    }

    fn of(text: &[u8], start: usize, is_first_escaped: bool) -> Self {
        let rest = text.get(start..).unwrap_or_default();
        let marks = match rest.first_chunk() {
            Some(bytes) => Marks::of(bytes),
            None => {
                let mut bytes = [b' '; BYTES];
                bytes[..rest.len()].copy_from_slice(rest);
                Marks::of(&bytes)
            }
        };
        // Of a run of backslashes every second one is escaped. The subtraction carries through a run, and what it leaves
        // in the bits behind tells whether the run began at an odd place.
        let first = u64::from(is_first_escaped);
        let may_escape = marks.backslashes & !first;
        let behind = (may_escape << 1) | ODD;
        let ends = behind.wrapping_sub(may_escape) ^ ODD;
        let escaped = ends ^ (marks.backslashes | first);
        let escapes = ends & marks.backslashes;
        let mut stops = marks.quotes & !escaped | marks.controls;
        let common = (marks.quotes | marks.backslashes | marks.line_breaks) >> 1;
        let mut others = escapes & !common;
        while others != 0 {
            let bit = others & others.wrapping_neg();
            if !is_escape(&rest[others.trailing_zeros() as usize + 1..]) {
                stops |= bit;
            }
            others ^= bit;
        }
        Self { start, stops, escapes_next: escapes >> (BYTES - 1) != 0 }
    }
}

/// Whether a text that begins so goes on well behind a backslash.
fn is_escape(text: &[u8]) -> bool {
    match text.first() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
        Some(b'u') => text.get(1..5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    }
}

/// The bytes of a block that mean something in a string, a bit for each.
struct Marks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// Letters that make one behind a backslash.
    line_breaks: u64,
}

impl Marks {
    fn of(bytes: &[u8; BYTES]) -> Self {
        let [quote, backslash, control, n] = [b'"', b'\\', 0x1f, b'n'].map(u8x16::splat);
        let mut marks = Self { quotes: 0, backslashes: 0, controls: 0, line_breaks: 0 };
        for (part, bytes) in bytes.as_chunks().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            let bits = |found: u8x16| u64::from(found.move_mask() as u32) << (16 * part);
            marks.quotes |= bits(bytes.cmp_eq(quote));
            marks.backslashes |= bits(bytes.cmp_eq(backslash));
            marks.controls |= bits(bytes.min(control).cmp_eq(bytes));
            marks.line_breaks |= bits(bytes.cmp_eq(n));
        }
        marks
    }
}
