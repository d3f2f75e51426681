//! What is known of the upstreams, for Prometheus: read when it asks, from where the requests leave it.

use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::upstream::Upstream;
use crate::upstream::circuit::State;
use crate::upstream::clock::now_ms;
use crate::upstream::keys::{Key, STATES};
use crate::upstream::lines::Tried;
use crate::upstream::stats::Stats;
use pingora_prometheus::prometheus::core::{Collector, Desc};
use pingora_prometheus::prometheus::proto::MetricFamily;
use pingora_prometheus::prometheus::{CounterVec, Error, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

/// Reads the upstreams of the snapshot in force.
pub(crate) struct Upstreams(Arc<Shared>);

impl Upstreams {
    /// Of what all requests share.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

/// All metrics of the upstreams, made anew for each reading.
struct Families {
    circuit: IntGaugeVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    requests: IntCounterVec,
    taken_over: IntCounterVec,
    steered_share: GaugeVec,
    first_event: GaugeVec,
    failure_share: GaugeVec,
    steps: IntCounterVec,
    step_seconds: CounterVec,
    line_used: IntGaugeVec,
    line_seconds: GaugeVec,
    line_failures: IntCounterVec,
    key_state: IntGaugeVec,
    key_in_flight: IntGaugeVec,
    key_requests: IntCounterVec,
    key_tokens: IntCounterVec,
    key_cost: CounterVec,
    balance: GaugeVec,
    balance_used: GaugeVec,
    balance_read: GaugeVec,
    balance_readings: IntCounterVec,
    tests: IntCounterVec,
    test_good: IntGaugeVec,
    test_time: GaugeVec,
    test_seconds: GaugeVec,
    moved_sessions: IntGauge,
    log: IntCounterVec,
}

impl Families {
    fn new() -> Result<Self, Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let real = |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            circuit: gauge(
                "gateway_upstream_circuit",
                "1 for the state that the upstream's circuit breaker is in: closed, half_open or open.",
                &["upstream", "state"],
            )?,
            in_flight: gauge(
                "gateway_upstream_in_flight_requests",
                "Requests that have a place at the upstream.",
                &["upstream"],
            )?,
            waiting: gauge(
                "gateway_upstream_waiting_requests",
                "Requests that wait for a place at the upstream.",
                &["upstream"],
            )?,
            requests: counter(
                "gateway_upstream_attempts_total",
                "Attempts at the upstream by how they ended: good, or bad (an answer of retry_on counts as bad).",
                &["upstream", "result"],
            )?,
            taken_over: counter(
                "gateway_upstream_taken_over_total",
                "Requests that came to the upstream after another one had failed.",
                &["upstream"],
            )?,
            steered_share: real(
                "gateway_upstream_steered_share",
                "Share of its weight that the upstream has for new sessions (failover.balance_by: latency).",
                &["upstream"],
            )?,
            first_event: real(
                "gateway_upstream_first_event_seconds",
                "Median of the first events of the last minutes (failover.balance_by: latency).",
                &["upstream"],
            )?,
            failure_share: real(
                "gateway_upstream_failure_share",
                "Share of failures of the last minutes, as it counts (failover.balance_by: latency).",
                &["upstream"],
            )?,
            steps: counter(
                "gateway_upstream_connect_steps_total",
                "Steps of connecting (dns, tcp, proxy) by result.",
                &["upstream", "step", "result"],
            )?,
            step_seconds: CounterVec::new(
                Opts::new("gateway_upstream_connect_step_seconds_total", "Time that steps of connecting took."),
                &["upstream", "step"],
            )?,
            line_used: gauge(
                "gateway_upstream_line_used",
                "1 for the line that requests to the upstream take, 0 for its other lines.",
                &["upstream", "line"],
            )?,
            line_seconds: real(
                "gateway_upstream_line_seconds",
                "Medians of the last times of a line by step: connect, tls, and probe (from request to response).",
                &["upstream", "line", "step"],
            )?,
            line_failures: counter(
                "gateway_upstream_line_failures_total",
                "Connections and checks of the line that failed.",
                &["upstream", "line"],
            )?,
            key_state: gauge(
                "gateway_upstream_key_state",
                "1 for the state that a key of the upstream is in: ready, low, resting, disabled or off.",
                &["upstream", "key", "state"],
            )?,
            key_in_flight: gauge(
                "gateway_upstream_key_in_flight_requests",
                "Requests that go out with the key of the upstream now.",
                &["upstream", "key"],
            )?,
            key_requests: counter(
                "gateway_upstream_key_requests_total",
                "Requests that ended with the key of the upstream.",
                &["upstream", "key"],
            )?,
            key_tokens: counter(
                "gateway_upstream_key_tokens_total",
                "Tokens of all kinds of requests that ended with the key of the upstream.",
                &["upstream", "key"],
            )?,
            key_cost: CounterVec::new(
                Opts::new(
                    "gateway_upstream_key_cost_usd_total",
                    "What requests cost that ended with the key of the upstream.",
                ),
                &["upstream", "key"],
            )?,
            balance: GaugeVec::new(
                Opts::new(
                    "gateway_upstream_balance",
                    "What was left on the key of the upstream at the last reading; none for a key without a limit.",
                ),
                &["upstream", "key", "unit"],
            )?,
            balance_used: GaugeVec::new(
                Opts::new(
                    "gateway_upstream_balance_used",
                    "What was used of the key of the upstream at the last reading, as the upstream counts it.",
                ),
                &["upstream", "key", "unit"],
            )?,
            balance_read: GaugeVec::new(
                Opts::new(
                    "gateway_upstream_balance_read_timestamp_seconds",
                    "When the balance of the key of the upstream was read last.",
                ),
                &["upstream", "key"],
            )?,
            balance_readings: counter(
                "gateway_upstream_balance_readings_total",
                "Readings of the balance of the key of the upstream by result: good, or bad (it was not told).",
                &["upstream", "key", "result"],
            )?,
            tests: counter(
                "gateway_upstream_tests_total",
                "Test messages to the upstream: good for one that was answered, or bad.",
                &["upstream", "result"],
            )?,
            test_good: gauge(
                "gateway_upstream_test_good",
                "1 if the last test message to the upstream was answered, 0 if not.",
                &["upstream"],
            )?,
            test_time: GaugeVec::new(
                Opts::new(
                    "gateway_upstream_test_timestamp_seconds",
                    "When the last test message went to the upstream.",
                ),
                &["upstream"],
            )?,
            test_seconds: GaugeVec::new(
                Opts::new("gateway_upstream_test_seconds", "How long the last test message to the upstream took."),
                &["upstream"],
            )?,
            moved_sessions: IntGauge::new(
                "gateway_moved_sessions",
                "Sessions that stay at another upstream than their first one.",
            )?,
            log: counter(
                "gateway_request_log_records_total",
                "Records of the request log that were written or dropped, and attempts to write that failed.",
                &["result"],
            )?,
        })
    }

    fn fill(&self, snapshot: &Snapshot) {
        let now = now_ms();
        for upstream in &snapshot.upstreams {
            let name = upstream.config.name.as_str();
            let state = upstream.circuit.state(now);
            for each in [State::Closed, State::HalfOpen, State::Open(0)] {
                let is_it = i64::from(each.name() == state.name());
                self.circuit.with_label_values(&[name, each.name()]).set(is_it);
            }
            let (in_flight, waiting) = upstream.slots.counts();
            self.in_flight.with_label_values(&[name]).set(in_flight.into());
            self.waiting.with_label_values(&[name]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
            let stats = &upstream.stats;
            for (result, count) in [("good", &stats.good), ("bad", &stats.bad)] {
                self.requests.with_label_values(&[name, result]).inc_by(count.load(Ordering::Relaxed));
            }
            self.taken_over.with_label_values(&[name]).inc_by(stats.taken_over.load(Ordering::Relaxed));
            if let Some(steering) = &upstream.steering {
                let seen = steering.shown(now);
                self.steered_share.with_label_values(&[name]).set(seen.share);
                self.failure_share.with_label_values(&[name]).set(seen.failure_share);
                if let Some(seconds) = seen.first_event {
                    self.first_event.with_label_values(&[name]).set(seconds);
                }
            }
            for (step, counts) in stats.steps() {
                self.steps.with_label_values(&[name, step, "good"]).inc_by(counts.good);
                self.steps.with_label_values(&[name, step, "bad"]).inc_by(counts.bad);
                self.step_seconds.with_label_values(&[name, step]).inc_by(counts.micros as f64 / 1e6);
            }
            upstream.keys.all().iter().for_each(|key| self.fill_key(name, key, now));
            if upstream.config.balance.is_some() {
                upstream.keys.all().iter().for_each(|key| self.fill_balance(name, key));
            }
            self.fill_test(name, stats);
        }
        snapshot
            .upstreams
            .iter()
            .filter(|upstream| upstream.lines.are_several())
            .for_each(|upstream| self.fill_lines(upstream));
        self.moved_sessions.set(i64::try_from(snapshot.affinity.moved()).unwrap_or(i64::MAX));
    }

    fn fill_test(&self, upstream: &str, stats: &Stats) {
        let last = stats.last_test.load();
        let Some(last) = last.as_ref() else { return };
        for (result, count) in [("good", &stats.tests_good), ("bad", &stats.tests_bad)] {
            self.tests.with_label_values(&[upstream, result]).inc_by(count.load(Ordering::Relaxed));
        }
        let at = last.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.test_good.with_label_values(&[upstream]).set(i64::from(last.is_good));
        self.test_time.with_label_values(&[upstream]).set(at);
        self.test_seconds.with_label_values(&[upstream]).set(last.total_ms / 1e3);
    }

    fn fill_lines(&self, upstream: &Upstream) {
        let (name, used) = (upstream.config.name.as_str(), upstream.lines.next(Tried::default()));
        for (place, line) in upstream.lines.iter().enumerate() {
            let labels = [name, line.authority()];
            self.line_used.with_label_values(&labels).set(i64::from(used == Some(place)));
            self.line_failures.with_label_values(&labels).inc_by(line.times.failures());
            let medians = line.times.medians();
            for (step, time) in [("connect", medians.connect), ("tls", medians.tls), ("probe", medians.probe)] {
                if let Some(time) = time {
                    self.line_seconds.with_label_values(&[name, line.authority(), step]).set(time.as_secs_f64());
                }
            }
        }
    }

    fn fill_key(&self, upstream: &str, key: &Key, now: u64) {
        let labels = [upstream, &*key.label];
        for state in STATES {
            let is_it = i64::from(state == key.state_name(now));
            self.key_state.with_label_values(&[upstream, &key.label, state]).set(is_it);
        }
        self.key_in_flight.with_label_values(&labels).set(key.in_flight().into());
        let counts = &key.state.counts;
        self.key_requests.with_label_values(&labels).inc_by(counts.requests.load(Ordering::Relaxed));
        self.key_tokens.with_label_values(&labels).inc_by(counts.tokens.load(Ordering::Relaxed));
        self.key_cost.with_label_values(&labels).inc_by(counts.cost_nano.load(Ordering::Relaxed) as f64 / 1e9);
    }

    fn fill_balance(&self, upstream: &str, key: &Key) {
        let (good, bad) = key.state.balance.counts();
        for (result, count) in [("good", good), ("bad", bad)] {
            self.balance_readings.with_label_values(&[upstream, &key.label, result]).inc_by(count);
        }
        let readings = key.state.balance.readings();
        let Some((balance, at)) = &readings.last else { return };
        let labels = [upstream, &*key.label, &balance.unit];
        for (family, amount) in [(&self.balance, balance.remaining), (&self.balance_used, balance.used)] {
            if let Some(amount) = amount {
                family.with_label_values(&labels).set(amount);
            }
        }
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.balance_read.with_label_values(&[upstream, &*key.label]).set(at.as_secs_f64().round());
    }

    fn all(&self) -> [&dyn Collector; 28] {
        [
            &self.circuit,
            &self.in_flight,
            &self.waiting,
            &self.requests,
            &self.taken_over,
            &self.steered_share,
            &self.first_event,
            &self.failure_share,
            &self.steps,
            &self.step_seconds,
            &self.line_used,
            &self.line_seconds,
            &self.line_failures,
            &self.key_state,
            &self.key_in_flight,
            &self.key_requests,
            &self.key_tokens,
            &self.key_cost,
            &self.balance,
            &self.balance_used,
            &self.balance_read,
            &self.balance_readings,
            &self.tests,
            &self.test_good,
            &self.test_time,
            &self.test_seconds,
            &self.moved_sessions,
            &self.log,
        ]
    }
}

impl Collector for Upstreams {
    fn desc(&self) -> Vec<&Desc> {
        // The registry wants descriptions that live as long as the collector; it uses them to find names that are
        // taken.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match Families::new() {
            Ok(families) => {
                families.fill(&self.0.snapshot.load());
                for (result, count) in self.0.log.counts() {
                    families.log.with_label_values(&[result]).inc_by(count);
                }
                families.all().iter().flat_map(|family| family.collect()).collect()
            }
            Err(error) => {
                log::error!("the metrics of the upstreams cannot be made: {error}");
                Vec::new()
            }
        }
    }
}
