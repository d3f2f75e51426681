//! The beginning of a response is held back until it says something: as long as the client has nothing of it, an upstream
//! whose success turns out to be none can be replaced.

use super::context::Context;
use super::{error_rules, failover, failure, settle};
use crate::gateway::client::response_hold::Held;
use crate::upstream::clock::{millis, now_ms};
use gateway_core::record::fault::UpstreamFault;
use gateway_core::rules::document::peek_true;
use gateway_core::usage::meter::Opening;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use pingora::Result;
use std::time::Duration;

/// How long an error waits that may be followed by another attempt.
const LONGEST_ERROR: Duration = Duration::from_secs(5);

/// Whether a response was announced as a stream of events.
pub(crate) fn is_stream(response: &HeaderMap) -> bool {
    let name = b"text/event-stream";
    let value = response.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    value.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Whether the request, which has these fields, asks for a stream. Its body is looked through at most once.
fn asks_for_stream(client: &HeaderMap, context: &mut Context) -> bool {
    if let Some(asks) = context.arrival.asks_for_stream {
        return asks;
    }
    let can_be_read = context.arrival.protocol.asks_for_message() && !client.contains_key(CONTENT_ENCODING);
    let asks = can_be_read && peek_true(context.arrival.body_bytes(), "stream");
    context.arrival.asks_for_stream = Some(asks);
    asks
}

/// The request, which has these fields, is sent: the time for the first event of its stream begins.
///
/// # Errors
/// When no upstream was chosen; that would be a mistake of the gateway's.
pub(crate) fn expect(client: &HeaderMap, context: &mut Context) -> Result<()> {
    let within = context.destination()?.upstream.config.first_event_timeout;
    // Who sets no such time pays nothing for it.
    let by = within.filter(|_| asks_for_stream(client, context)).map(|within| now_ms() + millis(within).max(1));
    if let Some(hold) = &context.arrival.hold {
        hold.expect_first_event(by);
    }
    Ok(())
}

/// How much of a response with these fields is held back, and for how long at most. `client` are those of the request.
pub(crate) fn hold(response: &HeaderMap, client: &HeaderMap, context: &mut Context) -> (Held, Duration) {
    let (first_event, head) = {
        let failover = &context.snapshot.config.failover;
        (failover.hold_first_event, failover.hold_head)
    };
    match context.attempt.meter.is_some() {
        false if context.attempt.undecided.is_some() => (error_rules::held(context), error_rules::LONGEST_HELD),
        // An empty one goes out: an error is an answer all the same.
        false if context.attempt.may_be_refused => (Held::Error, head.max(LONGEST_ERROR)),
        false => (Held::Head, head),
        true if !is_stream(response) && !asks_for_stream(client, context) => {
            // What is no stream is of use only as a whole: its body waits as its head does.
            (Held::Beginning, head)
        }
        true if first_event.is_zero() => (Held::Head, head),
        true => (Held::Beginning, first_event),
    }
}

/// What follows from what was read of the response so far, of which a piece came, or which is over: it is a good one,
/// another upstream takes over, or it is waited for.
///
/// # Errors
/// When another upstream takes over, or the response is nothing to pass on.
pub(crate) fn judge(came: bool, is_end: bool, context: &mut Context) -> Result<()> {
    if context.attempt.has_opened {
        return Ok(());
    }
    context.attempt.has_body |= came;
    let can_take_back = context.arrival.hold.as_ref().is_some_and(|hold| {
        // A head alone goes out with the first byte, whatever that says.
        hold.awaits_word() || hold.can_take_back() && !context.attempt.has_body
    });
    match opening(is_end, context) {
        Opening::Open if can_take_back => return Ok(()),
        // It is waited for all the same, but cannot be asked for anew.
        Opening::Open => {
            context.forget_body();
            return Ok(());
        }
        Opening::Bad if can_take_back => take_over(context)?,
        Opening::Bad => {}
        Opening::Good if matches!(context.attempt.status, 200..300) => settle::answers(context),
        Opening::Good => {}
    }
    context.attempt.has_opened = true;
    context.forget_body();
    if let Some(hold) = &context.arrival.hold {
        hold.tell();
    }
    Ok(())
}

fn opening(is_end: bool, context: &mut Context) -> Opening {
    let attempt = &mut context.attempt;
    let must_say_something = attempt.status == 200 && context.arrival.protocol.wants_api_response();
    match &mut attempt.meter {
        Some(meter) => match meter.opening() {
            Opening::Open if is_end => meter.opening_at_end(),
            opening => opening,
        },
        None if attempt.has_body || is_end && !must_say_something => Opening::Good,
        None if is_end => Opening::Bad,
        None => Opening::Open,
    }
}

/// The response is none: another upstream takes over, or it is passed on if there is something in it for the client.
fn take_over(context: &mut Context) -> Result<()> {
    let answer = context.attempt.meter.as_mut().map(|meter| meter.finish());
    let fault = answer.as_ref().and_then(UpstreamFault::in_answer).unwrap_or(UpstreamFault::NoAnswer);
    if let Some(answer) = answer.filter(|answer| answer.error.is_some())
        && error_rules::decides(&answer, &fault, context)?
    {
        return Ok(());
    }
    let is_taken_over = failover::take_over(context, &fault);
    if is_taken_over || !fault.has_response() {
        let mut error = failure::settled(fault);
        error.set_retry(is_taken_over);
        return Err(error);
    }
    Ok(())
}
