//! How much of the request log is kept.

use std::time::Duration;

/// How long sums over less than a quarter of an hour are kept: for times further back those do.
pub(super) const MINUTES_KEPT: Duration = Duration::from_secs(3 * 86_400);

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows that are older go.
    pub age: Duration,
    /// Bytes of the file, but for those of strays; beyond them the oldest rows go. In PostgreSQL what rows of today take comes
    /// on top: a day goes as a whole, once it is over.
    pub bytes: u64,
    /// Bytes of strays, about; beyond them the oldest of them go, and no others.
    pub stray_bytes: u64,
    /// Sums by the quarter, the hour and the day that are older go.
    pub statistics: Duration,
    /// What requests look like is kept of so many, the newest.
    pub shapes: usize,
}
