//! Pieces of long secrets: a key without its beginning, its middle, its end.

use std::ops::Range;

/// Characters in a row that a text and a secret must have in common.
pub(super) const PIECE: usize = 12;
/// Secrets from this length on are known by their pieces.
pub(super) const SHORTEST_WHOLE: usize = 16;
/// Characters of a part of a piece, of which a text is asked for every [`STEP`]th.
const PART: usize = 4;
/// Every piece in a text has a part that begins at a multiple of this.
const STEP: usize = PIECE - PART + 1;
/// Bits of the filter for each part.
const BITS: usize = 16;

/// All pieces of all secrets. A text is looked up at every ninth place: the time grows with the length of the text alone,
/// however many secrets there are and however much they repeat themselves.
#[derive(Default)]
pub(super) struct Pieces {
    /// In order, as numbers: to compare them costs least so.
    pieces: Vec<(u64, u32)>,
    /// Says of most parts of a text at once that no piece has them.
    filter: Vec<u64>,
}

impl Pieces {
    /// Those of these secrets; shorter ones than [`SHORTEST_WHOLE`] are left out.
    pub(super) fn of<'s>(secrets: impl Iterator<Item = &'s [u8]> + Clone) -> Self {
        let long = secrets.filter(|secret| secret.len() >= SHORTEST_WHOLE);
        let parts = long.clone().flat_map(windows::<PART>);
        let mut filter = vec![0; (parts.clone().count() * BITS / 64).next_power_of_two()];
        for part in parts {
            let (word, bit) = place(*part, filter.len());
            filter[word] |= bit;
        }
        let mut pieces: Vec<_> = long.flat_map(windows).map(number).collect();
        pieces.sort_unstable();
        pieces.dedup();
        Self { pieces, filter }
    }

    /// Calls `found` with each part of `text` that consists of pieces.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        if self.pieces.is_empty() {
            return;
        }
        let mut open: Option<Range<usize>> = None;
        // Where no piece was looked for yet.
        let mut next = 0;
        for at in (0..text.len()).step_by(STEP) {
            let part = text[at..].first_chunk();
            if part.is_none_or(|part| !self.may_have(*part)) {
                continue;
            }
            let first = next.max(at.saturating_sub(STEP - 1));
            next = at + 1;
            for at in first..next {
                let piece = text[at..].first_chunk();
                if piece.is_none_or(|piece| self.pieces.binary_search(&number(piece)).is_err()) {
                    continue;
                }
                match &mut open {
                    Some(range) if at <= range.end => range.end = at + PIECE,
                    _ => open.replace(at..at + PIECE).into_iter().for_each(&mut found),
                }
            }
        }
        open.into_iter().for_each(found);
    }

    fn may_have(&self, part: [u8; PART]) -> bool {
        let (word, bit) = place(part, self.filter.len());
        self.filter[word] & bit != 0
    }
}

fn windows<const LENGTH: usize>(text: &[u8]) -> impl Iterator<Item = &[u8; LENGTH]> + Clone {
    text.windows(LENGTH).filter_map(<[u8]>::first_chunk)
}

fn number(&[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; PIECE]) -> (u64, u32) {
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
}

/// Where a part stands in a filter of this many words: a power of two.
fn place(part: [u8; PART], words: usize) -> (usize, u64) {
    let mixed = u64::from(u32::from_le_bytes(part)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
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

    #[test]
    fn every_place_of_a_text_is_looked_at() {
        let secret = "k3y-Of_A.secret/with+many=signs~0";
        let mut text = String::new();
        for round in 0..2_000_usize {
            // Pieces of every length, behind texts of every length.
            let from = round * 7 % (secret.len() - PIECE);
            let length = (round * 5 % (secret.len() - from)).max(1);
            text.clear();
            text.extend(std::iter::repeat_n('.', round % 23));
            text.push_str(&secret[from..from + length]);
            text.extend(std::iter::repeat_n(',', round % 11));
            let expected: Vec<&str> = if length < PIECE { vec![] } else { vec![&secret[from..from + length]] };
            assert_eq!(found(&text, &[secret]), expected, "{text}");
        }
    }
}
