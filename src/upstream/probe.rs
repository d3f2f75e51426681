//! Active health checks: a small request to each upstream from time to time.

use super::Upstream;
use crate::config::health::ProbeSettings;
use gateway_core::record::fault::UpstreamFault;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Method, Uri, Version};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, OrErr};
use tokio::time::timeout;

/// Asks one upstream, and notes how it went; `path` is the request's target below its base URL.
pub(crate) async fn probe(connector: &Connector, upstream: &Upstream, settings: &ProbeSettings, path: &str) {
    match timeout(settings.timeout, ask(connector, upstream, &settings.method, path)).await {
        Ok(Ok(status)) if settings.status.contains(status) => upstream.probed(None),
        Ok(Ok(status)) => upstream.probed(Some(UpstreamFault::ProbeStatus { status })),
        Ok(Err(error)) => {
            let said = error.root_cause().to_string();
            upstream.probed(Some(UpstreamFault::ProbeFailed { said }));
        }
        Err(_) => upstream.probed(Some(UpstreamFault::ProbeTimeout { within: settings.timeout })),
    }
}

/// The status of the answer. The connection is one of its own: that is what is to be checked too.
async fn ask(connector: &Connector, upstream: &Upstream, method: &Method, path: &str) -> pingora::Result<u16> {
    let config = &upstream.config;
    let target = format!("{}{path}", config.base_url.path_prefix);
    let mut request = RequestHeader::build(method.clone(), target.as_bytes(), None)?;
    request.insert_header(HOST, upstream.host.clone())?;
    request.insert_header(USER_AGENT, concat!("anyrouter-gateway/", env!("CARGO_PKG_VERSION"), " (health check)"))?;
    if let Some(key) = &config.api_key
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
    {
        value.set_sensitive(true);
        request.insert_header(AUTHORIZATION, value)?;
    }
    let (mut session, _) = connector.get_http_session(&upstream.peer(true)).await?;
    match &session {
        HttpSession::H2(_) => {
            let scheme = if config.base_url.tls { "https" } else { "http" };
            let uri =
                Uri::builder().scheme(scheme).authority(&*config.base_url.authority).path_and_query(target).build();
            request.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "the target of the health check")?);
            request.set_version(Version::HTTP_2);
            request.remove_header(&HOST);
        }
        _ => {
            request.insert_header(CONNECTION, "close")?;
            upstream.address_to_proxy(&mut request)?;
        }
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    Ok(session.response_header().map_or(0, |response| response.status.as_u16()))
}
