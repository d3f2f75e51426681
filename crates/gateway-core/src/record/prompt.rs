//! What became of the system prompt that was to be replaced: the `rewrite` of logs, metrics and the API.

use crate::rules::body::{Change, Outcome, Unchanged};

/// What became of the system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptOutcome {
    /// It was changed.
    Changed(Change),
    /// It was left as it was.
    Unchanged(Unchanged),
    /// The body is no JSON object.
    NotJson,
}

impl PromptOutcome {
    /// Of what one action did.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Ok(change) => Self::Changed(change),
            Err(Unchanged::NotAnObject) => Self::NotJson,
            Err(unchanged) => Self::Unchanged(unchanged),
        }
    }

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Changed(change) => change.name(),
            Self::Unchanged(unchanged) => unchanged.name(),
            Self::NotJson => "not_json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::document::NoChange;

    /// Rows of the request log and dashboards go by these.
    #[test]
    fn the_codes_of_what_became_of_a_prompt_stay_as_they_are() {
        let no = |no: NoChange| Err(Unchanged::Document(no));
        for (outcome, code) in [
            (Ok(Change::Replaced), "replaced"),
            (Ok(Change::AttributionReplaced), "attribution_replaced"),
            (Ok(Change::Prepended), "prepended"),
            (Ok(Change::Appended), "appended"),
            (Ok(Change::Inserted), "inserted"),
            (Ok(Change::Listed), "listed"),
            (Ok(Change::Removed), "removed"),
            (Ok(Change::Mapped), "mapped"),
            (Ok(Change::Set), "set"),
            (Ok(Change::Compacted), "compacted"),
            (Err(Unchanged::NotAnObject), "not_json"),
            (Err(Unchanged::NoSystem), "no_system"),
            (Err(Unchanged::NotAList), "not_a_list"),
            (Err(Unchanged::Empty), "empty"),
            (Err(Unchanged::NoText), "no_text"),
            (Err(Unchanged::Attribution), "attribution"),
            (Err(Unchanged::NoBlock), "no_block"),
            (Err(Unchanged::NoModel), "no_model"),
            (Err(Unchanged::NoName), "no_name"),
            (no(NoChange::Same), "same"),
            (no(NoChange::NoPlace), "no_place"),
            (no(NoChange::Absent), "absent"),
            (no(NoChange::TooLarge), "too_large"),
            (no(NoChange::Present), "present"),
        ] {
            assert_eq!(PromptOutcome::of(outcome).code(), code, "{outcome:?}");
        }
    }
}
