//! Known secrets that are masked in a text as it goes by: with as many characters, so that all lengths stay. Pure.

use super::length::SHORTEST;
use aho_corasick::{AhoCorasick, MatchKind};
use bytes::{Bytes, BytesMut};
use std::ops::Range;
use std::sync::Arc;

/// What bodies begin with that are in a coding which their head does not name: of gzip, and of Zstandard.
const CODED: [&[u8]; 2] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];

/// Secrets that are looked for as they are, and in upper or lower case: names of fields are known in one of them only.
pub struct Known {
    /// `None` if there is none, or if there are too many for its numbers: then all of every text is masked.
    finder: Option<AhoCorasick>,
    secrets: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.secrets.len())
    }
}

impl Known {
    /// All of these but those that are too short to be any.
    pub fn new<'s>(secrets: impl Iterator<Item = &'s [u8]>) -> Self {
        let mut secrets: Vec<Vec<u8>> =
            secrets.filter(|secret| secret.len() >= SHORTEST).map(<[u8]>::to_ascii_lowercase).collect();
        secrets.sort_unstable();
        secrets.dedup();
        let mut builder = AhoCorasick::builder();
        let builder = builder.ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest);
        let finder = if secrets.is_empty() { None } else { builder.build(&secrets).ok() };
        Self { finder, secrets }
    }

    fn find(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let is_all = self.finder.is_none() && !self.secrets.is_empty() && !text.is_empty();
        let found = self.finder.iter().flat_map(move |finder| finder.find_iter(text)).map(|found| found.range());
        found.chain(is_all.then_some(0..text.len()))
    }

    /// Whether one of them stands in a text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.find(text).next().is_some()
    }

    /// The text with asterisks in their place, if one is in it.
    pub fn masked(&self, text: &[u8]) -> Option<BytesMut> {
        let mut masked = None;
        for at in self.find(text) {
            masked.get_or_insert_with(|| BytesMut::from(text))[at].fill(b'*');
        }
        masked
    }

    /// How much of the end of a text may be the beginning of one.
    fn begun(&self, text: &[u8]) -> usize {
        let begun = |secret: &Vec<u8>| {
            let longest = text.len().min(secret.len() - 1);
            let is_begun = |length: &usize| secret[..*length].eq_ignore_ascii_case(&text[text.len() - length..]);
            (1..=longest).rev().find(is_begun).unwrap_or_default()
        };
        self.secrets.iter().map(begun).max().unwrap_or_default()
    }
}

/// Masks what is known in the beginning of a body as it goes by.
#[derive(Debug)]
pub struct Masking {
    known: Arc<Known>,
    /// How much of the body is looked through.
    most: usize,
    /// Bytes of the body so far.
    seen: usize,
    /// What may be the beginning of a secret, at the end of the last piece, or all of what may be a coding's mark.
    held: Bytes,
}

impl Masking {
    /// Masks these in so many bytes of a body.
    pub fn new(known: Arc<Known>, most: usize) -> Self {
        Self { known, most, seen: 0, held: Bytes::new() }
    }

    /// Whether one of them stands in a text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.known.is_in(text)
    }

    /// Whether the body is in a coding, as its beginning shows once this piece has come, which is not masked yet.
    pub fn begins_coded(&self, piece: &[u8]) -> bool {
        let begins = |mark: &&[u8]| self.held.iter().chain(piece).take(mark.len()).eq(*mark);
        self.held.len() == self.seen && CODED.iter().any(begins)
    }

    /// The next piece of the body, and what goes to the client in its place.
    pub fn piece(&mut self, piece: Bytes, is_end: bool) -> Bytes {
        let is_looked_through = self.seen < self.most;
        self.seen += piece.len();
        if !is_looked_through && self.held.is_empty() {
            return piece;
        }
        let text = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held), piece].concat().into(),
        };
        let goes_on = is_looked_through && !is_end;
        let is_mark = self.seen == text.len() && CODED.iter().any(|mark| mark.starts_with(&text));
        // Where a secret may begin that goes on in the next piece: nothing is masked from there on yet. Nor does
        // anything go out while the body may be in a coding.
        let mut until = match goes_on {
            true if is_mark => 0,
            true => text.len() - self.known.begun(&text),
            false => text.len(),
        };
        let mut masked: Option<BytesMut> = None;
        for at in self.known.find(&text) {
            if at.start >= until {
                break;
            }
            if goes_on && at.end > until {
                until = text.len() - self.known.begun(&text[at.end..]);
            }
            masked.get_or_insert_with(|| BytesMut::from(&*text))[at].fill(b'*');
        }
        let mut text = masked.map_or(text, BytesMut::freeze);
        self.held = text.split_off(until);
        text
    }

    /// What is still held of a body that has ended.
    pub fn rest(&mut self) -> Option<Bytes> {
        Some(self.piece(Bytes::new(), true)).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "sk-sk-relay-1";
    const MOST: usize = 1_000;

    fn masking(secrets: &[&str]) -> Masking {
        Masking::new(Arc::new(Known::new(secrets.iter().map(|secret| secret.as_bytes()))), MOST)
    }

    fn masked(secrets: &[&str], pieces: &[&[u8]]) -> String {
        let mut masking = masking(secrets);
        let last = pieces.len().saturating_sub(1);
        let pieces = pieces.iter().enumerate();
        let all = pieces.flat_map(|(at, piece)| masking.piece(Bytes::copy_from_slice(piece), at == last)).collect();
        String::from_utf8(all).expect("a text")
    }

    #[test]
    fn nothing_is_held_back_but_the_beginning_of_a_secret() {
        let mut masking = masking(&[KEY]);
        assert_eq!(masking.piece(Bytes::from_static(b"is sk-sk-sk-re"), false), "is sk-");
        assert_eq!(masking.piece(Bytes::from_static(b"lay-"), false), "");
        assert_eq!(masking.piece(Bytes::from_static(b"1 SK"), false), "************* ");
        assert_eq!(masking.rest().as_deref(), Some(&b"SK"[..]));
        assert_eq!(masking.rest(), None);
    }

    #[test]
    fn asterisks_and_what_is_too_short_to_be_a_secret_stay() {
        let known = Known::new(["******".as_bytes(), b"short", b""].into_iter());
        assert_eq!(known.masked(b"a ******* b ****** c").as_deref(), Some(&b"a ******* b ****** c"[..]));
        assert_eq!(known.masked(b"a short one"), None);
        let none = Known::new(std::iter::empty());
        assert!(!none.is_in(b"anything") && none.masked(b"anything").is_none());
    }

    #[test]
    fn a_coding_is_recognised_in_pieces_of_one_byte_before_anything_goes_out() {
        for mark in CODED {
            let mut body = masking(&[KEY]);
            for (at, byte) in mark.iter().enumerate() {
                let is_last = at + 1 == mark.len();
                assert_eq!(body.begins_coded(&[*byte]), is_last, "{mark:?}");
                assert!(body.piece(Bytes::copy_from_slice(&[*byte]), false).is_empty());
            }
            assert!(masking(&[KEY]).begins_coded(&[mark, b"more"].concat()));
        }
        // What only begins like one goes out, and so does a mark in a body.
        assert_eq!(masked(&[KEY], &[b"(", b"a"]), "(a");
        assert_eq!(masking(&[KEY]).piece(Bytes::from_static(b"("), true), "(");
        let mut body = masking(&[KEY]);
        assert_eq!(body.piece(Bytes::from_static(b"a"), false), "a");
        assert!(!body.begins_coded(CODED[0]));
    }

    #[test]
    fn all_is_masked_where_secrets_cannot_be_looked_for() {
        let known = Known { finder: None, secrets: vec![KEY.as_bytes().to_vec()] };
        assert!(known.is_in(b"anything") && !known.is_in(b""));
        let mut masking = Masking::new(Arc::new(known), MOST);
        assert_eq!(masking.piece(Bytes::from_static(b"is sk-"), false), "******");
        assert_eq!(masking.piece(Bytes::from_static(b"sk"), true), "**");
    }

    #[test]
    fn only_the_beginning_of_a_long_error_is_looked_through() {
        let long = "x".repeat(MOST);
        assert_eq!(masked(&[KEY], &[long.as_bytes(), KEY.as_bytes()]), [&*long, KEY].concat());
        assert_eq!(masked(&[KEY], &[&long.as_bytes()[1..], KEY.as_bytes()])[long.len() - 1..], "*".repeat(KEY.len()));
    }

    #[test]
    fn of_two_secrets_of_which_one_begins_the_other_the_longer_one_is_masked() {
        let secrets = ["sk-relay-1", "sk-relay-12345"];
        assert_eq!(masked(&secrets, &[b"a sk-relay-1", b"2345 b"]), "a ************** b");
        assert_eq!(masked(&secrets, &[b"a sk-relay-1", b"2 b"]), "a **********2 b");
        assert_eq!(masked(&secrets, &[b"a Sk-Relay-1"]), "a **********");
    }

    proptest! {
        #[test]
        fn secrets_are_masked_wherever_a_body_is_cut(
            before in "[sk-]{0,9}",
            after in "[sk-]{0,9}",
            cuts in [0..60usize, 0..60],
        ) {
            let other = "k-sk-relay-22";
            let text = format!("{before}{KEY}{after}{KEY}{other}");
            let mut cuts = cuts.map(|cut| cut.min(text.len()));
            cuts.sort_unstable();
            let pieces = [&text.as_bytes()[..cuts[0]], &text.as_bytes()[cuts[0]..cuts[1]], &text.as_bytes()[cuts[1]..]];
            let whole = masked(&[KEY, other], &[text.as_bytes()]);
            prop_assert!(!whole.contains(KEY) && !whole.contains(other) && whole.len() == text.len());
            prop_assert_eq!(masked(&[KEY, other], &pieces), whole);
        }
    }
}
