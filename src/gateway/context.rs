//! What the gateway knows of one request while it is handled.

use super::held::HeldBody;
use super::snapshot::{Destination, Snapshot};
use crate::rules::matcher::Facts;
use bytes::Bytes;
use pingora::http::RequestHeader;
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
    /// Its body as the client sent it; `None` if it has none, or once it is of no more use.
    pub body: Option<HeldBody>,
    /// `Content-Length` in the client's own case.
    pub length_name: Bytes,
    /// Bytes of its body as the client sent it.
    pub request_bytes: u64,
    /// The place of its destination in the snapshot.
    pub destination: usize,
    /// Why the gateway answered it by itself with an error.
    pub rejected: Option<&'static str>,
    /// The way to the upstream.
    pub attempt: Attempt,
    /// Whether a kept connection turned out to be closed: the request is sent again once, on a new one.
    pub was_stale: bool,
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
    /// The rules that apply, as places in the destination's rule set.
    pub rules: Vec<usize>,
    /// The body as this upstream gets it; `None` if it is the client's.
    pub body: Option<Bytes>,
    /// When it began.
    pub began: Option<Instant>,
    /// Whether anything of an answer came, interim ones included.
    pub something_came: bool,
    /// Whether the body was handed to Pingora.
    pub body_given: bool,
    /// What became of the system prompt; empty if that was not asked for.
    pub rewrite: &'static str,
}

impl Context {
    /// The context of a request that just came in; `in_flight` counts it.
    pub fn new(snapshot: Arc<Snapshot>, request_id: String, in_flight: &IntGauge) -> Self {
        Self {
            snapshot,
            request_id,
            started: Instant::now(),
            started_at: SystemTime::now(),
            client: None,
            body: None,
            length_name: Bytes::from_static(b"Content-Length"),
            request_bytes: 0,
            destination: 0,
            rejected: None,
            attempt: Attempt::default(),
            was_stale: false,
            attempts: 0,
            first_byte: None,
            in_flight: InFlight::new(in_flight),
        }
    }

    /// Where the request goes.
    pub fn destination(&self) -> &Destination {
        // There is at least one destination, and `destination` is a place among them.
        &self.snapshot.destinations[self.destination]
    }

    /// What rules can ask about the request; `headers` and `target` are the client's.
    pub fn facts<'a>(&'a self, request: &'a RequestHeader, model: Option<&'a str>) -> Facts<'a> {
        Facts {
            method: request.method.as_str(),
            target: request.raw_path(),
            headers: &request.headers,
            client: self.client,
            request_id: &self.request_id,
            upstream: &self.destination().upstream.config.name,
            model,
        }
    }
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
