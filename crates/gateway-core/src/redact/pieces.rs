//! Pieces of long secrets: a key without its beginning, its middle, its end.

use std::ops::Range;

/// Characters in a row that a text and a secret must have in common.
pub(super) const PIECE: usize = 12;
/// Secrets from this length on are known by their pieces.
pub(super) const SHORTEST_WHOLE: usize = 16;
/// Bits of the filter for each piece.
const BITS: usize = 16;

/// All pieces of all secrets. Each place of a text is looked up once: the time grows with the length of the text alone,
/// however many secrets there are and however much they repeat themselves.
#[derive(Default)]
pub(super) struct Pieces {
    /// In order.
    pieces: Vec<[u8; PIECE]>,
    /// Says of most others at once that they are none of them.
    filter: Vec<u64>,
}

impl Pieces {
    /// Those of these secrets; shorter ones than [`SHORTEST_WHOLE`] are left out.
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s [u8]>) -> Self {
        let long = secrets.filter(|secret| secret.len() >= SHORTEST_WHOLE);
        let mut pieces: Vec<[u8; PIECE]> = long.flat_map(windows).copied().collect();
        pieces.sort_unstable();
        pieces.dedup();
        let mut filter = vec![0; (pieces.len() * BITS / 64).next_power_of_two()];
        for piece in &pieces {
            let (word, bit) = place(piece, filter.len());
            filter[word] |= bit;
        }
        Self { pieces, filter }
    }

    /// Calls `found` with each part of `text` that consists of pieces.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        if self.pieces.is_empty() {
            return;
        }
        let mut open: Option<Range<usize>> = None;
        for (at, piece) in windows(text).enumerate() {
            if !self.has(piece) {
                continue;
            }
            match &mut open {
                Some(range) if at <= range.end => range.end = at + PIECE,
                _ => open.replace(at..at + PIECE).into_iter().for_each(&mut found),
            }
        }
        open.into_iter().for_each(found);
    }

    fn has(&self, piece: &[u8; PIECE]) -> bool {
        let (word, bit) = place(piece, self.filter.len());
        self.filter[word] & bit != 0 && self.pieces.binary_search(piece).is_ok()
    }
}

fn windows(text: &[u8]) -> impl Iterator<Item = &[u8; PIECE]> {
    text.windows(PIECE).filter_map(<[u8]>::first_chunk)
}

/// Where a piece stands in a filter of this many words: a power of two.
fn place(piece: &[u8; PIECE], words: usize) -> (usize, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *piece;
    let (first, last) = (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([e, f, g, h, i, j, k, l]));
    let mixed = (first ^ last.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 40) as usize & (words - 1), 1 << (mixed >> 32 & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, secrets: &[&str]) -> Vec<String> {
        let pieces = Pieces::of(secrets.iter().map(|secret| secret.as_bytes()));
        let mut found = Vec::new();
        pieces.find(text.as_bytes(), |at| found.push(text[at].to_owned()));
        found
    }

    #[test]
    fn twelve_characters_of_a_long_secret_are_enough() {
        let secret = "abcdefghijklmnopqrst";
        assert_eq!(found("x abcdefghijkl, ijklmnopqrst", &[secret]), ["abcdefghijkl", "ijklmnopqrst"]);
        assert_eq!(found("<<abcdefghijklmnopqrst>>", &[secret]), [secret]);
        assert_eq!(found("abcdefghijk lmnopqrst", &[secret]), [""; 0], "eleven are not");
        assert_eq!(found("abcdefghijklmno", &["abcdefghijklmno"]), [""; 0], "nor is a short secret");
        assert_eq!(
            found("abcdefghijklm0123456789ABC", &[secret, "z0123456789ABCDEFG"]),
            ["abcdefghijklm0123456789ABC"]
        );
        assert_eq!(found("short", &[secret]), [""; 0]);
    }
}
