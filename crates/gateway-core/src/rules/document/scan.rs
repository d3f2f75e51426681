//! Checks JSON texts and finds the ends of their values, without building anything.
//!
//! Bodies of 50 KB to some MB are checked on the request path, and almost all of their bytes stand in strings: those
//! are passed 64 bytes at a time. The grammar is all of RFC 8259; the encoding is the caller's (`&str`). Half a
//! surrogate pair, repeated names and numbers of any size are valid: nothing is converted.

mod block;

use block::Block;
use std::cell::Cell;

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
pub(crate) fn value(text: &[u8], at: usize) -> Result<usize, Bad> {
    Scan::new(text, at).value(at)
}

/// A text that is passed over from front to back, from one token to the next.
pub(crate) struct Scan<'t> {
    text: &'t [u8],
    /// What was looked at last of it.
    block: Cell<Block>,
}

impl<'t> Scan<'t> {
    /// The text from a token at `at` on.
    pub(crate) fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, block: Cell::new(Block::at(text, at)) }
    }

    /// The text.
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// The byte at `at`.
    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The offset of the first byte from `at` on that is no blank.
    pub(crate) fn blanks(&self, at: usize) -> usize {
        blanks(self.text, at)
    }

    /// The end of the value that begins at `at`; what follows is not looked at.
    ///
    /// # Errors
    /// Where it stops being one.
    pub(crate) fn value(&self, mut at: usize) -> Result<usize, Bad> {
        let text = self.text;
        // The closing brackets that are still to come.
        let mut open: Vec<u8> = Vec::new();
        loop {
            at = match text.get(at) {
                Some(b'"') => self.string(at)?,
                Some(&bracket) if matches!(bracket, b'{' | b'[') => {
                    // Both closing brackets stand two places after their opening ones.
                    let (closing, inside) = (bracket + 2, blanks(text, at + 1));
                    if text.get(inside) == Some(&closing) {
                        inside + 1
                    } else if open.len() == MAX_DEPTH {
                        return Err(Bad::TooDeep);
                    } else {
                        open.push(closing);
                        at = if closing == b'}' { self.name(inside)?.1 } else { inside };
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
                            at = self.name(at)?.1;
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

    /// A member's name, as it is written between its quotes, and the offset of its value.
    ///
    /// # Errors
    /// Where it stops being a name.
    pub(crate) fn name(&self, at: usize) -> Result<(&'t [u8], usize), Bad> {
        if self.text.get(at) != Some(&b'"') {
            return Err(Bad::At(at));
        }
        let end = self.string(at)?;
        let colon = blanks(self.text, end);
        match self.text.get(colon) {
            Some(b':') => Ok((&self.text[at + 1..end - 1], blanks(self.text, colon + 1))),
            _ => Err(Bad::At(colon)),
        }
    }

    /// The end of the string whose opening quote stands at `at`.
    fn string(&self, at: usize) -> Result<usize, Bad> {
        let end = self.stop(at + 1);
        match self.text.get(end) {
            Some(b'"') => Ok(end + 1),
            _ => Err(Bad::At(end)),
        }
    }

    /// Where a string that has come to `at` cannot go on; the length of the text if nothing stops it.
    fn stop(&self, at: usize) -> usize {
        let mut block = self.block.get();
        let offset = at.wrapping_sub(block.start);
        let mut stops = if offset < block::BYTES {
            block.stops & (u64::MAX << offset)
        } else {
            block = Block::at(self.text, at);
            block.stops
        };
        while stops == 0 && block.start + block::BYTES < self.text.len() {
            block = block.next(self.text);
            stops = block.stops;
        }
        self.block.set(block);
        self.text.len().min(block.start + stops.trailing_zeros() as usize)
    }
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

    /// The slow way: the end of a string, or where it stops being one.
    fn end_of_string(text: &[u8], mut at: usize) -> Result<usize, Bad> {
        loop {
            at += match text.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => match text.get(at + 1) {
                    Some(b'u') if text.get(at + 2..at + 6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) => {
                        6
                    }
                    Some(byte) if b"\"\\/bfnrt".contains(byte) => 2,
                    _ => return Err(Bad::At(at)),
                },
                Some(0x20..) => 1,
                _ => return Err(Bad::At(at)),
            }
        }
    }

    #[test]
    fn what_ends_a_string_is_found_at_every_place_of_a_block() {
        for special in
            ["\"", "\\", "\u{1f}", "\n", "\0", "\\\"\"", "\\\\\"", "\\x", "\\u12g4\"", "\\u00e9\"", "\\\\\\\"\""]
        {
            for before in 0..140 {
                for behind in [0, 1, 70] {
                    let text = format!("\"{}{special}{}", "é".repeat(before / 2), "x".repeat(before % 2 + behind));
                    let text = text.as_bytes();
                    assert_eq!(Scan::new(text, 0).string(0), end_of_string(text, 1), "{special:?} behind {before}");
                }
            }
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
        fn strings_end_where_a_look_at_each_byte_finds_their_end(
            texts in prop::collection::vec("([^\\\\\"\u{0}-\u{1f}]{0,90}|(\\\\[\"\\\\/bfnrt]){0,9}|\\\\u[0-9a-f]{3,4}|[\\\\\"\n]){0,6}", 1..6)
        ) {
            // One after the other, as they stand in a list: what is known of a block is used for the next string.
            let text = texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(",");
            let (text, mut at) = (text.as_bytes(), 0);
            let scan = Scan::new(text, 0);
            while text.get(at) == Some(&b'"') {
                let end = scan.string(at);
                prop_assert_eq!(end, end_of_string(text, at + 1));
                let Ok(end) = end else { break };
                at = end + 1;
            }
        }

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
