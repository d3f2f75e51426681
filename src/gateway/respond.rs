//! The upstream's answer on its way to the client: everything stays but what belongs to the upstream's connection.

use super::answer::X_REQUEST_ID;
use crate::http1::list_members;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use pingora::http::ResponseHeader;
use pingora::prelude::*;

/// Fields that belong to one connection (RFC 9110 section 7.6.1). `Connection` and `Transfer-Encoding` are Pingora's.
const HOP_BY_HOP: [&str; 4] = ["keep-alive", "proxy-connection", "te", "trailer"];
/// What an upstream may not remove by naming it in `Connection`: without these the answer would not be understood.
const KEPT: [&str; 6] = ["close", "keep-alive", "upgrade", "content-length", "transfer-encoding", "content-type"];

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

/// Makes the head of the upstream's answer the client's.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub fn head(response: &mut ResponseHeader, client_is_http10: bool, request_id: &str) -> Result<()> {
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
    let is_final = !response.status.is_informational() || response.status == http::StatusCode::SWITCHING_PROTOCOLS;
    if is_final && !response.headers.contains_key(&X_REQUEST_ID) {
        response.insert_header(X_REQUEST_ID, request_id)?;
    }
    Ok(())
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
        head(&mut answer, false, "ours").expect("made");
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(answer.headers["x-request-id"], "theirs");
        assert_eq!(answer.headers["content-length"], "3");
        for gone in ["x-hop", "keep-alive", "upgrade"] {
            assert!(!answer.headers.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn an_id_is_added_and_old_clients_get_no_chunks() {
        let mut answer = response(&[("Transfer-Encoding", "chunked")]);
        head(&mut answer, true, "ours").expect("made");
        assert_eq!(answer.headers["x-request-id"], "ours");
        assert!(!answer.headers.contains_key("transfer-encoding"));
    }
}
