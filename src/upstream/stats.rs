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
}

impl Stats {
    /// The steps of connecting, by name.
    pub fn steps(&self) -> [(&'static str, StepCounts); 3] {
        [("dns", self.dns.counts()), ("tcp", self.tcp.counts()), ("proxy", self.proxy.counts())]
    }
}
