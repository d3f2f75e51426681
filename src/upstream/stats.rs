//! What was counted and timed of one upstream, where metrics and the panel read it.

use arc_swap::ArcSwapOption;
use gateway_core::record::fault::UpstreamFault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How often one step of connecting was taken, and how long that took.
#[derive(Debug, Default)]
pub struct Step {
    good: AtomicU64,
    bad: AtomicU64,
    micros: AtomicU64,
}

/// The numbers of a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StepCounts {
    /// How often it went well.
    pub good: u64,
    /// How often it failed.
    pub bad: u64,
    /// All times together, in microseconds.
    pub micros: u64,
}

impl Step {
    /// Notes one.
    pub fn took(&self, time: Duration, is_good: bool) {
        if is_good { &self.good } else { &self.bad }.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The numbers so far.
    pub fn counts(&self) -> StepCounts {
        StepCounts {
            good: self.good.load(Ordering::Relaxed),
            bad: self.bad.load(Ordering::Relaxed),
            micros: self.micros.load(Ordering::Relaxed),
        }
    }
}

/// A failure as the panel shows it.
#[derive(Debug)]
pub struct LastFailure {
    /// When it was.
    pub at: SystemTime,
    /// What happened.
    pub fault: UpstreamFault,
}

/// What became of the last test message.
#[derive(Clone, Debug)]
pub struct LastTest {
    /// When that was.
    pub at: SystemTime,
    /// Whether `upstreams[].test` asked for it, not somebody.
    pub is_scheduled: bool,
    /// The key that it went out with: its name, or else its fingerprint.
    pub key: Option<String>,
    /// The model that was asked.
    pub model: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What it means: the id of a finding of the doctor's.
    pub finding: &'static str,
    /// Whether there was an answer.
    pub is_good: bool,
    /// From the beginning to the head of the answer.
    pub first_byte_ms: Option<f64>,
    /// All of it.
    pub total_ms: f64,
    /// In dollars.
    pub cost: Option<f64>,
}

/// All numbers of one upstream.
#[derive(Debug, Default)]
pub struct Stats {
    /// Names looked up: the upstream's, or its proxy's.
    pub dns: Arc<Step>,
    /// TCP connections.
    pub tcp: Step,
    /// Ways opened through the outbound proxy.
    pub proxy: Step,
    /// Requests sent to it that it answered well.
    pub good: AtomicU64,
    /// Requests sent to it that failed there.
    pub bad: AtomicU64,
    /// Requests that came here after another upstream had failed.
    pub taken_over: AtomicU64,
    /// The last failure.
    pub last_failure: ArcSwapOption<LastFailure>,
    /// The last test message.
    pub last_test: ArcSwapOption<LastTest>,
    /// Test messages that were answered.
    pub tests_good: AtomicU64,
    /// Test messages that were not.
    pub tests_bad: AtomicU64,
}

impl Stats {
    /// Notes a test message.
    pub fn tested(&self, test: LastTest) {
        if test.is_good { &self.tests_good } else { &self.tests_bad }.fetch_add(1, Ordering::Relaxed);
        self.last_test.store(Some(Arc::new(test)));
    }

    /// The steps of connecting, by name.
    pub fn steps(&self) -> [(&'static str, StepCounts); 3] {
        [("dns", self.dns.counts()), ("tcp", self.tcp.counts()), ("proxy", self.proxy.counts())]
    }
}
