//! What follows when an attempt failed: another upstream, or the end.

use super::context::Context;
use super::{downstream, failure, key_change, models, settle};
use crate::config::resilience::Queue;
use crate::upstream::clock::now_ms;
use crate::upstream::keys::Standing;
use crate::upstream::lines::Tried as TriedLines;
use crate::upstream::pool::{self, Choice};
use crate::upstream::sessions::Owner;
use crate::upstream::slots::NoPlace;
use crate::upstream::{Ticket, Upstream};
use gateway_core::record::fault::UpstreamFault;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Notes that the present attempt failed. If another key of the upstream, or else another upstream, can take the request
/// over, it has its place there from here on, and the answer is `true`.
pub(crate) fn take_over(context: &mut Context, fault: &UpstreamFault) -> bool {
    let Some(here) = context.routing.destination else { return false };
    let is_of_key = key_change::is_of_key(context, here, fault);
    go_on(context, fault, is_of_key)
}

/// The same where it is known already whether another key of the upstream is to be tried first.
pub(super) fn go_on(context: &mut Context, fault: &UpstreamFault, wants_key: bool) -> bool {
    let Some(here) = context.routing.destination else { return false };
    context.routing.was_stale = false;
    let is_late = models::time_left(context).is_some_and(|left| left.is_zero());
    if wants_key && !is_late && key_change::change(context, here, fault) {
        return true;
    }
    settle::failed_at(context, here, fault);
    if is_late {
        return false;
    }
    if context.has_no_attempt_left(context.routing.tried.len()) {
        return false;
    }
    let Some((next, ticket)) = next(context) else { return false };
    if !context.snapshot.budget.take(now_ms()) {
        log::info!("{}: not sent again: the retry budget is used up", context.request_id);
        context.routing.was_unaffordable = true;
        return false;
    }
    let (from, to) = (&context.snapshot.upstreams[here], &context.snapshot.upstreams[next]);
    let said = fault.clone().in_known_words();
    log::info!("{}: upstream \"{}\" {said}; trying \"{}\"", context.request_id, from.config.name, to.config.name);
    to.stats.taken_over.fetch_add(1, Ordering::Relaxed);
    context.routing.destination = Some(next);
    context.routing.lines_tried = TriedLines::default();
    // The place at the other one is free with this; a response that is passed on keeps it to its end.
    context.routing.ticket = Some(ticket);
    true
}

/// The next upstream that is healthy and has room, and the request's place there.
fn next(context: &Context) -> Option<(usize, Ticket)> {
    let snapshot = &context.snapshot;
    let mut left_out: Vec<usize> = context.routing.tried.iter().map(|tried| tried.destination).collect();
    loop {
        let now = now_ms();
        let sender = context.arrival.identity.together;
        let choice = pool::choose(&snapshot.upstreams, context.group(), &left_out, sender, &snapshot.affinity, now);
        let Some(Choice::Ready(at)) = choice else { return None };
        let upstream = &snapshot.upstreams[at];
        match upstream.enter(&key_change::wish(snapshot, sender, upstream, &[]), now) {
            Some(ticket) => return Some((at, ticket)),
            // Another request was faster.
            None => left_out.push(at),
        }
    }
}

/// Finds a place for a request that was not sent yet: at its own upstream, if that is healthy and has room, else at
/// another one, else at the least bad one, in turn.
///
/// # Errors
/// When there is no place in time, or the client goes away.
pub(crate) async fn enter(session: &mut Session, context: &mut Context) -> Result<()> {
    let snapshot = Arc::clone(&context.snapshot);
    let (sender, now) = (context.arrival.identity.together, now_ms());
    snapshot.budget.request(now);
    let (upstreams, group) = (&snapshot.upstreams, context.group());
    let home = pool::home(upstreams, group, sender);
    let own = pool::place(upstreams, group, sender, &snapshot.affinity).or(home);
    // One that is near its end takes no new sessions either.
    let is_down = |home: &Upstream| !home.is_usable(now) || home.keys.standing(now) == Standing::Low;
    context.routing.home = home;
    context.routing.is_home_down = own.is_some_and(|own| is_down(&upstreams[own]));
    let wish = |at: usize| key_change::wish(&snapshot, sender, &snapshot.upstreams[at], &[]);
    let mut left_out = Vec::new();
    let at = loop {
        match pool::choose(&snapshot.upstreams, context.group(), &left_out, sender, &snapshot.affinity, now) {
            Some(Choice::Ready(at)) => match snapshot.upstreams[at].enter(&wish(at), now) {
                Some(ticket) => {
                    context.routing.destination = Some(at);
                    context.routing.ticket = Some(ticket);
                    return Ok(());
                }
                // Another request was faster.
                None => left_out.push(at),
            },
            Some(Choice::Full(at) | Choice::LeastBad(at)) => break at,
            // All were taken at this moment; a group has at least one member.
            None => match left_out.first() {
                Some(&at) => break at,
                None => return Error::e_explain(ErrorType::InternalError, "a request that may go to no upstream"),
            },
        }
    };
    context.routing.destination = Some(at);
    let upstream = &snapshot.upstreams[at];
    let (wish, owner) = (wish(at), Owner::of(sender, context.arrival.client));
    let entered = tokio::select! {
        biased;
        entered = upstream.enter_in_turn(&wish, owner) => entered,
        () = models::time_over(context) => Err(NoPlace::Late),
        gone = downstream::client_gone(session, context) => return Err(gone),
    };
    let ticket = entered.map_err(|no_place| {
        let of_keys = upstream.keys.all().iter().filter_map(|key| key.config.max_in_flight).max();
        let max_in_flight = upstream.config.max_in_flight.or(of_keys).unwrap_or_default();
        let Queue { length, timeout, .. } = snapshot.config.queue;
        failure::found(match no_place {
            NoPlace::QueueFull => UpstreamFault::QueueFull { max_in_flight, queue: length },
            NoPlace::Late => UpstreamFault::QueueTimeout { max_in_flight, within: timeout },
            NoPlace::NoKey => match key_change::until_back(upstream) {
                Some(within) => UpstreamFault::KeysRest { within },
                None => UpstreamFault::KeysOut,
            },
        })
    })?;
    context.routing.ticket = Some(ticket);
    Ok(())
}
