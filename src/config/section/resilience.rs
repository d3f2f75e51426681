//! What is done when an upstream fails: other upstreams, sessions that move, queues.

use crate::config::source::message::Message;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most of any time here; a longer one is a slip.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

settings! {
    MAX_ATTEMPTS: u32 = Setting::one(
        "gateway.failover.max_attempts",
        "3",
        |text| value::number(text, 1..=10),
        "Most attempts for one request, the first one included (at most 10).",
        "单个请求最多尝试几次，包括第一次（最多 10）。",
    );
    RETRY_ON: RetryOn = Setting::list(
        "gateway.failover.retry_on",
        "500, 502, 503, 504, 520-524, 529, 429",
        |text| Statuses::parse(text, 400..=599),
        "Statuses from 400 on after which the next upstream is tried, and ranges of them; or none.",
        "遇到哪些状态码（400 起）会改试下一个上游，可写范围；或 none。",
    );
    RETRY_BUDGET: u32 = Setting::one(
        "gateway.failover.retry_budget",
        "20%",
        |text| value::percentage(text, 0..=100),
        "Most retries, as a share of all requests.",
        "重试占全部请求的最大比例。",
    );
    RETRY_BUDGET_MIN: u32 = Setting::one(
        "gateway.failover.retry_budget_min",
        "10",
        |text| value::number(text, 0..=10_000),
        "Retries per second that are allowed in any case.",
        "每秒至少允许的重试次数。",
    );
    HOLD_HEAD: Duration = Setting::one(
        "gateway.failover.hold_head",
        "200ms",
        |text| value::duration_within(text, Duration::ZERO..=10 * SECOND),
        "How long the head of an answer that is no stream waits for its body, so that the upstream can still be replaced.",
        "非流式响应的响应头最多等正文多久才转发；在此期间仍可更换上游。",
    );
    HOLD_FIRST_EVENT: Duration = Setting::one(
        "gateway.failover.hold_first_event",
        "20s",
        |text| value::duration_within(text, Duration::ZERO..=240 * SECOND),
        "How long the head of a stream waits for the first event that says something, so that the upstream can still be replaced; 0: as hold_head.",
        "流的响应头最多等多久首个有内容的事件才转发；在此期间仍可更换上游；0 表示同 hold_head。",
    );
    BALANCE_BY: BalanceBy = Setting::choice(
        "gateway.failover.balance_by",
        "weight",
        &[("weight", BalanceBy::Weight), ("latency", BalanceBy::Latency)],
        "What new sessions are spread by within a priority: weight, or latency, by which slow and failing upstreams get \
         fewer.",
        "同一优先级内的新会话按什么分配：weight 按权重；latency 在权重之上，慢的、出错多的上游少分一些。",
    );
    AFFINITY_SESSIONS: usize = Setting::one(
        "gateway.affinity.sessions",
        "10000",
        |text| value::number(text, 0..=10_000_000),
        "Most sessions that are remembered to have moved to another upstream.",
        "最多记住多少个已换到其他上游的会话。",
    );
    AFFINITY_IDLE: Duration = Setting::one(
        "gateway.affinity.idle",
        "1h",
        |text| value::duration_within(text, SECOND..=30 * DAY),
        "How long one is remembered after its last request.",
        "会话在最后一次请求之后保留多久。",
    );
    QUEUE: usize = Setting::one(
        "gateway.limits.queue",
        "100",
        |text| value::number(text, 0..=1_000_000),
        "Most requests that wait for a place at one upstream with max_in_flight; 0: none waits.",
        "设置了 max_in_flight 的单个上游最多排队的请求数；0 表示不排队。",
    );
    QUEUE_TIMEOUT: Duration = Setting::one(
        "gateway.limits.queue_timeout",
        "10s",
        |text| value::duration_within(text, MILLISECOND..=DAY),
        "How long a request waits for such a place.",
        "请求排队等待的最长时间。",
    );
}

/// A set of statuses, written as `500, 502, 520-524`, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// The statuses after which a request goes to another upstream.
pub(crate) type RetryOn = Statuses;

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

    /// The ranges.
    pub fn into_ranges(self) -> Vec<RangeInclusive<u16>> {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// What new sessions are spread by within a priority (`gateway.failover.balance_by`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceBy {
    /// The operator's weights.
    Weight,
    /// These, and what was seen of each upstream in the last minutes.
    Latency,
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
    /// How long the head of an answer that is no stream waits for its body, so that the upstream can still be replaced;
    /// zero for not at all.
    pub hold_head: Duration,
    /// How long the head of a stream waits for the first event that says something; zero: as `hold_head`.
    pub hold_first_event: Duration,
    /// What new sessions are spread by.
    pub balance_by: BalanceBy,
}

impl Failover {
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            max_attempts: reader.get(&MAX_ATTEMPTS),
            retry_on: reader.get(&RETRY_ON),
            retry_budget_percent: reader.get(&RETRY_BUDGET),
            retry_budget_min_per_second: reader.get(&RETRY_BUDGET_MIN),
            hold_head: reader.get(&HOLD_HEAD),
            hold_first_event: reader.get(&HOLD_FIRST_EVENT),
            balance_by: reader.get(&BALANCE_BY),
        }
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
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self { sessions: reader.get(&AFFINITY_SESSIONS), idle: reader.get(&AFFINITY_IDLE) }
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
    /// Reads it.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self { length: reader.get(&QUEUE), timeout: reader.get(&QUEUE_TIMEOUT) }
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
}
