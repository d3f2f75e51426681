//! `upstreams`: what is known of them.

use crate::gateway::Snapshot;
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::stats::StepCounts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// One upstream.
#[derive(Debug, Serialize)]
struct Shown<'s> {
    name: &'s str,
    url: String,
    priority: u32,
    weight: u32,
    /// The outbound proxy, without user and password.
    proxy: Option<&'s str>,
    /// `closed`, `half_open` or `open`.
    circuit: &'static str,
    /// For how long it is left alone, in milliseconds.
    open_for_ms: Option<u64>,
    failures_in_a_row: u32,
    /// Attempts within `health.window`.
    recent_good: u32,
    recent_bad: u32,
    good: u64,
    bad: u64,
    taken_over: u64,
    in_flight: u32,
    max_in_flight: Option<u32>,
    waiting: usize,
    last_failure: Option<LastFailure>,
    connecting: BTreeMap<&'static str, StepCounts>,
}

#[derive(Debug, Serialize)]
struct LastFailure {
    at: String,
    what: String,
}

/// All upstreams.
pub fn all(snapshot: &Snapshot) -> serde_json::Value {
    let upstreams: Vec<Shown<'_>> = snapshot.upstreams.iter().map(|upstream| shown(upstream)).collect();
    serde_json::json!({ "upstreams": upstreams, "moved_sessions": snapshot.memory.moved() })
}

fn shown(upstream: &Upstream) -> Shown<'_> {
    let (now, stats, config) = (now_ms(), &upstream.stats, &upstream.config);
    let state = upstream.circuit.state(now);
    let recent = upstream.circuit.counts(now);
    let (in_flight, waiting) = upstream.slots.counts();
    let last_failure = stats.last_failure.load();
    Shown {
        name: &config.name,
        url: format!("{}{}", upstream.origin(), config.base_url.path_prefix),
        priority: config.priority,
        weight: config.weight,
        proxy: config.proxy.as_ref().map(|proxy| proxy.shown.as_str()),
        circuit: state.name(),
        open_for_ms: Some(state.pause_ms()).filter(|&pause| pause > 0),
        failures_in_a_row: upstream.circuit.failures_in_a_row(),
        recent_good: recent.good,
        recent_bad: recent.bad,
        good: stats.good.load(Ordering::Relaxed),
        bad: stats.bad.load(Ordering::Relaxed),
        taken_over: stats.taken_over.load(Ordering::Relaxed),
        in_flight,
        max_in_flight: config.max_in_flight,
        waiting,
        last_failure: last_failure.as_ref().map(|failure| LastFailure {
            at: humantime::format_rfc3339_millis(failure.at).to_string(),
            what: failure.what.clone(),
        }),
        connecting: stats.steps().into_iter().collect(),
    }
}
