//! Small requests to an upstream from time to time: whether it is well, and how fast its lines are.

use super::clock::now_ms;
use super::line::Line;
use super::{Upstream, line_times};
use crate::config::health::ProbeSettings;
use gateway_core::record::fault::UpstreamFault;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Method, Uri, Version};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, OrErr};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a line has for its answer: three times as long, and the first comparison of lines still comes in time.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks one upstream, and notes how it went; `path` is the request's target below its base URL.
pub(crate) async fn probe(connector: &Connector, upstream: &Upstream, settings: &ProbeSettings, path: &str) {
    let line = upstream.lines.used();
    let question = Question { method: &settings.method, path, with_key: true, name: "health check" };
    upstream.probed(match timeout(settings.timeout, ask(connector, upstream, line, &question)).await {
        Ok(Ok(answer)) if settings.status.contains(answer.status) => None,
        Ok(Ok(answer)) => Some(UpstreamFault::ProbeStatus { status: answer.status }),
        Ok(Err(error)) => Some(UpstreamFault::ProbeFailed { said: error.root_cause().to_string() }),
        Err(_) => Some(UpstreamFault::ProbeTimeout { within: settings.timeout }),
    });
}

/// Measures one line, and notes how it went: what Claude Code asks too when it starts, without a key.
pub(crate) async fn measure(connector: &Connector, upstream: &Upstream, line: &Line) {
    let question = Question { method: &Method::HEAD, path: "/", with_key: false, name: "line check" };
    match timeout(LINE_TIMEOUT, ask(connector, upstream, line, &question)).await {
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

/// A request that asks whether somebody is there.
struct Question<'a> {
    method: &'a Method,
    path: &'a str,
    /// Whether it brings the upstream's own key.
    with_key: bool,
    /// What it calls itself.
    name: &'static str,
}

/// What came back, and how long that took.
struct Answer {
    status: u16,
    connect: Option<Duration>,
    tls: Option<Duration>,
    /// From the request to the head of the response.
    time: Duration,
}

/// The connection is one of its own: that is what is to be checked too.
async fn ask(
    connector: &Connector,
    upstream: &Upstream,
    line: &Line,
    question: &Question<'_>,
) -> pingora::Result<Answer> {
    let config = &upstream.config;
    let target = format!("{}{}", config.base_url.path_prefix, question.path);
    let mut request = RequestHeader::build(question.method.clone(), target.as_bytes(), None)?;
    request.insert_header(HOST, line.host.clone())?;
    let agent = format!("anyrouter-gateway/{} ({})", env!("CARGO_PKG_VERSION"), question.name);
    request.insert_header(USER_AGENT, agent)?;
    if let Some(key) = upstream.keys.first(now_ms()).filter(|_| question.with_key)
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", key.config.key.expose()))
    {
        value.set_sensitive(true);
        request.insert_header(AUTHORIZATION, value)?;
    }
    let (mut session, _) = connector.get_http_session(&line.peer(true)).await?;
    let (connect, tls) = line_times::of_connection(session.digest());
    match &session {
        HttpSession::H2(_) => {
            let scheme = if config.base_url.tls { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(line.authority()).path_and_query(target).build();
            request.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "the target of the health check")?);
            request.set_version(Version::HTTP_2);
            request.remove_header(&HOST);
        }
        _ => {
            request.insert_header(CONNECTION, "close")?;
            line.address_to_proxy(&mut request)?;
        }
    }
    let asked = Instant::now();
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map_or(0, |response| response.status.as_u16());
    Ok(Answer { status, connect, tls, time: asked.elapsed() })
}
