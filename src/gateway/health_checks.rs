//! The service behind active health checks: asks every upstream of the snapshot in force, all at once, from time to
//! time.

use super::shared::Shared;
use crate::upstream::probe::probe;
use async_trait::async_trait;
use futures::future::join_all;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;

/// How soon a configuration that begins to ask for health checks is noticed.
const UNTIL_ASKED: Duration = Duration::from_secs(5);

/// Active health checks.
pub(crate) struct HealthChecks(Arc<Shared>);

impl HealthChecks {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    async fn run(&self) {
        // Made when it is needed: it brings all certificate authorities of the system with it.
        let mut connector = None;
        loop {
            let snapshot = self.0.snapshot.load_full();
            let settings = &snapshot.config.health.probe;
            let in_service = snapshot.upstreams.iter().filter(|upstream| upstream.config.is_enabled);
            let due = in_service.filter_map(|upstream| Some((upstream, upstream.config.probe.as_deref()?)));
            let due: Vec<_> = due.collect();
            if due.is_empty() {
                tokio::time::sleep(UNTIL_ASKED).await;
                continue;
            }
            let connector = connector.get_or_insert_with(|| Connector::new(None));
            join_all(due.into_iter().map(|(upstream, path)| probe(connector, upstream, settings, path))).await;
            tokio::time::sleep(settings.interval).await;
        }
    }
}

#[async_trait]
impl BackgroundService for HealthChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}
