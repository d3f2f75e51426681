//! What the Messages API says: its events, and its whole replies.

use super::error_shape::{self, Said};
use super::reply::Whole;
use super::sse::Sink;
use super::summary::{LONGEST_MESSAGE, Summary, word};
use serde_json::Value;
use std::time::Instant;

/// More tokens than any response has: an upstream that tells of more must not spoil the sums of all others.
pub(super) const MOST_TOKENS: u64 = 1 << 31;

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

/// Events that only say that the upstream lives.
const SIGNS_OF_LIFE: [&[u8]; 5] = [b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"];

/// Reads one response of the Messages API.
#[derive(Debug)]
pub(super) struct Messages {
    /// What is known so far.
    pub(super) summary: Summary,
    /// When the request began.
    pub(super) began: Instant,
    /// When the bytes came that are being read.
    pub(super) now: Instant,
}

impl Messages {
    /// A whole reply.
    pub(super) fn reply(&mut self, text: &[u8]) {
        match Whole::read(text) {
            Whole::Good(reply) => {
                self.summary.is_complete = true;
                self.summary.model = word(&reply.model);
                self.usage(&reply.usage);
                self.summary.stop_reason = word(&reply.stop_reason);
                self.summary.tool_uses = reply.tool_uses;
            }
            Whole::Error(error) => self.error(error),
            Whole::Nothing => {}
        }
    }

    /// The first error counts.
    fn error(&mut self, error: Said) {
        if self.summary.error.is_none() {
            self.summary.error = Some(error.kind.unwrap_or_else(|| "unknown".to_owned()));
            self.summary.error_message = error.message;
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
            b"error" => self.error(data.map(error_shape::of_error).unwrap_or_default()),
            // An error as another API sends it, or a relay of its own.
            _ => {
                if let Some(error) = data.and_then(error_shape::in_success) {
                    self.error(error);
                }
            }
        }
    }
}

impl Sink for Messages {
    /// Pieces of content are most of a stream, and only their coming is of interest; so it is with pings.
    fn wants_data(&self, name: &[u8]) -> bool {
        !matches!(name, b"content_block_delta" | b"content_block_stop" | b"ping" | b"message_stop")
    }

    fn event(&mut self, name: &[u8], data: Option<&[u8]>) {
        self.summary.events = self.summary.events.saturating_add(1);
        let json: Option<Value> = data.and_then(|data| serde_json::from_slice(data).ok());
        // Some relays leave the names out: the data has them too.
        let own = json.as_ref().filter(|_| name.is_empty()).and_then(|json| json["type"].as_str());
        let name = own.map_or(name, str::as_bytes);
        match (name, data) {
            (b"error", Some(data)) if json.is_none() => self.error(Said { kind: None, message: error_text(data) }),
            _ => self.named_event(name, json.as_ref()),
        }
        self.summary.has_begun |= self.summary.error.is_none() && says_something(name, data);
    }

    fn too_large(&mut self) {
        self.summary.skipped = self.summary.skipped.saturating_add(1);
    }
}

/// Whether an event says something: no sign of life does, nor does the mark of the end as OpenAI has it.
fn says_something(name: &[u8], data: Option<&[u8]>) -> bool {
    let is_sign_of_life = SIGNS_OF_LIFE.iter().any(|sign| name.eq_ignore_ascii_case(sign));
    let is_empty = data.is_some_and(|data| matches!(data.trim_ascii(), b"" | b"{}" | b"null" | b"[DONE]"));
    !is_sign_of_life && !is_empty
}

/// The text of an error that is no JSON.
fn error_text(data: &[u8]) -> Option<String> {
    let text: String = String::from_utf8_lossy(data).chars().take(LONGEST_MESSAGE).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn is_tool_use(block: &Value) -> bool {
    block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use"))
}
