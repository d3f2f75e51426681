//! The limits of a request's token, user and group: what it takes of them before it goes to an upstream, and what it used
//! once it is over.

use super::apply_rules::is_plain;
use super::context::Context;
use crate::gateway::answer::Answer;
use crate::gateway::shared::Shared;
use crate::ledger::{Checks, Known};
use gateway_core::http1::decoded;
use gateway_core::protocol::{Endpoint, Protocol};
use gateway_core::record::Outcome;
use gateway_core::rules::document::peek_text;
use gateway_core::team::budget::Budget;
use gateway_core::team::measure::Amounts;
use gateway_core::team::refusal::Refusal;
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::summary::{Details, Summary};
use http::header::{RETRY_AFTER, UPGRADE};
use http::{HeaderName, HeaderValue, Method};
use pingora::http::RequestHeader;

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const X_GATEWAY_BUDGET: HeaderName = HeaderName::from_static("x-gateway-budget");
/// The member of a body that names the model.
const MODEL: &str = "model";

/// Takes what a request is likely to use; the gateway's own response if it is refused.
pub(crate) async fn admit(request: &RequestHeader, shared: &Shared, context: &mut Context) -> Option<Answer> {
    let token = context.arrival.identity.token.as_ref()?;
    let checks = shared.ledger.checks(&token.holder.token)?;
    let refusal = match take(request, shared, &checks, context).await {
        Ok(()) => return None,
        Err(refusal) => refusal,
    };
    shared.ledger.counts().refused(refusal.reason());
    context.observation.rejected = Some(refusal.reason());
    let answer = answer(&refusal, request, context);
    let told = context.snapshot.config.team.budget_header.then(|| checks.budget().map(value)).flatten();
    Some(match told {
        Some(budget) => answer.with_value(X_GATEWAY_BUDGET, budget),
        None => answer,
    })
}

/// What a client is told with the response to a request that was admitted: how much is used of a limit. That is what others
/// used: this one is not over yet.
pub(super) fn told(context: &Context) -> Option<(HeaderName, HeaderValue)> {
    let admitted = context.admitted.as_ref().filter(|_| context.snapshot.config.team.budget_header)?;
    Some((X_GATEWAY_BUDGET, value(admitted.budget()?)))
}

fn value(budget: Budget) -> HeaderValue {
    // It is made of digits and names of the gateway's own.
    HeaderValue::try_from(budget.to_string()).unwrap_or(HeaderValue::from_static(""))
}

async fn take(
    request: &RequestHeader,
    shared: &Shared,
    checks: &std::sync::Arc<Checks>,
    context: &mut Context,
) -> Result<(), Box<Refusal>> {
    if !is_told(request, context)
        && let Some(refusal) = checks.refuses_unread()
    {
        return Err(Box::new(refusal));
    }
    if !as_upstreams_read(request).is_model_call() {
        return Ok(());
    }
    let model = model(request, context).unwrap_or_default();
    let prices = &context.snapshot.config.prices;
    let at = context.arrival.started_at;
    let likely = checks.likely(&model, context.arrival.request_bytes, |tokens| {
        prices.cost(&model, tokens, &Details::default(), at, Factor::ONE)
    })?;
    let session = context.observation.names.as_ref().and_then(|names| names.client.session.as_deref());
    context.admitted = Some(shared.ledger.admit(checks, session, &likely).await?);
    shared.ledger.counts().admitted();
    Ok(())
}

/// What a request is to an upstream that takes a path with percent signs for the one that they stand for.
fn as_upstreams_read(request: &RequestHeader) -> Protocol {
    Protocol::of(request.method.as_str(), &decoded(request.raw_path()))
}

/// Whether it is known what a request uses, once it is over: it is a message, or costs nothing. What is sent over a connection
/// that is upgraded is not looked at.
fn is_told(request: &RequestHeader, context: &Context) -> bool {
    if request.headers.contains_key(UPGRADE) {
        return false;
    }
    if context.arrival.protocol.asks_for_message() {
        return true;
    }
    let endpoint = as_upstreams_read(request).endpoint();
    let asks_only = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    matches!(endpoint, Endpoint::CountTokens | Endpoint::Files | Endpoint::Hello)
        || asks_only && context.arrival.body_bytes().is_empty()
}

/// The model that a request asks for, if that can be read.
fn model(request: &RequestHeader, context: &Context) -> Option<String> {
    let noted = context.observation.names.as_ref().and_then(|names| names.model.clone());
    let read = || is_plain(&request.headers).then(|| peek_text(context.arrival.body_bytes(), MODEL)).flatten();
    noted.or_else(|| read().map(|model| model.to_string()))
}

fn answer(refusal: &Refusal, request: &RequestHeader, context: &Context) -> Answer {
    let told = refusal.told();
    let mut answer = Answer::error(told.status, &refusal.words(), context.recipient(request));
    if let Some(seconds) = told.retry_after {
        answer = answer.with_value(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match told.is_final {
        true => answer.with(X_SHOULD_RETRY, "false"),
        false => answer,
    }
}

/// The request is over at the upstream that it went to last: what it used is counted, before its client has the end of the
/// response and may send the next one.
pub(super) fn settle(context: &mut Context, outcome: Outcome) {
    let Some(admitted) = context.admitted.take() else { return };
    let asked = context.observation.names.as_ref().and_then(|names| names.model.as_deref());
    let read = context.attempt.read.as_ref().and_then(|read| read.answer.as_ref());
    let is_whole = outcome == Outcome::Completed;
    let is_untold = is_whole || outcome == Outcome::Unreadable;
    let told = read.and_then(|answer| used(answer, asked, context));
    match told {
        Some((used, known)) => admitted.settle(&used, asked.filter(|_| is_whole), known),
        // An API whose usage nobody reads here, or a response that nobody can read.
        None if is_untold && (200..300).contains(&context.attempt.status) => {
            let taken = admitted.taken();
            admitted.settle(&taken, None, Known::Estimated);
        }
        // Nothing was told: it counts nothing.
        None => admitted.release(),
    }
}

/// What a response used that told any of it, and whether it told all.
fn used(answer: &Summary, asked: Option<&str>, context: &Context) -> Option<(Amounts, Known)> {
    let tokens = answer.tokens?;
    let prices = &context.snapshot.config.prices;
    let factor = context.chosen().map_or(Factor::ONE, |destination| destination.upstream.config.cost_factor);
    let cost = |model: &str| prices.cost(model, &tokens, &answer.details, context.arrival.started_at, factor);
    // By the model that answered; if nobody knows what that costs, by the one that was asked for.
    let cost = answer.model.as_deref().and_then(cost).or_else(|| asked.and_then(cost));
    let known = if answer.is_estimated { Known::Estimated } else { Known::Told };
    Some((Amounts::used(&tokens, cost), known))
}
