//! The changes of a body that a rule asks for: the system prompt, the model, and any place by JSON pointer.
//!
//! Everything is compiled when the configuration is loaded: texts are escaped, pointers and globs parsed. A request
//! costs the search for the places and one write of the body. An action that finds no place for itself changes
//! nothing and says why; the actions after it go on.

mod cached;
#[cfg(any(test, fuzzing))]
pub mod oracle;
mod outcome;
mod system;

pub use cached::touches_cached_prefix;
pub use outcome::{Change, Outcome, Unchanged};
pub(crate) use system::{ATTRIBUTION, said};
pub use system::{Mode, Said, System, Target};

use super::document::{Document, Json, Pointer, unquoted};
use super::glob::Glob;
use crate::rules::stored;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One change of a body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BodyAction {
    /// Change the system prompt.
    System(System),
    /// Give the model another name: the first glob that matches decides.
    Model(Vec<(Glob, NewName)>),
    /// Put a value at a place, over what is there.
    Set(#[serde(with = "stored::text")] Pointer, Json<'static>),
    /// Put a value at a place where nothing is.
    Default(#[serde(with = "stored::text")] Pointer, Json<'static>),
    /// Remove a member or an element.
    Remove(#[serde(with = "stored::text")] Pointer),
    /// Drop the blanks between the tokens of the whole body.
    Compact,
}

/// Another name for a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum NewName {
    /// This one, as a JSON string.
    Fixed(Json<'static>),
    /// What the star of the glob stands for, between these two.
    Around(String, String),
}

impl NewName {
    /// As it is written: a star stands for what that of the glob stands for.
    pub fn new(name: &str) -> Self {
        match name.split_once('*') {
            Some((before, after)) => Self::Around(before.to_owned(), after.to_owned()),
            None => Self::Fixed(Json::string(name)),
        }
    }

    fn of<'a>(&'a self, glob: &Glob, model: &str) -> Json<'a> {
        match self {
            Self::Fixed(name) => name.borrowed(),
            Self::Around(before, after) => {
                Json::string(&[before, glob.starred(model).unwrap_or_default(), after].concat())
            }
        }
    }
}

impl BodyAction {
    /// Whether it can change the bytes of `system` or `tools`.
    pub fn changes_prefix(&self) -> bool {
        match self {
            Self::System(_) | Self::Compact => true,
            Self::Set(pointer, _) | Self::Default(pointer, _) | Self::Remove(pointer) => {
                matches!(pointer.first(), Some("system" | "tools"))
            }
            Self::Model(_) => false,
        }
    }

    /// Whether what it does depends on what texts of the prompt say.
    pub fn looks_at_texts(&self) -> bool {
        matches!(self, Self::System(system) if system.looks_at_texts())
    }

    /// The place that it goes to by itself, if it goes to one.
    pub fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Set(pointer, _) | Self::Default(pointer, _) | Self::Remove(pointer) => Some(pointer),
            Self::System(_) | Self::Model(_) | Self::Compact => None,
        }
    }

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

fn map_model<'a>(names: &'a [(Glob, NewName)], document: &mut Document<'a>) -> Outcome {
    document.root_mut().object_or(Unchanged::NoModel)?;
    let model = model_of(document).ok_or(Unchanged::NoModel)?;
    let (glob, name) = names.iter().find(|(glob, _)| glob.matches(&model)).ok_or(Unchanged::NoName)?;
    let name = name.of(glob, &model);
    drop(model);
    let root = document.root_mut().object_or(Unchanged::NotAnObject)?;
    let place = root.find("model").ok_or(Unchanged::NoModel)?;
    root.at(place).replace(name)?;
    Ok(Change::Mapped)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
