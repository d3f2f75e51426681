//! Reloads that were refused: how many, and why the last one was, until a configuration comes into force.

use super::super::source::problem::Problem;
use gateway_core::language::Words;
use gateway_core::redact::shapes;
use std::sync::{Mutex, PoisonError};

/// What was refused since a configuration came into force.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<(u64, Words)>>);

impl Refusals {
    /// One more, with what was wrong.
    pub(super) fn note(&self, problems: &[Problem]) {
        let Some(first) = problems.first() else { return };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = last.as_ref().map_or(0, |(count, _)| *count);
        *last = Some((count + 1, first.words().map(|text| shapes(text).into_owned())));
    }

    /// A configuration is in force.
    pub(super) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many there were, if any, and what was wrong first with the last one.
    pub(super) fn last(&self) -> Option<(u64, Words)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
