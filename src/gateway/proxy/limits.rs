//! The limits of a request's token, user and group: what it takes of them before it goes to an upstream, and what it used
//! once it is over.

use super::apply_rules::is_plain;
use super::context::Context;
use crate::gateway::answer::Answer;
use crate::gateway::shared::Shared;
use crate::ledger::{Admitted, Checks, Known};
use gateway_core::http1::decoded;
use gateway_core::protocol::{self, Protocol};
use gateway_core::record::Outcome;
use gateway_core::rules::document::peek_text;
use gateway_core::team::budget::Budget;
use gateway_core::team::estimate::Told;
use gateway_core::team::measure::Amounts;
use gateway_core::team::refusal::Refusal;
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::summary::{Details, Summary};
use http::header::{RETRY_AFTER, UPGRADE};
use http::{HeaderName, HeaderValue};
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
    if is_free(request, context) {
        return Ok(());
    }
    let as_read = as_upstreams_read(request);
    // A target may be a message by its end, and another thing behind its escapes: `/v1/messages/batches%3F/v1/messages`.
    let is_message = context.arrival.protocol.asks_for_message() && as_read.asks_for_message() && !is_upgraded(request);
    if !is_message && let Some(refusal) = checks.refuses_unread() {
        return Err(Box::new(refusal));
    }
    let likely = match as_read.is_model_call() {
        true => likely(request, checks, context)?,
        // Whatever it is, it is one request.
        false => Amounts { requests: 1, ..Amounts::default() },
    };
    let session = context.observation.names.as_ref().and_then(|names| names.client.session.as_deref());
    context.admitted = Some(shared.ledger.admit(checks, session, &likely).await?);
    shared.ledger.counts().admitted();
    Ok(())
}

/// What a call of a model is likely to use.
fn likely(request: &RequestHeader, checks: &Checks, context: &Context) -> Result<Amounts, Box<Refusal>> {
    let model = model(request, context).unwrap_or_default();
    let (prices, at) = (&context.snapshot.config.prices, context.arrival.started_at);
    checks.likely(&model, context.arrival.request_bytes, |tokens| {
        prices.cost(&model, tokens, &Details::default(), at, Factor::ONE)
    })
}

/// What a request is to an upstream that takes a path with percent signs for the one that they stand for.
fn as_upstreams_read(request: &RequestHeader) -> Protocol {
    Protocol::of(request.method.as_str(), &decoded(request.raw_path()))
}

/// Whether a request counts for no limit: no model is called by it. What is sent over a connection that is upgraded, nobody
/// here looks at.
fn is_free(request: &RequestHeader, context: &Context) -> bool {
    let has_body = !context.arrival.body_bytes().is_empty();
    !is_upgraded(request) && protocol::is_free(request.method.as_str(), request.raw_path(), has_body)
}

fn is_upgraded(request: &RequestHeader) -> bool {
    request.headers.contains_key(UPGRADE)
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
    if has_prompt_unsettled(context, outcome) {
        estimate_prompt(&admitted, context);
    }
    let asked = context.observation.names.as_ref().and_then(|names| names.model.as_deref());
    let read = context.attempt.read.as_ref().and_then(|read| read.answer.as_ref());
    let is_whole = outcome == Outcome::Completed;
    match read.and_then(|answer| used(answer, asked, context)) {
        Some((used, known)) => {
            let tokens = read.and_then(|answer| answer.tokens).unwrap_or_default();
            let body_bytes = context.arrival.request_bytes;
            let told = asked.filter(|_| is_whole).map(|model| Told { model, body_bytes, tokens: &tokens });
            admitted.settle(&used, told.as_ref(), known);
        }
        // An API whose usage nobody reads here, or a response that nobody can read.
        None if is_untold(context, outcome) => {
            let taken = admitted.taken();
            admitted.settle(&taken, None, Known::Estimated);
        }
        // It failed before the upstream did anything for it.
        None => admitted.release(),
    }
}

/// Whether it was used, and nobody tells how much: it was served, or upgraded, or its client left while it was.
fn is_untold(context: &Context, outcome: Outcome) -> bool {
    let status = context.attempt.status;
    let is_served = matches!(outcome, Outcome::Completed | Outcome::Unreadable) && (200..300).contains(&status);
    is_served || status == 101 || !context.arrival.protocol.asks_for_message() && is_given_up(context, outcome)
}

/// Whether the upstream has the whole request, and the client left, or the response broke off; an error is no response.
fn is_given_up(context: &Context, outcome: Outcome) -> bool {
    let status = context.attempt.status;
    let is_over_early = match outcome {
        Outcome::ClientAborted | Outcome::ClientStalled => status == 0 || (200..300).contains(&status),
        Outcome::Truncated | Outcome::Stalled => (200..300).contains(&status),
        _ => false,
    };
    is_over_early && context.attempt.body_given
}

/// Whether a relay bills the prompt of a message of which it told nothing: it does so as soon as it has that.
fn has_prompt_unsettled(context: &Context, outcome: Outcome) -> bool {
    let answer = context.attempt.read.as_ref().and_then(|read| read.answer.as_ref());
    let is_told = answer.is_some_and(|answer| answer.tokens.is_some() || answer.error.is_some());
    context.arrival.protocol.asks_for_message() && !is_told && is_given_up(context, outcome)
}

/// Has the request's row say what its prompt was made of, most likely: that is what it is counted as.
fn estimate_prompt(admitted: &Admitted, context: &mut Context) {
    let asked = context.observation.names.as_ref().and_then(|names| names.model.as_deref()).unwrap_or_default();
    let tokens = admitted.prompt(asked, context.arrival.request_bytes);
    let answer = context.attempt.read().answer.get_or_insert_default();
    (answer.tokens, answer.is_estimated, answer.is_input_estimated) = (Some(tokens), true, true);
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
