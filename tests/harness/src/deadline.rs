//! The end of every wait.

use std::time::Duration;

/// How long anything may take before a test gives up on it. Generous: it is there to end a hang, not to
/// measure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Awaits `work`, panicking with `what` when [`DEADLINE`] passes first.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(value) => value,
        Err(_) => panic!("gave up after {DEADLINE:?}: {what}"),
    }
}
