//! Where the members of an object stand in a text: who has passed over a text once spares the next one the way.

use super::no_change::MAX_ENTRIES;
use std::ops::Range;

/// Where the values of the root's members stand in a text that was checked on the way, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    values: Vec<Range<usize>>,
    is_cut: bool,
}

impl Layout {
    /// Notes the value of the next member.
    pub(crate) fn push(&mut self, value: Range<usize>) {
        self.is_cut |= self.values.len() == MAX_ENTRIES;
        if !self.is_cut {
            self.values.push(value);
        }
    }

    /// The values in this text; `None` if there are too many, or it is another text than the one that was passed over.
    pub(super) fn values_in<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        (!self.is_cut).then(|| self.values.iter().map(|value| text.get(value.clone())).collect())?
    }
}
