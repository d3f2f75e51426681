//! One attempt to hand a message to a target, within a time.

use super::email;
use super::fault::Fault;
use super::form::{self, Request};
use super::message::Message;
use crate::config::Config;
use crate::config::notify_target::{Channel, Target};
use crate::doctor::clean::Cleaner;
use crate::doctor::diagnosis::Failure;
use crate::doctor::http::read_answer;
use crate::upstream::{Duplex, Elsewhere, resolver, tunnel, unresolving};
use gateway_core::language::Words;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::time::{Instant, timeout_at};

/// Time for all of it.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The way to a target, and what must not be repeated of what is heard there.
pub(super) struct Way {
    target: Target,
    elsewhere: Elsewhere,
    cleaner: Cleaner,
}

impl Way {
    /// The way to this target. This reads files: the certificates of the system's authorities.
    ///
    /// # Errors
    /// When there can be none.
    fn new(target: Target, dns_servers: &[SocketAddr], cleaner: Cleaner) -> Result<Self, Fault> {
        let unsendable = |said: Words| Fault::Unsendable { said };
        let resolver = Arc::new(resolver(dns_servers).map_err(|error| unsendable(unresolving(&error)))?);
        let is_web = !matches!(target.channel, Channel::Email { .. });
        let elsewhere = Elsewhere::new(&target.place, target.proxy.as_ref(), is_web, &resolver, TIMEOUT);
        Ok(Self { elsewhere: elsewhere.map_err(unsendable)?, target, cleaner })
    }

    /// The same, made where it keeps nobody waiting.
    ///
    /// # Errors
    /// When there can be none.
    pub(super) async fn prepare(target: &Target, config: &Config) -> Result<Self, Fault> {
        let (target, servers) = (target.clone(), config.dns_servers.clone());
        let cleaner = Cleaner::new(Vec::new()).and(config.secrets());
        let made = tokio::task::spawn_blocking(move || Self::new(target, &servers, cleaner)).await;
        made.unwrap_or_else(|error| Err(Fault::Unsendable { said: Words::said(error.to_string()) }))
    }

    /// Tries once; returns the status of the answer, if it has one.
    ///
    /// # Errors
    /// Why the message did not arrive.
    pub(super) async fn deliver(&self, message: &Message) -> Result<Option<u16>, Fault> {
        let deadline = Instant::now() + TIMEOUT;
        let delivered = timeout_at(deadline, self.attempt(message, deadline)).await;
        let delivered = delivered.unwrap_or(Err(Fault::Late { within: TIMEOUT }));
        delivered.map_err(|fault| fault.map(|said| self.cleaner.line(said)))
    }

    async fn attempt(&self, message: &Message, deadline: Instant) -> Result<Option<u16>, Fault> {
        let connected = self.elsewhere.connect().await;
        let mut stream = connected.map_err(|error| Fault::NotConnected { said: error.words() })?;
        let Some(request) = form::request(&self.target, message, SystemTime::now()) else {
            return email::send(stream, &self.target, message).await.map(|()| None);
        };
        self.write(&mut stream, &request).await;
        let answer = read_answer(&mut stream, deadline).await.map_err(|failure| match failure {
            Failure::AnswerTimeout => Fault::Late { within: TIMEOUT },
            _ => Fault::NoAnswer,
        })?;
        form::judge(&self.target.channel, answer.status, &answer.headers, &answer.body_start)?;
        Ok(Some(answer.status))
    }

    /// Who refuses a request may have closed already: its answer says more than that.
    async fn write(&self, stream: &mut Box<dyn Duplex>, request: &Request) {
        let mut stream = BufWriter::new(stream);
        let _ = stream.write_all(self.head(request).as_bytes()).await;
        let _ = stream.write_all(request.body.as_bytes()).await;
        let _ = stream.flush().await;
    }

    /// The request's head. A proxy that forwards it gets the whole target (RFC 9112 section 3.2.2).
    fn head(&self, request: &Request) -> String {
        let authority = &self.target.place.authority;
        let proxy = self.elsewhere.forwarding_proxy();
        let origin = proxy.map(|_| format!("http://{authority}")).unwrap_or_default();
        let mut head = format!(
            "POST {origin}{} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: anyrouter-gateway/{}\r\nContent-Type: \
             application/json; charset=utf-8\r\nAccept: application/json\r\nContent-Length: {}\r\n",
            request.target.expose(),
            env!("CARGO_PKG_VERSION"),
            request.body.len(),
        );
        for (name, value) in &request.fields {
            let _ = write!(head, "{name}: {}\r\n", value.expose());
        }
        let credentials = proxy.and_then(|proxy| tunnel::basic(proxy.credentials.as_ref()?));
        if let Some(credentials) = credentials.as_ref().and_then(|value| value.to_str().ok()) {
            let _ = write!(head, "Proxy-Authorization: {credentials}\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        head
    }
}
