//! The request as the upstream gets it.

use super::context::Context;
use super::max_forwards;
use crate::config::profile::Profile;
use crate::config::{ForwardedFor, HintHeaders, Via};
use crate::gateway::SESSION_COOKIES;
use crate::gateway::snapshot::X_FORWARDED_FOR;
use crate::upstream::Upstream;
use bytes::{Bytes, BytesMut};
use gateway_core::addresses::members_before;
use gateway_core::http1::{collapsed, split_query};
use http::header::{COOKIE, EXPECT, HOST};
use http::{HeaderName, HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::prelude::*;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Bytes of the longest address, IPv6 with an IPv4 in it.
const LONGEST_ADDRESS: usize = 45;

/// The fields in which Claude Code says what a request is for: for gateways, who may keep them to themselves.
static HINTS: [HeaderName; 6] = [
    HeaderName::from_static("x-claude-code-request-class"),
    HeaderName::from_static("x-claude-code-agent-type"),
    HeaderName::from_static("x-claude-code-compaction"),
    HeaderName::from_static("x-claude-code-context-compacted"),
    HeaderName::from_static("x-claude-code-prompt-id"),
    HeaderName::from_static("x-claude-code-prev-tool-durations"),
];

/// Makes the outgoing head from the client's, of which Pingora has removed what belongs to the connection. The client's
/// had `client_version`.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub(crate) fn head(request: &mut RequestHeader, client_version: Version, context: &Context) -> Result<()> {
    let upstream = &context.destination()?.upstream;
    set_target(request, upstream)?;
    // The gateway has met it: the body is here.
    request.remove_header(&EXPECT);
    if !upstream.config.preserve_host || !request.headers.contains_key(HOST) && request.uri.authority().is_none() {
        request.insert_header(HOST, context.line()?.host.clone())?;
    }
    if client_version == Version::HTTP_2 {
        join_cookies(request)?;
    }
    remove_sessions(request)?;
    max_forwards::count_down(request)?;
    if context.snapshot.config.hint_headers == HintHeaders::Consume {
        for name in &HINTS {
            request.remove_header(name);
        }
    }
    if context.snapshot.config.via == Via::Add {
        add_via(request, client_version)?;
    }
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

/// Puts the upstream's path prefix before the target, and makes an HTTP/2 request's URI a plain path. Where the profile
/// knows the paths of the API, slashes too many are taken out.
fn set_target(request: &mut RequestHeader, upstream: &Upstream) -> Result<()> {
    let prefix = &upstream.config.base_url.path_prefix;
    let target = request.raw_path();
    let (path, query) = split_query(target);
    let path = match upstream.config.profile {
        Profile::AnyRouter => collapsed(path),
        Profile::None => path.into(),
    };
    if prefix.is_empty() && request.uri.authority().is_none() && matches!(path, Cow::Borrowed(_)) {
        return Ok(());
    }
    let path = if &*path == b"*" { b"" } else { &*path };
    let mut whole = Vec::with_capacity(prefix.len() + target.len());
    whole.extend_from_slice(prefix.as_bytes());
    whole.extend_from_slice(path);
    if let Some(query) = query {
        whole.push(b'?');
        whole.extend_from_slice(query);
    }
    if whole.is_empty() {
        whole.push(b'*');
    }
    request.set_raw_path(&whole)
}

/// HTTP/2 clients may split their cookies over several fields; HTTP/1.1 knows one (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    if request.headers.get_all(COOKIE).iter().count() < 2 {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined =
        HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).or_err(ErrorType::InternalError, "joining cookies")?;
    request.insert_header(COOKIE, joined)
}

/// The pairs of a `Cookie` field, with the blanks between them.
fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b';')
}

/// The panel's cookie is for the panel: with it the relay could log in. Browsers send it nowhere else, but programs might.
fn remove_sessions(request: &mut RequestHeader) -> Result<()> {
    let is_session = |pair: &[u8]| {
        let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        SESSION_COOKIES.iter().any(|session| session.as_bytes() == name)
    };
    if !request.headers.get_all(COOKIE).iter().flat_map(pairs).any(is_session) {
        return Ok(());
    }
    let lines: Vec<HeaderValue> = request.headers.get_all(COOKIE).iter().cloned().collect();
    request.remove_header(&COOKIE);
    for line in &lines {
        let kept: Vec<&[u8]> = pairs(line).filter(|pair| !is_session(pair)).collect();
        if !kept.is_empty() {
            let kept = kept.join(&b';');
            let kept =
                HeaderValue::from_bytes(kept.trim_ascii()).or_err(ErrorType::InternalError, "removing a cookie")?;
            request.append_header(COOKIE, kept)?;
        }
    }
    Ok(())
}

/// Adds the gateway to the chain of those who passed the request on (RFC 9110 section 7.6.3).
fn add_via(request: &mut RequestHeader, client_version: Version) -> Result<()> {
    request.append_header("Via", via(client_version)).map(drop)
}

/// What the gateway says of itself in `Via`, for a message that came in this version of HTTP.
pub(super) fn via(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2 anyrouter-gateway",
        Version::HTTP_10 => "1.0 anyrouter-gateway",
        _ => "1.1 anyrouter-gateway",
    }
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
            let mut chain = BytesMut::with_capacity(LONGEST_ADDRESS);
            for before in before {
                chain.extend_from_slice(before);
                chain.extend_from_slice(b", ");
            }
            write!(chain, "{client}").or_err(ErrorType::InternalError, "making X-Forwarded-For")?;
            let chain = HeaderValue::from_maybe_shared(chain.freeze());
            let chain = chain.or_err(ErrorType::InternalError, "making X-Forwarded-For")?;
            request.insert_header("X-Forwarded-For", chain)?;
        }
    }
    Ok(())
}

/// The whole body, once per attempt; `None` if there is none.
pub(crate) fn body(context: &mut Context) -> Option<Bytes> {
    let is_first = !std::mem::replace(&mut context.attempt.body_given, true);
    let held = context.arrival.body.as_ref().filter(|_| is_first)?;
    // What is asked of its shape later, when nobody waits for that, needs it a little longer.
    let changed = match context.observation.shapes.is_wanted {
        true => context.attempt.body.clone(),
        false => context.attempt.body.take(),
    };
    Some(changed.unwrap_or_else(|| held.bytes.clone()))
}
