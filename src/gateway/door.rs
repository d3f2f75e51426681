//! What comes before Pingora's proxy: one task per client connection, which reads and checks each HTTP/1 request
//! and answers by itself what Pingora must not see. Pingora takes HTTP/2 connections apart; their requests are read
//! and checked here too.

use super::answer::{Answer, new_request_id};
use super::body_budget::Owners;
use super::clean::Names;
use super::client::{Begun, ClientStream, Control, Expected, NoRequest};
use super::finish::key_fingerprint;
use super::held::Hold;
use super::http2::{self, Unread, WholeRequest};
use super::identity::{self, Found};
use super::local::{self, Pages, Whose};
use super::snapshot::{self, Snapshot, X_FORWARDED_FOR, peer};
use super::unsent::Taking;
use super::{Budget, Gateway, Shared};
use crate::access_log;
use crate::config::Limits;
use crate::connections::{self, Place, Serving, making_room};
use crate::upstream::sessions::Client;
use async_trait::async_trait;
use bytes::BytesMut;
use gateway_core::addresses::{Origin, client_group};
use gateway_core::http1::Refusal;
use gateway_core::http1::head::field_values;
use gateway_core::reason::Reason;
use gateway_core::record::{Cause, Outcome, RequestRecord};
use gateway_core::redact::MASK;
use http::HeaderMap;
use http::uri::Authority;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, HttpSession as Http2Session, default_h2_options};
use pingora::protocols::{ALPN, GetSocketDigest, SocketDigest, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora_prometheus::prometheus::{self, IntCounter, IntGauge};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The application of a listener: it reads requests, and hands them to another one.
pub struct Door<A> {
    app: Arc<A>,
    /// Where the requests of HTTP/2 connections go; `None` where only HTTP/1 is spoken.
    http2: Option<Http2Parts>,
    rules: Arc<HouseRules>,
}

/// What the doors of all HTTP/2 connections are made of.
struct Http2Parts {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
}

/// What both kinds of connections go by.
struct HouseRules {
    shared: Arc<Shared>,
    budget: Budget,
    pages: Arc<dyn Pages>,
    /// Whether every request is one for the gateway's own pages.
    is_all_own: bool,
}

impl Door<HttpProxy<Gateway>> {
    /// The door of the proxy.
    pub fn new(proxy: HttpProxy<Gateway>, shared: Arc<Shared>, pages: Arc<dyn Pages>) -> Self {
        let app = Arc::new(proxy);
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(shared.snapshot.load().config.limits.keepalive_timeout);
        let budget = shared.budget.clone();
        let rules = Arc::new(HouseRules { shared, budget, pages, is_all_own: false });
        let http2 = Some(Http2Parts { proxy: Arc::clone(&app), options });
        Self { app, http2, rules }
    }
}

impl<A: HttpServerApp + Send + Sync + 'static> Door<A> {
    /// The door of an application that serves nothing but the gateway's own pages, over HTTP/1. Bodies have a budget of
    /// their own, so that those of other clients keep nobody out.
    pub fn of_pages(app: A, shared: Arc<Shared>, pages: Arc<dyn Pages>) -> Result<Self, prometheus::Error> {
        let evicted = || IntCounter::new("evicted", "Not shown.");
        let budget = Budget::new(IntGauge::new("held", "Not shown.")?, [evicted()?, evicted()?]);
        let rules = Arc::new(HouseRules { shared, budget, pages, is_all_own: true });
        Ok(Self { app: Arc::new(app), http2: None, rules })
    }

    /// Reads requests from a connection and has them handled, until one of both ends it.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let shared = &self.rules.shared;
        let mut client = Box::new(ClientStream::new(stream));
        let place = connections::served();
        let mut settings = None;
        let mut is_first = true;
        // A new connection is for a request that is on its way: the process does not end before it was answered.
        let mut busy = Some(shared.drain.enter());
        loop {
            let snapshot = shared.snapshot.load_full();
            let limits = &snapshot.config.limits;
            // Who has just come wants something: silence is for those who were answered.
            let patience = if is_first { limits.header_timeout } else { limits.keepalive_timeout };
            let waited = tokio::select! {
                biased;
                waited = client.wait(patience) => waited,
                () = closing(shutdown, is_first) => return,
                () = making_room(place.as_ref()) => return,
            };
            if waited.is_err() {
                return;
            }
            busy.get_or_insert_with(|| shared.drain.enter());
            let is_plain = is_first && client.get_ssl_digest().is_none();
            if let Some(http2) = self.http2.as_ref().filter(|_| is_first && is_http2 || is_plain) {
                let is_http2_after_all = tokio::select! {
                    found = client.is_http2(limits) => found,
                    () = making_room(place.as_ref()) => return,
                };
                match is_http2_after_all {
                    Ok(true) => {
                        // Its requests count by themselves.
                        drop(busy.take());
                        return self.serve_http2(http2, client, limits, place.as_ref(), shutdown).await;
                    }
                    // TLS said HTTP/2, and it is something else (RFC 9113 section 3.4).
                    _ if is_http2 => return,
                    Ok(false) => {}
                    Err(error) => return self.turn_away(*client, error).await,
                }
            }
            is_first = false;
            let begun = tokio::select! {
                begun = client.read_head(limits) => begun,
                // Who takes long for a head is as idle as who sends nothing.
                () = making_room(place.as_ref()) => return,
            };
            let read = match begun {
                Ok(begun) => self.rules.read(&mut client, begun, &snapshot, place.as_ref()).await,
                Err(error) => Err(error),
            };
            let (head, _serving) = match read {
                Ok(read) => read,
                Err(error) => return self.turn_away(*client, error).await,
            };
            let mut session = ServerSession::new_http1(client);
            match settings.take() {
                Some(settings) => HttpPersistentSettings::apply_to_session(settings, &mut session),
                None => session.set_keepalive(Some(limits.keepalive_timeout.as_secs().max(1))),
            }
            session.set_pipelined_prefix(head);
            let Some(reused) = self.app.process_new_http(session, shutdown).await else { return };
            let (stream, persistent) = reused.consume();
            settings = persistent;
            // It is the stream that went in.
            let Ok(same) = stream.into_any().downcast() else { return };
            client = same;
            busy = None;
        }
    }

    /// Has Pingora take an HTTP/2 connection apart. Its first request has as long as that of any other connection.
    async fn serve_http2(
        &self,
        parts: &Http2Parts,
        client: Box<ClientStream>,
        limits: &Limits,
        place: Option<&Place>,
        shutdown: &ShutdownWatch,
    ) {
        let first = client.control();
        first.expect_first_byte(Some(limits.header_timeout));
        let (proxy, rules, options) = (Arc::clone(&parts.proxy), Arc::clone(&self.rules), parts.options.clone());
        let http2 = Arc::new(Http2Door { proxy, rules, options, first, place: place.cloned() });
        tokio::select! {
            _ = http2.process_new(client, shutdown) => {}
            // Without a stream: the streams that there are would not end with it.
            () = making_room(place) => {}
        }
    }

    /// Ends a connection from which no request could be read.
    async fn turn_away(&self, client: ClientStream, error: NoRequest) {
        let (refusal, outcome) = match error {
            NoRequest::Gone => return,
            NoRequest::Aborted => (
                Refusal::bad(Reason::Incomplete, "The connection was closed in the middle of the request."),
                Outcome::ClientAborted,
            ),
            NoRequest::Refused(refusal) => (refusal, Outcome::Rejected),
            NoRequest::Answered(answer, request_id) => return self.send(client, answer, &request_id).await,
        };
        self.refuse(client, refusal, outcome, Instant::now()).await;
    }

    /// Answers a request that could not be read, counts and logs it, and closes the connection.
    async fn refuse(&self, client: ClientStream, refusal: Refusal, outcome: Outcome, started: Instant) {
        let request_id = new_request_id();
        let answer = Answer::error(refusal.status, &refusal.message, &request_id);
        let record = {
            let snapshot = self.rules.shared.snapshot.load();
            let lines = field_values(client.refused_head(), X_FORWARDED_FOR);
            let address = client.peer().map(|peer| snapshot.config.trusted_proxies.origin(peer, lines).client);
            let record = unread(request_id.clone(), address, &refusal, outcome, started, answer.body.len());
            match client.refused() {
                Some(request) => RequestRecord { http: "1.1", ..self.rules.named(&request, &snapshot, record) },
                None => record,
            }
        };
        self.rules.finish(record);
        self.send(client, answer, &request_id).await;
    }

    /// Sends a last answer.
    async fn send(&self, client: ClientStream, answer: Answer, request_id: &str) {
        if answer.is_silence() {
            return;
        }
        let bytes = answer.to_http1(request_id, client.refused_is_head());
        let write_timeout = self.rules.shared.snapshot.load().config.limits.write_timeout;
        let place = connections::served();
        tokio::select! {
            biased;
            () = client.send_last(&bytes, write_timeout) => {}
            // It waits for no more than that its answer is read.
            () = making_room(place.as_ref()) => {}
        }
    }
}

impl HouseRules {
    /// Reads the rest of a request; what of it is for Pingora, and its part of the connections while it is served.
    async fn read(
        &self,
        client: &mut ClientStream,
        begun: Begun,
        snapshot: &Arc<Snapshot>,
        place: Option<&Place>,
    ) -> Result<(BytesMut, Option<Serving>), NoRequest> {
        let lines = field_values(begun.head(), X_FORWARDED_FOR);
        let origin = client.peer().map(|peer| snapshot.config.trusted_proxies.origin(peer, lines));
        let begin = |place: &Place| place.begin(origin.map(|origin| origin.client));
        let Ok(mut serving) = place.map(begin).transpose() else {
            client.refuse(begun);
            return Err(Refusal::no_room().into());
        };
        client.watch(self.taking(origin, &snapshot.config.limits, client.get_socket_digest(), place));
        let head = self.read_rest(client, begun, origin.map(|origin| origin.client), snapshot).await?;
        // It may have had to make room in the last moment.
        serving.as_mut().map_or(Ok(()), Serving::whole).map_err(|_| Refusal::no_room())?;
        Ok((head, serving))
    }

    async fn read_rest(
        &self,
        client: &mut ClientStream,
        begun: Begun,
        address: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<BytesMut, NoRequest> {
        let limits = &snapshot.config.limits;
        if !begun.has_body() {
            return client.read_rest(begun, limits, None, snapshot.must_see_bodies).await;
        }
        let may_be_own = self.is_all_own || local::may_take_body(&begun.target());
        if let Some(request) = may_be_own.then(|| begun.request()).flatten().filter(|it| self.is_own(it, snapshot)) {
            return match self.admit(&request, address, snapshot).await {
                Ok((own, expected)) => {
                    let read = client.read_rest(begun, &own, Some(expected), false).await;
                    read.map_err(|error| match error {
                        NoRequest::Refused(refusal) => NoRequest::Refused(of_page(refusal, &own)),
                        other => other,
                    })
                }
                Err((answer, request_id)) => {
                    client.refuse(begun);
                    Err(NoRequest::Answered(answer, request_id))
                }
            };
        }
        let is_answered_here = |request: RequestHeader| identity::is_answered_here(&request, address, snapshot);
        let fields = identity::fields_of(begun.head());
        let may_come = || client.holds_body(&begun) || begun.request().is_some_and(is_answered_here);
        match self.expect(&fields, None, address, snapshot, may_come) {
            Ok(expected) => client.read_rest(begun, limits, Some(expected), snapshot.must_see_bodies).await,
            Err(refusal) => {
                client.refuse(begun);
                Err(refusal.into())
            }
        }
    }

    /// What is known of a body before it is read. One of a request that no upstream is there for comes in only if it
    /// `may_come` all the same.
    fn expect(
        &self,
        fields: &HeaderMap,
        authority: Option<&Authority>,
        client: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
        may_come: impl FnOnce() -> bool,
    ) -> Result<Expected, Refusal> {
        let identity = identity::identify(fields, authority, snapshot);
        if let Err(refusal) = &identity
            && !may_come()
        {
            return Err(refusal.clone());
        }
        let sender = identity.as_ref().map_or_else(|_| snapshot::client(fields), |identity| identity.sender);
        let hold = Hold::new(&self.budget, Owners::new(client, sender));
        Ok(Expected { hold, found: Some(Found { snapshot: Arc::clone(snapshot), identity }) })
    }

    /// Watches how a client takes its answer.
    fn taking(
        &self,
        origin: Option<Origin>,
        limits: &Limits,
        socket: Option<Arc<SocketDigest>>,
        place: Option<&Place>,
    ) -> Taking {
        let group = origin.map(|origin| client_group(origin.client));
        Taking::new(&self.shared.unsent, group, limits.write_timeout, limits.unsent_answers, socket, place.cloned())
    }

    fn is_own(&self, request: &RequestHeader, snapshot: &Snapshot) -> bool {
        self.is_all_own || local::whose(request, &snapshot.config) == Whose::Pages
    }

    /// The limits of a request for the gateway's own pages, and what is known of its body before that is read; or its
    /// answer.
    async fn admit(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        snapshot: &Snapshot,
    ) -> Result<(Limits, Expected), (Answer, String)> {
        let request_id = new_request_id();
        match self.pages.admit(request, client, &request_id).await {
            Ok(request_body) => {
                let hold = Hold::new(&self.budget, Owners::new(client, Client::UNKNOWN));
                let limits = Limits { request_body, ..snapshot.config.limits.clone() };
                Ok((limits, Expected { hold, found: None }))
            }
            Err(answer) => Err((answer, request_id)),
        }
    }

    /// What a record tells of the head of a request that was not read.
    fn named(&self, request: &RequestHeader, snapshot: &Snapshot, record: RequestRecord) -> RequestRecord {
        let (method, path) = match self.shared.panel.carried(request, b"") {
            // Any of them may hold it.
            Some(_) => (MASK.to_owned(), MASK.to_owned()),
            None => (request.method.to_string(), Names::of(request, None, &snapshot.secrets).path),
        };
        RequestRecord { method, path, key: key_fingerprint(&request.headers), ..record }
    }

    /// Counts and logs a request that was not read. Those of the admin service are no traffic.
    fn finish(&self, record: RequestRecord) {
        match self.is_all_own {
            true => access_log::write_local(&record),
            false => self.shared.finish(record),
        }
    }
}

/// A refusal of a request for one of the gateway's own pages, whose bodies have a bound that nobody can set.
fn of_page(refusal: Refusal, limits: &Limits) -> Refusal {
    match refusal.reason {
        Reason::RequestBody => {
            let message = format!("The body is larger than {} bytes.", limits.request_body);
            Refusal::new(refusal.status, refusal.reason, message)
        }
        _ => refusal,
    }
}

/// The record of a request that was not read to its end.
fn unread(
    request_id: String,
    client: Option<IpAddr>,
    refusal: &Refusal,
    outcome: Outcome,
    started: Instant,
    response_bytes: usize,
) -> RequestRecord {
    RequestRecord {
        duration: started.elapsed(),
        client,
        status: refusal.status,
        outcome,
        reason: Some(refusal.reason),
        response_bytes: response_bytes as u64,
        cause: (outcome == Outcome::Rejected).then_some(Cause::Rejected),
        ..RequestRecord::new(request_id, SystemTime::now() - started.elapsed())
    }
}

/// How long a new connection waits for its first request when the process shuts down.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Resolves when an idle connection is to be closed because the process shuts down.
async fn closing(shutdown: &ShutdownWatch, is_first: bool) {
    let mut shutdown = shutdown.clone();
    if shutdown.wait_for(|&is_shutting_down| is_shutting_down).await.is_err() {
        std::future::pending().await
    }
    if is_first {
        tokio::time::sleep(FIRST_REQUEST).await;
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Door<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.serve(stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// Streams that an HTTP/2 connection may have open.
const MOST_STREAMS: u32 = 100;
/// What is held of a stream that was sent, but that the connection has not taken yet.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// The same for the requests of one HTTP/2 connection, which Pingora takes apart.
struct Http2Door {
    proxy: Arc<HttpProxy<Gateway>>,
    rules: Arc<HouseRules>,
    options: HttpServerOptions,
    /// The connection's deadline for its first request.
    first: Arc<Control>,
    place: Option<Place>,
}

#[async_trait]
impl HttpServerApp for Http2Door {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let ServerSession::H2(mut session) = session else { return None };
        self.first.expect_first_byte(None);
        let _busy = self.rules.shared.drain.enter();
        let snapshot = self.rules.shared.snapshot.load_full();
        let started = Instant::now();
        let origin = snapshot.origin(peer(session.client_addr()), &session.req_header().headers);
        match self.read(&mut session, origin.map(|origin| origin.client), &snapshot).await {
            Ok((control, _serving)) => {
                let socket = session.digest().and_then(|digest| digest.socket_digest.clone());
                let taking = self.rules.taking(origin, &snapshot.config.limits, socket, self.place.as_ref());
                let whole = ServerSession::new_custom(Box::new(WholeRequest::new(session, control, taking)));
                return self.proxy.process_new_http(whole, shutdown).await;
            }
            // The connection ended with all of its requests.
            Err(Unread::Aborted) if self.place.as_ref().is_some_and(Place::is_closing) => {
                let refusal = Refusal { status: 0, ..Refusal::no_room() };
                self.finish(&session, new_request_id(), &refusal, Outcome::Rejected, started, 0);
            }
            Err(Unread::Aborted) => {
                let gone = Refusal::bad(Reason::Incomplete, "The client gave the request up.");
                let refusal = Refusal { status: 0, ..gone };
                self.finish(&session, new_request_id(), &refusal, Outcome::ClientAborted, started, 0);
            }
            Err(Unread::Refused(refusal)) => {
                let request_id = new_request_id();
                let answer = Answer::error(refusal.status, &refusal.message, &request_id);
                let bytes = answer.body.len();
                send_http2(&mut session, answer, &request_id).await;
                self.finish(&session, request_id, &refusal, Outcome::Rejected, started, bytes);
            }
            Err(Unread::Answered(answer, request_id)) => send_http2(&mut session, answer, &request_id).await,
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
    /// Reads a whole request; what Pingora's session is told about it, and its part of the connections while it is served.
    async fn read(
        &self,
        session: &mut Http2Session,
        client: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(Arc<Control>, Option<Serving>), Unread> {
        let serving = self.place.as_ref().map(|place| place.begin(client)).transpose();
        let mut serving = serving.map_err(|_| Refusal::no_room())?;
        let control = self.read_rest(session, client, snapshot).await?;
        serving.as_mut().map_or(Ok(()), Serving::whole).map_err(|_| Refusal::no_room())?;
        Ok((control, serving))
    }

    async fn read_rest(
        &self,
        session: &mut Http2Session,
        client: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Arc<Control>, Unread> {
        let limits = &snapshot.config.limits;
        let has_body = !session.is_body_empty();
        let request = session.req_header();
        http2::check(request, limits)?;
        if !has_body {
            return http2::read(session, limits, None).await;
        }
        if self.rules.is_own(request, snapshot) {
            return match self.rules.admit(request, client, snapshot).await {
                Ok((own, expected)) => http2::read(session, &own, Some(expected)).await.map_err(|error| match error {
                    Unread::Refused(refusal) => Unread::Refused(of_page(refusal, &own)),
                    other => other,
                }),
                Err((answer, request_id)) => Err(Unread::Answered(answer, request_id)),
            };
        }
        let may_come = || identity::is_answered_here(request, client, snapshot);
        let expected = self.rules.expect(&request.headers, request.uri.authority(), client, snapshot, may_come)?;
        http2::read(session, limits, Some(expected)).await
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
