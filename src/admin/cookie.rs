//! The cookie of a session: read from a request, and set or taken away by an answer.

use super::refused::Refused;
use crate::gateway::{Answer, SESSION_COOKIES};
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, ORIGIN, SET_COOKIE};
use pingora::http::RequestHeader;
use std::time::Duration;

/// Cookies of our names that are looked at: more than a browser keeps for one host, so that other programs on other ports,
/// whose cookies it sends too, hide none.
const MOST_COOKIES: usize = 256;

/// The values of our cookies. There may be many: browsers do not keep the ports of a host apart. Whatever else is among them
/// hides none.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let pairs = cookies.filter_map(|cookie| std::str::from_utf8(cookie).ok()?.trim().split_once('='));
    pairs.filter(|(name, _)| SESSION_COOKIES.contains(name)).map(|(_, value)| value).take(MOST_COOKIES)
}

/// Sets our cookie, or takes it away. Behind TLS, ours or that of a reverse proxy, the browser names an `https` origin: then
/// the cookie never travels in the clear, and no page without TLS can set it (RFC 6265bis section 4.1.3.1).
pub(super) fn set_cookies(request: &RequestHeader, value: &str, age: Duration) -> Result<Answer, Refused> {
    let is_tls = request.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let [secure, plain] = SESSION_COOKIES;
    let names: &[(&str, &str)] = match (is_tls, value.is_empty()) {
        (true, true) => &[(secure, "; Secure"), (plain, "")],
        (true, false) => &[(secure, "; Secure")],
        (false, _) => &[(plain, "")],
    };
    let mut answer = Answer::new(204, "text/plain", "");
    answer.headers.clear();
    for (name, attribute) in names {
        let text =
            format!("{name}={value}; Path=/api/admin; Max-Age={}; HttpOnly; SameSite=Strict{attribute}", age.as_secs());
        let value = HeaderValue::from_str(&text).map_err(Refused::failed)?;
        answer = answer.with_value(SET_COOKIE, value);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::super::sessions::SESSION_TIME;
    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        request
    }

    #[test]
    fn both_names_of_the_cookie_are_read() {
        let found = request(&[("cookie", "a=b; gateway_session=x.y"), ("cookie", "__Secure-gateway_session=z; c=d")]);
        assert_eq!(cookies(&found.headers).collect::<Vec<_>>(), ["x.y", "z"]);
    }

    #[test]
    fn a_good_cookie_is_found_among_those_of_other_programs() {
        let mut many = "gateway_session=1.2.3; ".repeat(200).into_bytes();
        many.extend_from_slice(b"name=caf\xe9; gateway_session=good");
        let mut found = request(&[]);
        found.append_header("cookie", HeaderValue::from_bytes(&many).expect("a value")).expect("a field");
        assert!(cookies(&found.headers).any(|value| value == "good"));
    }

    #[test]
    fn a_cookie_of_a_page_over_tls_is_for_tls_alone() {
        let lines = |origin: &str, value: &str| {
            let answer = set_cookies(&request(&[("origin", origin)]), value, SESSION_TIME);
            let Ok(answer) = answer else { panic!("no cookie") };
            answer.headers.iter().map(|(_, value)| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            lines("https://a.example", "x"),
            ["__Secure-gateway_session=x; Path=/api/admin; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"]
        );
        assert_eq!(
            lines("http://127.0.0.1:8088", "x"),
            ["gateway_session=x; Path=/api/admin; Max-Age=43200; HttpOnly; SameSite=Strict"]
        );
        assert_eq!(lines("https://a.example", "").len(), 2);
    }
}
