//! Every metric, declared once. Counters with a closed set of labels are looked up once, not per request.

use crate::record::{Outcome, RequestRecord};
use pingora_prometheus::prometheus::{
    IntCounter, IntCounterVec, IntGauge, register_int_counter_vec, register_int_gauge, register_int_gauge_vec,
};

/// The gateway's metrics in the process-wide registry that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    requests: [IntCounter; Outcome::ALL.len()],
    rejected: IntCounterVec,
    rewrites: IntCounterVec,
    /// Requests between their first byte and their end.
    pub in_flight: IntGauge,
    /// Bytes of request bodies held.
    pub held_bytes: IntGauge,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// When one of the names is taken, that is, on a second call in one process.
    pub fn register() -> Result<Self, pingora_prometheus::prometheus::Error> {
        let requests =
            register_int_counter_vec!("gateway_requests_total", "Requests by how they ended.", &["outcome"])?;
        let build = register_int_gauge_vec!("gateway_build_info", "1, with the version as a label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: Outcome::ALL.map(|outcome| requests.with_label_values(&[outcome.name()])),
            rejected: register_int_counter_vec!(
                "gateway_rejected_total",
                "Requests that the gateway refused, or failed to serve, by reason.",
                &["reason"]
            )?,
            rewrites: register_int_counter_vec!(
                "gateway_rewrites_total",
                "Messages requests by what became of their system prompt.",
                &["result"]
            )?,
            in_flight: register_int_gauge!("gateway_in_flight_requests", "Requests that are being served.")?,
            held_bytes: register_int_gauge!("gateway_held_body_bytes", "Bytes of request bodies held in memory.")?,
        })
    }

    /// Counts a request that is over.
    pub fn count(&self, record: &RequestRecord) {
        self.requests[record.outcome.index()].inc();
        if !record.reason.is_empty() {
            self.rejected.with_label_values(&[record.reason]).inc();
        }
        if !record.rewrite.is_empty() {
            self.rewrites.with_label_values(&[record.rewrite]).inc();
        }
    }
}
