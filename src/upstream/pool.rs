//! Which upstream gets a request: by priority, then the one that its session belongs to, if it is healthy.

use super::Upstream;
use super::clock::millis;
use super::keys::Standing;
use super::rendezvous::score;
use super::sessions::{AffinityTable, Client};
use std::sync::Arc;

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, now.
    Ready(usize),
    /// All that are healthy are full: this one, when a place is free.
    Full(usize),
    /// None is healthy: this one is the least bad.
    LeastBad(usize),
}

/// Chooses among the members of `group`, places in `upstreams`, leaving out those in `tried`. `None` if none is left.
pub fn choose(
    upstreams: &[Arc<Upstream>],
    group: &[usize],
    tried: &[usize],
    client: Client,
    memory: &AffinityTable,
    now_ms: u64,
) -> Option<Choice> {
    let number = client.number().unwrap_or_else(|| fastrand::u64(..));
    let place = memory.place_of(client);
    let (mut ready, mut low, mut full, mut least_bad) = (Best::default(), Best::default(), Best::default(), None);
    for &at in group.iter().filter(|at| !tried.contains(at)) {
        let upstream = &upstreams[at];
        let must_wait = memory.must_wait(client, upstream.seed);
        if must_wait || !upstream.is_usable(now_ms) {
            // One that can serve it at all; one in service; the one that failed least since it worked last, or of those
            // that only say when they can, any; of equals, the one whose pause ends first.
            let circuit = &upstream.circuit;
            let keys_back = upstream.keys.all_out(now_ms).map(|back| back.map_or(u64::MAX, millis));
            let pause = circuit.state(now_ms).pause_ms().max(keys_back.unwrap_or_default());
            let failures = if keys_back.is_some() { 0 } else { circuit.failures_in_a_row() };
            let badness = (keys_back.is_some(), upstream.is_drained(), failures, pause);
            if least_bad.is_none_or(|(least, _)| badness < least) {
                least_bad = Some((badness, at));
            }
            continue;
        }
        let standing = upstream.keys.standing(now_ms);
        let has_room = upstream.slots.has_room() && standing != Standing::Full;
        if has_room && place.is_some_and(|place| place.seed == upstream.seed) {
            return Some(Choice::Ready(at));
        }
        let best = match standing {
            _ if !has_room => &mut full,
            Standing::Low => &mut low,
            _ => &mut ready,
        };
        best.offer(at, upstream.config.priority, || score(number, upstream.seed, upstream.weight()));
    }
    let ready = ready.at.map(Choice::Ready);
    let low = low.at.map(Choice::Ready);
    ready.or(low).or(full.at.map(Choice::Full)).or(least_bad.map(|(_, at)| Choice::LeastBad(at)))
}

/// The upstream that the client's session was served at last, as far as that is remembered.
pub(crate) fn place(
    upstreams: &[Arc<Upstream>],
    group: &[usize],
    client: Client,
    memory: &AffinityTable,
) -> Option<usize> {
    let place = memory.place_of(client)?;
    group.iter().copied().find(|&at| upstreams[at].seed == place.seed)
}

/// The upstream that the client's session belongs to while all are healthy, if it is a new one.
pub fn home(upstreams: &[Arc<Upstream>], group: &[usize], client: Client) -> Option<usize> {
    let number = client.number()?;
    let mut best = Best::default();
    for &at in group {
        let upstream = &upstreams[at];
        best.offer(at, upstream.config.priority, || score(number, upstream.seed, upstream.weight()));
    }
    best.at
}

/// The best one so far: of the lowest priority, the highest score.
#[derive(Default)]
struct Best {
    at: Option<usize>,
    priority: u32,
    score: f64,
}

impl Best {
    fn offer(&mut self, at: usize, priority: u32, score: impl Fn() -> f64) {
        if self.at.is_some() && priority > self.priority {
            return;
        }
        let score = score();
        if self.at.is_none() || priority < self.priority || score > self.score {
            (self.at, self.priority, self.score) = (Some(at), priority, score);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
