//! How short a secret, or the part of one that is left, may be.

/// Shorter texts are no secrets, and would be found everywhere.
pub(super) const SHORTEST: usize = 6;
/// What was cut off may have begun with a secret: from this length on its beginning goes.
pub(super) const SHORTEST_BEGINNING: usize = 3;
