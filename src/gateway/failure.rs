//! What a failed request means, and what the client is told.

use super::answer::Answer;
use super::context::Context;
use super::respond;
use super::unsent::Stalled;
use crate::record::Outcome;
use crate::upstream::{PROXY, PROXY_TIMEOUT, RESOLVE};
use pingora::{Error, ErrorSource, ErrorType};

/// An answer that was given up because another upstream takes the request over.
pub const GIVEN_UP: ErrorType = ErrorType::Custom("given_up");
/// An answer that is none: nothing at all.
pub const NO_ANSWER: ErrorType = ErrorType::Custom("no_answer");
/// An answer that is a web page.
pub const WEB_PAGE: ErrorType = ErrorType::Custom("web_page");
/// The outbound proxy answered in place of the upstream.
pub const PROXY_ANSWER: ErrorType = ErrorType::Custom("proxy_answer");
/// No place became free at the upstream.
pub const NO_PLACE: ErrorType = ErrorType::Custom("no_place");

/// A failure as the client and the records see it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Status of the answer; 0 if there is nobody to answer to.
    pub status: u16,
    /// How the request ended.
    pub outcome: Outcome,
    /// A short fixed name.
    pub reason: &'static str,
    /// What failed and what to do.
    pub message: String,
    /// What the upstream did, as the rest of a sentence that begins with its name; empty if it is not to blame.
    pub what: String,
}

/// Reads Pingora's error in the light of what is known of the request.
pub fn read(error: &Error, request: &Context) -> Failure {
    match error.esource() {
        ErrorSource::Upstream => from_upstream(error, request),
        ErrorSource::Downstream => from_client(error, request),
        ErrorSource::Internal | ErrorSource::Unset => Failure {
            status: 500,
            outcome: Outcome::GatewayError,
            reason: "internal",
            message: "The gateway failed to handle the request; its log has the details.".to_owned(),
            what: String::new(),
        },
    }
}

fn from_client(error: &Error, request: &Context) -> Failure {
    if let Some(stalled) = request.control.as_ref().and_then(|control| control.stalled()) {
        let (reason, message) = match stalled {
            Stalled::TooLong => ("write_timeout", "The client took no byte of its answer for too long."),
            Stalled::TooMuch => (
                "unsent_answers",
                "Too many answers waited for slow clients (limits.unsent_answers), and this one had waited longest.",
            ),
        };
        let message = message.to_owned();
        return Failure { status: 0, outcome: Outcome::ClientStalled, reason, message, what: String::new() };
    }
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Failure {
            status: 400,
            outcome: Outcome::Rejected,
            reason: "header",
            message: "A header of the request is malformed.".to_owned(),
            what: String::new(),
        },
        _ => Failure {
            status: 0,
            outcome: Outcome::ClientAborted,
            reason: "client_gone",
            message: "The client closed the connection.".to_owned(),
            what: String::new(),
        },
    }
}

fn from_upstream(error: &Error, request: &Context) -> Failure {
    use ErrorType as E;
    let upstream = &request.destination().upstream;
    let (name, origin) = (&upstream.config.name, upstream.origin());
    let fail = |status, outcome, reason, what: String| Failure {
        status,
        outcome,
        reason,
        message: format!("The upstream \"{name}\" ({origin}) {what}"),
        what,
    };
    let seconds = |duration: std::time::Duration| humantime::format_duration(duration).to_string();
    let began = request.first_byte.is_some();
    match error.etype() {
        E::ConnectTimedout | E::TLSHandshakeTimedout => fail(
            504,
            Outcome::Unreachable,
            "connect_timeout",
            format!(
                "could not be connected to within {}: check the network, or whether a proxy is needed.",
                seconds(upstream.config.connect_timeout)
            ),
        ),
        E::ConnectRefused => fail(
            502,
            Outcome::Unreachable,
            "connect_refused",
            "refused the connection: check that it is running and that base_url is right.".to_owned(),
        ),
        kind if *kind == RESOLVE => fail(
            502,
            Outcome::Unreachable,
            "resolve",
            format!("could not be found: {}. Check base_url and the machine's DNS.", cause(error)),
        ),
        kind if *kind == PROXY || *kind == PROXY_TIMEOUT => {
            let reason = if *kind == PROXY { "proxy" } else { "proxy_timeout" };
            fail(502, Outcome::Unreachable, reason, format!("could not be reached: {}.", cause(error)))
        }
        kind if *kind == PROXY_ANSWER => fail(502, Outcome::Unreachable, "proxy", format!("{}.", context(error))),
        kind if *kind == NO_ANSWER => fail(502, Outcome::UpstreamError, "no_answer", format!("{}.", context(error))),
        kind if *kind == WEB_PAGE => fail(502, Outcome::UpstreamError, "web_page", format!("{}.", context(error))),
        kind if *kind == NO_PLACE => fail(503, Outcome::Rejected, "upstream_full", format!("{}.", context(error))),
        E::TLSHandshakeFailure | E::InvalidCert | E::HandshakeError | E::TLSWantX509Lookup => fail(
            502,
            Outcome::Unreachable,
            "tls",
            format!("could not be connected to over TLS: {}. Check base_url, sni and ca_file.", cause(error)),
        ),
        E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError | E::ConnectProxyFailure => {
            fail(502, Outcome::Unreachable, "connect", format!("could not be connected to: {}.", cause(error)))
        }
        E::ReadTimedout if began => fail(
            504,
            Outcome::Stalled,
            "stalled",
            format!("fell silent for {} in the middle of its answer.", seconds(upstream.config.read_timeout)),
        ),
        E::ReadTimedout => fail(
            504,
            Outcome::Unreachable,
            "first_byte_timeout",
            format!(
                "did not begin its answer within {} (first_byte_timeout, read_timeout).",
                seconds(upstream.config.first_byte_timeout)
            ),
        ),
        E::WriteTimedout => fail(504, Outcome::Unreachable, "write_timeout", "stopped taking the request.".to_owned()),
        _ if began => fail(502, Outcome::Truncated, "truncated", "ended its answer before it was complete.".to_owned()),
        E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::InvalidH2 => {
            fail(502, Outcome::Unreachable, "bad_answer", "sent something that is not a valid HTTP answer.".to_owned())
        }
        _ => fail(502, Outcome::Unreachable, "closed", "closed the connection without an answer.".to_owned()),
    }
}

/// Pingora's error for what the gateway itself finds wrong with an upstream.
pub fn found(kind: ErrorType, what: String) -> Box<Error> {
    Error::explain(kind, what).into_up()
}

/// Whether it was settled already what follows this error.
pub fn is_decided(kind: &ErrorType) -> bool {
    [GIVEN_UP, NO_ANSWER, WEB_PAGE, PROXY_ANSWER].contains(kind)
}

/// The client's connection is where the time to the first byte is kept: its error is the upstream's then.
pub fn unless_late(error: Box<Error>, context: &Context) -> Box<Error> {
    let is_late = context.first_byte.is_none() && context.control.as_ref().is_some_and(|control| control.is_late());
    if *error.esource() == ErrorSource::Downstream && is_late {
        return Error::new_up(ErrorType::ReadTimedout);
    }
    error
}

/// What [`found`] was told.
fn context(error: &Error) -> &str {
    error.context.as_ref().map_or("", |context| context.as_str())
}

/// The failure of a request for which several upstreams were tried: what each of them did.
pub fn of_all(last: Failure, context: &Context) -> Failure {
    if context.tried.len() < 2 || last.what.is_empty() {
        return last;
    }
    let each = context.tried.iter().map(|tried| {
        let upstream = &context.snapshot.upstreams[tried.destination];
        format!("\"{}\" ({}) {}", upstream.config.name, upstream.origin(), tried.what.trim_end_matches('.'))
    });
    let message = format!("No upstream answered: {}.", each.collect::<Vec<_>>().join("; "));
    Failure { status: 502, message, ..last }
}

/// The innermost cause, in one line.
fn cause(error: &Error) -> String {
    let root = error.root_cause().to_string();
    root.trim().trim_end_matches('.').replace(['\r', '\n'], " ")
}

impl Failure {
    /// What the client gets.
    pub fn answer(&self, request: &Context) -> Answer {
        let mut answer = Answer::error(self.status, &self.message, &request.request_id);
        if request.attempts > 0 {
            answer.headers.extend(respond::tell(request));
        }
        answer
    }
}
