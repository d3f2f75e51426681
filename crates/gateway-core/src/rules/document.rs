//! A JSON text that is edited in place: what no edit names keeps its bytes.
//!
//! The whole text is checked once; then containers are taken apart only along the paths that are asked for. Taken
//! apart, a container is a list of slices of the original text in their order, blanks and commas included, with new
//! text between them. Writing a document is one walk over these slices, and the edits are the gaps between them.
//!
//! Of repeated keys the last counts, as in the parsers of Python and JavaScript. Half a surrogate pair and numbers of
//! any size are valid here, as they are in JSON's grammar.

mod json;
mod layout;
mod no_change;
mod node;
mod peek;
mod pointer;
pub(crate) mod scan;
#[cfg(any(test, fuzzing))]
mod seen;

pub use json::{Json, NotJson};
pub(in crate::rules) use json::{compacted, unquoted};
pub use layout::Layout;
pub use no_change::NoChange;
pub(in crate::rules) use node::{Container, Node};
pub use peek::{peek_first, peek_text, peek_true};
pub use pointer::{Pointer, PointerError};

use std::borrow::Cow;

use json::{BLANKS, check, has_blanks};
use node::{Existing, Piece, Text, Writer, entries_of};

/// How much of a changed text is still as it was: so many bytes at its front, and so many at its back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// At its front.
    pub front: usize,
    /// At its back.
    pub back: usize,
}

/// A changed document, written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub bytes: Vec<u8>,
    /// What of it is as it was.
    pub ends: Ends,
}

/// A JSON text and what has been changed in it so far.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    source: &'a str,
    before: Text<'a>,
    root: Node<'a>,
    after: Text<'a>,
    compact: bool,
}

impl<'a> Document<'a> {
    /// Checks the whole text, and takes the root apart if it is an object.
    ///
    /// # Errors
    /// When the text is not valid UTF-8 or not valid JSON.
    pub fn parse(text: &'a [u8]) -> Result<Self, NotJson> {
        Self::read(text, None)
    }

    /// The same of a text that is known to be an object with this layout, if it is: only its encoding is checked then.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn read(text: &'a [u8], layout: Option<&Layout>) -> Result<Self, NotJson> {
        // serde_json does not look into what it skips, so the encoding is checked first.
        let source = simdutf8::basic::from_utf8(text).map_err(|error| NotJson::Invalid(error.to_string()))?;
        let start = source.len() - source.trim_start_matches(BLANKS).len();
        let body = source[start..].trim_end_matches(BLANKS);
        let end = start + body.len();
        let text = Text::Kept { at: start, text: body };
        let root = if body.starts_with('{') {
            let known = layout.and_then(|layout| layout.values_in(source));
            match known.map_or_else(|| entries_of(body), |values| Ok(Some(values)))? {
                Some(values) => Node::Open(Box::new(Container::new(&text, &values))),
                None => Node::Sealed(text),
            }
        } else {
            check(body)?;
            Node::Closed(text)
        };
        let before = Text::Kept { at: 0, text: &source[..start] };
        let after = Text::Kept { at: end, text: &source[end..] };
        Ok(Self { source, before, root, after, compact: false })
    }

    /// The text of a member of the root as it was parsed or edited; `None` if there is none. Of repeated keys the last
    /// counts.
    pub fn member_text(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(self.root.as_open_object()?.member(name)?.text(self.source))
    }

    /// The text that was parsed.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// Puts `json` at `pointer`, over what is there. Objects that are missing on the way are made, lists only for
    /// `-`, which appends. Any other index must exist.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn set(&mut self, pointer: &Pointer, json: Json<'a>) -> Result<(), NoChange> {
        self.root.place(&pointer.tokens, json, Existing::Replace)
    }

    /// Like [`set`](Self::set), but only where nothing is. A `null` is something.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn set_default(&mut self, pointer: &Pointer, json: Json<'a>) -> Result<(), NoChange> {
        self.root.place(&pointer.tokens, json, Existing::Keep)
    }

    /// Removes the member or element at `pointer` with its comma; all repeats of a member.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn remove(&mut self, pointer: &Pointer) -> Result<(), NoChange> {
        let (token, parents) = pointer.tokens.split_last().ok_or(NoChange::NoPlace)?;
        let container = self.root.descend(parents)?.open_or(NoChange::Absent)?;
        if !container.is_list() {
            return if container.remove_all(&token.key) { Ok(()) } else { Err(NoChange::Absent) };
        }
        container.remove(container.child(token).ok_or(NoChange::Absent)?);
        Ok(())
    }

    /// Drops the blanks between the tokens of the whole document.
    ///
    /// # Errors
    /// When there are none.
    pub fn compact(&mut self) -> Result<(), NoChange> {
        if self.compact || self.pieces().iter().all(|piece| !has_blanks(piece.text)) {
            return Err(NoChange::Same);
        }
        self.compact = true;
        Ok(())
    }

    /// Whether the document reads otherwise than the text that was parsed.
    #[cfg(any(test, fuzzing))]
    pub fn is_changed(&self) -> bool {
        self.differs(&self.pieces())
    }

    fn differs(&self, pieces: &[Piece<'_>]) -> bool {
        if self.compact {
            return true;
        }
        let mut at = 0;
        for piece in pieces {
            let next = at + piece.text.len();
            if piece.at != Some(at) && self.source.as_bytes().get(at..next) != Some(piece.text.as_bytes()) {
                return true;
            }
            at = next;
        }
        at != self.source.len()
    }

    /// The document as it stands now: one allocation of the exact size, one copy.
    pub fn to_bytes(&self) -> Vec<u8> {
        joined(&self.pieces(), Vec::with_capacity)
    }

    /// The document as it stands now, in an empty buffer with room for the given number of bytes; `None` if it reads as
    /// the text that was parsed.
    pub fn written(&self, buffer: impl FnOnce(usize) -> Vec<u8>) -> Option<Written> {
        let pieces = self.pieces();
        self.differs(&pieces).then(|| {
            let first = pieces.first().filter(|piece| piece.at == Some(0));
            let last = pieces.last().filter(|last| last.at.is_some_and(|at| at + last.text.len() == self.source.len()));
            let length = |piece: Option<&Piece<'_>>| piece.map_or(0, |piece| piece.text.len());
            Written { bytes: joined(&pieces, buffer), ends: Ends { front: length(first), back: length(last) } }
        })
    }

    /// The root.
    pub(super) fn root(&self) -> &Node<'a> {
        &self.root
    }

    /// The root, to be changed.
    pub(super) fn root_mut(&mut self) -> &mut Node<'a> {
        &mut self.root
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut writer = Writer::new(self.source, self.compact);
        writer.text(&self.before);
        writer.node(&self.root);
        writer.text(&self.after);
        writer.finish()
    }
}

fn joined(pieces: &[Piece<'_>], buffer: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = buffer(pieces.iter().map(|piece| piece.text.len()).sum());
    for piece in pieces {
        bytes.extend_from_slice(piece.text.as_bytes());
    }
    bytes
}

#[cfg(test)]
#[path = "document_tests.rs"]
pub(super) mod tests;
