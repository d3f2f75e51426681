//! The door of HTTP/2: Pingora takes the connection apart, and each of its requests is read and checked here before it
//! handles it.

use super::Gateway;
use super::answer::{Answer, Recipient, new_request_id};
use super::client::http2;
use super::client::request::NoRequest;
use super::client::response_hold::ResponseHold;
use super::client::whole_request::WholeRequest;
use super::house_rules::{HouseRules, of_page, unread};
use super::snapshot::{Snapshot, peer};
use crate::connections::{Place, Serving};
use async_trait::async_trait;
use gateway_core::addresses::Origin;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::reason::Reason;
use gateway_core::record::{Outcome, RequestRecord};
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, HttpSession as Http2Session, default_h2_options};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Streams that an HTTP/2 connection may have open.
const MOST_STREAMS: u32 = 100;
/// What is held of a stream that was sent, but that the connection has not taken yet.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The same for the requests of one HTTP/2 connection, which Pingora takes apart.
pub(super) struct Http2Door {
    /// Handles the requests.
    pub proxy: Arc<HttpProxy<Gateway>>,
    /// What they go by.
    pub rules: Arc<HouseRules>,
    /// What Pingora takes the connection apart with.
    pub options: HttpServerOptions,
    /// The connection's deadline for its first request.
    pub first: Arc<ResponseHold>,
    /// The connection's place.
    pub place: Option<Place>,
}

#[async_trait]
impl HttpServerApp for Http2Door {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let ServerSession::H2(mut session) = session else { return None };
        self.first.expect_nothing();
        let _busy = self.rules.shared.drain.enter();
        let snapshot = self.rules.shared.snapshot.load_full();
        let started = Instant::now();
        let origin = snapshot.origin(peer(session.client_addr()), &session.req_header().headers);
        match self.read(&mut session, origin, &snapshot).await {
            Ok((hold, _serving)) => {
                let socket = session.digest().and_then(|digest| digest.socket_digest.clone());
                let taking = self.rules.taking(origin, &snapshot.config.limits, socket, self.place.as_ref());
                let whole = ServerSession::new_custom(Box::new(WholeRequest::new(session, hold, taking)));
                return self.proxy.process_new_http(whole, shutdown).await;
            }
            // The connection ended with all of its requests.
            Err(NoRequest::Aborted) if self.place.as_ref().is_some_and(Place::is_closing) => {
                let refusal = Refusal { status: 0, ..Refusal::no_room() };
                self.finish(&session, new_request_id(), &refusal, Outcome::Rejected, started, 0);
            }
            Err(NoRequest::Aborted | NoRequest::Gone) => {
                let gone =
                    Refusal::bad(Reason::Incomplete, both!("The client gave the request up.", "客户端放弃了请求。"));
                let refusal = Refusal { status: 0, ..gone };
                self.finish(&session, new_request_id(), &refusal, Outcome::ClientAborted, started, 0);
            }
            Err(NoRequest::Refused(refusal)) => {
                let request_id = new_request_id();
                let headers = &session.req_header().headers;
                let to = Recipient::of(&request_id, headers, snapshot.config.language);
                let answer = Answer::refusal(&refusal, to);
                let bytes = answer.body.len();
                send_http2(&mut session, answer, &request_id).await;
                self.finish(&session, request_id, &refusal, Outcome::Rejected, started, bytes);
            }
            Err(NoRequest::Answered(answer, request_id)) => send_http2(&mut session, answer, &request_id).await,
        }
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        let head = &self.rules.shared.snapshot.load().config.limits.head;
        // Each field counts for 32 bytes more than it has (RFC 9113 section 6.5.2).
        let list_bytes = head.header_bytes + 32 * head.header_count;
        let mut options = default_h2_options();
        options.max_header_list_size(u32::try_from(list_bytes).unwrap_or(u32::MAX));
        options.max_concurrent_streams(MOST_STREAMS);
        options.max_send_buffer_size(SEND_BUFFER_BYTES);
        Some(options)
    }
}

async fn send_http2(session: &mut Http2Session, answer: Answer, request_id: &str) {
    if let Err(error) = http2::answer(session, answer, request_id).await {
        log::debug!("{request_id}: the client did not get its answer: {}", error.etype().as_str());
    }
}

impl Http2Door {
    /// Reads a whole request; what Pingora's session is told about it, and its part of the connections while it is
    /// served.
    async fn read(
        &self,
        session: &mut Http2Session,
        origin: Option<Origin>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(Arc<ResponseHold>, Option<Serving>), NoRequest> {
        let mut serving = {
            let is_own = || self.rules.is_own(session.req_header(), snapshot);
            self.rules.begin(origin, snapshot, self.place.as_ref(), is_own)?
        };
        let hold = self.read_rest(session, origin.map(|origin| origin.client), snapshot).await?;
        serving.as_mut().map_or(Ok(()), Serving::whole).map_err(|_| Refusal::no_room())?;
        Ok((hold, serving))
    }

    async fn read_rest(
        &self,
        session: &mut Http2Session,
        client: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Arc<ResponseHold>, NoRequest> {
        let limits = &snapshot.config.limits;
        let has_body = !session.is_body_empty();
        let request = session.req_header();
        http2::check(request, limits)?;
        if !has_body {
            return http2::read(session, limits, None).await;
        }
        if self.rules.is_own(request, snapshot) {
            return match self.rules.admit(request, client, snapshot).await {
                Ok((own, expected)) => {
                    http2::read(session, &own, Some(expected)).await.map_err(|error| of_page(error, &own))
                }
                Err((answer, request_id)) => Err(NoRequest::Answered(answer, request_id)),
            };
        }
        let may_come = |is_barred| self.rules.is_answered_here(request, is_barred, client, snapshot);
        match self.rules.expect(&request.headers, request.uri.authority(), client, snapshot, may_come) {
            Ok(expected) => http2::read(session, limits, Some(expected)).await,
            Err(refusal) => Err(self.rules.slowed(refusal, client).await),
        }
    }

    fn finish(
        &self,
        session: &Http2Session,
        request_id: String,
        refusal: &Refusal,
        outcome: Outcome,
        started: Instant,
        response_bytes: usize,
    ) {
        let request = session.req_header();
        let snapshot = self.rules.shared.snapshot.load();
        let origin = snapshot.origin(peer(session.client_addr()), &request.headers);
        let client = origin.map(|origin| origin.client);
        let record = unread(request_id, client, refusal, outcome, started, response_bytes);
        self.rules.finish(RequestRecord { http: "2", ..self.rules.named(request, &snapshot, record) });
    }
}
