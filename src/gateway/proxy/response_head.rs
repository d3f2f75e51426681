//! The head of the response on its way to the client: everything stays but what belongs to the upstream's connection.

use super::context::Context;
use super::{apply_rules, field_order, first_event, limits, origin_headers, relay_key, request_head};
use crate::config::Via;
use crate::gateway::answer::X_REQUEST_ID;
use crate::gateway::browser;
use gateway_core::http1::list_members;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;

/// Fields that belong to one connection (RFC 9110 section 7.6.1). `Connection` and `Transfer-Encoding` are Pingora's.
static HOP_BY_HOP: [HeaderName; 4] =
    [HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"), TE, TRAILER];
/// What an upstream may not remove by naming it in `Connection`: without these the response would not be understood.
const KEPT: [&str; 6] = ["close", "keep-alive", "upgrade", "content-length", "transfer-encoding", "content-type"];

/// Makes the upstream's head the client's, and has it wait for its body if it can. `client` is the request.
///
/// # Errors
/// When a header cannot be set; that would be a mistake of the gateway's.
pub(crate) fn pass_on(response: &mut ResponseHeader, client: &RequestHeader, context: &mut Context) -> Result<()> {
    let is_http10 = client.version == Version::HTTP_10;
    head(response, is_http10, context)?;
    relay_key::head(response, context)?;
    apply_rules::response(response, client, context);
    browser::confine(response, &client.headers)?;
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    if !has_body_to_come(response, &client.method, is_http10) {
        // Nothing can be tried again from here on: what is still being sent, Pingora holds.
        context.forget_body();
        return Ok(());
    }
    let (held, longest) = first_event::hold(&response.headers, &client.headers, context);
    if let Some(hold) = &context.arrival.hold {
        hold.hold_next_head(held, longest);
    }
    Ok(())
}

/// Makes the head of the upstream's response the client's.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
fn head(response: &mut ResponseHeader, client_is_http10: bool, context: &Context) -> Result<()> {
    strip(response, client_is_http10)?;
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    if context.snapshot.config.via == Via::Add {
        response.append_header("Via", request_head::via(response.version))?;
    }
    for (name, value) in origin_headers::of(context) {
        response.insert_header(name, value)?;
    }
    if let Some((name, value)) = limits::told(context) {
        response.insert_header(name, value)?;
    }
    if response.headers.contains_key(&X_REQUEST_ID) {
        return Ok(());
    }
    response.insert_header(X_REQUEST_ID, &*context.request_id)
}

/// Removes what belongs to the upstream's connection.
fn strip(response: &mut ResponseHeader, client_is_http10: bool) -> Result<()> {
    let is_switch = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let is_interim = response.status.is_informational() && !is_switch;
    // Almost no response names anything, and then nothing is allocated.
    let named: Vec<Vec<u8>> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| list_members(line.as_bytes()))
        .filter(|option| !KEPT.iter().any(|kept| option.eq_ignore_ascii_case(kept.as_bytes())))
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    field_order::retain(response, |name| {
        let is_gone = HOP_BY_HOP.contains(name)
            || named.iter().any(|named| named == name.as_str().as_bytes())
            || *name == UPGRADE && !is_switch
            // An interim response has no body, and says nothing of the connection that others pass it on.
            || is_interim && [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
            // Such a client does not know chunks: the end of the connection ends the response.
            || client_is_http10 && *name == TRANSFER_ENCODING;
        !is_gone
    })
}

/// Whether something follows this head for sure, be it only the mark of the end: then the head can wait for it.
pub(super) fn has_body_to_come(response: &ResponseHeader, method: &Method, client_is_http10: bool) -> bool {
    let status = response.status;
    if status.is_informational() || matches!(status.as_u16(), 204 | 304) || method == Method::HEAD {
        return false;
    }
    match response.headers.get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes().iter().any(|digit| matches!(digit, b'1'..=b'9')),
        None => !client_is_http10,
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
        strip(&mut answer, false).expect("made");
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
        strip(&mut answer, true).expect("made");
        assert!(!answer.headers.contains_key("transfer-encoding"));
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
