//! A circuit breaker: what an upstream's last requests say about the next one. Atomics only; nobody waits here.

use super::clock::millis;
use super::window::{Counts, Window};
use crate::config::health::HealthSettings;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Pauses differ by up to this share, so that not all gateways come back at the same moment.
const JITTER: f64 = 0.2;
/// A trial of which nothing came for this long no longer keeps others from trying.
const LONGEST_TRIAL_MS: u64 = 60_000;
/// Longest pause that an upstream can ask for in `Retry-After`.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Whether an upstream takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Closed,
    /// Its pause is over: one request at a time tries whether it is back.
    HalfOpen,
    /// It failed too often, or asked for a pause: not before this many milliseconds.
    Open(u64),
}

impl State {
    /// How long no request goes there, in milliseconds.
    pub fn pause_ms(self) -> u64 {
        match self {
            Self::Open(pause) => pause,
            Self::Closed | Self::HalfOpen => 0,
        }
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open(_) => "open",
        }
    }
}

/// The circuit of one upstream.
#[derive(Debug)]
pub struct Circuit {
    settings: HealthSettings,
    /// Model calls.
    window: Window,
    streak: Streak,
    /// When its pause ends; 0 while it is closed.
    open_until_ms: AtomicU64,
    /// When it opened last. What began before that is old news.
    opened_at_ms: AtomicU64,
    /// When the pause ends that the upstream itself asked for.
    held_until_ms: AtomicU64,
    /// How many pauses there were since it worked last.
    openings: AtomicU32,
    /// Until when nobody else may try a half-open circuit; 0 if anybody may.
    tried_until_ms: AtomicU64,
}

/// What failed since a model call went well.
#[derive(Debug, Default)]
struct Streak {
    /// How many requests failed.
    failures: AtomicU32,
    /// How many were refused, for what may be their own fault.
    refusals: AtomicU32,
    /// The session of the first of both; 0 for none.
    session: AtomicU64,
    /// Whether there was another session.
    has_several: AtomicBool,
    /// Whether anything else failed than connections.
    has_answers: AtomicBool,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A model call was not answered as it should.
    Answer,
    /// There was no connection, for a model call or for something else.
    Connection {
        /// Whether it was a model call.
        is_call: bool,
    },
    /// A model call was refused, and it is not known whose fault that was.
    Refusal,
}

/// A request that tries whether an upstream is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial(u64);

impl Circuit {
    /// A closed circuit.
    pub fn new(settings: HealthSettings) -> Self {
        Self {
            window: Window::new(settings.window),
            settings,
            streak: Streak::default(),
            opened_at_ms: AtomicU64::new(0),
            open_until_ms: AtomicU64::new(0),
            held_until_ms: AtomicU64::new(0),
            openings: AtomicU32::new(0),
            tried_until_ms: AtomicU64::new(0),
        }
    }

    /// Its state now.
    pub fn state(&self, now_ms: u64) -> State {
        let open_until = self.open_until_ms.load(Ordering::Acquire);
        let until = open_until.max(self.held_until_ms.load(Ordering::Acquire));
        if until > now_ms {
            State::Open(until - now_ms)
        } else if open_until > 0 {
            State::HalfOpen
        } else {
            State::Closed
        }
    }

    /// Whether it opened, and nothing has gone well since; a pause that the upstream asked for is none of that.
    pub fn is_tripped(&self) -> bool {
        self.open_until_ms.load(Ordering::Acquire) > 0
    }

    /// Whether a request may go now: a closed circuit, or a half-open one that nobody is trying.
    pub fn is_ready(&self, now_ms: u64) -> bool {
        match self.state(now_ms) {
            State::Closed => true,
            State::HalfOpen => self.tried_until_ms.load(Ordering::Acquire) <= now_ms,
            State::Open(_) => false,
        }
    }

    /// Takes the one trial of a half-open circuit; `None` if another request has it.
    pub fn take_trial(&self, now_ms: u64) -> Option<Trial> {
        let until = now_ms + LONGEST_TRIAL_MS;
        let taken = self
            .tried_until_ms
            .try_update(Ordering::AcqRel, Ordering::Acquire, |before| (before <= now_ms).then_some(until));
        taken.is_ok().then_some(Trial(until))
    }

    /// The answer to a trial has begun. Until it is over, which may take long, there is a further trial after each
    /// `health.open`.
    pub fn trial_answers(&self, trial: Trial, now_ms: u64) -> Trial {
        let until = now_ms + millis(self.settings.open);
        self.change_trial(trial, until);
        Trial(until)
    }

    /// A trial is over; if it led to nothing, the next one may begin.
    pub fn end_trial(&self, trial: Trial) {
        self.change_trial(trial, 0);
    }

    /// Of a trial after which no other one began.
    fn change_trial(&self, Trial(until): Trial, to: u64) {
        // Else it is another's time by now.
        let _ = self.tried_until_ms.compare_exchange(until, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// A model call that began at `began_ms` went well, to its end. Returns whether that closed the circuit.
    pub fn succeeded(&self, began_ms: u64, now_ms: u64) -> bool {
        if self.is_old(began_ms) {
            return false;
        }
        self.window.add(false, now_ms);
        self.streak.end();
        self.close_if_half_open(now_ms)
    }

    /// A request that began at `began_ms` was answered, which says nothing about model calls: only that there was a
    /// connection. Returns whether that closed the circuit.
    pub fn reached(&self, began_ms: u64, now_ms: u64) -> bool {
        if self.is_old(began_ms) || self.streak.has_answers.load(Ordering::Relaxed) {
            return false;
        }
        self.streak.end();
        self.close_if_half_open(now_ms)
    }

    /// An answer to a request that was under way when it opened is no proof, nor is its failure a new one.
    fn is_old(&self, began_ms: u64) -> bool {
        began_ms < self.opened_at_ms.load(Ordering::Acquire)
    }

    fn close_if_half_open(&self, now_ms: u64) -> bool {
        // While it is open, the pause has to pass.
        if self.open_until_ms.load(Ordering::Acquire) == 0 || self.state(now_ms) != State::HalfOpen {
            return false;
        }
        self.close();
        true
    }

    /// Takes requests again, as if nothing had been.
    pub fn close(&self) {
        self.window.clear();
        self.streak.end();
        self.openings.store(0, Ordering::Relaxed);
        self.tried_until_ms.store(0, Ordering::Release);
        self.open_until_ms.store(0, Ordering::Release);
    }

    /// A request of this session failed that began at `began_ms`. Returns the pause if that opened the circuit.
    pub fn failed(&self, failure: Failure, session: u64, began_ms: u64, now_ms: u64) -> Option<Duration> {
        if self.is_old(began_ms) {
            return None;
        }
        if matches!(failure, Failure::Answer | Failure::Connection { is_call: true }) {
            self.window.add(true, now_ms);
        }
        self.streak.add(failure, session);
        let open_until = self.open_until_ms.load(Ordering::Acquire);
        let counts = failure != Failure::Refusal || self.streak.has_several.load(Ordering::Relaxed);
        let is_due = match self.state(now_ms) {
            State::Open(_) => false,
            State::HalfOpen => counts,
            State::Closed => {
                counts && (self.failures_in_a_row() >= self.settings.failures || self.fails_too_often(now_ms))
            }
        };
        if !is_due {
            return None;
        }
        let pause = self.pause(self.openings.load(Ordering::Relaxed));
        // Only one of several that fail at the same moment opens it.
        let opened = self.open_until_ms.compare_exchange(
            open_until,
            now_ms + millis(pause),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        opened.ok()?;
        self.opened_at_ms.store(now_ms, Ordering::Release);
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.tried_until_ms.store(0, Ordering::Release);
        Some(pause)
    }

    fn fails_too_often(&self, now_ms: u64) -> bool {
        let counts = self.window.counts(now_ms);
        let all = u64::from(counts.good) + u64::from(counts.bad);
        all >= u64::from(self.settings.min_requests)
            && u64::from(counts.bad) * 100 >= all * u64::from(self.settings.error_rate_percent)
    }

    fn pause(&self, openings: u32) -> Duration {
        let doubled = self.settings.open.saturating_mul(2_u32.saturating_pow(openings.min(20)));
        let spread = 1.0 - JITTER + 2.0 * JITTER * fastrand::f64();
        doubled.min(self.settings.open_max).mul_f64(spread)
    }

    /// The upstream asked to be left alone for this long.
    pub fn hold(&self, pause: Duration, now_ms: u64) {
        self.rest(pause.min(LONGEST_RETRY_AFTER), now_ms);
    }

    /// The same for a pause that the operator wants, however long.
    pub fn rest(&self, pause: Duration, now_ms: u64) {
        self.held_until_ms.fetch_max(now_ms + millis(pause), Ordering::AcqRel);
    }

    /// How many requests failed since a model call went well.
    pub fn failures_in_a_row(&self) -> u32 {
        self.streak.length()
    }

    /// What happened in the window.
    pub fn counts(&self, now_ms: u64) -> Counts {
        self.window.counts(now_ms)
    }
}

impl Streak {
    fn add(&self, failure: Failure, session: u64) {
        let session = session.max(1);
        let first = self.session.compare_exchange(0, session, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_err_and(|first| first != session) {
            self.has_several.store(true, Ordering::Relaxed);
        }
        if !matches!(failure, Failure::Connection { .. }) {
            self.has_answers.store(true, Ordering::Relaxed);
        }
        let count = if failure == Failure::Refusal { &self.refusals } else { &self.failures };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many failures count: refusals only once a second session has failed too.
    fn length(&self) -> u32 {
        let refusals = match self.has_several.load(Ordering::Relaxed) {
            true => self.refusals.load(Ordering::Relaxed),
            false => 0,
        };
        self.failures.load(Ordering::Relaxed).saturating_add(refusals)
    }

    /// Something went well. Almost always nothing had failed, and then nothing is written.
    fn end(&self) {
        if self.session.load(Ordering::Relaxed) == 0 {
            return;
        }
        for count in [&self.failures, &self.refusals] {
            count.store(0, Ordering::Relaxed);
        }
        for flag in [&self.has_several, &self.has_answers] {
            flag.store(false, Ordering::Relaxed);
        }
        self.session.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;
