//! The upstream's response as it comes: whether it can be passed on, whether it is a good one, and what reads it.

use super::context::{Bad, Context, InFlight, Undecided};
use super::{
    conversation, error_rules, failover, failure, first_event, key_change, models, relay_key, repair, response_head,
    settle,
};
use crate::config::resilience::RetryOn;
use crate::gateway::client::tunnel::Leave;
use crate::gateway::running::Phase;
use crate::gateway::shared::Shared;
use crate::upstream::Upstream;
use crate::upstream::circuit::LONGEST_RETRY_AFTER;
use crate::upstream::clock::now_ms;
use bytes::Bytes;
use gateway_core::errors::DECIDING_BYTES;
use gateway_core::http1::list_members;
use gateway_core::protocol::{self, Protocol};
use gateway_core::record::fault::UpstreamFault;
use gateway_core::team::token::Denied;
use gateway_core::usage::decode::Decoder;
use gateway_core::usage::error_body::ErrorBody;
use gateway_core::usage::meter::{self, Meter};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, StatusCode};
use pingora::http::ResponseHeader;
use pingora::prelude::*;
use pingora::proxy::Session;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long a response waits that cannot be read as fast as it comes.
const PAUSE: Duration = Duration::from_millis(1);
/// Interim responses in one attempt. An upstream that works for ten minutes can say so every six seconds.
const MOST_INTERIM: usize = 100;
/// Bytes of all of their fields.
const INTERIM_BYTES: usize = 64 * 1024;

/// The head of a response, interim ones included: if it is a bad one, another upstream may take over.
///
/// # Errors
/// When it cannot be passed on, or another upstream takes the request over.
pub(crate) fn head_came(
    session: &Session,
    response: &mut ResponseHeader,
    shared: &Arc<Shared>,
    context: &mut Context,
) -> Result<()> {
    check(response, session.is_upgrade_req())?;
    context.attempt.something_came = true;
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return bound_interim(response, context);
    }
    if let Some(hold) = &context.arrival.hold {
        hold.expect_first_byte(None, now_ms());
        if response.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(leave) = leave(shared, context)
        {
            hold.needs_leave(leave);
        }
    }
    context.attempt.retry_after = pause_of(response);
    context.attempt.is_page = is_page(response);
    let upstream = &context.destination()?.upstream;
    let retry_on = &context.snapshot.config.failover.retry_on;
    let judged = judge(response, upstream, retry_on, context.arrival.protocol);
    let bad = judged.and_then(|()| models_there(response.status.as_u16(), context)).err();
    if error_rules::may_decide(response, bad.as_ref(), context) {
        read_along(response, shared, context);
        let (undecided, client) = (Undecided { bad }, session.req_header());
        if !response_head::has_body_to_come(response, &client.method, client.version == http::Version::HTTP_10) {
            return error_rules::decide(undecided, context);
        }
        context.attempt.undecided = Some(undecided);
        context.attempt.may_be_refused = repair::may_follow(response, client, context);
        error_rules::expect_body(context);
        return Ok(());
    }
    if let Some(bad) = bad {
        bad.apply_retry_after(upstream, context);
        let is_taken_over = failover::take_over(context, &bad.fault);
        let bad = if is_taken_over { bad } else { of_resting_keys(bad, response, context)? };
        if is_taken_over || !bad.fault.has_response() || context.arrival.stand_in.is_some() {
            let mut error = failure::settled(bad.fault);
            error.set_retry(is_taken_over);
            return Err(error);
        }
    }
    if response.status.is_success() {
        conversation::answered(context);
    }
    read_along(response, shared, context);
    context.attempt.may_be_refused = repair::may_follow(response, session.req_header(), context);
    Ok(())
}

/// That the connection, once it is upgraded, goes on for as long as the token is good that it came with; `None` without one.
fn leave(shared: &Arc<Shared>, context: &Context) -> Option<Leave> {
    let (identity, client) = (context.arrival.identity.of_token()?, context.arrival.client);
    let shared = Arc::clone(shared);
    Some(Leave::new(move || identity.look_again(client, &shared.roster.load()).map(drop).map_err(Denied::refusal)))
}

/// A bad response that no other key and no other upstream has a better one for. If all keys of the upstream are out, it
/// says when the first one is back; where it speaks of another one than that, the gateway says it itself.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
fn of_resting_keys(bad: Bad, response: &mut ResponseHeader, context: &Context) -> Result<Bad> {
    let upstream = &context.destination()?.upstream;
    let Some(within) = key_change::until_back(upstream).filter(|_| upstream.config.has_key_pool()) else {
        return Ok(bad);
    };
    match bad.fault {
        UpstreamFault::Status { status: 429 } => {
            response.insert_header(RETRY_AFTER, within.as_secs_f64().ceil() as u64)?
        }
        UpstreamFault::Status { status: 401..=403 } => {
            return Ok(Bad { fault: UpstreamFault::KeysRest { within }, ..bad });
        }
        _ => {}
    }
    Ok(bad)
}

/// Has what reads the response ready for its body.
fn read_along(response: &ResponseHeader, shared: &Shared, context: &mut Context) {
    let now = Instant::now();
    context.attempt.first_byte.get_or_insert(now);
    context.attempt.status = response.status.as_u16();
    let limits = context.snapshot.config.limits.meter;
    context.attempt.meter = meter(response, context.arrival.protocol, (context.arrival.started, now), limits);
    context.attempt.error_body = error_body(response);
    relay_key::expect(response, context);
    context.observation.stream = None;
    if first_event::is_stream(&response.headers) {
        context.observation.stream = Some(InFlight::new(&shared.metrics.streams));
    }
    if let Some(running) = &context.observation.running {
        running.phase(Phase::Answer);
        running.heard(now);
    }
}

/// A piece of the body, perhaps none, and whether it is the last one; how long the next one has to wait.
///
/// # Errors
/// When the response turns out to be none, and another upstream takes the request over or nothing can be passed on.
pub(crate) fn body_came(bytes: &mut Option<Bytes>, is_end: bool, context: &mut Context) -> Result<Option<Duration>> {
    let piece = bytes.as_deref().filter(|bytes| !bytes.is_empty());
    let has_come = piece.is_some();
    let pause = piece.and_then(|piece| read_piece(piece, context));
    came(has_come, is_end, context)?;
    relay_key::body(bytes, is_end, context);
    if is_end {
        settle::over(context, None);
    }
    Ok(pause)
}

/// What comes behind a body over HTTP/2.
///
/// # Errors
/// As [`came`].
pub(crate) fn trailers_came(trailers: &mut HeaderMap, context: &mut Context) -> Result<()> {
    came(false, true, context)?;
    relay_key::trailers(trailers, context);
    Ok(())
}

/// What follows from what was read of the response so far, of which a piece came, or which is over.
///
/// # Errors
/// When the request is sent once more, or nothing can be passed on.
fn came(piece: bool, is_end: bool, context: &mut Context) -> Result<()> {
    if repair::judge(is_end, context)? || error_rules::judge(is_end, context)? {
        return Ok(());
    }
    relay_key::judge(context)?;
    first_event::judge(piece, is_end, context)
}

fn read_piece(bytes: &[u8], context: &mut Context) -> Option<Duration> {
    let (attempt, now) = (&mut context.attempt, Instant::now());
    if let Some(meter) = &mut attempt.meter {
        meter.push(bytes, now);
    }
    if let Some(error) = &mut attempt.error_body {
        error.push(bytes);
    }
    relay_key::read(bytes, context);
    let attempt = &context.attempt;
    if let Some(running) = &context.observation.running {
        running.got(bytes.len(), attempt.meter.as_ref().map_or(0, |meter| meter.output_so_far()), now);
    }
    // A response that stands for more than can be read in one go: others have their turn first.
    let is_behind = attempt.meter.as_ref().is_some_and(|meter| meter.is_behind());
    is_behind.then_some(PAUSE)
}

/// Reads what there was no time for while it came.
pub(crate) async fn read_rest(context: &mut Context) {
    while let Some(meter) = context.attempt.meter.as_mut().filter(|meter| meter.is_behind()) {
        meter.catch_up();
        tokio::task::yield_now().await;
    }
}

/// Refuses a response whose end is not clear, or that nobody asked for, and makes repeats of its length one
/// (RFC 9112 section 6.3).
///
/// # Errors
/// When the response cannot be passed on; the client then gets a 502.
fn check(response: &mut ResponseHeader, client_asked_for_upgrade: bool) -> Result<()> {
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

/// Counts an interim response (1xx), of which there may be only so many in one attempt. A first one also begins the
/// time in which the response must begin: each of them begins `read_timeout` anew.
///
/// # Errors
/// When there are too many; the client then gets a 502.
fn bound_interim(response: &ResponseHeader, context: &mut Context) -> Result<()> {
    let (count, bytes) = &mut context.attempt.interim;
    *count += 1;
    *bytes += response.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    if *count > MOST_INTERIM || *bytes > INTERIM_BYTES {
        let flood = UpstreamFault::InterimFlood { most: MOST_INTERIM, kib: INTERIM_BYTES / 1024 };
        return Err(failure::found(flood));
    }
    if *count == 1
        && let Some(hold) = context.arrival.hold.as_ref().filter(|hold| !hold.expects_first_byte())
    {
        hold.expect_first_byte(Some(context.destination()?.upstream.config.first_byte_timeout), now_ms());
    }
    Ok(())
}

impl Bad {
    /// Leaves the upstream alone for as long as it asked: all clients do, but where only a key was used up.
    pub(super) fn apply_retry_after(&self, upstream: &Upstream, context: &Context) {
        // Whatever else is asked is no concern of the model calls'.
        let Some(pause) = self.retry_after.filter(|_| context.arrival.protocol.is_model_call()) else { return };
        match self.fault {
            // It is not the client's key that is used up.
            UpstreamFault::Status { status: 429 } if upstream.config.has_key_pool() => return,
            UpstreamFault::Status { status: 429 } => {}
            // A 500 may be about this request only.
            UpstreamFault::Status { status: 501.. } => return upstream.circuit.hold(pause, now_ms()),
            _ => return,
        }
        let sender = context.arrival.identity.together;
        context.snapshot.affinity.wait(sender, upstream.seed, pause.min(LONGEST_RETRY_AFTER));
    }
}

/// Whether a response is a good one, by its head.
fn judge(
    response: &ResponseHeader,
    upstream: &Upstream,
    retry_on: &RetryOn,
    asked: Protocol,
) -> std::result::Result<(), Bad> {
    let bad = |fault| Err(Bad { fault, retry_after: None });
    let status = response.status.as_u16();
    if let Some(proxy) = upstream.forwarding_proxy()
        && is_of_proxy(response)
    {
        let has_credentials = matches!(status, 401 | 407).then(|| proxy.credentials.is_some());
        return bad(UpstreamFault::ProxyAnswer { proxy: proxy.shown.clone(), status, has_credentials });
    }
    // The client cannot mend the operator's key. Who wants no retries after a status wants none here either; who lists
    // several keys wants the next one.
    let has_own_key = !upstream.config.api_keys.is_empty() && !retry_on.is_empty();
    let is_own_key_refused = matches!(status, 401..=403) && has_own_key
        || matches!(status, 401..=403 | 429) && upstream.config.has_key_pool();
    if is_own_key_refused || retry_on.contains(status) {
        return Err(Bad { fault: UpstreamFault::Status { status }, retry_after: pause_of(response) });
    }
    if status != 200 || !asked.wants_api_response() {
        return Ok(());
    }
    if is_page(response) {
        return bad(UpstreamFault::WebPage);
    }
    if response.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0") {
        return bad(UpstreamFault::NoAnswer);
    }
    Ok(())
}

/// Whether a response says that it is a web page.
fn is_page(response: &ResponseHeader) -> bool {
    field(response, &CONTENT_TYPE).get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}

/// Whether a response with this status is one that another upstream, or the gateway, has no better one for, if models
/// were asked for.
fn models_there(status: u16, context: &Context) -> std::result::Result<(), Bad> {
    match models::is_none(status, context) {
        true => Err(Bad { fault: UpstreamFault::Status { status }, retry_after: None }),
        false => Ok(()),
    }
}

/// Whether a proxy that forwards requests gave this response by itself: it wants credentials, or says that it is Squid
/// or Tinyproxy (of which others tell only in `Via`), or that something failed on its way (RFC 9209).
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

/// The pause that a response asks for.
fn pause_of(response: &ResponseHeader) -> Option<Duration> {
    response.headers.get(RETRY_AFTER).and_then(|value| retry_after(value.as_bytes()))
}

/// The pause that a response asks for: `Retry-After` in seconds, or as a date (RFC 9110 section 10.2.3).
fn retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// What reads a good response as it goes by, if its API is known; `times` are when the request began and when its
/// response did.
pub(crate) fn meter(
    response: &ResponseHeader,
    asked: Protocol,
    times: (Instant, Instant),
    limits: meter::Limits,
) -> Option<Box<Meter>> {
    let is_good = response.status.is_success() && !protocol::is_no_message(response.status.as_u16());
    let meter = || Meter::new(asked, field(response, &CONTENT_TYPE), || decoder(response), times, limits);
    is_good.then(meter).flatten().map(Box::new)
}

/// What keeps the beginning of an error.
fn error_body(response: &ResponseHeader) -> Option<Box<ErrorBody>> {
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    is_error.then(|| Box::new(ErrorBody::new(decoder(response)).up_to(DECIDING_BYTES)))
}

fn decoder(response: &ResponseHeader) -> Option<Decoder> {
    Decoder::new(response.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
}

fn field<'r>(response: &'r ResponseHeader, name: &HeaderName) -> &'r [u8] {
    response.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
