//! What a failed request means: whether to try again, and what the client is told.

use super::answer::Answer;
use super::context::Context;
use crate::record::Outcome;
use pingora::{Error, ErrorSource, ErrorType};

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
}

/// Reads Pingora's error in the light of what is known of the request.
pub fn read(error: &Error, context: &Context) -> Failure {
    match error.esource() {
        ErrorSource::Upstream => from_upstream(error, context),
        ErrorSource::Downstream => from_client(error),
        ErrorSource::Internal | ErrorSource::Unset => Failure {
            status: 500,
            outcome: Outcome::GatewayError,
            reason: "internal",
            message: "The gateway failed to handle the request; its log has the details.".to_owned(),
        },
    }
}

fn from_client(error: &Error) -> Failure {
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Failure {
            status: 400,
            outcome: Outcome::Rejected,
            reason: "header",
            message: "A header of the request is malformed.".to_owned(),
        },
        _ => Failure {
            status: 0,
            outcome: Outcome::ClientAborted,
            reason: "client_gone",
            message: "The client closed the connection.".to_owned(),
        },
    }
}

fn from_upstream(error: &Error, context: &Context) -> Failure {
    use ErrorType as E;
    let upstream = &context.destination().upstream;
    let (name, origin) = (&upstream.config.name, upstream.origin());
    let fail = |status, outcome, reason, what: String| Failure {
        status,
        outcome,
        reason,
        message: format!("The upstream \"{name}\" ({origin}) {what}"),
    };
    let seconds = |duration: std::time::Duration| humantime::format_duration(duration).to_string();
    let began = context.first_byte.is_some();
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
        E::Custom("resolve") => fail(
            502,
            Outcome::Unreachable,
            "resolve",
            "could not be found: its name does not resolve. Check base_url and the machine's DNS.".to_owned(),
        ),
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
            format!("did not answer within {} (read_timeout).", seconds(upstream.config.read_timeout)),
        ),
        E::WriteTimedout => fail(504, Outcome::Unreachable, "write_timeout", "stopped taking the request.".to_owned()),
        _ if began => fail(502, Outcome::Truncated, "truncated", "ended its answer before it was complete.".to_owned()),
        E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::InvalidH2 => {
            fail(502, Outcome::Unreachable, "bad_answer", "sent something that is not a valid HTTP answer.".to_owned())
        }
        _ => fail(502, Outcome::Unreachable, "closed", "closed the connection without an answer.".to_owned()),
    }
}

/// The innermost cause, in one line.
fn cause(error: &Error) -> String {
    let root = error.root_cause().to_string();
    root.trim().trim_end_matches('.').replace(['\r', '\n'], " ")
}

impl Failure {
    /// What the client gets.
    pub fn answer(&self, request_id: &str) -> Answer {
        Answer::error(self.status, &self.message, request_id)
    }
}

/// Whether a failed connection may be tried again: at another address of the same upstream.
pub fn may_try_another_address(context: &Context) -> bool {
    (context.attempts as usize) < context.attempt.addresses.min(3)
}
