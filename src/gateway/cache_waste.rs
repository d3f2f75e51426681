//! What the requests of each session left in the prompt caches of upstreams, and what of it later ones wrote anew. Bounded.

use crate::store::LeftInCache;
use gateway_core::cache_waste::{CacheUse, Memory, Place, Replies, Request, Shown, without_loss};
use gateway_core::record::{RequestRecord, Waste};
use gateway_core::usage::pricing::decimal::Factor;
use gateway_core::usage::pricing::model_name::plain;
use gateway_core::usage::pricing::{NanoUsd, Prices};
use gateway_core::usage::summary::Tokens;
use moka::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::Xxh3Default;

/// Most agents of sessions that are remembered.
const MOST_AGENTS: u64 = 2_048;
/// For how long: nothing lives in a cache for longer than an hour, and a session that goes on the next day is told why.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// What requests left in the caches of upstreams, by session and agent.
#[derive(Debug)]
pub(crate) struct CacheWaste(Cache<u64, Arc<Mutex<Memory>>>);

impl Default for CacheWaste {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_AGENTS).time_to_idle(REMEMBERED).build())
    }
}

impl CacheWaste {
    /// Finds out what a request that is over lost, and remembers what it left.
    pub(crate) fn judge(&self, record: &mut RequestRecord, prices: &Prices, factor: Factor) {
        let Some((session, request)) = record.names.session.as_deref().zip(request(record)) else { return };
        let memory = self.of(session, record.names.agent.as_deref());
        let loss = memory.lock().unwrap_or_else(PoisonError::into_inner).judge(&request);
        record.cached = request.left().map(|left| Box::new(left.prompt));
        record.waste = loss.map(|loss| {
            let cost = cost(record, loss.tokens, prices, factor);
            Box::new(Waste { loss, cost })
        });
    }

    /// Remembers what earlier requests left, which the log tells, the oldest first.
    pub(crate) fn restore(&self, left: Vec<LeftInCache>) {
        for LeftInCache { session, agent, checkpoint } in left {
            let memory = self.of(&session, agent.as_deref());
            memory.lock().unwrap_or_else(PoisonError::into_inner).remember(checkpoint);
        }
    }

    fn of(&self, session: &str, agent: Option<&str>) -> Arc<Mutex<Memory>> {
        let mut hasher = Xxh3Default::new();
        hasher.update(session.as_bytes());
        if let Some(agent) = agent {
            hasher.update(&[0]);
            hasher.update(agent.as_bytes());
        }
        self.0.get_with(hasher.digest(), Arc::default)
    }
}

/// What of a request decides; `None` if nothing was told of its prompt, or nobody knows what it looked like.
fn request(record: &RequestRecord) -> Option<Request> {
    let shape = record.shape.as_deref().filter(|shape| !shape.is_cut)?;
    let answer = record.answer.as_ref().filter(|answer| !answer.is_input_estimated)?;
    let (tokens, details, names) = (answer.tokens?, &answer.details, &record.names);
    let sent = record.sent_shape.as_deref();
    let key = record.upstream_key.as_deref().or(record.key.as_deref()).unwrap_or_default();
    let told = [details.cache_write_5m, details.cache_write_1h];
    Some(Request {
        began_ms: millis(record.started_at),
        answered_ms: millis(record.started_at + record.first_byte.unwrap_or(record.duration)),
        place: Place { upstream: record.upstream.clone().unwrap_or_default(), key: key.into() },
        model: plain(record.model().unwrap_or_default()).into(),
        rules: record.rules.clone(),
        is_compaction: names.compaction.is_some() || names.request_class.as_deref() == Some("compaction"),
        is_compacted: shape.is_continued,
        was_just_compacted: names.context_compacted.is_some(),
        came: Shown::of(shape),
        sent: sent.map(Shown::of),
        replies: Replies::of(shape),
        marks: Request::marks_of(sent.unwrap_or(shape)),
        cache: CacheUse {
            read: tokens.cache_read,
            written: tokens.cache_write,
            told: told.iter().any(Option::is_some).then(|| told.map(Option::unwrap_or_default)),
        },
    })
}

/// What a request cost more than it would have, had it read what it lost.
fn cost(record: &RequestRecord, lost: u64, prices: &Prices, factor: Factor) -> Option<NanoUsd> {
    let answer = record.answer.as_ref()?;
    let (model, tokens) = (record.model()?, answer.tokens?);
    let cost = |tokens: &Tokens| prices.cost(model, tokens, &answer.details, record.started_at, factor);
    Some(cost(&tokens)?.saturating_sub(cost(&without_loss(&tokens, lost))?))
}

fn millis(time: SystemTime) -> i64 {
    i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
