//! What is known of one key of an upstream: whether it is used, rests, or is out. Atomics only; nobody waits here.

use super::clock::millis;
use super::key_balance::{KeyBalance, Reading};
use arc_swap::ArcSwapOption;
use gateway_core::balance::Level;
use gateway_core::language::Words;
use gateway_core::record::RequestRecord;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Longest pause that an upstream can ask for in `Retry-After`: what is used up for a day or longer is tried once a day.
pub(crate) const LONGEST_TOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a key is not used, or only by sessions that have it. The codes stay as they are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyReason {
    /// The upstream wants fewer requests with it (429).
    RateLimited,
    /// Its quota is used up, as an answer says.
    QuotaUsedUp,
    /// The upstream does not take it (401), or says that it is disabled.
    Refused,
    /// Its balance is near its end, or used up.
    Balance,
    /// A rule of `failover.errors`.
    Rule,
    /// Somebody in the panel.
    Operator,
}

impl KeyReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::RateLimited, Self::QuotaUsedUp, Self::Refused, Self::Balance, Self::Rule, Self::Operator];

    /// Its code in the API.
    pub fn code(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaUsedUp => "quota_used_up",
            Self::Refused => "refused",
            Self::Balance => "balance",
            Self::Rule => "rule",
            Self::Operator => "operator",
        }
    }
}

/// Why something is so, with what the upstream or a rule said of it: a text without secrets, perhaps empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The code.
    pub reason: KeyReason,
    /// What is known further.
    pub detail: Words,
}

impl Why {
    /// Nothing more is known.
    pub fn of(reason: KeyReason) -> Self {
        Self { reason, detail: Words::said("") }
    }
}

/// How long a key rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// As long as this.
    For(Duration),
    /// Longer each time, from the first to the second.
    Growing(Duration, Duration),
}

/// Since when, and why.
#[derive(Clone, Debug)]
pub struct Note {
    /// Why.
    pub why: Why,
    /// Since when.
    pub since: SystemTime,
}

/// Whether requests go out with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They do.
    Ready,
    /// Those of sessions that have it; new ones if no other key or upstream is better.
    Low,
    /// None for so many milliseconds.
    Resting(u64),
    /// None until a test succeeds, or somebody changes or wakes it.
    Disabled,
}

/// The state of a key, which outlives a reload.
#[derive(Debug, Default)]
pub struct KeyState {
    /// When its rest ends; 0 without one.
    resting_until_ms: AtomicU64,
    /// When it was taken out of use last. What began before that is old news.
    taken_out_at_ms: AtomicU64,
    is_disabled: AtomicBool,
    is_low: AtomicBool,
    /// How many rests there were since a request went well with it.
    rests: AtomicU32,
    /// Why it rests or is out.
    out: ArcSwapOption<Note>,
    /// Why it is low.
    low: ArcSwapOption<Note>,
    /// What is known of its balance.
    pub balance: KeyBalance,
    /// What was counted of it.
    pub counts: Arc<KeyCounts>,
}

/// What was counted of a key since the gateway was started.
#[derive(Debug, Default)]
pub struct KeyCounts {
    /// Requests that ended with it.
    pub requests: AtomicU64,
    /// Tokens of all kinds.
    pub tokens: AtomicU64,
    /// Billionths of a dollar.
    pub cost_nano: AtomicU64,
}

impl KeyCounts {
    /// Counts a request that ended with the key.
    pub fn add(&self, record: &RequestRecord) {
        let tokens = record.answer.as_ref().and_then(|answer| answer.tokens).unwrap_or_default();
        let tokens = [tokens.input, tokens.output, tokens.cache_write, tokens.cache_read].iter().sum();
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
        self.cost_nano.fetch_add(record.cost.unwrap_or_default(), Ordering::Relaxed);
    }
}

impl KeyState {
    /// One of which nothing is known but what was counted of the key before.
    pub(super) fn counted(counts: &Arc<KeyCounts>) -> Self {
        Self { counts: Arc::clone(counts), ..Self::default() }
    }

    /// Its state now.
    pub fn state(&self, now_ms: u64) -> State {
        let used_up = self.balance.out_until(now_ms).unwrap_or_default();
        let until = self.resting_until_ms.load(Ordering::Acquire).max(used_up);
        if self.is_disabled.load(Ordering::Acquire) {
            State::Disabled
        } else if until > now_ms {
            State::Resting(until - now_ms)
        } else if self.is_low.load(Ordering::Relaxed) {
            State::Low
        } else {
            State::Ready
        }
    }

    /// Why it is in the state that it is in now, and since when; `None` if it is ready.
    pub fn note(&self, now_ms: u64) -> Option<Arc<Note>> {
        match self.state(now_ms) {
            State::Ready => None,
            State::Low => self.low.load_full(),
            State::Resting(_) if self.resting_until_ms.load(Ordering::Acquire) <= now_ms => self.low.load_full(),
            State::Resting(_) | State::Disabled => self.out.load_full(),
        }
    }

    /// Requests go out without it for a while, the longer one of two. The end of a rest that another one began is not put
    /// off by answers to what was under way by then: `began_ms` is when the request began. One that is out has no rest.
    /// Returns the pause if it is new.
    pub fn rest(&self, pause: Pause, why: Why, began_ms: u64, now_ms: u64) -> Option<Duration> {
        if self.is_disabled.load(Ordering::Acquire) {
            return None;
        }
        let until = self.resting_until_ms.load(Ordering::Acquire);
        let is_old = began_ms < self.taken_out_at_ms.load(Ordering::Acquire);
        let pause = match pause {
            Pause::For(pause) => pause,
            Pause::Growing(..) if is_old || until > now_ms => return None,
            Pause::Growing(first, longest) => {
                first.saturating_mul(2_u32.saturating_pow(self.rests.load(Ordering::Relaxed).min(20))).min(longest)
            }
        };
        let end = now_ms.saturating_add(millis(pause).max(1));
        // Only one of several that find it at the same moment begins the rest.
        if end <= until
            || self.resting_until_ms.compare_exchange(until, end, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return None;
        }
        let begins = until <= now_ms;
        if begins {
            self.rests.fetch_add(1, Ordering::Relaxed);
        }
        self.taken_out_at_ms.store(now_ms, Ordering::Release);
        self.out.store(Some(Arc::new(Note { why, since: SystemTime::now() })));
        Some(pause)
    }

    /// Requests go out without it from now on. Whether that is new.
    pub fn disable(&self, why: Why, now_ms: u64) -> bool {
        if self.is_disabled.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.taken_out_at_ms.store(now_ms, Ordering::Release);
        self.out.store(Some(Arc::new(Note { why, since: SystemTime::now() })));
        true
    }

    /// It is used again, as if nothing had been. Whether it was not.
    pub fn wake(&self, now_ms: u64) -> bool {
        let was_out = matches!(self.state(now_ms), State::Resting(_) | State::Disabled);
        self.rests.store(0, Ordering::Relaxed);
        self.resting_until_ms.store(0, Ordering::Release);
        self.is_disabled.store(false, Ordering::Release);
        self.balance.forgive();
        self.out.store(None);
        was_out
    }

    /// Notes what was found of its balance: used up, no request goes out with it until the next reading; low, new sessions go
    /// elsewhere. What cannot be read changes nothing. How much it is, if that is known, and whether that is new.
    pub fn learn_balance(&self, reading: Reading, now_ms: u64) -> Option<(Level, bool)> {
        let before = self.balance_level(now_ms);
        let level = self.balance.learn(reading, now_ms)?;
        if level != before {
            self.set_low(None);
        }
        self.set_low((level != Level::Enough).then(|| Why::of(KeyReason::Balance)));
        Some((level, level != before))
    }

    /// How much its balance is, as far as it is known.
    fn balance_level(&self, now_ms: u64) -> Level {
        match self.is_low.load(Ordering::Relaxed) {
            _ if self.balance.out_until(now_ms).is_some() => Level::UsedUp,
            true => Level::Low,
            false => Level::Enough,
        }
    }

    /// Nobody asks for its balance any more.
    pub fn forget_balance(&self) {
        self.balance.forget();
        self.set_low(None);
    }

    /// New sessions go elsewhere as long as there is anything better, or they do not any more (`None`).
    fn set_low(&self, why: Option<Why>) {
        if self.is_low.swap(why.is_some(), Ordering::AcqRel) != why.is_some() {
            self.low.store(why.map(|why| Arc::new(Note { why, since: SystemTime::now() })));
        }
    }

    /// A request that began at `began_ms` went well with it: the next pause is a first one.
    pub fn succeeded(&self, began_ms: u64) {
        // Almost always there was none, and then nothing is written.
        if self.rests.load(Ordering::Relaxed) > 0 && began_ms >= self.taken_out_at_ms.load(Ordering::Acquire) {
            self.rests.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::balance::{Balance, Unread};

    const GROWING: Pause = Pause::Growing(Duration::from_secs(10), Duration::from_secs(60));

    fn limited() -> Why {
        Why::of(KeyReason::RateLimited)
    }

    #[test]
    fn pauses_grow_until_a_request_goes_well() {
        let key = KeyState::default();
        let mut now = 1_000;
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(key.rest(GROWING, limited(), now, now), Some(Duration::from_secs(seconds)));
            assert_eq!(key.rest(GROWING, limited(), now, now + 1), None, "one that was under way too");
            assert_eq!(key.state(now), State::Resting(seconds * 1_000));
            now += seconds * 1_000;
            assert_eq!(key.state(now), State::Ready);
        }
        key.succeeded(1_000);
        assert_eq!(key.rest(GROWING, limited(), 1_000, now), None, "an answer to what began before is old news");
        assert_eq!(key.rest(GROWING, limited(), now, now), Some(Duration::from_secs(60)));
        now += 60_000;
        key.succeeded(now);
        assert_eq!(key.rest(GROWING, limited(), now, now), Some(Duration::from_secs(10)));
    }

    #[test]
    fn the_longer_one_of_two_rests_counts() {
        let key = KeyState::default();
        let rest = |seconds| key.rest(Pause::For(Duration::from_secs(seconds)), limited(), 5, 5).is_some();
        assert!(rest(60) && !rest(30));
        assert_eq!(key.state(5), State::Resting(60_000));
        assert!(rest(90));
        assert_eq!(key.state(5), State::Resting(90_000));
    }

    #[test]
    fn what_is_out_stays_out_until_somebody_wakes_it() {
        let key = KeyState::default();
        assert!(key.disable(Why::of(KeyReason::Refused), 5) && !key.disable(limited(), 6));
        assert_eq!(key.state(u64::MAX), State::Disabled);
        assert_eq!(key.note(6).map(|note| note.why.reason), Some(KeyReason::Refused));
        assert!(key.wake(7) && !key.wake(8));
        assert_eq!((key.state(8), key.note(8).is_some()), (State::Ready, false));
    }

    #[test]
    fn what_a_key_is_out_for_is_not_forgotten_for_a_rest() {
        let key = KeyState::default();
        assert!(key.disable(Why::of(KeyReason::Refused), 5));
        // One that was under way is told to wait.
        assert_eq!(key.rest(Pause::For(Duration::from_secs(60)), limited(), 1, 6), None);
        let reason = key.note(6).map(|note| note.why.reason);
        assert_eq!((key.state(6), reason), (State::Disabled, Some(KeyReason::Refused)));
    }

    /// A reading; the next one comes at 60 s.
    fn reading(remaining: Option<f64>) -> Reading {
        let balance = |left| Balance { remaining: Some(left), used: None, unit: "USD".to_owned(), reset_at: None };
        let found = remaining.map(balance).ok_or(Unread::NotJson);
        Reading { found, rest_below: Some(1.0), next_ms: 60_000, wishes: 0 }
    }

    #[test]
    fn a_low_key_says_why_only_while_it_is_used() {
        let key = KeyState::default();
        assert_eq!(key.learn_balance(reading(Some(0.5)), 1), Some((Level::Low, true)));
        assert_eq!((key.state(1), key.note(1).map(|note| note.why.reason)), (State::Low, Some(KeyReason::Balance)));
        key.rest(Pause::For(Duration::from_secs(1)), limited(), 1, 1);
        assert_eq!(key.note(1).map(|note| note.why.reason), Some(KeyReason::RateLimited));
        assert_eq!(key.learn_balance(reading(Some(1.0)), 2), Some((Level::Enough, true)));
        assert_eq!(key.state(2_000), State::Ready);
    }

    #[test]
    fn what_is_used_up_rests_until_a_reading_says_otherwise() {
        let key = KeyState::default();
        let reason = |now| key.note(now).map(|note| note.why.reason);
        assert_eq!(key.learn_balance(reading(Some(0.0)), 5_000), Some((Level::UsedUp, true)));
        assert_eq!((key.state(5_000), reason(5_000)), (State::Resting(55_000), Some(KeyReason::Balance)));
        assert_eq!(key.state(90_000), State::Resting(1_000), "the next reading is late");
        assert_eq!(key.learn_balance(reading(None), 6_000), None);
        assert_eq!(key.state(6_000), State::Resting(54_000), "what cannot be read changes nothing");
        assert_eq!(key.balance.readings().fault, Some(Unread::NotJson));
        assert_eq!(key.learn_balance(reading(Some(0.0)), 6_000), Some((Level::UsedUp, false)));
        // A rest for another reason is told as that, and ends by itself.
        key.rest(Pause::For(Duration::from_secs(600)), limited(), 6_000, 6_000);
        assert_eq!((key.state(6_000), reason(6_000)), (State::Resting(600_000), Some(KeyReason::RateLimited)));
        assert_eq!(key.learn_balance(reading(Some(0.5)), 7_000), Some((Level::Low, true)));
        assert_eq!(key.state(7_000), State::Resting(599_000), "a reading wakes no key that rests for something else");
        assert_eq!((key.state(700_000), reason(700_000)), (State::Low, Some(KeyReason::Balance)));
        assert_eq!(key.learn_balance(reading(Some(5.0)), 700_000), Some((Level::Enough, true)));
        assert_eq!((key.state(700_000), reason(700_000)), (State::Ready, None));
        assert_eq!(key.balance.counts(), (4, 1));
    }

    #[test]
    fn a_used_up_key_is_back_when_somebody_wakes_it_or_nothing_is_heard_for_a_day() {
        let key = KeyState::default();
        key.learn_balance(reading(Some(-1.0)), 5_000);
        assert!(key.wake(6_000));
        assert_eq!(key.state(6_000), State::Low);
        key.learn_balance(reading(Some(-1.0)), 7_000);
        assert_eq!(key.state(7_000), State::Resting(53_000));
        let day = 24 * 60 * 60 * 1_000;
        assert!(matches!(key.state(6_999 + day), State::Resting(_)));
        assert_eq!(key.state(7_000 + day), State::Low);
        key.learn_balance(reading(Some(-1.0)), 7_000 + day);
        key.forget_balance();
        assert_eq!((key.state(7_000 + day), key.balance.is_due(0)), (State::Ready, true));
        // What was under way when nobody wanted it any more is old news.
        assert_eq!(key.learn_balance(reading(Some(-1.0)), 8_000 + day), None);
        assert_eq!((key.state(8_000 + day), key.balance.is_due(0)), (State::Ready, true));
    }
}
