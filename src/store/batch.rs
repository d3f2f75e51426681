//! Which batch records are written in.

/// A batch's own number: by it a database knows that it has the batch already, when the answer that said so was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchId {
    /// Whose batches are counted: one process's.
    pub spool: String,
    /// Which of these it is.
    pub seq: i64,
}

impl BatchId {
    /// The first batch of this process.
    pub(super) fn first() -> Self {
        Self { spool: format!("{:032x}", fastrand::u128(..)), seq: 1 }
    }

    /// Goes on to the next one.
    pub(super) fn advance(&mut self) {
        self.seq += 1;
    }
}
