//! Small requests to an upstream from time to time: whether it is well, and how fast its lines are.

use super::Upstream;
use super::clock::now_ms;
use super::line::Line;
use super::question::{self, Field, Question};
use crate::config::health::ProbeSettings;
use gateway_core::record::fault::UpstreamFault;
use http::Method;
use pingora::connectors::http::Connector;
use std::time::Duration;
use tokio::time::timeout;

/// How long a line has for its answer: three times as long, and the first comparison of lines still comes in time.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one upstream, and notes how it went; `path` is the request's target below its base URL.
pub(crate) async fn probe(connector: &Connector, upstream: &Upstream, settings: &ProbeSettings, path: &str) {
    let line = upstream.lines.used();
    let question = Question { method: &settings.method, path, name: "health check", headers: &bearer(upstream) };
    upstream.probed(match timeout(settings.timeout, question.ask(connector, upstream, line)).await {
        Ok(Ok(answer)) if settings.status.contains(answer.status) => None,
        Ok(Ok(answer)) => Some(UpstreamFault::ProbeStatus { status: answer.status }),
        Ok(Err(error)) => Some(UpstreamFault::ProbeFailed { said: error.root_cause().to_string() }),
        Err(_) => Some(UpstreamFault::ProbeTimeout { within: settings.timeout }),
    });
}

/// Measures one line, and notes how it went: what Claude Code asks too when it starts, without a key.
pub(crate) async fn measure(connector: &Connector, upstream: &Upstream, line: &Line) {
    let question = Question { method: &Method::HEAD, path: "/", name: "line check", headers: &[] };
    match timeout(LINE_TIMEOUT, question.ask(connector, upstream, line)).await {
        // Whatever it thinks of the question: it answered. From 500 on it is what stands before the relay that does.
        Ok(Ok(answer)) if answer.status < 500 => {
            line.times.connected(answer.connect, answer.tls);
            line.times.probed(answer.time);
        }
        Ok(Ok(answer)) => line.times.failed(UpstreamFault::ProbeStatus { status: answer.status }),
        Ok(Err(error)) => {
            line.times.failed(UpstreamFault::ProbeFailed { said: error.root_cause().to_string() });
        }
        Err(_) => line.times.failed(UpstreamFault::ProbeTimeout { within: LINE_TIMEOUT }),
    }
}

/// The head that brings the upstream's own key, if it has one.
fn bearer(upstream: &Upstream) -> Vec<Field> {
    upstream.keys.first(now_ms()).and_then(|key| question::bearer(key.config.key.expose())).into_iter().collect()
}
