//! Every metric, declared once. Counters with a closed set of labels are looked up once, not per request.

use crate::record::{Outcome, RequestRecord};
use crate::usage::meter::Summary;
use pingora_prometheus::prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, register_histogram, register_int_counter_vec, register_int_gauge,
    register_int_gauge_vec,
};

/// Buckets for times from a few milliseconds to the ten minutes that a long answer takes.
const SECONDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// The errors that the API can send in a stream.
const STREAM_ERRORS: [&str; 8] = [
    "overloaded_error",
    "api_error",
    "rate_limit_error",
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "timeout_error",
    "not_found_error",
];

/// The gateway's metrics in the process-wide registry that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    requests: [IntCounter; Outcome::ALL.len()],
    rejected: IntCounterVec,
    rewrites: IntCounterVec,
    tokens: [IntCounter; 4],
    stream_errors: IntCounterVec,
    duration: Histogram,
    first_byte: Histogram,
    first_token: Histogram,
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
        let tokens = register_int_counter_vec!("gateway_tokens_total", "Tokens, as upstreams told them.", &["kind"])?;
        Ok(Self {
            tokens: ["input", "output", "cache_write", "cache_read"].map(|kind| tokens.with_label_values(&[kind])),
            stream_errors: register_int_counter_vec!(
                "gateway_stream_errors_total",
                "Streams with an error in them, by its type.",
                &["type"]
            )?,
            duration: register_histogram!(
                "gateway_request_duration_seconds",
                "From the first byte of a request to the end of its answer.",
                SECONDS.to_vec()
            )?,
            first_byte: register_histogram!(
                "gateway_first_byte_seconds",
                "From the first byte of a request to the first byte of its answer.",
                SECONDS.to_vec()
            )?,
            first_token: register_histogram!(
                "gateway_first_token_seconds",
                "From the first byte of a request to the first piece of content of its stream.",
                SECONDS.to_vec()
            )?,
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
        self.duration.observe(record.duration.as_secs_f64());
        if let Some(first_byte) = record.first_byte {
            self.first_byte.observe(first_byte.as_secs_f64());
        }
        if let Some(answer) = &record.answer {
            self.count_answer(answer);
        }
    }

    fn count_answer(&self, answer: &Summary) {
        if let Some(first_token) = answer.first_token {
            self.first_token.observe(first_token.as_secs_f64());
        }
        if let Some(tokens) = answer.tokens {
            let counts = [tokens.input, tokens.output, tokens.cache_write, tokens.cache_read];
            self.tokens.iter().zip(counts).for_each(|(counter, count)| counter.inc_by(count));
        }
        if let Some(error) = &answer.error {
            // An upstream can invent types; those of the API are few.
            let known = STREAM_ERRORS.iter().find(|known| **known == error);
            self.stream_errors.with_label_values(&[known.copied().unwrap_or("other")]).inc();
        }
    }
}
