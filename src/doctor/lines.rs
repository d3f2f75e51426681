//! The lines of upstreams, compared from here: `doctor --lines`.

use super::clean::Cleaner;
use super::hosts::time_of;
use super::probe::{Probe, Way};
use crate::config::BaseUrl;
use crate::config::upstream::UpstreamConfig;
use futures::future::join_all;
use hickory_resolver::TokioResolver;
use serde::Serialize;
use std::collections::BTreeMap;
use std::iter;
use std::time::Duration;

/// How often each line is tried: the one in the middle counts.
const TRIES: usize = 3;
/// How long one try may take; all lines are tried at once.
const WITHIN: Duration = Duration::from_secs(8);

/// The lines of one upstream, the fastest first.
#[derive(Debug, Serialize)]
pub(super) struct LinesReport {
    /// The upstream's name.
    pub upstream: String,
    /// Its lines.
    pub lines: Vec<LineWay>,
}

/// One line, as the gateway would take it.
#[derive(Debug, Serialize)]
pub(super) struct LineWay {
    /// Host and port.
    pub host: String,
    /// `direct`, or the proxy's URL without user and password.
    pub via: String,
    /// Whether it is the address of `base_url`.
    pub is_base_url: bool,
    /// The time from the name to the answer; `None` if requests cannot go this way.
    pub milliseconds: Option<f64>,
    /// The times of the steps.
    pub steps: BTreeMap<&'static str, f64>,
    /// What stands against it.
    pub finding: Option<&'static str>,
}

/// The lines of all upstreams that have several. Each gets three requests without a key.
pub(super) async fn compare(
    upstreams: &[UpstreamConfig],
    resolver: &TokioResolver,
    cleaner: &Cleaner,
) -> Vec<LinesReport> {
    let with_lines = upstreams.iter().filter(|upstream| !upstream.lines.is_empty());
    join_all(with_lines.map(|upstream| async move {
        let all = iter::once(&upstream.base_url).chain(&upstream.lines);
        let mut lines = join_all(all.map(|url| line(upstream, url, resolver, cleaner))).await;
        sort(&mut lines);
        LinesReport { upstream: upstream.name.clone(), lines }
    }))
    .await
}

async fn line(upstream: &UpstreamConfig, url: &BaseUrl, resolver: &TokioResolver, cleaner: &Cleaner) -> LineWay {
    let there = UpstreamConfig { base_url: url.clone(), ..upstream.clone() };
    let proxy = there.proxy.as_ref();
    let probe = Probe { upstream: &there, key: None, proxy, resolver, cleaner };
    let mut ways = Vec::new();
    for _ in 0..TRIES {
        let way = tokio::time::timeout(WITHIN, probe.run(true)).await.ok();
        let reaches = way.as_ref().is_some_and(Way::reaches);
        ways.push(way);
        if !reaches {
            break;
        }
    }
    let via = proxy.map_or_else(|| "direct".to_owned(), |proxy| proxy.shown.clone());
    told(url.authority.clone(), via, *url == upstream.base_url, ways)
}

/// What several tries say, of which the last one may have failed.
fn told(host: String, via: String, is_base_url: bool, ways: Vec<Option<Way>>) -> LineWay {
    let failed = ways.iter().rfind(|way| !way.as_ref().is_some_and(Way::reaches));
    let finding = failed.map(|way| match way {
        Some(way) => way.findings.last().map_or("answer_timeout", |finding| finding.id),
        None => "answer_timeout",
    });
    let mut ways: Vec<Way> = ways.into_iter().flatten().filter(|_| finding.is_none()).collect();
    ways.sort_by(|a, b| time_of(&a.steps).total_cmp(&time_of(&b.steps)));
    let middle = ways.get(ways.len() / 2);
    let steps = middle.map(|way| way.steps.iter().filter(|step| step.ok)).into_iter().flatten();
    LineWay {
        host,
        via,
        is_base_url,
        milliseconds: middle.map(|way| time_of(&way.steps)),
        // Of addresses that were tried at once, the fastest counts.
        steps: steps.fold(BTreeMap::new(), |mut times, step| {
            let time = times.entry(step.step).or_insert(step.milliseconds);
            *time = step.milliseconds.min(*time);
            times
        }),
        finding,
    }
}

fn sort(lines: &mut [LineWay]) {
    let time = |line: &LineWay| line.milliseconds.unwrap_or(f64::INFINITY);
    lines.sort_by(|a, b| time(a).total_cmp(&time(b)).then_with(|| a.host.cmp(&b.host)));
}
