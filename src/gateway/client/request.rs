//! A request that was read from a client, and why none was.

use super::body_budget::{HeldBody, Hold};
use super::response_hold::ResponseHold;
use crate::gateway::answer::Answer;
use crate::gateway::identity::Found;
use bytes::Bytes;
use gateway_core::http1::Refusal;
use std::sync::Arc;
use std::time::Instant;

/// Why no request was read.
#[derive(Debug)]
pub(crate) enum NoRequest {
    /// The client closed the connection, or left it idle for too long.
    Gone,
    /// The client closed the connection in mid-request, or gave the request up (HTTP/2).
    Aborted,
    /// The request is refused.
    Refused(Refusal),
    /// It is one for the gateway's own pages, and is answered without its body; with its id.
    Answered(Answer, String),
}

impl From<Refusal> for NoRequest {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What is known of a body before it is read.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Its part of the memory for bodies.
    pub hold: Hold,
    /// Who sends it; `None` for one of the gateway's own pages.
    pub found: Option<Found>,
}

/// What was read of a request beside its head.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    /// When its first byte came in.
    pub started: Instant,
    /// Its body; `None` if it has none.
    pub body: Option<HeldBody>,
    /// What was found out before that was read; `None` if it has none.
    pub found: Option<Found>,
    /// `Content-Length` in the client's own case.
    pub length_name: Bytes,
    /// The way to tell the client's connection something.
    pub hold: Arc<ResponseHold>,
}
