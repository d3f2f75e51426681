//! The connections, for Prometheus: read when it asks.

use super::table::Connections;
use pingora_prometheus::prometheus::core::{self, Desc};
use pingora_prometheus::prometheus::proto::MetricFamily;
use pingora_prometheus::prometheus::{Error, IntCounterVec, IntGauge, Opts};
use std::sync::Arc;

/// Reads the connections of the gateway's clients.
pub(crate) struct Collector {
    connections: Arc<Connections>,
    /// The cap on all of them.
    cap: Box<dyn Fn() -> usize + Send + Sync>,
    /// Only described; the numbers are kept elsewhere, and shown in ones of their own for each reading.
    families: Families,
}

struct Families {
    open: IntGauge,
    cap: IntGauge,
    closed: IntCounterVec,
    refused: IntCounterVec,
}

impl Families {
    fn new() -> Result<Self, Error> {
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &["reason"]);
        Ok(Self {
            open: IntGauge::new("gateway_connections", "Connections of clients that are open.")?,
            cap: IntGauge::new(
                "gateway_connections_cap",
                "How many there may be (limits.connections, or what fits into the files that the process may open).",
            )?,
            closed: counter(
                "gateway_connections_closed_total",
                "Idle connections that were closed to make room, by the limit that was reached.",
            )?,
            refused: counter(
                "gateway_connections_refused_total",
                "Connections and requests that found no room, by the limit that was reached.",
            )?,
        })
    }

    fn all(&self) -> [&dyn core::Collector; 4] {
        [&self.open, &self.cap, &self.closed, &self.refused]
    }
}

impl Collector {
    /// Of these connections.
    ///
    /// # Errors
    /// When a metric cannot be described; that would be a mistake of the gateway's.
    pub(crate) fn new(
        connections: Arc<Connections>,
        cap: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Ok(Self { connections, cap: Box::new(cap), families: Families::new()? })
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.families.all().into_iter().flat_map(core::Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(families) = Families::new() else { return Vec::new() };
        families.open.set(gauge(self.connections.open_count()));
        families.cap.set(gauge((self.cap)()));
        for (full, closed, refused) in self.connections.counts() {
            families.closed.with_label_values(&[full.name()]).inc_by(count(closed));
            families.refused.with_label_values(&[full.name()]).inc_by(count(refused));
        }
        families.all().into_iter().flat_map(core::Collector::collect).collect()
    }
}
