//! Reads a response as it goes by: undoes its coding, and takes it apart into events, or keeps it as one JSON text.
//! What they say is for the reader of its API: today that is `messages`.

use super::decode::Decoder;
use super::messages::Messages;
use super::sse::Reader;
use super::summary::Summary;
use crate::protocol::Protocol;
use std::ops::ControlFlow;
use std::time::Instant;

/// How much of a response is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest event, in bytes; larger ones are counted and skipped.
    pub event_bytes: usize,
    /// Largest whole reply, in bytes.
    pub reply_bytes: usize,
}

/// Reads one response.
#[derive(Debug)]
pub struct Meter {
    /// `None` if the coding is not known.
    decoder: Option<Decoder>,
    kind: Kind,
    response: Messages,
    last: Instant,
    reply_bytes: usize,
}

#[derive(Debug)]
enum Kind {
    Stream(Reader),
    Reply(Vec<u8>),
}

impl Meter {
    /// For a response of this type, that begins now, to a request that asked this and began at `began`; `None` if it is
    /// of no API or type that can be read. `decoder` makes what undoes the body's coding, if that is known.
    pub fn new(
        asked: Protocol,
        content_type: &[u8],
        decoder: impl FnOnce() -> Option<Decoder>,
        (began, now): (Instant, Instant),
        limits: Limits,
    ) -> Option<Self> {
        if !asked.asks_for_message() {
            return None;
        }
        let is = |name: &[u8]| content_type.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let kind = if is(b"text/event-stream") {
            Kind::Stream(Reader::new(limits.event_bytes))
        } else if is(b"application/json") {
            Kind::Reply(Vec::new())
        } else {
            return None;
        };
        let decoder = decoder();
        let (is_stream, is_unreadable) = (matches!(kind, Kind::Stream(_)), decoder.is_none());
        let summary = Summary { is_stream, is_unreadable, ..Summary::default() };
        Some(Self {
            decoder,
            kind,
            response: Messages { summary, began, now },
            last: now,
            reply_bytes: limits.reply_bytes,
        })
    }

    /// The next bytes of the body, which came now.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.response.summary.is_unreadable || bytes.is_empty() {
            return;
        }
        let gap = &mut self.response.summary.longest_gap;
        *gap = (*gap).max(now.duration_since(self.last));
        (self.last, self.response.now) = (now, now);
        self.read(bytes);
    }

    /// Whether there are bytes that there was no time for when they came: [`Self::catch_up`] reads them.
    pub fn is_behind(&self) -> bool {
        !self.response.summary.is_unreadable && self.decoder.as_ref().is_some_and(Decoder::is_behind)
    }

    /// Reads some of them, as much as one call may.
    pub fn catch_up(&mut self) {
        self.read(&[]);
    }

    fn read(&mut self, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        let (kind, response, reply_bytes) = (&mut self.kind, &mut self.response, self.reply_bytes);
        let mut is_too_large = false;
        let decoded = decoder.push(bytes, |decoded| {
            match kind {
                Kind::Stream(reader) => reader.push(decoded, response),
                Kind::Reply(text) if text.len() + decoded.len() > reply_bytes => is_too_large = true,
                Kind::Reply(text) => text.extend_from_slice(decoded),
            }
            if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if decoded.is_err() || is_too_large {
            self.response.summary.is_unreadable = true;
            self.kind = Kind::Reply(Vec::new());
        }
    }

    /// The response is over, and nothing of it is left to be read.
    pub fn finish(&mut self) -> Summary {
        if let Kind::Reply(text) = &mut self.kind
            && !self.response.summary.is_stream
            && !self.response.summary.is_unreadable
        {
            self.response.summary.is_unreadable = !self.response.reply(&std::mem::take(text));
        }
        self.response.summary.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::messages::MOST_TOKENS;
    use crate::usage::summary::Tokens;
    use std::time::Duration;

    const STREAM: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":",
        "{\"input_tokens\":10,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":30,\"output_tokens\":1,",
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":5,\"ephemeral_1h_input_tokens\":15}}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"ü\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\"}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":99}}\n\n",
    );
    const LIMITS: Limits = Limits { event_bytes: 64 * 1024, reply_bytes: 1024 * 1024 };
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    #[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
    fn at() -> (Instant, Instant) {
        let now = Instant::now();
        (now, now)
    }

    fn asked() -> Protocol {
        Protocol::of("POST", b"/v1/messages")
    }

    fn plain() -> Option<Decoder> {
        Decoder::new([])
    }

    fn read(content_type: &str, body: &[u8], step: usize) -> Summary {
        let mut meter = Meter::new(asked(), content_type.as_bytes(), plain, at(), LIMITS).expect("readable");
        body.chunks(step).for_each(|chunk| meter.push(chunk, at().1));
        meter.finish()
    }

    #[test]
    fn a_stream_is_read_however_it_is_cut() {
        let whole = format!("{STREAM}{STOP}");
        for step in [1, 2, 3, 50, whole.len()] {
            let summary = read("text/event-stream; charset=utf-8", whole.as_bytes(), step);
            assert!(summary.is_stream && summary.is_complete && summary.first_token.is_some(), "{summary:?}");
            assert_eq!(
                summary.tokens,
                Some(Tokens { input: 10, output: 99, cache_write: 20, cache_write_1h: 15, cache_read: 30 })
            );
            assert_eq!(
                (summary.model.as_deref(), summary.stop_reason.as_deref()),
                (Some("claude-x"), Some("tool_use"))
            );
            assert_eq!((summary.events, summary.tool_uses, summary.error), (7, 1, None));
        }
    }

    #[test]
    fn streams_without_names_say_the_same() {
        let nameless: String = format!("{STREAM}{STOP}")
            .lines()
            .filter(|line| !line.starts_with("event:"))
            .map(|line| format!("{line}\n"))
            .collect();
        let (named, nameless) = (
            read("text/event-stream", format!("{STREAM}{STOP}").as_bytes(), 9),
            read("text/event-stream", nameless.as_bytes(), 9),
        );
        let without_times =
            |summary: Summary| Summary { first_token: None, last_token: None, longest_gap: Duration::ZERO, ..summary };
        assert_eq!(without_times(named), without_times(nameless));
    }

    #[test]
    fn a_stream_that_breaks_is_not_complete_and_errors_have_their_name() {
        assert!(!read("text/event-stream", STREAM.as_bytes(), 10).is_complete);
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"later\"}}\n\n";
        let summary = read("text/event-stream", format!("{STREAM}{error}").as_bytes(), 10);
        assert_eq!((summary.error.as_deref(), summary.is_complete), (Some("overloaded_error"), false));
        assert_eq!(summary.error_message.as_deref(), Some("later"));
        let large = format!("event: error\ndata: {}\n\n{STOP}", "x".repeat(LIMITS.event_bytes + 1));
        let summary = read("text/event-stream", large.as_bytes(), 1000);
        assert_eq!((summary.skipped, summary.error.as_deref()), (1, Some("unknown")));
    }

    #[test]
    fn counts_beyond_all_measure_are_not_believed() {
        let reply = format!(r#"{{"usage":{{"input_tokens":1,"output_tokens":{}}}}}"#, i64::MAX);
        let tokens = read("application/json", reply.as_bytes(), 99).tokens.expect("tokens");
        assert_eq!((tokens.input, tokens.output), (1, MOST_TOKENS));
    }

    #[test]
    fn a_whole_reply_is_read_too() {
        let reply = r#"{"model":"m","content":[{"type":"text"},{"type":"tool_use"},{"type":"server_tool_use"}],
            "stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
        let summary = read("application/json", reply.as_bytes(), 7);
        assert!(summary.is_complete && !summary.is_stream && summary.tool_uses == 2, "{summary:?}");
        assert_eq!(summary.tokens, Some(Tokens { input: 1, output: 2, ..Tokens::default() }));
        assert!(read("application/json", b"{", 1).is_unreadable);
        assert!(read("application/json", &vec![b' '; LIMITS.reply_bytes + 1], 4096).is_unreadable);
        let mut unknown = Meter::new(asked(), b"application/json", || None, at(), LIMITS).expect("a meter");
        unknown.push(b"{}", at().1);
        assert!(unknown.finish().is_unreadable && !unknown.is_behind());
        assert!(Meter::new(asked(), b"text/html", plain, at(), LIMITS).is_none());
        let other = Protocol::of("POST", b"/v1/messages/count_tokens");
        assert!(Meter::new(other, b"application/json", plain, at(), LIMITS).is_none());
    }
}
