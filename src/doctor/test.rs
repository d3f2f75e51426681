//! A test of one upstream of the gateway that runs, as the panel and the API ask for it.

use super::clean::Cleaner;
use super::message::{Message, Question};
use super::model::Choice;
use super::report::UpstreamReport;
use super::{With, examine_one, keys_of};
use crate::config::secret::Secret;
use crate::config::upstream::UpstreamConfig;
use crate::gateway::Snapshot;
use crate::language;
use crate::upstream::clock::now_ms;
use crate::upstream::key_state::KeyReason;
use crate::upstream::stats::LastTest;
use crate::upstream::unresolving;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// What an upstream is tested with.
#[derive(Debug, Default)]
pub(crate) struct Test {
    /// The model that gets a message; `None`: no message is sent.
    pub model: Option<Choice>,
    /// The place of the upstream's own key; `None` for the first that is used.
    pub key: Option<usize>,
    /// The key of a client, for an upstream that has none.
    pub client_key: Option<Secret>,
}

/// Tries one upstream, with the key that it has.
///
/// # Errors
/// When there can be no DNS resolver, or no message can be made.
pub(crate) async fn try_one(upstream: &UpstreamConfig, dns_servers: &[SocketAddr]) -> Result<UpstreamReport, String> {
    let cleaner = Cleaner::new(keys_of(upstream).collect());
    try_with(upstream, dns_servers, cleaner, None, Vec::new()).await
}

/// Tries the upstream in this place of the snapshot. A message that is answered wakes the key that it went out with, and only
/// that one.
///
/// # Errors
/// As [`try_one`].
pub(crate) async fn test(snapshot: &Arc<Snapshot>, destination: usize, test: Test) -> Result<UpstreamReport, String> {
    let key = test.key;
    let report = try_draft(snapshot, destination, test).await?;
    for message in report.messages() {
        note(snapshot, destination, key, message, Asked::Somebody);
    }
    Ok(report)
}

/// The same of an upstream that is only a draft: nothing is noted of it.
///
/// # Errors
/// As [`try_one`].
pub(crate) async fn try_draft(
    snapshot: &Arc<Snapshot>,
    destination: usize,
    test: Test,
) -> Result<UpstreamReport, String> {
    let Test { model, key, client_key } = test;
    let upstream = &snapshot.upstreams[destination];
    let keys = keys_of(&upstream.config).chain(client_key.clone());
    let cleaner = Cleaner::new(keys.collect()).and(snapshot.config.secrets());
    let question = |choice| {
        let (snapshot, client_key) = (Arc::clone(snapshot), client_key.clone());
        Question { snapshot, destination, key, client_key, choice }
    };
    let questions: Vec<Question> = model.map(question).into_iter().collect();
    let chosen = key.and_then(|at| upstream.config.api_keys.get(at)).map(|key| key.key.clone());
    try_with(&upstream.config, &snapshot.config.dns_servers, cleaner, chosen.or(client_key), questions).await
}

async fn try_with(
    upstream: &UpstreamConfig,
    dns_servers: &[SocketAddr],
    cleaner: Cleaner,
    key: Option<Secret>,
    questions: Vec<Question>,
) -> Result<UpstreamReport, String> {
    let resolver = crate::upstream::resolver(dns_servers).map_err(|error| language::told(&unresolving(&error)))?;
    let with = With { resolver: Arc::new(resolver), cleaner: Arc::new(cleaner), key, questions };
    examine_one(upstream, &with).await
}

/// Who asked for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Somebody, now.
    Somebody,
    /// `upstreams[].test`.
    Schedule,
}

/// Notes what became of a message, and wakes the key that it went out with if it was answered. Somebody's own pause for a key
/// is no business of a schedule.
pub(super) fn note(snapshot: &Snapshot, destination: usize, key: Option<usize>, message: &Message, asked: Asked) {
    let upstream = &snapshot.upstreams[destination];
    let (name, model, finding) = (&upstream.name, &message.model, message.finding.id);
    let label = message.key.as_deref().unwrap_or("-");
    log::info!("upstream \"{name}\": a test message to {model} with the key {label}: {finding}");
    upstream.stats.tested(LastTest {
        at: SystemTime::now(),
        is_scheduled: asked == Asked::Schedule,
        key: message.key.clone(),
        model: model.clone(),
        status: message.status,
        finding,
        is_good: message.is_good(),
        first_byte_ms: message.times.first_byte_ms,
        total_ms: message.times.total_ms,
        cost: message.came.as_ref().and_then(|came| came.cost),
    });
    let Some(key) = key.and_then(|at| upstream.keys.get(at)).filter(|_| message.is_good()) else { return };
    let rests_by_somebody = key.state.note(now_ms()).is_some_and(|note| note.why.reason == KeyReason::Operator);
    if asked == Asked::Somebody || !rests_by_somebody {
        key.wake();
    }
}
