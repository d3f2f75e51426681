//! What is noted of a request when it begins, for those who look at it while it runs and afterwards.

use super::context::Context;
use super::rewrite::is_plain;
use super::running::{Entry, Progress, Running};
use super::snapshot::client_keys;
use crate::config::Kept;
use crate::http1::split_query;
use crate::record::{Capture, path_text, redact};
use crate::rules::document::peek_text;
use http::{HeaderMap, HeaderValue, Method};
use pingora::http::RequestHeader;
use std::fmt::Write as _;
use std::sync::Arc;

/// Longest name of a model, a session or an agent that is kept, in characters.
const LONGEST_NAME: usize = 100;

/// Notes what the request is, and shows it among the running ones.
pub fn begin(request: &RequestHeader, running: &Arc<Running>, context: &mut Context) {
    context.model_asked = model_asked(request, context);
    if context.snapshot.config.capture.requests != Kept::Off {
        context.capture = Some(Box::new(capture(request, context)));
    }
    let (path, _) = split_query(request.raw_path());
    context.running = Some(running.enter(Entry {
        request_id: context.request_id.clone(),
        started: context.started,
        started_at: context.started_at,
        method: request.method.to_string(),
        path: path_text(path),
        model_asked: context.model_asked.clone(),
        client: context.client,
        session: named(&request.headers, "x-claude-code-session-id"),
        snapshot: Arc::clone(&context.snapshot),
        progress: Progress::default(),
    }));
}

/// A client's name for something, cut to a length that logs can bear.
pub fn named(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).chars().take(LONGEST_NAME).collect();
    headers.get(name).map(text)
}

/// The model that the body names: with Claude Code its first member, so that no more than the beginning is read.
fn model_asked(request: &RequestHeader, context: &Context) -> Option<String> {
    if request.method != Method::POST || !is_plain(&request.headers) {
        return None;
    }
    let (path, _) = split_query(request.raw_path());
    memchr::memmem::find(path, b"/v1/messages")?;
    let model = peek_text(&context.body.as_ref()?.bytes, "model")?;
    Some(model.chars().take(LONGEST_NAME).collect())
}

/// The request without its keys.
fn capture(request: &RequestHeader, context: &Context) -> Capture {
    let keys: Vec<&[u8]> = client_keys(&request.headers).collect();
    // As `explain` reads it.
    let target = String::from_utf8_lossy(request.raw_path());
    let mut head = format!("{} {} {:?}", request.method, redact::target(&target), request.version);
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // Writing to a string cannot fail.
        let _ = write!(head, "\n{name}: {}", redact::field(name.as_str(), &value));
    }
    let body = context.body.as_ref().map(|held| &held.bytes[..]).unwrap_or_default();
    let kept = &body[..body.len().min(context.snapshot.config.capture.body_bytes)];
    Capture {
        head: redact::text(&head, &keys),
        body: redact::text(&String::from_utf8_lossy(kept), &keys),
        is_cut: kept.len() < body.len(),
    }
}
