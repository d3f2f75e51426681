//! Applies the rules: to the outgoing request for each attempt, and to the response's head.

use super::context::Context;
use super::{conversation, field_order};
use crate::config::built_in::SYSTEM_PROMPT;
use crate::gateway::answer::Answer;
use crate::gateway::client::buffers;
use crate::gateway::snapshot::Destination;
use crate::upstream::clock::now_ms;
use gateway_core::reason::Reason;
use gateway_core::record::PromptOutcome;
use gateway_core::rules::body::{BodyAction, Change, Outcome};
use gateway_core::rules::document::{NoChange, NotJson};
use gateway_core::rules::header::{CasedName, Fields};
use gateway_core::rules::plan::{Body, Plan};
use gateway_core::rules::prefix::PrefixRules;
use gateway_core::rules::rule::RuleSet;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use std::sync::Arc;

/// Finds the rules for this request and makes their changes to the outgoing head, which stands in `request`; the
/// changed body is kept in the attempt. `client` is the head as the client sent it.
///
/// # Errors
/// When a changed field or target cannot be sent.
pub(crate) fn request(request: &mut RequestHeader, client: &RequestHeader, context: &mut Context) -> Result<()> {
    let held = context.arrival.body.as_ref().filter(|_| is_plain(&client.headers)).map(|held| held.bytes.clone());
    let snapshot = Arc::clone(&context.snapshot);
    let destination = context.destination_in(&snapshot)?;
    // What reads the whole body anyway spares the rules to.
    let body = held.as_deref().filter(|_| !destination.rules.is_empty());
    let layout = body.and_then(|body| context.observation.shapes.layout(body)).cloned();
    let document = conversation::begin(client, held.as_deref(), layout.as_ref(), context);
    let former = conversation::former_rules(context, destination);
    if destination.rules.is_empty() && destination.upstream.keys.all().is_empty() && former.is_none() {
        conversation::sent(request, client, false, context);
        return Ok(());
    }
    let body = Body { bytes: held.as_deref(), layout: layout.as_ref(), document };
    let plan = plan(client, destination, context, body, former.as_deref());
    change_head(request, client, &plan, destination, context)?;
    conversation::sent(request, client, changes_prefix(&plan, &destination.rules), context);
    context.attempt.prompt_outcome = outcome_of_prompt(&plan, &destination.rules);
    context.attempt.rules = plan.rules;
    context.attempt.former_rules = plan.former.into_iter().map(|(name, _)| name).collect();
    context.attempt.former_rules.dedup();
    let hold = context.arrival.body.as_mut().and_then(|held| held.hold.as_mut());
    if let (Some(hold), Some(body)) = (hold, &plan.body) {
        hold.charge_rewritten(body.bytes.capacity());
    }
    context.observation.shapes.ends = plan.body.as_ref().map(|body| body.ends).unwrap_or_default();
    context.attempt.body = plan.body.map(|body| buffers::into_bytes(body.bytes));
    Ok(())
}

/// What the rules for `destination` make of a request, and the `former` ones of its `system` and `tools`.
pub(crate) fn plan<'b>(
    client: &RequestHeader,
    destination: &'b Destination,
    context: &Context,
    body: Body<'b>,
    former: Option<&'b PrefixRules>,
) -> Plan {
    let rules = &destination.rules;
    let plan = rules.plan(&context.facts(client, destination, None), body, former, buffers::take);
    if log::log_enabled!(log::Level::Debug) {
        if let Some(why) = &plan.unread {
            log::debug!("{}: the body stays as it is: {why}", context.request_id);
        }
        for (index, outcome) in &plan.outcomes {
            if let Err(unchanged) = outcome {
                let name = &rules.rules()[*index].name;
                log::debug!("{}: rule {name} leaves the body as it is: {unchanged}", context.request_id);
            }
        }
    }
    plan
}

/// Whether a rule changed what `system` or `tools` say; blanks say nothing.
fn changes_prefix(plan: &Plan, rules: &RuleSet) -> bool {
    let is_change = |outcome: &Outcome| matches!(outcome, Ok(change) if *change != Change::Compacted);
    let changed = plan.outcomes.iter().filter(|(_, outcome)| is_change(outcome));
    let mut changed = changed.map(|(index, _)| &rules.rules()[*index]);
    changed.any(|rule| rule.body.iter().any(BodyAction::changes_prefix))
        || plan.former.iter().any(|(_, outcome)| is_change(outcome))
}

fn change_head(
    request: &mut RequestHeader,
    client: &RequestHeader,
    plan: &Plan,
    destination: &Destination,
    context: &Context,
) -> Result<()> {
    let facts = context.facts(client, destination, plan.model.as_deref());
    let mut outgoing = Outgoing(request);
    // Pingora parses a target anew whenever it is set.
    let mut target: Option<Vec<u8>> = None;
    for (_, rule) in plan.rules(&destination.rules) {
        rule.headers.iter().for_each(|op| op.apply(&mut outgoing, &facts));
        for op in &rule.query {
            target = Some(op.apply(target.as_deref().unwrap_or_else(|| outgoing.0.raw_path())));
        }
    }
    if let Some(target) = target {
        outgoing.0.set_raw_path(&target)?;
    }
    // A dry run is no attempt.
    match context.key().or_else(|| destination.upstream.keys.first(now_ms())) {
        Some(key) => replace_key(outgoing.0, key.config.key.expose()),
        None => Ok(()),
    }
}

/// What became of the system prompt, if `SYSTEM_PROMPT_REPLACEMENT` was for this request.
fn outcome_of_prompt(plan: &Plan, rules: &RuleSet) -> Option<PromptOutcome> {
    let is_prompt = |index: usize| &*rules.rules()[index].name == SYSTEM_PROMPT;
    if let Some(why) = plan.unread.as_ref().filter(|_| plan.rules.iter().any(|&index| is_prompt(index))) {
        return Some(match why {
            NotJson::Invalid(_) => PromptOutcome::NotJson,
            NotJson::TooDeep => PromptOutcome::of(Err(NoChange::TooLarge.into())),
        });
    }
    let present = plan.outcomes.iter().filter(|(index, _)| is_prompt(*index)).map(|(_, outcome)| *outcome);
    let former = plan.former.iter().filter(|(name, _)| **name == *SYSTEM_PROMPT).map(|(_, outcome)| *outcome);
    let mut outcomes = present.chain(former);
    // Inserting comes first; what it leaves undone is replacing's.
    let decides = outcomes.clone().find(|outcome| *outcome == Ok(Change::Inserted)).or_else(|| outcomes.next_back());
    decides.map(PromptOutcome::of)
}

/// The response of the first matching rule that gives one at once.
pub(crate) fn respond(client: &RequestHeader, context: &mut Context) -> Option<Answer> {
    let body = readable_body(client, context);
    let destination = context.snapshot.answering()?;
    let respond = destination.rules.respond(&context.facts(client, destination, None), body)?;
    let fields = respond.headers.iter();
    let headers =
        fields.filter_map(|(name, text)| Some((name.name.clone(), HeaderValue::from_bytes(text.as_bytes()).ok()?)));
    let answer = Answer { status: respond.status, headers: headers.collect(), body: respond.body.clone().into() };
    if answer.status >= 400 {
        context.observation.rejected = Some(Reason::Rule);
    }
    Some(answer)
}

pub(crate) fn readable_body<'c>(client: &RequestHeader, context: &'c Context) -> Option<&'c [u8]> {
    context.arrival.body.as_ref().filter(|_| is_plain(&client.headers)).map(|held| &held.bytes[..])
}

/// Whether the body can be read: one in a content coding is left alone.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.is_empty() || coding == "identity")
}

/// Makes the rules' changes to the response's head.
pub(crate) fn response(response: &mut ResponseHeader, client: &RequestHeader, context: &Context) {
    if response.status.is_informational() {
        return;
    }
    let Some(destination) = context.chosen() else { return };
    let rules = destination.rules.rules();
    let facts = context.facts(client, destination, None);
    let mut outgoing = Incoming(response);
    for &index in &context.attempt.rules {
        rules[index].response.iter().for_each(|op| op.apply(&mut outgoing, &facts));
    }
}

/// Sends the upstream's own key in place of the client's, in the field that the client uses.
fn replace_key(request: &mut RequestHeader, key: &str) -> Result<()> {
    const X_API_KEY: &str = "x-api-key";
    let sensitive = |text: String| {
        let mut value = HeaderValue::from_str(&text).or_err(ErrorType::InternalError, "making the key a header")?;
        value.set_sensitive(true);
        Ok::<_, Box<Error>>(value)
    };
    let has_x_api_key = request.headers.contains_key(X_API_KEY);
    if has_x_api_key {
        request.insert_header(X_API_KEY, sensitive(key.to_owned())?)?;
    }
    if !has_x_api_key || request.headers.contains_key(AUTHORIZATION) {
        request.insert_header(AUTHORIZATION, sensitive(format!("Bearer {key}"))?)?;
    }
    Ok(())
}

/// What cannot be sent was refused at load; should it happen all the same, the request goes without it.
fn warn_if_bad(name: &CasedName, result: Result<()>) {
    if let Err(error) = result {
        log::warn!("header {} cannot be sent: {}", name.cased, error.etype().as_str());
    }
}

/// The outgoing head while rules change it.
pub(super) struct Outgoing<'r>(pub(super) &'r mut RequestHeader);

impl Fields for Outgoing<'_> {
    fn map(&self) -> &HeaderMap {
        &self.0.headers
    }
    fn set(&mut self, name: &CasedName, value: HeaderValue) {
        if name.name == HOST && !gateway_core::http1::is_host(value.as_bytes()) {
            log::warn!("a rule makes a Host that is none; the request goes with the one before");
            return;
        }
        warn_if_bad(name, self.0.insert_header(name.cased.clone(), value));
    }
    fn append(&mut self, name: &CasedName, value: HeaderValue) {
        warn_if_bad(name, self.0.append_header(name.cased.clone(), value).map(drop));
    }
    fn remove(&mut self, name: &HeaderName) {
        self.0.remove_header(name);
    }
}

/// The response's head while rules change it.
struct Incoming<'r>(&'r mut ResponseHeader);

impl Fields for Incoming<'_> {
    fn map(&self) -> &HeaderMap {
        &self.0.headers
    }
    fn set(&mut self, name: &CasedName, value: HeaderValue) {
        warn_if_bad(name, self.0.insert_header(name.cased.clone(), value));
    }
    fn append(&mut self, name: &CasedName, value: HeaderValue) {
        warn_if_bad(name, self.0.append_header(name.cased.clone(), value).map(drop));
    }
    fn remove(&mut self, name: &HeaderName) {
        if let Err(error) = field_order::retain(self.0, |other| other != name) {
            log::warn!("a rule could not remove {name}: {}", error.etype().as_str());
        }
    }
}
