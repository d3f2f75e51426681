//! The proxy: Pingora's [`ProxyHttp`], each hook a short call into the file of its concern.

mod answer;
mod balance_checks;
mod browser;
mod cache_waste;
pub(crate) mod capture_wishes;
mod clean;
mod client;
mod client_keys;
mod conversations;
mod cross_site;
mod door;
mod explain;
mod health_checks;
mod house_rules;
mod http2_door;
mod identity;
mod key_search;
mod line_checks;
mod local;
mod models_seen;
mod panel_key;
mod proxy;
pub(crate) mod running;
mod shared;
mod snapshot;
mod steering_checks;
mod tokens;
mod trial;
mod upstream_metrics;
mod wrong_keys;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use proxy::context::Context;
use proxy::ending::{self, Ending};
use proxy::{attempt, begin, failure, finish, relay_key, request_head, response_head, settle, upstream_response};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use answer::{Answer, ErrorCode, Recipient, new_request_id};
pub(crate) use balance_checks::BalanceChecks;
pub(crate) use cache_waste::REMEMBERED;
pub(crate) use conversations::Keeper;
pub(crate) use door::Door;
pub(crate) use explain::{Past, SAMPLE, Values, explain};
pub(crate) use health_checks::HealthChecks;
pub(crate) use line_checks::LineChecks;
pub(crate) use local::{LocalHandler, LocalRequest, SESSION_COOKIES};
pub(crate) use panel_key::{PanelKey, PanelKeys, looks_like_ticket, ticket};
pub(crate) use proxy::downstream::take_body;
pub(crate) use proxy::error_rules::place as place_of_error;
pub(crate) use shared::Shared;
pub(crate) use snapshot::{Snapshot, peer};
pub(crate) use steering_checks::SteeringChecks;
pub(crate) use trial::{Field, Reply, Sent, Tried, send};
pub(crate) use upstream_metrics::Upstreams;
pub(crate) use wrong_keys::{Free, Noted, WINDOW, WrongKeys};

/// The proxy's logic.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    local: Arc<dyn LocalHandler>,
}

impl Gateway {
    /// A proxy over the shared state, with pages of its own.
    pub(crate) fn new(shared: Arc<Shared>, local: Arc<dyn LocalHandler>) -> Self {
        Self { shared, local }
    }

    /// A connection that is not kept, and whose client is told so, cannot be closed under the next request.
    fn close_if_draining(&self, session: &mut Session) {
        if self.shared.drain.is_on() {
            session.set_keepalive(None);
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    // By value, Pingora would keep it several times in the future of each request, and copy it from one to the next.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        let snapshot = self.shared.snapshot.load_full();
        Box::new(Context::new(snapshot, new_request_id(), &self.shared.metrics.in_flight))
    }

    async fn early_request_filter(&self, session: &mut Session, context: &mut Box<Context>) -> Result<()> {
        begin::arrive(session, &self.shared, context)?;
        self.close_if_draining(session);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Box<Context>) -> Result<bool> {
        begin::answer_here(session, &self.shared, &*self.local, context).await
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Box<Context>) -> Result<Box<HttpPeer>> {
        attempt::begin(session, &self.shared, context).await
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: RawFd,
        digest: Option<&Digest>,
        context: &mut Box<Context>,
    ) -> Result<()> {
        attempt::connected(reused, digest, &self.shared, context);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        attempt::request(request, session.req_header(), context)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        chunk: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Box<Context>,
    ) -> Result<()> {
        // After a switch of protocols the bytes are the tunnel's.
        if !session.was_upgraded() {
            *chunk = request_head::body(context);
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Box<Context>,
        error: Box<Error>,
    ) -> Box<Error> {
        attempt::no_connection(error, context)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        attempt::failed(session, error, reused, context)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        upstream_response::head_came(session, response, &self.shared, context)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        bytes: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        upstream_response::body_came(bytes, is_end, context)
    }

    fn upstream_response_trailer_filter(
        &self,
        _: &mut Session,
        trailers: &mut HeaderMap,
        context: &mut Box<Context>,
    ) -> Result<()> {
        upstream_response::trailers_came(trailers, context)
    }

    /// What is still held back goes out in the place of the trailers: Pingora sends one or the other.
    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        context: &mut Box<Context>,
    ) -> Result<Option<Bytes>> {
        Ok(relay_key::rest(context))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        self.close_if_draining(session);
        response_head::pass_on(response, session.req_header(), context)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Box<Context>) -> FailToProxy {
        let status = ending::tell_client(session, error, context).await;
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Box<Context>) {
        upstream_response::read_rest(context).await;
        let failure = error.map(|error| failure::read(error, context));
        settle::over(context, failure.as_ref());
        // One that went to no upstream counts nothing.
        if let Some(admitted) = context.admitted.take() {
            admitted.release();
        }
        let ending = Ending::of(session, failure, context);
        let in_force = self.shared.snapshot.load();
        let record = finish::record(session, ending, context, &in_force.config.prices, &self.shared.cache_waste);
        if let Some(key) = context.key().filter(|_| record.upstream_key.is_some()) {
            key.state.counts.add(&record);
        }
        self.shared.finish(record, context.observation.is_local);
    }

    /// The access log says it all, without the query, which may hold keys.
    fn suppress_error_log(&self, _: &Session, _: &Box<Context>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Box<Context>, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    fn request_summary(&self, _: &Session, context: &Box<Context>) -> String {
        context.request_id.clone()
    }
}
