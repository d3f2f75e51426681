//! Rules: which requests they are for, and what they change.

use super::body::{BodyAction, model_of};
use super::document::Document;
use super::header::{CasedName, HeaderOp};
use super::matcher::{Facts, Matcher};
use super::query::QueryOp;
use std::sync::Arc;

/// An answer that a rule gives in place of any upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// Status, from 200 on.
    pub status: u16,
    /// Fields beside `Content-Length` and `x-request-id`.
    pub headers: Vec<(CasedName, String)>,
    /// Body; may be empty.
    pub body: String,
}

/// One rule, compiled.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Its name in logs and in `explain`; unique.
    pub name: Arc<str>,
    /// Which requests it is for.
    pub matcher: Matcher,
    /// Changes of the request's fields, in order.
    pub headers: Vec<HeaderOp>,
    /// Changes of the query, in order.
    pub query: Vec<QueryOp>,
    /// Changes of the body, in order.
    pub body: Vec<BodyAction>,
    /// Changes of the answer's fields, in order.
    pub response: Vec<HeaderOp>,
    /// An answer at once.
    pub respond: Option<Respond>,
}

/// The rules for requests to one upstream, in the order in which they apply.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// All upstreams share them.
    rules: Vec<Arc<Rule>>,
    needs_model: bool,
}

impl RuleSet {
    /// These rules in this order.
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let needs_model = rules.iter().any(|rule| rule.matcher.needs_model());
        Self { rules, needs_model }
    }

    /// All rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Whether a rule asks for the body's `model`.
    pub fn needs_model(&self) -> bool {
        self.needs_model
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The places of the rules that are for this request, in order.
    pub fn matching(&self, facts: &Facts<'_>) -> Vec<usize> {
        self.rules.iter().enumerate().filter(|(_, rule)| rule.matcher.is_match(facts)).map(|(index, _)| index).collect()
    }

    /// The answer of the first rule for this request that gives one at once; `facts.model` is found here.
    pub fn respond(&self, facts: &Facts<'_>, body: Option<&[u8]>) -> Option<&Respond> {
        let mut answering = self.rules.iter().filter(|rule| rule.respond.is_some()).peekable();
        answering.peek()?;
        let needs_model = self.rules.iter().any(|rule| rule.respond.is_some() && rule.matcher.needs_model());
        let document = body.filter(|_| needs_model).and_then(|body| Document::parse(body).ok());
        let model = document.as_ref().and_then(model_of);
        let facts = Facts { model: model.as_deref(), ..*facts };
        answering.find(|rule| rule.matcher.is_match(&facts))?.respond.as_ref()
    }
}
