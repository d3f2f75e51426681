//! The keys of an upstream, and which one a request goes out with: its session's, as long as that is used; of a new
//! session, by weight.

use super::clock::{self, millis};
use super::key_balance::Reading;
use super::key_state::{KeyState, Pause, State, Why};
use super::rendezvous::score;
use super::sessions::{Owner, hash};
use super::slots::{NoPlace, Place, Slots};
use crate::config::api_keys::ApiKey;
use crate::config::resilience::Queue;
use futures::future::select_ok;
use gateway_core::balance::{Level, Unread};
use gateway_core::language::Language;
use std::sync::Arc;
use std::time::Duration;

/// The names of all states that a key can be in.
pub(crate) const STATES: [&str; 5] = ["ready", "low", "resting", "disabled", "off"];

/// One key of an upstream.
#[derive(Debug)]
pub struct Key {
    /// What the operator wrote.
    pub config: ApiKey,
    /// What it is called: its name, or else its fingerprint.
    pub label: Arc<str>,
    /// What tells it apart without showing it.
    pub fingerprint: String,
    /// Stands for it in hashes.
    pub seed: u64,
    /// What is known of it.
    pub state: Arc<KeyState>,
    /// Its upstream, for messages.
    upstream: Arc<str>,
    slots: Arc<Slots>,
}

impl Key {
    /// No request goes out with it for a while; `began_ms` is when the request began that shows why, or now.
    pub fn rest(&self, pause: Pause, why: Why, began_ms: u64) {
        let told = told(&why);
        if let Some(pause) = self.state.rest(pause, why, began_ms, clock::now_ms()) {
            let pause = humantime::format_duration(Duration::from_millis(millis(pause)));
            log::warn!("upstream \"{}\": its key {} rests for {pause}: {told}", self.upstream, self.label);
        }
    }

    /// No request goes out with it until a test of it succeeds, or somebody wakes or changes it.
    pub fn disable(&self, why: Why) {
        let told = told(&why);
        if self.state.disable(why, clock::now_ms()) {
            log::warn!("upstream \"{}\": its key {} is not used any more: {told}", self.upstream, self.label);
        }
    }

    /// It is used again.
    pub fn wake(&self) {
        if self.state.wake(clock::now_ms()) {
            log::info!("upstream \"{}\": its key {} is used again", self.upstream, self.label);
        }
    }

    /// Takes in what was found of its balance: new sessions go elsewhere, or all requests, or it is used as before.
    pub fn learn_balance(&self, reading: Reading) {
        let (upstream, label) = (&self.upstream, &self.label);
        let was_known = self.state.balance.readings().fault.is_none();
        let fault = reading.found.as_ref().err().filter(|_| was_known).map(Unread::words);
        if let Some(fault) = fault {
            log::warn!("upstream \"{upstream}\": the balance of its key {label} is not known: {fault}");
        }
        match self.state.learn_balance(reading, clock::now_ms()) {
            Some((Level::UsedUp, true)) => log::warn!(
                "upstream \"{upstream}\": the balance of its key {label} is used up: no request goes out with it"
            ),
            Some((Level::Low, true)) => {
                log::warn!("upstream \"{upstream}\": the balance of its key {label} is low: new sessions go elsewhere")
            }
            Some((Level::Enough, true)) => {
                log::info!("upstream \"{upstream}\": the balance of its key {label} is enough again");
            }
            Some((_, false)) | None => {}
        }
    }

    /// Requests that go out with it now.
    pub fn in_flight(&self) -> u32 {
        self.slots.counts().0
    }

    /// The name of its state: `off` for one that is switched off.
    pub fn state_name(&self, now_ms: u64) -> &'static str {
        match self.state.state(now_ms) {
            _ if !self.config.is_enabled => "off",
            State::Ready => "ready",
            State::Low => "low",
            State::Resting(_) => "resting",
            State::Disabled => "disabled",
        }
    }

    /// Whether requests may go out with it now.
    pub fn is_usable(&self, now_ms: u64) -> bool {
        self.config.is_enabled && matches!(self.state.state(now_ms), State::Ready | State::Low)
    }
}

fn told(why: &Why) -> String {
    match why.detail.text(Language::English) {
        "" => why.reason.code().to_owned(),
        detail => format!("{} ({detail})", why.reason.code()),
    }
}

/// What the keys of an upstream are good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is one for a new session; or there are none at all, and requests keep that of the client.
    Ready,
    /// There are only some that are near their end.
    Low,
    /// All that are used have as many requests as they may have.
    Full,
    /// None is used.
    Out,
}

/// The key that a request would have.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'r> {
    /// Stands for its session; any number if that is not known.
    pub session: u64,
    /// Stands for the key that its session has.
    pub key: Option<u64>,
    /// Places of the keys that it tried in vain.
    pub tried: &'r [usize],
}

/// A request's place at a key, free again when it is dropped.
#[derive(Debug)]
pub(super) struct KeyPlace {
    /// The key's own place among those of its upstream.
    pub at: usize,
    _place: Place,
}

/// The keys of one upstream.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Those that the operator wrote. What is known of those of `former` that are the same stays known.
    pub(super) fn new(upstream: &Arc<str>, configs: &[ApiKey], queue: &Queue, former: Option<(&Self, &Queue)>) -> Self {
        let keys = configs.iter().map(|config| {
            let before = former
                .and_then(|(former, queue)| former.0.iter().find(|key| key.config.key == config.key).zip(Some(queue)));
            let state = |key: &Key| match key.config.is_enabled == config.is_enabled {
                true => Arc::clone(&key.state),
                // Whoever switches it off and on again wants it tried anew.
                false => Arc::new(KeyState::counted(&key.state.counts)),
            };
            let same_room =
                before.filter(|(key, before)| key.config.max_in_flight == config.max_in_flight && *before == queue);
            let slots = || Arc::new(Slots::new(config.max_in_flight, queue.length, queue.timeout));
            Key {
                label: Arc::from(config.label()),
                fingerprint: config.fingerprint().to_string(),
                seed: hash(config.key.expose().as_bytes()),
                state: before.map_or_else(Arc::default, |(key, _)| state(key)),
                slots: same_room.map_or_else(slots, |(key, _)| Arc::clone(&key.slots)),
                upstream: Arc::clone(upstream),
                config: config.clone(),
            }
        });
        Self(keys.collect())
    }

    /// All of them, in the operator's order.
    pub fn all(&self) -> &[Key] {
        &self.0
    }

    /// The one in this place.
    pub fn get(&self, at: usize) -> Option<&Key> {
        self.0.get(at)
    }

    /// The one with this name, or this fingerprint.
    pub fn find(&self, name: &str) -> Option<&Key> {
        self.get(self.place(name)?)
    }

    /// The place of that one.
    pub fn place(&self, name: &str) -> Option<usize> {
        let named = self.0.iter().position(|key| &*key.label == name);
        named.or_else(|| self.0.iter().position(|key| key.fingerprint == name))
    }

    /// The one that something beside the clients' requests goes out with: the first that is used.
    pub fn first(&self, now_ms: u64) -> Option<&Key> {
        let used = self.0.iter().find(|key| key.is_usable(now_ms));
        used.or_else(|| self.0.iter().find(|key| key.config.is_enabled))
    }

    /// What they are good for now.
    pub fn standing(&self, now_ms: u64) -> Standing {
        if self.0.is_empty() {
            return Standing::Ready;
        }
        let mut standing = Standing::Out;
        for key in self.0.iter().filter(|key| key.config.is_enabled) {
            match key.state.state(now_ms) {
                State::Ready if key.slots.has_room() => return Standing::Ready,
                State::Low if key.slots.has_room() => standing = Standing::Low,
                State::Ready | State::Low if standing == Standing::Out => standing = Standing::Full,
                _ => {}
            }
        }
        standing
    }

    /// If none is used: how long until the first one is; `None` within if none will be by itself.
    pub fn all_out(&self, now_ms: u64) -> Option<Option<Duration>> {
        let mut first: Option<u64> = None;
        for key in self.0.iter().filter(|key| key.config.is_enabled) {
            match key.state.state(now_ms) {
                State::Ready | State::Low => return None,
                State::Resting(left) => first = Some(first.map_or(left, |first| first.min(left))),
                State::Disabled => {}
            }
        }
        (!self.0.is_empty()).then(|| first.map(Duration::from_millis))
    }

    /// The place of the key for a request, of those with room: its session's; else the best one by weight, of those that are
    /// not near their end if there are any.
    pub fn choose(&self, wish: &Wish<'_>, now_ms: u64) -> Option<usize> {
        let mut best: Option<(bool, f64, usize)> = None;
        for (at, key) in self.0.iter().enumerate() {
            if wish.tried.contains(&at) || !key.is_usable(now_ms) || !key.slots.has_room() {
                continue;
            }
            if wish.key == Some(key.seed) {
                return Some(at);
            }
            let rank =
                (key.state.state(now_ms) == State::Ready, score(wish.session, key.seed, key.config.weight.into()));
            if best.is_none_or(|(is_ready, score, _)| rank > (is_ready, score)) {
                best = Some((rank.0, rank.1, at));
            }
        }
        best.map(|(.., at)| at)
    }

    /// A place at one for a request, if there is one now; `None` within if there are no keys.
    ///
    /// # Errors
    /// When none is used that has room.
    pub(super) fn take(&self, wish: &Wish<'_>, now_ms: u64) -> Result<Option<KeyPlace>, NoPlace> {
        if self.0.is_empty() {
            return Ok(None);
        }
        // Another request may be faster at the last place of each of them.
        for _ in 0..self.0.len() {
            let Some(at) = self.choose(wish, now_ms) else { break };
            if let Some(place) = self.0[at].slots.take() {
                return Ok(Some(KeyPlace { at, _place: place }));
            }
        }
        Err(NoPlace::Late)
    }

    /// A place at this key, as soon as it is this sender's turn.
    async fn wait(&self, at: usize, sender: Owner) -> Result<KeyPlace, NoPlace> {
        Ok(KeyPlace { at, _place: self.0[at].slots.wait(sender).await? })
    }

    /// A place at one, as soon as it is this sender's turn at any.
    ///
    /// # Errors
    /// When none is used, or there is no place in time.
    pub(super) async fn take_in_turn(&self, wish: &Wish<'_>, sender: Owner) -> Result<Option<KeyPlace>, NoPlace> {
        // Each that is taken out of use while somebody waits for it is waited for once.
        for _ in 0..=self.0.len() {
            let now = clock::now_ms();
            if let Ok(place) = self.take(wish, now) {
                return Ok(place);
            }
            let used = (0..self.0.len()).filter(|at| !wish.tried.contains(at) && self.0[*at].is_usable(now));
            let waits: Vec<_> = used.map(|at| Box::pin(self.wait(at, sender))).collect();
            if waits.is_empty() {
                break;
            }
            let (place, _) = select_ok(waits).await?;
            if self.0[place.at].is_usable(clock::now_ms()) {
                return Ok(Some(place));
            }
        }
        Err(NoPlace::NoKey)
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
