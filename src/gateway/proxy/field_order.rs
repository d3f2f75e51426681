//! The order of the fields of a head. Whatever removes one from Pingora's map puts the last one into its place. (To make a
//! head of 23 fields anew takes 7 µs, which is why those that always go come last: see `ClientStream`.)

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// Puts the fields of an outgoing request into the order that they had when the `client` sent them; what is new comes
/// last.
///
/// # Errors
/// When the head cannot be made anew; that would be a mistake of the gateway's.
pub(super) fn restore(request: &mut RequestHeader, client: &HeaderMap) -> Result<()> {
    if is_in_order(&request.headers, client) {
        return Ok(());
    }
    let place = |name: &HeaderName| client.keys().position(|known| known == name).unwrap_or(usize::MAX);
    let mut order: Vec<(usize, usize)> =
        request.headers.iter().enumerate().map(|(at, (name, _))| (place(name), at)).collect();
    order.sort_unstable();
    let (method, target, count) = (request.method.clone(), request.raw_path(), Some(order.len()));
    let mut ordered = match request.has_case() {
        true => RequestHeader::build(method, target, count)?,
        false => RequestHeader::build_no_case(method, target, count)?,
    };
    ordered.set_version(request.version);
    ordered.set_send_end_stream(request.send_end_stream().unwrap_or(true));
    match request.has_case() {
        true => {
            let fields: Vec<_> = request.case_header_iter().collect();
            for (_, at) in order {
                let (name, value) = fields[at];
                ordered.append_header(name.clone(), value.clone())?;
            }
        }
        false => {
            let fields: Vec<_> = request.headers.iter().collect();
            for (_, at) in order {
                let (name, value) = fields[at];
                ordered.append_header(name, value.clone())?;
            }
        }
    }
    *request = ordered;
    Ok(())
}

/// Whether the client's fields stand in its order, before all others.
fn is_in_order(fields: &HeaderMap, client: &HeaderMap) -> bool {
    let mut rest = client.keys();
    // A new one is looked for among all that are left: none of the client's may come behind it.
    fields.keys().all(|name| rest.any(|known| known == name) || !client.contains_key(name))
}

/// Removes the fields that are not to be kept, and leaves the others in their order.
///
/// # Errors
/// As [`restore`].
pub(super) fn retain(response: &mut ResponseHeader, is_kept: impl Fn(&HeaderName) -> bool) -> Result<()> {
    if response.headers.keys().all(&is_kept) {
        return Ok(());
    }
    change(response, |name, value| is_kept(name).then(|| value.clone()))
}

/// Gives each field the value that goes in its place, and leaves all in their order; one without a value is removed.
///
/// # Errors
/// As [`restore`].
pub(super) fn change(
    response: &mut ResponseHeader,
    changed: impl Fn(&HeaderName, &HeaderValue) -> Option<HeaderValue>,
) -> Result<()> {
    let count = Some(response.headers.len());
    let mut kept = match response.has_case() {
        true => ResponseHeader::build(response.status, count)?,
        false => ResponseHeader::build_no_case(response.status, count)?,
    };
    kept.set_version(response.version);
    kept.set_reason_phrase(response.get_reason_phrase())?;
    match response.has_case() {
        true => {
            for ((name, value), (cased, _)) in response.headers.iter().zip(response.case_header_iter()) {
                if let Some(value) = changed(name, value) {
                    kept.append_header(cased.clone(), value)?;
                }
            }
        }
        false => {
            for (name, value) in &response.headers {
                if let Some(value) = changed(name, value) {
                    kept.append_header(name, value)?;
                }
            }
        }
    }
    *response = kept;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(names: &[&'static str], has_case: bool) -> RequestHeader {
        let mut request = match has_case {
            true => RequestHeader::build("POST", b"/v1/messages?a=b", None).expect("a head"),
            false => RequestHeader::build_no_case("POST", b"/v1/messages?a=b", None).expect("a head"),
        };
        for (at, name) in names.iter().enumerate() {
            request.append_header(*name, at.to_string()).expect("a header");
        }
        request
    }

    fn shown(request: &RequestHeader) -> String {
        let mut wire = Vec::new();
        request.header_to_h1_wire(&mut wire);
        String::from_utf8(wire).expect("text")
    }

    #[test]
    fn fields_go_out_as_they_came_and_new_ones_last() {
        for has_case in [true, false] {
            let client = request(&["a", "X-Bee", "connection", "c", "d", "c", "last"], has_case);
            let mut outgoing = client.clone();
            outgoing.remove_header("connection");
            outgoing.insert_header("X-New", "n").expect("set");
            outgoing.remove_header("a");
            outgoing.insert_header("X-Bee", "b").expect("set");
            assert_ne!(outgoing.headers.keys().next().map(HeaderName::as_str), Some("x-bee"), "the map has another");
            restore(&mut outgoing, &client.headers).expect("made");
            let (bee, new) = if has_case { ("X-Bee", "X-New") } else { ("x-bee", "x-new") };
            assert_eq!(shown(&outgoing), format!("{bee}: b\r\nc: 3\r\nc: 5\r\nd: 4\r\nlast: 6\r\n{new}: n\r\n"));
            assert_eq!((outgoing.method.as_str(), outgoing.raw_path()), ("POST", &b"/v1/messages?a=b"[..]));
        }
    }

    #[test]
    fn what_is_in_order_stays_the_same_head() {
        let client = request(&["a", "b", "c"], true);
        for (fields, expected) in
            [(&["a", "c", "x"][..], true), (&["a", "b", "c"], true), (&["c", "a"], false), (&["a", "x", "b"], false)]
        {
            assert_eq!(is_in_order(&request(fields, true).headers, &client.headers), expected, "{fields:?}");
        }
    }

    #[test]
    fn fields_that_stay_keep_their_order_and_case() {
        let mut response = ResponseHeader::build(299, None).expect("a head");
        response.set_reason_phrase(Some("Fine")).expect("set");
        for name in ["A", "keep-alive", "SET-cookie", "B", "SET-cookie", "Last"] {
            response.append_header(name, "1").expect("a header");
        }
        retain(&mut response, |name| name != "keep-alive").expect("made");
        let mut wire = Vec::new();
        response.header_to_h1_wire(&mut wire);
        let wire = String::from_utf8(wire).expect("text");
        assert_eq!(wire, "A: 1\r\nSET-cookie: 1\r\nSET-cookie: 1\r\nB: 1\r\nLast: 1\r\n");
        assert_eq!((response.status.as_u16(), response.get_reason_phrase()), (299, Some("Fine")));
    }
}
