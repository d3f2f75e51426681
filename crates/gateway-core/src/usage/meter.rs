//! Reads a response as it goes by: undoes its coding, finds out what it is, and takes it apart into events, or keeps it
//! as one JSON text. What they say is for the reader of its API: today that is `messages`.

use super::decode::Decoder;
use super::error_body::{ERROR_BODY_BYTES, ErrorText};
use super::messages::Messages;
use super::nature::{self, Announced, Nature};
use super::sse::Reader;
use super::summary::{Said, Summary};
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
    /// When the request began.
    began: Instant,
    last: Instant,
    limits: Limits,
    announced: Announced,
}

#[derive(Debug)]
enum Kind {
    /// It is not clear yet; this is how it begins.
    Beginning(Vec<u8>),
    Stream(Reader),
    Reply(Vec<u8>),
    /// A page or a text: how it begins.
    Text(Vec<u8>),
    /// Nothing more is read of it.
    Over,
}

/// Whether a response is one that a client can use, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing that says anything has come.
    Open,
    /// It has begun well, or nobody here can tell.
    Good,
    /// It is none.
    Bad,
}

impl Meter {
    /// For a response that was announced as of this type, and begins now, to a request that asked this and began at
    /// `began`; `None` if it is of no API that can be read. `decoder` makes what undoes the body's coding, if that is
    /// known.
    pub fn new(
        asked: Protocol,
        content_type: &[u8],
        decoder: impl FnOnce() -> Option<Decoder>,
        (began, now): (Instant, Instant),
        limits: Limits,
    ) -> Option<Self> {
        asked.asks_for_message().then(|| Self {
            decoder: decoder(),
            kind: Kind::Beginning(Vec::new()),
            response: Messages::new(now.duration_since(began)),
            began,
            last: now,
            limits,
            announced: Announced::of(content_type),
        })
    }

    /// The next bytes of the body, which came now.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.response.summary.is_unreadable || bytes.is_empty() {
            return;
        }
        let gap = &mut self.response.summary.longest_gap;
        *gap = (*gap).max(now.duration_since(self.last));
        (self.last, self.response.came) = (now, now.duration_since(self.began));
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
        let Some(decoder) = &mut self.decoder else { return self.give_up() };
        let (kind, response, limits) = (&mut self.kind, &mut self.response, self.limits);
        let announced = self.announced;
        let mut is_too_large = false;
        let decoded = decoder.push(bytes, |decoded| {
            is_too_large = kind.push(decoded, announced, response, limits);
            if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if decoded.is_err() || is_too_large {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.response.summary.is_unreadable = true;
        self.kind = Kind::Over;
    }

    /// Tokens of output so far: what was told, and an estimate of the rest.
    pub fn output_so_far(&self) -> u64 {
        self.response.output_so_far()
    }

    /// Whether the response has begun as one that a client can use.
    pub fn opening(&self) -> Opening {
        let summary = &self.response.summary;
        match summary.nature {
            _ if summary.is_unreadable || summary.has_begun => Opening::Good,
            _ if summary.error.is_some() => Opening::Bad,
            Nature::Page => Opening::Bad,
            Nature::Unknown => Opening::Good,
            Nature::Empty | Nature::Stream | Nature::Reply | Nature::Text => Opening::Open,
        }
    }

    /// The same when the response is over; something that there was no time for to read counts as good.
    pub fn opening_at_end(&mut self) -> Opening {
        if self.is_behind() {
            return Opening::Good;
        }
        match self.finish().said() {
            Said::All | Said::Unreadable | Said::Other => Opening::Good,
            Said::Error | Said::Part | Said::Nothing | Said::NoMessage | Said::Page => Opening::Bad,
        }
    }

    /// The response is over, and nothing of it is left to be read.
    pub fn finish(&mut self) -> Summary {
        self.conclude();
        self.response.conclude()
    }

    /// Reads what can be read only as a whole.
    fn conclude(&mut self) {
        match std::mem::replace(&mut self.kind, Kind::Over) {
            // What it says last may lack its end.
            Kind::Stream(mut reader) if !self.response.summary.has_begun => reader.push(b"\n\n", &mut self.response),
            Kind::Stream(_) => {}
            Kind::Reply(text) => self.response.reply(&text),
            Kind::Text(text) => self.response.summary.error_message = ErrorText::of(&text).message,
            // Too little to tell what it is.
            Kind::Beginning(text) if !text.trim_ascii().is_empty() => {
                self.response.summary.nature = self.announced.of_text();
            }
            Kind::Beginning(_) | Kind::Over => {}
        }
    }
}

impl Kind {
    /// Takes the next bytes, decoded; whether there were too many of them.
    fn push(&mut self, bytes: &[u8], announced: Announced, response: &mut Messages, limits: Limits) -> bool {
        match self {
            Self::Stream(reader) => reader.push(bytes, response),
            Self::Reply(text) if text.len() + bytes.len() > limits.reply_bytes => return true,
            Self::Reply(text) => text.extend_from_slice(bytes),
            Self::Text(text) => {
                let room = ERROR_BODY_BYTES.saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Self::Over => {}
            Self::Beginning(before) => {
                // Usually the first bytes tell, and nothing is copied.
                let before = std::mem::take(before);
                let joined = if before.is_empty() { None } else { Some([&before[..], bytes].concat()) };
                let start = joined.as_deref().unwrap_or(bytes);
                let start = &start[nature::blanks(start)..];
                let Some(nature) = nature::sniff(start, announced) else {
                    *self = Self::Beginning(nature::undecided(start));
                    return false;
                };
                response.summary.nature = nature;
                *self = match nature {
                    Nature::Stream => Self::Stream(Reader::new(limits.event_bytes)),
                    Nature::Reply => Self::Reply(Vec::new()),
                    Nature::Page | Nature::Text => Self::Text(Vec::new()),
                    Nature::Unknown | Nature::Empty => Self::Over,
                };
                // Blanks behind a byte order mark go too: they are not kept when they come alone.
                let start = nature::without_mark(start).unwrap_or_default().trim_ascii_start();
                return self.push(start, announced, response, limits);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::summary::Tokens;
    use crate::usage::told::MOST_TOKENS;
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
            assert!(summary.is_stream() && summary.is_complete && summary.first_token.is_some(), "{summary:?}");
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
    fn blanks_behind_a_byte_order_mark_count_in_no_cut() {
        for text in ["\u{feff}\x0c\x0cno", "\u{feff}\n\n data: x\n\n", "\u{feff} \n{}", "\u{feff}\t<title>no</title>"] {
            let whole = read("text/event-stream", text.as_bytes(), text.len());
            for step in 1..text.len() {
                assert_eq!(
                    read("text/event-stream", text.as_bytes(), step).error_message,
                    whole.error_message,
                    "{text:?}"
                );
                assert_eq!(read("text/event-stream", text.as_bytes(), step).events, whole.events, "{text:?}");
            }
        }
    }

    /// A message that uses these tools.
    fn using(tools: &[&str]) -> String {
        let block = |name: &&str| {
            let block = serde_json::json!({"type": "tool_use", "id": "t", "name": name, "input": {}});
            format!(
                "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"content_block\":{block}}}\n\n"
            )
        };
        format!("{STREAM}{}{STOP}", tools.iter().map(block).collect::<String>())
    }

    #[test]
    fn tools_are_told_by_name_however_a_stream_is_cut() {
        let tools = ["Bash", "Read", "Bash", "mcp__工具__\"x\"", "Bash", &"y".repeat(70)];
        let stream = using(&tools);
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, text).and_then(|()| encoder.finish()).expect("encoded")
        };
        let wanted = [("Bash", 3), ("Read", 1), ("mcp__工具__\"x\"", 1), (&"y".repeat(64), 1)];
        for coding in [&b"identity"[..], b"gzip"] {
            let body = if coding == b"gzip" { gzip(stream.as_bytes()) } else { stream.clone().into_bytes() };
            for cut in 0..=body.len() {
                let mut meter = Meter::new(asked(), b"text/event-stream", || Decoder::new([coding]), at(), LIMITS)
                    .expect("a meter");
                let (before, after) = body.split_at(cut);
                meter.push(before, at().1);
                meter.push(after, at().1);
                let summary = meter.finish();
                // One more, without a name, is in the stream that is used everywhere here.
                assert_eq!((summary.is_complete, summary.tool_uses), (true, 7), "cut at {cut}");
                assert_eq!(summary.tools.iter().collect::<Vec<_>>(), wanted, "cut at {cut}");
            }
        }
    }

    #[test]
    fn tools_of_a_whole_reply_have_names_too_and_other_blocks_have_none() {
        let reply = r#"{"type":"message","content":[{"type":"text","text":"x","name":"no"},{"name":"Re\u0061d","type":"tool_use"},
            {"type":"server_tool_use","name":"web_search"},{"type":"tool_use","name":7},{"type":"tool_use","name":"Read"}]}"#;
        let summary = read("application/json", reply.as_bytes(), 7);
        assert_eq!(summary.tool_uses, 4);
        assert_eq!(summary.tools.iter().collect::<Vec<_>>(), [("Read", 2), ("web_search", 1)]);
        let plain = read("text/event-stream", format!("{STREAM}{STOP}").as_bytes(), 50);
        assert!(plain.tools.is_empty() && plain.tool_uses == 1, "{plain:?}");
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
        for absurd in [(MOST_TOKENS + 1).to_string(), i64::MAX.to_string(), u64::MAX.to_string(), "1e300".to_owned()] {
            let reply = format!(r#"{{"usage":{{"input_tokens":1,"cache_read_input_tokens":{absurd}}}}}"#);
            let tokens = read("application/json", reply.as_bytes(), 99).tokens.expect("tokens");
            assert_eq!((tokens.input, tokens.cache_read), (1, 0), "{absurd}");
            let reply = format!(r#"{{"usage":{{"output_tokens":{absurd}}}}}"#);
            assert_eq!(read("application/json", reply.as_bytes(), 99).tokens, None, "{absurd}: as if it told nothing");
        }
        let reply = format!(r#"{{"usage":{{"output_tokens":{MOST_TOKENS}}}}}"#);
        let tokens = read("application/json", reply.as_bytes(), 99).tokens.expect("tokens");
        assert_eq!(tokens.output, MOST_TOKENS);
    }

    #[test]
    fn a_whole_reply_is_read_too() {
        let reply = r#"{"model":"m","content":[{"type":"text"},{"type":"tool_use"},{"type":"server_tool_use"}],
            "stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
        let summary = read("application/json", reply.as_bytes(), 7);
        assert!(
            summary.said() == Said::All && summary.nature == Nature::Reply && summary.tool_uses == 2,
            "{summary:?}"
        );
        assert_eq!(summary.tokens, Some(Tokens { input: 1, output: 2, ..Tokens::default() }));
        assert_eq!(read("application/json", b"{", 1).said(), Said::NoMessage);
        let other = Protocol::of("POST", b"/v1/messages/count_tokens");
        assert!(Meter::new(other, b"application/json", plain, at(), LIMITS).is_none());
    }

    #[test]
    fn what_nobody_can_read_is_told_apart_from_what_says_nothing() {
        let large = format!("{{\"text\":\"{}\"}}", "x".repeat(LIMITS.reply_bytes));
        assert_eq!(read("application/json", large.as_bytes(), 4096).said(), Said::Unreadable);
        let unknown = |body: &[u8]| {
            let mut meter = Meter::new(asked(), b"application/json", || None, at(), LIMITS).expect("a meter");
            meter.push(body, at().1);
            assert!(!meter.is_behind());
            (meter.opening(), meter.finish().said())
        };
        assert_eq!(unknown(b"{}"), (Opening::Good, Said::Unreadable));
        assert_eq!(unknown(b""), (Opening::Open, Said::Nothing));
        // However many blanks come first, they are not kept.
        for mark in ["", "\u{feff}"] {
            let mut meter = Meter::new(asked(), b"application/json", plain, at(), LIMITS).expect("a meter");
            meter.push(mark.as_bytes(), at().1);
            (0..2 * LIMITS.reply_bytes / 4096).for_each(|_| meter.push(&[b'\n'; 4096], at().1));
            assert!(matches!(&meter.kind, Kind::Beginning(kept) if kept.len() <= 3), "{mark:?}");
            meter.push(br#"{"content":[]}"#, at().1);
            assert_eq!(meter.finish().said(), Said::All);
        }
    }

    /// The same bytes, cut in every way and under every type.
    fn said(body: &str) -> Vec<(Opening, Said, Option<String>)> {
        let mut found = Vec::new();
        for content_type in
            ["text/event-stream", "application/json", "text/plain; charset=utf-8", "application/x-ndjson"]
        {
            for step in [1, 2, 3, 7, body.len().max(1)] {
                let mut meter = Meter::new(asked(), content_type.as_bytes(), plain, at(), LIMITS).expect("a meter");
                let mut opening = Opening::Open;
                for chunk in body.as_bytes().chunks(step) {
                    meter.push(chunk, at().1);
                    opening = if opening == Opening::Open { meter.opening() } else { opening };
                }
                let opening = if opening == Opening::Open { meter.opening_at_end() } else { opening };
                let summary = meter.finish();
                let told = (opening, summary.said(), summary.error);
                if !found.contains(&told) {
                    found.push(told);
                }
            }
        }
        found
    }

    #[test]
    fn what_a_response_is_goes_by_its_bytes_alone() {
        use {Opening as O, Said as S};
        let error = |kind: &str| Some(kind.to_owned());
        let begun = &STREAM[..STREAM.find("\n\n").expect("an event") + 2];
        for (body, opening, said_so, kind) in [
            (format!("{STREAM}{STOP}"), O::Good, S::All, None),
            (format!("\u{feff}\n\n: hello\n\n{STREAM}{STOP}"), O::Good, S::All, None),
            (STREAM.to_owned(), O::Good, S::Part, None),
            (begun.trim_end().to_owned(), O::Bad, S::Part, None),
            (String::new(), O::Bad, S::Nothing, None),
            ("\r\n \n".to_owned(), O::Bad, S::Nothing, None),
            (": keep-alive\n\n: keep-alive\n\n".to_owned(), O::Bad, S::Nothing, None),
            ("event: ping\ndata: {\"type\":\"ping\"}\n\n".to_owned(), O::Bad, S::Nothing, None),
            ("data: [DONE]\n\n".to_owned(), O::Bad, S::Nothing, None),
            ("data: [DONE]".to_owned(), O::Bad, S::Nothing, None),
            ("event: error\ndata: {}\n\n".to_owned(), O::Bad, S::Error, error("unknown")),
            ("event: error\ndata: upstream gone\n\n".to_owned(), O::Bad, S::Error, error("unknown")),
            (format!("event: error\ndata: {{\"error\":{{\"type\":\"x\"}}}}\n\n{STREAM}"), O::Bad, S::Error, error("x")),
            (format!("{begun}event: error\ndata: {{\"error\":{{\"type\":\"x\"}}}}\n\n"), O::Good, S::Error, error("x")),
            (
                "data: {\"error\":{\"message\":\"no\",\"code\":429}}\n\ndata: [DONE]\n\n".to_owned(),
                O::Bad,
                S::Error,
                error("429"),
            ),
            ("data: {\"code\":500,\"msg\":\"no\"}".to_owned(), O::Bad, S::Error, error("500")),
            ("event: message\ndata: {\"detail\":\"no\"}\n\n".to_owned(), O::Bad, S::Error, error("unknown")),
            ("event: status\ndata: {\"code\":500,\"msg\":\"no\"}\n\n".to_owned(), O::Bad, S::Error, error("500")),
            (
                format!("event: queue\ndata: {{\"message\":\"you are number 5\"}}\n\n{STREAM}{STOP}"),
                O::Good,
                S::All,
                None,
            ),
            (format!("event: status\ndata: {{\"status\":102}}\n\n{STREAM}{STOP}"), O::Good, S::All, None),
            (format!("data: {{\"message\":\"connected\"}}\n\n{STREAM}{STOP}"), O::Good, S::All, None),
            (format!("{STREAM}event: bill\ndata: {{\"code\":1,\"cost\":2}}\n\n{STOP}"), O::Good, S::All, None),
            (format!("{STREAM}event: note\ndata: {{\"message\":\"slow\"}}\n\n{STOP}"), O::Good, S::All, None),
            ("event: queue\ndata: {\"number\":5}\n\n".to_owned(), O::Good, S::Other, None),
            ("data: 1\n\n".to_owned(), O::Good, S::Other, None),
            (r#"{"type":"message","content":[]}"#.to_owned(), O::Good, S::All, None),
            (r#"{"from":"a"}"#.to_owned(), O::Good, S::All, None),
            (r#"{"type":"error","error":{"type":"x"}}"#.to_owned(), O::Bad, S::Error, error("x")),
            ("\u{feff}\n[{\"error\":\"no\"}]".to_owned(), O::Bad, S::Error, error("unknown")),
            ("[]".to_owned(), O::Bad, S::NoMessage, None),
            ("{}".to_owned(), O::Bad, S::NoMessage, None),
            (r#"{"type":"message","content":["#.to_owned(), O::Bad, S::NoMessage, None),
            ("\n<html><title>no</title></html>".to_owned(), O::Bad, S::Page, None),
        ] {
            assert_eq!(said(&body), [(opening, said_so, kind)], "{body}");
        }
    }

    #[test]
    fn a_text_is_no_message_where_one_was_announced() {
        let text = b"upstream connect error or disconnect/reset before headers";
        for content_type in ["application/json", "text/plain", "text/event-stream"] {
            assert_eq!(read(content_type, text, 5).said(), Said::NoMessage, "{content_type}");
        }
        assert_eq!(read("", text, 5).said(), Said::Other);
        let summary = read("application/json", text, 50);
        assert_eq!(summary.error_message.as_deref(), Some(std::str::from_utf8(text).expect("a text")));
    }
}
