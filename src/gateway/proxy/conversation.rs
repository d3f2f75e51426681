//! Thinking that comes back: whether it fits where the request goes.

use super::apply_rules::is_plain;
use super::context::Context;
use gateway_core::thinking::{self, Moved};
use pingora::Result;
use pingora::http::RequestHeader;
use std::sync::Arc;

/// Notes whether this attempt goes elsewhere than the thinking that comes back in the request.
///
/// # Errors
/// When no upstream was chosen; that would be a mistake of the gateway's.
pub(crate) fn note_move(client: &RequestHeader, context: &mut Context) -> Result<()> {
    let Some(tried) = context.routing.tried.first() else { return Ok(()) };
    if !is_plain(&client.headers) || !thinking::comes_back(context.arrival.body_bytes()) {
        return Ok(());
    }
    let from = Arc::clone(&context.snapshot.upstreams[tried.destination].name);
    let to = Arc::clone(&context.destination()?.upstream.name);
    context.attempt.moved = Some(Moved::Upstream { from, to, names: Vec::new() });
    if let Some(moved) = &context.attempt.moved {
        log::info!("{}: thinking comes back elsewhere: {} {}", context.request_id, moved.code(), moved.what());
    }
    Ok(())
}
