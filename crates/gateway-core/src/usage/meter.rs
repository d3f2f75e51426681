//! Reads an answer of the Messages API as it goes by: a stream of events, or one JSON object.

use super::decode::Decoder;
use super::reply::Reply;
use super::sse::{Reader, Sink};
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Longest name of a model, of an error, or of a reason that is kept.
pub const LONGEST_WORD: usize = 100;
/// Longest message of an error that is kept.
pub(super) const LONGEST_MESSAGE: usize = 300;

/// More tokens than any answer has: an upstream that tells of more must not spoil the sums of all others.
const MOST_TOKENS: u64 = 1 << 31;

/// The events of the Messages API.
const EVENTS: [&[u8]; 8] = [
    b"content_block_delta",
    b"message_start",
    b"content_block_start",
    b"content_block_stop",
    b"message_delta",
    b"message_stop",
    b"ping",
    b"error",
];

/// How much of an answer is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest event, in bytes; larger ones are counted and skipped.
    pub event_bytes: usize,
    /// Largest whole reply, in bytes.
    pub reply_bytes: usize,
}

/// Tokens as the upstream counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input that no cache was used for.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input that was written to the prompt cache.
    pub cache_write: u64,
    /// How much of that was written to be kept for an hour, which has a price of its own.
    pub cache_write_1h: u64,
    /// Input that was read from it.
    pub cache_read: u64,
}

/// What is known of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether it is a stream of events.
    pub is_stream: bool,
    /// Whether it came to its end: `message_stop`, or a whole reply.
    pub is_complete: bool,
    /// Whether an event of the Messages API was among its events: of other streams it cannot be told where they end.
    pub is_message: bool,
    /// The type of an error that came in the middle of the stream.
    pub error: Option<String>,
    /// What that error says.
    pub error_message: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens, once any were told.
    pub tokens: Option<Tokens>,
    /// Why it ended.
    pub stop_reason: Option<String>,
    /// Tools that were to be used.
    pub tool_uses: u32,
    /// From the beginning of the request to the first piece of content.
    pub first_token: Option<Duration>,
    /// The same to the last piece.
    pub last_token: Option<Duration>,
    /// The longest time in which nothing came, once the answer had begun.
    pub longest_gap: Duration,
    /// Events.
    pub events: u32,
    /// Events that were too large to be looked into.
    pub skipped: u32,
    /// Whether the bytes could be read at all.
    pub is_unreadable: bool,
}

impl Summary {
    /// Tokens of output for each second in which content came; `None` for replies that came as a whole.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.last_token?.checked_sub(self.first_token?)?.as_secs_f64();
        let output = self.tokens?.output;
        (seconds > 0.0 && output > 1).then(|| output as f64 / seconds)
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct Meter {
    /// `None` if the coding is not known.
    decoder: Option<Decoder>,
    kind: Kind,
    facts: Facts,
    last: Instant,
    reply_bytes: usize,
}

#[derive(Debug)]
enum Kind {
    Stream(Reader),
    Reply(Vec<u8>),
}

#[derive(Debug)]
struct Facts {
    summary: Summary,
    began: Instant,
    now: Instant,
}

impl Meter {
    /// For a response of this type, that begins now, to a request that began at `began`; `None` if it is of no type that
    /// can be read. `decoder` undoes the body's coding, if that is known.
    pub fn new(
        content_type: &[u8],
        decoder: Option<Decoder>,
        (began, now): (Instant, Instant),
        limits: Limits,
    ) -> Option<Self> {
        let is = |name: &[u8]| content_type.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let kind = if is(b"text/event-stream") {
            Kind::Stream(Reader::new(limits.event_bytes))
        } else if is(b"application/json") {
            Kind::Reply(Vec::new())
        } else {
            return None;
        };
        let (is_stream, is_unreadable) = (matches!(kind, Kind::Stream(_)), decoder.is_none());
        let summary = Summary { is_stream, is_unreadable, ..Summary::default() };
        Some(Self { decoder, kind, facts: Facts { summary, began, now }, last: now, reply_bytes: limits.reply_bytes })
    }

    /// The next bytes of the body, which came now.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.facts.summary.is_unreadable || bytes.is_empty() {
            return;
        }
        let gap = &mut self.facts.summary.longest_gap;
        *gap = (*gap).max(now.duration_since(self.last));
        (self.last, self.facts.now) = (now, now);
        self.read(bytes);
    }

    /// Whether there are bytes that there was no time for when they came: [`Self::catch_up`] reads them.
    pub fn is_behind(&self) -> bool {
        !self.facts.summary.is_unreadable && self.decoder.as_ref().is_some_and(Decoder::is_behind)
    }

    /// Reads some of them, as much as one call may.
    pub fn catch_up(&mut self) {
        self.read(&[]);
    }

    fn read(&mut self, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        let (kind, facts, reply_bytes) = (&mut self.kind, &mut self.facts, self.reply_bytes);
        let mut is_too_large = false;
        let decoded = decoder.push(bytes, |decoded| {
            match kind {
                Kind::Stream(reader) => reader.push(decoded, facts),
                Kind::Reply(text) if text.len() + decoded.len() > reply_bytes => is_too_large = true,
                Kind::Reply(text) => text.extend_from_slice(decoded),
            }
            if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if decoded.is_err() || is_too_large {
            self.facts.summary.is_unreadable = true;
            self.kind = Kind::Reply(Vec::new());
        }
    }

    /// The answer is over, and nothing of it is left to be read.
    pub fn finish(&mut self) -> Summary {
        if let Kind::Reply(text) = &mut self.kind
            && !self.facts.summary.is_stream
            && !self.facts.summary.is_unreadable
        {
            match Reply::read(&std::mem::take(text)) {
                Some(reply) => self.facts.reply(&reply),
                None => self.facts.summary.is_unreadable = true,
            }
        }
        self.facts.summary.clone()
    }
}

impl Facts {
    /// A whole reply.
    fn reply(&mut self, reply: &Reply) {
        self.summary.is_complete = true;
        self.error(Some(&reply.error));
        self.summary.model = word(&reply.model);
        self.usage(&reply.usage);
        self.summary.stop_reason = word(&reply.stop_reason);
        self.summary.tool_uses = reply.tool_uses;
    }

    /// The first error counts.
    fn error(&mut self, error: Option<&Value>) {
        if let Some(error) = error
            && self.summary.error.is_none()
        {
            self.summary.error = word(&error["type"]);
            self.summary.error_message = text(&error["message"], LONGEST_MESSAGE);
        }
    }

    /// What a message says at its beginning.
    fn message(&mut self, message: &Value) {
        self.summary.model = word(&message["model"]);
        self.usage(&message["usage"]);
    }

    /// Counts are cumulative: later ones replace earlier ones.
    fn usage(&mut self, usage: &Value) {
        let Some(usage) = usage.as_object() else { return };
        let tokens = self.summary.tokens.get_or_insert_default();
        for (name, count) in [
            ("input_tokens", &mut tokens.input),
            ("output_tokens", &mut tokens.output),
            ("cache_creation_input_tokens", &mut tokens.cache_write),
            ("cache_read_input_tokens", &mut tokens.cache_read),
        ] {
            if let Some(told) = usage.get(name).and_then(Value::as_u64) {
                *count = told.min(MOST_TOKENS);
            }
        }
        if let Some(told) = usage.get("cache_creation").and_then(|kept| kept["ephemeral_1h_input_tokens"].as_u64()) {
            tokens.cache_write_1h = told.min(MOST_TOKENS);
        }
    }

    fn named_event(&mut self, name: &[u8], data: Option<&Value>) {
        self.summary.is_message |= EVENTS.contains(&name);
        match name {
            b"message_start" => self.message(&data.unwrap_or(&Value::Null)["message"]),
            b"content_block_start" if data.is_some_and(|data| is_tool_use(&data["content_block"])) => {
                self.summary.tool_uses = self.summary.tool_uses.saturating_add(1);
            }
            b"content_block_delta" => {
                let now = self.now.duration_since(self.began);
                self.summary.first_token.get_or_insert(now);
                self.summary.last_token = Some(now);
            }
            b"message_delta" => {
                let data = data.unwrap_or(&Value::Null);
                if let Some(reason) = word(&data["delta"]["stop_reason"]) {
                    self.summary.stop_reason = Some(reason);
                }
                self.usage(&data["usage"]);
            }
            b"message_stop" => self.summary.is_complete = true,
            b"error" => {
                self.error(data.map(|data| &data["error"]));
                self.summary.error.get_or_insert_with(|| "unknown".to_owned());
            }
            _ => {}
        }
    }
}

impl Sink for Facts {
    /// Pieces of content are most of a stream, and only their coming is of interest; so it is with pings.
    fn wants_data(&self, name: &[u8]) -> bool {
        !matches!(name, b"content_block_delta" | b"content_block_stop" | b"ping" | b"message_stop")
    }

    fn event(&mut self, name: &[u8], data: Option<&[u8]>) {
        self.summary.events = self.summary.events.saturating_add(1);
        let data: Option<Value> = data.and_then(|data| serde_json::from_slice(data).ok());
        if name.is_empty() {
            // Some relays leave the names out: the data has them too.
            let Some(data) = data else { return };
            let name = data["type"].as_str().unwrap_or_default().to_owned();
            return self.named_event(name.as_bytes(), Some(&data));
        }
        self.named_event(name, data.as_ref());
    }

    fn too_large(&mut self) {
        self.summary.skipped = self.summary.skipped.saturating_add(1);
    }
}

fn is_tool_use(block: &Value) -> bool {
    block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use"))
}

/// A name; longer ones are cut.
fn word(value: &Value) -> Option<String> {
    text(value, LONGEST_WORD)
}

/// A text, cut to so many characters.
pub(super) fn text(value: &Value, longest: usize) -> Option<String> {
    Some(value.as_str()?.chars().take(longest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn plain() -> Option<Decoder> {
        Decoder::new([])
    }

    fn read(content_type: &str, body: &[u8], step: usize) -> Summary {
        let mut meter = Meter::new(content_type.as_bytes(), plain(), at(), LIMITS).expect("readable");
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
    fn speed_is_output_over_the_time_in_which_content_came() {
        let summary = |first, last, output| Summary {
            first_token: first,
            last_token: last,
            tokens: Some(Tokens { output, ..Tokens::default() }),
            ..Summary::default()
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(summary(second, Some(Duration::from_secs(3)), 100).tokens_per_second(), Some(50.0));
        assert_eq!(summary(second, second, 100).tokens_per_second(), None);
        assert_eq!(summary(None, None, 100).tokens_per_second(), None);
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
        let mut unknown = Meter::new(b"application/json", None, at(), LIMITS).expect("a meter");
        unknown.push(b"{}", at().1);
        assert!(unknown.finish().is_unreadable && !unknown.is_behind());
        assert!(Meter::new(b"text/html", plain(), at(), LIMITS).is_none());
    }
}
