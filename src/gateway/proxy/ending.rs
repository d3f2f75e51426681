//! How a request ended, and what that says about its upstream.

use super::context::Context;
use super::failure::{self, Failure};
use crate::gateway::clean::{self, Cleaner};
use gateway_core::reason::Reason;
use gateway_core::record::Outcome;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::usage::meter::Summary;
use pingora::Error;
use pingora::proxy::Session;

/// How a request ended.
pub struct Ending {
    /// Status that the client got; 0 if none.
    pub status: u16,
    /// What the response says, without secrets.
    pub answer: Option<Summary>,
    /// What Pingora says went wrong, if anything did.
    pub failure: Option<Failure>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the gateway refused it or failed.
    pub reason: Option<Reason>,
}

impl Ending {
    /// Of a request that is over; `error` is what Pingora says went wrong.
    pub fn of(session: &Session, error: Option<&Error>, context: &mut Context) -> Self {
        let mut answer = context.attempt.meter.take().map(|mut meter| meter.finish());
        let model = context.names.as_ref().and_then(|names| names.model.as_deref());
        if let Some(answer) = answer.as_mut().filter(|answer| !clean::is_usual(answer, model)) {
            Cleaner::new(session.req_header(), &context.snapshot.secrets).answer(answer);
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let failure = error.map(|error| failure::read(error, context));
        let (outcome, reason) = match context.rejected {
            Some(reason) => (Outcome::Rejected, Some(reason)),
            None => outcome(status, failure.as_ref(), answer.as_ref()),
        };
        Self { status, answer, failure, outcome, reason }
    }

    /// Tells the upstream how the request ended there, as far as it does not know that yet.
    pub fn settle(&self, context: &Context) {
        if context.attempts == 0 {
            return;
        }
        let upstream = &context.destination().upstream;
        match (&self.failure, self.broken()) {
            (None, Some(fault)) => upstream.failed(fault),
            // What the client did is no fault of the upstream's.
            (_, None) if context.attempt.is_good && self.outcome != Outcome::Stalled => upstream.completed(),
            _ => {}
        }
    }

    /// What the upstream that the request went to last did, if that is why it failed.
    pub fn fault(&self) -> Option<UpstreamFault> {
        match &self.failure {
            _ if self.outcome == Outcome::Completed => None,
            Some(Failure::Upstream(fault)) if self.outcome != Outcome::StreamError => Some(fault.clone()),
            _ => self.broken(),
        }
    }

    /// What the upstream did, if its answer went through and was none all the same.
    fn broken(&self) -> Option<UpstreamFault> {
        match self.outcome {
            Outcome::Truncated => Some(UpstreamFault::NoMessageStop),
            Outcome::StreamError => Some(UpstreamFault::StreamError { kind: self.answer.as_ref()?.error.clone()? }),
            _ => None,
        }
    }
}

fn outcome(status: u16, failure: Option<&Failure>, answer: Option<&Summary>) -> (Outcome, Option<Reason>) {
    let readable =
        answer.filter(|answer| answer.is_stream && !answer.is_unreadable && (answer.is_message || answer.events == 0));
    match (failure, readable) {
        (_, Some(answer)) if answer.error.is_some() => (Outcome::StreamError, None),
        (Some(failure @ Failure::SlowClient(_)), _) => (failure.outcome(), failure.reason()),
        // Everything was said; how the connection ended is no matter then.
        (_, Some(answer)) if answer.is_complete => (Outcome::Completed, None),
        (Some(failure), _) => (failure.outcome(), failure.reason()),
        (None, Some(_)) => (Outcome::Truncated, Some(Reason::NoMessageStop)),
        (None, None) if status >= 400 => (Outcome::UpstreamError, None),
        (None, None) if answer.is_some_and(|answer| answer.is_unreadable) => {
            (Outcome::Completed, Some(Reason::Unreadable))
        }
        (None, None) => (Outcome::Completed, None),
    }
}
