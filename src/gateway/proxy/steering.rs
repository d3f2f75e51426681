//! What one request shows of the time until the first event of its stream (`failover.balance_by: latency`).

use super::context::Context;
use super::session_place;
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::first_events::{FirstEvent, Kind};
use crate::upstream::sessions::hash;
use gateway_core::rules::document::peek_true;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client that leaves earlier may have had any reason.
const PATIENT: Duration = Duration::from_secs(10);

/// The present upstream has begun to answer as it should. From here on the session is there, however long the answer takes.
pub(super) fn answers(context: &Context) {
    let Some(here) = context.routing.destination.filter(|_| context.arrival.protocol.is_model_call()) else { return };
    if context.snapshot.upstreams[here].steering.is_none() {
        return;
    }
    // What is no stream is complete by now: its time says how long the answer is.
    if context.observation.stream.is_some() {
        note(context, here, false);
    }
    session_place::keep(context, here);
}

/// The client is gone.
pub(super) fn given_up(context: &Context) {
    let Some(here) = context.routing.destination else { return };
    let is_call = context.arrival.protocol.is_model_call() && !context.attempt.has_opened;
    let waited = || context.attempt.connected.is_some_and(|connected| connected.elapsed() >= PATIENT);
    if !is_call || context.snapshot.upstreams[here].steering.is_none() || !waited() {
        return;
    }
    if context.observation.stream.is_some() || peek_true(context.arrival.body_bytes(), "stream") {
        note(context, here, true);
    }
}

/// Notes the time since there was a connection: that to make one is not the upstream's, and spared on a kept one.
fn note(context: &Context, here: usize, is_given_up: bool) {
    let upstream: &Arc<Upstream> = &context.snapshot.upstreams[here];
    let (Some(steering), Some(connected)) = (&upstream.steering, context.attempt.connected) else { return };
    let names = context.observation.names.as_ref();
    let model = names.and_then(|names| names.model.as_deref());
    let asked = model.unwrap_or_else(|| context.arrival.protocol.endpoint().name());
    let place = context.snapshot.affinity.place_of(context.arrival.identity.together);
    let is_known = place.is_some_and(|place| place.seed == upstream.seed);
    let kind = Kind::of(hash(asked.as_bytes()), context.arrival.request_bytes, is_known);
    let time = Instant::now().duration_since(connected);
    steering.first_event(FirstEvent { kind, time, is_given_up }, now_ms());
}
