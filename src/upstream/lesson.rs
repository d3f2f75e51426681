//! What an upstream learns of a request that is over there: its circuit, its numbers, its log lines.

use super::circuit::{Failure, State};
use super::stats::LastFailure;
use super::{Upstream, clock};
use gateway_core::record::fault::UpstreamFault;
use gateway_core::record::verdict::Verdict;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// The session that health checks count as.
const PROBES: u64 = u64::MAX;

/// A request that is over at an upstream, be it that another one takes it over.
#[derive(Debug)]
pub struct Over {
    /// What it says about the upstream.
    pub verdict: Verdict,
    /// What the upstream did, if it failed.
    pub fault: Option<UpstreamFault>,
    /// Whether it got an answer that came to its end.
    pub is_answered: bool,
    /// Whether it was a model call. Whatever else was asked says nothing about those but whether there is a connection.
    pub is_call: bool,
    /// Stands for its session.
    pub session: u64,
    /// When it got its place there.
    pub began_ms: u64,
}

impl Upstream {
    /// Learns from a request that is over here.
    pub fn learn(&self, over: &Over) {
        self.count(over);
        let now = clock::now_ms();
        if let (Some(steering), true, Verdict::Good | Verdict::Bad) = (&self.steering, over.is_call, over.verdict) {
            steering.ended(over.verdict == Verdict::Bad, now);
        }
        let is_unreachable = over.fault.as_ref().is_some_and(UpstreamFault::is_of_connection);
        let failure = match over.verdict {
            Verdict::Bad if is_unreachable => Failure::Connection { is_call: over.is_call },
            Verdict::Bad if over.is_call => Failure::Answer,
            Verdict::Refused if over.is_call => Failure::Refusal,
            Verdict::Good if over.is_call => {
                return self.is_back(self.circuit.succeeded(over.began_ms, now));
            }
            _ if over.is_answered => return self.is_back(self.circuit.reached(over.began_ms, now)),
            _ => return,
        };
        self.tell_if_open(self.circuit.failed(failure, over.session, over.began_ms, now));
    }

    fn count(&self, over: &Over) {
        match over.verdict {
            Verdict::Good => &self.stats.good,
            Verdict::Bad | Verdict::Refused => {
                self.note(over.fault.as_ref());
                &self.stats.bad
            }
            Verdict::Request | Verdict::Neutral => return,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how a health check went. A good one ends the pause of a circuit.
    pub fn probed(&self, fault: Option<UpstreamFault>) {
        let now = clock::now_ms();
        match fault {
            Some(fault) => {
                self.note(Some(&fault));
                self.tell_if_open(self.circuit.failed(Failure::Answer, PROBES, now, now));
            }
            None if self.circuit.state(now) == State::Closed => {}
            None => {
                self.circuit.close();
                log::info!("upstream \"{}\" works again: it passed a health check", self.config.name);
            }
        }
    }

    fn note(&self, fault: Option<&UpstreamFault>) {
        if let Some(fault) = fault {
            let failure = LastFailure { at: SystemTime::now(), fault: fault.clone() };
            self.stats.last_failure.store(Some(Arc::new(failure)));
        }
    }

    fn tell_if_open(&self, pause: Option<Duration>) {
        let Some(pause) = pause else { return };
        let pause = humantime::format_duration(Duration::from_millis(clock::millis(pause)));
        let last = self.stats.last_failure.load();
        let last = last.as_ref().map(|failure| format!(", last it {}", failure.fault)).unwrap_or_default();
        log::warn!("upstream \"{}\" is left alone for {pause}: it failed too often{last}", self.config.name);
    }

    fn is_back(&self, is_closed: bool) {
        if is_closed {
            log::info!("upstream \"{}\" works again", self.config.name);
        }
    }
}
