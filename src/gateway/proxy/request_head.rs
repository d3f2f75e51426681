//! The request as the upstream gets it.

use super::context::Context;
use crate::config::ForwardedFor;
use crate::gateway::snapshot::X_FORWARDED_FOR;
use crate::upstream::Upstream;
use bytes::Bytes;
use gateway_core::addresses::members_before;
use http::HeaderValue;
use http::header::{COOKIE, EXPECT, HOST};
use pingora::http::RequestHeader;
use pingora::prelude::*;

/// Makes the outgoing head from the client's, of which Pingora has removed what belongs to the connection.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub(crate) fn head(request: &mut RequestHeader, is_http2: bool, context: &Context) -> Result<()> {
    let upstream = &context.destination()?.upstream;
    set_target(request, upstream)?;
    // The gateway has met it: the body is here.
    request.remove_header(&EXPECT);
    if !upstream.config.preserve_host || !request.headers.contains_key(HOST) && request.uri.authority().is_none() {
        request.insert_header(HOST, upstream.host.clone())?;
    }
    join_cookies(request, is_http2)?;
    set_forwarded_for(request, context)
}

/// Tells the length of the body as this upstream gets it.
///
/// # Errors
/// When the field cannot be set; that would be a mistake of the gateway's.
pub(crate) fn length(request: &mut RequestHeader, context: &Context) -> Result<()> {
    let Some(held) = &context.arrival.body else { return Ok(()) };
    let body = context.attempt.body.as_ref().unwrap_or(&held.bytes);
    request.insert_header(context.arrival.length_name.clone(), body.len())
}

/// Puts the upstream's path prefix before the target, and makes an HTTP/2 request's URI a plain path.
fn set_target(request: &mut RequestHeader, upstream: &Upstream) -> Result<()> {
    let prefix = &upstream.config.base_url.path_prefix;
    if prefix.is_empty() && request.uri.authority().is_none() {
        return Ok(());
    }
    let target = request.raw_path();
    let target = if target == b"*" { b"" } else { target };
    let mut whole = Vec::with_capacity(prefix.len() + target.len());
    whole.extend_from_slice(prefix.as_bytes());
    whole.extend_from_slice(target);
    if whole.is_empty() {
        whole.push(b'*');
    }
    request.set_raw_path(&whole)
}

/// HTTP/2 clients may split their cookies over several fields; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader, is_http2: bool) -> Result<()> {
    if !is_http2 || request.headers.get_all(COOKIE).iter().count() < 2 {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined =
        HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).or_err(ErrorType::InternalError, "joining cookies")?;
    request.insert_header(COOKIE, joined)
}

/// Adds the client's address to the chain that it sent, or removes that, as configured. Trusted proxies have no place
/// in the chain: it is as if the client had come to the gateway itself.
fn set_forwarded_for(request: &mut RequestHeader, context: &Context) -> Result<()> {
    match context.snapshot.config.forwarded_for {
        ForwardedFor::Keep => {}
        ForwardedFor::Off => drop(request.remove_header(&X_FORWARDED_FOR)),
        ForwardedFor::Append => {
            let Some(client) = context.arrival.client else { return Ok(()) };
            let lines = request.headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
            let before = match context.arrival.believed {
                0 => lines.collect(),
                believed => members_before(lines, believed),
            };
            let mut chain: Vec<u8> = Vec::new();
            for before in before {
                chain.extend_from_slice(before);
                chain.extend_from_slice(b", ");
            }
            chain.extend_from_slice(client.to_string().as_bytes());
            let chain = HeaderValue::from_bytes(&chain).or_err(ErrorType::InternalError, "making X-Forwarded-For")?;
            request.insert_header("X-Forwarded-For", chain)?;
        }
    }
    Ok(())
}

/// The whole body, once per attempt; `None` if there is none.
pub(crate) fn body(context: &mut Context) -> Option<Bytes> {
    let is_first = !std::mem::replace(&mut context.attempt.body_given, true);
    let held = context.arrival.body.as_ref().filter(|_| is_first)?;
    Some(context.attempt.body.take().unwrap_or_else(|| held.bytes.clone()))
}
