//! The proxy: Pingora's [`ProxyHttp`], each phase a short call into the file of its concern.

mod answer;
mod client;
mod context;
mod door;
mod explain;
mod failure;
mod finish;
mod forward;
mod held;
mod http2;
mod local;
mod pool;
mod respond;
mod rewrite;
mod snapshot;

use crate::access_log;
use crate::metrics::Metrics;
use crate::record::RequestRecord;
use answer::{Answer, new_request_id};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use client::{ClientStream, ReadRequest};
use context::{Attempt, Context};
use http::{StatusCode, Version};
use pingora::ErrorSource;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use door::Door;
pub use explain::{Explanation, explain};
pub use held::Budget;
pub use snapshot::Snapshot;

/// A kept connection that fails within this time, without a byte of answer, is taken for one that was closed while idle.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// What all requests of this process share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// The bound on request bodies in memory.
    pub budget: Budget,
    /// All metrics.
    pub metrics: Metrics,
    /// Differs with every start of the process.
    pub boot_id: String,
    /// When the process started.
    pub started_at: SystemTime,
}

impl Shared {
    /// What all requests share at the start of the process.
    pub fn new(snapshot: Snapshot, metrics: Metrics) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            budget: Budget::new(metrics.held_bytes.clone()),
            metrics,
            boot_id: format!("{:032x}", fastrand::u128(..)),
            started_at: SystemTime::now(),
        }
    }

    /// Counts and logs a request that is over.
    fn finish(&self, record: &RequestRecord) {
        self.metrics.count(record);
        access_log::write(record);
    }
}

/// The proxy's logic.
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    /// A proxy over the shared state.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

/// What the door read of the request that Pingora is about to handle.
fn take_request(session: &mut Session) -> Option<ReadRequest> {
    // This fixes Pingora's view: there is no body for it to read, whatever length the head shows from here on.
    session.is_body_empty();
    if let Some(http1) = session.as_http1() {
        let stream: &dyn pingora::protocols::IO = &**http1.stream();
        return stream.as_any().downcast_ref::<ClientStream>()?.take_request();
    }
    session.req_header_mut().extensions_mut().remove::<http2::Carried>()?.take()
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.shared.snapshot.load_full(), new_request_id(), &self.shared.metrics.in_flight)
    }

    async fn early_request_filter(&self, session: &mut Session, context: &mut Context) -> Result<()> {
        context.client = session.client_addr().and_then(|address| Some(address.as_inet()?.ip()));
        session.set_write_timeout(Some(context.snapshot.config.limits.write_timeout));
        if session.req_header().version == Version::HTTP_10 {
            session.set_ignore_info_resp(true);
        }
        let Some(read) = take_request(session) else { return Ok(()) };
        context.started = read.started;
        if let Some(held) = read.body {
            context.request_bytes = held.bytes.len() as u64;
            context.length_name = read.length_name;
            session.req_header_mut().insert_header(context.length_name.clone(), held.bytes.len())?;
            context.body = Some(held);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        if let Some(answer) = local::answer(session.req_header(), &self.shared, context) {
            answer.send(session, &context.request_id).await?;
            return Ok(true);
        }
        if let Some(answer) = rewrite::respond(session.req_header(), context) {
            answer.send(session, &context.request_id).await?;
            return Ok(true);
        }
        context.destination = match context.snapshot.choose(&session.req_header().headers) {
            Ok(destination) => destination,
            Err(refusal) => {
                context.rejected = Some(refusal.reason);
                let answer = Answer::error(refusal.status, &refusal.message, &context.request_id);
                answer.send(session, &context.request_id).await?;
                return Ok(true);
            }
        };
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let upstream = Arc::clone(&context.destination().upstream);
        let addresses = upstream.addresses().await.map_err(|error| {
            log::warn!("upstream \"{}\": {error}", upstream.config.name);
            Error::because(ErrorType::Custom("resolve"), "resolving the upstream", error).into_up()
        })?;
        let address = addresses[context.attempts as usize % addresses.len()];
        context.attempts += 1;
        context.attempt = Attempt {
            address: Some(address),
            addresses: addresses.len(),
            began: Some(Instant::now()),
            ..Attempt::default()
        };
        Ok(Box::new(upstream.peer(address, context.was_stale)))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let client = session.req_header();
        forward::head(request, client.version == Version::HTTP_2, context)?;
        rewrite::request(request, client, context)?;
        forward::length(request, context)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        chunk: &mut Option<Bytes>,
        _end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        // After a switch of protocols the bytes are the tunnel's.
        if !session.was_upgraded() {
            *chunk = forward::body(context);
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let address = peer._address.as_inet();
        log::debug!(
            "{}: attempt {} at {address:?} failed: {}",
            context.request_id,
            context.attempts,
            error.etype().as_str()
        );
        error.set_retry(failure::may_try_another_address(context));
        error
    }

    /// The default forbids every retry of a POST. A kept connection that the upstream closed in the meantime is no
    /// fault of the request's, and its body is here as a whole: that is tried again.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let nothing_came = session.response_written().is_none() && !context.attempt.something_came;
        // Later than that the upstream may have worked on it.
        let is_early = context.attempt.began.is_some_and(|began| began.elapsed() < STALE_WITHIN);
        let is_lost = matches!(
            error.etype(),
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error
        );
        let is_stale = reused && nothing_came && is_early && is_lost && *error.esource() == ErrorSource::Upstream;
        error.set_retry(is_stale && !context.was_stale);
        context.was_stale |= is_stale;
        error
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        respond::check(response, session.is_upgrade_req())?;
        context.attempt.something_came = true;
        if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
            context.first_byte.get_or_insert_with(Instant::now);
            // Nothing can be tried again from here on: what is still being sent, Pingora holds.
            context.body = None;
            context.attempt.body = None;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let client = session.req_header();
        respond::head(response, client.version == Version::HTTP_10, &context.request_id)?;
        rewrite::response(response, client, context);
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let failure = failure::read(error, context);
        // Not Pingora's own words: they quote what the other side sent.
        log::debug!("{}: {} ({})", context.request_id, failure.message, error.etype().as_str());
        // Pingora closes the connection after a failure, so the client is told.
        session.set_keepalive(None);
        if failure.status > 0
            && !session.was_upgraded()
            && session.response_written().is_none_or(|response| response.status.is_informational())
            && let Err(error) = failure.answer(&context.request_id).send(session, &context.request_id).await
        {
            log::debug!("{}: the client did not get its error: {}", context.request_id, error.etype().as_str());
        }
        FailToProxy { error_code: failure.status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        self.shared.finish(&finish::record(session, error, context));
    }

    /// The access log says it all, without the query, which may hold keys.
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Context, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    fn request_summary(&self, _: &Session, context: &Context) -> String {
        context.request_id.clone()
    }
}
