//! Rules for errors, and which of them decides.

use super::known::{BuiltIn, Where};
use super::then::{Of, Substitute, Then};
use super::told::Told;
use super::when::{Unmet, When};
use std::sync::Arc;
use std::time::Duration;

/// One rule.
#[derive(Clone, Debug)]
pub struct ErrorRule {
    /// What it is called in rows and logs.
    pub name: Arc<str>,
    /// Which errors it is for.
    pub when: Which,
    /// What follows.
    pub then: Then,
    /// How long something rests.
    pub rest: Option<Duration>,
    /// What does; `None`: the key where the upstream has several, else the upstream.
    pub of: Option<Of>,
    /// Whether the key is taken out until somebody wakes it.
    pub disable_key: bool,
    /// What the client gets, if it gets this error.
    pub answer: Option<Substitute>,
}

/// Which errors a rule is for.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those of which all of this holds.
    Operator(When),
    /// Those that a built-in rule knows.
    BuiltIn(&'static BuiltIn),
}

impl ErrorRule {
    /// Whether it is for this error: the first thing that does not hold, if not.
    pub fn first_unmet(&self, told: &Told<'_>) -> Option<Unmet> {
        match &self.when {
            Which::Operator(when) => when.first_unmet(told),
            Which::BuiltIn(known) => (!known.knows(told)).then_some(Unmet::Words),
        }
    }

    /// The built-in rule that it is, if it is one.
    pub fn built_in(&self) -> Option<&'static BuiltIn> {
        match &self.when {
            Which::Operator(_) => None,
            Which::BuiltIn(known) => Some(known),
        }
    }
}

/// The rule that decides about an error from there: the first that is for it; none if that is a built-in one which is not
/// wanted there.
pub fn deciding<'r>(rules: &'r [Arc<ErrorRule>], told: &Told<'_>, there: Where) -> Option<&'r Arc<ErrorRule>> {
    let first = rules.iter().find(|rule| rule.first_unmet(told).is_none())?;
    first.built_in().is_none_or(|known| known.is_wanted(told.status, there)).then_some(first)
}
