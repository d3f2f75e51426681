//! What the gateway knows of one request while it is handled.

use crate::gateway::clean::Names;
use crate::gateway::client::body_budget::HeldBody;
use crate::gateway::client::response_hold::ResponseHold;
use crate::gateway::identity::Identity;
use crate::gateway::running::Ticket as RunningTicket;
use crate::gateway::snapshot::{Destination, Group, Snapshot};
use crate::upstream::Ticket;
use crate::upstream::sessions::Client;
use bytes::Bytes;
use gateway_core::addresses::Origin;
use gateway_core::http1::Refusal;
use gateway_core::reason::Reason;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::record::{Capture, PromptOutcome};
use gateway_core::rules::matcher::Facts;
use gateway_core::usage::error_body::ErrorBody;
use gateway_core::usage::meter::Meter;
use pingora::ErrorType;
use pingora::http::RequestHeader;
use pingora_prometheus::prometheus::IntGauge;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

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
    /// Where it came from: the client's own address, whatever proxies stand before the gateway.
    pub client: Option<IpAddr>,
    /// How many members at the end of its `X-Forwarded-For` stand for that address and for trusted proxies.
    pub believed: usize,
    /// Its body as the client sent it; `None` if it has none, or once it is of no more use.
    pub body: Option<HeldBody>,
    /// `Content-Length` in the client's own case.
    pub length_name: Bytes,
    /// Bytes of its body as the client sent it.
    pub request_bytes: u64,
    /// The way to tell the client's connection something.
    pub control: Option<Arc<ResponseHold>>,
    /// Who sends it, if that was found out before its body was read.
    pub identity: Option<Result<Identity, Refusal>>,
    /// The upstreams that it may go to.
    pub group: Group,
    /// Who sends it.
    pub sender: Client,
    /// The place of its destination in the snapshot.
    pub destination: usize,
    /// Its place at that destination's upstream.
    pub ticket: Option<Ticket>,
    /// The upstreams that were tried in vain.
    pub tried: Vec<Tried>,
    /// Why the gateway answered it by itself with an error.
    pub rejected: Option<Reason>,
    /// The way to the upstream.
    pub attempt: Attempt,
    /// Whether a kept connection to this upstream turned out to be closed: the request is sent again once.
    pub was_stale: bool,
    /// Whether the next connection must be one that was not used before.
    pub must_be_fresh: bool,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it had a place at an upstream.
    pub entered: Option<Instant>,
    /// When the first byte of the upstream's answer came in.
    pub first_byte: Option<Instant>,
    /// What it calls things, once that was noted.
    pub names: Option<Names>,
    /// What the request log is to keep of it.
    pub capture: Option<Box<Capture>>,
    /// Whether the gateway answers it with a page of its own, which is no traffic.
    pub is_local: bool,
    /// Shows it among the running requests.
    pub running: Option<RunningTicket>,
    /// Counts its answer among the open streams.
    pub stream: Option<InFlight>,
    /// Counts the request as long as the context lives, unless it is one for the gateway's own pages.
    pub in_flight: Option<InFlight>,
}

/// An upstream that was tried in vain.
#[derive(Debug)]
pub struct Tried {
    /// Its place in the snapshot.
    pub destination: usize,
    /// What it did.
    pub fault: UpstreamFault,
}

/// One try to send the request to an upstream. A retry begins with a fresh one.
#[derive(Debug, Default)]
pub struct Attempt {
    /// The rules that apply, as places in the destination's rule set.
    pub rules: Vec<usize>,
    /// The body as this upstream gets it; `None` if it is the client's.
    pub body: Option<Bytes>,
    /// When it began.
    pub began: Option<Instant>,
    /// Whether anything of an answer came, interim ones included.
    pub something_came: bool,
    /// How many interim responses came, and how many bytes their fields had.
    pub interim: (usize, usize),
    /// Whether the head of the answer was a good one.
    pub is_good: bool,
    /// Whether the body was handed to Pingora.
    pub body_given: bool,
    /// What became of the system prompt, if that was asked for.
    pub prompt_outcome: Option<PromptOutcome>,
    /// When there was a connection.
    pub connected: Option<Instant>,
    /// Reads the answer as it goes by.
    pub meter: Option<Box<Meter>>,
    /// Keeps the beginning of an error.
    pub error_body: Option<Box<ErrorBody>>,
}

/// A kept connection that fails within this time, without a byte of answer, is taken for one that was closed while idle.
const STALE_WITHIN: Duration = Duration::from_secs(1);

impl Attempt {
    /// Whether this error on a kept connection looks as if the upstream had closed it in the meantime.
    pub fn may_be_stale(&self, error: &ErrorType) -> bool {
        let is_lost = matches!(
            error,
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error
        );
        // Later than that the upstream may have worked on it.
        let is_early = self.began.is_some_and(|began| began.elapsed() < STALE_WITHIN);
        is_lost && is_early && !self.something_came
    }
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
            believed: 0,
            body: None,
            length_name: Bytes::from_static(b"Content-Length"),
            request_bytes: 0,
            control: None,
            identity: None,
            group: Group::default(),
            sender: Client::UNKNOWN,
            destination: 0,
            ticket: None,
            tried: Vec::new(),
            rejected: None,
            attempt: Attempt::default(),
            was_stale: false,
            must_be_fresh: false,
            attempts: 0,
            entered: None,
            first_byte: None,
            names: None,
            capture: None,
            is_local: false,
            running: None,
            stream: None,
            in_flight: Some(InFlight::new(in_flight)),
        }
    }

    /// Notes where the request came from.
    pub fn came_from(&mut self, origin: Option<Origin>) {
        self.client = origin.map(|origin| origin.client);
        self.believed = origin.map_or(0, |origin| origin.believed);
    }

    /// Where the request goes.
    pub fn destination(&self) -> &Destination {
        // There is at least one destination, and `destination` is a place among them.
        &self.snapshot.destinations[self.destination]
    }

    /// Gives the body up, of which nothing is needed any more.
    pub fn forget_body(&mut self) {
        self.body = None;
        self.attempt.body = None;
    }

    /// Whether the head of an answer waits for the first byte of its body, so that the client has nothing of it yet.
    pub fn is_head_held(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.held_until_ms().is_some())
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
