//! `upstreams` and `rules`: what is known of them, and taking upstreams out of service.

use super::fault::Fault;
use super::keys;
use super::refused::{Refused, json};
use crate::config::profile::Profile;
use crate::config::{built_in, profile};
use crate::doctor::findings;
use crate::gateway::{Answer, Shared, Snapshot};
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::lines::Tried;
use crate::upstream::stats::{LastTest, StepCounts};
use crate::upstream::steering;
use gateway_core::record::fault::{Told, UpstreamFault};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
    /// Whether somebody took it out of service.
    is_drained: bool,
    /// The name of its profile.
    profile: &'static str,
    /// For how long it is left alone, in milliseconds.
    open_for_ms: Option<u64>,
    failures_in_a_row: u32,
    /// Attempts within `health.window`.
    recent_good: u32,
    recent_bad: u32,
    good: u64,
    bad: u64,
    taken_over: u64,
    /// `None` where only weights count.
    steering: Option<ShownSteering>,
    in_flight: u32,
    max_in_flight: Option<u32>,
    waiting: usize,
    last_failure: Option<LastFailure>,
    connecting: BTreeMap<&'static str, StepCounts>,
    /// Empty if there is but one.
    lines: Vec<ShownLine<'s>>,
    keys: Vec<keys::Shown<'s>>,
    last_test: Option<ShownTest>,
}

/// What became of the last test message.
#[derive(Debug, Serialize)]
struct ShownTest {
    at: String,
    /// Whether `upstreams[].test` asked for it, not somebody.
    is_scheduled: bool,
    key: Option<String>,
    model: String,
    status: Option<u16>,
    /// The id of a finding of the doctor's.
    finding: &'static str,
    /// What that means.
    cause_en: &'static str,
    cause_zh: &'static str,
    is_good: bool,
    first_byte_ms: Option<f64>,
    total_ms: f64,
    cost: Option<f64>,
}

impl From<&LastTest> for ShownTest {
    fn from(test: &LastTest) -> Self {
        let LastTest { at, is_scheduled, key, model, status, finding, is_good, first_byte_ms, total_ms, cost } =
            test.clone();
        let at = humantime::format_rfc3339_millis(at).to_string();
        let (cause_en, cause_zh) =
            findings::find(finding).map_or((finding, finding), |found| (found.cause_en, found.cause_zh));
        Self {
            at,
            is_scheduled,
            key,
            model,
            status,
            finding,
            cause_en,
            cause_zh,
            is_good,
            first_byte_ms,
            total_ms,
            cost,
        }
    }
}

/// What steers new sessions away from an upstream.
#[derive(Debug, Serialize)]
struct ShownSteering {
    /// The share of its weight that counts for new sessions.
    share: f64,
    /// Median of the last minutes; `None` if there was none.
    first_event_ms: Option<f64>,
    /// How many it is of.
    first_events: usize,
    /// How many times as long as in the middle, like compared with like; `None` if that is not known.
    relative_time: Option<f64>,
    /// The share of failures that counts.
    failure_share: f64,
}

/// One of several lines to an upstream.
#[derive(Debug, Serialize)]
struct ShownLine<'s> {
    /// Host and port.
    host: &'s str,
    /// `used`, `ready` or `down`.
    state: &'static str,
    /// Medians of the last times; `None` if none is known.
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    probe_ms: Option<f64>,
    /// Since when it is up, or not, in milliseconds since 1970.
    since_ms: Option<u64>,
    failures: u64,
    /// Why it fails, if it does.
    fault: Option<Told>,
}

#[derive(Debug, Serialize)]
struct LastFailure {
    at: String,
    #[serde(flatten)]
    told: Told,
}

/// All upstreams.
pub(super) fn all(snapshot: &Snapshot) -> Value {
    let upstreams: Vec<Shown<'_>> = snapshot.upstreams.iter().map(|upstream| shown(upstream)).collect();
    serde_json::json!({ "upstreams": upstreams, "moved_sessions": snapshot.affinity.moved() })
}

/// Takes an upstream out of service, or puts it back; whether it was not there.
pub(super) fn drain(shared: &Shared, name: &str, is_drained: bool) -> Result<(Answer, bool), Refused> {
    let snapshot = shared.snapshot.load();
    let upstream = find(&snapshot, name)?;
    let has_changed = upstream.drain(is_drained);
    Ok((json(&shown(upstream))?, has_changed))
}

pub(super) fn find<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s Arc<Upstream>, Refused> {
    snapshot.upstream(name).ok_or_else(|| Fault::NoUpstream { name: name.to_owned() }.into())
}

/// The rules of each upstream, in order, and how often each applied.
pub(super) fn rules(shared: &Shared) -> Value {
    let snapshot = shared.snapshot.load();
    let upstreams: Vec<Value> = snapshot
        .destinations
        .iter()
        .enumerate()
        .map(|(at, destination)| {
            let config = &destination.upstream.config;
            let on: Vec<&str> = destination.rules.rules().iter().map(|rule| &*rule.name).collect();
            let all = profile::rules(config.profile).unwrap_or_default();
            let of_profile = all.iter().map(|rule| &*rule.name);
            // Those that are off have lost their place: they come last.
            let off = of_profile.chain(snapshot.config.rules_off.iter().map(String::as_str));
            let off: Vec<&str> = off.filter(|name| !on.contains(name)).collect();
            let rule = |name: &str, is_enabled: bool| {
                let source = match name {
                    built_in::SYSTEM_PROMPT | built_in::HEADERS_FILE => name,
                    _ if built_in::is_built_in(name) => "profile",
                    _ => "operator",
                };
                // What it answered by itself went to no upstream: that is told where such rules are asked.
                let answered = if at == 0 { shared.metrics.rule_hits(name, "") } else { 0 };
                let hits = shared.metrics.rule_hits(name, &config.name) + answered;
                serde_json::json!({ "name": name, "source": source, "is_enabled": is_enabled, "hits": hits })
            };
            let rules = on.iter().map(|name| rule(name, true)).chain(off.iter().map(|name| rule(name, false)));
            serde_json::json!({ "upstream": config.name, "rules": rules.collect::<Vec<_>>() })
        })
        .collect();
    serde_json::json!({ "upstreams": upstreams })
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
        is_drained: upstream.is_drained(),
        profile: match config.profile {
            Profile::None => "none",
            Profile::AnyRouter => "anyrouter",
        },
        open_for_ms: Some(state.pause_ms()).filter(|&pause| pause > 0),
        failures_in_a_row: upstream.circuit.failures_in_a_row(),
        recent_good: recent.good,
        recent_bad: recent.bad,
        good: stats.good.load(Ordering::Relaxed),
        bad: stats.bad.load(Ordering::Relaxed),
        taken_over: stats.taken_over.load(Ordering::Relaxed),
        steering: upstream.steering.as_ref().map(|steering| steered(steering.shown(now))),
        in_flight,
        max_in_flight: config.max_in_flight,
        waiting,
        last_failure: last_failure.as_ref().map(|failure| LastFailure {
            at: humantime::format_rfc3339_millis(failure.at).to_string(),
            told: failure.fault.clone().into(),
        }),
        connecting: stats.steps().into_iter().collect(),
        lines: lines(upstream),
        keys: keys::of(upstream),
        last_test: stats.last_test.load().as_deref().map(ShownTest::from),
    }
}

fn steered(seen: steering::Shown) -> ShownSteering {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    ShownSteering {
        share: rounded(seen.share),
        first_event_ms: seen.first_event.map(|seconds| (seconds * 1000.0).round()),
        first_events: seen.first_events,
        relative_time: seen.relative_time.map(rounded),
        failure_share: rounded(seen.failure_share),
    }
}

fn lines(upstream: &Upstream) -> Vec<ShownLine<'_>> {
    let used = upstream.lines.next(Tried::default());
    let millis = |time: Option<Duration>| time.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
    let shown = upstream.lines.iter().enumerate().map(|(place, line)| {
        let medians = line.times.medians();
        ShownLine {
            host: line.authority(),
            state: match line.times.is_failing() {
                true => "down",
                false if used == Some(place) => "used",
                false => "ready",
            },
            connect_ms: millis(medians.connect),
            tls_ms: millis(medians.tls),
            probe_ms: millis(medians.probe),
            since_ms: line.times.since_ms(),
            failures: line.times.failures(),
            fault: line.times.fault().map(|fault| UpstreamFault::clone(&fault).into()),
        }
    });
    if upstream.lines.are_several() { shown.collect() } else { Vec::new() }
}
