//! What is done when an upstream fails: other upstreams, pauses, probes, queues.

use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use http::Method;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most of any time here; a longer one is a slip.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A set of statuses, written as `500, 502, 520-524`, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// The statuses after which a request goes to another upstream.
pub type RetryOn = Statuses;

impl Statuses {
    /// Reads a comma list of statuses and ranges of them, all within `bounds`; `none` for an empty set.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, bounds: RangeInclusive<u16>) -> Result<Self, Message> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        let members = text.split(',').map(str::trim).map(|member| {
            let (first, last) = member.split_once('-').unwrap_or((member, member));
            let status = |text: &str| text.trim().parse().ok().filter(|status| bounds.contains(status));
            match (status(first), status(last)) {
                (Some(first), Some(last)) if first <= last => Ok(first..=last),
                _ => Err(Message::NotStatuses {
                    text: member.to_owned(),
                    least: u64::from(*bounds.start()),
                    most: u64::from(*bounds.end()),
                }),
            }
        });
        members.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// When and how often a request is tried again (`gateway.failover`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// Most attempts for one request, the first one included; 1 to 10.
    pub max_attempts: u32,
    /// The statuses after which the next upstream is tried.
    pub retry_on: RetryOn,
    /// Retries per hundred requests; 0 to 100.
    pub retry_budget_percent: u32,
    /// Retries per second that are allowed in any case.
    pub retry_budget_min_per_second: u32,
    /// How long the head of an answer waits for the first byte of its body, so that the upstream can still be
    /// replaced; zero for not at all.
    pub hold_head: Duration,
}

impl Failover {
    /// Reads it; `None` when something is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let max_attempts = reader.read("gateway.failover.max_attempts", |text| value::number(text, 1..=10));
        let retry_on = reader.read("gateway.failover.retry_on", |text| Statuses::parse(text, 400..=599));
        let budget = reader.read("gateway.failover.retry_budget", |text| value::percentage(text, 0..=100));
        let budget_min = reader.read("gateway.failover.retry_budget_min", |text| value::number(text, 0..=10_000));
        let hold_head = reader
            .read("gateway.failover.hold_head", |text| value::duration_within(text, Duration::ZERO..=10 * SECOND));
        Some(Self {
            max_attempts: max_attempts?,
            retry_on: retry_on?,
            retry_budget_percent: budget?,
            retry_budget_min_per_second: budget_min?,
            hold_head: hold_head?,
        })
    }
}

/// When an upstream counts as down, and how it comes back (`gateway.health`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// Failures in a row that open the circuit; from 1.
    pub failures: u32,
    /// Failures per hundred requests within `window` that open it; 1 to 100.
    pub error_rate_percent: u32,
    /// The time that the rate looks back; whole seconds, 1 s to 10 min.
    pub window: Duration,
    /// Requests within `window` before the rate counts; from 1.
    pub min_requests: u32,
    /// The first pause of an upstream that is down.
    pub open: Duration,
    /// The longest pause: each one is twice as long as the one before; at least `open`.
    pub open_max: Duration,
    /// How upstreams are asked whether they are well.
    pub probe: ProbeSettings,
}

impl HealthSettings {
    /// Reads it; `None` when something is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let failures = reader.read("gateway.health.failures", |text| value::number(text, 1..=1_000_000));
        let error_rate = reader.read("gateway.health.error_rate", |text| value::percentage(text, 1..=100));
        let window = reader.read("gateway.health.window", window);
        let min_requests = reader.read("gateway.health.min_requests", |text| value::number(text, 1..=1_000_000));
        let open = reader.read("gateway.health.open", |text| value::duration_within(text, MILLISECOND..=DAY));
        let open_max = reader.read("gateway.health.open_max", |text| value::duration_within(text, MILLISECOND..=DAY));
        if let (Some(open), Some(open_max)) = (open, open_max)
            && open > open_max
        {
            let set = reader.source_of("gateway.health.open_max").or_else(|| reader.source_of("gateway.health.open"));
            let what = Message::LessThan { other: "gateway.health.open".to_owned() };
            reader.problem(set.unwrap_or(Source::Default), "gateway.health.open_max", what);
        }
        let probe = ProbeSettings::read(reader);
        Some(Self {
            failures: failures?,
            error_rate_percent: error_rate?,
            window: window?,
            min_requests: min_requests?,
            open: open?,
            open_max: open_max?,
            probe: probe?,
        })
    }
}

fn window(text: &str) -> Result<Duration, Message> {
    let window = value::duration_within(text, SECOND..=600 * SECOND)?;
    match window.subsec_nanos() {
        0 => Ok(window),
        _ => Err(Message::NotWholeSeconds { text: text.to_owned() }),
    }
}

/// How upstreams are asked whether they are well (`gateway.health.probe`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Path and query for upstreams that say nothing else, behind the prefix of their `base_url`; `None`: they are not
    /// asked. What counts for an upstream is its own `probe`, which this is the default of.
    pub path: Option<String>,
    /// The method of the request, which has no body: GET, HEAD, OPTIONS or POST.
    pub method: Method,
    /// The time between two requests; 1 s to one day.
    pub interval: Duration,
    /// The time for the head of an answer to come in; up to one day.
    pub timeout: Duration,
    /// The statuses of an upstream that is well.
    pub status: Statuses,
}

impl ProbeSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.read("gateway.health.probe.path", probe_path);
        let method = reader.read("gateway.health.probe.method", |text| {
            let methods = [("GET", 0), ("HEAD", 1), ("OPTIONS", 2), ("POST", 3)];
            let chosen = value::choice(&text.to_ascii_uppercase(), &methods)?;
            Ok([Method::GET, Method::HEAD, Method::OPTIONS, Method::POST][chosen].clone())
        });
        let interval = reader.read("gateway.health.probe.interval", |text| value::duration_within(text, SECOND..=DAY));
        let timeout =
            reader.read("gateway.health.probe.timeout", |text| value::duration_within(text, MILLISECOND..=DAY));
        let status = reader.read("gateway.health.probe.status", |text| match Statuses::parse(text, 100..=599)? {
            nothing if nothing == Statuses::default() => Err(Message::ProbeNothing),
            statuses => Ok(statuses),
        });
        Some(Self { path: path.flatten(), method: method?, interval: interval?, timeout: timeout?, status: status? })
    }
}

/// A path with perhaps a query, or `off`.
///
/// # Errors
/// What is wrong with the text.
pub fn probe_path(text: &str) -> Result<Option<String>, Message> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let is_target = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#'));
    match text.starts_with('/') && is_target {
        true => Ok(Some(text.to_owned())),
        false => Err(Message::NotAProbePath { text: text.to_owned() }),
    }
}

/// Which sessions stay with the upstream that they moved to (`gateway.affinity`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Most sessions that are remembered at one time.
    pub sessions: usize,
    /// How long a session is remembered after its last request.
    pub idle: Duration,
}

impl Affinity {
    /// Reads it; `None` when something is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let sessions = reader.read("gateway.affinity.sessions", |text| value::number(text, 0..=10_000_000));
        let idle = reader.read("gateway.affinity.idle", |text| value::duration_within(text, SECOND..=30 * DAY));
        Some(Self { sessions: usize::try_from(sessions?).ok()?, idle: idle? })
    }
}

/// Requests that wait for a place at an upstream with `max_in_flight` (`gateway.limits.queue`, `.queue_timeout`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Most requests that wait at one upstream; 0: none waits.
    pub length: usize,
    /// How long one waits.
    pub timeout: Duration,
}

impl Queue {
    /// Reads it; `None` when something is wrong.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let length = reader.read("gateway.limits.queue", |text| value::number(text, 0..=1_000_000));
        let timeout =
            reader.read("gateway.limits.queue_timeout", |text| value::duration_within(text, MILLISECOND..=DAY));
        Some(Self { length: usize::try_from(length?).ok()?, timeout: timeout? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_single_ones_and_ranges() {
        let set = Statuses::parse("500,502 , 520-524, 429", 400..=599).expect("valid");
        for status in [429, 500, 502, 520, 522, 524] {
            assert!(set.contains(status), "{status}");
        }
        for status in [0, 400, 428, 501, 519, 525, u16::MAX] {
            assert!(!set.contains(status), "{status}");
        }
        let nothing = Statuses::parse("None", 400..=599).expect("valid");
        assert!((0..=u16::MAX).all(|status| !nothing.contains(status)));
        for bad in ["", "399", "600", "500-", "-500", "524-520", "500 502", "5xx", "500,", "500,none", "+500-6000"] {
            let error = Statuses::parse(bad, 400..=599).expect_err(bad).to_string();
            assert!(error.contains("from 400 to 599"), "{error}");
        }
    }

    #[test]
    fn a_probe_is_a_path_or_off() {
        assert_eq!(probe_path("off"), Ok(None));
        assert_eq!(probe_path("/v1/models?limit=1"), Ok(Some("/v1/models?limit=1".to_owned())));
        for bad in ["v1", "http://a/", "/a b", "/a#b", "/ü", "/a\r\nX: y", "on"] {
            assert!(probe_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_window_has_whole_seconds() {
        assert_eq!(window("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["0s", "999ms", "1500ms", "601s", "30"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }
}
