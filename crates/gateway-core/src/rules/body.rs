//! The changes of a body that a rule asks for: the system prompt, the model, and any place by JSON pointer.
//!
//! Everything is compiled when the configuration is loaded: texts are escaped, pointers and globs parsed. A request
//! costs the search for the places and one write of the body. An action that finds no place for itself changes
//! nothing and says why; the actions after it go on.

mod cached;
#[cfg(any(test, fuzzing))]
pub mod oracle;
mod system;

pub use cached::touches_cached_prefix;
pub use system::{IDENTITIES, Mode, System, Target};

use super::document::{Document, Json, NoChange, Pointer, unquoted};
use super::glob::Glob;
use std::borrow::Cow;

/// One change of a body.
#[derive(Clone, Debug)]
pub enum BodyAction {
    /// Change the system prompt.
    System(System),
    /// Give the model another name: the first glob that matches decides.
    Model(Vec<(Glob, Json<'static>)>),
    /// Put a value at a place, over what is there.
    Set(Pointer, Json<'static>),
    /// Put a value at a place where nothing is.
    Default(Pointer, Json<'static>),
    /// Remove a member or an element.
    Remove(Pointer),
    /// Drop the blanks between the tokens of the whole body.
    Compact,
}

/// What an action did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The text of a block was replaced.
    Replaced,
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
            Self::NoBlock => "no_block",
            Self::NoModel => "no_model",
            Self::NoName => "no_name",
            Self::Document(NoChange::Same) => "same",
            Self::Document(NoChange::NoPlace) => "no_place",
            Self::Document(NoChange::Absent) => "absent",
            Self::Document(NoChange::Present) => "present",
        }
    }
}

/// What an action did, or why nothing.
pub type Outcome = Result<Change, Unchanged>;

/// Applies the actions in their order; each sees what those before it did. One outcome for each.
pub fn apply<'a>(actions: &'a [BodyAction], document: &mut Document<'a>) -> Vec<Outcome> {
    actions.iter().map(|action| action.apply(document)).collect()
}

impl BodyAction {
    /// Applies this action.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn apply<'a>(&'a self, document: &mut Document<'a>) -> Outcome {
        match self {
            Self::System(system) => system.apply(document),
            Self::Model(names) => map_model(names, document),
            Self::Set(pointer, json) => Ok(document.set(pointer, json.borrowed()).map(|()| Change::Set)?),
            Self::Default(pointer, json) => Ok(document.set_default(pointer, json.borrowed()).map(|()| Change::Set)?),
            Self::Remove(pointer) => Ok(document.remove(pointer).map(|()| Change::Removed)?),
            Self::Compact => Ok(document.compact().map(|()| Change::Compacted)?),
        }
    }
}

/// The model that the body names.
pub fn model_of<'d>(document: &'d Document<'_>) -> Option<Cow<'d, str>> {
    unquoted(document.root().as_open_object()?.member("model")?.quoted()?)
}

fn map_model<'a>(names: &'a [(Glob, Json<'static>)], document: &mut Document<'a>) -> Outcome {
    let model = model_of(document).ok_or(Unchanged::NoModel)?;
    let (_, name) = names.iter().find(|(glob, _)| glob.matches(&model)).ok_or(Unchanged::NoName)?;
    drop(model);
    let root = document.root_mut().object().ok_or(Unchanged::NotAnObject)?;
    let place = root.find("model").ok_or(Unchanged::NoModel)?;
    root.at(place).replace(name.borrowed())?;
    Ok(Change::Mapped)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
