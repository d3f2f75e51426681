//! Which of AnyRouter's hosts is the fastest from here: asked only if an upstream is one of them.

use super::clean::Cleaner;
use super::probe::{Probe, Step, Way};
use crate::config::profile::{ANYROUTER_HOSTS, is_anyrouter};
use crate::config::upstream::UpstreamConfig;
use hickory_resolver::TokioResolver;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a host has; all are asked at once.
const WITHIN: Duration = Duration::from_secs(8);

/// A way to one of the hosts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HostWay {
    /// The host.
    pub host: String,
    /// `direct`, or the proxy's URL without user and password.
    pub via: String,
    /// The time from the name to the answer; `None` if requests cannot go this way.
    pub milliseconds: Option<f64>,
    /// What stands against it.
    pub finding: Option<&'static str>,
    /// Whether an upstream is there, and reached this way.
    pub is_used: bool,
}

/// All ways to all hosts, the fastest first; `None` if no upstream is one of them. Each gets one request without a key.
pub(super) async fn compare(
    upstreams: &[UpstreamConfig],
    resolver: &Arc<TokioResolver>,
    cleaner: &Arc<Cleaner>,
) -> Option<Vec<HostWay>> {
    let upstream = upstreams.iter().find(|upstream| is_anyrouter(&upstream.base_url.host))?;
    let mut runs = JoinSet::new();
    for host in ANYROUTER_HOSTS {
        for is_direct in [true, false].into_iter().take(1 + usize::from(upstream.proxy.is_some())) {
            let there = at(upstream, host);
            let is_used = upstream.base_url.host.eq_ignore_ascii_case(host) && is_direct == upstream.proxy.is_none();
            let (resolver, cleaner) = (Arc::clone(resolver), Arc::clone(cleaner));
            runs.spawn(async move {
                let proxy = there.proxy.as_ref().filter(|_| !is_direct);
                let via = proxy.map_or_else(|| "direct".to_owned(), |proxy| proxy.shown.clone());
                let probe = Probe { upstream: &there, key: None, proxy, resolver: &resolver, cleaner: &cleaner };
                let way = tokio::time::timeout(WITHIN, probe.run(is_used)).await.ok();
                host_way(host, via, way.as_ref(), is_used)
            });
        }
    }
    let mut ways = runs.join_all().await;
    sort(&mut ways);
    Some(ways)
}

/// The upstream, were it at this host.
fn at(upstream: &UpstreamConfig, host: &str) -> UpstreamConfig {
    let mut there = upstream.clone();
    let url = &mut there.base_url;
    url.authority = match url.authority.rsplit_once(':') {
        Some((_, port)) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    host.clone_into(&mut url.host);
    there.sni = None;
    there
}

fn host_way(host: &str, via: String, way: Option<&Way>, is_used: bool) -> HostWay {
    let reached = way.filter(|way| way.reaches());
    let finding = match way {
        Some(way) if reached.is_none() => way.findings.last().map(|finding| finding.id),
        Some(_) => None,
        None => Some("answer_timeout"),
    };
    HostWay { host: host.to_owned(), via, milliseconds: reached.map(|way| time_of(&way.steps)), finding, is_used }
}

/// The time of a way. Addresses of one name are tried at once: the fastest one counts.
pub(super) fn time_of(steps: &[Step]) -> f64 {
    let of_tcp = steps.iter().filter(|step| step.step == "tcp" && step.ok).map(|step| step.milliseconds);
    let others = steps.iter().filter(|step| step.step != "tcp").map(|step| step.milliseconds);
    let sum: f64 = of_tcp.reduce(f64::min).into_iter().chain(others).sum();
    (sum * 10.0).round() / 10.0
}

fn sort(ways: &mut [HostWay]) {
    let time = |way: &HostWay| way.milliseconds.unwrap_or(f64::INFINITY);
    ways.sort_by(|a, b| time(a).total_cmp(&time(b)).then_with(|| (&a.host, &a.via).cmp(&(&b.host, &b.via))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::language::Words;

    fn step(step: &'static str, ok: bool, milliseconds: f64) -> Step {
        Step {
            step,
            ok,
            milliseconds,
            detail: String::new(),
            told: Words::said(""),
            code: "",
            parameters: serde_json::Map::new(),
            message: None,
        }
    }

    #[test]
    fn of_several_addresses_the_fastest_counts() {
        let steps = [
            step("dns", true, 10.0),
            step("tcp", false, 2_000.0),
            step("tcp", true, 50.0),
            step("tcp", true, 30.04),
            step("tls", true, 40.0),
            step("http", true, 100.0),
        ];
        assert!((time_of(&steps) - 180.0).abs() < 0.01, "{}", time_of(&steps));
    }

    #[test]
    fn who_does_not_answer_comes_last() {
        let way = |host: &str, milliseconds| HostWay {
            host: host.to_owned(),
            via: "direct".to_owned(),
            milliseconds,
            finding: None,
            is_used: false,
        };
        let mut ways = [way("a", None), way("b", Some(20.0)), way("c", Some(3.0))];
        sort(&mut ways);
        assert_eq!(ways.map(|way| way.host), ["c", "b", "a"]);
    }
}
