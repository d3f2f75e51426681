//! The proxy: Pingora's [`ProxyHttp`], each phase a short call into the file of its concern.

mod answer;
mod browser;
mod clean;
mod client;
mod client_keys;
mod cross_site;
mod door;
mod explain;
mod health_checks;
mod house_rules;
mod http2_door;
mod identity;
mod key_search;
mod local;
mod panel_key;
mod proxy;
pub mod running;
mod shared;
mod snapshot;
mod upstream_metrics;

use crate::access_log;
use async_trait::async_trait;
use bytes::Bytes;
use clean::Names;
use gateway_core::reason::Reason;
use gateway_core::record::fault::Reader;
use gateway_core::redact;
use http::{StatusCode, Version};
use local::Whose;
use panel_key::Carried;
use pingora::ErrorSource;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use proxy::context::{Attempt, Context, InFlight};
use proxy::ending::Ending;
use proxy::{apply_rules, downstream, failover, failure, finish, observe, request_head, response};
use running::Phase;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use answer::{Answer, new_request_id};
pub use door::Door;
pub use explain::explain;
pub use health_checks::HealthChecks;
pub use local::{LocalHandler, LocalRequest, SESSION_COOKIES};
pub use panel_key::{PanelKey, PanelKeys, looks_like_ticket, ticket};
pub use proxy::downstream::take_body;
pub use shared::Shared;
pub use snapshot::{Snapshot, peer};
pub use upstream_metrics::Upstreams;

/// How long an answer waits that cannot be read as fast as it comes.
const PAUSE: Duration = Duration::from_millis(1);

/// The proxy's logic.
pub struct Gateway {
    shared: Arc<Shared>,
    pages: Arc<dyn LocalHandler>,
}

impl Gateway {
    /// A proxy over the shared state, with pages of its own.
    pub fn new(shared: Arc<Shared>, pages: Arc<dyn LocalHandler>) -> Self {
        Self { shared, pages }
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
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.shared.snapshot.load_full(), new_request_id(), &self.shared.metrics.in_flight)
    }

    async fn early_request_filter(&self, session: &mut Session, context: &mut Context) -> Result<()> {
        let origin = context.snapshot.origin(snapshot::peer(session.client_addr()), &session.req_header().headers);
        context.came_from(origin);
        if let Some(read) = downstream::take_request(session) {
            context.started = read.started;
            context.started_at = SystemTime::now() - read.started.elapsed();
            context.request_bytes = read.body.as_ref().map_or(0, |held| held.bytes.len() as u64);
            context.length_name = read.length_name;
            context.body = read.body;
            if let Some(found) = read.found {
                context.snapshot = found.snapshot;
                context.identity = Some(found.identity);
            }
            context.control = Some(read.control);
        }
        self.close_if_draining(session);
        downstream::prepare(session, context)
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let whose = local::whose(session.req_header(), &context.snapshot.config);
        if whose != Whose::Upstreams {
            context.is_local = true;
            context.in_flight = None;
            match whose {
                Whose::Pages => downstream::serve_local(session, &*self.pages, context).await?,
                _ => downstream::send(local::nothing_here(&context.request_id), session, context).await?,
            }
            return Ok(true);
        }
        // Before anything of it is kept, and before a rule answers.
        let body = context.body.as_ref().map_or(&b""[..], |held| &held.bytes);
        if let Some(carried) = self.shared.panel.carried(session.req_header(), body) {
            context.rejected = Some(Reason::PanelKey);
            if carried == Carried::InHead {
                // Any of them may hold it.
                context.names = Some(Names { path: redact::MASK.to_owned(), ..Names::default() });
            }
            downstream::send(local::panel_key_refused(carried, &context.request_id), session, context).await?;
            return Ok(true);
        }
        let request = session.req_header();
        let identity = context.identity.take();
        let identity = identity
            .unwrap_or_else(|| identity::identify(&request.headers, request.uri.authority(), &context.snapshot));
        observe::begin(request, &self.shared.running, context);
        if browser::wants_service_worker(&request.headers) {
            context.rejected = Some(Reason::ServiceWorker);
            let answer = browser::refuse_service_worker(&context.request_id);
            downstream::send(answer, session, context).await?;
            return Ok(true);
        }
        if let Some(answer) = apply_rules::respond(request, context) {
            downstream::send(answer, session, context).await?;
            return Ok(true);
        }
        match identity {
            Ok(identity) => {
                context.group = identity.group;
                context.sender = identity.sender;
            }
            Err(refusal) => {
                context.rejected = Some(refusal.reason);
                let answer = Answer::error(refusal.status, &refusal.message, &context.request_id);
                downstream::send(answer, session, context).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        if context.attempts > 0 {
            // First of all: to look at the client would let a head go out whose time is over.
            downstream::start_over(session, context)?;
            if downstream::is_client_gone(session, context) {
                return Err(Error::new_down(ErrorType::ConnectionClosed));
            }
        }
        if context.ticket.is_none() {
            failover::enter(session, context).await?;
        }
        context.entered.get_or_insert_with(Instant::now);
        if let Some(running) = &context.running {
            running.at_upstream(context.destination);
            running.phase(Phase::Connect);
        }
        context.first_byte = None;
        context.attempt = Attempt { began: Some(Instant::now()), ..Attempt::default() };
        let is_fresh = std::mem::take(&mut context.must_be_fresh);
        // A second try at the same upstream, because its kept connection was closed, is no attempt of its own.
        context.attempts += u32::from(!is_fresh);
        Ok(Box::new(context.destination().upstream.peer(is_fresh)))
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        context: &mut Context,
    ) -> Result<()> {
        let now = Instant::now();
        context.attempt.connected = Some(now);
        if let Some(began) = context.attempt.began.filter(|_| !reused) {
            self.shared.metrics.connected(&context.destination().upstream.config.name, now.duration_since(began));
        }
        if let Some(running) = &context.running {
            running.phase(Phase::Wait);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let client = session.req_header();
        request_head::head(request, client.version == Version::HTTP_2, context)?;
        apply_rules::request(request, client, context)?;
        request_head::length(request, context)?;
        context.destination().upstream.address_to_proxy(request)?;
        let upstream = &context.destination().upstream.config;
        // A longer one would be read_timeout's, which Pingora keeps.
        let within = Some(upstream.first_byte_timeout).filter(|&within| within < upstream.read_timeout);
        if let Some(control) = &context.control {
            control.expect_first_byte(within);
        }
        Ok(())
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
            *chunk = request_head::body(context);
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.as_up();
        let fault = failure::fault(&error, context);
        error.set_retry(failover::take_over(context, &fault));
        error
    }

    /// The default forbids every retry of a POST; here the whole body is kept, and as long as the client has nothing
    /// of an answer, another upstream can give one.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        if failure::is_settled(&error) {
            return error;
        }
        let mut error = failure::unless_late(error, context);
        error.set_retry(false);
        if *error.esource() != ErrorSource::Upstream {
            return error;
        }
        let has_begun = downstream::has_answer_begun(session, context);
        if !has_begun && !context.was_stale && reused && context.attempt.may_be_stale(error.etype()) {
            context.was_stale = true;
            context.must_be_fresh = true;
            error.set_retry(true);
            return error;
        }
        let fault = failure::fault(&error, context);
        match has_begun {
            true => context.destination().upstream.failed(fault),
            false => error.set_retry(failover::take_over(context, &fault)),
        }
        error
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        response::check(response, session.is_upgrade_req())?;
        context.attempt.something_came = true;
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return response::bound_interim(response, context);
        }
        if let Some(control) = &context.control {
            control.expect_first_byte(None);
        }
        match response::judge(response, session.req_header(), context) {
            Ok(()) => {
                context.attempt.is_good = true;
                failover::succeeded(context);
            }
            Err(bad) => {
                bad.apply_retry_after(context);
                let is_taken_over = failover::take_over(context, &bad.fault);
                if is_taken_over || !bad.fault.has_response() {
                    let mut error = failure::settled(bad.fault);
                    error.set_retry(is_taken_over);
                    return Err(error);
                }
            }
        }
        context.first_byte.get_or_insert_with(Instant::now);
        let limits = context.snapshot.config.limits.meter;
        context.attempt.meter = response::meter(response, session.req_header(), context.started, limits);
        context.attempt.error_body = response::error_body(response);
        if response::is_stream(response) {
            context.stream = Some(InFlight::new(&self.shared.metrics.streams));
        }
        if let Some(running) = &context.running {
            running.phase(Phase::Answer);
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        bytes: &mut Option<Bytes>,
        _: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        context.forget_body();
        let Some(bytes) = bytes else { return Ok(None) };
        if let Some(meter) = &mut context.attempt.meter {
            meter.push(bytes, Instant::now());
        }
        if let Some(error) = &mut context.attempt.error_body {
            error.push(bytes);
        }
        if let Some(running) = &context.running {
            running.got(bytes.len());
        }
        // An answer that stands for more than can be read in one go: others have their turn first.
        let is_behind = context.attempt.meter.as_ref().is_some_and(|meter| meter.is_behind());
        Ok(is_behind.then_some(PAUSE))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        self.close_if_draining(session);
        let client = session.req_header();
        let is_http10 = client.version == Version::HTTP_10;
        response::head(response, is_http10, context)?;
        apply_rules::response(response, client, context);
        browser::confine(response, &client.headers)?;
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        match &context.control {
            Some(control) if response::has_body_to_come(response, &client.method, is_http10) => {
                control.hold_next_head(context.snapshot.config.failover.hold_head);
            }
            // Nothing can be tried again from here on: what is still being sent, Pingora holds.
            _ => context.forget_body(),
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
        let failure = failure::read(error, context);
        // Not Pingora's own words: they quote what the other side sent.
        let told = failure.told(context, Reader::Operator);
        log::debug!("{}: {told} ({})", context.request_id, error.etype().as_str());
        // Pingora closes the connection after a failure, so the client is told.
        session.set_keepalive(None);
        let is_unanswered = context.is_head_held()
            || session.response_written().is_none_or(|response| response.status.is_informational());
        let status = failure.status(context);
        if status > 0 && !session.was_upgraded() && is_unanswered {
            let answered = async {
                downstream::start_over(session, context)?;
                session.set_keepalive(None);
                downstream::send(failure.answer(context), session, context).await
            };
            if let Err(error) = answered.await {
                log::debug!("{}: the client did not get its error: {}", context.request_id, error.etype().as_str());
            }
        }
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        while let Some(meter) = context.attempt.meter.as_mut().filter(|meter| meter.is_behind()) {
            meter.catch_up();
            tokio::task::yield_now().await;
        }
        let ending = Ending::of(session, error, context);
        ending.settle(context);
        let record = finish::record(session, ending, context);
        match context.is_local {
            true => access_log::write_local(&record),
            false => self.shared.finish(record),
        }
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
