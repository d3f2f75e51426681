//! The event stream that the origin sends and the client expects: 2,000 events shaped like a Claude reply.
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// Events of one stream.
pub(crate) const EVENTS: usize = 2_000;

/// An event stream, prepared once.
pub(crate) struct EventStream {
    /// Each event, framed as one HTTP chunk.
    pub chunks: Vec<Vec<u8>>,
    /// All events in one chunk, and the end.
    pub whole: Vec<u8>,
    /// All events without chunk framing: what the client must receive.
    pub payload: Arc<[u8]>,
    /// Where each event ends in `payload`.
    pub ends: Vec<usize>,
}

impl EventStream {
    /// `message_start`, deltas, `message_stop`: `EVENTS` in all.
    pub(crate) fn new() -> EventStream {
        let mut stream = EventStream { chunks: Vec::new(), whole: Vec::new(), payload: Arc::new([]), ends: Vec::new() };
        let mut payload = Vec::new();
        for number in 0..EVENTS {
            let event = event(number);
            stream.chunks.push(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes());
            payload.extend_from_slice(event.as_bytes());
            stream.ends.push(payload.len());
        }
        stream.whole = format!("{:x}\r\n", payload.len()).into_bytes();
        stream.whole.extend_from_slice(&payload);
        stream.whole.extend_from_slice(b"\r\n0\r\n\r\n");
        stream.payload = payload.into();
        stream
    }

    /// The payload of the first event.
    pub(crate) fn first(&self) -> Arc<[u8]> {
        self.payload[..self.ends[0]].into()
    }
}

fn event(number: usize) -> String {
    let (name, data) = match number {
        0 => (
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_bench","type":"message","role":"assistant","model":"claude-opus-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":12000,"cache_read_input_tokens":0,"output_tokens":1}}}"#.to_string(),
        ),
        1 => (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_string(),
        ),
        n if n == EVENTS - 3 => ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#.to_string()),
        n if n == EVENTS - 2 => (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1996}}"#.to_string(),
        ),
        n if n == EVENTS - 1 => ("message_stop", r#"{"type":"message_stop"}"#.to_string()),
        n => (
            "content_block_delta",
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" word {n}"}}}}"#),
        ),
    };
    format!("event: {name}\ndata: {data}\n\n")
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// What comes before the time in an event of [`event_now`], and how many digits it has.
const MARK: &[u8] = b"\"sent at ";
const DIGITS: usize = 15;

/// Microseconds since this process looked first.
pub(crate) fn since_start() -> u64 {
    u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A delta that says when it was made, framed as one HTTP chunk.
pub(crate) fn event_now() -> Vec<u8> {
    let now = since_start();
    let text = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":\
         {{\"type\":\"text_delta\",\"text\":\"sent at {now:0DIGITS$}\"}}}}\n\n"
    );
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// When the first of the events in `bytes` was made, and where that is over.
pub(crate) fn sent_micros(bytes: &[u8]) -> Option<(u64, usize)> {
    let from = memchr::memmem::find(bytes, MARK)? + MARK.len();
    let digits = bytes.get(from..from + DIGITS)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, from + DIGITS))
}
