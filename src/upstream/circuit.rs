//! A circuit breaker: what an upstream's last requests say about the next one. Atomics only; nobody waits here.

use super::clock::millis;
use super::window::{Counts, Window};
use crate::config::health::HealthSettings;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Pauses differ by up to this share, so that not all gateways come back at the same moment.
const JITTER: f64 = 0.2;
/// A trial that said nothing for this long no longer keeps others from trying.
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
    window: Window,
    consecutive: AtomicU32,
    /// When its pause ends; 0 while it is closed.
    open_until_ms: AtomicU64,
    /// When the pause ends that the upstream itself asked for.
    held_until_ms: AtomicU64,
    /// How many pauses there were since it worked last.
    openings: AtomicU32,
    /// When the trial of a half-open circuit began; 0 for none.
    trial_ms: AtomicU64,
}

impl Circuit {
    /// A closed circuit.
    pub fn new(settings: HealthSettings) -> Self {
        Self {
            window: Window::new(settings.window),
            settings,
            consecutive: AtomicU32::new(0),
            open_until_ms: AtomicU64::new(0),
            held_until_ms: AtomicU64::new(0),
            openings: AtomicU32::new(0),
            trial_ms: AtomicU64::new(0),
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

    /// Whether a request may go now: a closed circuit, or a half-open one that nobody is trying.
    pub fn is_ready(&self, now_ms: u64) -> bool {
        match self.state(now_ms) {
            State::Closed => true,
            State::HalfOpen => self.trial_ms.load(Ordering::Acquire) + LONGEST_TRIAL_MS < now_ms || !self.is_tried(),
            State::Open(_) => false,
        }
    }

    fn is_tried(&self) -> bool {
        self.trial_ms.load(Ordering::Acquire) > 0
    }

    /// Takes the one trial of a half-open circuit; `false` if another request has it.
    pub fn take_trial(&self, now_ms: u64) -> bool {
        let taken = self.trial_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, |began| {
            (began == 0 || began + LONGEST_TRIAL_MS < now_ms).then_some(now_ms)
        });
        taken.is_ok()
    }

    /// Gives a trial back that led to nothing.
    pub fn end_trial(&self) {
        self.trial_ms.store(0, Ordering::Release);
    }

    /// A request went well. Returns whether that closed the circuit.
    pub fn succeeded(&self, now_ms: u64) -> bool {
        self.window.add(false, now_ms);
        if self.consecutive.load(Ordering::Relaxed) > 0 {
            self.consecutive.store(0, Ordering::Relaxed);
        }
        // An answer to a request that was under way when it opened is no proof: the pause has to pass.
        if self.open_until_ms.load(Ordering::Acquire) == 0 || self.state(now_ms) != State::HalfOpen {
            return false;
        }
        self.close();
        true
    }

    /// Takes requests again, as if nothing had been.
    pub fn close(&self) {
        self.window.clear();
        self.openings.store(0, Ordering::Relaxed);
        self.end_trial();
        self.open_until_ms.store(0, Ordering::Release);
    }

    /// A request failed. Returns the pause if that opened the circuit.
    pub fn failed(&self, now_ms: u64) -> Option<Duration> {
        self.window.add(true, now_ms);
        let in_a_row = self.consecutive.fetch_add(1, Ordering::Relaxed) + 1;
        let open_until = self.open_until_ms.load(Ordering::Acquire);
        let is_due = match self.state(now_ms) {
            State::Open(_) => false,
            State::HalfOpen => true,
            State::Closed => in_a_row >= self.settings.failures || self.fails_too_often(now_ms),
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
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.end_trial();
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
        let until = now_ms + millis(pause.min(LONGEST_RETRY_AFTER));
        self.held_until_ms.fetch_max(until, Ordering::AcqRel);
    }

    /// How many requests failed since one went well.
    pub fn failures_in_a_row(&self) -> u32 {
        self.consecutive.load(Ordering::Relaxed)
    }

    /// What happened in the window.
    pub fn counts(&self, now_ms: u64) -> Counts {
        self.window.counts(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::health::ProbeSettings;

    fn circuit() -> Circuit {
        Circuit::new(HealthSettings {
            failures: 3,
            error_rate_percent: 50,
            window: Duration::from_secs(10),
            min_requests: 10,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(4),
            probe: ProbeSettings {
                path: None,
                method: http::Method::GET,
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
                status: Default::default(),
            },
        })
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_trial_closes_it() {
        let circuit = circuit();
        assert_eq!((circuit.failed(1), circuit.failed(2)), (None, None));
        circuit.succeeded(3);
        assert_eq!((circuit.failed(4), circuit.failed(5)), (None, None), "a success in between counts");
        let pause = circuit.failed(6).expect("the third in a row opens it");
        assert!((800..=1200).contains(&millis(pause)), "{pause:?}");
        assert!(!circuit.is_ready(7) && matches!(circuit.state(7), State::Open(_)));
        assert_eq!(circuit.failed(8), None, "it is open already");
        assert!(!circuit.succeeded(9), "a late answer does not close it");

        let later = 7 + millis(pause);
        assert_eq!(circuit.state(later), State::HalfOpen);
        assert!(circuit.is_ready(later) && circuit.take_trial(later));
        assert!(!circuit.is_ready(later) && !circuit.take_trial(later), "one trial at a time");
        assert!(circuit.succeeded(later));
        assert_eq!(circuit.state(later), State::Closed);
    }

    #[test]
    fn pauses_grow_to_their_limit() {
        let circuit = circuit();
        let mut now = 1;
        (0..2).for_each(|_| assert_eq!(circuit.failed(now), None));
        for expected in [1000, 2000, 4000, 4000] {
            let pause = millis(circuit.failed(now).expect("it opens"));
            assert!((expected * 8 / 10..=expected * 12 / 10).contains(&pause), "{pause} is not about {expected}");
            now += pause + 1;
            assert!(circuit.take_trial(now));
        }
        circuit.end_trial();
        assert!(circuit.is_ready(now), "a trial that came to nothing leaves room for the next");
        circuit.close();
        assert_eq!(circuit.state(now), State::Closed);
    }

    #[test]
    fn a_high_share_of_failures_opens_it_too() {
        let circuit = circuit();
        for at in 0..6 {
            circuit.succeeded(at);
            assert_eq!(circuit.failed(at).is_some(), at == 4, "{at}: the tenth request, half of them failed");
        }
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept() {
        let circuit = circuit();
        circuit.hold(Duration::from_secs(30), 100);
        assert_eq!(circuit.state(100), State::Open(30_000));
        assert_eq!(circuit.state(30_100), State::Closed);
        circuit.hold(Duration::from_secs(99_999), 100);
        assert_eq!(circuit.state(100), State::Open(millis(LONGEST_RETRY_AFTER)), "but not for ever");
    }
}
