//! Time as a number, so that it fits into an atomic.

use once_cell::sync::Lazy;
use std::time::{Duration, Instant};

static START: Lazy<Instant> = Lazy::new(Instant::now);

/// Milliseconds since the process first asked, plus one: 0 can stand for "never".
pub fn now_ms() -> u64 {
    millis(START.elapsed()) + 1
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time from now until `at_ms`.
pub fn until(at_ms: u64) -> Duration {
    Duration::from_millis(at_ms.saturating_sub(now_ms()))
}
