//! The models that were used before this process began.

use crate::gateway::Shared;
use crate::store::{By, Reader, Span, StatsFilter};
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far back is looked.
const BACK: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most models that are asked for.
const MOST: usize = 100;
/// The label of the store for all models that it has no name for.
const OTHERS: &str = "other";

/// Reads them once, from the statistics.
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
        let span = Span::new(millis(now.saturating_sub(BACK)), millis(now), millis(now));
        // The first start has no file yet, and a list of models is no reason for an alarm.
        let groups = match self.reader.groups(&span, By::Model, &StatsFilter::default(), MOST).await {
            Ok(groups) => groups,
            Err(error) => return log::debug!("which models were used before is not known: {error}"),
        };
        let used = groups.iter().filter(|group| group.completed > 0).filter_map(|group| group.name.as_deref());
        self.shared.models_seen.add(used.filter(|name| *name != OTHERS));
    }
}
