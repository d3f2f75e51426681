//! `GET /v1/models`: passed on; where that leads to no list in time, the gateway answers with the models that it knows
//! (docs/upstreams.md). Claude Code waits 3 s for it, takes a redirect for a failure, and asks once at each start.

use super::context::Context;
use crate::gateway::answer::Answer;
use crate::gateway::shared::Shared;
use gateway_core::models;
use gateway_core::record::fault::UpstreamFault;
use pingora::http::RequestHeader;
use std::time::Duration;

/// How long the upstreams have together; what is left of the client's 3 s is for the way.
const WITHIN: Duration = Duration::from_secs(2);

/// The gateway's own response to a request for models, should the upstreams have none; `None` if it knows none, or
/// something else is asked.
pub(crate) fn stand_in(request: &RequestHeader, shared: &Shared, context: &Context) -> Option<String> {
    let target = request.raw_path();
    if !models::asks_for_models(request.method.as_str(), target) {
        return None;
    }
    match &context.snapshot.config.models[..] {
        [] => models::response(target, &shared.models_seen.list()),
        listed => models::response(target, listed),
    }
}

/// How long the upstreams still have, if another response is at hand.
pub(crate) fn time_left(context: &Context) -> Option<Duration> {
    context.arrival.stand_in.as_ref().map(|_| WITHIN.saturating_sub(context.arrival.started.elapsed()))
}

/// Waits until that time is over; for ever, if something else is asked.
pub(crate) async fn time_over(context: &Context) {
    match time_left(context) {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

/// What it is called that an upstream took longer than that. It is no fault of the connection's: who asks for something
/// else waits longer.
pub(crate) fn too_late() -> UpstreamFault {
    UpstreamFault::FirstByteTimeout { within: WITHIN }
}

/// Whether an upstream that answers with this status has no list: there is no such page, or it is elsewhere.
pub(crate) fn is_none(status: u16, context: &Context) -> bool {
    context.arrival.stand_in.is_some() && matches!(status, 300..400 | 404 | 405 | 410 | 500..)
}

/// The response in place of the upstreams', which had none.
pub(crate) fn answer(context: &mut Context) -> Option<Answer> {
    let body = context.arrival.stand_in.take()?;
    log::info!("{}: no upstream has a list of models; answered with those that the gateway knows", context.request_id);
    context.observation.is_stood_in = true;
    Some(Answer::new(200, "application/json", body))
}
