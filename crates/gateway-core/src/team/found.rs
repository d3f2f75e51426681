//! Tokens in other texts, in the forms in which programs put one there: as they are, with escapes (`found/escaped.rs`),
//! in Base64, in hexadecimal digits, and in UTF-16.
//!
//! The text of a token is known to nobody here, only its digest: what may be one is cut out, and its checksum tells
//! whether it is. So nothing is decoded but what looks like a token in a coding.

mod escaped;

use super::text::{self, Digest, LENGTH, PREFIX, TAIL};
use aho_corasick::{AhoCorasick, MatchKind};
use once_cell::sync::Lazy;

/// What texts begin with that may be tokens: the prefix, in hexadecimal digits of either case, in UTF-16 of either
/// order, and what Base64 has of it for certain, wherever in a group of three bytes it begins.
const BEGINNINGS: [&str; 7] = [PREFIX, "6167775f", "6167775F", "a\0g\0w\0_", "YWd3X", "Fnd1", "hZ3df"];
/// Where those of Base64 begin.
const BASE64: usize = 4;
/// How many bytes, and how many characters, of the group stand before those.
const BEFORE: [(usize, usize); 3] = [(0, 0), (1, 2), (2, 3)];
/// Most characters of a token in Base64, with those of its first group that stand before it.
const LONGEST_CODED: usize = ((LENGTH + 2) * 8).div_ceil(6);

/// `None` if it cannot be made, which would be a mistake in these.
static FINDER: Lazy<Option<AhoCorasick>> = Lazy::new(|| {
    // In this mode it looks at many bytes at a time.
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(BEGINNINGS).ok()
});

/// The digests of all tokens that stand in a text. Some come twice.
pub fn find(text: &[u8]) -> impl Iterator<Item = Digest> {
    as_it_is(text).chain(std::iter::once(text).flat_map(escaped))
}

/// Those with letters that are escaped.
fn escaped(text: &[u8]) -> Vec<Digest> {
    let mut found = Vec::new();
    escaped::around(text, LONGEST_CODED, |plain| found.extend(as_it_is(plain)));
    found
}

/// Those that no escape hides but in their prefix.
fn as_it_is(text: &[u8]) -> impl Iterator<Item = Digest> {
    let begun = FINDER.iter().flat_map(move |finder| finder.find_iter(text));
    let begun = begun.filter_map(move |at| match at.pattern().as_usize() {
        0 => text::digest(text.get(at.start()..at.start() + LENGTH)?),
        1 | 2 => spelled(text.get(at.start()..at.start() + 2 * LENGTH)?, |pair| {
            Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)
        }),
        3 => spelled(text.get(at.start()..at.start() + 2 * LENGTH - 1)?, |pair| {
            (pair.get(1).is_none_or(|high| *high == 0)).then_some(pair[0])
        }),
        form => in_base64(text, at.start(), BEFORE[form - BASE64]),
    });
    begun.chain(Ends { text, at: 0 }.filter_map(by_end))
}

/// Whether a token stands in a text, whoever's it is.
pub fn is_in(text: &str) -> bool {
    find(text.as_bytes()).next().is_some()
}

/// The token of which each byte is a pair of these: no pair is looked at behind one that no token has.
fn spelled(text: &[u8], byte: impl Fn(&[u8]) -> Option<u8>) -> Option<Digest> {
    let mut token = [0; LENGTH];
    for (place, pair) in text.chunks(2).enumerate() {
        *token.get_mut(place)? = byte(pair).filter(|byte| may_stand(*byte, place))?;
    }
    text::digest(&token)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The token in Base64, of either alphabet, whose first certain character stands at `at`. It ends at the first byte that no
/// token has: what looks like many tokens, one in the other, is not decoded over and over.
fn in_base64(text: &[u8], at: usize, (bytes, characters): (usize, usize)) -> Option<Digest> {
    let coded = text.get(at.checked_sub(characters)?..)?;
    let mut decoded = [0; LENGTH + 4];
    let (mut bits, mut length) = (0_u32, 0);
    for (count, &character) in coded.iter().take(LONGEST_CODED).enumerate() {
        let Some(value) = value(character) else { break };
        bits = bits << 6 | u32::from(value);
        if count % 4 > 0 {
            let [.., byte] = (bits >> (6 - 2 * (count % 4))).to_be_bytes();
            if length >= bytes && length < bytes + LENGTH && !may_stand(byte, length - bytes) {
                return None;
            }
            *decoded.get_mut(length)? = byte;
            length += 1;
        }
    }
    text::digest(decoded.get(bytes..bytes + LENGTH)?)
}

/// Whether a token can have this byte at this place.
fn may_stand(byte: u8, place: usize) -> bool {
    PREFIX.as_bytes().get(place).map_or(OF_WORDS[usize::from(byte)], |of_prefix| byte == *of_prefix)
}

fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// The token of which this is the end: its prefix may be escaped (`agw\u005f`, `agw%5F`), its end never needs to be.
fn by_end(end: &[u8]) -> Option<Digest> {
    let mut token = [0; LENGTH];
    let (prefix, tail) = token.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX.as_bytes());
    tail.copy_from_slice(end);
    text::digest(&token)
}

/// Which bytes a token has behind its prefix.
const OF_WORDS: [bool; 256] = {
    let (mut of_words, mut at) = ([false; 256], 0);
    while at < 256 {
        of_words[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    of_words
};

/// The ends of all words that are as long as the part of a token behind its prefix. Of most texts one byte in ten is looked
/// at.
struct Ends<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Iterator for Ends<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        loop {
            let word = self.text.get(self.at..self.at + TAIL)?;
            if let Some(gap) = word.iter().rposition(|byte| !OF_WORDS[usize::from(*byte)]) {
                self.at += gap + 1;
                continue;
            }
            let rest = &self.text[self.at + TAIL..];
            let end = self.at + TAIL + rest.iter().take_while(|byte| OF_WORDS[usize::from(**byte)]).count();
            self.at = end;
            return self.text.get(end - TAIL..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn digests(tokens: &[String]) -> HashSet<Digest> {
        tokens.iter().filter_map(|token| text::digest(token.as_bytes())).collect()
    }

    #[test]
    fn the_beginnings_are_those_of_base64() {
        for (beginning, (bytes, characters)) in BEGINNINGS[BASE64..].iter().zip(BEFORE) {
            for fill in [0, 0xff] {
                let coded = STANDARD_NO_PAD.encode([&vec![fill; bytes][..], PREFIX.as_bytes(), &[fill]].concat());
                assert!(coded[characters..].starts_with(beginning), "{coded}");
            }
        }
    }

    #[test]
    fn a_token_is_found_however_its_beginning_is_escaped() {
        let token = text::of([7; 32]);
        for escaped in ["\\u005f", "\\\\u005F", "%5F", "%255f", "&#95;", "&lowbar;", "\\x5f", "\u{ff3f}"] {
            let found = |text: String| find(text.as_bytes()).collect::<HashSet<_>>();
            let text = format!("{{\"text\":\"is {}\\n\"}}", token.replacen('_', escaped, 1));
            assert_eq!(found(text.clone()), digests(std::slice::from_ref(&token)), "{text}");
            assert_eq!(found(text.replace(&token[5..], &token[6..])), HashSet::new());
        }
        assert!(is_in(&token[4..]) && !is_in(&token[5..]) && !is_in(&"a".repeat(1_000)));
    }

    proptest! {
        #[test]
        fn tokens_are_found_wherever_they_stand(random: [[u8; 32]; 2], around in "[a-z_\"{}: ]{0,60}") {
            let tokens = random.map(text::of);
            let text = format!("{around}{}{around}agw_{around}\"{}\"", tokens[0], tokens[1]);
            let found: HashSet<Digest> = find(text.as_bytes()).collect();
            prop_assert_eq!(found, digests(&tokens));
        }

        #[test]
        fn tokens_are_found_in_base64(random: [u8; 32], before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
            let token = text::of(random);
            let inner = format!("{before}{token}{after}");
            for coded in [STANDARD.encode(&inner), URL_SAFE_NO_PAD.encode(&inner)] {
                for text in [format!("Basic {coded}"), format!("{{\"a\":\"{coded}\"}}"), coded.clone()] {
                    let found: HashSet<Digest> = find(text.as_bytes()).collect();
                    prop_assert_eq!(found, digests(std::slice::from_ref(&token)), "{}", text);
                }
            }
        }

        #[test]
        fn tokens_are_found_in_digits_and_in_utf_16(random: [u8; 32], before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
            let token = text::of(random);
            let hex = |upper: bool| -> String {
                token.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
            };
            let wide = |in_order: fn(u16) -> [u8; 2]| -> Vec<u8> {
                format!("{before}{token}{after}").encode_utf16().flat_map(in_order).collect()
            };
            for text in [
                format!("{before}{}{after}", hex(false)).into_bytes(),
                format!("{before}{}{after}", hex(true)).into_bytes(),
                wide(u16::to_le_bytes),
                wide(u16::to_be_bytes),
            ] {
                let found: HashSet<Digest> = find(&text).collect();
                prop_assert_eq!(found, digests(std::slice::from_ref(&token)), "{:?}", text);
            }
        }

        #[test]
        fn nothing_is_found_in_what_is_no_token(text: Vec<u8>) {
            prop_assert_eq!(find(&text).count(), 0);
        }
    }

    fn letter(letter: char, upper: bool) -> String {
        let code = u32::from(letter);
        if upper { format!("\\u{code:04X}") } else { format!("\\u{code:04x}") }
    }

    proptest! {
        #[test]
        fn a_token_is_found_whichever_of_its_letters_are_escaped(
            random: [u8; 32],
            which: [u8; 53],
            before in "[a-z \\\\]{0,200}",
            after in "[a-z \\\\]{0,200}",
            twice: bool,
        ) {
            let token = text::of(random);
            let letters = token.chars().zip(which);
            let spelled = letters.map(|(letter, how)| if how % 3 == 0 { letter.into() } else { self::letter(letter, how % 3 == 1) });
            let text = format!("{before} {} {after}", spelled.collect::<String>());
            let text = if twice { text.replace('\\', "\\\\") } else { text };
            let found = find(text.as_bytes()).next();
            prop_assert_eq!(found, text::digest(token.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn tokens_are_found_across_windows_and_far_apart() {
        let token = text::of([7; 32]);
        let all: String = token.chars().map(|letter| self::letter(letter, false)).collect();
        let digest = text::digest(token.as_bytes());
        for filling in ["\\u0020", "\\u0061 ", "x", "\\", "\\u00"] {
            for length in [0, 60, 70, 80, 16_384 - 60, 16_384 - 10, 16_384, 16_384 + 50, 3 * 16_384] {
                let text = format!("{} {all} {}", filling.repeat(length), filling.repeat(100));
                assert_eq!(super::escaped(text.as_bytes()).into_iter().next(), digest, "{length} times {filling}");
            }
        }
        assert_eq!(super::escaped(b"\\u00"), Vec::<Digest>::new());
        assert_eq!(super::escaped(&b"\\u0061gw_".repeat(10_000)), Vec::<Digest>::new());
    }
}
