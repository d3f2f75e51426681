//! What an upstream's error says of the key that it got, where there are several: that one rests or is out, and the request
//! goes on with another one at the same upstream.

use super::context::{Context, KeyTried};
use crate::config::health::HealthSettings;
use crate::gateway::snapshot::Snapshot;
use crate::upstream::Upstream;
use crate::upstream::clock::now_ms;
use crate::upstream::key_state::{KeyReason, LONGEST_TOLD, Pause, Why};
use crate::upstream::keys::Wish;
use crate::upstream::sessions::Client;
use gateway_core::errors::status_of_type;
use gateway_core::record::fault::UpstreamFault;
use std::sync::Arc;
use std::time::Duration;

/// What is to become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lesson {
    /// It rests, for as long as it was told, or longer each time.
    Rest(KeyReason),
    /// It is out.
    Disable,
}

/// What this fault says of the key.
fn lesson(fault: &UpstreamFault) -> Option<Lesson> {
    let status = match fault {
        UpstreamFault::Status { status } => *status,
        UpstreamFault::StreamError { kind } | UpstreamFault::ErrorReply { kind } => status_of_type(kind),
        _ => return None,
    };
    match status {
        401 => Some(Lesson::Disable),
        // Relays have no other status for a quota; and what is forbidden may be allowed again.
        402 | 403 => Some(Lesson::Rest(KeyReason::QuotaUsedUp)),
        429 => Some(Lesson::Rest(KeyReason::RateLimited)),
        _ => None,
    }
}

/// Whether the fault may as well be about what was asked for: a model that no key may use is forbidden too. It is the key's
/// once another one has served the same request; else one request would take all keys from everybody.
fn may_be_of_request(fault: &UpstreamFault, told: Option<Duration>) -> bool {
    let is_forbidden = match fault {
        UpstreamFault::Status { status } => *status == 403,
        UpstreamFault::StreamError { kind } | UpstreamFault::ErrorReply { kind } => {
            matches!(kind.as_str(), "permission_error" | "403")
        }
        _ => false,
    };
    is_forbidden && told.is_none()
}

/// How long a key rests whose upstream asked for this pause, if it did.
fn pause(told: Option<Duration>, health: &HealthSettings) -> Pause {
    match told {
        Some(told) => Pause::For(told.min(LONGEST_TOLD)),
        None => Pause::Growing(health.open, health.open_max),
    }
}

/// The key that a request of `sender` would have at `upstream`, where it tried these in vain.
pub(super) fn wish<'t>(snapshot: &Snapshot, sender: Client, upstream: &Upstream, tried: &'t [usize]) -> Wish<'t> {
    let session = sender.number().unwrap_or_else(|| fastrand::u64(..));
    let place = match upstream.remembers_sessions() {
        true => snapshot.affinity.place_of(sender).filter(|place| place.seed == upstream.seed),
        false => None,
    };
    Wish { session, key: place.and_then(|place| place.key), tried }
}

/// The places of the keys that the request tried in vain at the upstream in this place.
pub(super) fn tried(context: &Context, at: usize) -> Vec<usize> {
    let tried = context.routing.keys_tried.iter().filter(|tried| tried.destination == at);
    tried.map(|tried| tried.key).collect()
}

/// Whether the fault is the key's, which learns of it: its upstream has others.
pub(super) fn is_of_key(context: &Context, here: usize, fault: &UpstreamFault) -> bool {
    let upstream = &context.snapshot.upstreams[here];
    // A page is that of a firewall, which knows no keys.
    let is_concerned = upstream.config.has_key_pool() && !context.attempt.is_page;
    let Some(lesson) = lesson(fault).filter(|_| is_concerned) else { return false };
    let Some(key) = context.key() else { return false };
    // What else is asked says nothing of model calls.
    if context.arrival.protocol.is_model_call() {
        let began_ms = context.routing.ticket.as_ref().map_or(0, |ticket| ticket.entered_ms());
        let detail = fault.clone().in_known_words().words();
        match lesson {
            // `served` has it rest.
            Lesson::Rest(_) if may_be_of_request(fault, context.attempt.retry_after) => {}
            Lesson::Rest(reason) => {
                let pause = pause(context.attempt.retry_after, &context.snapshot.config.health);
                key.rest(pause, Why { reason, detail }, began_ms);
            }
            Lesson::Disable => key.disable(Why { reason: KeyReason::Refused, detail }),
        }
    }
    true
}

/// The key that the request goes out with serves it: those before it that may not are to rest.
pub(super) fn served(context: &Context) {
    let Some(here) = context.routing.destination.filter(|_| context.arrival.protocol.is_model_call()) else { return };
    let health = &context.snapshot.config.health;
    for tried in context.routing.keys_tried.iter().filter(|tried| tried.destination == here) {
        let key = context.snapshot.upstreams[here].keys.get(tried.key);
        let Some(key) = key.filter(|_| may_be_of_request(&tried.fault, tried.told)) else { continue };
        let detail = tried.fault.clone().in_known_words().words();
        let why = Why { reason: KeyReason::QuotaUsedUp, detail };
        key.rest(pause(None, health), why, tried.began_ms);
    }
}

/// Goes on with another key at the same upstream, which counts as no further attempt. Whether there is one.
pub(super) fn change(context: &mut Context, here: usize, fault: &UpstreamFault) -> bool {
    let Some(key) = context.routing.key else { return false };
    let mut left_out = tried(context, here);
    left_out.push(key);
    let snapshot = Arc::clone(&context.snapshot);
    let upstream = &snapshot.upstreams[here];
    let wish = wish(&snapshot, context.arrival.identity.together, upstream, &left_out);
    let Some(ticket) = &mut context.routing.ticket else { return false };
    let began_ms = ticket.entered_ms();
    if !ticket.change_key(&wish, now_ms()) {
        return false;
    }
    let label = |at: Option<usize>| at.and_then(|at| upstream.keys.get(at)).map(|key| &*key.label).unwrap_or_default();
    let (id, name, said) = (&context.request_id, &upstream.config.name, fault.clone().in_known_words());
    let (from, to) = (label(Some(key)), label(ticket.key()));
    log::info!("{id}: upstream \"{name}\" {said} to the key {from}; trying the key {to}");
    let after = context.routing.tried.len();
    let told = context.attempt.retry_after;
    context.routing.keys_tried.push(KeyTried { destination: here, key, fault: fault.clone(), told, began_ms, after });
    true
}

/// How long until the first key of the upstream is back, if all of them are out and one comes back by itself.
pub(super) fn until_back(upstream: &Upstream) -> Option<Duration> {
    upstream.keys.all_out(now_ms()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_key_is_told_from_what_does_not() {
        let status = |status| UpstreamFault::Status { status };
        let kind = |kind: &str| UpstreamFault::StreamError { kind: kind.to_owned() };
        let (limited, used_up) = (Lesson::Rest(KeyReason::RateLimited), Lesson::Rest(KeyReason::QuotaUsedUp));
        for (fault, wanted) in [
            (status(401), Some(Lesson::Disable)),
            (status(402), Some(used_up)),
            (status(403), Some(used_up)),
            (status(429), Some(limited)),
            (status(400), None),
            (status(500), None),
            (status(529), None),
            (kind("rate_limit_error"), Some(limited)),
            (kind("authentication_error"), Some(Lesson::Disable)),
            (kind("429"), Some(limited)),
            (kind("overloaded_error"), None),
            (UpstreamFault::Closed, None),
        ] {
            assert_eq!(lesson(&fault), wanted, "{fault:?}");
        }
    }
}
