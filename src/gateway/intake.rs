//! Takes a request in: its body, whole where that is possible, and the change of its system prompt.
//!
//! HTTP/1 bodies were read before Pingora saw the request (see `client`). To Pingora such a request has no body,
//! and a request without one calls `request_body_filter` exactly once per attempt: there the whole body goes out,
//! for a first attempt and for every retry, whatever its size.
//!
//! HTTP/2 bodies come through Pingora. It forwards a body that was read to its end in `request_filter` only if its
//! own buffer of 64 KiB holds something and did not overflow, so that buffer is switched on for the last stretch.

use super::context::{Context, RequestBody};
use super::held::{Budget, HeldBody, Hold};
use crate::http1::Refusal;
use crate::http1::head::{check_connection, check_expect, check_method};
use crate::rules::system::SystemPrompt;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

/// What Pingora keeps of a body for a retry; with more than this it forwards nothing of a body read early.
const RETRY_BUFFER_BYTES: usize = 64 * 1024;
/// The largest HTTP/2 frame that the gateway accepts (RFC 9113 section 4.2, the default).
const FRAME_BYTES: usize = 16 * 1024;
/// The one JSON value that requests in a content coding would need decoding for: they are left alone.
const IDENTITY: &[u8] = b"identity";

/// Checks what HTTP/2 does not make impossible; HTTP/1 heads were checked when they were read.
///
/// # Errors
/// The refusal of the first rule that the head breaks.
pub fn check_http2(request: &RequestHeader, limits: &crate::http1::head::Limits) -> Result<(), Refusal> {
    check_method(request.method.as_str().as_bytes())?;
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = request.headers.get(HOST).map(|host| host.as_bytes());
    match (authority, host) {
        (None, None) => return Err(Refusal::bad("host", "The request has neither :authority nor Host.")),
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => {
            return Err(Refusal::bad("host", "The :authority and the Host of the request differ."));
        }
        (Some(given), _) | (None, Some(given)) if !crate::http1::is_host(given) => {
            return Err(Refusal::bad(
                "host",
                "The host of the request is not a name or address with an optional port.",
            ));
        }
        _ => {}
    }
    if request.headers.get_all(HOST).iter().count() > 1 {
        return Err(Refusal::bad("host", "The Host header is there more than once."));
    }
    if request.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::bad("content_length", "The Content-Length header is there more than once."));
    }
    if request.headers.len() > limits.header_count {
        let message = format!("The request has more than {} header fields.", limits.header_count);
        return Err(Refusal::new(431, "header_count", message));
    }
    if request.raw_path().len() > limits.target_bytes {
        let message = format!("The request target is longer than {} bytes.", limits.target_bytes);
        return Err(Refusal::new(414, "target_bytes", message));
    }
    if let Some(value) = request.headers.get(EXPECT) {
        check_expect(value.as_bytes())?;
    }
    let mut options = 0;
    request.headers.get_all(CONNECTION).iter().try_for_each(|value| check_connection(value.as_bytes(), &mut options))
}

/// Reads the body of an HTTP/2 request.
///
/// # Errors
/// A refusal, or `None` when the client is gone.
pub async fn read_http2_body(
    session: &mut Session,
    context: &mut Context,
    budget: &Budget,
) -> Result<(), Option<Refusal>> {
    if session.is_body_empty() {
        return Ok(());
    }
    let limits = &context.snapshot.config.limits;
    let length = match session.get_header(CONTENT_LENGTH) {
        None => None,
        Some(value) => {
            let length = value.to_str().ok().and_then(|digits| digits.parse::<usize>().ok());
            Some(length.ok_or_else(|| Refusal::bad("content_length", "The Content-Length header is not a number."))?)
        }
    };
    let too_large = || {
        let message =
            format!("The request body is larger than {} bytes (gateway.limits.request_body).", limits.request_body);
        Some(Refusal::new(413, "request_body", message))
    };
    if length.is_some_and(|length| length > limits.request_body) {
        return Err(too_large());
    }
    if session.get_header(EXPECT).is_some() {
        session.write_continue_response().await.map_err(|_| None)?;
    }
    let mut hold = Hold::new(budget);
    let mut body = BytesMut::new();
    loop {
        match length {
            Some(length) if length.saturating_sub(body.len()) > RETRY_BUFFER_BYTES => {}
            _ => session.enable_retry_buffering(),
        }
        if length.is_none() && body.len() > RETRY_BUFFER_BYTES - FRAME_BYTES && !session.is_body_done() {
            // Pingora offers what is in its buffer again, so collecting begins anew; the share stays.
            context.body = RequestBody::Collecting { body: BytesMut::new(), hold, rewrite: false };
            return Ok(());
        }
        let read = match tokio::time::timeout(limits.body_timeout, session.read_request_body()).await {
            Ok(read) => read.map_err(|_| None)?,
            Err(_) => return Err(Some(Refusal::new(408, "body_timeout", "The request body stopped coming in."))),
        };
        let Some(chunk) = read else { break };
        append(&mut body, &chunk, &mut hold, limits.request_body, limits.request_bodies_total)?;
    }
    if length.is_some_and(|length| length != body.len()) {
        return Err(Some(Refusal::bad("content_length", "The request body is not as long as Content-Length says.")));
    }
    context.request_bytes = body.len() as u64;
    context.body = RequestBody::Whole(HeldBody { bytes: body.freeze(), hold });
    Ok(())
}

/// Adds a chunk to a body that is being read.
///
/// # Errors
/// 413 or 503 when it would become too large, or all bodies together would.
pub fn append(
    body: &mut BytesMut,
    chunk: &Bytes,
    hold: &mut Hold,
    limit: usize,
    total_limit: usize,
) -> Result<(), Refusal> {
    let length = body.len() + chunk.len();
    if length > limit {
        let message = format!("The request body is larger than {limit} bytes (gateway.limits.request_body).");
        return Err(Refusal::new(413, "request_body", message));
    }
    if !hold.grow_to(length, total_limit) {
        return Err(Refusal::new(
            503,
            "request_bodies_total",
            "The gateway holds as many bytes of request bodies as it may (gateway.limits.request_bodies_total); try again.",
        ));
    }
    body.extend_from_slice(chunk);
    Ok(())
}

/// Whether the system prompt of this request is to be rewritten.
pub fn wants_rewrite(request: &RequestHeader) -> bool {
    let path = request.raw_path();
    let path = path.split(|&byte| byte == b'?').next().unwrap_or(path);
    SystemPrompt::applies_to(request.method.as_str(), path)
        && request
            .headers
            .get_all(http::header::CONTENT_ENCODING)
            .iter()
            .all(|coding| coding.as_bytes().eq_ignore_ascii_case(IDENTITY) || coding.is_empty())
}

/// Rewrites the system prompt of a whole body, and notes what was done.
pub fn rewrite(context: &mut Context) {
    let (Some(prompt), RequestBody::Whole(held)) = (&context.snapshot.config.system_prompt, &mut context.body) else {
        return;
    };
    context.rewrite = Some(match prompt.edit(&held.bytes) {
        Ok((rewrite, edit)) => {
            held.bytes = Bytes::from(edit.apply(&held.bytes));
            Ok(rewrite)
        }
        Err(unchanged) => {
            log::debug!("{}: the system prompt stays as it is: {unchanged}", context.request_id);
            Err(unchanged)
        }
    });
}

/// Takes a chunk of a body that comes in while the upstream waits; at its end the whole goes out, rewritten.
///
/// # Errors
/// 413 or 503 when it becomes too large.
pub fn collect(chunk: &mut Option<Bytes>, end_of_stream: bool, context: &mut Context) -> Result<(), Refusal> {
    let RequestBody::Collecting { body, hold, rewrite } = &mut context.body else { return Ok(()) };
    let limits = &context.snapshot.config.limits;
    if let Some(chunk) = chunk {
        append(body, chunk, hold, limits.request_body, limits.request_bodies_total)?;
    }
    if !end_of_stream {
        // An empty chunk holds the request back; none at all would end it.
        *chunk = Some(Bytes::new());
        return Ok(());
    }
    let wants_rewrite = *rewrite;
    let whole = std::mem::replace(&mut context.body, RequestBody::None);
    if let RequestBody::Collecting { body, hold, .. } = whole {
        context.request_bytes = body.len() as u64;
        context.body = RequestBody::Whole(HeldBody { bytes: body.freeze(), hold });
    }
    if wants_rewrite {
        self::rewrite(context);
    }
    if let RequestBody::Whole(held) = &context.body {
        *chunk = Some(held.bytes.clone());
        context.attempt.body_given = true;
    }
    Ok(())
}
