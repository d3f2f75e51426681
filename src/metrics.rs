//! Every metric, declared once. Counters with a closed set of labels are looked up once, not per request.

use arc_swap::ArcSwap;
use gateway_core::cache_waste as waste;
use gateway_core::record::fault::ERROR_TYPES;
use gateway_core::record::{Labels, Outcome, RequestRecord, ThinkingAction, request_class, status_class};
use gateway_core::thinking::Moved;
use gateway_core::usage::summary::Summary;
use gateway_core::usage::transformations::REASONS;
use pingora_prometheus::prometheus::{
    Counter, CounterVec, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, register_counter_vec,
    register_gauge, register_histogram, register_histogram_vec, register_int_counter, register_int_counter_vec,
    register_int_gauge, register_int_gauge_vec,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Buckets for times from a few milliseconds to the ten minutes that a long answer takes.
const SECONDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Buckets for the time that a connection takes.
const CONNECT_SECONDS: [f64; 11] = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// What can become of a message to a target of notifications.
const NOTIFIED: [&str; 3] = ["sent", "failed", "dropped"];
/// What all others are counted as.
const OTHER: &str = "other";
/// Why thinking was not read that the gateway took out.
const REMOVED: &str = "removed";
/// The gateway's metrics in the process-wide registry that `/metrics` shows.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// The models that are counted by name.
    models: ArcSwap<HashSet<Arc<str>>>,
    other: Arc<str>,
    none: Arc<str>,
    requests: IntCounterVec,
    retries: IntCounter,
    request_bytes: IntCounter,
    response_bytes: IntCounter,
    skipped_events: IntCounter,
    rule_hits: IntCounterVec,
    rejected: IntCounterVec,
    rewrites: IntCounterVec,
    stream_errors: IntCounterVec,
    times: Times,
    usage: Usage,
    thinking: Thinking,
    notifications: IntCounterVec,
    /// Requests between their first byte and their end.
    pub in_flight: IntGauge,
    /// Streams of events that are open.
    pub streams: IntGauge,
    /// Bytes of request bodies held.
    pub held_bytes: IntGauge,
    /// Request bodies that had to make room: those that came in too slowly, and those of clients beyond their share.
    pub evicted_bodies: [IntCounter; 2],
    /// Bytes of answers that wait for slow clients.
    pub unsent_bytes: IntGauge,
    /// Attempts to load the configuration anew: those that went well, and those that were refused.
    pub config_reloads: [IntCounter; 2],
    /// When the configuration in force was loaded, in seconds since 1970.
    pub config_loaded_at: Gauge,
}

/// How long requests take.
#[derive(Debug)]
struct Times {
    duration: Histogram,
    first_byte: Histogram,
    first_token: Histogram,
    connect: HistogramVec,
}

impl Times {
    fn register() -> Registered<Self> {
        let histogram = |name, help| register_histogram!(name, help, SECONDS.to_vec());
        Ok(Self {
            duration: histogram(
                "gateway_request_duration_seconds",
                "From the first byte of a request to the end of its answer.",
            )?,
            first_byte: histogram(
                "gateway_first_byte_seconds",
                "From the first byte of a request to the first byte of its answer.",
            )?,
            first_token: histogram(
                "gateway_first_token_seconds",
                "From the first byte of a request to the first piece of content of its stream.",
            )?,
            connect: register_histogram_vec!(
                "gateway_upstream_connect_seconds",
                "From the choice of an upstream to a new connection to it.",
                &["upstream"],
                CONNECT_SECONDS.to_vec()
            )?,
        })
    }
}

/// What requests use, and what that costs.
#[derive(Debug)]
struct Usage {
    tokens: [IntCounter; 4],
    estimated_output_tokens: IntCounter,
    cost: CounterVec,
    unpriced: IntCounterVec,
    cost_by_class: CounterVec,
    requests_by_class: IntCounterVec,
    wasted: IntCounterVec,
}

impl Usage {
    fn register() -> Registered<Self> {
        let wasted = counters(
            "gateway_cache_wasted_tokens_total",
            "Tokens that were written to the prompt cache although they had been there, by cause (docs/cache-waste.md).",
            &["cause"],
        )?;
        for cause in waste::Cause::ALL {
            wasted.with_label_values(&[cause.code()]);
        }
        Ok(Self {
            wasted,
            tokens: counter_each(
                "gateway_tokens_total",
                "Tokens, as upstreams told them, or estimated (gateway_estimated_output_tokens_total).",
                "kind",
                ["input", "output", "cache_write", "cache_read"],
            )?,
            estimated_output_tokens: counter(
                "gateway_estimated_output_tokens_total",
                "Tokens of output that were estimated, because the stream ended before they were told.",
            )?,
            cost: sums(
                "gateway_cost_usd_total",
                "What the tokens cost, in US dollars, by model (gateway.prices).",
                &["model"],
            )?,
            cost_by_class: sums(
                "gateway_request_class_cost_usd_total",
                "What the tokens cost, in US dollars, by what the requests are for (main, subagent, compaction, ...).",
                &["request_class"],
            )?,
            requests_by_class: counters(
                "gateway_request_class_requests_total",
                "Requests by what they are for, as clients say (main, subagent, compaction, ...); empty if they do not.",
                &["request_class"],
            )?,
            unpriced: counters(
                "gateway_unpriced_requests_total",
                "Requests that used tokens without a price, by model and upstream: gateway_cost_usd_total lacks them.",
                &["model", "upstream"],
            )?,
        })
    }
}

/// Thinking that came back where it did not fit.
#[derive(Debug)]
struct Thinking {
    dropped: IntCounterVec,
    moves: IntCounterVec,
    repairs: [IntCounter; 3],
}

impl Thinking {
    fn register() -> Registered<Self> {
        let dropped = counters(
            "gateway_thinking_blocks_dropped_total",
            "Blocks of thinking that came back and that no model read: dropped by the API, by its reason, or taken out by \
             the gateway (removed).",
            &["reason"],
        )?;
        let moves = counters(
            "gateway_thinking_moves_total",
            "Requests whose thinking came back where it may not be valid, by what differed from where it came from.",
            &["what"],
        )?;
        // A counter that begins with its first event hides that event from rate().
        for reason in REASONS.into_iter().chain([REMOVED]) {
            dropped.with_label_values(&[reason]);
        }
        for what in Moved::CODES {
            moves.with_label_values(&[what]);
        }
        Ok(Self {
            dropped,
            moves,
            repairs: counter_each(
                "gateway_thinking_repairs_total",
                "Requests whose thinking was refused: served without it (repaired), failed all the same (failed), or told \
                 to the client (passed_on).",
                "outcome",
                ["repaired", "failed", "passed_on"],
            )?,
        })
    }

    fn count(&self, record: &RequestRecord) {
        let dropped = record.answer.iter().filter_map(|answer| answer.dropped);
        let removed = (REMOVED, record.removed_thinking);
        for (reason, count) in dropped.flat_map(|dropped| dropped.by_reason()).chain([removed]) {
            if count > 0 {
                self.dropped.with_label_values(&[reason]).inc_by(u64::from(count));
            }
        }
        if let Some(moved) = &record.moved {
            self.moves.with_label_values(&[moved.code()]).inc();
        }
        let [repaired, failed, passed_on] = &self.repairs;
        match record.thinking_action {
            Some(ThinkingAction::Repaired) => repaired.inc(),
            Some(ThinkingAction::NotRepaired) => failed.inc(),
            Some(ThinkingAction::Refused) => passed_on.inc(),
            Some(ThinkingAction::AskedToDrop) | None => {}
        }
    }
}

type Registered<T> = Result<T, pingora_prometheus::prometheus::Error>;

fn counter(name: &str, help: &str) -> Registered<IntCounter> {
    register_int_counter!(name, help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Registered<IntCounterVec> {
    register_int_counter_vec!(name, help, labels)
}

/// A counter for each value of the label.
fn counter_each<const N: usize>(name: &str, help: &str, label: &str, values: [&str; N]) -> Registered<[IntCounter; N]> {
    let counters = counters(name, help, &[label])?;
    Ok(values.map(|value| counters.with_label_values(&[value])))
}

fn sums(name: &str, help: &str, labels: &[&str]) -> Registered<CounterVec> {
    register_counter_vec!(name, help, labels)
}

fn gauge(name: &str, help: &str) -> Registered<IntGauge> {
    register_int_gauge!(name, help)
}

fn register_build_info() -> Registered<()> {
    let build = register_int_gauge_vec!("gateway_build_info", "1, with the version as a label.", &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// When one of the names is taken, that is, on a second call in one process.
    pub(crate) fn register() -> Registered<Self> {
        register_build_info()?;
        Ok(Self {
            stream_errors: counters(
                "gateway_stream_errors_total",
                "Streams with an error in them, by its type.",
                &["type"],
            )?,
            times: Times::register()?,
            usage: Usage::register()?,
            thinking: Thinking::register()?,
            notifications: counters(
                "gateway_notifications_total",
                "Messages to a target of gateway.notify, by what became of them: sent, failed (given up), or events dropped \
                 because too many waited.",
                &["target", "outcome"],
            )?,
            models: ArcSwap::default(),
            other: OTHER.into(),
            none: "".into(),
            requests: counters(
                "gateway_requests_total",
                "Requests by how they ended, class of their status, upstream, model (that answered, or else that was \
                 asked for) and path.",
                &["outcome", "status", "upstream", "model", "path"],
            )?,
            retries: counter("gateway_retries_total", "Times that a request was sent to an upstream once more.")?,
            request_bytes: counter("gateway_request_body_bytes_total", "Bytes of request bodies.")?,
            response_bytes: counter(
                "gateway_response_body_bytes_total",
                "Bytes of the bodies of answers that went to clients.",
            )?,
            skipped_events: counter(
                "gateway_skipped_events_total",
                "Events of streams that were too large to be read (limits.event).",
            )?,
            rule_hits: counters("gateway_rule_hits_total", "Requests that a rule applied to.", &["rule", "upstream"])?,
            rejected: counters(
                "gateway_rejected_total",
                "Requests that the gateway refused, or failed to serve, by reason.",
                &["reason"],
            )?,
            rewrites: counters(
                "gateway_rewrites_total",
                "Messages requests by what became of their system prompt.",
                &["result"],
            )?,
            in_flight: gauge("gateway_in_flight_requests", "Requests that are being served.")?,
            config_reloads: counter_each(
                "gateway_config_reloads_total",
                "Attempts to load the configuration anew.",
                "result",
                ["ok", "refused"],
            )?,
            config_loaded_at: register_gauge!(
                "gateway_config_last_reload_timestamp_seconds",
                "When the configuration in force was loaded."
            )?,
            streams: gauge("gateway_in_flight_streams", "Streams of events that are open.")?,
            held_bytes: gauge(
                "gateway_held_body_bytes",
                "Bytes of the buffers of request bodies that are held in memory.",
            )?,
            evicted_bodies: counter_each(
                "gateway_evicted_bodies_total",
                "Request bodies that had to make room for others while they came in: too slowly (slow), or for a client \
             that held more than its share (share).",
                "reason",
                ["slow", "share"],
            )?,
            unsent_bytes: gauge(
                "gateway_unsent_answer_bytes",
                "Bytes of answers in memory that wait for slow clients (limits.unsent_answers).",
            )?,
        })
    }

    /// Shows a target before anything became of a message to it: a rate needs the 0 before the 1.
    pub(crate) fn notifies(&self, target: &str) {
        for outcome in NOTIFIED {
            self.notifications.with_label_values(&[target, outcome]);
        }
    }

    /// Shows a target no longer.
    pub(crate) fn notifies_no_more(&self, target: &str) {
        for outcome in NOTIFIED {
            // One that was never shown is as good as forgotten.
            let _ = self.notifications.remove_label_values(&[target, outcome]);
        }
    }

    /// Counts a message to a target that was `sent`, `failed` or was `dropped`.
    pub(crate) fn notified(&self, target: &str, outcome: &str) {
        self.notifications.with_label_values(&[target, outcome]).inc();
    }

    /// How many messages to a target ended so.
    pub(crate) fn notifications(&self, target: &str, outcome: &str) -> u64 {
        self.notifications.with_label_values(&[target, outcome]).get()
    }

    /// Counts a request that is over.
    pub(crate) fn count(&self, record: &RequestRecord) {
        let upstream = record.upstream.as_deref().unwrap_or_default();
        let Labels { model, path, request_class } = &record.labels;
        self.requests
            .with_label_values(&[record.outcome.name(), status_class(record.status), upstream, model, path])
            .inc();
        self.usage.requests_by_class.with_label_values(&[*request_class]).inc();
        self.retries.inc_by(u64::from(record.attempts.saturating_sub(1)));
        self.request_bytes.inc_by(record.request_bytes);
        self.response_bytes.inc_by(record.response_bytes);
        for rule in &record.rules {
            self.rule_hits.with_label_values(&[rule, upstream]).inc();
        }
        if let Some(reason) =
            record.reason.filter(|_| !matches!(record.outcome, Outcome::Completed | Outcome::Unreadable))
        {
            self.rejected.with_label_values(&[reason.code()]).inc();
        }
        if let Some(rewrite) = record.rewrite {
            self.rewrites.with_label_values(&[rewrite.code()]).inc();
        }
        self.thinking.count(record);
        if let Some(waste) = &record.waste {
            self.usage.wasted.with_label_values(&[waste.loss.cause.code()]).inc_by(waste.loss.tokens);
        }
        self.times.duration.observe(record.duration.as_secs_f64());
        if let Some(first_byte) = record.first_byte {
            self.times.first_byte.observe(first_byte.as_secs_f64());
        }
        if let Some(answer) = &record.answer {
            self.count_answer(answer);
            if let Some(cost) = record.cost {
                let dollars = cost as f64 / 1e9;
                self.cost_of(model).inc_by(dollars);
                self.usage.cost_by_class.with_label_values(&[*request_class]).inc_by(dollars);
            }
            if record.is_unpriced() {
                self.usage.unpriced.with_label_values(&[model, upstream]).inc();
            }
        }
    }

    /// How many requests for an upstream a rule applied to; for none, those that it answered by itself.
    pub(crate) fn rule_hits(&self, rule: &str, upstream: &str) -> u64 {
        self.rule_hits.get_metric_with_label_values(&[rule, upstream]).map_or(0, |hits| hits.get())
    }

    /// Notes how long a new connection took.
    pub(crate) fn connected(&self, upstream: &str, took: Duration) {
        self.times.connect.with_label_values(&[upstream]).observe(took.as_secs_f64());
    }

    /// The names under which a request is counted. The first `most` models have names of their own.
    pub(crate) fn labels(&self, record: &RequestRecord, most: usize) -> Labels {
        // What nobody served gives no model a name of its own: it may be anything.
        let most = if record.is_stray() { 0 } else { most };
        Labels {
            model: self.model(record.model().unwrap_or_default(), most),
            path: record.endpoint.name(),
            request_class: request_class::label(record.names.request_class.as_deref()),
        }
    }

    fn model(&self, name: &str, most: usize) -> Arc<str> {
        if name.is_empty() {
            return Arc::clone(&self.none);
        }
        let models = self.models.load();
        match models.get(name) {
            Some(known) => Arc::clone(known),
            None if models.len() >= most => Arc::clone(&self.other),
            None => {
                let name: Arc<str> = name.into();
                self.models.rcu(|models| {
                    let mut models = HashSet::clone(models);
                    if models.len() < most {
                        models.insert(Arc::clone(&name));
                    }
                    models
                });
                name
            }
        }
    }

    fn cost_of(&self, model: &str) -> Counter {
        self.usage.cost.with_label_values(&[model])
    }

    fn count_answer(&self, answer: &Summary) {
        if let Some(first_token) = answer.first_token {
            self.times.first_token.observe(first_token.as_secs_f64());
        }
        if let Some(tokens) = answer.tokens {
            let counts = [tokens.input, tokens.output, tokens.cache_write, tokens.cache_read];
            self.usage.tokens.iter().zip(counts).for_each(|(counter, count)| counter.inc_by(count));
            if answer.is_estimated {
                self.usage.estimated_output_tokens.inc_by(tokens.output);
            }
        }
        self.skipped_events.inc_by(u64::from(answer.skipped));
        if let Some(error) = answer.error.as_ref().filter(|_| answer.is_stream()) {
            // An upstream can invent types; those of the API are few.
            let known = ERROR_TYPES.iter().find(|known| **known == error);
            self.stream_errors.with_label_values(&[known.copied().unwrap_or("other")]).inc();
        }
    }
}
