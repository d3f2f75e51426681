//! The few paths that are the gateway's own. Who answers them is not the gateway's business: it hands such a request on.

use super::answer::Answer;
use super::browser::accepts_html;
use super::context::Context;
use crate::config::Config;
use crate::http1::split_query;
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use std::net::IpAddr;
use std::sync::Arc;

/// A request for one of the gateway's own pages.
pub struct Visit<'v> {
    /// Its head, and the way to answer it.
    pub session: &'v mut ServerSession,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// Its whole body.
    pub body: Bytes,
    /// The gateway's id of it.
    pub request_id: &'v str,
}

/// Who answers such requests.
#[async_trait]
pub trait Pages: Send + Sync {
    /// How many bytes of body this request may bring. It is asked before any of them is read.
    ///
    /// # Errors
    /// The answer to a request that gets it without its body.
    fn admit(&self, request: &RequestHeader, client: Option<IpAddr>, request_id: &str) -> Result<usize, Answer>;

    /// Answers one.
    ///
    /// # Errors
    /// When the client is gone.
    async fn serve(&self, visit: Visit<'_>) -> pingora::Result<()>;
}

/// Whether a request for this target may be one for a page that takes a body: a quick look before the whole one.
pub fn may_take_body(target: &[u8]) -> bool {
    let (path, _) = split_query(target);
    path.contains(&b'%') || path.windows(5).any(|part| part.eq_ignore_ascii_case(b"admin"))
}

/// Whether the gateway answers this request itself.
pub fn is_own(request: &RequestHeader, config: &Config) -> bool {
    let (path, _) = split_query(request.raw_path());
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match path {
        b"/health" => is_read,
        _ if !config.dashboard_enabled => false,
        b"/" => is_read && accepts_html(&request.headers),
        b"/admin" => true,
        _ => path.starts_with(b"/admin/") || path.starts_with(b"/api/admin/"),
    }
}

/// Hands such a request on.
///
/// # Errors
/// When the client is gone.
pub async fn serve(session: &mut Session, pages: &Arc<dyn Pages>, context: &mut Context) -> pingora::Result<()> {
    let body = context.body.take();
    let visit = Visit {
        session: session.as_downstream_mut(),
        client: context.client,
        body: body.as_ref().map(|held| held.bytes.clone()).unwrap_or_default(),
        request_id: &context.request_id,
    };
    pages.serve(visit).await
}
