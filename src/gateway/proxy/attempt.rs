//! One try at an upstream: its beginning, its connection, and what follows when it fails.

use super::context::{Attempt, Context};
use super::failure::Failure;
use super::{
    apply_rules, downstream, error_rules, failover, failure, field_order, first_event, lines, models, repair,
    request_head, settle,
};
use crate::gateway::shared::Shared;
use crate::upstream::clock::now_ms;
use gateway_core::record::fault::UpstreamFault;
use pingora::ErrorSource;
use pingora::http::RequestHeader;
use pingora::prelude::*;
use pingora::protocols::Digest;
use pingora::proxy::Session;
use std::time::{Duration, Instant};

/// Begins an attempt, if need be after a place at an upstream was found; its peer.
///
/// # Errors
/// When there is no place, the client is gone, or its token is good no more.
pub(crate) async fn begin(session: &mut Session, shared: &Shared, context: &mut Context) -> Result<Box<HttpPeer>> {
    if context.routing.attempts > 0 {
        // First of all: to look at the client would let a head go out whose time is over.
        downstream::start_over(session, context)?;
        if downstream::is_client_gone(session, context) {
            never_sent(context);
            return Err(Error::new_down(ErrorType::ConnectionClosed));
        }
    }
    if context.routing.ticket.is_none() {
        failover::enter(session, context).await?;
    }
    // It may have waited long for its place, or for another upstream before this one.
    if let Err(denied) = context.arrival.identity.look_again(context.arrival.client, &shared.roster.load()) {
        never_sent(context);
        let refusal = denied.refusal();
        context.observation.rejected = Some(refusal.reason);
        return Err(failure::refused(refusal));
    }
    let now = Instant::now();
    context.routing.entered.get_or_insert(now);
    context.routing.key = context.routing.ticket.as_ref().and_then(|ticket| ticket.key());
    context.attempt = Attempt { began: Some(now), ..Attempt::default() };
    let is_fresh = std::mem::take(&mut context.routing.must_be_fresh);
    // A second try at the same upstream is no attempt of its own if a kept connection was closed, or there was none.
    let is_same = std::mem::take(&mut context.routing.was_not_sent) || is_fresh;
    context.routing.attempts += u32::from(!is_same);
    if let (Some(running), Some(at)) = (&context.observation.running, context.routing.destination) {
        running.attempt(at, context.routing.key, context.routing.attempts);
    }
    let lines = &context.destination()?.upstream.lines;
    let line = lines.next(context.routing.lines_tried).unwrap_or_default();
    let mut peer = lines.at(line).peer(is_fresh);
    context.routing.line = line;
    if let Some(left) = models::time_left(context) {
        let longest = peer.options.total_connection_timeout.unwrap_or(left);
        peer.options.total_connection_timeout = Some(longest.min(left).max(Duration::from_millis(1)));
    }
    Ok(Box::new(peer))
}

/// The request ends before it went to the next upstream: that one has no part in how it ended.
fn never_sent(context: &mut Context) {
    context.attempt = Attempt::default();
    context.routing.ticket = None;
    if let Some(tried) = context.routing.tried.last() {
        context.routing.destination = Some(tried.destination);
        context.routing.key = tried.key;
    }
}

/// There is a connection, a new one or one that `is_reused`.
pub(crate) fn connected(is_reused: bool, digest: Option<&Digest>, shared: &Shared, context: &mut Context) {
    let now = Instant::now();
    context.attempt.connected = Some(now);
    if let (Some(began), Some(destination)) = (context.attempt.began.filter(|_| !is_reused), context.chosen()) {
        shared.metrics.connected(&destination.upstream.config.name, now.duration_since(began));
        lines::connected(digest, context);
    }
    if let Some(running) = &context.observation.running {
        running.waits(now);
    }
}

/// Makes the request as this upstream gets it; `client` is the head as it came.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn request(request: &mut RequestHeader, client: &RequestHeader, context: &mut Context) -> Result<()> {
    request_head::head(request, client.version, context)?;
    apply_rules::request(request, client, context)?;
    repair::prepare(request, client, context)?;
    request_head::length(request, context)?;
    field_order::restore(request, &client.headers)?;
    let upstream = &context.destination()?.upstream;
    context.line()?.address_to_proxy(request)?;
    // A longer one would be read_timeout's, which Pingora keeps.
    let within = Some(upstream.config.first_byte_timeout).filter(|&within| within < upstream.config.read_timeout);
    let within = within.into_iter().chain(models::time_left(context)).min();
    if let Some(hold) = &context.arrival.hold {
        hold.expect_first_byte(within, now_ms());
    }
    first_event::expect(&client.headers, context)
}

/// What the upstream did.
fn fault(error: &Error, context: &Context) -> Option<UpstreamFault> {
    let fault = failure::fault(error, context);
    match models::time_left(context) {
        Some(left) if left.is_zero() => fault.map(|_| models::too_late()),
        _ => fault,
    }
}

/// There is no connection: another upstream may take over.
pub(crate) fn no_connection(mut error: Box<Error>, context: &mut Context) -> Box<Error> {
    error.as_up();
    if let Some(fault) = fault(&error, context) {
        error.set_retry(lines::take_over(context, &fault) || failover::take_over(context, &fault));
    }
    error
}

/// The attempt failed. Pingora's default forbids every retry of a POST; here the whole body is kept, and as long as the
/// client has nothing of a response, another upstream can give one.
pub(crate) fn failed(session: &Session, error: Box<Error>, is_reused: bool, context: &mut Context) -> Box<Error> {
    if failure::is_settled(&error) {
        return error;
    }
    let mut error = failure::unless_late(error, context);
    error.set_retry(false);
    if *error.esource() != ErrorSource::Upstream {
        return error;
    }
    let has_begun = downstream::has_response_begun(session, context);
    let may_be_stale = is_reused && context.attempt.may_be_stale(error.etype()) && !failure::had_begun_a_head(&error);
    if !has_begun && !context.routing.was_stale && may_be_stale {
        context.routing.was_stale = true;
        context.routing.must_be_fresh = true;
        error.set_retry(true);
        return error;
    }
    if !has_begun && let Some(undecided) = context.attempt.undecided.take() {
        return error_rules::cut_short(undecided, context);
    }
    let Some(fault) = fault(&error, context) else { return error };
    match has_begun {
        true => settle::over(context, Some(&Failure::Upstream(fault))),
        false => error.set_retry(lines::take_over(context, &fault) || failover::take_over(context, &fault)),
    }
    error
}
