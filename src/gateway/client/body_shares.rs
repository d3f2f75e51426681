//! Who may hold how much of the memory for request bodies, pure: shares by client, and who makes room for whom.
//!
//! As long as there is room, anybody gets it. When there is none, a client that holds no more than its share (a
//! quarter) gets it from bodies that are still coming in: first from those that come in too slowly, then from those of
//! clients that hold more than their share. A client beyond its share displaces nothing but its own slow bodies.
//!
//! A body that is whole is never given up. So that whole ones do not take all there is, a client of more than a few
//! bodies gets room only if a third of what it then holds stays free for others: one alone ends at three quarters, four
//! at 3/13 each, and a next one always finds something. (Switches share their buffers among ports in this way:
//! Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.)

use crate::upstream::sessions::{Client, Owner};
use gateway_core::addresses::client_group;
use slab::Slab;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A share of the memory is one part of so many.
const SHARES: usize = 4;
/// A client leaves this part of what it holds free for others.
const LEFT_FREE: usize = 3;
/// One that holds no more than this part of the memory need not.
const FEW: usize = 64;
/// Bodies are watched for so long before they count as slow.
pub(crate) const WINDOW_MS: u64 = 3_000;
/// After somebody had to be turned away, clients beyond their share get nothing for so long: the time after which a
/// client that was told so tries again, and some more.
const SHORT_MS: u64 = 2_000;

/// Who a body is charged to: the client's address, and its key if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owners {
    address: Option<IpAddr>,
    key: Option<u64>,
}

impl Owners {
    /// The client at this address, with this key.
    pub(crate) fn new(address: Option<IpAddr>, client: Client) -> Self {
        Self { address: address.map(client_group), key: Some(client.key).filter(|&key| key > 0) }
    }

    fn each(self) -> impl Iterator<Item = Owner> {
        std::iter::once(Owner::Address(self.address)).chain(self.key.map(Owner::Key))
    }

    fn is_one_of(self, other: Self) -> bool {
        self.address == other.address || self.key.is_some() && self.key == other.key
    }
}

/// Bounds on all bodies together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all of them.
    pub total_bytes: usize,
    /// Bytes of one, which must always be possible.
    pub body_bytes: usize,
    /// Bytes a second from which on a body does not count as slow.
    pub min_rate: u64,
}

impl Bounds {
    /// What a client that holds so much must leave free.
    fn left_free(self, held_bytes: usize) -> usize {
        match held_bytes <= self.total_bytes / FEW {
            true => 0,
            false => (held_bytes / LEFT_FREE).min(self.total_bytes.saturating_sub(self.body_bytes)),
        }
    }
}

/// Why a body that was coming in had to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// It came in too slowly.
    Slow,
    /// Its client held more than its share.
    Share,
}

const COMING: u8 = 0;
const WHOLE: u8 = 1;
const EVICTED_SLOW: u8 = 2;
const EVICTED_SHARE: u8 = 3;

/// How a body comes in. Its reader tells, whoever needs room asks.
#[derive(Debug)]
pub(crate) struct Progress {
    state: AtomicU8,
    bytes: AtomicUsize,
    last_ms: AtomicU64,
    /// The beginning of the present window, and what was there then.
    since_ms: AtomicU64,
    since_bytes: AtomicUsize,
    /// Bytes a second in the window before.
    rate: AtomicU64,
    /// Wakes the reader when its body has to go.
    pub wake: Notify,
}

impl Progress {
    /// A body that begins to come in.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            state: AtomicU8::new(COMING),
            bytes: AtomicUsize::new(0),
            last_ms: AtomicU64::new(now_ms),
            since_ms: AtomicU64::new(now_ms),
            since_bytes: AtomicUsize::new(0),
            rate: AtomicU64::new(u64::MAX),
            wake: Notify::new(),
        }
    }

    /// So many bytes of it are there by now. Only its reader tells.
    pub(crate) fn came(&self, bytes: usize, now_ms: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.last_ms.store(now_ms, Ordering::Relaxed);
        if let Some(rate) = self.rate_of_window(now_ms) {
            self.rate.store(rate, Ordering::Relaxed);
            self.since_bytes.store(bytes, Ordering::Relaxed);
            self.since_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Bytes a second in the present window, once it is over.
    fn rate_of_window(&self, now_ms: u64) -> Option<u64> {
        let time = now_ms.saturating_sub(self.since_ms.load(Ordering::Relaxed));
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_sub(self.since_bytes.load(Ordering::Relaxed));
        (time >= WINDOW_MS).then(|| (bytes as u64).saturating_mul(1_000) / time)
    }

    /// Bytes a second of late; as fast as can be for a body that has only begun.
    pub(crate) fn rate(&self, now_ms: u64) -> u64 {
        if now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed)) >= WINDOW_MS {
            return 0;
        }
        self.rate_of_window(now_ms).unwrap_or_else(|| self.rate.load(Ordering::Relaxed))
    }

    /// The body is whole: it stays. `false` if it had to go before.
    pub(crate) fn finish(&self) -> bool {
        self.state.compare_exchange(COMING, WHOLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Why it had to go, if it had.
    pub(crate) fn evicted(&self) -> Option<Evicted> {
        match self.state.load(Ordering::Acquire) {
            EVICTED_SLOW => Some(Evicted::Slow),
            EVICTED_SHARE => Some(Evicted::Share),
            _ => None,
        }
    }

    fn is_coming(&self) -> bool {
        self.state.load(Ordering::Acquire) == COMING
    }

    fn evict(&self, why: Evicted) -> bool {
        let state = if why == Evicted::Slow { EVICTED_SLOW } else { EVICTED_SHARE };
        let evicted = self.state.compare_exchange(COMING, state, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if evicted {
            self.wake.notify_one();
        }
        evicted
    }
}

#[derive(Debug)]
struct Body {
    owners: Owners,
    bytes: usize,
    /// `None` if it was whole at once.
    progress: Option<Arc<Progress>>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The bodies that are held.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    held_bytes: usize,
    by_owner: HashMap<Owner, usize>,
    bodies: Slab<Body>,
    /// Until when clients beyond their share get nothing.
    short_until_ms: u64,
}

impl Shares {
    /// Bytes of all bodies.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// A body of no bytes yet; its number.
    pub(crate) fn enter(&mut self, owners: Owners, progress: Option<Arc<Progress>>) -> usize {
        self.bodies.insert(Body { owners, bytes: 0, progress })
    }

    /// The body is gone.
    pub(crate) fn leave(&mut self, number: usize) {
        self.take_back(number);
        self.bodies.remove(number);
    }

    /// Makes the body as large as this, whoever has to make room for it: those are returned, and hold nothing any more.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn grow(
        &mut self,
        number: usize,
        bytes: usize,
        bounds: Bounds,
        now_ms: u64,
    ) -> Result<Vec<Evicted>, NoRoom> {
        let body = &self.bodies[number];
        let owners = body.owners;
        let more = bytes.saturating_sub(body.bytes);
        let is_within = !self.is_over(owners, more, bounds);
        if !is_within && now_ms < self.short_until_ms {
            return Err(NoRoom);
        }
        let left_free = bounds.left_free(self.most_of(owners) + more);
        let missing = (self.held_bytes + more + left_free).saturating_sub(bounds.total_bytes);
        let evicted = match missing {
            0 => Vec::new(),
            _ => match self.make_room(number, missing, is_within, bounds, now_ms) {
                Some(evicted) => evicted,
                None => {
                    if is_within {
                        self.short_until_ms = now_ms + SHORT_MS;
                    }
                    return Err(NoRoom);
                }
            },
        };
        self.charge(number, more);
        Ok(evicted)
    }

    /// Adds to a body what has to be held in any case.
    pub(crate) fn charge(&mut self, number: usize, more: usize) {
        if more == 0 {
            return;
        }
        self.held_bytes += more;
        let body = &mut self.bodies[number];
        body.bytes += more;
        for owner in body.owners.each() {
            *self.by_owner.entry(owner).or_default() += more;
        }
    }

    /// Takes back all that a body holds.
    fn take_back(&mut self, number: usize) {
        let body = &mut self.bodies[number];
        let bytes = std::mem::take(&mut body.bytes);
        self.held_bytes -= bytes;
        for owner in body.owners.each() {
            if let Some(held) = self.by_owner.get_mut(&owner) {
                *held -= bytes;
                if *held == 0 {
                    self.by_owner.remove(&owner);
                }
            }
        }
    }

    /// Whether one of these holds more than its share, with so much more.
    fn is_over(&self, owners: Owners, more: usize, bounds: Bounds) -> bool {
        self.most_of(owners) + more > bounds.total_bytes / SHARES
    }

    /// What the one of these holds that holds most.
    fn most_of(&self, owners: Owners) -> usize {
        owners.each().filter_map(|owner| self.by_owner.get(&owner)).max().copied().unwrap_or(0)
    }

    /// Gives up bodies until there are so many bytes more, or none if that cannot be.
    fn make_room(
        &mut self,
        asking: usize,
        missing: usize,
        is_within: bool,
        bounds: Bounds,
        now_ms: u64,
    ) -> Option<Vec<Evicted>> {
        let owners = self.bodies[asking].owners;
        let mut candidates = Vec::new();
        for (number, body) in &self.bodies {
            let Some(progress) = body.progress.as_ref().filter(|progress| progress.is_coming()) else { continue };
            if number == asking || body.bytes == 0 {
                continue;
            }
            let rate = progress.rate(now_ms);
            if rate < bounds.min_rate && (is_within || owners.is_one_of(body.owners)) {
                candidates.push((Evicted::Slow, rate, number));
            } else if is_within && self.is_over(body.owners, 0, bounds) {
                candidates.push((Evicted::Share, rate, number));
            }
        }
        candidates.sort_unstable_by_key(|&(why, rate, number)| (why == Evicted::Share, rate, number));
        let mut freed_bytes = 0;
        let mut freed_of: HashMap<Owner, usize> = HashMap::new();
        candidates.retain(|&(why, _, number)| {
            let body = &self.bodies[number];
            // Nobody loses what lies within its share, unless it comes in too slowly.
            let is_still_over = |owner: Owner| {
                let held = self.by_owner.get(&owner).copied().unwrap_or(0);
                held - freed_of.get(&owner).copied().unwrap_or(0) > bounds.total_bytes / SHARES
            };
            if freed_bytes >= missing || why == Evicted::Share && !body.owners.each().any(is_still_over) {
                return false;
            }
            freed_bytes += body.bytes;
            for owner in body.owners.each() {
                *freed_of.entry(owner).or_default() += body.bytes;
            }
            true
        });
        if freed_bytes < missing {
            return None;
        }
        let mut evicted = Vec::with_capacity(candidates.len());
        let mut missing = missing;
        for (why, _, number) in candidates {
            // It may have become whole in this very moment.
            if self.bodies[number].progress.as_ref().is_some_and(|progress| progress.evict(why)) {
                missing = missing.saturating_sub(self.bodies[number].bytes);
                self.take_back(number);
                evicted.push(why);
            }
        }
        (missing == 0).then_some(evicted)
    }
}

#[cfg(test)]
#[path = "body_shares_tests.rs"]
mod tests;
