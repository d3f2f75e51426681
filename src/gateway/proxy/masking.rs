//! A key that is masked in a body as it goes by: with as many characters, so that all lengths stay. Pure.

use bytes::{Bytes, BytesMut};
use gateway_core::errors::DECIDING_BYTES;
use memchr::memmem::Finder;

/// Masks a key in an error as it goes by.
pub(crate) struct Masking {
    key: Finder<'static>,
    /// Whether the body is in a content coding: it cannot be masked then.
    pub is_coded: bool,
    /// Bytes of the body so far.
    seen: usize,
    /// What may be the beginning of the key, at the end of the last piece.
    held: Bytes,
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masking")
    }
}

impl Masking {
    /// Masks this key.
    pub(super) fn new(key: &str, is_coded: bool) -> Self {
        Self { key: Finder::new(key).into_owned(), is_coded, seen: 0, held: Bytes::new() }
    }

    /// What of this text goes to the client in its place, if anything differs.
    pub(super) fn masked(&self, text: &[u8]) -> Option<BytesMut> {
        let mut all = self.key.find_iter(text).peekable();
        all.peek()?;
        let mut masked = BytesMut::from(text);
        all.for_each(|at| masked[at..at + self.key.needle().len()].fill(b'*'));
        Some(masked)
    }

    /// Whether the key stands in a text.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.key.find(text).is_some()
    }

    /// How much of the end of a text may be the beginning of the key.
    fn begun(&self, text: &[u8]) -> usize {
        let key = self.key.needle();
        let longest = text.len().min(key.len() - 1);
        (1..=longest).rev().find(|&length| key.starts_with(&text[text.len() - length..])).unwrap_or_default()
    }

    /// The next piece of the body, and what goes to the client in its place.
    pub(super) fn piece(&mut self, piece: Bytes, is_end: bool) -> Bytes {
        let is_looked_through = self.seen < DECIDING_BYTES;
        self.seen += piece.len();
        if !is_looked_through && self.held.is_empty() {
            return piece;
        }
        let text = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held), piece].concat().into(),
        };
        let mut text = self.masked(&text).map_or(text, BytesMut::freeze);
        if is_looked_through && !is_end {
            self.held = text.split_off(text.len() - self.begun(&text));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "sk-sk-relay-1";

    fn masked(pieces: &[&[u8]]) -> Vec<u8> {
        let mut masking = Masking::new(KEY, false);
        let last = pieces.len().saturating_sub(1);
        let pieces = pieces.iter().enumerate();
        pieces.flat_map(|(at, piece)| masking.piece(Bytes::copy_from_slice(piece), at == last)).collect()
    }

    #[test]
    fn nothing_is_held_back_but_the_beginning_of_a_key() {
        let mut masking = Masking::new(KEY, false);
        assert_eq!(masking.piece(Bytes::from_static(b"is sk-sk-sk-re"), false), "is sk-");
        assert_eq!(masking.piece(Bytes::from_static(b"lay-"), false), "");
        assert_eq!(masking.piece(Bytes::from_static(b"1 sk"), false), "************* ");
        assert_eq!(masking.piece(Bytes::new(), true), "sk");
    }

    #[test]
    fn a_key_of_asterisks_is_masked_once() {
        let masking = Masking::new("***", false);
        assert_eq!(masking.masked(b"a **** b *** c").as_deref(), Some(&b"a **** b *** c"[..]));
        assert_eq!(masking.masked(b"a ** b"), None);
    }

    #[test]
    fn only_the_beginning_of_a_long_error_is_looked_through() {
        let long = "x".repeat(DECIDING_BYTES);
        assert_eq!(masked(&[long.as_bytes(), KEY.as_bytes()]), [long.as_bytes(), KEY.as_bytes()].concat());
        assert_eq!(masked(&[&long.as_bytes()[1..], KEY.as_bytes()])[long.len() - 1..], [b'*'; KEY.len()]);
    }

    proptest! {
        #[test]
        fn a_key_is_masked_wherever_a_body_is_cut(before in "[sk-]{0,9}", after in "[sk-]{0,9}", cuts in [0..40usize, 0..40]) {
            let text = format!("{before}{KEY}{after}{KEY}");
            let mut cuts = cuts.map(|cut| cut.min(text.len()));
            cuts.sort_unstable();
            let pieces = [&text.as_bytes()[..cuts[0]], &text.as_bytes()[cuts[0]..cuts[1]], &text.as_bytes()[cuts[1]..]];
            let expected = text.replace(KEY, &"*".repeat(KEY.len()));
            prop_assert_eq!(String::from_utf8(masked(&pieces)).expect("a text"), expected);
        }
    }
}
