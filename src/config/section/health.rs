//! When an upstream counts as down, and how it is asked whether it is well.

use super::resilience::{DAY, MILLISECOND, SECOND, Statuses};
use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use http::Method;
use std::time::Duration;

settings! {
    FAILURES: u32 = Setting::one(
        "gateway.health.failures",
        "5",
        |text| value::number(text, 1..=1_000_000),
        "Failures in a row after which an upstream counts as down.",
        "连续失败多少次后视为不可用。",
    );
    ERROR_RATE: u32 = Setting::one(
        "gateway.health.error_rate",
        "50%",
        |text| value::percentage(text, 1..=100),
        "Share of failures from which on an upstream counts as down.",
        "失败比例达到多少后视为不可用。",
    );
    WINDOW: Duration = Setting::one(
        "gateway.health.window",
        "30s",
        window,
        "The time that error_rate looks back: whole seconds, at most 10m.",
        "error_rate 统计的时间窗口：整秒，最长 10 分钟。",
    );
    MIN_REQUESTS: u32 = Setting::one(
        "gateway.health.min_requests",
        "20",
        |text| value::number(text, 1..=1_000_000),
        "Requests within the window before error_rate counts.",
        "窗口内至少有多少个请求，error_rate 才生效。",
    );
    OPEN: Duration = Setting::one(
        "gateway.health.open",
        "5s",
        |text| value::duration_within(text, MILLISECOND..=DAY),
        "How long an upstream that is down gets no requests, at first.",
        "不可用的上游最初暂停多久。",
    );
    OPEN_MAX: Duration = Setting::one(
        "gateway.health.open_max",
        "5m",
        |text| value::duration_within(text, MILLISECOND..=DAY),
        "The longest of these pauses; each is twice as long as the last.",
        "最长的暂停时间；每次暂停为上次的两倍。",
    );
    PROBE_PATH: Option<String> = Setting::one(
        "gateway.health.probe.path",
        "",
        probe_path,
        "Path to ask each upstream for now and then, behind the prefix of its base_url; not set or off: none is \
         asked.",
        "对各上游做健康检查时请求的路径，接在 base_url 的前缀之后；未设置或 off 则不检查。",
    );
    PROBE_METHOD: Method = Setting::choice(
        "gateway.health.probe.method",
        "GET",
        &[("GET", Method::GET), ("HEAD", Method::HEAD), ("OPTIONS", Method::OPTIONS), ("POST", Method::POST)],
        "Method of these requests: GET, HEAD, OPTIONS or POST.",
        "健康检查的请求方法：GET、HEAD、OPTIONS 或 POST。",
    )
    .in_capitals();
    PROBE_INTERVAL: Duration = Setting::one(
        "gateway.health.probe.interval",
        "30s",
        |text| value::duration_within(text, SECOND..=DAY),
        "Time between two of them, at least 1s.",
        "两次健康检查的间隔，至少 1 秒。",
    );
    PROBE_TIMEOUT: Duration = Setting::one(
        "gateway.health.probe.timeout",
        "10s",
        |text| value::duration_within(text, MILLISECOND..=DAY),
        "Time for their answer.",
        "等待健康检查的响应的时限。",
    );
    PROBE_STATUS: Statuses = Setting::list(
        "gateway.health.probe.status",
        "200-499",
        probe_status,
        "Statuses of an upstream that is well, and ranges of them.",
        "健康检查中视为健康的状态码，可写范围。",
    );
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
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let (open, open_max) = read_pauses(reader);
        Self {
            failures: reader.get(&FAILURES),
            error_rate_percent: reader.get(&ERROR_RATE),
            window: reader.get(&WINDOW),
            min_requests: reader.get(&MIN_REQUESTS),
            open,
            open_max,
            probe: ProbeSettings::read(reader),
        }
    }
}

/// The first pause and the longest.
fn read_pauses(reader: &mut Reader<'_>) -> (Duration, Duration) {
    let before = reader.problems.len();
    let (open, open_max) = (reader.get(&OPEN), reader.get(&OPEN_MAX));
    if open > open_max && reader.problems.len() == before {
        let set = reader.source_of(&OPEN_MAX).or_else(|| reader.source_of(&OPEN));
        let what = Message::LessThan { other: OPEN.about.key.to_owned() };
        reader.problem(set.unwrap_or(Source::Default), OPEN_MAX.about.key, what);
    }
    (open, open_max)
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
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            path: reader.get_if_set(&PROBE_PATH).flatten(),
            method: reader.get(&PROBE_METHOD),
            interval: reader.get(&PROBE_INTERVAL),
            timeout: reader.get(&PROBE_TIMEOUT),
            status: reader.get(&PROBE_STATUS),
        }
    }
}

fn probe_status(text: &str) -> Result<Statuses, Message> {
    match Statuses::parse(text, 100..=599)? {
        nothing if nothing == Statuses::default() => Err(Message::ProbeNothing),
        statuses => Ok(statuses),
    }
}

/// A path with perhaps a query, or `off`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn probe_path(text: &str) -> Result<Option<String>, Message> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    match is_target(text) {
        true => Ok(Some(text.to_owned())),
        false => Err(Message::NotAProbePath { text: text.to_owned() }),
    }
}

/// Whether this is a path, with or without a query, as a request has it.
pub(super) fn is_target(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#');
    text.starts_with('/') && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

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
