//! What is counted of the ledger, for Prometheus. No label names a token: there may be ten thousand of them.

use gateway_core::reason::Reason;
use gateway_core::team::measure::Amounts;
use pingora_prometheus::prometheus::core::{Collector, Desc};
use pingora_prometheus::prometheus::proto::MetricFamily;
use pingora_prometheus::prometheus::{
    Error, Gauge, Histogram, IntCounter, Registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why requests are refused for their limits.
const REFUSALS: [Reason; 8] = [
    Reason::LimitUnpriced,
    Reason::LimitRate,
    Reason::LimitPlaces,
    Reason::LimitSessions,
    Reason::LimitHeld,
    Reason::LimitUsed,
    Reason::LimitTotal,
    Reason::LimitLedger,
];
/// Buckets for the time that a request waits for the ledger, which ends after 250 ms.
const WAITS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5];
/// Buckets for what a request used of what was taken for it.
const SHARES: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0, 10.0];
/// The keeper has nothing to keep, and so nothing gets old.
const IDLE: u64 = u64::MAX;

/// How it is known what a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its response told all of it.
    Told,
    /// Its response told a part, or nobody here reads what it tells.
    Estimated,
}

/// All counts.
#[derive(Debug)]
pub(crate) struct Counts {
    admitted: IntCounter,
    refused: [IntCounter; REFUSALS.len()],
    wait: Histogram,
    ticks: [IntCounter; 2],
    settled: [IntCounter; 3],
    used_of_taken: Histogram,
    heard: Arc<Heard>,
}

/// When the keeper and the ledger's file last agreed.
#[derive(Debug)]
struct Heard {
    began: Instant,
    /// In milliseconds since it began.
    at: AtomicU64,
}

impl Heard {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(IDLE - 1)
    }

    fn age(&self) -> Duration {
        match self.at.load(Ordering::Relaxed) {
            IDLE => Duration::ZERO,
            at => Duration::from_millis(self.now().saturating_sub(at)),
        }
    }
}

/// A gauge of that, which also grows while the keeper hangs.
struct Age(Gauge, Arc<Heard>);

impl Collector for Age {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.0.set(self.1.age().as_secs_f64());
        self.0.collect()
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Age")
    }
}

impl Counts {
    /// Counts that this registry shows.
    ///
    /// # Errors
    /// When one of the names is taken, that is, on a second call with it.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            register_histogram_with_registry!(name, help, buckets.to_vec(), registry)
        };
        let by_result =
            |name: &str, help: &str| register_int_counter_vec_with_registry!(name, help, &["result"], registry);
        let admissions = by_result(
            "gateway_admissions_total",
            "Requests of client tokens with limits that count: admitted, or refused, by reason (docs/team.md).",
        )?;
        let settlements = by_result(
            "gateway_settlements_total",
            "Admitted requests that are over, by how it is known what they used: told by the response, estimated in part or \
             whole, or nothing (they failed before they used anything).",
        )?;
        let ticks = by_result(
            "gateway_ledger_ticks_total",
            "Transactions with the ledger's file: good, or bad (it could not be written).",
        )?;
        let heard = Arc::new(Heard { began: Instant::now(), at: AtomicU64::new(IDLE) });
        let age = Gauge::new(
            "gateway_ledger_age_seconds",
            "Since the ledger's file last said what is left of limits; 0 while no limit is in use.",
        )?;
        registry.register(Box::new(Age(age, Arc::clone(&heard))))?;
        Ok(Self {
            admitted: admissions.with_label_values(&["admitted"]),
            refused: REFUSALS.map(|reason| admissions.with_label_values(&[reason.code()])),
            wait: histogram(
                "gateway_ledger_wait_seconds",
                "How long requests waited for the ledger that found nothing of a limit in this process.",
                &WAITS,
            )?,
            ticks: ["good", "bad"].map(|result| ticks.with_label_values(&[result])),
            settled: ["told", "estimated", "nothing"].map(|result| settlements.with_label_values(&[result])),
            used_of_taken: histogram(
                "gateway_estimate_ratio",
                "What requests used, as a part of what was taken for them before: above 1 the estimate was too low.",
                &SHARES,
            )?,
            heard,
        })
    }

    /// A request is admitted.
    pub(crate) fn admitted(&self) {
        self.admitted.inc();
    }

    /// A request is refused for this.
    pub(crate) fn refused(&self, reason: Reason) {
        let of_reason = REFUSALS.iter().zip(&self.refused).find(|(known, _)| **known == reason);
        of_reason.into_iter().for_each(|(_, count)| count.inc());
    }

    /// A request has waited for the ledger since then.
    pub(super) fn waited(&self, since: Instant) {
        self.wait.observe(since.elapsed().as_secs_f64());
    }

    /// An admitted request is over, and nothing is known to have been used.
    pub(super) fn used_nothing(&self) {
        self.settled[2].inc();
    }

    /// An admitted request is over: what was taken for it, and what it used.
    pub(super) fn settled(&self, taken: &Amounts, used: &Amounts, known: Known) {
        self.settled[known as usize].inc();
        // In money where there are prices. What is a guess itself tells nothing of guesses.
        let (taken, used) = if taken.usd > 0 { (taken.usd, used.usd) } else { (taken.tokens, used.tokens) };
        if known == Known::Told && taken > 0 {
            self.used_of_taken.observe(used as f64 / taken as f64);
        }
    }

    /// A transaction with the file has ended.
    pub(super) fn ticked(&self, is_good: bool) {
        self.ticks[usize::from(!is_good)].inc();
    }

    /// Transactions that have failed.
    #[cfg(test)]
    pub(super) fn bad_ticks(&self) -> u64 {
        self.ticks[1].get()
    }

    /// What the keeper knows is what the file says.
    pub(super) fn heard(&self) {
        self.heard.at.store(self.heard.now(), Ordering::Relaxed);
    }

    /// The keeper has nothing to keep until it is told something.
    pub(super) fn rests(&self) {
        self.heard.at.store(IDLE, Ordering::Relaxed);
    }

    /// It was told something: from here on the file is to say something.
    pub(super) fn wakes(&self) {
        if self.heard.at.load(Ordering::Relaxed) == IDLE {
            self.heard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_prometheus::prometheus::TextEncoder;

    fn shown(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).expect("a text")
    }

    #[test]
    fn all_is_shown_before_anything_happened_and_counted_by_what_did() {
        let registry = Registry::new();
        let counts = Counts::register(&registry).expect("registered");
        let before = shown(&registry);
        for reason in REFUSALS {
            let line = format!("gateway_admissions_total{{result=\"{}\"}} 0", reason.code());
            assert!(before.contains(&line), "{line}: {before}");
        }
        counts.refused(Reason::LimitUsed);
        counts.refused(Reason::TokenUnknown);
        counts.ticked(false);
        let (taken, used) =
            (Amounts { usd: 200, tokens: 9, requests: 1 }, Amounts { usd: 100, tokens: 90, requests: 1 });
        counts.settled(&taken, &used, Known::Told);
        counts.settled(&taken, &used, Known::Estimated);
        counts.used_nothing();
        let after = shown(&registry);
        for line in [
            "gateway_admissions_total{result=\"limit_used\"} 1",
            "gateway_admissions_total{result=\"limit_rate\"} 0",
            "gateway_ledger_ticks_total{result=\"bad\"} 1",
            "gateway_settlements_total{result=\"told\"} 1",
            "gateway_settlements_total{result=\"estimated\"} 1",
            "gateway_settlements_total{result=\"nothing\"} 1",
            "gateway_estimate_ratio_sum 0.5",
            "gateway_estimate_ratio_count 1",
        ] {
            assert!(after.contains(&format!("{line}\n")), "{line}: {after}");
        }
    }

    #[test]
    fn the_ledger_gets_old_only_while_there_is_something_to_keep() {
        let counts = Counts::register(&Registry::new()).expect("registered");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(counts.heard.age(), Duration::ZERO);
        counts.wakes();
        let first = counts.heard.at.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        counts.wakes();
        assert_eq!(counts.heard.at.load(Ordering::Relaxed), first, "it is awake");
        assert!(counts.heard.age() >= Duration::from_millis(20));
        counts.heard();
        assert!(counts.heard.age() < Duration::from_secs(5));
        counts.rests();
        assert_eq!(counts.heard.age(), Duration::ZERO);
    }
}
