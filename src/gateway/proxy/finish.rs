//! The end of a request: from its context to its record.

use super::context::Context;
use super::ending::Ending;
use super::failure::{self, Failure};
use crate::config::Kept;
use crate::gateway::clean::{Cleaner, Names};
use crate::gateway::client_keys::{client_keys, key_fingerprint};
use gateway_core::record::fault::{Reader, UpstreamFault};
use gateway_core::record::{Labels, RequestRecord, cause};
use http::Version;
use pingora::proxy::Session;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;

/// The record of a request that ended so.
pub fn record(session: &Session, ending: Ending, context: &mut Context) -> RequestRecord {
    let request = session.req_header();
    let snapshot = Arc::clone(&context.snapshot);
    let cleaner = OnceCell::new();
    let cleaner = || cleaner.get_or_init(|| Cleaner::new(request, &snapshot.secrets));
    let names = context.names.take().unwrap_or_else(|| Names::of(request, None, &snapshot.secrets));
    let tried = tried(context, ending.fault());
    let Ending { status, answer, failure, outcome, reason } = ending;
    let upstream = (context.attempts > 0).then(|| Arc::from(context.destination().upstream.config.name.as_str()));
    let kept = snapshot.config.capture;
    let error_text = context.attempt.error_body.take().map(|body| cleaner().error(body.finish(), kept.error_body));
    let mut capture = match kept.requests {
        Kept::Errors if !outcome.is_failure() => None,
        _ => context.capture.take(),
    };
    if let Some(capture) = &mut capture {
        cleaner().capture(capture);
    }
    let since = |at: Option<Instant>| at.map(|at| at.duration_since(context.started));
    let mut record = RequestRecord {
        request_id: context.request_id.clone(),
        started_at: context.started_at,
        duration: context.started.elapsed(),
        queue: since(context.entered),
        connect: since(context.attempt.connected),
        first_byte: since(context.first_byte),
        client: context.client,
        http: match request.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        method: request.method.to_string(),
        path: names.path,
        status,
        outcome,
        reason,
        upstream,
        attempts: context.attempts,
        request_bytes: context.request_bytes,
        response_bytes: session.body_bytes_sent() as u64,
        key: key_fingerprint(&request.headers),
        is_keyed: client_keys(&request.headers).next().is_some() || context.snapshot.adds_key_at(context.destination),
        rewrite: context.attempt.prompt_outcome,
        names: names.client,
        model_asked: names.model,
        rules: rules(context),
        tried,
        answer,
        error: error_text,
        cause: None,
        cost: None,
        labels: Labels::default(),
        capture,
    };
    record.cause = cause::of(&cause::Failed {
        outcome,
        reason,
        status,
        error_type: record.error_type(),
        message: record.error_message(),
        is_page: record.error.as_ref().is_some_and(|error| error.is_page),
    });
    // In the gateway's own words, what the upstream did not say.
    if outcome.is_failure()
        && let (None, Some(Failure::Upstream(fault))) = (record.error_message(), &failure)
    {
        let message = cleaner().text(&failure::sentence(context, fault, Reader::Operator), false);
        log::info!("{}: {message}", context.request_id);
        record.error.get_or_insert_default().message = Some(message);
    }
    record.cost = record.answer.as_ref().and_then(|answer| answer.tokens).and_then(|tokens| {
        let price = context.snapshot.config.prices.of(record.model()?)?;
        Some(price.cost(&tokens))
    });
    record
}

/// Names of the rules that applied at the last attempt.
fn rules(context: &Context) -> Vec<Arc<str>> {
    let rules = context.destination().rules.rules();
    context.attempt.rules.iter().map(|&index| Arc::clone(&rules[index].name)).collect()
}

/// The upstreams that failed, in order, and what each did; `last` is what the last one did if the request failed there.
fn tried(context: &Context, last: Option<UpstreamFault>) -> Vec<(Arc<str>, UpstreamFault)> {
    let named = |at: usize, fault| (Arc::from(context.snapshot.upstreams[at].config.name.as_str()), fault);
    let here = context.destination;
    // One that failed before its response began is among them already.
    let last =
        last.filter(|last| context.tried.last().is_none_or(|tried| tried.destination != here || tried.fault != *last));
    let before = context.tried.iter().map(|tried| named(tried.destination, tried.fault.clone()));
    before.chain(last.map(|fault| named(here, fault))).collect()
}
