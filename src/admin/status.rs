//! How the process is, and what it is doing.

use super::refused::JSON;
use crate::config::live::Live;
use crate::gateway::running::{Entry, Running};
use crate::gateway::{Answer, Shared};
use crate::store::Reader;
use crate::unix_time::now_ms;
use crate::upstream::clock;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Running requests that the live feed tells of each second.
pub(super) const OF_FEED: usize = 100;

/// `/health`: for whoever wants to know whether it lives.
pub(super) fn alive(shared: &Shared) -> Answer {
    let body = json!({
        "status": "ok",
        "service": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "boot_id": shared.boot_id,
        "started_at": humantime::format_rfc3339_seconds(shared.started_at).to_string(),
    });
    Answer::new(200, JSON, body.to_string()).with(CACHE_CONTROL, "no-store")
}

/// Whether requests have somewhere to go: at least one upstream is in service, and not being left alone because it
/// failed.
pub(super) fn is_ready(shared: &Shared) -> bool {
    let now = clock::now_ms();
    shared.snapshot.load().upstreams.iter().any(|upstream| upstream.is_usable(now))
}

/// `health` of the API: for people.
pub(super) async fn health(shared: &Shared, reader: Option<&Reader>, live: &Live) -> Value {
    let is_draining = shared.drain.is_on();
    let is_ready = is_ready(shared) && !is_draining;
    let counts = shared.log.counts();
    let count = |name: &str| counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count);
    let bytes = match reader {
        Some(reader) => reader.bytes().await,
        None => 0,
    };
    let log = reader.map(|reader| {
        json!({
            "path": reader.store().to_string(),
            "written": count("written"),
            "dropped": count("dropped"),
            "dropped_rejected": count("dropped_rejected"),
            "write_failures": count("write_failures"),
            "without_texts": count("without_texts"),
            "queued": shared.log.queued(),
            "bytes": bytes,
        })
    });
    json!({
        "status": match is_draining {
            true => "draining",
            false if is_ready && !shared.log.is_failing() => "ok",
            false => "degraded",
        },
        "version": env!("CARGO_PKG_VERSION"),
        "boot_id": shared.boot_id,
        "pid": std::process::id(),
        "started_at_ms": millis(shared.started_at),
        "ready": is_ready,
        "draining": is_draining,
        "in_flight": shared.metrics.in_flight.get(),
        "streams": shared.metrics.streams.get(),
        "held_body_bytes": shared.metrics.held_bytes.get(),
        "config": { "path": live.path(), "version": live.version(), "loaded_at_ms": millis(live.loaded_at()) },
        "log": log,
    })
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or_default()
}

/// A running request.
#[derive(Debug, Serialize)]
struct Shown<'e> {
    id: &'e str,
    started_at_ms: u64,
    age_ms: u64,
    method: &'e str,
    path: &'e str,
    model_asked: Option<&'e str>,
    upstream: Option<&'e str>,
    upstream_key: Option<&'e str>,
    attempts: u32,
    phase: &'static str,
    response_bytes: u64,
    output_tokens: u64,
    silent_ms: Option<u64>,
    client: Option<String>,
    key: Option<String>,
    session: Option<&'e str>,
    agent: Option<&'e str>,
    request_class: Option<&'e str>,
}

impl<'e> From<&'e Entry> for Shown<'e> {
    fn from(entry: &'e Entry) -> Self {
        let now = Instant::now();
        let in_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or_default();
        Self {
            id: &entry.request_id,
            started_at_ms: millis(entry.started_at),
            age_ms: in_ms(now.saturating_duration_since(entry.started)),
            method: &entry.names.method,
            path: &entry.names.path,
            model_asked: entry.names.model.as_deref(),
            upstream: entry.upstream(),
            upstream_key: entry.upstream_key(),
            attempts: entry.attempts(),
            phase: entry.phase().name(),
            response_bytes: entry.response_bytes(),
            output_tokens: entry.output_tokens(),
            silent_ms: entry.silent(now).map(in_ms),
            client: entry.client.map(|client| client.to_string()),
            key: entry.key.map(|key| key.to_string()),
            session: entry.names.client.session.as_deref(),
            agent: entry.names.client.agent.as_deref(),
            request_class: entry.names.client.request_class.as_deref(),
        }
    }
}

/// The requests that are being served, so many at most, and how many more there are.
pub(super) fn running(running: &Running, most: usize) -> Value {
    let (entries, more) = running.list();
    let shown: Vec<Shown<'_>> = entries.iter().take(most).map(|entry| Shown::from(&**entry)).collect();
    json!({ "at_ms": now_ms(), "running": shown, "more": more + entries.len().saturating_sub(most) })
}

/// One of them, by its id.
pub(super) fn running_one(running: &Running, id: &str) -> Option<Value> {
    running.find(id).map(|entry| json!({ "running": Shown::from(&*entry) }))
}
