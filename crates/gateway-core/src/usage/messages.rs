//! What the Messages API says: its events, and its whole replies.

use super::content;
use super::error_shape::{self, Said};
use super::reply::Whole;
use super::sse::Sink;
use super::summary::{Summary, cut, word};
use super::told::Told;
use super::transformations::Dropped;
use serde_json::Value;
use std::time::Duration;

/// A piece of content.
const PIECE: &[u8] = b"content_block_delta";
/// The events of the Messages API.
const EVENTS: [&[u8]; 8] = [
    PIECE,
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
/// What an error is called that has no type.
const UNKNOWN: &str = "unknown";

/// Reads one response of the Messages API.
#[derive(Debug)]
pub(super) struct Messages {
    /// What is known so far.
    pub(super) summary: Summary,
    /// When the bytes came that are being read, from the beginning of the request.
    pub(super) came: Duration,
    /// What was told of its usage.
    told: Told,
    /// An error, if no message comes after it.
    suspected: Option<Said>,
}

impl Messages {
    /// Reads a response that began so long after its request.
    pub(super) fn new(came: Duration) -> Self {
        Self { summary: Summary::default(), came, told: Told::default(), suspected: None }
    }

    /// Tokens of output so far.
    pub(super) fn output_so_far(&self) -> u64 {
        self.told.output_so_far()
    }

    /// What is known, when nothing more comes.
    pub(super) fn conclude(&self) -> Summary {
        let (tokens, is_estimated, details) = self.told.conclude(self.summary.is_complete);
        let mut summary = Summary { tokens, is_estimated, details, ..self.summary.clone() };
        if let Some(error) = self.suspected.as_ref().filter(|_| !summary.has_begun && summary.error.is_none()) {
            summary.error = Some(error.kind.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
            summary.error_code.clone_from(&error.code);
            summary.error_message = error.message.as_deref().map(cut);
        }
        summary
    }

    /// A whole reply.
    pub(super) fn reply(&mut self, text: &[u8]) {
        match Whole::read(text) {
            Whole::Good(reply) => {
                self.summary.is_complete = true;
                self.summary.model = word(&reply.model);
                self.told.cumulative(&reply.usage);
                self.summary.stop_reason = word(&reply.stop_reason);
                self.dropped(&reply.input_transformations);
                self.summary.tool_uses = reply.tool_uses;
                self.summary.tools = reply.tools;
                self.summary.thinks = reply.thinks;
            }
            Whole::Error(error) => self.error(error),
            Whole::Nothing => {}
        }
    }

    /// The first error counts.
    fn error(&mut self, error: Said) {
        if self.summary.error.is_none() {
            self.summary.error = Some(error.kind.unwrap_or_else(|| UNKNOWN.to_owned()));
            self.summary.error_code = error.code;
            self.summary.error_message = error.message.as_deref().map(cut);
        }
    }

    /// What a message says at its beginning.
    fn message(&mut self, message: &Value) {
        if let Some(model) = word(&message["model"]) {
            self.summary.model = Some(model);
        }
        self.told.beginning(&message["usage"]);
    }

    /// What was dropped of the request; what is told last counts.
    fn dropped(&mut self, transformations: &Value) {
        self.summary.dropped = Dropped::read(transformations).or(self.summary.dropped);
    }

    /// A block of content begins; relays that do not stream themselves put all of it here.
    fn block(&mut self, block: &Value) {
        if is_tool_use(block) {
            self.summary.tool_uses = self.summary.tool_uses.saturating_add(1);
            self.summary.tools.add(block["name"].as_str().unwrap_or_default());
        }
        self.summary.thinks |= matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking"));
        let length = |name: &str| block[name].as_str().map_or(0, str::len) as u64;
        self.told.content(length("text") + length("thinking"));
    }

    /// What would be an error as a reply, and may be a word before the message here. Whether it is none.
    fn suspect(&mut self, data: Option<&Value>) -> bool {
        let suspected = data.and_then(error_shape::in_success);
        let is_none = suspected.is_none();
        self.suspected = self.suspected.take().or(suspected);
        is_none
    }

    /// A piece of content. They are most of a stream, and are searched, but not parsed.
    fn piece(&mut self, data: Option<&[u8]>) {
        self.summary.is_message = true;
        self.summary.first_token.get_or_insert(self.came);
        self.summary.last_token = Some(self.came);
        self.told.content(data.map_or(0, content::bytes_in));
        self.begins(PIECE, data);
    }

    /// An event of the response came: with it that has begun, if it says something.
    fn begins(&mut self, name: &[u8], data: Option<&[u8]>) {
        if !self.summary.has_begun && self.summary.error.is_none() {
            self.summary.has_begun = says_something(name, data);
        }
    }

    /// What an event says; whether that is something of the response.
    fn named_event(&mut self, name: &[u8], data: Option<&Value>) -> bool {
        self.summary.is_message |= EVENTS.contains(&name);
        match name {
            b"message_start" => {
                let data = data.unwrap_or(&Value::Null);
                self.message(&data["message"]);
                self.dropped(&data["message"]["input_transformations"]);
                self.dropped(&data["input_transformations"]);
            }
            b"content_block_start" => self.block(&data.unwrap_or(&Value::Null)["content_block"]),
            b"message_delta" => {
                let data = data.unwrap_or(&Value::Null);
                if let Some(reason) = word(&data["delta"]["stop_reason"]) {
                    self.summary.stop_reason = Some(reason);
                }
                self.told.cumulative(&data["usage"]);
                // Once more, when another model took over in the middle.
                self.dropped(&data["input_transformations"]);
            }
            b"message_stop" => self.summary.is_complete = true,
            b"error" => self.error(data.map(error_shape::of_error).unwrap_or_default()),
            // An error as another API sends it, or a relay of its own.
            _ => match data.and_then(|data| error_shape::in_event(name, data)) {
                Some(error) => self.error(error),
                None => return self.suspect(data),
            },
        }
        true
    }
}

impl Sink for Messages {
    /// Of pings, and of ends that have nothing in them, only their coming is of interest.
    fn wants_data(&self, name: &[u8]) -> bool {
        !matches!(name, b"content_block_stop" | b"ping" | b"message_stop")
    }

    fn event(&mut self, name: &[u8], data: Option<&[u8]>) {
        self.summary.events = self.summary.events.saturating_add(1);
        if name == PIECE {
            return self.piece(data);
        }
        let json: Option<Value> = data.and_then(|data| serde_json::from_slice(data).ok());
        // Some relays leave the names out: the data has them too.
        // `message` is what an event without a name is called (HTML, server-sent events).
        let name = if name == b"message" { b"" } else { name };
        let own = json.as_ref().filter(|_| name.is_empty()).and_then(|json| json["type"].as_str());
        let name = own.map_or(name, str::as_bytes);
        let is_of_response = match (name, data) {
            (PIECE, data) => return self.piece(data),
            (b"error", Some(data)) if json.is_none() => {
                self.error(Said { message: error_text(data), ..Said::default() });
                true
            }
            _ => self.named_event(name, json.as_ref()),
        };
        if is_of_response {
            self.begins(name, data);
        }
    }

    fn too_large(&mut self, name: &[u8], size: usize) {
        // Nothing is lost of a piece of content: all that counts is how long it is.
        match name {
            PIECE => self.told.content(size as u64),
            _ => self.summary.skipped = self.summary.skipped.saturating_add(1),
        }
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
    let text = cut(&String::from_utf8_lossy(data));
    (!text.trim().is_empty()).then_some(text)
}

fn is_tool_use(block: &Value) -> bool {
    block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use"))
}
