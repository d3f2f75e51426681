//! The lines to an upstream, as one request sees them: where one fails, it takes another.

use super::context::Context;
use super::models;
use crate::upstream::clock::now_ms;
use crate::upstream::line_times;
use gateway_core::record::fault::UpstreamFault;
use pingora::protocols::Digest;

/// What a fault says about the line that a request took.
enum Lesson {
    /// The upstream has heard nothing of the request.
    NotSent,
    /// It may have heard of it.
    Sent,
    /// The line was not at fault.
    None,
}

fn lesson(fault: &UpstreamFault) -> Lesson {
    match fault {
        // All lines go through the same proxy.
        UpstreamFault::Proxy { refusal: Some(_), .. } | UpstreamFault::ProxyAnswer { .. } => Lesson::None,
        fault if fault.is_of_connection() => Lesson::NotSent,
        UpstreamFault::Closed => Lesson::Sent,
        _ => Lesson::None,
    }
}

/// There is a new connection.
pub(crate) fn connected(digest: Option<&Digest>, context: &Context) {
    let Some(upstream) = context.chosen().map(|destination| &destination.upstream) else { return };
    if upstream.lines.are_several() {
        let (connect, tls) = line_times::of_connection(digest);
        upstream.lines.at(context.routing.line).times.connected(connect, tls);
    }
}

/// Notes that the line of the present attempt failed. If another one to the same upstream can take the request, the
/// answer is `true`. A request that was not sent takes each line once, and has no further attempt at that; one that was is
/// sent again only as `failover.max_attempts` and the retry budget allow.
pub(crate) fn take_over(context: &mut Context, fault: &UpstreamFault) -> bool {
    let Some(here) = context.routing.destination else { return false };
    let upstream = &context.snapshot.upstreams[here];
    let lesson = lesson(fault);
    if !upstream.lines.are_several() || matches!(lesson, Lesson::None) {
        return false;
    }
    let line = upstream.lines.at(context.routing.line);
    line.times.failed(fault.clone());
    context.routing.lines_tried.add(context.routing.line);
    let Some(next) = upstream.lines.next(context.routing.lines_tried) else { return false };
    if models::time_left(context).is_some_and(|left| left.is_zero()) {
        return false;
    }
    let was_sent = matches!(lesson, Lesson::Sent);
    if was_sent {
        let is_over = context.has_no_attempt_left(context.routing.tried.len() + 1);
        if is_over || !context.snapshot.budget.take(now_ms()) {
            return false;
        }
    }
    let (name, from, to) = (&upstream.config.name, line.authority(), upstream.lines.at(next).authority());
    log::info!("{}: upstream \"{name}\" at {from} {fault}; trying it at {to}", context.request_id);
    context.routing.was_not_sent = !was_sent;
    context.routing.sent_again += u32::from(was_sent);
    context.routing.was_stale = false;
    true
}
