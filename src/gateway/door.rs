//! What comes before Pingora's proxy: one task per client connection, which reads and checks each HTTP/1 request
//! and answers by itself what Pingora must not see. HTTP/2 goes to Pingora as it is.

use super::Shared;
use super::answer::{Answer, new_request_id};
use super::client::{ClientStream, NoRequest};
use crate::http1::Refusal;
use crate::record::{Outcome, RequestRecord};
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, GetSocketDigest, Ssl, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The application of the gateway's listeners.
pub struct Door {
    proxy: Arc<HttpProxy<super::Gateway>>,
    shared: Arc<Shared>,
}

impl Door {
    /// The door of this proxy.
    pub fn new(proxy: HttpProxy<super::Gateway>, shared: Arc<Shared>) -> Self {
        Self { proxy: Arc::new(proxy), shared }
    }

    /// Reads requests from a connection and has them handled, until one of both ends it.
    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let mut client = Box::new(ClientStream::new(stream));
        let mut settings = None;
        let mut is_first = true;
        loop {
            let snapshot = self.shared.snapshot.load_full();
            let limits = &snapshot.config.limits;
            let waited = tokio::select! {
                biased;
                waited = client.wait(limits.keepalive_timeout) => waited,
                () = started(shutdown) => return,
            };
            if waited.is_err() {
                return;
            }
            let is_tls = is_first && client.get_ssl_digest().is_some();
            let read = match is_first && !is_tls {
                true => match client.is_http2(limits).await {
                    Ok(true) => {
                        self.proxy.process_new(client, shutdown).await;
                        return;
                    }
                    Ok(false) => client.read_request(limits, &self.shared.budget).await,
                    Err(error) => Err(error),
                },
                false => client.read_request(limits, &self.shared.budget).await,
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
                Some(settings) => pingora::apps::HttpPersistentSettings::apply_to_session(settings, &mut session),
                None => session.set_keepalive(Some(limits.keepalive_timeout.as_secs().max(1))),
            }
            session.set_pipelined_prefix(head);
            let Some(reused) = self.proxy.process_new_http(session, shutdown).await else { return };
            let (stream, persistent) = reused.consume();
            settings = persistent;
            // It is the stream that went in.
            let Ok(same) = stream.into_any().downcast() else { return };
            client = same;
        }
    }

    /// Answers a request that could not be read, counts and logs it, and closes the connection.
    async fn refuse(&self, client: ClientStream, refusal: Refusal, outcome: Outcome, started: Instant) {
        let request_id = new_request_id();
        let answer = Answer::error(refusal.status, &refusal.message, &request_id);
        let is_head = client.unread().starts_with(b"HEAD ");
        let bytes = answer.to_http1(&request_id, is_head);
        self.shared.finish(&RequestRecord {
            request_id,
            started_at: SystemTime::now(),
            duration: started.elapsed(),
            first_byte: None,
            client: peer_address(&client),
            http: "",
            method: String::new(),
            path: String::new(),
            status: refusal.status,
            outcome,
            reason: refusal.reason,
            upstream: None,
            attempts: 0,
            request_bytes: 0,
            response_bytes: answer.body.len() as u64,
            key: None,
            rewrite: "",
        });
        let write_timeout = self.shared.snapshot.load().config.limits.write_timeout;
        client.send_last(&bytes, write_timeout).await;
    }
}

fn peer_address(client: &ClientStream) -> Option<IpAddr> {
    Some(client.get_socket_digest()?.peer_addr()?.as_inet()?.ip())
}

/// Resolves when the process begins to shut down.
async fn started(shutdown: &ShutdownWatch) {
    let mut shutdown = shutdown.clone();
    if shutdown.wait_for(|&is_shutting_down| is_shutting_down).await.is_err() {
        std::future::pending().await
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.proxy.process_new(stream, shutdown).await;
        }
        self.serve(stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
