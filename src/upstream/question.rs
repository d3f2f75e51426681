//! A small request of the gateway's own to an upstream: on a connection of its own, in the upstream's way.

use super::line::Line;
use super::{Upstream, line_times};
use bytes::BytesMut;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, Uri, Version};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, OrErr};
use std::time::{Duration, Instant};

/// A header.
pub(super) type Field = (HeaderName, HeaderValue);

/// The header that brings a key; `None` for one that no header can hold.
pub(super) fn bearer(key: &str) -> Option<Field> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

/// A request without a body.
pub(super) struct Question<'a> {
    pub method: &'a Method,
    /// Path and query, below the upstream's base URL.
    pub path: &'a str,
    /// What it calls itself.
    pub name: &'static str,
    /// What else its head has.
    pub headers: &'a [Field],
}

/// The head that came back, how long that took, and where the body comes from.
pub(super) struct Answer {
    pub status: u16,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the request to the head of the response.
    pub time: Duration,
    session: HttpSession,
}

impl Question<'_> {
    /// The connection is one of its own: that is what is to be checked too.
    pub(super) async fn ask(&self, connector: &Connector, upstream: &Upstream, line: &Line) -> pingora::Result<Answer> {
        let config = &upstream.config;
        let target = format!("{}{}", config.base_url.path_prefix, self.path);
        let mut request = RequestHeader::build(self.method.clone(), target.as_bytes(), None)?;
        request.insert_header(HOST, line.host.clone())?;
        let agent = format!("anyrouter-gateway/{} ({})", env!("CARGO_PKG_VERSION"), self.name);
        request.insert_header(USER_AGENT, agent)?;
        if *self.method == Method::POST {
            request.insert_header(CONTENT_LENGTH, "0")?;
        }
        request.insert_header(ACCEPT_ENCODING, "identity")?;
        for (name, value) in self.headers {
            request.insert_header(name.clone(), value.clone())?;
        }
        let (mut session, _) = connector.get_http_session(&line.peer(true)).await?;
        let (connect, tls) = line_times::of_connection(session.digest());
        match &session {
            HttpSession::H2(_) => {
                let scheme = if config.base_url.tls { "https" } else { "http" };
                let uri = Uri::builder().scheme(scheme).authority(line.authority()).path_and_query(target).build();
                request
                    .set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "the target of a request of the gateway's own")?);
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
        Ok(Answer { status, connect, tls, time: asked.elapsed(), session })
    }
}

impl Answer {
    /// The body, if it has no more bytes than this.
    pub(super) async fn body(mut self, most: usize) -> pingora::Result<Option<BytesMut>> {
        let mut body = BytesMut::new();
        while let Some(part) = self.session.read_response_body().await? {
            if body.len() + part.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&part);
        }
        Ok(Some(body))
    }
}
