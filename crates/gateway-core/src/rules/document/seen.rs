//! What tests and fuzzing look at, and do to any document; no rule needs it.

use super::node::{Node, Piece};
use super::{Document, Json, NoChange, Pointer};
use std::borrow::Cow;
use std::ops::Range;

/// One change of a text: the bytes of `span` give way to `replacement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Byte offsets in the original text; empty for an insertion.
    pub span: Range<usize>,
    /// What stands there afterwards; empty for a removal.
    pub replacement: String,
}

impl<'a> Document<'a> {
    /// The text at `pointer` as it stands now. Borrowed unless something inside of it was edited.
    pub fn get(&mut self, pointer: &Pointer) -> Option<Cow<'_, str>> {
        let source = self.source;
        Some(self.root.descend(&pointer.tokens).ok()?.text(source))
    }

    /// Like [`set`](Self::set), but only where something is.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn replace(&mut self, pointer: &Pointer, json: Json<'a>) -> Result<(), NoChange> {
        self.root.descend(&pointer.tokens)?.replace(json)
    }

    /// Inserts `json` into the list at `pointer`, so that it gets this index.
    ///
    /// # Errors
    /// When there is no list, or it is shorter than `index`.
    pub fn insert(&mut self, pointer: &Pointer, index: usize, json: Json<'a>) -> Result<(), NoChange> {
        let list = self.root.descend(&pointer.tokens).ok().and_then(Node::list).ok_or(NoChange::NoPlace)?;
        if index > list.len() {
            return Err(NoChange::NoPlace);
        }
        list.insert(index, json);
        Ok(())
    }

    /// What differs from the text that was parsed, in order; the spans neither overlap nor touch.
    pub fn edits(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut replacement = String::new();
        let mut at = 0;
        let end = Piece { at: Some(self.source.len()), text: "" };
        for piece in self.pieces().into_iter().chain([end]) {
            let Some(start) = piece.at else {
                replacement.push_str(piece.text);
                continue;
            };
            if self.source[at..start] != replacement {
                edits.push(Edit { span: at..start, replacement: std::mem::take(&mut replacement) });
            }
            replacement.clear();
            at = start + piece.text.len();
        }
        edits
    }
}
