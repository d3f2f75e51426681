//! What is noted of a request when it begins, for those who look at it while it runs and afterwards.

use super::apply_rules::is_plain;
use super::context::Context;
use crate::config::Kept;
use crate::gateway::clean::{LONGEST_NAME, Names};
use crate::gateway::running::{Entry, Progress};
use crate::gateway::shared::Shared;
use gateway_core::prompt_shape::kept::head_text;
use gateway_core::record::Capture;
use gateway_core::rules::document::peek_text;
use pingora::http::RequestHeader;
use std::sync::Arc;

/// Notes what the request is, and shows it among the running ones.
pub(crate) fn begin(request: &RequestHeader, shared: &Shared, context: &mut Context) {
    let names = Arc::new(Names::of(request, model_asked(request, context), &context.snapshot.secrets));
    context.observation.is_capture_wished = is_wished(&names, shared, context);
    if context.observation.is_capture_wished || context.snapshot.config.capture.requests != Kept::Off {
        context.observation.capture = Some(Box::new(capture(request, context)));
    }
    context.observation.shapes.is_wanted =
        shared.log.is_kept() && context.arrival.protocol.has_prompt() && is_plain(&request.headers);
    context.observation.shapes.is_kept = shared.log.keeps_shapes();
    context.observation.running = Some(shared.running.enter(Entry {
        request_id: context.request_id.clone(),
        started: context.arrival.started,
        started_at: context.arrival.started_at,
        names: Arc::clone(&names),
        client: context.arrival.client,
        key: context.arrival.identity.key,
        snapshot: Arc::clone(&context.snapshot),
        progress: Progress::default(),
    }));
    context.observation.names = Some(names);
}

/// Whether somebody wants to see the next request of this session: one for a message, of whichever agent.
fn is_wished(names: &Names, shared: &Shared, context: &Context) -> bool {
    let Context { request_id, arrival, .. } = context;
    let session = names.client.session.as_deref();
    arrival.protocol.asks_for_message() && shared.capture_wishes.take(session, request_id, arrival.started)
}

/// The model that the body names: with Claude Code its first member, so that no more than the beginning is read.
fn model_asked(request: &RequestHeader, context: &Context) -> Option<String> {
    if !context.arrival.protocol.names_model() || !is_plain(&request.headers) {
        return None;
    }
    let model = peek_text(context.arrival.body_bytes(), "model").filter(|model| !model.trim().is_empty())?;
    Some(model.chars().take(LONGEST_NAME).collect())
}

/// The request, as far as it is kept. Its values of secret fields are gone already; the rest is cleaned when it is
/// known that it is kept at all.
fn capture(request: &RequestHeader, context: &Context) -> Capture {
    let head = head_text(&request.method, request.raw_path(), request.version, &request.headers, None);
    let body = context.arrival.body_bytes();
    let kept = &body[..body.len().min(context.snapshot.config.capture.body_bytes)];
    Capture { head, body: String::from_utf8_lossy(kept).into_owned(), is_cut: kept.len() < body.len() }
}
