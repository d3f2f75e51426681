//! How much content an event of a stream brings. Of a stream that was cut nobody says how long its output was: it is
//! estimated from these bytes.

use memchr::{memchr, memchr2};

/// The members that hold content: text, thinking, and the input of a tool.
const CONTENT: [&[u8]; 3] = [b"text", b"thinking", b"partial_json"];

/// Bytes of content in the data of a `content_block_delta`, its escapes undone. Only the strings are looked at: these
/// events are most of a stream, and a parser would take many times as long.
pub(super) fn bytes_in(data: &[u8]) -> u64 {
    match usual(data).and_then(string) {
        Some((bytes, _)) => bytes,
        None => bytes_by_name(data),
    }
}

/// The content and what follows it, of a piece as the API itself writes it: this takes a tenth of the time.
fn usual(data: &[u8]) -> Option<&[u8]> {
    let data = data.strip_prefix(br#"{"type":"content_block_delta","index":"#)?;
    let digits = data.iter().position(|byte| !byte.is_ascii_digit())?;
    let delta = data[digits..].strip_prefix(br#","delta":{"type":""#)?;
    let after = |name: &[u8]| delta.strip_prefix(name);
    after(br#"text_delta","text":""#)
        .or_else(|| after(br#"thinking_delta","thinking":""#))
        .or_else(|| after(br#"input_json_delta","partial_json":""#))
}

/// The same wherever the members stand.
fn bytes_by_name(mut data: &[u8]) -> u64 {
    let (mut bytes, mut is_content) = (0, false);
    while let Some(start) = memchr(b'"', data) {
        // A value stands right behind the colon of its name.
        is_content &= data[..start].iter().all(|byte| byte.is_ascii_whitespace() || *byte == b':');
        let text = &data[start + 1..];
        let Some((length, end)) = string(text) else { return bytes };
        let after = text[end + 1..].trim_ascii_start();
        if is_content {
            (bytes, is_content) = (bytes + length, false);
        } else {
            is_content = after.starts_with(b":") && CONTENT.contains(&&text[..end]);
        }
        data = after;
    }
    bytes
}

/// How long a JSON string is without its escapes, and where its closing quote stands.
fn string(text: &[u8]) -> Option<(u64, usize)> {
    let (mut length, mut at) = (0, 0);
    loop {
        let plain = memchr2(b'"', b'\\', text.get(at..)?)?;
        (length, at) = (length + plain as u64, at + plain);
        if text[at] == b'"' {
            return Some((length, at));
        }
        let (bytes, written) = match text.get(at + 1)? {
            b'u' => (in_utf_8(text.get(at + 2..at + 6)?), 6),
            _ => (1, 2),
        };
        (length, at) = (length + bytes, at + written);
    }
}

/// Bytes of a character of these four hexadecimal digits in UTF-8; two for each half of a pair.
fn in_utf_8(digits: &[u8]) -> u64 {
    let code = std::str::from_utf8(digits).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok());
    match code {
        Some(0..0x80) | None => 1,
        Some(0x80..0x800 | 0xd800..0xe000) => 2,
        Some(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(piece: &str) -> u64 {
        bytes_in(format!(r#"{{"type":"content_block_delta","index":0,"delta":{piece}}}"#).as_bytes())
    }

    #[test]
    fn text_thinking_and_the_input_of_tools_are_content() {
        for (piece, bytes) in [
            (r#"{"type":"text_delta","text":"hello"}"#, 5),
            (r#"{"text":"hello","type":"text_delta"}"#, 5),
            (r#"{ "type" : "text_delta" , "text" : "hello" }"#, 5),
            (r#"{"type":"thinking_delta","thinking":"so"}"#, 2),
            (r#"{"type":"input_json_delta","partial_json":"{\"a\":\"b"}"#, 7),
            (r#"{"type":"text_delta","text":""}"#, 0),
            (r#"{"type":"text_delta","text":null}"#, 0),
            (r#"{"type":"text_delta","text":null,"type":"no content"}"#, 0),
            (r#"{"type":"signature_delta","signature":"never counted"}"#, 0),
            (r#"{"type":"text","kind":"text"}"#, 0),
        ] {
            assert_eq!(delta(piece), bytes, "{piece}");
        }
    }

    #[test]
    fn a_text_counts_as_long_as_it_is_in_utf_8() {
        for text in ["a\"b\\c\n", "über", "你好", "😀", "\u{7f}\u{80}\u{7ff}\u{800}"] {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let written = serde_json::to_string(text).expect("JSON");
            for value in [written, format!("\"{escaped}\"")] {
                let usual = format!(r#"{{"type":"text_delta","text":{value}}}"#);
                for delta_text in [usual, format!(r#"{{"text":{value},"type":"text_delta"}}"#)] {
                    assert_eq!(delta(&delta_text), text.len() as u64, "{delta_text}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_json_counts_as_far_as_it_can_be_read() {
        for data in ["", "\"", "{\"text\":\"cut", "{\"text\":\"\\", "{\"text\":\"\\u12", "{\"text\"", "\"text\":"] {
            assert_eq!(bytes_in(data.as_bytes()), 0, "{data}");
        }
    }
}
