//! What a failed request means, and what the client is told.

use super::context::Context;
use super::origin_headers;
use crate::gateway::answer::Answer;
use crate::gateway::client::response_hold::Late;
use crate::gateway::client::tunnel::Leave;
use crate::gateway::client::unsent::Stalled;
use crate::upstream::clock::now_ms;
use crate::upstream::tls::fault_named_in;
use crate::upstream::{NotConnected, PROXY, PROXY_TIMEOUT, RESOLVE, Upstream};
use gateway_core::again::Again;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::language::Language;
use gateway_core::reason::Reason;
use gateway_core::record::Outcome;
use gateway_core::record::fault::{Reader, UpstreamFault};
use http::HeaderName;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorSource, ErrorType};

/// What the gateway itself finds wrong with an upstream; the error's cause is the [`UpstreamFault`].
const FOUND: ErrorType = ErrorType::Custom("upstream_fault");
/// The same, of a response for which it is settled already whether another upstream takes the request over.
const SETTLED: ErrorType = ErrorType::Custom("settled_upstream_fault");

/// What the gateway refuses after all, although it was let in; the error's cause is the [`Refusal`].
const REFUSED: ErrorType = ErrorType::Custom("refused");

/// Longest text of another side that becomes part of a message.
const LONGEST_QUOTE: usize = 300;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The upstream that it went to last did this.
    Upstream(UpstreamFault),
    /// The client was too slow with its response.
    SlowClient(Stalled),
    /// The client closed the connection.
    ClientGone,
    /// The gateway refuses it after all.
    Refused(Refusal),
    /// A header is malformed that only Pingora found.
    BadHeader,
    /// A fault of the gateway's.
    Internal,
}

/// Reads Pingora's error in the light of what is known of the request.
pub(crate) fn read(error: &Error, request: &Context) -> Failure {
    if let Some(refusal) = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<Refusal>()) {
        return Failure::Refused(refusal.clone());
    }
    match error.esource() {
        ErrorSource::Upstream => fault(error, request).map_or(Failure::Internal, Failure::Upstream),
        ErrorSource::Downstream => from_client(error, request),
        ErrorSource::Internal | ErrorSource::Unset => Failure::Internal,
    }
}

fn from_client(error: &Error, request: &Context) -> Failure {
    let hold = request.arrival.hold.as_ref();
    if let Some(refusal) = hold.and_then(|hold| hold.leave()).and_then(Leave::ended) {
        return Failure::Refused(refusal.clone());
    }
    match hold.and_then(|hold| hold.stalled()) {
        Some(stalled) => Failure::SlowClient(stalled),
        None if *error.etype() == ErrorType::InvalidHTTPHeader => Failure::BadHeader,
        None => Failure::ClientGone,
    }
}

/// What an upstream did, of an error that is one of an upstream's; `None` if the request was at none.
pub(crate) fn fault(error: &Error, request: &Context) -> Option<UpstreamFault> {
    use ErrorType as E;
    use UpstreamFault as F;
    if let Some(fault) = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<UpstreamFault>()) {
        return Some(fault.clone());
    }
    let config = &request.chosen()?.upstream.config;
    let has_begun = request.attempt.first_byte.is_some();
    Some(match error.etype() {
        E::ConnectTimedout | E::TLSHandshakeTimedout => F::ConnectTimeout { within: config.connect_timeout },
        E::ConnectRefused => F::ConnectRefused,
        kind if *kind == RESOLVE => {
            let not = NotConnected::in_error(error);
            let (host, said) = not.and_then(|not| not.unresolved.clone()).unzip();
            // The log names base_url anyway; another one is that of a line, or of a proxy.
            let host = host.filter(|host| *host != config.base_url.host);
            F::Resolve { said: said.unwrap_or_else(|| cause(error)), host, absent: not.and_then(|not| not.absent) }
        }
        kind if *kind == PROXY => {
            let (refusal, absent) =
                NotConnected::in_error(error).map(|not| (not.refusal, not.absent)).unwrap_or_default();
            F::Proxy { said: cause(error), refusal, absent }
        }
        kind if *kind == PROXY_TIMEOUT => F::ProxyTimeout { said: cause(error) },
        E::TLSHandshakeFailure | E::InvalidCert | E::HandshakeError | E::TLSWantX509Lookup => not_trusted(error),
        E::ConnectNoRoute | E::ConnectError | E::SocketError | E::BindError | E::ConnectProxyFailure => {
            F::Connect { said: cause(error) }
        }
        E::ReadTimedout if has_begun => F::Stalled { within: config.read_timeout },
        E::ReadTimedout => F::FirstByteTimeout { within: config.first_byte_timeout },
        E::WriteTimedout => F::WriteTimeout,
        _ if has_begun => F::Truncated,
        E::InvalidHTTPHeader | E::H1Error | E::H2Error | E::InvalidH2 => F::BadAnswer,
        _ => F::Closed,
    })
}

/// Whether a part of a response's head had come when the connection was lost. Pingora tells that in words alone.
pub(crate) fn had_begun_a_head(error: &Error) -> bool {
    let text = error.to_string();
    text.rsplit_once("bytes already read: ").is_some_and(|(_, count)| !count.starts_with('0'))
}

/// A TLS handshake that failed: what is wrong with the certificate, if that is it.
fn not_trusted(error: &Error) -> UpstreamFault {
    // Pingora's own words around it say nothing; the innermost cause is the address that the gateway came from.
    let text = error.context.as_ref().map_or("", |context| context.as_str()).replace(['\r', '\n'], " ");
    let said = text.rsplit("cause: ").next().unwrap_or_default();
    let said: String = said.split(", SNI:").next().unwrap_or_default().chars().take(LONGEST_QUOTE).collect();
    UpstreamFault::Tls { fault: fault_named_in(&said), said }
}

/// The innermost cause, in one line.
fn cause(error: &Error) -> String {
    let root = error.root_cause().to_string();
    root.trim().trim_end_matches('.').replace(['\r', '\n'], " ")
}

/// Pingora's error for what the gateway itself finds wrong with an upstream.
pub(crate) fn found(fault: UpstreamFault) -> Box<Error> {
    Error::because(FOUND, "", fault).into_up()
}

/// The same, when it is settled already whether another upstream takes the request over.
pub(crate) fn settled(fault: UpstreamFault) -> Box<Error> {
    Error::because(SETTLED, "", fault).into_up()
}

/// Pingora's error for a request that is refused although it was let in.
pub(crate) fn refused(refusal: Refusal) -> Box<Error> {
    Error::because(REFUSED, "", refusal)
}

/// Whether it is settled already what follows this error.
pub(crate) fn is_settled(error: &Error) -> bool {
    *error.etype() == SETTLED
}

/// The client's connection is where the times to the first byte and to the first event are kept, and where a response
/// ends that has nothing in it: its error is the upstream's then.
pub(crate) fn unless_late(error: Box<Error>, context: &Context) -> Box<Error> {
    if *error.esource() != ErrorSource::Downstream {
        return error;
    }
    if context.arrival.hold.as_ref().is_some_and(|hold| hold.take_nothing()) {
        return found(UpstreamFault::NoAnswer);
    }
    let late = context.arrival.hold.as_ref().and_then(|hold| hold.late(now_ms()));
    let first_event = context.chosen().and_then(|destination| destination.upstream.config.first_event_timeout);
    match (late, first_event) {
        (Some(Late::FirstByte), _) if context.attempt.first_byte.is_none() => Error::new_up(ErrorType::ReadTimedout),
        (Some(Late::FirstEvent), _) if context.attempt.undecided.is_some() => {
            found(UpstreamFault::Status { status: context.attempt.status })
        }
        (Some(Late::FirstEvent), Some(within)) if !context.attempt.has_opened => {
            found(UpstreamFault::FirstEventTimeout { within })
        }
        _ => error,
    }
}

/// What the upstream that a request went to last did, as a sentence.
pub(crate) fn sentence(request: &Context, fault: &UpstreamFault, reader: Reader, language: Language) -> String {
    let upstream = request.chosen().map(|destination| &destination.upstream);
    let shown = upstream.filter(|upstream| reader == Reader::Operator || upstream.public_name().is_some());
    let name = shown.map(|upstream| named(upstream, reader, language));
    let did = words(fault, reader, language);
    match (language, name) {
        (Language::English, Some(name)) => format!("The upstream {name} {did}."),
        (Language::English, None) => format!("The upstream {did}."),
        (Language::Chinese, Some(name)) => format!("上游{name}{did}。"),
        (Language::Chinese, None) => format!("上游{did}。"),
    }
}

/// What each of several upstreams did, as a sentence.
fn sentence_of_all(request: &Context, reader: Reader, language: Language) -> String {
    let each = request.routing.tried.iter().map(|tried| {
        let upstream = &request.snapshot.upstreams[tried.destination];
        let (name, did) = (named(upstream, reader, language), words(&tried.fault, reader, language));
        match language {
            Language::English => format!("{name} {did}"),
            Language::Chinese => format!("{name}{did}"),
        }
    });
    let each: Vec<String> = each.collect();
    match language {
        Language::English => format!("No upstream answered: {}.", each.join("; ")),
        Language::Chinese => format!("所有上游都没有响应：{}。", each.join("；")),
    }
}

/// Whether the other upstreams that the request may go to could serve it, by what they did with it, or else did last.
fn elsewhere(request: &Context) -> impl Iterator<Item = Again> {
    let (upstreams, now) = (&request.snapshot.upstreams, now_ms());
    let others = request.group().iter().filter(|&&at| request.routing.destination != Some(at));
    others.map(move |&at| match request.routing.tried.iter().find(|tried| tried.destination == at) {
        Some(tried) => tried.fault.again(),
        None => upstreams[at].again(now),
    })
}

/// What an upstream did. How it calls its error may be a secret of the request or of the configuration.
fn words(fault: &UpstreamFault, reader: Reader, language: Language) -> String {
    fault.clone().in_known_words().text(language, reader)
}

/// An upstream by its name; for the operator with its address.
fn named(upstream: &Upstream, reader: Reader, language: Language) -> String {
    let name = &upstream.config.name;
    match (reader, language) {
        (Reader::Operator, Language::English) => format!("\"{name}\" ({})", upstream.origin()),
        (Reader::Client, Language::English) => format!("\"{name}\""),
        (Reader::Operator, Language::Chinese) => format!("“{name}”（{}）", upstream.origin()),
        (Reader::Client, Language::Chinese) => format!("“{name}”"),
    }
}

/// Whether the client may send a request again that it gets an operator's answer to: one that says what is wrong with the
/// request is the last word.
fn again_after_substitute(status: u16, request: &Context, failure: &Failure) -> Again {
    match (status, request.attempt.retry_after) {
        (408 | 409 | 429 | 500.., Some(pause)) => Again::After(u32::try_from(pause.as_secs()).unwrap_or(u32::MAX)),
        (408 | 409 | 429 | 500.., None) => failure.again(request),
        _ => Again::Never,
    }
}

impl Failure {
    /// How the request ended.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Upstream(fault) => fault.outcome(),
            Self::SlowClient(_) => Outcome::ClientStalled,
            Self::ClientGone => Outcome::ClientAborted,
            Self::Refused(_) | Self::BadHeader => Outcome::Rejected,
            Self::Internal => Outcome::GatewayError,
        }
    }

    /// The reason in logs and metrics.
    pub(crate) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Upstream(fault) => return fault.reason(),
            Self::SlowClient(Stalled::TooLong) => Reason::WriteTimeout,
            Self::SlowClient(Stalled::TooMuch) => Reason::UnsentAnswers,
            Self::SlowClient(Stalled::NoRoom) => Reason::Connections,
            Self::ClientGone => Reason::ClientGone,
            Self::Refused(refusal) => refusal.reason,
            Self::BadHeader => Reason::Header,
            Self::Internal => Reason::Internal,
        })
    }

    /// Status of the response; 0 if there is nobody to answer to.
    pub(crate) fn status(&self, request: &Context) -> u16 {
        match self {
            Self::Upstream(_) if request.routing.tried.len() > 1 => 502,
            Self::Upstream(fault) => fault.status(),
            Self::SlowClient(_) | Self::ClientGone => 0,
            Self::Refused(refusal) => refusal.status,
            Self::BadHeader => 400,
            Self::Internal => 500,
        }
    }

    /// What failed and what to do: of several upstreams that were tried, what each of them did.
    pub(crate) fn told(&self, request: &Context, reader: Reader, language: Language) -> String {
        let words = match self {
            Self::Upstream(_) if request.routing.tried.len() > 1 => return sentence_of_all(request, reader, language),
            Self::Upstream(fault) => return sentence(request, fault, reader, language),
            Self::SlowClient(Stalled::TooLong) => {
                both!("The client took no byte of its answer for too long.", "客户端太久没有读取响应。")
            }
            Self::SlowClient(Stalled::TooMuch) => both!(
                "Too many answers waited for slow clients (limits.unsent_answers), and this one had waited longest.",
                "等待客户端读取的响应太多（limits.unsent_answers），而这一个等得最久。"
            ),
            Self::SlowClient(Stalled::NoRoom) => both!(
                "Another client needed the connection (limits.connections), and this one took nothing of its answer.",
                "其他客户端需要连接（limits.connections），而这个客户端没有读取响应。"
            ),
            Self::ClientGone => both!("The client closed the connection.", "客户端关闭了连接。"),
            Self::Refused(refusal) => return refusal.message.text(language).to_owned(),
            Self::BadHeader => both!("A header of the request is malformed.", "有一个请求头格式有误。"),
            Self::Internal => both!(
                "The gateway failed to handle the request; its log has the details.",
                "网关处理请求时出错；详情见网关日志。"
            ),
        };
        words.text(language).to_owned()
    }

    /// Whether the client may send the request again. Of several upstreams, one that may be back is enough, tried or
    /// not.
    fn again(&self, request: &Context) -> Again {
        match self {
            Self::Upstream(fault) => fault.again().with_others(elsewhere(request)),
            _ => self.reason().map_or(Again::Freely, Reason::again),
        }
    }

    /// What the client gets that sent a request with this head.
    pub(crate) fn answer(&self, request: &Context, head: &RequestHeader) -> Answer {
        let to = request.recipient(head);
        let (answer, again) = match request.substitute().filter(|_| matches!(self, Self::Upstream(_))) {
            Some((status, message)) => {
                (Answer::error_with(status, message, None, to), again_after_substitute(status, request, self))
            }
            None => {
                let told = self.told(request, Reader::Client, to.language);
                (Answer::error_with(self.status(request), &told, None, to), self.again(request))
            }
        };
        let mut answer = answer.again(again);
        if request.routing.attempts > 0 {
            let told = origin_headers::of(request);
            answer.headers.extend(told.map(|(name, value)| (HeaderName::from_static(name), value)));
        }
        answer
    }
}
