//! What the keys of clients are called. The keys of the upstreams: what is known of each, and giving one a rest or waking it. The keys themselves stay where they
//! are.

use super::call::Call;
use super::fault::Fault;
use super::refused::{Refused, json};
use crate::config::KeyNames;
use crate::config::balance::BalanceSource;
use crate::gateway::{Answer, Shared};
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::key_state::{KeyReason, Pause, State, Why};
use crate::upstream::keys::Key;
use gateway_core::language::Language;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest rest that somebody can give to a key.
const LONGEST_REST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Billionths of a dollar in one.
const NANO: f64 = 1e9;

/// One key.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'k> {
    /// What the operator calls it.
    name: Option<&'k str>,
    fingerprint: &'k str,
    /// `ready`, `low`, `resting`, `disabled` or `off`.
    state: &'static str,
    /// Why it is not ready: a code of [`KeyReason`].
    reason: Option<&'static str>,
    /// What is known further; empty if nothing is.
    detail: String,
    /// The same in Chinese.
    detail_zh: String,
    /// Since when it is in this state; milliseconds since 1970.
    since_ms: Option<u64>,
    /// When its rest ends; milliseconds since 1970.
    until_ms: Option<u64>,
    weight: u32,
    in_flight: u32,
    max_in_flight: Option<u32>,
    /// Of the requests that ended with it since the gateway was started.
    requests: u64,
    tokens: u64,
    /// In dollars.
    cost: f64,
    /// What is left on it; `None` where the upstream has no `balance`.
    balance: Option<ShownBalance>,
}

/// The balance of a key, as far as it is known.
#[derive(Debug, Serialize)]
struct ShownBalance {
    /// `None` for a key without a limit, and as long as nothing is known.
    remaining: Option<f64>,
    is_unlimited: bool,
    used: Option<f64>,
    /// What both are counted in; empty if nobody says.
    unit: String,
    /// Below this, new sessions go elsewhere.
    rest_below: Option<f64>,
    /// When it is reset, if the upstream says that.
    reset_at: Option<String>,
    /// When this was read.
    read_at: Option<String>,
    /// Why the last reading failed, if it did.
    error: Option<ShownFault>,
}

/// Why a balance could not be read.
#[derive(Debug, Serialize)]
struct ShownFault {
    code: &'static str,
    what: String,
    what_zh: String,
}

/// Those of an upstream, in the operator's order.
pub(super) fn of(upstream: &Upstream) -> Vec<Shown<'_>> {
    upstream.keys.all().iter().map(|key| shown(upstream, key)).collect()
}

fn shown<'k>(upstream: &Upstream, key: &'k Key) -> Shown<'k> {
    let now = now_ms();
    let state = key.state.state(now);
    let note = key.state.note(now).filter(|_| key.config.is_enabled);
    let since_1970 = |time: SystemTime| {
        u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    };
    let detail = |language| note.as_ref().map(|note| note.why.detail.text(language).to_owned()).unwrap_or_default();
    let counts = &key.state.counts;
    Shown {
        name: key.config.name.as_deref(),
        fingerprint: &key.fingerprint,
        state: key.state_name(now),
        reason: note.as_ref().map(|note| note.why.reason.code()),
        detail: detail(Language::English),
        detail_zh: detail(Language::Chinese),
        since_ms: note.as_ref().map(|note| since_1970(note.since)),
        until_ms: match state {
            State::Resting(left) if key.config.is_enabled => {
                Some(since_1970(SystemTime::now() + Duration::from_millis(left)))
            }
            _ => None,
        },
        weight: key.config.weight,
        in_flight: key.in_flight(),
        max_in_flight: key.config.max_in_flight,
        requests: counts.requests.load(Ordering::Relaxed),
        tokens: counts.tokens.load(Ordering::Relaxed),
        cost: counts.cost_nano.load(Ordering::Relaxed) as f64 / NANO,
        balance: upstream.config.balance.as_ref().map(|source| shown_balance(source, key)),
    }
}

fn shown_balance(source: &BalanceSource, key: &Key) -> ShownBalance {
    let readings = key.state.balance.readings();
    let (balance, read_at) = readings.last.as_ref().map(|(balance, at)| (balance, *at)).unzip();
    let date = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    ShownBalance {
        remaining: balance.and_then(|balance| balance.remaining),
        is_unlimited: balance.is_some_and(|balance| balance.remaining.is_none()),
        used: balance.and_then(|balance| balance.used),
        unit: balance.map(|balance| balance.unit.clone()).unwrap_or_default(),
        rest_below: source.rest_below.map(|bound| bound.get()),
        reset_at: balance.and_then(|balance| balance.reset_at).map(date),
        read_at: read_at.map(date),
        error: readings.fault.as_ref().map(|fault| {
            let words = fault.words();
            let text = |language| words.text(language).to_owned();
            ShownFault { code: fault.code(), what: text(Language::English), what_zh: text(Language::Chinese) }
        }),
    }
}

/// `key-names`: what the keys of clients are called.
pub(super) fn names(names: &KeyNames) -> Result<Answer, Refused> {
    json(&serde_json::json!({ "names": names.all() }))
}

/// How long a key is to rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    /// As in the configuration: `10m`.
    r#for: String,
}

/// Takes a key out of use for a while.
pub(super) fn rest(shared: &Shared, call: &Call) -> Result<Answer, Refused> {
    let Rest { r#for: text } = call.json(|most| Fault::BodyTooLarge { most })?;
    let pause = humantime::parse_duration(&text).ok().filter(|pause| !pause.is_zero() && *pause <= LONGEST_REST);
    let pause = pause.ok_or(Fault::NotARest { text })?;
    with_key(shared, call, |key| key.rest(Pause::For(pause), Why::of(KeyReason::Operator), now_ms()))
}

/// Uses a key again, whatever it was left out for; whether it was.
pub(super) fn wake(shared: &Shared, call: &Call) -> Result<(Answer, bool), Refused> {
    let mut has_changed = false;
    let answer = with_key(shared, call, |key| {
        let before = key.state_name(now_ms());
        key.wake();
        has_changed = key.state_name(now_ms()) != before;
    })?;
    Ok((answer, has_changed))
}

/// Has its balance read as soon as possible: what is known of it until then.
pub(super) fn ask_balance(shared: &Shared, call: &Call) -> Result<Answer, Refused> {
    with_key(shared, call, |key| key.state.balance.ask())
}

/// Does something to the key that the path names, by its name or its fingerprint; what is known of it then.
fn with_key(shared: &Shared, call: &Call, work: impl FnOnce(&Key)) -> Result<Answer, Refused> {
    let snapshot = shared.snapshot.load();
    let upstream = snapshot.upstream(&call.named).ok_or_else(|| Fault::NoUpstream { name: call.named.clone() })?;
    let no_key = || Fault::NoKey { name: call.within.clone(), upstream: call.named.clone() };
    let key = upstream.keys.find(&call.within).ok_or_else(no_key)?;
    work(key);
    json(&shown(upstream, key))
}
