//! Why an edit of a document changes nothing.

/// A container with more entries than this is not taken apart: its entries would take many times the memory of the
/// text itself. Edits find no place in it.
pub(super) const MAX_ENTRIES: usize = 16_384;

/// Why an operation on a document changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChange {
    /// This very text stands there already.
    #[error("it is so already")]
    Same,
    /// The path leads through something that has no members, or past the end of a list.
    #[error("the path leads to no place in this body")]
    NoPlace,
    /// There is nothing to remove.
    #[error("it is not there")]
    Absent,
    /// An object or a list on the way has more entries than are looked at.
    #[error("an object or a list on the way has more than {MAX_ENTRIES} entries")]
    TooLarge,
    /// A default is not needed.
    #[error("it is there already")]
    Present,
}
