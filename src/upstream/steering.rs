//! What steers new sessions away from a slow or failing upstream early (`failover.balance_by: latency`). Requests only
//! read and write atomics; the service that compares upstreams takes the lock.

use super::first_events::{COUNTED_FOR, FirstEvent, FirstEvents};
use super::like_with_like::{median, relative};
use super::share_choice::{Seen, ShareChoice, failure_share, targets};
use super::window::Window;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is known of one upstream.
#[derive(Debug)]
pub struct Steering {
    first_events: FirstEvents,
    ends: Window,
    /// The share of its weight that counts for new sessions, as bits.
    share: AtomicU64,
    /// How many times as long as in the middle its first events take, as bits; 0 if that is not known.
    relative_time: AtomicU64,
    choice: Mutex<ShareChoice>,
}

/// What the panel and the metrics show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    /// The median of the first events of the last minutes in seconds, whatever was asked.
    pub first_event: Option<f64>,
    /// How many they are.
    pub first_events: usize,
    /// How many times as long as in the middle they take, like compared with like.
    pub relative_time: Option<f64>,
    /// The share of failures that counts.
    pub failure_share: f64,
    /// The share of its weight that counts for new sessions.
    pub share: f64,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            first_events: FirstEvents::default(),
            ends: Window::new(COUNTED_FOR),
            share: AtomicU64::new(1.0_f64.to_bits()),
            relative_time: AtomicU64::new(0),
            choice: Mutex::default(),
        }
    }
}

impl Steering {
    /// The first event of a stream came, or was waited for in vain.
    pub fn first_event(&self, event: FirstEvent, now_ms: u64) {
        self.first_events.note(event, now_ms);
    }

    /// A model call is over.
    pub(super) fn ended(&self, is_bad: bool, now_ms: u64) {
        self.ends.add(is_bad, now_ms);
    }

    /// The share of its weight that counts for new sessions.
    pub(super) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    /// What is to be seen of it.
    pub fn shown(&self, now_ms: u64) -> Shown {
        let events = self.first_events.recent(now_ms);
        Shown {
            first_event: median(&events).map(|(seconds, _)| seconds),
            first_events: events.len(),
            relative_time: Some(f64::from_bits(self.relative_time.load(Ordering::Relaxed))).filter(|&time| time > 0.0),
            failure_share: failure_share(self.ends.counts(now_ms)),
            share: self.share(),
        }
    }
}

/// Compares upstreams that share new sessions, each with its name for the log: their shares are what they should be from
/// now on, or on the way to it.
pub(crate) fn compare(peers: &[(&str, &Steering)], now_ms: u64) {
    let steered: Vec<&Steering> = peers.iter().map(|(_, steering)| *steering).collect();
    for ((name, steering), (before, after)) in peers.iter().zip(weigh(&steered, now_ms)) {
        if before != after {
            let Shown { relative_time, failure_share, .. } = steering.shown(now_ms);
            let time = relative_time.map(|time| format!("{time:.1} times the others' time")).unwrap_or_default();
            let (percent, failed) = (after * 100.0, failure_share * 100.0);
            log::info!(
                "upstream \"{name}\" counts with {percent:.0} % of its weight for new sessions: \
                 {failed:.0} % failures{comma}{time}",
                comma = if time.is_empty() { "" } else { ", " }
            );
        }
    }
}

/// Gives each of them its share from now on; what it was before, and what it is.
fn weigh(peers: &[&Steering], now_ms: u64) -> Vec<(f64, f64)> {
    let events: Vec<_> = peers.iter().map(|peer| peer.first_events.recent(now_ms)).collect();
    let times = relative(&events);
    let seen = peers.iter().zip(&times).map(|(peer, &time)| Seen { time, ends: peer.ends.counts(now_ms) });
    let targets = targets(&seen.collect::<Vec<_>>());
    let weighed = peers.iter().zip(times).zip(targets).map(|((peer, time), target)| {
        peer.relative_time.store(time.unwrap_or_default().to_bits(), Ordering::Relaxed);
        let before = peer.share();
        let after = peer.choice.lock().unwrap_or_else(PoisonError::into_inner).look(target, now_ms);
        peer.share.store(after.to_bits(), Ordering::Relaxed);
        (before, after)
    });
    weighed.collect()
}

/// The upstreams that share new sessions with each other: of one priority, and in one group, or in several by way of others.
pub(crate) fn peers(groups: &[&[usize]], priority: impl Fn(usize) -> u32) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    for group in groups {
        for &at in *group {
            let mut own: Vec<usize> = group.iter().copied().filter(|&other| priority(other) == priority(at)).collect();
            all.retain(|known| {
                let is_met = known.iter().any(|member| own.contains(member));
                if is_met {
                    own.extend(known);
                }
                !is_met
            });
            own.sort_unstable();
            own.dedup();
            all.push(own);
        }
    }
    all
}

#[cfg(test)]
#[path = "steering_tests.rs"]
mod tests;
