//! The beginning of an error's body: what it says, and what it says in short.

use super::decode::Decoder;
use super::summary::{LONGEST_MESSAGE, LONGEST_WORD, text};
use serde_json::Value;
use std::ops::ControlFlow;

/// How much of an error's body is kept.
pub const ERROR_BODY_BYTES: usize = 8 * 1024;

/// Keeps the beginning of an error's body as it goes by.
#[derive(Debug)]
pub struct ErrorBody {
    /// `None` once nothing more can be read.
    decoder: Option<Decoder>,
    kept: Vec<u8>,
}

/// What an error's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// Its beginning; empty if it cannot be read.
    pub body: String,
    /// The type that it names.
    pub kind: Option<String>,
    /// Its message; of a page, the title.
    pub message: Option<String>,
    /// Whether it is a web page.
    pub is_page: bool,
}

impl ErrorBody {
    /// For a body that `decoder` reads; `None` if nobody can.
    pub fn new(decoder: Option<Decoder>) -> Self {
        Self { decoder, kept: Vec::new() }
    }

    /// The next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        let kept = &mut self.kept;
        let decoded = decoder.push(bytes, |decoded| {
            let room = ERROR_BODY_BYTES - kept.len();
            kept.extend_from_slice(&decoded[..decoded.len().min(room)]);
            if kept.len() == ERROR_BODY_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if decoded.is_err() || self.kept.len() == ERROR_BODY_BYTES {
            self.decoder = None;
        }
    }

    /// What it says.
    pub fn finish(self) -> ErrorText {
        let body = String::from_utf8_lossy(&self.kept).into_owned();
        let start = body.trim_start();
        if start.starts_with('<') {
            let message = between(start, "<title>", "</title>").map(|title| cut(title.trim(), LONGEST_MESSAGE));
            return ErrorText { message, is_page: true, kind: None, body };
        }
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let error = &json["error"];
        let kind = text(&error["type"], LONGEST_WORD).or_else(|| text(&error["code"], LONGEST_WORD));
        let message =
            [&error["message"], error, &json["message"]].into_iter().find_map(|value| text(value, LONGEST_MESSAGE));
        let message = message.or_else(|| Some(cut(start.lines().next()?, LONGEST_MESSAGE)).filter(|_| json.is_null()));
        ErrorText { message, kind, is_page: false, body }
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let from = text.to_ascii_lowercase().find(start)? + start.len();
    let rest = &text[from..];
    Some(&rest[..rest.to_ascii_lowercase().find(end)?])
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(coding: &str, body: &[u8]) -> ErrorText {
        let mut reader = ErrorBody::new(Decoder::new([coding.as_bytes()]));
        body.chunks(5).for_each(|chunk| reader.push(chunk));
        reader.finish()
    }

    #[test]
    fn errors_say_what_they_are_in_every_shape() {
        for (body, kind, message) in [
            (r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#, Some("api_error"), Some("no")),
            (r#"{"error":{"message":"关闭","code":"new_api_error"}}"#, Some("new_api_error"), Some("关闭")),
            (r#"{"error":"short"}"#, None, Some("short")),
            (r#"{"message":"flat"}"#, None, Some("flat")),
            (r#"{"detail":1}"#, None, None),
            ("bad gateway\nmore", None, Some("bad gateway")),
            ("", None, None),
        ] {
            let text = read("", body.as_bytes());
            assert_eq!((text.kind.as_deref(), text.message.as_deref(), text.is_page), (kind, message, false), "{body}");
            assert_eq!(text.body, body);
        }
    }

    #[test]
    fn pages_are_told_by_their_title() {
        let text = read("", b"\n<!doctype html><html><head><TITLE> 520: error </TITLE></head>");
        assert_eq!((text.message.as_deref(), text.is_page), (Some("520: error"), true));
        assert!(read("", b"<p>").is_page);
    }

    #[test]
    fn only_the_beginning_is_kept_and_what_cannot_be_decoded_is_left() {
        assert_eq!(read("", &[b'x'; 3 * ERROR_BODY_BYTES]).body.len(), ERROR_BODY_BYTES);
        assert_eq!(read("gzip", b"no gzip at all").body, "");
        assert_eq!(read("unknown", b"x").body, "");
    }
}
