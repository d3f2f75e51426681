//! What comes before Pingora's proxy: one task per client connection, which reads and checks each HTTP/1 request
//! and answers by itself what Pingora must not see. Pingora takes HTTP/2 connections apart; their requests are read
//! and checked here too.

use super::answer::{Answer, new_request_id};
use super::clean::Names;
use super::client::{ClientStream, Control, NoRequest};
use super::finish::key_fingerprint;
use super::http2::{self, Unread, WholeRequest};
use super::identity;
use super::{Gateway, Shared};
use crate::config::Limits;
use crate::http1::Refusal;
use crate::record::{Labels, Outcome, RequestRecord, path_text};
use crate::redact::shapes;
use async_trait::async_trait;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::HttpSession as Http2Session;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The application of the gateway's listeners.
pub struct Door {
    proxy: Arc<HttpProxy<Gateway>>,
    http2: HttpServerOptions,
    shared: Arc<Shared>,
}

impl Door {
    /// The door of this proxy.
    pub fn new(proxy: HttpProxy<Gateway>, shared: Arc<Shared>) -> Self {
        let proxy = Arc::new(proxy);
        let mut http2 = HttpServerOptions::default();
        http2.h2c = true;
        http2.h2_idle_timeout = Some(shared.snapshot.load().config.limits.keepalive_timeout);
        Self { proxy, http2, shared }
    }

    /// Reads requests from a connection and has them handled, until one of both ends it.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let mut client = Box::new(ClientStream::new(stream));
        let mut settings = None;
        let mut is_first = true;
        // A new connection is for a request that is on its way: the process does not end before it was answered.
        let mut busy = Some(self.shared.drain.enter());
        loop {
            let snapshot = self.shared.snapshot.load_full();
            let limits = &snapshot.config.limits;
            // Who has just come wants something: silence is for those who were answered.
            let patience = if is_first { limits.header_timeout } else { limits.keepalive_timeout };
            let waited = tokio::select! {
                biased;
                waited = client.wait(patience) => waited,
                () = closing(shutdown, is_first) => return,
            };
            if waited.is_err() {
                return;
            }
            busy.get_or_insert_with(|| self.shared.drain.enter());
            let is_tls = is_first && client.get_ssl_digest().is_some();
            let read = match is_first && (is_http2 || !is_tls) {
                true => match client.is_http2(limits).await {
                    Ok(true) => {
                        // Its requests count by themselves.
                        drop(busy.take());
                        return self.serve_http2(client, limits, shutdown).await;
                    }
                    // TLS said HTTP/2, and it is something else (RFC 9113 section 3.4).
                    _ if is_http2 => return,
                    Ok(false) => client.read_request(&snapshot, &self.shared.budget).await,
                    Err(error) => Err(error),
                },
                false => client.read_request(&snapshot, &self.shared.budget).await,
            };
            is_first = false;
            let head = match read {
                Ok(head) => head,
                Err(NoRequest::Gone) => return,
                Err(NoRequest::Aborted) => {
                    let refusal = Refusal::bad("incomplete", "The connection was closed in the middle of the request.");
                    return self.refuse(*client, refusal, Outcome::ClientAborted, Instant::now()).await;
                }
                Err(NoRequest::Refused(refusal)) => {
                    return self.refuse(*client, refusal, Outcome::Rejected, Instant::now()).await;
                }
            };
            let mut session = ServerSession::new_http1(client);
            match settings.take() {
                Some(settings) => HttpPersistentSettings::apply_to_session(settings, &mut session),
                None => session.set_keepalive(Some(limits.keepalive_timeout.as_secs().max(1))),
            }
            session.set_pipelined_prefix(head);
            let Some(reused) = self.proxy.process_new_http(session, shutdown).await else { return };
            let (stream, persistent) = reused.consume();
            settings = persistent;
            // It is the stream that went in.
            let Ok(same) = stream.into_any().downcast() else { return };
            client = same;
            busy = None;
        }
    }

    /// Has Pingora take an HTTP/2 connection apart. Its first request has as long as that of any other connection.
    async fn serve_http2(&self, client: Box<ClientStream>, limits: &Limits, shutdown: &ShutdownWatch) {
        let first = client.control();
        first.expect_first_byte(Some(limits.header_timeout));
        let (proxy, shared, options) = (Arc::clone(&self.proxy), Arc::clone(&self.shared), self.http2.clone());
        let http2 = Arc::new(Http2Door { proxy, shared, options, first });
        http2.process_new(client, shutdown).await;
    }

    /// Answers a request that could not be read, counts and logs it, and closes the connection.
    async fn refuse(&self, client: ClientStream, refusal: Refusal, outcome: Outcome, started: Instant) {
        let request_id = new_request_id();
        let answer = Answer::error(refusal.status, &refusal.message, &request_id);
        let bytes = answer.to_http1(&request_id, client.refused_is_head());
        let record = unread(request_id, client.peer(), &refusal, outcome, started, answer.body.len());
        self.shared.finish(match client.refused() {
            Some((method, path)) => RequestRecord {
                http: "1.1",
                method: method.to_owned(),
                path: shapes(&path_text(path.as_bytes())).into_owned(),
                key: key_fingerprint(&identity::fields_of(client.refused_head())),
                ..record
            },
            None => record,
        });
        let write_timeout = self.shared.snapshot.load().config.limits.write_timeout;
        client.send_last(&bytes, write_timeout).await;
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
        request_id,
        started_at: SystemTime::now() - started.elapsed(),
        duration: started.elapsed(),
        queue: None,
        connect: None,
        first_byte: None,
        client,
        http: "",
        method: String::new(),
        path: String::new(),
        status: refusal.status,
        outcome,
        reason: refusal.reason,
        upstream: None,
        attempts: 0,
        request_bytes: 0,
        response_bytes: response_bytes as u64,
        key: None,
        rewrite: "",
        session: None,
        agent: None,
        parent_agent: None,
        model_asked: None,
        rules: String::new(),
        tried: Vec::new(),
        answer: None,
        error: None,
        cause: (outcome == Outcome::Rejected).then_some("rejected"),
        cost: None,
        labels: Labels::default(),
        capture: None,
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
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.serve(stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// The same for the requests of one HTTP/2 connection, which Pingora takes apart.
struct Http2Door {
    proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    options: HttpServerOptions,
    /// The connection's deadline for its first request.
    first: Arc<Control>,
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
        let _busy = self.shared.drain.enter();
        let snapshot = self.shared.snapshot.load_full();
        let started = Instant::now();
        match http2::read(&mut session, &snapshot, &self.shared.budget).await {
            Ok(control) => {
                let whole = ServerSession::new_custom(Box::new(WholeRequest::new(session, control)));
                return self.proxy.process_new_http(whole, shutdown).await;
            }
            Err(Unread::Aborted) => {
                let gone = Refusal::bad("incomplete", "The client gave the request up.");
                self.finish(
                    &session,
                    new_request_id(),
                    &Refusal { status: 0, ..gone },
                    Outcome::ClientAborted,
                    started,
                    0,
                );
            }
            Err(Unread::Refused(refusal)) => {
                let request_id = new_request_id();
                let answer = Answer::error(refusal.status, &refusal.message, &request_id);
                let bytes = answer.body.len();
                if let Err(error) = http2::answer(&mut session, answer, &request_id).await {
                    log::debug!("{request_id}: the client did not get its refusal: {}", error.etype().as_str());
                }
                self.finish(&session, request_id, &refusal, Outcome::Rejected, started, bytes);
            }
        }
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

impl Http2Door {
    fn finish(
        &self,
        session: &Http2Session,
        request_id: String,
        refusal: &Refusal,
        outcome: Outcome,
        started: Instant,
        response_bytes: usize,
    ) {
        let client = session.client_addr().and_then(|address| Some(address.as_inet()?.ip()));
        let request = session.req_header();
        let names = Names::of(request, None, &self.shared.snapshot.load().secrets);
        self.shared.finish(RequestRecord {
            http: "2",
            method: request.method.to_string(),
            path: names.path,
            key: key_fingerprint(&request.headers),
            ..unread(request_id, client, refusal, outcome, started, response_bytes)
        });
    }
}
