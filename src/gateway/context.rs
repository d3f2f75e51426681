//! What the gateway knows of one request while it is handled.

use super::held::HeldBody;
use super::snapshot::Snapshot;
use crate::rules::system::{Rewrite, Unchanged};
use bytes::Bytes;
use pingora_prometheus::prometheus::IntGauge;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The context of a request; Pingora hands it to every phase.
pub struct Context {
    /// The configuration that the request began with.
    pub snapshot: Arc<Snapshot>,
    /// The gateway's id of the request.
    pub request_id: String,
    /// When its first byte came in.
    pub started: Instant,
    /// The same as a date.
    pub started_at: SystemTime,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// Its body as it is to be sent; `None` if it has none, or once it is of no more use.
    pub body: Option<HeldBody>,
    /// `Content-Length` in the client's own case.
    pub length_name: Bytes,
    /// Bytes of its body as the client sent it.
    pub request_bytes: u64,
    /// What became of the system prompt, if that was looked at.
    pub rewrite: Option<Result<Rewrite, Unchanged>>,
    /// The way to the upstream.
    pub attempt: Attempt,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the first byte of the upstream's answer came in.
    pub first_byte: Option<Instant>,
    /// Counts the request as long as the context lives.
    pub in_flight: InFlight,
}

/// One try to send the request to an upstream. A retry begins with a fresh one.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Where it goes.
    pub address: Option<SocketAddr>,
    /// How many addresses the upstream's host has.
    pub addresses: usize,
    /// Whether the body was handed to Pingora.
    pub body_given: bool,
}

/// Adds one to a gauge for as long as it lives; a panic takes it back too.
pub struct InFlight(IntGauge);

impl InFlight {
    /// Counts one more.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
