//! What the Messages API says: its events, and its whole replies.

use super::reply::Reply;
use super::sse::Sink;
use super::summary::{LONGEST_MESSAGE, Summary, text, word};
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
    /// A whole reply; whether it is one.
    pub(super) fn reply(&mut self, text: &[u8]) -> bool {
        let Some(reply) = Reply::read(text) else { return false };
        self.summary.is_complete = true;
        self.error(Some(&reply.error));
        self.summary.model = word(&reply.model);
        self.usage(&reply.usage);
        self.summary.stop_reason = word(&reply.stop_reason);
        self.summary.tool_uses = reply.tool_uses;
        true
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

impl Sink for Messages {
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
