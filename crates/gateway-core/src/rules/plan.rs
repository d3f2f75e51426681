//! What the rules make of one request.

use super::body::{Outcome, model_of};
use super::document::{Document, Layout, NotJson, Written};
use super::matcher::Facts;
use super::prefix::PrefixRules;
use super::rule::{Rule, RuleSet};
use std::borrow::Cow;
use std::sync::Arc;

/// A body, and what is known of it.
#[derive(Debug, Default)]
pub struct Body<'b> {
    /// Its bytes; `None` if there is none, or none that can be read.
    pub bytes: Option<&'b [u8]>,
    /// Where its members stand, if somebody has passed over it.
    pub layout: Option<&'b Layout>,
    /// The same as a document, if somebody made one already.
    pub document: Option<Result<Document<'b>, NotJson>>,
}

/// The rules for a request and the body that they make of its own.
#[derive(Debug, Default)]
pub struct Plan {
    /// The places of the matching rules in their set, in order.
    pub rules: Vec<usize>,
    /// `model` of the body, if a rule asked for it.
    pub model: Option<String>,
    /// The changed body; `None` if it stays as it is.
    pub body: Option<Written>,
    /// What each body action did: the place of its rule, and the outcome.
    pub outcomes: Vec<(usize, Outcome)>,
    /// What each change of the former rules did: the name of its rule, and the outcome.
    pub former: Vec<(Arc<str>, Outcome)>,
    /// Why a body that rules wanted to change cannot be read.
    pub unread: Option<NotJson>,
}

impl RuleSet {
    /// Finds the rules for a request and applies their changes of the body. `facts.model` is found here. With `former`
    /// ones, `system` and `tools` are changed by those, and only the rest by these. `buffer` gives room for so many
    /// bytes of a changed body.
    pub fn plan<'b>(
        &'b self,
        facts: &Facts<'_>,
        body: Body<'b>,
        former: Option<&'b PrefixRules>,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) -> Plan {
        let Body { bytes: body, layout, document } = body;
        let read = |body| Document::read(body, layout);
        let needs_model = self.needs_model() || former.is_some_and(PrefixRules::needs_model);
        let document = document.or_else(|| body.filter(|_| needs_model).map(read));
        let readable = document.as_ref().filter(|_| needs_model);
        let model = readable.and_then(|document| model_of(document.as_ref().ok()?).map(Cow::into_owned));
        let facts = Facts { model: model.as_deref(), ..*facts };
        let rules = self.matching(&facts);
        let mut plan = Plan { rules, model: None, ..Plan::default() };
        let has_changes =
            former.is_some_and(|former| !former.is_empty()) || plan.rules(self).any(|(_, rule)| !rule.body.is_empty());
        if let Some(body) = body.filter(|_| has_changes) {
            match document.unwrap_or_else(|| read(body)) {
                Ok(document) => self.change(&mut plan, document, &facts, former, buffer),
                Err(why) => plan.unread = Some(why),
            }
        }
        plan.model = model;
        plan
    }

    fn change<'b>(
        &'b self,
        plan: &mut Plan,
        mut document: Document<'b>,
        facts: &Facts<'_>,
        former: Option<&'b PrefixRules>,
        buffer: impl FnOnce(usize) -> Vec<u8>,
    ) {
        if let Some(former) = former {
            plan.former = former.apply(facts, &mut document);
        }
        let mut outcomes = Vec::new();
        for (index, rule) in plan.rules(self) {
            let changes = rule.body.iter().filter(|action| former.is_none() || !action.changes_prefix());
            outcomes.extend(changes.map(|action| (index, action.apply(&mut document))));
        }
        plan.outcomes = outcomes;
        plan.body = document.written(buffer);
    }
}

impl Plan {
    /// The matching rules with their places in `set`.
    pub fn rules<'p, 's>(&'p self, set: &'s RuleSet) -> impl Iterator<Item = (usize, &'s Rule)> + use<'p, 's> {
        self.rules.iter().map(|&index| (index, &*set.rules()[index]))
    }
}
