//! What an action did to a body, or why it changed nothing.

use crate::rules::document::NoChange;

/// What an action did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The text of a block was replaced.
    Replaced,
    /// The same, and it was the attribution of Claude Code.
    AttributionReplaced,
    /// Text was put before the text of a block.
    Prepended,
    /// Text was put after the text of a block.
    Appended,
    /// A block was inserted.
    Inserted,
    /// `system` became a list.
    Listed,
    /// Something was removed.
    Removed,
    /// The model got another name.
    Mapped,
    /// A value was set.
    Set,
    /// Blanks were dropped.
    Compacted,
}

impl Change {
    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::AttributionReplaced => "attribution_replaced",
            Self::Prepended => "prepended",
            Self::Appended => "appended",
            Self::Inserted => "inserted",
            Self::Listed => "listed",
            Self::Removed => "removed",
            Self::Mapped => "mapped",
            Self::Set => "set",
            Self::Compacted => "compacted",
        }
    }
}

/// Why an action changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The body is a JSON text, but no object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// There is no member `system`.
    #[error("the body has no `system`")]
    NoSystem,
    /// `system` is something else than a list.
    #[error("`system` is not a list")]
    NotAList,
    /// `system` is an empty list.
    #[error("`system` is empty")]
    Empty,
    /// The block has no text, or one that is no string.
    #[error("the block of `system` has no text")]
    NoText,
    /// The block is the attribution of Claude Code, to which nothing may be added.
    #[error("the block of `system` is Claude Code's attribution, to which nothing may be added; name another target")]
    Attribution,
    /// No block of `system` is the one that is meant.
    #[error("`system` has no such block")]
    NoBlock,
    /// There is no member `model`, or it is no string.
    #[error("the body names no model")]
    NoModel,
    /// No glob matches the model.
    #[error("no name is given for this model")]
    NoName,
    /// The document has no place for it, or needs no change.
    #[error(transparent)]
    Document(#[from] NoChange),
}

impl Unchanged {
    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::NoSystem => "no_system",
            Self::NotAList => "not_a_list",
            Self::Empty => "empty",
            Self::NoText => "no_text",
            Self::Attribution => "attribution",
            Self::NoBlock => "no_block",
            Self::NoModel => "no_model",
            Self::NoName => "no_name",
            Self::Document(NoChange::Same) => "same",
            Self::Document(NoChange::NoPlace) => "no_place",
            Self::Document(NoChange::Absent) => "absent",
            Self::Document(NoChange::TooLarge) => "too_large",
            Self::Document(NoChange::Present) => "present",
        }
    }
}

/// What an action did, or why nothing.
pub type Outcome = Result<Change, Unchanged>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::documented;

    #[test]
    fn the_documented_codes_are_those_of_all_outcomes() {
        use {Change as C, NoChange as N, Unchanged as U};
        let changes = [
            C::Replaced,
            C::AttributionReplaced,
            C::Prepended,
            C::Appended,
            C::Inserted,
            C::Listed,
            C::Removed,
            C::Mapped,
            C::Set,
            C::Compacted,
        ];
        let unchanged = [
            U::NotAnObject,
            U::NoSystem,
            U::NotAList,
            U::Empty,
            U::NoText,
            U::Attribution,
            U::NoBlock,
            U::NoModel,
            U::NoName,
        ];
        let of_document = [N::Same, N::NoPlace, N::Absent, N::TooLarge, N::Present].map(U::Document);
        // A new value stops this from compiling: it belongs into a list above too.
        let known = |change: &Change| match change {
            C::Replaced
            | C::AttributionReplaced
            | C::Prepended
            | C::Appended
            | C::Inserted
            | C::Listed
            | C::Removed => change.name(),
            C::Mapped | C::Set | C::Compacted => change.name(),
        };
        let known_unchanged = |unchanged: &Unchanged| match unchanged {
            U::NotAnObject | U::NoSystem | U::NotAList | U::Empty | U::NoText | U::Attribution => unchanged.name(),
            U::NoBlock => unchanged.name(),
            U::NoModel | U::NoName | U::Document(N::Same | N::NoPlace | N::Absent | N::TooLarge | N::Present) => {
                unchanged.name()
            }
        };
        let all = changes.iter().map(known).chain(unchanged.iter().chain(&of_document).map(known_unchanged));
        assert_eq!(documented("BodyOutcome"), all.collect::<Vec<_>>());
    }
}
