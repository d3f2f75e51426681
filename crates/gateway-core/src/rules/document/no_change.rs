//! Why an edit of a document changes nothing.

use crate::language::Words;
use crate::language::both;
use std::fmt;

/// A container with more entries than this is not taken apart: its entries would take many times the memory of the
/// text itself. Edits find no place in it.
pub(super) const MAX_ENTRIES: usize = 16_384;

/// Why an operation on a document changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChange {
    /// This very text stands there already.
    Same,
    /// The path leads through something that has no members, or past the end of a list.
    NoPlace,
    /// There is nothing to remove.
    Absent,
    /// An object or a list on the way has more entries than are looked at.
    TooLarge,
    /// A default is not needed.
    Present,
}

impl NoChange {
    /// Why, in both languages.
    pub fn words(self) -> Words {
        match self {
            Self::Same => both!("it is so already", "已经是这样"),
            Self::NoPlace => both!("the path leads to no place in this body", "请求体中没有这个路径"),
            Self::Absent => both!("it is not there", "原本就没有"),
            Self::TooLarge => both!(
                "an object or a list on the way has more than {MAX_ENTRIES} entries",
                "路径上有对象或列表超过 {MAX_ENTRIES} 项"
            ),
            Self::Present => both!("it is there already", "已经有了"),
        }
    }
}

impl fmt::Display for NoChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}
