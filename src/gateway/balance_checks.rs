//! The service that reads the balances of keys: of each upstream that says where, from time to time.

use super::shared::Shared;
use crate::upstream::balance::{is_due, read_due};
use crate::upstream::clock::now_ms;
use async_trait::async_trait;
use pingora::connectors::http::Connector;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked whose time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Reads balances.
pub(crate) struct BalanceChecks(Arc<Shared>);

impl BalanceChecks {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Upstreams are read beside one another: one that hangs keeps none waiting.
    async fn run(&self) {
        // Made when it is needed: it brings all certificate authorities of the system with it.
        let mut connector: Option<Arc<Connector>> = None;
        let mut tasks: JoinSet<Arc<str>> = JoinSet::new();
        let mut under_way: HashSet<Arc<str>> = HashSet::new();
        loop {
            while let Some(ended) = tasks.try_join_next() {
                match ended {
                    Ok(name) => drop(under_way.remove(&name)),
                    Err(error) => log::error!("reading a balance: {error}"),
                }
            }
            if tasks.is_empty() {
                under_way.clear();
            }
            let snapshot = self.0.snapshot.load_full();
            for upstream in snapshot.upstreams.iter().filter(|upstream| is_due(upstream, now_ms())) {
                if under_way.insert(Arc::clone(&upstream.name)) {
                    let connector = Arc::clone(connector.get_or_insert_with(|| Arc::new(Connector::new(None))));
                    let upstream = Arc::clone(upstream);
                    tasks.spawn(async move {
                        read_due(&connector, &upstream).await;
                        Arc::clone(&upstream.name)
                    });
                }
            }
            drop(snapshot);
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[async_trait]
impl BackgroundService for BalanceChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}
