//! The beginning of a request: what came in, who sends it, and whether the gateway answers it by itself.

use super::context::Context;
use super::{apply_rules, downstream, limits, max_forwards, models, observe};
use crate::gateway::answer::Answer;
use crate::gateway::browser;
use crate::gateway::clean::Names;
use crate::gateway::identity::identify;
use crate::gateway::local::{self, LocalHandler, Whose};
use crate::gateway::panel_key::Carried;
use crate::gateway::shared::Shared;
use crate::gateway::snapshot::peer;
use crate::gateway::tokens;
use gateway_core::http1::Refusal;
use gateway_core::protocol::Protocol;
use gateway_core::reason::Reason;
use gateway_core::redact;
use gateway_core::team::roster::Roster;
use gateway_core::team::token::Denied;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::SystemTime;

/// Takes over what the door read of the request, and settles who sends it and what it asks.
///
/// # Errors
/// When Pingora's session cannot be made ready; that would be a mistake of the gateway's.
pub(crate) fn arrive(session: &mut Session, shared: &Shared, context: &mut Context) -> Result<()> {
    let origin = context.snapshot.origin(peer(session.client_addr()), &session.req_header().headers);
    context.arrival.came_from(origin);
    let read = downstream::take_request(session);
    let request = session.req_header();
    context.arrival.protocol = Protocol::of(request.method.as_str(), request.raw_path());
    let found = read.and_then(|read| {
        let arrival = &mut context.arrival;
        arrival.started = read.started;
        arrival.started_at = SystemTime::now() - read.started.elapsed();
        arrival.request_bytes = read.body.as_ref().map_or(0, |held| held.bytes.len() as u64);
        arrival.length_name = read.length_name;
        arrival.body = read.body;
        arrival.hold = Some(read.hold);
        read.found
    });
    context.arrival.identity = match found {
        // A request is served with the configuration that its head met.
        Some(found) => {
            context.snapshot = found.snapshot;
            found.identity
        }
        None => {
            let (authority, roster) = (request.uri.authority(), shared.roster.load());
            identify(&request.headers, authority, context.arrival.client, &roster, &context.snapshot)
        }
    };
    downstream::prepare(session, context)
}

/// Answers what is not for the upstreams, or must not go there; whether it was that.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn answer_here(
    session: &mut Session,
    shared: &Shared,
    local: &dyn LocalHandler,
    context: &mut Context,
) -> Result<bool> {
    let whose = local::whose(session.req_header(), &context.snapshot.config);
    if whose != Whose::Upstreams {
        context.observation.is_local = true;
        context.observation.in_flight = None;
    }
    let answer = match whose {
        Whose::Pages => return downstream::serve_local(session, local, context).await.map(|()| true),
        Whose::Nobody => Some(local::nothing_here(context.recipient(session.req_header()))),
        Whose::Upstreams => {
            slow_guesses(shared, context).await;
            match answer(session, shared, context) {
                None => limits::admit(session.req_header(), shared, context).await,
                answer => answer,
            }
        }
    };
    match answer {
        Some(answer) => downstream::send(answer, session, context).await.map(|()| true),
        None => Ok(false),
    }
}

/// Has who sends many unknown tokens wait, or refuses more of them.
async fn slow_guesses(shared: &Shared, context: &mut Context) {
    let arrival = &mut context.arrival;
    if let Err(refusal) = &arrival.identity.group
        && let Some(other) = shared.slow_guesses(refusal, arrival.client).await
    {
        arrival.identity.group = Err(other);
    }
}

/// The gateway's own response to a request for the upstreams; `None` if it goes to one of them.
fn answer(session: &Session, shared: &Shared, context: &mut Context) -> Option<Answer> {
    let request = session.req_header();
    // Before anything of it is kept, and before a rule answers.
    if let Some(carried) = shared.panel.carried(request, context.arrival.body_bytes()) {
        context.observation.rejected = Some(Reason::PanelKey);
        if carried == Carried::InHead {
            // Any of them may hold it.
            let (method, path) = (redact::MASK.to_owned(), redact::MASK.to_owned());
            context.observation.names = Some(Arc::new(Names { method, path, ..Names::default() }));
            context.arrival.protocol = Protocol::default();
        }
        return Some(local::panel_key_refused(carried, context.recipient(request)));
    }
    observe::begin(request, shared, context);
    if let Err(refusal) = admit_token(request, &shared.roster.load(), context) {
        context.observation.rejected = Some(refusal.reason);
        return Some(Answer::refusal(&refusal, context.recipient(request)));
    }
    if browser::wants_service_worker(&request.headers) {
        context.observation.rejected = Some(Reason::ServiceWorker);
        return Some(browser::refuse_service_worker(context.recipient(request)));
    }
    if let Some(answer) = max_forwards::answer(request).or_else(|| apply_rules::respond(request, context)) {
        return Some(answer);
    }
    let Err(refusal) = &context.arrival.identity.group else {
        context.arrival.stand_in = models::stand_in(request, shared, context);
        return None;
    };
    context.observation.rejected = Some(refusal.reason);
    Some(Answer::refusal(refusal, context.recipient(request)))
}

/// Whether the token of a request lets it in, if it has or needs one, and no token would reach an upstream. No rule answers
/// before.
///
/// # Errors
/// Why not.
pub(crate) fn admit_token(
    request: &RequestHeader,
    roster: &Roster,
    context: &Context,
) -> std::result::Result<(), Refusal> {
    let (identity, body) = (&context.arrival.identity, context.arrival.body_bytes());
    if let (Err(refusal), true) = (&identity.group, identity.is_barred) {
        return Err(refusal.clone());
    }
    if tokens::are_exposed(request, body, roster) {
        return Err(Denied::Exposed.refusal());
    }
    // Its body may have come slowly.
    let present = identity.look_again(context.arrival.client, roster).map_err(Denied::refusal)?;
    let Some(token) = present else { return Ok(()) };
    let readable = if body.is_empty() { Some(body) } else { apply_rules::readable_body(request, context) };
    tokens::admit_models(token, request, readable).map_err(Denied::refusal)
}
