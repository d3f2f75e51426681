//! Requests that a web page of another site makes in somebody's browser: they must not be sent on with a key that the
//! gateway adds. Pure.

use super::client_keys::X_API_KEY;
use crate::config::AllowOrigins;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::reason::Reason;
use gateway_core::redact::is_secret_name;
use gateway_core::rules::header::HeaderOp;
use gateway_core::rules::query::QueryOp;
use gateway_core::rules::rule::Rule;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, ORIGIN};
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// Fields in which clients of other services send their keys.
pub(super) const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// The same.
pub(super) const API_KEY: HeaderName = HeaderName::from_static("api-key");
/// Which site a browser sends a request for.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Fields in which a client brings a key of its own.
static KEYS: [HeaderName; 4] = [AUTHORIZATION, X_API_KEY, X_GOOG_API_KEY, API_KEY];

/// Refuses what a page of another site sends without a key of its own; `host` is whom the request is for. A key of its
/// own needs a preflight, which has none. A website's is refused too, because it could bring a dummy key that the
/// gateway then replaces; a desktop program's, whose origin no website can have, is not.
///
/// # Errors
/// 403.
pub(super) fn check(headers: &HeaderMap, host: Option<&str>, allowed: &AllowOrigins) -> Result<(), Refusal> {
    let has_key = KEYS.iter().any(|key| headers.get(key).is_some_and(|value| !value.is_empty()));
    if has_key || is_preflight_of_program(headers) || !is_foreign(headers, host, allowed) {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        Reason::CrossSite,
        both!(
            "This request comes from a web page of another site and has no key of its own, and the gateway would add one. \
             If the page is trusted, name its origin in gateway.allow_origins.",
            "这个请求来自其他网站的网页，没有自己的密钥，而网关会替它加上密钥。如果信任该网页，请把它的来源写入 \
             gateway.allow_origins。"
        ),
    ))
}

/// Whether a program built on a browser (`app://`, `vscode-file://`, ...) asks whether it may send a key of its own.
fn is_preflight_of_program(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `null`, which has no scheme, may be a website's frame.
    let scheme = text(ORIGIN).split_once("://").map(|(scheme, _)| scheme);
    let is_program = scheme.is_some_and(|scheme| !matches!(scheme, "http" | "https" | "ws" | "wss" | "file" | ""));
    let mut asked = text(ACCESS_CONTROL_REQUEST_HEADERS).split(',').map(str::trim);
    is_program && asked.any(|name| KEYS.iter().any(|key| name.eq_ignore_ascii_case(key.as_str())))
}

/// Whether another site's page sends this, as far as browsers tell.
fn is_foreign(headers: &HeaderMap, host: Option<&str>, allowed: &AllowOrigins) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(ORIGIN);
    if allowed.allow_any() {
        return false;
    }
    if origin.is_some_and(|origin| allowed.allows(origin)) {
        return false;
    }
    let is_same = match text(SEC_FETCH_SITE) {
        // Somebody typed the address.
        Some("none") => return false,
        Some(site) => site == "same-origin",
        None => match origin {
            None => return false,
            Some(origin) => {
                let authority = origin.split_once("://").map(|(scheme, authority)| match scheme {
                    "https" => authority.strip_suffix(":443").unwrap_or(authority),
                    _ => authority.strip_suffix(":80").unwrap_or(authority),
                });
                let host = host.map(|host| host.strip_suffix(":80").or(host.strip_suffix(":443")).unwrap_or(host));
                authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
            }
        },
    };
    // Any name can be made to lead here (DNS rebinding): only addresses, and those of the machine itself, prove
    // something.
    !is_same || !host.is_some_and(|host| is_no_name(host) || allowed.allows_host(host))
}

/// Whether a host with perhaps a port is an address, or this machine.
fn is_no_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether a rule may add a key to a request.
pub(super) fn adds_key(rule: &Rule) -> bool {
    let sets = |op: &HeaderOp| match op {
        HeaderOp::Set(name, _) | HeaderOp::Add(name, _) | HeaderOp::Default(name, _) | HeaderOp::ListAdd(name, _) => {
            is_secret_name(name.name.as_str())
        }
        HeaderOp::Remove(_) | HeaderOp::Rename(..) | HeaderOp::ListRemove(..) | HeaderOp::ApiKey(_) => false,
    };
    let asks = |op: &QueryOp| matches!(op, QueryOp::Set(name, _) if is_secret_name(name));
    rule.headers.iter().any(sets) || rule.query.iter().any(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(fields: &[(&'static str, &'static str)], allowed: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().expect("a value"));
        }
        let host = headers.get("host").map(|host| host.to_str().expect("text").to_owned());
        let allowed = AllowOrigins::parse(allowed).expect("a list");
        check(&headers, host.as_deref(), &allowed).is_err()
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let here = ("host", "127.0.0.1:8088");
        let name = ("host", "gateway.example:8088");
        for (fields, refused) in [
            // Programs say nothing of all that.
            (vec![here], false),
            (vec![name], false),
            (vec![here, ("sec-fetch-site", "none")], false),
            (vec![here, ("sec-fetch-site", "same-origin")], false),
            (vec![here, ("sec-fetch-site", "cross-site")], true),
            (vec![here, ("sec-fetch-site", "same-site")], true),
            (vec![here, ("sec-fetch-site", "?")], true),
            (vec![here, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:8088")], true),
            (vec![here, ("origin", "http://127.0.0.1:8088")], false),
            (vec![here, ("origin", "http://127.0.0.1:8089")], true),
            (vec![here, ("origin", "http://127.0.0.1")], true),
            (vec![here, ("origin", "https://evil.example")], true),
            (vec![here, ("origin", "null")], true),
            (vec![here, ("origin", "file://")], true),
            (vec![here, ("origin", "")], true),
            (vec![("host", "[::1]"), ("origin", "http://[::1]:80")], false),
            (vec![("host", "localhost:443"), ("origin", "https://localhost")], false),
            // A name that leads here may be anybody's.
            (vec![name, ("origin", "http://gateway.example:8088")], true),
            (vec![name, ("sec-fetch-site", "same-origin"), ("origin", "http://gateway.example:8088")], true),
            (vec![name, ("sec-fetch-site", "same-origin")], true),
        ] {
            assert_eq!(is_refused(&fields, ""), refused, "{fields:?}");
            for key in KEYS.iter().map(HeaderName::as_str) {
                assert!(!is_refused(&[&fields[..], &[(key, "sk-1")]].concat(), ""), "{fields:?} {key}");
            }
            assert_eq!(is_refused(&[&fields[..], &[("x-api-key", "")]].concat(), ""), refused, "an empty key is none");
        }
    }

    #[test]
    fn a_desktop_program_may_ask_whether_it_may_send_a_key() {
        let here = ("host", "127.0.0.1:8088");
        for (origin, asked, refused) in [
            ("app://chat", "content-type, X-Api-Key", false),
            ("vscode-file://vscode-app", "authorization", false),
            ("app://chat", "content-type", true),
            ("https://evil.example", "x-api-key", true),
            ("null", "x-api-key", true),
        ] {
            let fields =
                [here, ("sec-fetch-site", "cross-site"), ("origin", origin), ("access-control-request-headers", asked)];
            assert_eq!(is_refused(&fields, ""), refused, "{origin} {asked}");
        }
    }

    #[test]
    fn pages_that_are_named_may() {
        let here = ("host", "127.0.0.1:8088");
        let cross = ("sec-fetch-site", "cross-site");
        let chat = ("origin", "https://chat.example");
        assert!(!is_refused(&[here, cross, chat], "https://chat.example"));
        assert!(is_refused(&[here, cross, chat], "https://other.example"));
        assert!(is_refused(&[here, cross], "https://chat.example"), "it may be any page");
        assert!(!is_refused(&[here, cross], "*"));
        let own = [("host", "gateway.example"), ("sec-fetch-site", "same-origin")];
        assert!(!is_refused(&own, "https://gateway.example"));
    }
}
