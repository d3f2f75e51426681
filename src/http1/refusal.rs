//! A request that the gateway does not pass on, and what it says about it.

use std::borrow::Cow;

/// Why a request is refused, as it is told to the client and counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}: {message}")]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// A short fixed name for counters and the access log, such as `host` or `content_length`.
    pub reason: &'static str,
    /// One sentence for the client: what is wrong and what to do. Never holds a header's value.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with the given status.
    pub fn new(status: u16, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// 400: the request breaks RFC 9110 or RFC 9112.
    pub fn bad(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, reason, message)
    }
}
