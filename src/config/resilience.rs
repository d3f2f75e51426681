//! What the gateway does when upstreams fail, are slow, or are full.

use super::reader::Reader;
use super::value;
use http::Method;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A set of status codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<std::ops::RangeInclusive<u16>>);

impl Statuses {
    /// Reads a comma list of codes and ranges, such as `500, 520-524`; `none` for the empty set.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        let ranges = text.split(',').map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (code(first), code(last)) {
                (Some(first), Some(last)) if first <= last => Ok(first..=last),
                _ => Err(format!("\"{}\" is no status code and no range such as 520-524", part.trim())),
            }
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }

    /// Whether it holds this code.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// When another upstream takes a request over.
#[derive(Clone, Debug)]
pub struct Failover {
    /// Most upstreams that one request is sent to.
    pub max_attempts: u32,
    /// Statuses that count as a failure of the upstream.
    pub retry_on: Statuses,
    /// Most retries, in percent of the requests of the last seconds.
    pub retry_budget_percent: u32,
    /// Retries a second that there may be in any case.
    pub retry_budget_min: u32,
    /// How long the head of an answer may wait for the first byte of its body.
    pub hold_head: Duration,
}

/// When an upstream counts as broken, and for how long.
#[derive(Clone, Debug)]
pub struct HealthSettings {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// Share of failures that opens it, in percent.
    pub error_rate_percent: u32,
    /// Over how long the share is taken.
    pub window: Duration,
    /// Least requests in that time for the share to count.
    pub min_requests: u32,
    /// First pause.
    pub open: Duration,
    /// Longest pause; each is twice as long as the one before.
    pub open_max: Duration,
    /// Active checks.
    pub probe: ProbeSettings,
}

/// How upstreams are checked from time to time.
#[derive(Clone, Debug)]
pub struct ProbeSettings {
    /// What is asked for, below the upstream's base URL; `None` for no checks but those of upstreams with a path of
    /// their own.
    pub path: Option<String>,
    /// The method.
    pub method: Method,
    /// Time between two checks.
    pub interval: Duration,
    /// Time for one.
    pub timeout: Duration,
    /// The statuses of a healthy upstream.
    pub status: Statuses,
}

/// How sessions stay at one upstream.
#[derive(Clone, Debug)]
pub struct Affinity {
    /// Most sessions that are remembered because they had to move.
    pub sessions: u32,
    /// How long an idle one is remembered.
    pub idle: Duration,
}

/// Requests that wait for a place at an upstream with `max_in_flight`.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Most of them, for each upstream.
    pub requests: u32,
    /// How long each may wait.
    pub timeout: Duration,
}

/// Reads `gateway.failover`.
pub fn failover(reader: &mut Reader<'_>) -> Option<Failover> {
    let max_attempts = reader.read("gateway.failover.max_attempts", |text| value::number(text, 1..=10));
    let retry_on = reader.read("gateway.failover.retry_on", Statuses::parse);
    let retry_budget = reader.read("gateway.failover.retry_budget", percent);
    let retry_budget_min = reader.read("gateway.failover.retry_budget_min", |text| value::number(text, 0..=10_000));
    let hold_head = reader.read("gateway.failover.hold_head", value::duration);
    Some(Failover {
        max_attempts: max_attempts?,
        retry_on: retry_on?,
        retry_budget_percent: retry_budget?,
        retry_budget_min: retry_budget_min?,
        hold_head: hold_head?,
    })
}

/// Reads `gateway.health`.
pub fn health(reader: &mut Reader<'_>) -> Option<HealthSettings> {
    let failures = reader.read("gateway.health.failures", |text| value::number(text, 1..=1_000_000));
    let error_rate = reader.read("gateway.health.error_rate", |text| match percent(text) {
        Ok(0) => Err("with 0 % every request would open the circuit".to_owned()),
        other => other,
    });
    let window = reader.read("gateway.health.window", value::duration);
    let min_requests = reader.read("gateway.health.min_requests", |text| value::number(text, 1..=1_000_000));
    let open = reader.read("gateway.health.open", value::duration);
    let open_max = reader.read("gateway.health.open_max", value::duration);
    let probe = probe(reader);
    Some(HealthSettings {
        failures: failures?,
        error_rate_percent: error_rate?,
        window: window?,
        min_requests: min_requests?,
        open: open?,
        open_max: open_max?,
        probe: probe?,
    })
}

fn probe(reader: &mut Reader<'_>) -> Option<ProbeSettings> {
    let path = reader.read("gateway.health.probe.path", probe_path).flatten();
    let method = reader.read("gateway.health.probe.method", |text| match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "OPTIONS" => Ok(Method::OPTIONS),
        _ => Err(format!("\"{text}\" is not one of GET, HEAD, OPTIONS: a health check must not change anything")),
    });
    let interval = reader.read("gateway.health.probe.interval", value::duration);
    let timeout = reader.read("gateway.health.probe.timeout", value::duration);
    let status = reader.read("gateway.health.probe.status", Statuses::parse);
    Some(ProbeSettings { path, method: method?, interval: interval?, timeout: timeout?, status: status? })
}

/// The target of health checks: a path, or `off`.
///
/// # Errors
/// What is wrong with the text.
pub fn probe_path(text: &str) -> Result<Option<String>, String> {
    let is_target = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text {
        "off" => Ok(None),
        _ if is_target => Ok(Some(text.to_owned())),
        _ => Err(format!("\"{text}\" is neither a path such as /v1/models nor off")),
    }
}

/// Reads `gateway.affinity`.
pub fn affinity(reader: &mut Reader<'_>) -> Option<Affinity> {
    let sessions = reader.read("gateway.affinity.sessions", |text| value::number(text, 1..=10_000_000));
    let idle = reader.read("gateway.affinity.idle", value::duration);
    Some(Affinity { sessions: sessions?, idle: idle? })
}

/// Reads `gateway.limits.queue` and its time.
pub fn queue(reader: &mut Reader<'_>) -> Option<Queue> {
    let requests = reader.read("gateway.limits.queue", |text| value::number(text, 0..=100_000));
    let timeout = reader.read("gateway.limits.queue_timeout", value::duration);
    Some(Queue { requests: requests?, timeout: timeout? })
}

/// Reads `gateway.dns.servers`; empty for those of the system.
pub fn dns_servers(reader: &mut Reader<'_>) -> Vec<SocketAddr> {
    let server = |text: &str| {
        let text = text.trim();
        let with_port = text.parse().ok();
        with_port
            .or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53)))
            .ok_or_else(|| format!("\"{text}\" is not the address of a DNS server, such as 1.1.1.1 or 127.0.0.1:5353"))
    };
    reader.read("gateway.dns.servers", |text| text.split(',').map(server).collect()).unwrap_or_default()
}

/// `20%`, or `20`.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    number
        .parse()
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| format!("\"{text}\" is not a share from 0% to 100%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_codes_and_ranges() {
        let statuses = Statuses::parse("500, 520-524,529").expect("valid");
        for (status, is_in) in [(500, true), (501, false), (519, false), (520, true), (524, true), (529, true)] {
            assert_eq!(statuses.contains(status), is_in, "{status}");
        }
        assert!(!Statuses::parse("none").expect("valid").contains(500));
        for bad in ["", "5xx", "600", "524-520", "500;502", "99"] {
            assert!(Statuses::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!((percent("20%"), percent("0"), percent("100 %")), (Ok(20), Ok(0), Ok(100)));
        assert!(percent("101%").is_err() && percent("-1%").is_err() && percent("a").is_err());
        assert_eq!(probe_path("/v1/models?limit=1"), Ok(Some("/v1/models?limit=1".to_owned())));
        assert_eq!(probe_path("off"), Ok(None));
        assert!(probe_path("v1").is_err() && probe_path("/a b").is_err());
    }
}
