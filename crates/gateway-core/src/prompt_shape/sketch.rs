//! A JSON value without its texts: names of members, numbers, and how long texts are.

use super::scanned::{elements, members};
use crate::rules::document::scan::{Bad, Scan};
use std::io::Write as _;

/// Longest sketch, about, in bytes: what does not fit is left out.
const LONGEST: usize = 400;
/// Deepest value that is looked into.
const DEEPEST: usize = 6;
/// Most bytes of a body that is made of what was kept.
pub(super) const MOST_BODY: usize = 8 << 20;
/// Longest word, name or number that is kept as it is.
const LONGEST_WORD: usize = 64;
/// What stands before the length of a text that was taken out.
const TEXT: char = '~';

/// That of a valid value. Of a `plain` one those texts are kept that are words of the API: few, and short.
pub(super) fn sketch(value: &[u8], is_plain: bool) -> Box<str> {
    let mut sketch = Sketch { is_plain, out: Vec::with_capacity(128) };
    let added = sketch.add(&Scan::new(value, 0), 0, 0, b"");
    let written = added.ok().and_then(|_| String::from_utf8(sketch.out).ok());
    written.map_or_else(|| Box::from("null"), String::into_boxed_str)
}

/// The value of which this is the sketch, with texts of as many bytes; what is no sketch becomes nothing.
pub(super) fn drawn(sketch: &str, out: &mut Vec<u8>) {
    let mut parts = sketch.split(TEXT);
    out.extend(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let bytes: usize = part[..digits].parse().unwrap_or_default();
        filled(out, b"\"", bytes.min(MOST_BODY.saturating_sub(out.len())), b"\"");
        out.extend(&part.as_bytes()[digits..]);
    }
}

/// Adds so many bytes: what stands before and behind, and filler between.
pub(super) fn filled(out: &mut Vec<u8>, before: &[u8], bytes: usize, behind: &[u8]) {
    out.extend(before);
    out.resize(out.len() + bytes.saturating_sub(before.len() + behind.len()), b'x');
    out.extend(behind);
}

/// Whether a name or a word says nothing but what it is called.
pub(super) fn is_word(text: &[u8]) -> bool {
    text.len() <= LONGEST_WORD && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/@+-[]".contains(byte))
}

struct Sketch {
    is_plain: bool,
    out: Vec<u8>,
}

impl Sketch {
    /// Adds the value at `at`, a member of this name; where it ends.
    fn add(&mut self, scan: &Scan<'_>, at: usize, depth: usize, name: &[u8]) -> Result<usize, Bad> {
        let is_looked_into = depth < DEEPEST;
        match scan.byte(at) {
            Some(b'{') if is_looked_into => self.add_all(*b"{}", |this, first| {
                members(scan, at, |name, at| match this.separates(first) {
                    true => {
                        this.add_name(name);
                        this.add(scan, at, depth + 1, name)
                    }
                    false => scan.value(at),
                })
            }),
            Some(b'[') if is_looked_into => self.add_all(*b"[]", |this, first| {
                elements(scan, at, |at| match this.separates(first) {
                    true => this.add(scan, at, depth + 1, b""),
                    false => scan.value(at),
                })
            }),
            _ => {
                let end = scan.value(at)?;
                self.add_single(&scan.text()[at..end], depth <= 1 || name == b"type");
                Ok(end)
            }
        }
    }

    fn add_all(
        &mut self,
        [open, close]: [u8; 2],
        each: impl FnOnce(&mut Self, usize) -> Result<usize, Bad>,
    ) -> Result<usize, Bad> {
        self.out.push(open);
        let end = each(self, self.out.len())?;
        self.out.push(close);
        Ok(end)
    }

    /// Puts a comma where there is something before, which began at `first`; `false` if there is no room for more.
    fn separates(&mut self, first: usize) -> bool {
        let has_room = self.out.len() < LONGEST;
        if has_room && self.out.len() > first {
            self.out.push(b',');
        }
        has_room
    }

    fn add_name(&mut self, name: &[u8]) {
        match is_word(name) {
            true => {
                self.out.push(b'"');
                self.out.extend_from_slice(name);
                self.out.push(b'"');
            }
            false => self.add_length(name.len() + 2),
        }
        self.out.push(b':');
    }

    fn add_length(&mut self, bytes: usize) {
        // Nothing fails that writes to memory.
        let _ = write!(self.out, "{TEXT}{bytes}");
    }

    fn add_single(&mut self, value: &[u8], may_be_word: bool) {
        let word = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        let kept = match (value.first(), word) {
            (Some(b'"'), Some(word)) if self.is_plain && may_be_word && is_word(word) => value,
            (Some(b'"'), _) => return self.add_length(value.len()),
            (Some(b'{'), _) => b"{}",
            (Some(b'['), _) => b"[]",
            _ if value.len() <= LONGEST_WORD => value,
            _ => b"0",
        };
        self.out.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn_of(sketch: &str) -> String {
        let mut out = Vec::new();
        drawn(sketch, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_value_is_drawn_by_names_numbers_and_lengths() {
        for (value, is_plain, sketched) in [
            (r#"{"user_id": "of a user"}"#, false, r#"{"user_id":~11}"#),
            (r#"{"type":"enabled","budget_tokens":4096}"#, true, r#"{"type":"enabled","budget_tokens":4096}"#),
            (r#"{"type":"enabled"}"#, false, r#"{"type":~9}"#),
            (r#"{"edits":[{"type":"clear_1","keep":"word"}]}"#, true, r#"{"edits":[{"type":"clear_1","keep":~6}]}"#),
            (r#"{"a b":[1, true ,null,"x y"]}"#, true, "{~5:[1,true,null,~5]}"),
            (r#""two words""#, true, "~11"),
            ("[[[[[[[1]]]]]]]", true, "[[[[[[[]]]]]]]"),
            ("{}", true, "{}"),
            ("-1.5e3", false, "-1.5e3"),
        ] {
            assert_eq!(&*sketch(value.as_bytes(), is_plain), sketched, "{value}");
            assert!(serde_json::from_str::<serde_json::Value>(&drawn_of(sketched)).is_ok(), "{sketched}");
        }
        assert_eq!(drawn_of("{\"a\":~5,~3:1}"), r#"{"a":"xxx","x":1}"#);
    }

    #[test]
    fn it_is_short_whatever_the_value_is() {
        let many: Vec<String> = (0..10_000).map(|number| format!(r#""name_{number}":"{number}""#)).collect();
        let sketched = sketch(format!("{{{}}}", many.join(",")).as_bytes(), false);
        assert!(sketched.len() < LONGEST + 2 * LONGEST_WORD, "{}", sketched.len());
        assert!(serde_json::from_str::<serde_json::Value>(&drawn_of(&sketched)).is_ok());
    }
}
