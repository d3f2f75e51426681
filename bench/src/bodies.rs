//! The request bodies: real Claude Code shapes from `tests/fixtures`, grown ones, and what a rewrite must make of them.
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The text that every rewriting contestant puts in the place of `system[0].text`: plain ASCII without anything
/// that a JSON encoder could spell in two ways.
pub(crate) const REPLACEMENT: &str = "You are Claude Code, the official CLI of Anthropic. This benchmark put its own text here: \
    it is long enough to change the length of every body, and plain enough that all JSON encoders spell it alike. \
    Answer briefly, keep to the facts, and say so when something is not known.";

/// One request body in both shapes: as the client sends it, and as it looks after the rewrite.
pub(crate) struct Body {
    /// What the client sends.
    pub original: Vec<u8>,
    /// `original` with `system[0].text` replaced by [`REPLACEMENT`], every other byte the same.
    pub rewritten: Vec<u8>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    system: Vec<Block<'a>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

/// Reads the fixture `name` of `folder`; returns its head (request line and fields, without the final blank line) and body.
pub(crate) fn fixture(folder: &Path, name: &str) -> Result<(String, Body)> {
    let read = |ending: &str| {
        let path = folder.join(format!("{name}.{ending}"));
        fs::read_to_string(&path).with_context(|| format!("fixture {}", path.display()))
    };
    let body = Body::new(read("json")?.into_bytes())?;
    Ok((read("head")?.trim_end().to_string(), body))
}

impl Body {
    /// Computes the rewritten shape of `original`.
    pub(crate) fn new(original: Vec<u8>) -> Result<Body> {
        let text = std::str::from_utf8(&original)?;
        let top: Top = serde_json::from_str(text)?;
        let span = span_in(text, top.system.first().context("the fixture has no system block")?.text);
        let rewritten =
            [&original[..span.start], format!("\"{REPLACEMENT}\"").as_bytes(), &original[span.end..]].concat();
        Ok(Body { original, rewritten })
    }

    /// The same conversation grown to about `bytes` by repeating its messages; `system` still comes after them.
    pub(crate) fn grown_to(&self, bytes: usize) -> Result<Body> {
        let text = std::str::from_utf8(&self.original)?;
        let top: Top = serde_json::from_str(text)?;
        let (first, last) = (span_in(text, top.messages[0]), span_in(text, top.messages[top.messages.len() - 1]));
        ensure!(last.end < span_in(text, top.system[0].text).start, "system must come after messages");
        let turn = &text[first.start..last.end];
        let copies = 1 + bytes.saturating_sub(text.len()).div_ceil(turn.len() + 1);
        let messages = vec![turn; copies].join(",");
        Body::new([&text[..first.start], &messages, &text[last.end..]].concat().into_bytes())
    }
}

/// The byte range of `value`, which was borrowed from `text`.
fn span_in(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
    start..start + value.get().len()
}

/// A whole request: `head` (of a fixture) with its own framing and host fields replaced, then `body`.
pub(crate) fn request(head: &str, host: &str, body: &[u8]) -> Vec<u8> {
    let mut request = String::new();
    for line in head.lines() {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            request.push_str(line);
            request.push_str("\r\n");
        }
    }
    request.push_str(&format!("Host: {host}\r\n"));
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// A GET that carries the fields of a fixture's head.
pub(crate) fn get_head(head: &str, target: &str) -> String {
    let fields = head.lines().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("content-type"));
    std::iter::once(format!("GET {target} HTTP/1.1")).chain(fields.map(String::from)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"system":[{"type":"text","text":"a\"b"}],"n":1}"#;

    #[test]
    fn a_rewrite_changes_the_named_text_only() {
        let body = Body::new(SMALL.into()).unwrap();
        assert_eq!(body.rewritten, SMALL.replace(r#"a\"b"#, REPLACEMENT).into_bytes());
    }

    #[test]
    fn a_grown_body_has_the_size_and_stays_json() {
        let body = Body::new(SMALL.into()).unwrap().grown_to(5_000).unwrap();
        assert!((5_000..5_100).contains(&body.original.len()), "{}", body.original.len());
        let value: serde_json::Value = serde_json::from_slice(&body.rewritten).unwrap();
        assert_eq!(value["system"][0]["text"], REPLACEMENT);
    }

    #[test]
    fn a_request_has_one_host_and_one_length() {
        let request = request("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nA: b", "h:1", b"four");
        assert_eq!(request, b"POST /x HTTP/1.1\r\nA: b\r\nHost: h:1\r\nContent-Length: 4\r\n\r\nfour");
    }
}
