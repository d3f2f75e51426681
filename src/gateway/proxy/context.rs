//! What the gateway knows of one request while it is handled.

use super::shapes::Shapes;
use crate::gateway::answer::Recipient;
use crate::gateway::clean::Names;
use crate::gateway::client::body_budget::HeldBody;
use crate::gateway::client::response_hold::ResponseHold;
use crate::gateway::identity::Identity;
use crate::gateway::running::Ticket as RunningTicket;
use crate::gateway::snapshot::{Destination, Snapshot};
use crate::ledger::Admitted;
use crate::upstream::Ticket;
use crate::upstream::keys::Key;
use crate::upstream::line::Line;
use crate::upstream::lines::Tried as TriedLines;
use bytes::Bytes;
use gateway_core::addresses::Origin;
use gateway_core::errors::ErrorRule;
use gateway_core::protocol::Protocol;
use gateway_core::reason::Reason;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::record::verdict::Sign;
use gateway_core::record::{Capture, PromptOutcome};
use gateway_core::redact::masking::Masking;
use gateway_core::rules::matcher::Facts;
use gateway_core::rules::thinking::Place;
use gateway_core::thinking::Moved;
use gateway_core::thinking::conversation::{self, Conversation, Course, Shown};
use gateway_core::thinking::edition::Edition;
use gateway_core::usage::error_body::{ErrorBody, ErrorText};
use gateway_core::usage::meter::Meter;
use gateway_core::usage::summary::Summary;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};
use pingora_prometheus::prometheus::IntGauge;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The context of a request; Pingora hands it to every phase.
pub(crate) struct Context {
    /// The configuration that the request began with.
    pub snapshot: Arc<Snapshot>,
    /// The gateway's id of the request.
    pub request_id: String,
    /// What came in.
    pub arrival: Arrival,
    /// Where it goes, and where it was in vain.
    pub routing: Routing,
    /// The conversation that it belongs to, once that was looked up.
    pub conversation: Option<Box<Conversing>>,
    /// The way to the upstream.
    pub attempt: Attempt,
    /// What it holds of the limits of its token, user and group.
    pub admitted: Option<Admitted>,
    /// What is noted of it, for those who look on and for its record.
    pub observation: Observation,
}

/// A request as it came in.
pub(crate) struct Arrival {
    /// When its first byte came in.
    pub started: Instant,
    /// The same as a date.
    pub started_at: SystemTime,
    /// Where it came from: the client's own address, whatever proxies stand before the gateway.
    pub client: Option<IpAddr>,
    /// How many members at the end of its `X-Forwarded-For` stand for that address and for trusted proxies.
    pub believed: usize,
    /// Who sends it, and where that may go.
    pub identity: Identity,
    /// Which API it is for, and what of it.
    pub protocol: Protocol,
    /// The gateway's own response, should the upstreams have none: for a request for models.
    pub stand_in: Option<String>,
    /// Whether it asks for a stream, once somebody wanted to know.
    pub asks_for_stream: Option<bool>,
    /// Its body as the client sent it; `None` if it has none, or once it is of no more use.
    pub body: Option<HeldBody>,
    /// `Content-Length` in the client's own case.
    pub length_name: Bytes,
    /// Bytes of its body as the client sent it.
    pub request_bytes: u64,
    /// The way to tell the client's connection something.
    pub hold: Option<Arc<ResponseHold>>,
}

/// Where a request goes.
#[derive(Default)]
pub(crate) struct Routing {
    /// The place of its destination in the snapshot, once one is chosen.
    pub destination: Option<usize>,
    /// Its place at that destination's upstream.
    pub ticket: Option<Ticket>,
    /// The place of the line that the present attempt takes to it.
    pub line: usize,
    /// The lines to it that failed.
    pub lines_tried: TriedLines,
    /// Whether the next attempt is the same one on another line, because there was no connection.
    pub was_not_sent: bool,
    /// How many attempts were made on another line after one that may have been heard.
    pub sent_again: u32,
    /// The place of the key there that the present attempt goes out with, if the upstream has any.
    pub key: Option<usize>,
    /// The keys that were tried in vain, where the request went on with another one.
    pub keys_tried: Vec<KeyTried>,
    /// When it had one first.
    pub entered: Option<Instant>,
    /// The upstreams that were tried in vain.
    pub tried: Vec<Tried>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// Whether a kept connection to this upstream turned out to be closed: the request is sent again once.
    pub was_stale: bool,
    /// Whether the next connection must be one that was not used before.
    pub must_be_fresh: bool,
    /// Who did not know the field by which the gateway asked it to drop thinking: the request goes on without.
    pub controls_refused: Option<ControlsRefused>,
    /// How the request was made good whose thinking was refused, if it was.
    pub repair: Option<Repair>,
    /// The rule that decided what followed an error, the last one if there were several.
    pub error_rule: Option<Arc<ErrorRule>>,
    /// Whether another upstream would have been asked, had the retry budget not been used up.
    pub was_unaffordable: bool,
    /// Where its session would be if it were a new one, and all upstreams healthy.
    pub home: Option<usize>,
    /// Whether the upstream that its session belongs to took no requests when it was sent elsewhere.
    pub is_home_down: bool,
    /// Whether the upstream that it went to last has learnt how it ended.
    pub is_settled: bool,
}

/// A request whose thinking was refused goes on without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repair {
    /// The place of the upstream that refused it.
    pub destination: usize,
    /// The first block that was refused, as that upstream counts; `None`: all.
    pub first: Option<Place>,
    /// How many upstreams had been tried in vain by then.
    pub after: usize,
}

/// An upstream that refused a request for the field which the gateway had added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlsRefused {
    /// Its place.
    pub destination: usize,
    /// How many upstreams had been tried in vain by then.
    pub after: usize,
}

/// The conversation that a request belongs to, as it was known when the request came.
#[derive(Debug)]
pub(crate) struct Conversing {
    /// Stands for it.
    pub key: u64,
    /// What was known of it.
    pub known: Option<Arc<Conversation>>,
    /// What the request shows.
    pub shown: Shown,
    /// How it goes on.
    pub course: Course,
    /// The rules that apply to `system` and `tools`: those that it began with, or the present ones.
    pub edition: Arc<Edition>,
    /// Where the present attempt goes.
    pub place: Option<conversation::Place>,
    /// Whether rules change `system` or `tools` of the present attempt.
    pub changes_prefix: bool,
}

/// What is noted of a request.
pub(crate) struct Observation {
    /// What it calls things, once that was noted.
    pub names: Option<Arc<Names>>,
    /// What the request log is to keep of it.
    pub capture: Option<Box<Capture>>,
    /// Whether somebody asked for that, however the request ends.
    pub is_capture_wished: bool,
    /// What it looks like, once that was noted.
    pub shapes: Shapes,
    /// Why the gateway answered it by itself with an error.
    pub rejected: Option<Reason>,
    /// Whether the gateway answered in place of the upstreams.
    pub is_stood_in: bool,
    /// Whether the gateway answers it with a page of its own, which is no traffic.
    pub is_local: bool,
    /// Shows it among the running requests.
    pub running: Option<RunningTicket>,
    /// Counts its response among the open streams.
    pub stream: Option<InFlight>,
    /// Counts the request as long as the context lives, unless it is one for the gateway's own pages.
    pub in_flight: Option<InFlight>,
}

/// An upstream that was tried in vain.
#[derive(Debug)]
pub(crate) struct Tried {
    /// Its place in the snapshot.
    pub destination: usize,
    /// The place of its key.
    pub key: Option<usize>,
    /// What it did.
    pub fault: UpstreamFault,
    /// What that says about whose fault it was.
    pub sign: Sign,
    /// When the request got its place there.
    pub began_ms: u64,
    /// Whether the upstream has learnt of it.
    pub is_settled: bool,
}

/// A key that was tried in vain, where another one of its upstream took its place.
#[derive(Debug)]
pub(crate) struct KeyTried {
    /// The place of the upstream in the snapshot.
    pub destination: usize,
    /// The place of the key there.
    pub key: usize,
    /// What the upstream did.
    pub fault: UpstreamFault,
    /// The pause that it asked for.
    pub told: Option<Duration>,
    /// When the request went out with the key.
    pub began_ms: u64,
    /// How many upstreams had been tried in vain by then.
    pub after: usize,
}

/// One try to send the request to an upstream. A retry begins with a fresh one.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The rules that apply, as places in the destination's rule set.
    pub rules: Vec<usize>,
    /// Names of former rules that changed `system` or `tools` in place of the destination's.
    pub former_rules: Vec<Arc<str>>,
    /// The body as this upstream gets it; `None` if it is the client's.
    pub body: Option<Bytes>,
    /// When it began.
    pub began: Option<Instant>,
    /// When there was a connection.
    pub connected: Option<Instant>,
    /// When the first byte of the response came in.
    pub first_byte: Option<Instant>,
    /// Whether anything of a response came, interim ones included.
    pub something_came: bool,
    /// How many interim responses came, and how many bytes their fields had.
    pub interim: (usize, usize),
    /// Status of the response; 0 before it came.
    pub status: u16,
    /// Whether a bad response is a web page.
    pub is_page: bool,
    /// The pause that a bad response asks for.
    pub retry_after: Option<Duration>,
    /// An error whose body is still to come, which says what follows.
    pub undecided: Option<Undecided>,
    /// Whether its error is the request's own, and says nothing of the upstream.
    pub is_of_request: bool,
    /// Whether the client gets in place of the error what the rule says that decided.
    pub is_replaced: bool,
    /// Whether a byte of the body came.
    pub has_body: bool,
    /// Whether it is settled whether the response is one, as far as its beginning tells.
    pub has_opened: bool,
    /// Whether the body was handed to Pingora.
    pub body_given: bool,
    /// What became of the system prompt, if that was asked for.
    pub prompt_outcome: Option<PromptOutcome>,
    /// Why thinking that comes back may not be valid at this upstream; known before anything is sent.
    pub moved: Option<Moved>,
    /// Whether the API was asked to drop thinking that does not fit.
    pub asked_to_drop: bool,
    /// How many blocks of thinking were taken out, because they had been refused.
    pub removed_thinking: u32,
    /// Whether the response may be one that refuses thinking, after which the request is sent once more.
    pub may_be_refused: bool,
    /// Reads the response as it goes by.
    pub meter: Option<Box<Meter>>,
    /// Keeps the beginning of an error.
    pub error_body: Option<Box<ErrorBody>>,
    /// Masks secrets in what is no success, for who has only a token.
    pub masking: Option<Box<Masking>>,
    /// The beginning of its body, if that is in a coding: it cannot be masked then.
    pub coded: Option<Box<ErrorBody>>,
    /// What both have read, once the response is over.
    pub read: Option<Read>,
}

/// An error of which only the head is known.
#[derive(Debug)]
pub(crate) struct Undecided {
    /// What its status is a fault by, where no rule decides: one after which the request goes on.
    pub bad: Option<Bad>,
}

/// A response that another upstream may do better.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// What the upstream did.
    pub fault: UpstreamFault,
    /// The pause that it asks for.
    pub retry_after: Option<Duration>,
}

/// What a response says.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// If it is one of an API that is known.
    pub answer: Option<Summary>,
    /// If it is an error.
    pub error: Option<ErrorText>,
}

/// A kept connection that fails within this time, without a byte of response, is taken for one that was closed while
/// idle.
const STALE_WITHIN: Duration = Duration::from_secs(1);

impl Attempt {
    /// What the response says, which is over.
    pub(crate) fn read(&mut self) -> &mut Read {
        let (meter, error) = (&mut self.meter, &mut self.error_body);
        self.read.get_or_insert_with(|| Read {
            answer: meter.take().map(|mut meter| meter.finish()),
            error: error.take().map(|body| body.finish()),
        })
    }

    /// Whether this error on a kept connection looks as if the upstream had closed it in the meantime.
    pub(crate) fn may_be_stale(&self, error: &ErrorType) -> bool {
        let is_lost = matches!(
            error,
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error
        );
        // Later than that the upstream may have worked on it.
        let is_early = self.began.is_some_and(|began| began.elapsed() < STALE_WITHIN);
        is_lost && is_early && !self.something_came
    }
}

impl Arrival {
    fn now() -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            client: None,
            believed: 0,
            identity: Identity::default(),
            protocol: Protocol::default(),
            stand_in: None,
            asks_for_stream: None,
            body: None,
            length_name: Bytes::from_static(b"Content-Length"),
            request_bytes: 0,
            hold: None,
        }
    }

    /// Notes where the request came from.
    pub(crate) fn came_from(&mut self, origin: Option<Origin>) {
        self.client = origin.map(|origin| origin.client);
        self.believed = origin.map_or(0, |origin| origin.believed);
    }

    /// The whole body; empty if there is none.
    pub(crate) fn body_bytes(&self) -> &[u8] {
        self.body.as_ref().map(|held| &held.bytes[..]).unwrap_or_default()
    }
}

impl Context {
    /// The context of a request that just came in; `in_flight` counts it.
    pub(crate) fn new(snapshot: Arc<Snapshot>, request_id: String, in_flight: &IntGauge) -> Self {
        let observation = Observation {
            names: None,
            capture: None,
            is_capture_wished: false,
            shapes: Shapes::default(),
            rejected: None,
            is_stood_in: false,
            is_local: false,
            running: None,
            stream: None,
            in_flight: Some(InFlight::new(in_flight)),
        };
        let (arrival, routing, attempt) = (Arrival::now(), Routing::default(), Attempt::default());
        Self { snapshot, request_id, arrival, routing, conversation: None, attempt, admitted: None, observation }
    }

    /// Whom an answer of the gateway's own is for, to a request with this head.
    pub(crate) fn recipient(&self, head: &RequestHeader) -> Recipient<'_> {
        Recipient::of(&self.request_id, &head.headers, self.snapshot.config.language)
    }

    /// Where the request goes, if that is known yet.
    pub(crate) fn chosen(&self) -> Option<&Destination> {
        self.snapshot.destinations.get(self.routing.destination?)
    }

    /// Where the request goes.
    ///
    /// # Errors
    /// When that is not known yet; that would be a mistake of the gateway's.
    pub(crate) fn destination(&self) -> Result<&Destination> {
        self.destination_in(&self.snapshot)
    }

    /// The same in a snapshot of its own: that of the request.
    ///
    /// # Errors
    /// As [`Self::destination`].
    pub(crate) fn destination_in<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Destination> {
        let chosen = self.routing.destination.and_then(|at| snapshot.destinations.get(at));
        chosen.ok_or_else(|| Error::explain(ErrorType::InternalError, "no upstream was chosen"))
    }

    /// The line that the present attempt takes.
    ///
    /// # Errors
    /// As [`Self::destination`].
    pub(crate) fn line(&self) -> Result<&Line> {
        Ok(self.destination()?.upstream.lines.at(self.routing.line))
    }

    /// Whether it was sent as often as `failover.max_attempts` allows, once the present attempt has failed.
    pub(crate) fn has_no_attempt_left(&self, failed: usize) -> bool {
        failed + self.routing.sent_again as usize >= self.snapshot.config.failover.max_attempts as usize
    }

    /// The key that the present attempt goes out with, if its upstream has any.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.chosen()?.upstream.keys.get(self.routing.key?)
    }

    /// Status and message that the client gets in place of an error, if the rule that decided says so.
    pub(crate) fn substitute(&self) -> Option<(u16, &str)> {
        let answer = self.routing.error_rule.as_ref().filter(|_| self.attempt.is_replaced)?.answer.as_ref()?;
        let status = answer.status.or(Some(self.attempt.status).filter(|status| *status >= 400));
        Some((status.unwrap_or(502), &answer.message))
    }

    /// The places of the upstreams that the request may go to.
    pub(crate) fn group(&self) -> &[usize] {
        self.arrival.identity.group.as_ref().map_or(&[], |group| self.snapshot.group(group))
    }

    /// Notes what the body looks like that it has now, if nobody did before.
    pub(crate) fn note_shapes(&mut self) {
        let came = self.arrival.body.as_ref().map(|held| &held.bytes[..]);
        self.observation.shapes.note(came, self.attempt.body.as_deref());
    }

    /// Gives the body up, of which nothing is needed any more.
    pub(crate) fn forget_body(&mut self) {
        self.note_shapes();
        self.arrival.body = None;
        self.attempt.body = None;
    }

    /// Whether the head of a response waits for the first byte of its body, so that the client has nothing of it yet.
    pub(crate) fn is_head_held(&self) -> bool {
        self.arrival.hold.as_ref().is_some_and(|hold| hold.is_holding())
    }

    /// What rules for `destination` can ask about the request; `request` has the client's own headers and target.
    pub(crate) fn facts<'a>(
        &'a self,
        request: &'a RequestHeader,
        destination: &'a Destination,
        model: Option<&'a str>,
    ) -> Facts<'a> {
        Facts {
            method: request.method.as_str(),
            target: request.raw_path(),
            headers: &request.headers,
            client: self.arrival.client,
            request_id: &self.request_id,
            upstream: &destination.upstream.config.name,
            model,
            holder: self.arrival.identity.token.as_ref().map(|token| &*token.holder),
        }
    }
}

/// Adds one to a gauge for as long as it lives; a panic takes it back too.
pub(crate) struct InFlight(IntGauge);

impl InFlight {
    /// Counts one more.
    pub(crate) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
