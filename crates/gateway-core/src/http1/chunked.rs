//! The chunked transfer coding of a request body (RFC 9112 section 7.1), read strictly.

use super::{Refusal, is_field_value, is_token, is_token_byte, trim_ows};
use crate::language::Words;
use crate::language::both;
use crate::reason::Reason;
use bytes::BufMut;

/// Digits of a chunk size: 8 hex digits are 4 GiB, far over any body limit.
const MAX_SIZE_DIGITS: usize = 8;
/// Bytes of one size line with its extensions, or of one trailer line.
const MAX_LINE_BYTES: usize = 4096;
/// Bytes of all size and trailer lines of one body. They are checked and dropped.
const MAX_OVERHEAD_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a size line, or at its start.
    Size,
    /// In chunk data, with so many bytes to come.
    Data(usize),
    /// In the CRLF that ends chunk data.
    DataEnd,
    /// In the trailer section.
    Trailer,
    /// The body is complete.
    Done,
}

/// A push machine: feed it bytes as they come, it appends the decoded body and knows when it ends.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The size or trailer line so far, with its CR but not its LF.
    line: Vec<u8>,
    overhead_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size, line: Vec::new(), overhead_bytes: 0 }
    }
}

impl Decoder {
    /// Whether the whole body was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `input` onto `body`; returns how many of its bytes belong to this message. What follows the end
    /// of the body belongs to the next request and is not taken.
    ///
    /// # Errors
    /// 400 for anything that RFC 9112 does not allow.
    pub fn push(&mut self, input: &[u8], body: &mut impl BufMut) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            let rest = &input[at..];
            if let State::Data(remaining) = self.state {
                let taken = remaining.min(rest.len());
                body.put_slice(&rest[..taken]);
                at += taken;
                self.state = if taken == remaining { State::DataEnd } else { State::Data(remaining - taken) };
                continue;
            }
            at += self.push_line(rest)?;
        }
        Ok(at)
    }

    /// Takes bytes up to the end of the current line, and acts on the line when it is whole.
    fn push_line(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let (taken, whole) = match memchr::memchr(b'\n', input) {
            Some(end) => (end + 1, true),
            None => (input.len(), false),
        };
        self.overhead_bytes += taken;
        if self.line.len() + taken > MAX_LINE_BYTES || self.overhead_bytes > MAX_OVERHEAD_BYTES {
            return Err(bad(both!("Chunk extensions or trailers are too long.", "分块的扩展或尾部字段太长。")));
        }
        self.line.extend_from_slice(&input[..taken - usize::from(whole)]);
        if self.state == State::DataEnd && !b"\r".starts_with(&self.line) {
            return Err(bad(both!("Chunk data is longer than its size says.", "分块的数据比它声明的长度更长。")));
        }
        if whole {
            let mut line = std::mem::take(&mut self.line);
            let Some(b'\r') = line.pop() else {
                return Err(bad(both!(
                    "A line of the chunked body ends without CR LF.",
                    "分块的请求体中有一行没有以 CR LF 结尾。"
                )));
            };
            self.state = self.next_state(&line)?;
            line.clear();
            self.line = line;
        }
        Ok(taken)
    }

    fn next_state(&self, line: &[u8]) -> Result<State, Refusal> {
        match self.state {
            State::Size => match parse_size_line(line)? {
                0 => Ok(State::Trailer),
                size => Ok(State::Data(size)),
            },
            State::DataEnd if line.is_empty() => Ok(State::Size),
            State::DataEnd => {
                Err(bad(both!("Chunk data is longer than its size says.", "分块的数据比它声明的长度更长。")))
            }
            State::Trailer if line.is_empty() => Ok(State::Done),
            State::Trailer => check_trailer(line).map(|()| State::Trailer),
            state @ (State::Data(_) | State::Done) => Ok(state),
        }
    }
}

fn bad(message: Words) -> Refusal {
    Refusal::bad(Reason::Chunked, message)
}

fn parse_size_line(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > MAX_SIZE_DIGITS {
        return Err(bad(both!(
            "A chunk size is not a hexadecimal number of 1 to 8 digits.",
            "分块的长度不是 1 到 8 位的十六进制数。"
        )));
    }
    if !are_extensions(&line[digits..]) {
        return Err(bad(both!("A chunk extension is malformed.", "分块的扩展格式有误。")));
    }
    let size = line[..digits].iter().fold(0_u64, |size, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        size << 4 | u64::from(value)
    });
    usize::try_from(size).map_err(|_| bad(both!("A chunk is too large.", "分块太大。")))
}

/// `chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some((b';', after)) = trim_ows_start(rest).split_first() else { return false };
        rest = trim_ows_start(after);
        let name = rest.iter().take_while(|&&b| is_token_byte(b)).count();
        if name == 0 {
            return false;
        }
        rest = &rest[name..];
        if let Some((b'=', after)) = trim_ows_start(rest).split_first() {
            let value = trim_ows_start(after);
            let length = match value.first() {
                Some(b'"') => quoted_string_length(value),
                _ => Some(value.iter().take_while(|&&b| is_token_byte(b)).count()).filter(|&n| n > 0),
            };
            let Some(length) = length else { return false };
            rest = &value[length..];
        }
    }
    true
}

fn trim_ows_start(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(value.len());
    &value[start..]
}

/// The length of the quoted string that `value` begins with, both quotes included.
fn quoted_string_length(value: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match *value.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if is_field_value(value.get(at + 1..at + 2)?) => at += 2,
            byte if byte != b'\\' && is_field_value(&[byte]) => at += 1,
            _ => return None,
        }
    }
}

fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    let colon = memchr::memchr(b':', line)
        .ok_or_else(|| bad(both!("A trailer line has no colon.", "尾部字段中有一行没有冒号。")))?;
    if is_token(&line[..colon]) && is_field_value(trim_ows(&line[colon + 1..])) {
        Ok(())
    } else {
        Err(bad(both!("A trailer line is malformed.", "尾部字段中有一行格式有误。")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `step` bytes; the body, and how many bytes were taken.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Refusal> {
        let (mut decoder, mut body, mut taken) = (Decoder::default(), Vec::new(), 0);
        for piece in input.chunks(step) {
            let n = decoder.push(piece, &mut body)?;
            taken += n;
            if n < piece.len() {
                break;
            }
        }
        Ok((body, taken, decoder.is_done()))
    }

    #[test]
    fn a_body_decodes_the_same_at_every_split() {
        let input =
            b"4\r\nWiki\r\n6;a=b ; c=\"x\\\"y\"\r\npedia \r\n00E\r\nin \r\n\r\nchunks.\r\n0\r\nX-T: v\r\n\r\nGET /";
        for step in 1..=input.len() {
            let (body, taken, done) = decode(input, step).expect("valid");
            assert_eq!(body, b"Wikipedia in \r\n\r\nchunks.");
            assert_eq!((taken, done), (input.len() - 5, true), "step {step}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_refused_at_every_split() {
        for bad in [
            "\r\n",
            " 4\r\nWiki\r\n",
            "4 \r\nWiki\r\n",
            "0x4\r\nWiki\r\n",
            "+4\r\nWiki\r\n",
            "g\r\n",
            "-1\r\n",
            "123456789\r\n",
            "4\nWiki\r\n",
            "4\r\nWiki\n",
            "4\r\nWikiX\r\n",
            "4\r\nWiki\rX",
            "4;\r\nWiki\r\n",
            "4;a=\r\nWiki\r\n",
            "4;a=\"b\r\nWiki\r\n",
            "4;a b\r\nWiki\r\n",
            "4;a\0\r\nWiki\r\n",
            "4;\x0ba\r\nWiki\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\nX: \x01\r\n\r\n",
            "0\r\n\n",
            "4;a\rb\r\nWiki\r\n",
            "4\r\r\nWiki\r\n",
        ] {
            for step in 1..=bad.len() {
                assert!(decode(bad.as_bytes(), step).is_err(), "{bad:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn an_unfinished_body_is_not_done() {
        for partial in ["", "4", "4\r\nWi", "4\r\nWiki\r\n", "0\r\n", "0\r\nA: b\r\n"] {
            assert!(!decode(partial.as_bytes(), 1).expect("valid so far").2, "{partial:?}");
        }
    }

    #[test]
    fn overhead_is_bounded() {
        let long_line = format!("1;{}\r\n", "a".repeat(MAX_LINE_BYTES));
        assert!(decode(long_line.as_bytes(), 100).is_err());
        let many = format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(1100);
        assert!(decode(many.as_bytes(), 4096).is_err());
    }
}
