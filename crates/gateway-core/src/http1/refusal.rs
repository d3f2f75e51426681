//! A request that the gateway does not pass on, and what it says about it.

use crate::reason::Reason;
use std::borrow::Cow;

/// Why a request is refused, as it is told to the client and counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {}: {message}", reason.code())]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// For counters and the access log.
    pub reason: Reason,
    /// One sentence for the client: what is wrong and what to do. Never holds a header's value.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with the given status.
    pub fn new(status: u16, reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// 413: the body is larger than one may be.
    pub fn too_large(limit_bytes: usize) -> Self {
        let message = format!("The request body is larger than {limit_bytes} bytes (gateway.limits.request_body).");
        Self::new(413, Reason::RequestBody, message)
    }

    /// 503: all bodies together are as large as they may be.
    pub fn too_many_bytes() -> Self {
        Self::new(
            503,
            Reason::RequestBodiesTotal,
            "The gateway holds as many bytes of request bodies as it may (gateway.limits.request_bodies_total); try \
             again.",
        )
    }

    /// 408: the body came in so slowly that it had to make room for another one.
    pub fn slow_body() -> Self {
        Self::new(
            408,
            Reason::BodyMinRate,
            "The request body came in more slowly than gateway.limits.body_min_rate, and its memory was needed for \
             another request.",
        )
    }

    /// 503: the body had to make room, because its client held more than its share.
    pub fn over_share() -> Self {
        Self::new(
            503,
            Reason::BodyShare,
            "This client's request bodies took more than a quarter of the memory for all (\
             gateway.limits.request_bodies_total), and another client needed it; try again.",
        )
    }

    /// 503: no descriptor is left for the way to an upstream, or the connection makes room for another one.
    pub fn no_room() -> Self {
        let message = "The gateway has as many connections and requests as it may, or as this client may have \
                       (gateway.limits.connections, connections_per_client, ulimit -n); try again.";
        Self::new(503, Reason::Connections, message)
    }

    /// 503: the client does not read the responses that it has.
    pub fn unread_responses() -> Self {
        Self::new(
            503,
            Reason::UnsentAnswers,
            "This client's address has responses that it does not read, and they take much of the memory for all such \
             responses (gateway.limits.unsent_answers); try again.",
        )
    }

    /// 408: the head did not come in in time.
    pub fn late_head() -> Self {
        Self::new(408, Reason::HeaderTimeout, "The request head did not come in in time.")
    }

    /// 408: the body stopped coming in.
    pub fn late_body() -> Self {
        Self::new(408, Reason::BodyTimeout, "The request body stopped coming in.")
    }

    /// 400: the request breaks RFC 9110 or RFC 9112.
    pub fn bad(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, reason, message)
    }
}
