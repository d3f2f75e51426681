//! The admin service, behind a door of its own: `/metrics`, `/healthz` and `/readyz`, which need no key, and the gateway's own pages.

use super::status;
use crate::gateway::{Answer, LocalHandler, LocalRequest, Shared, new_request_id, peer, take_body};
use async_trait::async_trait;
use bytes::Bytes;
use gateway_core::http1::split_query;
use http::header::CACHE_CONTROL;
use pingora::apps::http_app::ServeHttp;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora_prometheus::PrometheusHttpApp;
use std::sync::Arc;

/// The application of the admin service.
pub(crate) struct AdminService {
    shared: Arc<Shared>,
    pages: Arc<dyn LocalHandler>,
}

impl AdminService {
    /// A service for these pages.
    pub(crate) fn new(shared: Arc<Shared>, pages: Arc<dyn LocalHandler>) -> Self {
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
            b"/readyz" if self.shared.drain.is_on() => text(503, "draining\n"),
            b"/readyz" if status::is_ready(&self.shared) => text(200, "ready\n"),
            b"/readyz" => text(503, "no upstream is usable\n"),
            _ => {
                let body = take_body(session);
                let snapshot = self.shared.snapshot.load();
                let origin = snapshot.origin(peer(session.client_addr()), &session.req_header().headers);
                let client = origin.map(|origin| origin.client);
                return self.pages.serve(LocalRequest { session, client, body, request_id: &request_id }).await;
            }
        };
        answer.send_direct(session, &request_id).await
    }
}

fn text(status: u16, text: &'static str) -> Answer {
    Answer::new(status, "text/plain; charset=utf-8", text).with(CACHE_CONTROL, "no-store")
}

#[async_trait]
impl HttpServerApp for AdminService {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The door has read it, and found it good.
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        if let Err(error) = self.serve(&mut session).await {
            log::debug!("a client of the admin service did not get its answer: {}", error.etype().as_str());
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}
