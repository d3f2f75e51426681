//! Thinking that does not fit where a request goes: the API is asked to drop it, and a request that is refused for it is
//! sent once more without it, before the client hears anything.

use super::apply_rules::{Outgoing, is_plain};
use super::context::{Context, ControlsRefused, Repair};
use super::failure;
use crate::config::thinking::{Controls, OnMove, Repair as When};
use crate::gateway::client::buffers;
use crate::gateway::snapshot::Destination;
use crate::upstream::clock::now_ms;
use gateway_core::protocol::Endpoint;
use gateway_core::record::ThinkingAction;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::rules::body::model_of;
use gateway_core::rules::document::{Document, Ends, Written};
use gateway_core::rules::header::{CasedName, HeaderOp};
use gateway_core::rules::template::Template;
use gateway_core::rules::thinking::{ask_to_drop, may_come_back, take_out};
use gateway_core::thinking::Moved;
use gateway_core::usage::refused_thinking::{Refusal, refuses_controls};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use std::sync::LazyLock;

/// The flag that goes with `thinking.block_binding`: half a pair is a 400. Beside what is there already, in one field.
static ADD_BETA: LazyLock<Option<HeaderOp>> = LazyLock::new(|| {
    let flag = Template::parse("thinking-binding-controls-2026-08-01", &|_| None).ok()?;
    Some(HeaderOp::ListAdd(CasedName::new("anthropic-beta").ok()?, vec![flag]))
});

/// Makes the outgoing request, to which the rules were applied, one whose thinking is not refused: without it if it was
/// refused before; else, where the conversation moved, the API is asked to drop what does not fit.
///
/// # Errors
/// When no upstream was chosen; that would be a mistake of the gateway's.
pub(crate) fn prepare(request: &mut RequestHeader, client: &RequestHeader, context: &mut Context) -> Result<()> {
    let asks = is_moved(context) && context.snapshot.config.thinking.on_move == OnMove::Drop;
    let asks = asks && context.routing.controls_refused.is_none();
    let repair = context.routing.repair;
    if repair.is_none() && !asks || !is_plain(&client.headers) {
        return Ok(());
    }
    let destination = context.destination()?;
    let here = context.routing.destination;
    let body = outgoing_body(context);
    let Some(mut document) = Some(body).filter(|body| may_come_back(body)).and_then(|body| Document::parse(body).ok())
    else {
        return Ok(());
    };
    let removed = match repair {
        // Another upstream counts otherwise, perhaps.
        Some(repair) => take_out(&mut document, repair.first.filter(|_| here == Some(repair.destination))),
        None => {
            let model = model_of(&document).unwrap_or_default().into_owned();
            if !asks_to_drop(&mut document, &model, destination) {
                return Ok(());
            }
            if let Some(add) = &*ADD_BETA {
                add.apply(&mut Outgoing(request), &context.facts(client, destination, Some(&model)));
            }
            0
        }
    };
    let Some(Written { bytes: body, .. }) = document.written(buffers::take) else { return Ok(()) };
    drop(document);
    context.attempt.removed_thinking = removed;
    context.attempt.asked_to_drop = repair.is_none();
    if let Some(hold) = context.arrival.body.as_mut().and_then(|held| held.hold.as_mut()) {
        hold.charge_rewritten(body.capacity());
    }
    // It is made of what the rules have changed, not of the client's.
    context.observation.shapes.ends = Ends::default();
    context.attempt.body = Some(buffers::into_bytes(body));
    Ok(())
}

/// Whether the gateway moved or changed the conversation; one that it does not know has moved if another upstream, or
/// another key, was asked in vain.
fn is_moved(context: &Context) -> bool {
    let was_elsewhere = !context.routing.tried.is_empty() || !context.routing.keys_tried.is_empty();
    context.attempt.moved.as_ref().map_or(was_elsewhere, Moved::is_by_gateway)
}

/// Asks the API to drop what does not fit, if the upstream knows that. Whether it is asked.
fn asks_to_drop(document: &mut Document<'_>, model: &str, destination: &Destination) -> bool {
    let controls = destination.upstream.config.thinking_controls;
    // The operator's word counts more than a refusal.
    let may_know = controls == Controls::On || destination.upstream.may_know_controls(now_ms());
    may_know && controls.know(model) && ask_to_drop(document).is_ok()
}

/// What would be done about thinking that comes back in this request, to which the rules were applied, if its conversation
/// moved to this upstream: `None` if none comes back; then [`ThinkingAction::AskedToDrop`], or nothing.
pub(crate) fn on_move(context: &Context) -> Option<Option<ThinkingAction>> {
    let mut document =
        Document::parse(outgoing_body(context)).ok().filter(|_| may_come_back(outgoing_body(context)))?;
    let model = model_of(&document).unwrap_or_default().into_owned();
    let is_wanted = context.snapshot.config.thinking.on_move == OnMove::Drop;
    let asks = is_wanted && asks_to_drop(&mut document, &model, context.chosen()?);
    Some(asks.then_some(ThinkingAction::AskedToDrop))
}

/// The body as the rules have it.
fn outgoing_body(context: &Context) -> &[u8] {
    context.attempt.body.as_deref().unwrap_or_else(|| context.arrival.body_bytes())
}

/// Whether a response with this head may be a refusal after which the request is sent once more: it is held back then, until
/// that is clear.
pub(crate) fn may_follow(response: &ResponseHeader, client: &RequestHeader, context: &Context) -> bool {
    let is_of_conversation = matches!(context.arrival.protocol.endpoint(), Endpoint::Messages | Endpoint::CountTokens);
    response.status == 400
        && is_of_conversation
        && (may_ask_without(context) || may_repair(context))
        && is_plain(&client.headers)
        && may_come_back(context.arrival.body_bytes())
}

/// Whether it may be the field that is refused which the gateway added.
fn may_ask_without(context: &Context) -> bool {
    context.attempt.asked_to_drop && context.routing.controls_refused.is_none()
}

fn may_repair(context: &Context) -> bool {
    let is_wanted = match context.snapshot.config.thinking.repair {
        When::Moved => is_moved(context),
        When::Always => true,
        When::Off => false,
    };
    is_wanted && context.routing.repair.is_none()
}

/// Whether a response of which a piece came, or which is over, has still to be waited for: it may be a refusal.
///
/// # Errors
/// When it is one, and the request is sent once more.
pub(crate) fn judge(is_end: bool, context: &mut Context) -> Result<bool> {
    if !context.attempt.may_be_refused {
        return Ok(false);
    }
    let can_take_back = context.arrival.hold.as_ref().is_some_and(|hold| hold.awaits_word());
    let error = context.attempt.error_body.as_ref().filter(|_| can_take_back);
    if error.is_some_and(|error| error.wants_more()) && !is_end {
        return Ok(true);
    }
    context.attempt.may_be_refused = false;
    let (Some(error), Some(destination)) = (error.map(|error| error.text()), context.routing.destination) else {
        return Ok(false);
    };
    let after = context.routing.tried.len();
    let upstream = &context.snapshot.upstreams[destination];
    let name = &upstream.config.name;
    let fault = if may_ask_without(context) && refuses_controls(&error) {
        log::info!(
            "{}: upstream \"{name}\" does not know thinking.block_binding; trying without it",
            context.request_id
        );
        upstream.knows_no_controls(now_ms());
        context.routing.controls_refused = Some(ControlsRefused { destination, after });
        UpstreamFault::Status { status: 400 }
    } else if let Some(refusal) = Refusal::read(&error).filter(|_| may_repair(context)) {
        log::info!("{}: upstream \"{name}\" refused thinking that came back; trying without it", context.request_id);
        context.routing.repair = Some(Repair { destination, first: refusal.first, after });
        UpstreamFault::ThinkingRefused
    } else {
        return Ok(false);
    };
    context.routing.was_stale = false;
    let mut error = failure::settled(fault);
    error.set_retry(true);
    Err(error)
}
