//! The upstream's answer on its way to the client: everything stays but what belongs to the upstream's connection.

use super::context::Context;
use super::failure;
use super::origin_headers;
use crate::gateway::answer::X_REQUEST_ID;
use crate::upstream::circuit::LONGEST_RETRY_AFTER;
use crate::upstream::clock::now_ms;
use gateway_core::http1::{list_members, split_query};
use gateway_core::record::fault::UpstreamFault;
use gateway_core::usage::decode::Decoder;
use gateway_core::usage::error_body::ErrorBody;
use gateway_core::usage::meter::{self, Meter};
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use std::time::{Duration, Instant, SystemTime};

/// Fields that belong to one connection (RFC 9110 section 7.6.1). `Connection` and `Transfer-Encoding` are Pingora's.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "te", "trailer"];
/// What an upstream may not remove by naming it in `Connection`: without these the answer would not be understood.
const KEPT: [&str; 6] = ["close", "keep-alive", "upgrade", "content-length", "transfer-encoding", "content-type"];

/// Interim responses in one attempt. An upstream that works for ten minutes can say so every six seconds.
const MOST_INTERIM: usize = 100;
/// Bytes of all of their fields.
const INTERIM_BYTES: usize = 64 * 1024;

/// Refuses an answer whose end is not clear, or that nobody asked for, and makes repeats of its length one
/// (RFC 9112 section 6.3).
///
/// # Errors
/// When the answer cannot be passed on; the client then gets a 502.
pub fn check(response: &mut ResponseHeader, client_asked_for_upgrade: bool) -> Result<()> {
    let bad = |what| Err(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up());
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS && !client_asked_for_upgrade {
        return bad("a switch of protocols that nobody asked for");
    }
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return bad("a transfer coding other than chunked");
    }
    if response.status == http::StatusCode::NO_CONTENT {
        response.remove_header(&CONTENT_LENGTH);
    }
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(()) };
    if lengths.next().is_some() || first.as_bytes().contains(&b',') {
        // Pingora has refused lengths that differ.
        let one = list_members(first.as_bytes()).next().unwrap_or_default().to_vec();
        response.insert_header(CONTENT_LENGTH, one)?;
    }
    Ok(())
}

/// Counts an interim response (1xx), of which there may be only so many in one attempt. A first one also begins the time
/// in which the answer must begin: each of them begins `read_timeout` anew.
///
/// # Errors
/// When there are too many; the client then gets a 502.
pub fn bound_interim(response: &ResponseHeader, context: &mut Context) -> Result<()> {
    let (count, bytes) = &mut context.attempt.interim;
    *count += 1;
    *bytes += response.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if *count > MOST_INTERIM || *bytes > INTERIM_BYTES {
        let flood = UpstreamFault::InterimFlood { most: MOST_INTERIM, kib: INTERIM_BYTES / 1024 };
        return Err(failure::found(flood));
    }
    if *count == 1
        && let Some(control) = context.control.as_ref().filter(|control| control.first_byte_by_ms().is_none())
    {
        control.expect_first_byte(Some(context.destination().upstream.config.first_byte_timeout));
    }
    Ok(())
}

/// Makes the head of the upstream's answer the client's.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub fn head(response: &mut ResponseHeader, client_is_http10: bool, context: &Context) -> Result<()> {
    strip(response, client_is_http10);
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    for (name, value) in origin_headers::of(context) {
        response.insert_header(name, value)?;
    }
    match response.headers.contains_key(&X_REQUEST_ID) {
        true => Ok(()),
        false => response.insert_header(X_REQUEST_ID, &*context.request_id),
    }
}

/// Removes what belongs to the upstream's connection.
fn strip(response: &mut ResponseHeader, client_is_http10: bool) {
    remove_named_by_connection(response);
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
    if response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        response.remove_header(&UPGRADE);
    }
    // Such a client does not know chunks: the end of the connection ends the answer.
    if client_is_http10 {
        response.remove_header(&TRANSFER_ENCODING);
    }
}

/// An answer that another upstream may do better.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    /// What the upstream did.
    pub fault: UpstreamFault,
    /// The pause that it asks for.
    pub retry_after: Option<Duration>,
}

impl Bad {
    /// Leaves the upstream alone for as long as it asked: all clients do, but where only a key was used up.
    pub fn apply_retry_after(&self, context: &Context) {
        let Some(pause) = self.retry_after else { return };
        let upstream = &context.destination().upstream;
        match self.fault.is_upstreams() {
            true => upstream.circuit.hold(pause, now_ms()),
            false => context.snapshot.affinity.wait(context.sender, upstream.seed, pause.min(LONGEST_RETRY_AFTER)),
        }
    }
}

/// Whether an answer is one, by its head.
///
/// # Errors
/// What is bad about it.
pub fn judge(response: &ResponseHeader, request: &RequestHeader, context: &Context) -> std::result::Result<(), Bad> {
    let upstream = &context.destination().upstream;
    let bad = |fault| Err(Bad { fault, retry_after: None });
    let status = response.status.as_u16();
    if let Some(proxy) = upstream.forwarding_proxy()
        && is_of_proxy(response)
    {
        let has_credentials = matches!(status, 401 | 407).then(|| proxy.credentials.is_some());
        return bad(UpstreamFault::ProxyAnswer { proxy: proxy.shown.clone(), status, has_credentials });
    }
    if context.snapshot.config.failover.retry_on.contains(status) {
        let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| retry_after(value.as_bytes()));
        return Err(Bad { fault: UpstreamFault::Status { status }, retry_after });
    }
    if status != 200 || !request.raw_path().starts_with(b"/v1/") || request.method == Method::HEAD {
        return Ok(());
    }
    let content_type = response.headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    if content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html")) {
        return bad(UpstreamFault::WebPage);
    }
    if response.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0") {
        return bad(UpstreamFault::NoAnswer);
    }
    Ok(())
}

/// Whether a proxy that forwards requests gave this answer by itself: it wants credentials, or says that it is Squid or
/// Tinyproxy (of which others tell only in `Via`), or that something failed on its way (RFC 9209).
fn is_of_proxy(response: &ResponseHeader) -> bool {
    let says = |name: &str, what: &[u8]| {
        let value = response.headers.get(name);
        value.is_some_and(|value| memchr::memmem::find(value.as_bytes(), what).is_some())
    };
    response.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        || response.headers.contains_key("x-squid-error")
        || says("server", b"tinyproxy/")
        || says("proxy-status", b"error=")
}

/// The pause that an answer asks for: `Retry-After` in seconds, or as a date (RFC 9110 section 10.2.3).
fn retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// What reads the answer to a request for a message as it goes by.
pub fn meter(
    response: &ResponseHeader,
    request: &RequestHeader,
    began: Instant,
    limits: meter::Limits,
) -> Option<Box<Meter>> {
    let (path, _) = split_query(request.raw_path());
    let is_messages =
        request.method == Method::POST && path.strip_suffix(b"/").unwrap_or(path).ends_with(b"/v1/messages");
    if response.status != StatusCode::OK || !is_messages {
        return None;
    }
    Meter::new(field(response, &CONTENT_TYPE), decoder(response), (began, Instant::now()), limits).map(Box::new)
}

/// What keeps the beginning of an error.
pub fn error_body(response: &ResponseHeader) -> Option<Box<ErrorBody>> {
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    is_error.then(|| Box::new(ErrorBody::new(decoder(response))))
}

fn decoder(response: &ResponseHeader) -> Option<Decoder> {
    Decoder::new(response.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
}

/// Whether the answer is a stream of events.
pub fn is_stream(response: &ResponseHeader) -> bool {
    let name = b"text/event-stream";
    field(response, &CONTENT_TYPE).get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn field<'r>(response: &'r ResponseHeader, name: &HeaderName) -> &'r [u8] {
    response.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
}

/// Whether something follows this head for sure, be it only the mark of the end: then the head can wait for it.
pub fn has_body_to_come(response: &ResponseHeader, method: &Method, client_is_http10: bool) -> bool {
    let status = response.status;
    if status.is_informational() || matches!(status.as_u16(), 204 | 304) || method == Method::HEAD {
        return false;
    }
    match response.headers.get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes().iter().any(|digit| matches!(digit, b'1'..=b'9')),
        None => !client_is_http10,
    }
}

fn remove_named_by_connection(response: &mut ResponseHeader) {
    let is_usual = |option: &[u8]| KEPT.iter().any(|kept| option.eq_ignore_ascii_case(kept.as_bytes()));
    let lines = response.headers.get_all(CONNECTION);
    // Almost no answer names anything, and then nothing is allocated.
    if lines.iter().flat_map(|line| list_members(line.as_bytes())).all(is_usual) {
        return;
    }
    let named: Vec<String> = lines
        .iter()
        .flat_map(|line| list_members(line.as_bytes()))
        .filter(|option| !is_usual(option))
        .map(|option| String::from_utf8_lossy(option).into_owned())
        .collect();
    for name in named {
        response.remove_header(name.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut response = ResponseHeader::build(200, None).expect("a head");
        for (name, value) in headers {
            response.append_header(*name, *value).expect("a header");
        }
        response
    }

    #[test]
    fn only_what_belongs_to_the_connection_goes() {
        let mut answer = response(&[
            ("Set-Cookie", "a"),
            ("Set-Cookie", "b"),
            ("Connection", "X-Hop, content-length"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Content-Length", "3"),
            ("Upgrade", "h2c"),
            ("X-Request-Id", "theirs"),
        ]);
        strip(&mut answer, false);
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(answer.headers["x-request-id"], "theirs");
        assert_eq!(answer.headers["content-length"], "3");
        for gone in ["x-hop", "keep-alive", "upgrade"] {
            assert!(!answer.headers.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn old_clients_get_no_chunks() {
        let mut answer = response(&[("Transfer-Encoding", "chunked")]);
        strip(&mut answer, true);
        assert!(!answer.headers.contains_key("transfer-encoding"));
    }

    #[test]
    fn pauses_are_seconds_or_dates() {
        assert_eq!(retry_after(b"30"), Some(Duration::from_secs(30)));
        let date = SystemTime::now() + Duration::from_secs(100);
        let pause = retry_after(httpdate::fmt_http_date(date).as_bytes()).expect("a pause");
        assert!((90..=100).contains(&pause.as_secs()), "{pause:?}");
        for none in [&b"soon"[..], b"", b"-1", b"Sun, 06 Nov 1994 08:49:37 GMT", b"\xff"] {
            assert_eq!(retry_after(none), None, "{}", String::from_utf8_lossy(none));
        }
    }

    #[test]
    fn a_head_waits_only_for_a_body_that_comes() {
        let waits = |headers: &[(&'static str, &'static str)], method: &Method, is_old| {
            has_body_to_come(&response(headers), method, is_old)
        };
        assert!(waits(&[("Content-Length", "10")], &Method::POST, false));
        assert!(waits(&[("Transfer-Encoding", "chunked")], &Method::GET, false));
        assert!(waits(&[], &Method::GET, false), "HTTP/2 upstreams need say nothing");
        assert!(!waits(&[], &Method::GET, true), "an old client's answer may end without another byte");
        assert!(!waits(&[("Content-Length", "0")], &Method::POST, false));
        assert!(!waits(&[("Content-Length", "10")], &Method::HEAD, false));
    }
}
