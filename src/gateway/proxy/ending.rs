//! How a request ended.

use super::context::Context;
use super::failure::{self, Failure};
use super::{downstream, models};
use crate::gateway::clean::{self, Cleaner};
use gateway_core::language::Language;
use gateway_core::protocol;
use gateway_core::reason::Reason;
use gateway_core::record::Outcome;
use gateway_core::record::fault::{Reader, UpstreamFault};
use gateway_core::usage::error_body::ErrorText;
use gateway_core::usage::summary::{Said, Summary};
use http::StatusCode;
use pingora::Error;
use pingora::proxy::Session;

/// Tells the client that its request failed, if it can still be told; the status that it got.
pub(crate) async fn tell_client(session: &mut Session, error: &Error, context: &mut Context) -> u16 {
    let failure = failure::read(error, context);
    // Not Pingora's own words: they quote what the other side sent.
    let told = failure.told(context, Reader::Operator, Language::English);
    log::debug!("{}: {told} ({})", context.request_id, error.etype().as_str());
    // Pingora closes the connection after a failure, so the client is told.
    session.set_keepalive(None);
    let is_unanswered =
        context.is_head_held() || session.response_written().is_none_or(|response| response.status.is_informational());
    let mut status = failure.status(context);
    if status > 0 && !session.was_upgraded() && is_unanswered {
        let stand_in = matches!(failure, Failure::Upstream(_)).then(|| models::answer(context)).flatten();
        let answer = stand_in.unwrap_or_else(|| failure.answer(context, session.req_header()));
        status = answer.status;
        let answered = async {
            downstream::start_over(session, context)?;
            session.set_keepalive(None);
            downstream::send(answer, session, context).await
        };
        if let Err(error) = answered.await {
            log::debug!("{}: the client did not get its error: {}", context.request_id, error.etype().as_str());
        }
    }
    status
}

/// How a request ended.
pub(crate) struct Ending {
    /// Status that the client got; 0 if none.
    pub status: u16,
    /// What the response says, without secrets.
    pub answer: Option<Summary>,
    /// What the response says, if it is an error.
    pub error: Option<ErrorText>,
    /// What Pingora says went wrong, if anything did.
    pub failure: Option<Failure>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the gateway refused it or failed.
    pub reason: Option<Reason>,
}

impl Ending {
    /// Of a request that is over; `failure` is why it failed, if it did.
    pub(crate) fn of(session: &Session, failure: Option<Failure>, context: &mut Context) -> Self {
        // What the upstream did is among the attempts; the client has what it asked for.
        let failure = failure.filter(|_| !context.observation.is_stood_in);
        let read = std::mem::take(context.attempt.read());
        let (mut answer, error) = (read.answer, read.error);
        let model = context.observation.names.as_ref().and_then(|names| names.model.as_deref());
        if let Some(answer) = answer.as_mut().filter(|answer| !clean::is_usual(answer, model)) {
            Cleaner::new(session.req_header(), &context.snapshot.secrets).answer(answer);
        }
        let written = session.response_written().map(|response| response.status);
        let is_final = |status: &StatusCode| !status.is_informational() || *status == StatusCode::SWITCHING_PROTOCOLS;
        let status = written.filter(is_final).map_or(0, |status| status.as_u16());
        let (outcome, reason) = match context.observation.rejected {
            Some(reason) => (Outcome::Rejected, Some(reason)),
            None => outcome(status, context.arrival.protocol.asks_for_message(), failure.as_ref(), answer.as_ref()),
        };
        Self { status, answer, error, failure, outcome, reason }
    }

    /// What the upstream that the request went to last did, if that is why it failed.
    pub(crate) fn fault(&self) -> Option<UpstreamFault> {
        fault(self.status, self.outcome, self.reason, self.failure.as_ref(), self.answer.as_ref())
    }
}

/// What the upstream did, if that is why a request ended so whose response had this status.
pub(crate) fn fault(
    status: u16,
    outcome: Outcome,
    reason: Option<Reason>,
    failure: Option<&Failure>,
    answer: Option<&Summary>,
) -> Option<UpstreamFault> {
    match (outcome, failure, answer) {
        (Outcome::Completed, ..) => None,
        (_, Some(Failure::Upstream(fault)), _) if outcome != Outcome::StreamError => Some(fault.clone()),
        // Its response went through, and was none all the same.
        (Outcome::Truncated, ..) => Some(UpstreamFault::NoMessageStop),
        (Outcome::StreamError | Outcome::UpstreamError, _, Some(answer)) => UpstreamFault::in_answer(answer),
        (Outcome::UpstreamError, ..) if reason == Some(Reason::NoMessage) => Some(UpstreamFault::NoMessage { status }),
        _ => None,
    }
}

/// How a request ended whose client got this status, whose response says this, and to which Pingora's failure happened,
/// if any did.
pub(crate) fn outcome(
    status: u16,
    asks_for_message: bool,
    failure: Option<&Failure>,
    answer: Option<&Summary>,
) -> (Outcome, Option<Reason>) {
    let stream = answer.filter(|answer| answer.is_stream());
    match (failure, stream.map(Summary::said)) {
        (_, Some(Said::Error)) => return (Outcome::StreamError, None),
        (Some(Failure::SlowClient(_)), _) => {}
        // Everything was said; how the connection ended is no matter then.
        (_, Some(Said::All)) => return (Outcome::Completed, None),
        _ => {}
    }
    if let Some(failure) = failure {
        return (failure.outcome(), failure.reason());
    }
    let fault = match answer {
        Some(answer) => UpstreamFault::in_answer(answer),
        None if asks_for_message && protocol::is_no_message(status) => Some(UpstreamFault::NoMessage { status }),
        None => None,
    };
    match fault {
        Some(fault) => (fault.outcome(), fault.reason()),
        None if status >= 400 => (Outcome::UpstreamError, None),
        None if answer.is_some_and(|answer| answer.said() == Said::Unreadable) => {
            (Outcome::Unreadable, Some(Reason::Unreadable))
        }
        None => (Outcome::Completed, None),
    }
}
