//! What requests before this process began left in prompt caches.

use crate::config::log_store::LogStore;
use crate::gateway::{REMEMBERED, Shared};
use crate::store::Reader;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most requests that are read.
const MOST: u32 = 5_000;
/// How long that may take: requests are served without it, too.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads it from the request log, if there is one.
pub(super) fn restore(log: Option<&LogStore>, shared: &Shared) {
    let Some(log) = log.filter(|log| log.may_be_there()) else { return };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(REMEMBERED);
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let read = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let read = async { tokio::time::timeout(PATIENCE, Reader::new(log).left_in_caches(since, MOST)).await };
        let read = runtime.block_on(read).map_err(|_| format!("it takes longer than {PATIENCE:?}"))?;
        read.map_err(|error| error.to_string())
    });
    match read {
        Ok(left) => shared.cache_waste.restore(left),
        Err(error) => log::warn!("what earlier requests left in prompt caches is not known: {error}"),
    }
}
