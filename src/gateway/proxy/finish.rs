//! The end of a request: from its context to its record.

use super::context::Context;
use super::ending::Ending;
use super::failure::{self, Failure};
use crate::config::Kept;
use crate::gateway::cache_waste::CacheWaste;
use crate::gateway::clean::{Cleaner, Names};
use crate::gateway::snapshot::Snapshot;
use gateway_core::language::Language;
use gateway_core::prompt_shape::kept::KeptHead;
use gateway_core::record::fault::{Reader, UpstreamFault};
use gateway_core::record::{Labels, Outcome, RequestRecord, ThinkingAction, cause};
use gateway_core::usage::pricing::Prices;
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::refused_thinking::Refusal;
use http::Version;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;

/// The record of a request that ended so. Its cost is by the prices in force now, however old its configuration is: costs that
/// are made anew meanwhile (`store/recost.rs`) are by them too. The factor is the one of the upstream that it was sent to,
/// as it was then: the configuration in force may not have that upstream any more.
pub(crate) fn record(
    session: &Session,
    mut ending: Ending,
    context: &mut Context,
    in_force: &Prices,
    cache_waste: &CacheWaste,
) -> RequestRecord {
    let request = session.req_header();
    let snapshot = Arc::clone(&context.snapshot);
    let cleaner = OnceCell::new();
    let cleaner = || cleaner.get_or_init(|| Cleaner::new(request, &snapshot.secrets));
    // It is over: unless somebody looks at it just now, its names are this record's alone.
    context.observation.running = None;
    let names = context.observation.names.take().map(Arc::unwrap_or_clone);
    let names = names.unwrap_or_else(|| Names::of(request, None, &snapshot.secrets));
    let kept = snapshot.config.capture;
    let is_refused = ending.status == 400 && ending.error.as_ref().and_then(Refusal::read).is_some();
    let error = ending.error.take().map(|error| cleaner().error(error, kept.error_body));
    let mut capture = match kept.requests {
        Kept::Errors if !ending.outcome.is_failure() && !context.observation.is_capture_wished => None,
        _ => context.observation.capture.take(),
    };
    if let Some(capture) = &mut capture {
        cleaner().capture(capture);
    }
    context.note_shapes();
    let shapes = std::mem::take(&mut context.observation.shapes);
    let is_kept = shapes.is_kept && shapes.came.is_some();
    let head = is_kept.then(|| kept_head(request, &snapshot));
    let Context { arrival, routing, attempt, .. } = &*context;
    let reached = context.chosen().filter(|_| routing.attempts > 0);
    let factor = reached.map_or(Factor::ONE, |destination| destination.upstream.config.cost_factor);
    let since = |at: Option<Instant>| at.map(|at| at.duration_since(arrival.started));
    let mut record = RequestRecord {
        request_id: context.request_id.clone(),
        started_at: arrival.started_at,
        duration: arrival.started.elapsed(),
        queue: since(routing.entered),
        connect: since(attempt.connected),
        first_byte: since(attempt.first_byte),
        client: arrival.client,
        http: match request.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        method: names.method,
        path: names.path,
        endpoint: arrival.protocol.endpoint(),
        status: ending.status,
        outcome: ending.outcome,
        reason: ending.reason,
        upstream: reached.map(|destination| Arc::clone(&destination.upstream.name)),
        upstream_key: reached.and_then(|_| context.key()).map(|key| Arc::clone(&key.label)),
        attempts: routing.attempts,
        request_bytes: arrival.request_bytes,
        response_bytes: session.body_bytes_sent() as u64,
        key: arrival.identity.key.map(|key| key.to_string()),
        holder: arrival.identity.token.as_ref().map(|token| Arc::clone(&token.holder)),
        is_keyed: arrival.identity.key.is_some() || routing.destination.is_some_and(|at| snapshot.adds_key_at(at)),
        rewrite: attempt.prompt_outcome,
        names: names.client,
        model_asked: names.model,
        rules: rules(context),
        moved: attempt.moved.clone(),
        tried: tried(context, ending.fault(), |kind| cleaner().text(kind, true)),
        thinking_action: thinking_action(is_refused, ending.outcome, context),
        removed_thinking: attempt.removed_thinking,
        answer: ending.answer,
        error,
        error_rule: routing.error_rule.as_ref().map(|rule| Arc::clone(&rule.name)),
        cause: None,
        cost: None,
        labels: Labels::default(),
        capture,
        head,
        shape: shapes.came,
        sent_shape: shapes.sent,
        cached: None,
        waste: None,
    };
    conclude(&mut record, in_force, factor);
    cache_waste.judge(&mut record, in_force, factor);
    record.sent_shape = None;
    // What anybody can send leaves none: it would push out those of others.
    if record.is_stray() {
        record.head = None;
    }
    if record.head.is_none() {
        record.shape = None;
    }
    // In the gateway's own words, what the upstream did not say.
    if record.outcome.is_failure()
        && let (None, Some(Failure::Upstream(fault))) = (record.error_message(), &ending.failure)
    {
        let message = cleaner().text(&failure::sentence(context, fault, Reader::Operator, Language::English), false);
        log::info!("{}: {message}", context.request_id);
        record.error.get_or_insert_default().message = Some(message);
    }
    record
}

/// The head of a request for its row: it is written down without its secrets where rows are written.
fn kept_head(request: &RequestHeader, snapshot: &Snapshot) -> Box<KeptHead> {
    let of_config = Arc::clone(&snapshot.secrets);
    Box::new(KeptHead::new(&request.method, request.raw_path(), request.version, &request.headers, of_config))
}

/// What follows from all the rest: the likely cause of a failure, and the price.
fn conclude(record: &mut RequestRecord, prices: &Prices, factor: Factor) {
    record.cause = cause::of(&cause::Failed {
        outcome: record.outcome,
        reason: record.reason,
        status: record.status,
        error_type: record.error_type(),
        message: record.error_message(),
        is_page: record.error.as_ref().is_some_and(|error| error.is_page),
    });
    record.cost = record
        .answer
        .as_ref()
        .and_then(|answer| prices.cost(record.model()?, &answer.tokens?, &answer.details, record.started_at, factor));
}

/// What was done about thinking that came back.
fn thinking_action(is_refused: bool, outcome: Outcome, context: &Context) -> Option<ThinkingAction> {
    match context.routing.repair {
        Some(_) if outcome == Outcome::Completed => Some(ThinkingAction::Repaired),
        Some(_) => Some(ThinkingAction::NotRepaired),
        None if is_refused => Some(ThinkingAction::Refused),
        None => context.attempt.asked_to_drop.then_some(ThinkingAction::AskedToDrop),
    }
}

/// Names of the rules that applied at the last attempt, former ones included.
fn rules(context: &Context) -> Vec<Arc<str>> {
    let rules = context.chosen().map_or(&[][..], |destination| destination.rules.rules());
    let present = context.attempt.rules.iter().map(|&index| &rules[index].name);
    let mut names: Vec<Arc<str>> = present.cloned().collect();
    for former in &context.attempt.former_rules {
        if !names.contains(former) {
            names.push(Arc::clone(former));
        }
    }
    names
}

/// The upstreams that failed, in order, and what each did; `last` is what the last one did if the request failed there.
fn tried(
    context: &Context,
    last: Option<UpstreamFault>,
    clean: impl Fn(&str) -> String,
) -> Vec<(Arc<str>, UpstreamFault)> {
    let snapshot = &context.snapshot;
    let named = |at: usize, fault: UpstreamFault| (Arc::clone(&snapshot.upstreams[at].name), fault.with_kind(&clean));
    let before = context.routing.tried.iter().map(|tried| named(tried.destination, tried.fault.clone()));
    let mut tried: Vec<_> = before.collect();
    let last = last.zip(context.routing.destination).map(|(fault, here)| named(here, fault));
    // One that failed before its response began is among them already.
    tried.extend(last.filter(|last| tried.last() != Some(last)));
    // From the last one on, so that the places of the others stay what they are.
    for of_key in context.routing.keys_tried.iter().rev() {
        tried.insert(of_key.after.min(tried.len()), named(of_key.destination, of_key.fault.clone()));
    }
    if let Some(repair) = context.routing.repair {
        tried.insert(repair.after, named(repair.destination, UpstreamFault::ThinkingRefused));
    }
    // That comes first: a request is repaired only if it was sent without what the gateway had added.
    if let Some(refused) = context.routing.controls_refused {
        tried.insert(refused.after, named(refused.destination, UpstreamFault::Status { status: 400 }));
    }
    tried
}
