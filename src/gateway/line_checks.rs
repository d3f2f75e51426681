//! The service that measures the lines of upstreams: a small request on each of them from time to time, all at once.

use super::shared::Shared;
use crate::upstream::clock::now_ms;
use crate::upstream::probe::measure;
use async_trait::async_trait;
use futures::future::join_all;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;

/// How often lines are measured.
const EVERY: Duration = Duration::from_secs(15);
/// The same until they were compared for the first time.
const AT_FIRST: Duration = Duration::from_secs(2);
/// How soon a configuration that begins to have lines is noticed.
const UNTIL_ASKED: Duration = Duration::from_secs(5);

/// Measures lines, and compares them.
pub(crate) struct LineChecks(Arc<Shared>);

impl LineChecks {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    async fn run(&self) {
        // Made when it is needed: it brings all certificate authorities of the system with it.
        let mut connector = None;
        loop {
            let snapshot = self.0.snapshot.load_full();
            let due: Vec<_> = snapshot.upstreams.iter().filter(|upstream| upstream.lines.are_several()).collect();
            if due.is_empty() {
                tokio::time::sleep(UNTIL_ASKED).await;
                continue;
            }
            let connector = connector.get_or_insert_with(|| Connector::new(None));
            let lines = due.iter().flat_map(|upstream| upstream.lines.iter().map(move |line| (upstream, line)));
            join_all(lines.map(|(upstream, line)| measure(connector, upstream, line))).await;
            due.iter().for_each(|upstream| upstream.lines.compare(&upstream.config.name, now_ms()));
            let is_settled = due.iter().all(|upstream| upstream.lines.are_compared());
            tokio::time::sleep(if is_settled { EVERY } else { AT_FIRST }).await;
        }
    }
}

#[async_trait]
impl BackgroundService for LineChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}
