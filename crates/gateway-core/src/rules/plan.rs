//! What the rules make of one request.

use super::body::{Outcome, model_of};
use super::document::{Document, NotJson};
use super::matcher::Facts;
use super::rule::{Rule, RuleSet};
use std::borrow::Cow;

/// The rules for a request and the body that they make of its own.
#[derive(Debug, Default)]
pub struct Plan {
    /// The places of the matching rules in their set, in order.
    pub rules: Vec<usize>,
    /// `model` of the body, if a rule asked for it.
    pub model: Option<String>,
    /// The changed body; `None` if it stays as it is.
    pub body: Option<Vec<u8>>,
    /// What each body action did: the place of its rule, and the outcome.
    pub outcomes: Vec<(usize, Outcome)>,
    /// Why a body that rules wanted to change cannot be read.
    pub unread: Option<NotJson>,
}

impl RuleSet {
    /// Finds the rules for a request and applies their changes of the body. `facts.model` is found here. `body` is
    /// `None` if there is none, or none that can be read; `buffer` gives room for so many bytes of a changed one.
    pub fn plan(&self, facts: &Facts<'_>, body: Option<&[u8]>, buffer: impl FnOnce(usize) -> Vec<u8>) -> Plan {
        let document = body.filter(|_| self.needs_model()).map(Document::parse);
        let model = document.as_ref().and_then(|document| model_of(document.as_ref().ok()?).map(Cow::into_owned));
        let rules = self.matching(&Facts { model: model.as_deref(), ..*facts });
        let mut plan = Plan { rules, model, ..Plan::default() };
        let Some(body) = body else { return plan };
        if !plan.rules(self).any(|(_, rule)| !rule.body.is_empty()) {
            return plan;
        }
        let mut document = match document.unwrap_or_else(|| Document::parse(body)) {
            Ok(document) => document,
            Err(why) => {
                plan.unread = Some(why);
                return plan;
            }
        };
        let mut outcomes = Vec::new();
        for (index, rule) in plan.rules(self) {
            outcomes.extend(rule.body.iter().map(|action| (index, action.apply(&mut document))));
        }
        plan.outcomes = outcomes;
        plan.body = document.is_changed().then(|| document.write_into(buffer));
        plan
    }
}

impl Plan {
    /// The matching rules with their places in `set`.
    pub fn rules<'p, 's>(&'p self, set: &'s RuleSet) -> impl Iterator<Item = (usize, &'s Rule)> + use<'p, 's> {
        self.rules.iter().map(|&index| (index, &*set.rules()[index]))
    }
}
