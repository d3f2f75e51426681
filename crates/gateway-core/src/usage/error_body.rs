//! The beginning of an error's body: what it says, and what it says in short.

use super::decode::Decoder;
use super::error_shape::{self, Said};
use super::nature::{self, Announced, Nature};
use super::sse::{Reader, Sink};
use super::summary::cut;
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
    most: usize,
    is_unread: bool,
}

/// What an error's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorText {
    /// Its beginning; empty if it cannot be read.
    pub body: String,
    /// The type that it names, or else the code.
    pub kind: Option<String>,
    /// The code that it names.
    pub code: Option<String>,
    /// Its message; of a page, the title.
    pub message: Option<String>,
    /// Whether it is a web page.
    pub is_page: bool,
}

impl ErrorBody {
    /// For a body that `decoder` reads; `None` if nobody can.
    pub fn new(decoder: Option<Decoder>) -> Self {
        Self { decoder, kept: Vec::new(), most: ERROR_BODY_BYTES, is_unread: false }
    }

    /// The same for a body of which so much is looked at.
    pub fn up_to(self, bytes: usize) -> Self {
        Self { most: bytes, ..self }
    }

    /// The next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        self.is_unread = !self.read(bytes) && self.kept.len() < self.most;
    }

    /// Whether all of these bytes were read.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let Some(decoder) = &mut self.decoder else { return false };
        let (kept, most) = (&mut self.kept, self.most);
        let decoded = decoder.push(bytes, |decoded| {
            let room = most - kept.len();
            kept.extend_from_slice(&decoded[..decoded.len().min(room)]);
            if kept.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_read = decoded.is_ok() && !decoder.is_behind();
        if decoded.is_err() || self.kept.len() == self.most {
            self.decoder = None;
        }
        is_read
    }

    /// Whether what came so far has something in it that would have been kept, and could not be read.
    pub fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Whether it is in a content coding, be it one that nobody knows. Asked before anything of it comes.
    pub fn is_coded(&self) -> bool {
        !self.decoder.as_ref().is_some_and(Decoder::is_identity)
    }

    /// What is kept of it so far, decoded.
    pub fn beginning(&self) -> &[u8] {
        &self.kept
    }

    /// Whether more of the body would be kept, or looked at.
    pub fn wants_more(&self) -> bool {
        self.decoder.is_some()
    }

    /// What it says so far.
    pub fn text(&self) -> ErrorText {
        ErrorText::of(&self.kept)
    }

    /// What it says so far, with the whole message, and without the body.
    pub fn whole(&self) -> ErrorText {
        ErrorText::whole(&self.kept)
    }

    /// What it says.
    pub fn finish(self) -> ErrorText {
        ErrorText::of(&self.kept)
    }
}

impl ErrorText {
    /// What a body says that begins so: no more of it than is kept.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let (whole, is_text) = Self::read(bytes);
        let body = String::from_utf8_lossy(&bytes[..bytes.len().min(ERROR_BODY_BYTES)]).into_owned();
        let message = whole.message.as_deref().and_then(|text| if is_text { text.lines().next() } else { Some(text) });
        Self { body, message: message.map(cut), ..whole }
    }

    /// What such a body says, with the whole message, and without the body.
    pub fn whole(bytes: &[u8]) -> Self {
        Self::read(bytes).0
    }

    /// The same, and whether the message is a mere text.
    fn read(bytes: &[u8]) -> (Self, bool) {
        let body = String::from_utf8_lossy(bytes);
        let start = body.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        match nature::sniff(start.as_bytes(), Announced::Other) {
            Some(Nature::Page) => {
                let message = between(start, "<title>", "</title>").map(|title| title.trim().to_owned());
                return (Self { message, is_page: true, ..Self::default() }, false);
            }
            Some(Nature::Stream) => {
                let mut events = FirstError::default();
                let mut reader = Reader::new(bytes.len());
                reader.push(start.as_bytes(), &mut events);
                // The last event of a body that was cut, or of one that ends without a blank line.
                reader.push(b"\n\n", &mut events);
                return (Self::said(events.0.unwrap_or_default()), false);
            }
            _ => {}
        }
        match serde_json::from_str::<Value>(start) {
            Ok(json) => (Self::said(error_shape::of_error(&json)), false),
            Err(_) if start.is_empty() => (Self::default(), true),
            Err(_) => (Self { message: Some(start.to_owned()), ..Self::default() }, true),
        }
    }

    fn said(Said { kind, code, message }: Said) -> Self {
        Self { kind, code, message, ..Self::default() }
    }
}

/// What the first event says that says anything.
#[derive(Default)]
struct FirstError(Option<Said>);

impl Sink for FirstError {
    fn wants_data(&self, name: &[u8]) -> bool {
        self.0.is_none() && name != b"ping"
    }

    fn event(&mut self, _: &[u8], data: Option<&[u8]>) {
        let Some(data) = data.map(<[u8]>::trim_ascii).filter(|data| !matches!(*data, b"" | b"[DONE]")) else { return };
        self.0 = Some(match serde_json::from_slice::<Value>(data) {
            Ok(json) if json["type"] == "ping" => return,
            Ok(json) => error_shape::of_error(&json),
            Err(_) => Said { message: Some(String::from_utf8_lossy(data).into_owned()), ..Said::default() },
        });
    }

    fn too_large(&mut self, _: &[u8], _: usize) {}
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let from = text.to_ascii_lowercase().find(start)? + start.len();
    let rest = &text[from..];
    Some(&rest[..rest.to_ascii_lowercase().find(end)?])
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
            (r#"{"detail":"busy"}"#, None, Some("busy")),
            (r#"{"code":500,"msg":"no"}"#, Some("500"), Some("no")),
            ("\u{feff}\n{\"error\":\"marked\"}", None, Some("marked")),
            (
                "event: error\ndata: {\"error\":{\"type\":\"rate_limit_error\",\"message\":\"later\"}}\n\n",
                Some("rate_limit_error"),
                Some("later"),
            ),
            (": hello\n\ndata: {\"type\":\"ping\"}\n\ndata: no json", None, Some("no json")),
            ("data: [DONE]\n\n", None, None),
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

    #[test]
    fn a_body_says_whether_it_could_be_read() {
        let long = vec![b'x'; 3 * ERROR_BODY_BYTES];
        for (coding, body, is_coded, is_unread) in [
            ("", &b"x"[..], false, false),
            ("identity", b"x", false, false),
            ("identity", &long, false, false),
            ("gzip", b"", true, false),
            ("gzip", b"no gzip at all", true, true),
            ("gzip, gzip", b"x", true, true),
            ("unknown", b"x", true, true),
            ("unknown", b"", true, false),
        ] {
            let mut error = ErrorBody::new(Decoder::new([coding.as_bytes()]));
            assert_eq!(error.is_coded(), is_coded, "{coding}");
            body.chunks(5).for_each(|chunk| error.push(chunk));
            assert_eq!(error.is_unread(), is_unread, "{coding}");
        }
    }
}
