//! The text of a client token: `agw_`, 256 random bits in base62, and a checksum, which tells a slip of the pen without a
//! look-up. One word, so that a double click selects it and scanners for secrets find it.

use sha2::{Digest as _, Sha256};

/// What every token begins with, and nothing else.
pub const PREFIX: &str = "agw_";
/// Characters of the random part.
const RANDOM: usize = 43;
/// Characters of the checksum, which is a CRC-32 of all before it.
const CHECK: usize = 6;
/// Characters behind the prefix.
pub(super) const TAIL: usize = RANDOM + CHECK;
/// Characters of a token.
pub const LENGTH: usize = PREFIX.len() + TAIL;
/// Characters of it that are shown, at each end.
const SHOWN: usize = 4;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What is kept of a token: its SHA-256. With 256 random bits it needs no salt, and nobody finds the token by it.
pub type Digest = [u8; 32];

/// The token of these random bits.
pub fn of(random: [u8; 32]) -> String {
    let mut text = format!("{PREFIX}{}", base62(random, RANDOM));
    let check = check(text.as_bytes());
    text.extend(check.map(char::from));
    text
}

/// Whether somebody means this to be a token: no relay has keys that begin so.
pub fn is_meant(key: &[u8]) -> bool {
    key.starts_with(PREFIX.as_bytes())
}

/// The digest of a token; `None` if the text is none, such as one with a slip of the pen.
pub fn digest(text: &[u8]) -> Option<Digest> {
    let (token, check) = text.split_at_checked(LENGTH - CHECK)?;
    // The checksum comes last: it costs the most.
    let is_token = is_meant(text)
        && text.len() == LENGTH
        && text[PREFIX.len()..].iter().all(u8::is_ascii_alphanumeric)
        && self::check(token) == check;
    is_token.then(|| Sha256::digest(text).into())
}

/// What a token is told from others by, in lists: its beginning and its end.
pub fn hint(token: &str) -> String {
    let begin = token.get(..PREFIX.len() + SHOWN).unwrap_or_default();
    let end = token.len().checked_sub(SHOWN).and_then(|at| token.get(at..)).unwrap_or_default();
    format!("{begin}...{end}")
}

/// The checksum of a token without it.
fn check(token: &[u8]) -> [u8; CHECK] {
    let (mut rest, mut digits) = (crc32fast::hash(token), [DIGITS[0]; CHECK]);
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// A number, its most significant byte first, in so many digits.
fn base62<const N: usize>(mut number: [u8; N], width: usize) -> String {
    let mut digits = vec![DIGITS[0]; width];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest * 256 + u16::from(*byte);
            // The rest is less than 62.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *digit = DIGITS[usize::from(rest)];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_of_a_token_stays_as_it_is() {
        let all = of([0xff; 32]);
        assert_eq!(of([0; 32]), "agw_00000000000000000000000000000000000000000003wpEYm");
        assert_eq!((all.len(), &all[..PREFIX.len()]), (53, PREFIX));
        assert_eq!(hint(&all), format!("{}...{}", &all[..8], &all[49..]));
        assert_eq!(hint("a"), "...");
    }

    #[test]
    fn the_largest_number_has_room() {
        assert_ne!(base62([0xff; 32], RANDOM), base62([0xff; 32], RANDOM + 1)[..RANDOM]);
        assert_eq!(base62([0xff; 32], RANDOM + 1)[1..], base62([0xff; 32], RANDOM));
        assert_eq!(base62(u32::MAX.to_be_bytes(), CHECK + 1)[1..], base62(u32::MAX.to_be_bytes(), CHECK));
    }

    #[test]
    fn what_is_no_token_has_no_digest() {
        let token = of([7; 32]);
        for text in ["", "agw_", "sk-ant-1", &token[1..], &token[..52], &format!("{token}0"), &token.to_lowercase()] {
            assert_eq!(digest(text.as_bytes()), None, "{text}");
        }
        assert!(is_meant(b"agw_") && !is_meant(b"agw") && !is_meant(b"sk-agw_"));
    }

    proptest! {
        #[test]
        fn a_token_is_one_and_with_a_slip_of_the_pen_none(random: [u8; 32], at in 4..53usize, other in "[0-9A-Za-z]") {
            let token = of(random);
            prop_assert_eq!(digest(token.as_bytes()), Some(Sha256::digest(&token).into()));
            let mut slip = token.clone();
            slip.replace_range(at..=at, &other);
            prop_assert_eq!(digest(slip.as_bytes()).is_some(), slip == token);
        }
    }
}
