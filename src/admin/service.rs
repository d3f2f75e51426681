//! The admin service: `/metrics`, `/healthz` and `/readyz`, which need no key, and the gateway's own pages.

use super::status;
use crate::gateway::{Answer, Pages, Shared, Visit, new_request_id};
use crate::http1::split_query;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::CACHE_CONTROL;
use pingora::apps::http_app::ServeHttp;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora_prometheus::PrometheusHttpApp;
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Longest silence while a request comes in.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take no byte.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an idle connection is kept, in seconds.
const KEEPALIVE_SECONDS: u64 = 75;

/// The application of the admin service.
pub struct AdminService {
    shared: Arc<Shared>,
    pages: Arc<dyn Pages>,
}

impl AdminService {
    /// A service for these pages.
    pub fn new(shared: Arc<Shared>, pages: Arc<dyn Pages>) -> Self {
        Self { shared, pages }
    }

    async fn serve(&self, session: &mut ServerSession) -> pingora::Result<()> {
        let request_id = new_request_id();
        let (path, _) = split_query(session.req_header().raw_path());
        let answer = match path {
            b"/metrics" => {
                let (head, body) = PrometheusHttpApp.response(session).await.into_parts();
                let mut answer = Answer { status: head.status.as_u16(), headers: Vec::new(), body: Bytes::from(body) };
                answer.headers.extend(
                    head.headers
                        .get(http::header::CONTENT_TYPE)
                        .map(|value| (http::header::CONTENT_TYPE, value.clone())),
                );
                answer
            }
            b"/healthz" => text(200, "ok\n"),
            b"/readyz" if status::is_ready(&self.shared) => text(200, "ready\n"),
            b"/readyz" => text(503, "no upstream is usable\n"),
            _ => match read_body(session).await? {
                Some(body) => {
                    let client = session.client_addr().and_then(|address| Some(address.as_inet()?.ip()));
                    return self.pages.serve(Visit { session, client, body, request_id: &request_id }).await;
                }
                None => {
                    session.set_keepalive(None);
                    Answer::error(413, &format!("The body is larger than {MAX_BODY_BYTES} bytes."), &request_id)
                }
            },
        };
        answer.send_direct(session, &request_id).await
    }
}

fn text(status: u16, text: &'static str) -> Answer {
    Answer::new(status, "text/plain; charset=utf-8", text).with(CACHE_CONTROL, "no-store")
}

/// The whole body; `None` if it is too large.
async fn read_body(session: &mut ServerSession) -> pingora::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = session.read_request_body().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

#[async_trait]
impl HttpServerApp for AdminService {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        session.set_read_timeout(Some(READ_TIMEOUT));
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        let is_last = *shutdown.borrow();
        session.set_keepalive((!is_last).then_some(KEEPALIVE_SECONDS));
        if let Err(error) = self.serve(&mut session).await {
            log::debug!("a client of the admin service did not get its answer: {}", error.etype().as_str());
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}
