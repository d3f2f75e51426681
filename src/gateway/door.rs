//! What comes before Pingora's proxy: one task per client connection, which reads and checks each HTTP/1 request
//! and answers by itself what Pingora must not see. HTTP/2 connections go on to [`Http2Door`].

use super::Gateway;
use super::answer::{Answer, Recipient, new_request_id};
use super::client::body_budget::Budget;
use super::client::http1::ClientStream;
use super::client::request::NoRequest;
use super::house_rules::{HouseRules, unread};
use super::http2_door::Http2Door;
use super::local::LocalHandler;
use super::shared::Shared;
use super::snapshot::X_FORWARDED_FOR;
use crate::config::Limits;
use crate::connections::{self, Place, making_room};
use crate::upstream::clock::now_ms;
use async_trait::async_trait;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::http1::head::field_values;
use gateway_core::reason::Reason;
use gateway_core::record::{Outcome, RequestRecord};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora_prometheus::prometheus::{self, IntCounter, IntGauge};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The application of a listener: it reads requests, and hands them to another one.
pub(crate) struct Door<A> {
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

impl Door<HttpProxy<Gateway>> {
    /// The door of the proxy.
    pub(crate) fn new(proxy: HttpProxy<Gateway>, shared: Arc<Shared>, pages: Arc<dyn LocalHandler>) -> Self {
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
    pub(crate) fn of_pages(
        app: A,
        shared: Arc<Shared>,
        pages: Arc<dyn LocalHandler>,
    ) -> Result<Self, prometheus::Error> {
        let evicted = || IntCounter::new("evicted", "Not shown.");
        let budget = Budget::new(IntGauge::new("held", "Not shown.")?, [evicted()?, evicted()?]);
        let rules = Arc::new(HouseRules { shared, budget, pages, is_all_own: true });
        Ok(Self { app: Arc::new(app), http2: None, rules })
    }

    /// Reads requests from a connection and has them handled, until one of both ends it.
    ///
    /// What takes much room for a moment is on the heap, or each connection would keep the room as long as it is open.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let shared = &self.rules.shared;
        let mut client = Box::new(ClientStream::new(stream));
        let place = connections::served();
        // One for all requests: to enter and leave the list of those who wait takes a lock.
        let room = making_room(place.as_ref());
        // A timer that is put off costs next to nothing; a new one wakes the runtime's clock.
        let patience_ends = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(room, patience_ends);
        let mut shutting_down = shutdown.clone();
        let mut settings = None;
        let mut is_first = true;
        // A new connection is for a request that is on its way: the process does not end before it was answered.
        let mut busy = Some(shared.drain.enter());
        loop {
            // Who has just come wants something: silence is for those who were answered.
            let patience = {
                let limits = &shared.snapshot.load().config.limits;
                if is_first { limits.header_timeout } else { limits.keepalive_timeout }
            };
            patience_ends.as_mut().reset(tokio::time::Instant::now() + patience);
            let waited = tokio::select! {
                biased;
                waited = client.wait(patience_ends.as_mut()) => waited,
                () = closing(&mut shutting_down, is_first) => return,
                () = &mut room => return,
            };
            if waited.is_err() {
                return;
            }
            busy.get_or_insert_with(|| shared.drain.enter());
            // Only now: while nothing came, another configuration may have come into force.
            let snapshot = shared.snapshot.load_full();
            let limits = &snapshot.config.limits;
            let is_plain = is_first && client.get_ssl_digest().is_none();
            if let Some(http2) = self.http2.as_ref().filter(|_| is_first && is_http2 || is_plain) {
                let is_http2_after_all = tokio::select! {
                    found = client.is_http2(limits) => found,
                    () = &mut room => return,
                };
                match is_http2_after_all {
                    Ok(true) => {
                        // Its requests count by themselves.
                        drop(busy.take());
                        return Box::pin(self.serve_http2(http2, client, limits, place.as_ref(), shutdown)).await;
                    }
                    // TLS said HTTP/2, and it is something else (RFC 9113 section 3.4).
                    _ if is_http2 => return,
                    Ok(false) => {}
                    Err(error) => return Box::pin(self.turn_away(*client, error)).await,
                }
            }
            is_first = false;
            let begun = tokio::select! {
                begun = client.read_head(limits) => begun,
                // Who takes long for a head is as idle as who sends nothing.
                () = &mut room => return,
            };
            let read = match begun {
                Ok(begun) => Box::pin(self.rules.read(&mut client, begun, &snapshot, place.as_ref())).await,
                Err(error) => Err(error),
            };
            let (head, _serving) = match read {
                Ok(read) => read,
                Err(error) => return Box::pin(self.turn_away(*client, error)).await,
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
        let first = client.response_hold();
        first.expect_first_byte(Some(limits.header_timeout), now_ms());
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
                Refusal::bad(
                    Reason::Incomplete,
                    both!("The connection was closed in the middle of the request.", "请求还没发完，连接就关闭了。"),
                ),
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
        let (answer, record) = {
            let snapshot = self.rules.shared.snapshot.load();
            let to = Recipient::of_head(&request_id, client.refused_bytes(), snapshot.config.language);
            let answer = Answer::refusal(&refusal, to);
            let lines = field_values(client.refused_head(), X_FORWARDED_FOR.as_str());
            let address = client.peer().map(|peer| snapshot.config.trusted_proxies.origin(peer, lines).client);
            let record = unread(request_id.clone(), address, &refusal, outcome, started, answer.body.len());
            let record = match client.refused() {
                Some(request) => RequestRecord { http: "1.1", ..self.rules.named(&request, &snapshot, record) },
                None => record,
            };
            (answer, record)
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

/// How long a new connection waits for its first request when the process shuts down.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Resolves when an idle connection is to be closed because the process shuts down.
async fn closing(shutdown: &mut ShutdownWatch, is_first: bool) {
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
