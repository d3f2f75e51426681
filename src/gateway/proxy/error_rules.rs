//! What follows an upstream's error by the rules of `failover.errors`. Its body is read first, so that it is held back until
//! then; where no rule decides, its status does.

use super::context::{Bad, Context, Undecided};
use super::{failover, failure, key_change};
use crate::config::resilience::RetryOn;
use crate::config::upstream::UpstreamConfig;
use crate::gateway::client::response_hold::Held;
use crate::gateway::snapshot::Snapshot;
use crate::upstream::Upstream;
use crate::upstream::circuit::LONGEST_RETRY_AFTER;
use crate::upstream::clock::{millis, now_ms};
use crate::upstream::key_state::{KeyReason, LONGEST_TOLD, Pause, Why};
use gateway_core::errors::{ErrorRule, Of, Says, Then, Told, Where, deciding};
use gateway_core::language::Words;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::usage::error_body::ErrorText;
use gateway_core::usage::summary::Summary;
use pingora::Result;
use pingora::http::ResponseHeader;
use std::sync::Arc;
use std::time::Duration;

/// How long an error's body is waited for. What is there by then decides.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long it is held back at most: its time is over before.
pub(super) const LONGEST_HELD: Duration = Duration::from_secs(10);

/// Whether a rule may decide what follows a response with this head, which is a `bad` one perhaps: the error of an upstream
/// that was asked for what it is there for.
pub(super) fn may_decide(response: &ResponseHeader, bad: Option<&Bad>, context: &Context) -> bool {
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    is_error
        && context.arrival.protocol.is_model_call()
        && context.arrival.hold.is_some()
        && !context.snapshot.config.errors.is_empty()
        && bad.is_none_or(|bad| matches!(bad.fault, UpstreamFault::Status { .. }))
}

/// How much of such a response is held back. One that ends with its head goes out as it is, unless its status is followed by
/// something else, by itself or by a rule that asks for no more.
pub(super) fn held(context: &Context) -> Held {
    let is_bad = context.attempt.undecided.as_ref().is_some_and(|undecided| undecided.bad.is_some());
    let by_status = || rule_for(context.attempt.status, &ErrorText::default(), context).ok().flatten();
    let is_followed = || by_status().is_some_and(|rule| rule.then != Then::Pass || rule.answer.is_some());
    if is_bad || is_followed() { Held::Beginning } else { Held::Error }
}

/// The time begins in which the error's body has to come.
pub(super) fn expect_body(context: &Context) {
    if let Some(hold) = &context.arrival.hold {
        hold.expect_first_event(Some(now_ms() + millis(LONGEST_WAIT)));
    }
}

/// Whether an error of which a piece came, or which is over, has still to be waited for.
///
/// # Errors
/// When the request goes on elsewhere, or the client gets something else.
pub(super) fn judge(is_end: bool, context: &mut Context) -> Result<bool> {
    if context.attempt.undecided.is_none() {
        return Ok(false);
    }
    let can_take_back = context.arrival.hold.as_ref().is_some_and(|hold| hold.awaits_word());
    let wants_more = context.attempt.error_body.as_ref().is_some_and(|error| error.wants_more());
    if can_take_back && wants_more && !is_end {
        return Ok(true);
    }
    match context.attempt.undecided.take() {
        Some(undecided) if can_take_back => decide(undecided, context).map(|()| false),
        _ => Ok(false),
    }
}

/// The error's body broke off, or did not come in time: what was read of it decides. The client gets nothing of it.
pub(super) fn cut_short(undecided: Undecided, context: &mut Context) -> Box<pingora::Error> {
    let status = context.attempt.status;
    match decide(undecided, context) {
        Err(error) => error,
        Ok(()) => failure::settled(UpstreamFault::Status { status }),
    }
}

/// What follows an error that is known as far as it is needed.
///
/// # Errors
/// When the request goes on elsewhere, or the client gets something else.
pub(super) fn decide(undecided: Undecided, context: &mut Context) -> Result<()> {
    let text = context.attempt.error_body.as_ref().map(|error| error.whole()).unwrap_or_default();
    let status = context.attempt.status;
    if let Some(rule) = rule_for(status, &text, context)? {
        return follow(&rule, &UpstreamFault::Status { status }, context);
    }
    let Some(bad) = undecided.bad else { return Ok(()) };
    let snapshot = Arc::clone(&context.snapshot);
    let upstream = upstream(&snapshot, context)?;
    bad.apply_retry_after(upstream, context);
    if failover::take_over(context, &bad.fault) {
        return again(bad.fault);
    }
    match bad.fault {
        UpstreamFault::Status { status: 401..=403 | 429 } => unless_keys_rest(upstream),
        _ => Ok(()),
    }
}

/// The same of an error in a stream, or in a reply under the status of a success: whether a rule decides, and the client
/// gets the error.
///
/// # Errors
/// As [`decide`].
pub(super) fn decides(answer: &Summary, fault: &UpstreamFault, context: &mut Context) -> Result<bool> {
    let (kind, code, message) = (answer.error.clone(), answer.error_code.clone(), answer.error_message.clone());
    let text = ErrorText { kind, code, message, ..ErrorText::default() };
    match rule_for(context.attempt.status, &text, context)? {
        Some(rule) => follow(&rule, fault, context).map(|()| true),
        None => Ok(false),
    }
}

/// The rule that decides, if one does.
fn rule_for(status: u16, text: &ErrorText, context: &Context) -> Result<Option<Arc<ErrorRule>>> {
    let upstream = upstream(&context.snapshot, context)?;
    let (kind, code) = (text.kind.as_deref(), text.code.as_deref());
    let told = Told {
        upstream: &upstream.config.name,
        status,
        kind: kind.or(code),
        code: code.or(kind),
        message: text.message.as_deref(),
    };
    let there = place(status, &upstream.config, &context.snapshot.config.failover.retry_on);
    Ok(deciding(&context.snapshot.config.errors, &told, there).cloned())
}

/// Where an error with this status comes from.
pub(crate) fn place(status: u16, upstream: &UpstreamConfig, retry_on: &RetryOn) -> Where {
    Where {
        wants_retries: !retry_on.is_empty(),
        retries_status: retry_on.contains(status),
        has_own_key: !upstream.api_keys.is_empty(),
        has_several_keys: upstream.has_key_pool(),
    }
}

/// Does what a rule says.
fn follow(rule: &Arc<ErrorRule>, fault: &UpstreamFault, context: &mut Context) -> Result<()> {
    let snapshot = Arc::clone(&context.snapshot);
    let upstream = upstream(&snapshot, context)?;
    let (id, name, said) = (&context.request_id, &upstream.config.name, fault.clone().in_known_words());
    log::info!("{id}: upstream \"{name}\" {said}; the rule {} decides: {}", rule.name, rule.then.name());
    context.routing.error_rule = Some(Arc::clone(rule));
    context.attempt.is_of_request = rule.built_in().is_some_and(|known| known.is_of_request);
    learn(rule, upstream, context);
    if rule.rest.is_none() && rule.then != Then::Pass && !context.attempt.is_of_request {
        let asked = Bad { fault: fault.clone(), retry_after: context.attempt.retry_after };
        asked.apply_retry_after(upstream, context);
    }
    let goes_on = match rule.then {
        Then::Pass => false,
        Then::Next => failover::go_on(context, fault, false),
        Then::NextKey => failover::go_on(context, fault, true),
    };
    if goes_on {
        return again(fault.clone());
    }
    if rule.answer.is_some() {
        context.attempt.is_replaced = true;
        return Err(failure::settled(fault.clone()));
    }
    match rule.then {
        Then::NextKey => unless_keys_rest(upstream),
        Then::Pass | Then::Next => Ok(()),
    }
}

/// What the key, the upstream, or whoever sent the request has to heed from now on.
fn learn(rule: &ErrorRule, upstream: &Upstream, context: &Context) {
    let (is_pool, is_own) = (upstream.config.has_key_pool(), rule.built_in().is_none());
    let why = || Why { reason: reason(rule), detail: Words::said(rule.name.to_string()) };
    // Of a single key, what the gateway brings along says as little as the statuses do.
    let key = context.key().filter(|_| is_pool || is_own);
    if let Some(key) = key.filter(|_| rule.disable_key) {
        key.disable(why());
    }
    let Some(pause) = rule.rest else { return };
    let pause = context.attempt.retry_after.map_or(pause, |told| pause.max(told.min(LONGEST_TOLD)));
    match (rule.of, key) {
        (Some(Of::Upstream), _) => upstream.circuit.rest(pause, now_ms()),
        (None, _) if !is_pool => upstream.circuit.rest(pause, now_ms()),
        (_, Some(key)) => {
            let began_ms = context.routing.ticket.as_ref().map_or(0, |ticket| ticket.entered_ms());
            key.rest(Pause::For(pause), why(), began_ms);
        }
        // It is the client's key, or the only one: who sends with it goes elsewhere for a while.
        (_, None) => {
            let sender = context.arrival.identity.together;
            context.snapshot.affinity.wait(sender, upstream.seed, pause.min(LONGEST_RETRY_AFTER));
        }
    }
}

fn reason(rule: &ErrorRule) -> KeyReason {
    match rule.built_in().map(|known| known.says) {
        Some(Says::Limited) => KeyReason::RateLimited,
        Some(Says::UsedUp) => KeyReason::QuotaUsedUp,
        Some(Says::Refused) => KeyReason::Refused,
        Some(Says::Nothing) | None => KeyReason::Rule,
    }
}

/// The error of a key goes to the client, unless all keys of its upstream are out: then the answer says when the first one
/// is back.
fn unless_keys_rest(upstream: &Upstream) -> Result<()> {
    match key_change::until_back(upstream).filter(|_| upstream.config.has_key_pool()) {
        Some(within) => Err(failure::settled(UpstreamFault::KeysRest { within })),
        None => Ok(()),
    }
}

/// The request is sent once more.
fn again(fault: UpstreamFault) -> Result<()> {
    let mut error = failure::settled(fault);
    error.set_retry(true);
    Err(error)
}

fn upstream<'s>(snapshot: &'s Snapshot, context: &Context) -> Result<&'s Upstream> {
    Ok(&context.destination_in(snapshot)?.upstream)
}
