//! What is known of a request when it is over: plain data for the access log, the metrics and the request log.

pub mod cause;
mod client_names;
pub mod fault;
mod outcome;
mod prompt;
pub mod request_class;
mod thinking_action;
pub mod verdict;

pub use cause::Cause;
pub use client_names::ClientNames;
pub use outcome::Outcome;
pub use prompt::PromptOutcome;
pub use thinking_action::ThinkingAction;

use crate::cache_waste::{Cached, Loss};
use crate::holder::Holder;
use crate::prompt_shape::PromptShape;
use crate::prompt_shape::kept::KeptHead;
use crate::protocol::Endpoint;
use crate::reason::Reason;
use crate::thinking::Moved;
use crate::usage::error_body::ErrorText;
use crate::usage::pricing::NanoUsd;
use crate::usage::summary::Summary;
use fault::UpstreamFault;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A request that is over. One flat list, because it is a row: `store/columns.rs` names a column for almost each field.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The gateway's id of the request.
    pub request_id: String,
    /// When its first byte came in.
    pub started_at: SystemTime,
    /// From its first byte to the end of its response.
    pub duration: Duration,
    /// From its first byte to its place at an upstream.
    pub queue: Option<Duration>,
    /// From its first byte to the connection to the upstream that it went to last.
    pub connect: Option<Duration>,
    /// From its first byte to the first byte of the upstream's response.
    pub first_byte: Option<Duration>,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// `1.0`, `1.1` or `2`; empty if the request could not be read.
    pub http: &'static str,
    /// Method; empty if the request could not be read.
    pub method: String,
    /// Path without the query, which may hold keys.
    pub path: String,
    /// The endpoint that it was for.
    pub endpoint: Endpoint,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the gateway refused it or failed.
    pub reason: Option<Reason>,
    /// Name of the upstream that it went to last.
    pub upstream: Option<Arc<str>>,
    /// What its key is called that it went out with there, if that has any.
    pub upstream_key: Option<Arc<str>>,
    /// How many times it was sent to an upstream.
    pub attempts: u32,
    /// Bytes of the request body as the client sent it.
    pub request_bytes: u64,
    /// Bytes of the response's body that went to the client.
    pub response_bytes: u64,
    /// The first sixteen hexadecimal digits of the SHA-256 of the key that authenticates the client.
    pub key: Option<String>,
    /// Whose client token it has, if it has one that is known.
    pub holder: Option<Arc<Holder>>,
    /// Whether it went to an upstream with a key, the client's or one that the gateway adds.
    pub is_keyed: bool,
    /// What became of the system prompt, if that was the gateway's business.
    pub rewrite: Option<PromptOutcome>,
    /// What the client calls things.
    pub names: ClientNames,
    /// The model that the request asks for.
    pub model_asked: Option<String>,
    /// Names of the rules that applied.
    pub rules: Vec<Arc<str>>,
    /// Why thinking that came back may not have been valid where the request went last.
    pub moved: Option<Moved>,
    /// The upstreams that failed, in order, and what each did.
    pub tried: Vec<(Arc<str>, UpstreamFault)>,
    /// What was done about thinking that came back, if anything had to be.
    pub thinking_action: Option<ThinkingAction>,
    /// Blocks of thinking that were taken out of it, because they had been refused.
    pub removed_thinking: u32,
    /// What the response says, if it is one to a request for a message.
    pub answer: Option<Summary>,
    /// What the upstream's error says, without keys.
    pub error: Option<ErrorText>,
    /// The rule that decided what followed an upstream's error, the last one if there were several.
    pub error_rule: Option<Arc<str>>,
    /// The likely cause, if it failed.
    pub cause: Option<Cause>,
    /// What the tokens cost; `None` for a model without a price.
    pub cost: Option<NanoUsd>,
    /// Under which names it is counted.
    pub labels: Labels,
    /// The request itself, if that was asked for.
    pub capture: Option<Box<Capture>>,
    /// Its head, if that is to be kept together with what it looks like.
    pub head: Option<Box<KeptHead>>,
    /// What it looks like, if its body is a prompt.
    pub shape: Option<Box<PromptShape>>,
    /// The same of the body that went out, where rules changed it.
    pub sent_shape: Option<Box<PromptShape>>,
    /// What of its prompt is in the upstream's cache, if anything is.
    pub cached: Option<Box<Cached>>,
    /// What of it was written to that cache although it had been there.
    pub waste: Option<Box<Waste>>,
}

/// What was written to the cache although it had been there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    /// Why, and how many tokens.
    pub loss: Loss,
    /// What that cost more than reading them would have; `None` for a model without a price.
    pub cost: Option<NanoUsd>,
}

/// The names under which a request is counted: few, whatever clients send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The model that answered, or else the one that was asked for; empty if there is none.
    pub model: Arc<str>,
    /// The path, or `other`.
    pub path: &'static str,
    /// What it is for, as [`request_class::label`] says; empty if that is not known.
    pub request_class: &'static str,
}

/// A request as it came in, without keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Request line and fields.
    pub head: String,
    /// The body, or its beginning.
    pub body: String,
    /// Whether it is only the beginning.
    pub is_cut: bool,
}

impl RequestRecord {
    /// A request of which nothing more is known.
    pub fn new(request_id: String, started_at: SystemTime) -> Self {
        Self {
            request_id,
            started_at,
            duration: Duration::ZERO,
            queue: None,
            connect: None,
            first_byte: None,
            client: None,
            http: "",
            method: String::new(),
            path: String::new(),
            endpoint: Endpoint::Other,
            status: 0,
            outcome: Outcome::Completed,
            reason: None,
            upstream: None,
            upstream_key: None,
            attempts: 0,
            request_bytes: 0,
            response_bytes: 0,
            key: None,
            holder: None,
            is_keyed: false,
            rewrite: None,
            names: ClientNames::default(),
            model_asked: None,
            rules: Vec::new(),
            moved: None,
            tried: Vec::new(),
            thinking_action: None,
            removed_thinking: 0,
            answer: None,
            error: None,
            error_rule: None,
            cause: None,
            cost: None,
            labels: Labels::default(),
            capture: None,
            head: None,
            shape: None,
            sent_shape: None,
            cached: None,
            waste: None,
        }
    }

    /// The type of the error in the response.
    pub fn error_type(&self) -> Option<&str> {
        let in_stream = self.answer.as_ref().and_then(|answer| answer.error.as_deref());
        in_stream.or_else(|| self.error.as_ref()?.kind.as_deref())
    }

    /// The code of the error in the response.
    pub fn error_code(&self) -> Option<&str> {
        let in_stream = self.answer.as_ref().and_then(|answer| answer.error_code.as_deref());
        in_stream.or_else(|| self.error.as_ref()?.code.as_deref())
    }

    /// The message of the error in the response.
    pub fn error_message(&self) -> Option<&str> {
        let in_stream = self.answer.as_ref().and_then(|answer| answer.error_message.as_deref());
        in_stream.or_else(|| self.error.as_ref()?.message.as_deref())
    }

    /// The model that answered, or else the one that was asked for.
    pub fn model(&self) -> Option<&str> {
        self.answer.as_ref().and_then(|answer| answer.model.as_deref()).or(self.model_asked.as_deref())
    }

    /// Whether it used tokens that nobody has said a price of.
    pub fn is_unpriced(&self) -> bool {
        self.cost.is_none() && self.answer.as_ref().is_some_and(|answer| answer.tokens.is_some())
    }

    /// Blocks of thinking that came back and that no model read: taken out by the gateway, or dropped by the API. `None`
    /// if nobody told.
    pub fn dropped_thinking(&self) -> Option<u32> {
        let told = self.answer.as_ref().and_then(|answer| answer.dropped).map(|dropped| dropped.total());
        let removed = Some(self.removed_thinking).filter(|removed| *removed > 0);
        told.map(|told| told.saturating_add(self.removed_thinking)).or(removed)
    }

    /// Whether anybody can make as many such requests as he likes: the gateway answered it by itself, the upstream
    /// refused its key, or it had none and got no message. These have a share of their own wherever something is
    /// bounded, so that they push out none of the others.
    pub fn is_stray(&self) -> bool {
        let has_tokens = self.answer.as_ref().is_some_and(|answer| answer.tokens.is_some());
        self.attempts == 0 || matches!(self.status, 401 | 403) || !self.is_keyed && !has_tokens
    }

    /// The client's key, where sums by key may have it. One that nobody took may be any, and sums of each would be without
    /// end; a client token is one that the gateway issued, whatever became of the request.
    pub fn summed_key(&self) -> Option<&str> {
        self.key.as_deref().filter(|_| self.holder.is_some() || !self.is_stray())
    }

    /// Bytes of texts of any length that it holds, and of what is kept of its shape.
    pub fn waiting_bytes(&self) -> usize {
        let shape = self.kept_shape().map_or(0, |(head, shape)| head.bytes() + shape.bytes());
        self.kept_bytes() + shape
    }

    /// What its shape is kept by, if it is.
    pub fn kept_shape(&self) -> Option<(&KeptHead, &PromptShape)> {
        self.head.as_deref().zip(self.shape.as_deref())
    }

    /// Bytes of texts of any length that it holds.
    pub fn kept_bytes(&self) -> usize {
        let error = self.error.as_ref().map_or(0, |error| error.body.len());
        error + self.capture.as_ref().map_or(0, |capture| capture.head.len() + capture.body.len())
    }

    /// Gives up what its shape is kept by.
    pub fn forget_shape(&mut self) {
        (self.head, self.shape, self.sent_shape) = (None, None, None);
    }

    /// Gives these up.
    pub fn forget_texts(&mut self) {
        self.forget_shape();
        self.capture = None;
        if let Some(error) = &mut self.error {
            error.body = String::new();
        }
    }
}

/// Longest path that is recorded, in bytes: records wait in memory for the disk.
const LONGEST_PATH: usize = 1024;

/// A path as it is recorded: the beginning of a very long one.
pub fn path_text(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(LONGEST_PATH)]).into_owned()
}

/// The class of a status; `none` if there was no response.
pub fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_recorded_by_its_beginning() {
        assert_eq!(path_text(b"/v1/messages"), "/v1/messages");
        assert_eq!(path_text(&[b'x'; 16 * 1024]).len(), LONGEST_PATH);
    }

    #[test]
    fn requests_that_anybody_can_make_are_told_from_those_that_were_served() {
        let new = RequestRecord::new(String::new(), SystemTime::UNIX_EPOCH);
        let key = Some("0a1b2c3d".to_owned());
        let served = RequestRecord { status: 200, attempts: 1, key, is_keyed: true, ..new };
        let keyless = RequestRecord { key: None, is_keyed: false, ..served.clone() };
        let message = Summary { tokens: Some(crate::usage::summary::Tokens::default()), ..Summary::default() };
        assert!(!served.is_stray());
        assert!(!RequestRecord { status: 529, outcome: Outcome::UpstreamError, ..served.clone() }.is_stray());
        assert!(!RequestRecord { key: None, ..served.clone() }.is_stray(), "the gateway's own key");
        assert!(keyless.is_stray());
        assert!(!RequestRecord { answer: Some(message), ..keyless }.is_stray(), "of an upstream that asks for none");
        assert!(RequestRecord { attempts: 0, outcome: Outcome::Rejected, ..served.clone() }.is_stray());
        assert!(RequestRecord { status: 401, outcome: Outcome::UpstreamError, ..served }.is_stray());
    }

    #[test]
    fn sums_by_key_have_what_a_client_token_was_refused_for_and_no_key_that_nobody_took() {
        let new = RequestRecord::new(String::new(), SystemTime::UNIX_EPOCH);
        let refused = RequestRecord { status: 429, key: Some("0a1b2c3d".to_owned()), is_keyed: true, ..new };
        assert_eq!(refused.summed_key(), None);
        let holder = Holder { user: "alice".into(), group: None, token: "tok_1".into() };
        assert_eq!(RequestRecord { holder: Some(Arc::new(holder)), ..refused.clone() }.summed_key(), Some("0a1b2c3d"));
        assert_eq!(RequestRecord { status: 200, attempts: 1, ..refused }.summed_key(), Some("0a1b2c3d"));
    }
}
