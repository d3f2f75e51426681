//! What upstreams learn of a request: of each attempt at one, as soon as it is clear whose fault it was, and before the
//! client has the end of its response.

use super::context::{Context, Tried};
use super::failure::Failure;
use super::{conversation, ending, key_change, limits, session_place, steering};
use crate::upstream::lesson::Over;
use gateway_core::record::Outcome;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::record::verdict::{self, Answer, Sign, Verdict};

/// Notes that the present attempt failed at this upstream before the client had anything of it.
pub(crate) fn failed_at(context: &mut Context, here: usize, fault: &UpstreamFault) {
    let sign = match context.attempt.is_of_request {
        true => Sign::Answered,
        false => Sign::by_fault(fault, has_own_key(context, here)),
    };
    let began_ms = context.routing.ticket.as_ref().map_or(0, |ticket| ticket.entered_ms());
    let key = context.routing.key;
    let fault = fault.clone();
    context.routing.tried.push(Tried { destination: here, key, fault, sign, began_ms, is_settled: false });
    let last = context.routing.tried.len() - 1;
    if let Some(verdict) = sign.is_settled() {
        settle(context, last, verdict);
    }
}

/// The present upstream has begun to answer as it should: others refused what this one serves.
pub(crate) fn answers(context: &mut Context) {
    if let Some(ticket) = &mut context.routing.ticket {
        ticket.answers();
    }
    settle_tried(context, Sign::Served);
    key_change::served(context);
    steering::answers(context);
}

/// The request is over at the upstream that it went to last; `failure` is why, if it failed.
pub(crate) fn over(context: &mut Context, failure: Option<&Failure>) {
    let Some(here) = context.routing.destination.filter(|_| context.routing.attempts > 0) else { return };
    // What was not read yet may change everything.
    if context.routing.is_settled || context.attempt.meter.as_ref().is_some_and(|meter| meter.is_behind()) {
        return;
    }
    context.routing.is_settled = true;
    let status = context.attempt.status;
    let is_own_key = has_own_key(context, here);
    let is_of_request = context.attempt.is_of_request;
    let asks_for_message = context.arrival.protocol.asks_for_message();
    let read = context.attempt.read();
    let (outcome, reason) = ending::outcome(status, asks_for_message, failure, read.answer.as_ref());
    let in_stream = read.answer.as_ref().map(|answer| (answer.error.as_deref(), answer.error_message.as_deref()));
    let in_body = read.error.as_ref().map(|error| (error.kind.as_deref(), error.message.as_deref()));
    let (error_type, message) = in_body.or(in_stream).unwrap_or_default();
    let has_begun = read.answer.as_ref().is_some_and(|answer| answer.has_begun);
    let answer = Answer { outcome, reason, status, error_type, message, has_begun, is_own_key };
    let sign = if is_of_request { Sign::Answered } else { Sign::by_answer(&answer) };
    let fault = ending::fault(status, outcome, reason, failure, read.answer.as_ref());
    let fault = fault.unwrap_or(UpstreamFault::Status { status });
    let thinks = read.answer.as_ref().is_some_and(|answer| answer.thinks);
    let is_answered = matches!(outcome, Outcome::Completed | Outcome::UpstreamError) && status > 0;
    limits::settle(context, outcome);
    if outcome == Outcome::ClientAborted {
        steering::given_up(context);
    }
    if thinks {
        conversation::thought(context);
    }
    // One that failed before the client had anything of it, and that no other upstream took over from.
    if let Some(tried) = context.routing.tried.last_mut().filter(|tried| tried.destination == here) {
        tried.sign = sign;
        return settle_tried(context, sign);
    }
    let verdict = match context.routing.tried.is_empty() {
        true => blame(context, sign, &[sign], sign),
        false => {
            settle_tried(context, sign);
            let asked: Vec<Sign> = context.routing.tried.iter().map(|tried| tried.sign).chain([sign]).collect();
            blame(context, sign, &asked, sign)
        }
    };
    let began_ms = context.routing.ticket.as_ref().map_or(0, |ticket| ticket.entered_ms());
    tell(context, here, verdict, &fault, is_answered, began_ms);
    if verdict == Verdict::Good && context.arrival.protocol.is_model_call() {
        if let Some(key) = context.key() {
            key.state.succeeded(began_ms);
        }
        session_place::keep(context, here);
    }
}

/// Settles the attempts that were waiting for what the others would say; this is the sign of the last one of all.
fn settle_tried(context: &mut Context, last: Sign) {
    if context.routing.tried.iter().all(|tried| tried.is_settled) {
        return;
    }
    let is_among_them = context.routing.tried.last().map(|tried| tried.destination) == context.routing.destination;
    let asked = context.routing.tried.iter().map(|tried| tried.sign);
    let asked: Vec<Sign> = asked.chain((!is_among_them).then_some(last)).collect();
    for at in 0..context.routing.tried.len() {
        if !context.routing.tried[at].is_settled {
            settle(context, at, blame(context, asked[at], &asked, last));
        }
    }
}

fn blame(context: &Context, sign: Sign, asked: &[Sign], last: Sign) -> Verdict {
    let retry_on = &context.snapshot.config.failover.retry_on;
    match verdict::verdict(sign, asked, last, |status| retry_on.contains(status)) {
        // There is another one that would know.
        Verdict::Refused if context.routing.was_unaffordable => Verdict::Neutral,
        verdict => verdict,
    }
}

/// Settles one of the attempts that failed.
fn settle(context: &mut Context, at: usize, verdict: Verdict) {
    context.routing.tried[at].is_settled = true;
    let Tried { destination, fault, began_ms, .. } = &context.routing.tried[at];
    tell(context, *destination, verdict, fault, fault.has_response(), *began_ms);
}

fn tell(context: &Context, at: usize, verdict: Verdict, fault: &UpstreamFault, is_answered: bool, began_ms: u64) {
    let speaks_against_it = matches!(verdict, Verdict::Bad | Verdict::Refused);
    context.snapshot.upstreams[at].learn(&Over {
        verdict,
        fault: speaks_against_it.then(|| fault.clone().in_known_words()),
        is_answered,
        is_call: context.arrival.protocol.is_model_call(),
        session: context.arrival.identity.sender.number().unwrap_or_default(),
        began_ms,
    });
}

/// Whether requests go to the upstream in this place with the one key that it has. Of several, each learns for itself.
fn has_own_key(context: &Context, at: usize) -> bool {
    let config = &context.snapshot.upstreams[at].config;
    !config.api_keys.is_empty() && !config.has_key_pool()
}
