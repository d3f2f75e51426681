//! Checks JSON texts and finds the ends of their values, without building anything.
//!
//! Bodies of 50 KB to some MB are checked on the request path, and almost all of their bytes stand in strings: those
//! are passed sixteen bytes at a time. The grammar is all of RFC 8259; the encoding is the caller's (`&str`). Half a
//! surrogate pair, repeated names and numbers of any size are valid: nothing is converted.

use wide::u8x16;

/// How deep containers may stand in each other; it bounds the state, not any real body.
pub(super) const MAX_DEPTH: usize = 65_536;

/// Why a text is not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It stops being JSON at this offset.
    At(usize),
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// The offset of the first byte from `at` on that is no blank.
pub(crate) fn blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`; what follows is not looked at.
///
/// # Errors
/// Where it stops being one.
pub(crate) fn value(text: &[u8], mut at: usize) -> Result<usize, Bad> {
    // The closing brackets that are still to come.
    let mut open: Vec<u8> = Vec::new();
    loop {
        at = match text.get(at) {
            Some(b'"') => string(text, at)?,
            Some(&bracket) if matches!(bracket, b'{' | b'[') => {
                // Both closing brackets stand two places after their opening ones.
                let (closing, inside) = (bracket + 2, blanks(text, at + 1));
                if text.get(inside) == Some(&closing) {
                    inside + 1
                } else if open.len() == MAX_DEPTH {
                    return Err(Bad::TooDeep);
                } else {
                    open.push(closing);
                    at = if closing == b'}' { name(text, inside)? } else { inside };
                    continue;
                }
            }
            Some(b'-' | b'0'..=b'9') => number(text, at)?,
            Some(b't') => word(text, at, b"true")?,
            Some(b'f') => word(text, at, b"false")?,
            Some(b'n') => word(text, at, b"null")?,
            _ => return Err(Bad::At(at)),
        };
        // A value is complete: close what ends with it, or go on to the next one.
        loop {
            let Some(&closing) = open.last() else { return Ok(at) };
            at = blanks(text, at);
            match text.get(at) {
                Some(b',') => {
                    at = blanks(text, at + 1);
                    if closing == b'}' {
                        at = name(text, at)?;
                    }
                    break;
                }
                Some(&byte) if byte == closing => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(Bad::At(at)),
            }
        }
    }
}

/// Passes a member's name, its colon and the blanks around; the offset of its value.
///
/// # Errors
/// Where it stops being a name.
pub(crate) fn name(text: &[u8], at: usize) -> Result<usize, Bad> {
    if text.get(at) != Some(&b'"') {
        return Err(Bad::At(at));
    }
    let colon = blanks(text, string(text, at)?);
    match text.get(colon) {
        Some(b':') => Ok(blanks(text, colon + 1)),
        _ => Err(Bad::At(colon)),
    }
}

/// The end of the string whose opening quote stands at `at`.
fn string(text: &[u8], at: usize) -> Result<usize, Bad> {
    let mut at = at + 1;
    loop {
        at = plain(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') if text.get(at + 2..at + 6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => {
                    at += 6;
                }
                _ => return Err(Bad::At(at)),
            },
            _ => return Err(Bad::At(at)),
        }
    }
}

/// The first offset from `at` on of a quote, a backslash or a control character; the length if there is none.
#[inline]
fn plain(text: &[u8], mut at: usize) -> usize {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let block = u8x16::new(*block);
        let found = block.cmp_eq(quote) | block.cmp_eq(backslash) | block.min(control).cmp_eq(block);
        let found = found.move_mask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

fn word(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Bad> {
    if text[at..].starts_with(word) { Ok(at + word.len()) } else { Err(Bad::At(at)) }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn number(text: &[u8], at: usize) -> Result<usize, Bad> {
    let digits = |start: usize| {
        let count = text[start.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count > 0 { Ok(start + count) } else { Err(Bad::At(start)) }
    };
    let mut at = if text[at] == b'-' { at + 1 } else { at };
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_json(text: &str) -> bool {
        let text = text.as_bytes();
        value(text, blanks(text, 0)).is_ok_and(|end| blanks(text, end) == text.len())
    }

    /// What serde_json says; it converts nothing of what it skips either.
    fn serde_says(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    #[test]
    fn the_grammar_is_all_of_it_and_nothing_else() {
        for good in [
            "0",
            "-0",
            "1.5e-3",
            "1E+9",
            "123456789012345678901234567890",
            "true",
            " null ",
            "\"\"",
            "\"\\ud800\"",
            "[]",
            "[ ]",
            "{ }",
            "[1,2]",
            "{\"a\":{\"a\":[{}]}}",
            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
            "\"\u{7f}é中😀\"",
            "\t[\r\n1 , 2 ]",
            "[[],{}]",
        ] {
            assert!(is_json(good) && serde_says(good), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "tru",
            "True",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "\"\n\"",
            "\"\u{1f}\"",
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\" 1}",
            "1 2",
            "\"a\"b",
            "[1}",
            "{\"a\":1]",
            "'a'",
            "NaN",
            "\u{a0}1",
        ] {
            assert!(!is_json(bad) && !serde_says(bad), "{bad}");
        }
    }

    #[test]
    fn a_special_byte_is_found_at_every_place_of_a_block() {
        for length in 0..40 {
            for special in ["\"", "\\", "\u{1f}", "\n", "\0"] {
                for at in 0..length {
                    let mut text = "x".repeat(length);
                    text.replace_range(at..=at, special);
                    assert_eq!(plain(text.as_bytes(), 0), at, "{text:?}");
                }
            }
            assert_eq!(plain("é\u{7f}".repeat(length).as_bytes(), 0), 3 * length);
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_json(&nested(MAX_DEPTH)) && !is_json(&nested(MAX_DEPTH + 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\ 0-9eE.+truefalsn\\-\u{1}a\u{e9}/u]{0,24}") {
            prop_assert_eq!(is_json(&text), serde_says(&text), "{}", text);
        }

        #[test]
        fn damaged_documents_too(at in any::<prop::sample::Index>(), byte in 0u8..128) {
            let text = r#"{"a":[1,-2.5e3,{"b":"x\u00e9\n"}],"c":"0123456789abcdefghijklmnop","d":null,"e":{}}"#;
            let mut text = text.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = byte;
            let text = String::from_utf8(text).expect("ASCII");
            prop_assert_eq!(is_json(&text), serde_says(&text), "{}", text);
        }
    }
}
