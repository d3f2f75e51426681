//! The service that compares upstreams for `failover.balance_by: latency`.

use super::shared::Shared;
use crate::config::resilience::BalanceBy;
use crate::upstream::clock::now_ms;
use crate::upstream::steering;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;

/// How often they are compared.
const EVERY: Duration = Duration::from_secs(10);

/// Compares upstreams.
pub(crate) struct SteeringChecks(Arc<Shared>);

impl SteeringChecks {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    fn compare(&self) {
        let snapshot = self.0.snapshot.load_full();
        if snapshot.config.failover.balance_by == BalanceBy::Latency {
            for peers in snapshot.peers() {
                let steered = peers.iter().map(|&at| &snapshot.upstreams[at]);
                let steered = steered.filter_map(|upstream| Some((&*upstream.name, upstream.steering.as_deref()?)));
                steering::compare(&steered.collect::<Vec<_>>(), now_ms());
            }
        }
    }
}

#[async_trait]
impl BackgroundService for SteeringChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => self.compare(),
                _ = shutdown.changed() => return,
            }
        }
    }
}
