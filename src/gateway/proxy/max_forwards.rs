//! `Max-Forwards` of `OPTIONS` (RFC 9110 section 7.6.2): how many servers may still pass the request on.

use crate::gateway::answer::{ALLOWED, Answer};
use http::header::{ALLOW, MAX_FORWARDS};
use http::{HeaderValue, Method};
use pingora::Result;
use pingora::http::RequestHeader;

/// The response to a request that may go no further.
pub(super) fn answer(request: &RequestHeader) -> Option<Answer> {
    let answer = || Answer { status: 200, headers: vec![(ALLOW, HeaderValue::from_static(ALLOWED))], body: "".into() };
    (left(request)? == 0).then(answer)
}

/// Takes one off for the step to the upstream.
///
/// # Errors
/// When the field cannot be set; that would be a mistake of the gateway's.
pub(super) fn count_down(request: &mut RequestHeader) -> Result<()> {
    match left(request) {
        Some(left) => request.insert_header(MAX_FORWARDS, left.saturating_sub(1)),
        None => Ok(()),
    }
}

/// What the field says; `None` where it counts for nothing, or is no number. One that is too large is the largest.
fn left(request: &RequestHeader) -> Option<u64> {
    if request.method != Method::OPTIONS {
        return None;
    }
    let mut values = request.headers.get_all(MAX_FORWARDS).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let digits =
        value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, values: &[&'static str]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"*", None).expect("a head");
        for value in values {
            request.append_header("max-FORWARDS", *value).expect("a field");
        }
        request
    }

    #[test]
    fn only_numbers_of_options_count() {
        for (method, values, expected) in [
            ("OPTIONS", &["0"][..], Some(0)),
            ("OPTIONS", &["007"], Some(7)),
            ("OPTIONS", &["99999999999999999999999"], Some(u64::MAX)),
            ("OPTIONS", &["+1"], None),
            ("OPTIONS", &[""], None),
            ("OPTIONS", &["1", "2"], None),
            ("OPTIONS", &[], None),
            ("GET", &["0"], None),
        ] {
            assert_eq!(left(&request(method, values)), expected, "{method} {values:?}");
        }
        let mut five = request("OPTIONS", &["5"]);
        count_down(&mut five).expect("set");
        assert_eq!(five.headers["max-forwards"], "4");
    }
}
