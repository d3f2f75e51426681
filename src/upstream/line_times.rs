//! What was measured of one line: the times of its last connections and probes, and how they failed. Atomics only.

use arc_swap::ArcSwapOption;
use gateway_core::record::fault::UpstreamFault;
use pingora::protocols::Digest;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many times of a step are kept: a median of them does not mind a few that are far off.
const KEPT: usize = 9;
/// How many probes must have been answered before a line is compared with others for the first time.
const ENOUGH: usize = 3;
/// How many failures in a row make a line one that is down. After one alone requests avoid it until it is probed.
const DOWN_AFTER: u32 = 2;
/// How much slower a line counts that fails all the time: a share of failures is worth as much of this.
const PRICE_OF_FAILURES: f64 = 4.0;

/// The last times of one step, in microseconds; 0 for none.
#[derive(Debug, Default)]
struct Recent {
    times: [AtomicU32; KEPT],
    noted: AtomicUsize,
}

impl Recent {
    fn note(&self, time: Duration) {
        let at = self.noted.fetch_add(1, Ordering::Relaxed) % KEPT;
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.times[at].store(micros.max(1), Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.noted.load(Ordering::Relaxed).min(KEPT)
    }

    fn median(&self) -> Option<Duration> {
        let mut times = self.times.each_ref().map(|time| time.load(Ordering::Relaxed));
        times.sort_unstable();
        let known = &times[times.iter().position(|&time| time > 0)?..];
        Some(Duration::from_micros(known[known.len() / 2].into()))
    }
}

/// What is known of one line.
#[derive(Debug, Default)]
pub struct LineTimes {
    connect: Recent,
    tls: Recent,
    probe: Recent,
    failures_in_a_row: AtomicU32,
    failures: AtomicU64,
    /// The last 64 connections and probes, the newest in the lowest bit: 1 for one that failed.
    ends: AtomicU64,
    /// When it came to be up or down, in milliseconds since 1970; 0 as long as nothing is known.
    since_ms: AtomicU64,
    /// Why it failed last; `None` if it did not since then.
    fault: ArcSwapOption<UpstreamFault>,
}

/// The times of a line that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Medians {
    /// To connect: name, TCP, outbound proxy.
    pub connect: Option<Duration>,
    /// For the TLS handshake.
    pub tls: Option<Duration>,
    /// From the request to the head of the response, of probes.
    pub probe: Option<Duration>,
}

/// How long it took to connect and to shake hands, of a new connection.
pub(crate) fn of_connection(digest: Option<&Digest>) -> (Option<Duration>, Option<Duration>) {
    let layers = digest.map(|digest| &digest.timing_digest[..]).unwrap_or_default();
    let time = |layer: usize| layers.get(layer)?.as_ref()?.establishment_duration;
    (time(0), time(1))
}

impl LineTimes {
    /// A connection was made, in these times.
    pub fn connected(&self, connect: Option<Duration>, tls: Option<Duration>) {
        if let Some(connect) = connect {
            self.connect.note(connect);
        }
        if let Some(tls) = tls {
            self.tls.note(tls);
        }
        self.ended(None);
    }

    /// A probe was answered after this time.
    pub fn probed(&self, time: Duration) {
        self.probe.note(time);
        self.ended(None);
    }

    /// A connection was not made, or a probe not answered.
    pub fn failed(&self, fault: UpstreamFault) {
        self.ended(Some(fault));
    }

    fn ended(&self, fault: Option<UpstreamFault>) {
        let is_bad = fault.is_some();
        self.ends.update(Ordering::Relaxed, Ordering::Relaxed, |ends| ends << 1 | u64::from(is_bad));
        let before = match is_bad {
            true => self.failures_in_a_row.fetch_add(1, Ordering::Relaxed),
            false => self.failures_in_a_row.swap(0, Ordering::Relaxed),
        };
        if is_bad {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.fault.store(fault.map(Arc::new));
        }
        // Most connections change nothing, and leave it at that.
        let has_changed = is_bad && before == 0 || !is_bad && before > 0;
        if has_changed || self.since_ms.load(Ordering::Relaxed) == 0 {
            if !is_bad {
                self.fault.store(None);
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Whether the last thing that happened was a failure: requests go elsewhere if they can.
    pub fn is_failing(&self) -> bool {
        self.failures_in_a_row.load(Ordering::Relaxed) > 0
    }

    /// Whether it is down, by more than one failure.
    pub fn is_down(&self) -> bool {
        self.failures_in_a_row.load(Ordering::Relaxed) >= DOWN_AFTER
    }

    /// Whether it is known what to think of it: it was probed often enough, or fails.
    pub fn is_known(&self) -> bool {
        self.is_down() || self.probe.count() >= ENOUGH
    }

    /// The time that it counts with when lines are compared; `None` if it was never measured.
    pub fn counted(&self) -> Option<Duration> {
        let Medians { connect, tls, probe } = self.medians();
        let time = connect.unwrap_or_default() + tls.unwrap_or_default() + probe?;
        let failed = f64::from(self.ends.load(Ordering::Relaxed).count_ones()) / f64::from(u64::BITS);
        Some(time.mul_f64(1.0 + PRICE_OF_FAILURES * failed))
    }

    /// The medians of its last times.
    pub fn medians(&self) -> Medians {
        Medians { connect: self.connect.median(), tls: self.tls.median(), probe: self.probe.median() }
    }

    /// How often it failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Since when it is up, or not, in milliseconds since 1970.
    pub fn since_ms(&self) -> Option<u64> {
        Some(self.since_ms.load(Ordering::Relaxed)).filter(|&since| since > 0)
    }

    /// Why it fails, if it does.
    pub fn fault(&self) -> Option<Arc<UpstreamFault>> {
        self.fault.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_few_times_that_are_far_off_do_not_count() {
        let line = LineTimes::default();
        assert_eq!((line.counted(), line.is_known(), line.since_ms()), (None, false, None));
        for time in [900, 20, 21, 800, 19, 20, 22] {
            line.connected(Some(time * MS), Some(2 * time * MS));
            line.probed(3 * time * MS);
        }
        let medians = Medians { connect: Some(21 * MS), tls: Some(42 * MS), probe: Some(63 * MS) };
        assert_eq!(line.medians(), medians);
        assert_eq!(line.counted(), Some(126 * MS));
        for _ in 0..5 {
            line.connected(Some(50 * MS), None);
        }
        assert_eq!(line.medians().connect, Some(50 * MS), "the last nine count");
    }

    #[test]
    fn one_failure_makes_a_line_one_to_avoid_and_two_one_that_is_down() {
        let line = LineTimes::default();
        line.probed(MS);
        assert_eq!((line.is_failing(), line.is_down(), line.is_known()), (false, false, false));
        line.failed(UpstreamFault::ConnectRefused);
        assert_eq!((line.is_failing(), line.is_down(), line.is_known()), (true, false, false));
        line.failed(UpstreamFault::ConnectRefused);
        assert_eq!((line.is_failing(), line.is_down(), line.is_known()), (true, true, true));
        assert_eq!(line.fault().as_deref(), Some(&UpstreamFault::ConnectRefused));
        line.connected(Some(MS), None);
        assert_eq!((line.is_failing(), line.is_down(), line.failures()), (false, false, 2));
        assert_eq!(line.fault(), None);
    }

    #[test]
    fn a_line_that_fails_now_and_then_counts_as_slower() {
        let (steady, shaky) = (LineTimes::default(), LineTimes::default());
        for turn in 0..64 {
            steady.probed(100 * MS);
            match turn % 8 {
                0 => shaky.failed(UpstreamFault::ConnectRefused),
                _ => shaky.probed(100 * MS),
            }
        }
        assert_eq!(steady.counted(), Some(100 * MS));
        assert_eq!(shaky.counted(), Some(150 * MS), "one of eight");
    }
}
