//! What a failed request means, and what the client is told.

use super::answer::Answer;
use super::context::{Context, Tried};
use super::respond;
use super::unsent::Stalled;
use crate::upstream::tls::Fault;
use crate::upstream::{PROXY, PROXY_TIMEOUT, RESOLVE};
use gateway_core::record::Outcome;
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
/// The upstream sends interim responses without end.
pub const INTERIM_FLOOD: ErrorType = ErrorType::Custom("interim_flood");

/// Longest text of another side that becomes part of a message.
const LONGEST_QUOTE: usize = 300;

/// What an upstream did, as the rest of a sentence that begins with its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct What {
    /// For the operator.
    pub full: String,
    /// For clients, if that names addresses, hosts or proxies: those are nobody else's business.
    public: Option<&'static str>,
}

impl What {
    /// Something of which clients are told less.
    pub fn hiding(full: String, public: &'static str) -> Self {
        Self { full, public: Some(public) }
    }

    /// For clients.
    pub fn public(&self) -> &str {
        self.public.unwrap_or(&self.full)
    }
}

impl From<String> for What {
    fn from(full: String) -> Self {
        Self { full, public: None }
    }
}

/// What clients are told of a proxy that does not do its work.
pub const PROXY_FAILED: &str = "could not be reached through its outbound proxy";

/// A failure as the client and the records see it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Status of the answer; 0 if there is nobody to answer to.
    pub status: u16,
    /// How the request ended.
    pub outcome: Outcome,
    /// A short fixed name.
    pub reason: &'static str,
    /// What failed and what to do, for the client.
    pub message: String,
    /// The same for the operator.
    pub full: String,
    /// What the upstream did; empty if it is not to blame.
    pub what: What,
}

/// Reads Pingora's error in the light of what is known of the request.
pub fn read(error: &Error, request: &Context) -> Failure {
    match error.esource() {
        ErrorSource::Upstream => from_upstream(error, request),
        ErrorSource::Downstream => from_client(error, request),
        ErrorSource::Internal | ErrorSource::Unset => {
            let message = "The gateway failed to handle the request; its log has the details.";
            blameless(500, Outcome::GatewayError, "internal", message)
        }
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
        return blameless(0, Outcome::ClientStalled, reason, message);
    }
    match error.etype() {
        ErrorType::InvalidHTTPHeader => {
            blameless(400, Outcome::Rejected, "header", "A header of the request is malformed.")
        }
        _ => blameless(0, Outcome::ClientAborted, "client_gone", "The client closed the connection."),
    }
}

/// A failure that is no upstream's.
fn blameless(status: u16, outcome: Outcome, reason: &'static str, message: &str) -> Failure {
    let what = What::default();
    Failure { status, outcome, reason, message: message.to_owned(), full: message.to_owned(), what }
}

fn from_upstream(error: &Error, request: &Context) -> Failure {
    let upstream = &request.destination().upstream;
    let (status, outcome, reason, what) = deed(error, request);
    Failure {
        status,
        outcome,
        reason,
        message: match upstream.public_name() {
            Some(name) => format!("The upstream \"{name}\" {}", sentence(what.public())),
            None => format!("The upstream {}", sentence(what.public())),
        },
        full: format!("The upstream \"{}\" ({}) {}", upstream.config.name, upstream.origin(), sentence(&what.full)),
        what,
    }
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn deed(error: &Error, request: &Context) -> (u16, Outcome, &'static str, What) {
    use ErrorType as E;
    let config = &request.destination().upstream.config;
    let seconds = |duration: std::time::Duration| humantime::format_duration(duration).to_string();
    let unreachable = |reason, what: String| (502, Outcome::Unreachable, reason, What::from(what));
    let hidden = |reason, full: String, public| (502, Outcome::Unreachable, reason, What::hiding(full, public));
    let told = || What::from(context(error).to_owned());
    let began = request.first_byte.is_some();
    match error.etype() {
        E::ConnectTimedout | E::TLSHandshakeTimedout => {
            let limit = seconds(config.connect_timeout);
            let what =
                format!("could not be connected to within {limit}: check the network, or whether a proxy is needed.");
            (504, Outcome::Unreachable, "connect_timeout", what.into())
        }
        E::ConnectRefused => unreachable(
            "connect_refused",
            "refused the connection: check that it is running and that base_url is right.".to_owned(),
        ),
        kind if *kind == RESOLVE => {
            let full = format!("could not be found: {}. Check base_url and the machine's DNS.", cause(error));
            hidden("resolve", full, "could not be found: its name does not resolve")
        }
        kind if *kind == PROXY || *kind == PROXY_TIMEOUT => {
            let reason = if *kind == PROXY { "proxy" } else { "proxy_timeout" };
            hidden(reason, format!("could not be reached: {}.", cause(error)), PROXY_FAILED)
        }
        kind if *kind == PROXY_ANSWER => hidden("proxy", context(error).to_owned(), PROXY_FAILED),
        kind if *kind == NO_ANSWER => (502, Outcome::UpstreamError, "no_answer", told()),
        kind if *kind == WEB_PAGE => (502, Outcome::UpstreamError, "web_page", told()),
        kind if *kind == NO_PLACE => (503, Outcome::Rejected, "upstream_full", told()),
        kind if *kind == INTERIM_FLOOD => (502, Outcome::Unreachable, "interim_flood", told()),
        E::TLSHandshakeFailure | E::InvalidCert | E::HandshakeError | E::TLSWantX509Lookup => {
            (502, Outcome::Unreachable, "tls", not_trusted(error))
        }
        E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError | E::ConnectProxyFailure => {
            hidden("connect", format!("could not be connected to: {}.", cause(error)), "could not be connected to")
        }
        E::ReadTimedout if began => {
            let what = format!("fell silent for {} in the middle of its answer.", seconds(config.read_timeout));
            (504, Outcome::Stalled, "stalled", what.into())
        }
        E::ReadTimedout => {
            let limit = seconds(config.first_byte_timeout);
            let what = format!("did not begin its answer within {limit} (first_byte_timeout, read_timeout).");
            (504, Outcome::Unreachable, "first_byte_timeout", what.into())
        }
        E::WriteTimedout => {
            (504, Outcome::Unreachable, "write_timeout", "stopped taking the request.".to_owned().into())
        }
        _ if began => {
            (502, Outcome::Truncated, "truncated", "ended its answer before it was complete.".to_owned().into())
        }
        E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::InvalidH2 => {
            unreachable("bad_answer", "sent something that is not a valid HTTP answer.".to_owned())
        }
        _ => unreachable("closed", "closed the connection without an answer.".to_owned()),
    }
}

/// A TLS handshake that failed: what is wrong with the certificate, if that is it, and what to do.
fn not_trusted(error: &Error) -> What {
    // Pingora's own words around it say nothing; the innermost cause is the address that the gateway came from.
    let text = context(error).replace(['\r', '\n'], " ");
    let said = text.rsplit("cause: ").next().unwrap_or_default();
    let said: String = said.split(", SNI:").next().unwrap_or_default().chars().take(LONGEST_QUOTE).collect();
    match Fault::named_in(&said) {
        Some(fault) => {
            let full = format!("could not be connected to over TLS: {}: {} ({said}).", fault.what(), fault.cure());
            What::hiding(full, fault.public())
        }
        None => What::hiding(
            format!("could not be connected to over TLS: {said}. Check base_url, sni and ca_file."),
            "could not be connected to over TLS",
        ),
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
    if context.tried.len() < 2 || last.what.full.is_empty() {
        return last;
    }
    let each = |of: &dyn Fn(&Tried) -> String| {
        let tried: Vec<String> = context.tried.iter().map(of).collect();
        format!("No upstream answered: {}.", tried.join("; "))
    };
    let upstream = |tried: &Tried| &context.snapshot.upstreams[tried.destination];
    let message =
        each(&|tried| format!("\"{}\" {}", upstream(tried).config.name, tried.what.public().trim_end_matches('.')));
    let full = each(&|tried| {
        let upstream = upstream(tried);
        format!("\"{}\" ({}) {}", upstream.config.name, upstream.origin(), tried.what.full.trim_end_matches('.'))
    });
    Failure { status: 502, message, full, ..last }
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
