//! The models that were used before this process began.

use crate::gateway::Shared;
use crate::store::Reader;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far back is looked.
const BACK: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads them once, from the request log: the statistics have the names that upstreams served them by.
pub(super) struct ModelsBefore {
    /// Where they are remembered.
    pub shared: Arc<Shared>,
    /// Where they are found.
    pub reader: Reader,
}

#[async_trait]
impl BackgroundService for ModelsBefore {
    async fn start(&self, _: ShutdownWatch) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        // The first start has no file yet, and a list of models is no reason for an alarm.
        match self.reader.models_asked(millis(now.saturating_sub(BACK))).await {
            Ok(models) => self.shared.models_seen.add(models.iter().map(String::as_str)),
            Err(error) => log::debug!("which models were used before is not known: {error}"),
        }
    }
}
