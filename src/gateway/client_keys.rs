//! The fields in which a client says who it is: its key, and its session.

use crate::upstream::sessions::Client;
use gateway_core::record::request_class;
use gateway_core::rules::header::key_in;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// A field in which a client sends its key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The field that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// The field that names a sub-agent.
pub(super) const AGENT: HeaderName = HeaderName::from_static("x-claude-code-agent-id");
/// The field that says what a request is for.
pub(super) const REQUEST_CLASS: HeaderName = HeaderName::from_static("x-claude-code-request-class");

/// Words that stand where a key should: what clients need something for, and what programs write for nothing.
const PLACEHOLDERS: [&[u8]; 11] = [
    b"dummy",
    b"empty",
    b"fake",
    b"none",
    b"not-needed",
    b"not-used",
    b"null",
    b"placeholder",
    b"undefined",
    b"unused",
    b"your-api-key",
];

/// The keys that a client sent, the one that authenticates it first: that is the bearer, where there is one, and
/// `x-api-key` may hold anything then. Values that are empty are no keys; a scheme that is not `Bearer` may be for
/// somebody before the gateway, and counts only where there is nothing else.
pub(super) fn client_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> + Clone {
    let value = headers.get(AUTHORIZATION).map(|value| value.as_bytes().trim_ascii());
    let bearer = value.and_then(key_in);
    let x_api_keys = headers.get_all(X_API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
    let x_api_key = x_api_keys.into_iter().find(|key| !key.is_empty());
    let other = value.filter(|value| bearer.is_none() && !value.is_empty() && !value.eq_ignore_ascii_case(b"bearer"));
    let is_bearer_first = x_api_key.is_none() || !bearer.is_some_and(is_placeholder);
    let (first, second) = if is_bearer_first { (bearer, x_api_key) } else { (x_api_key, bearer) };
    [first, second, other].into_iter().flatten()
}

/// Whether this is no key at all, but one of [`PLACEHOLDERS`], alone or with something behind it that no letter begins.
fn is_placeholder(key: &[u8]) -> bool {
    let key = key.strip_prefix(b"sk-").unwrap_or(key).to_ascii_lowercase();
    let is_more = |rest: &[u8]| rest.first().is_none_or(|byte| !byte.is_ascii_alphabetic());
    key.iter().all(|&byte| byte == b'x') || PLACEHOLDERS.iter().any(|word| key.strip_prefix(*word).is_some_and(is_more))
}

/// Who sends a request with these headers and this key: the session that it names, or else its key.
pub(super) fn client(headers: &HeaderMap, key: Option<&[u8]>) -> Client {
    Client::new(headers.get(SESSION).map(|id| id.as_bytes()), key)
}

/// What a request with these headers is for, as records have it (`ClientNames::with_class`).
pub(super) fn request_class(headers: &HeaderMap) -> Option<&str> {
    match headers.get(REQUEST_CLASS) {
        Some(class) => class.to_str().ok(),
        None => headers.contains_key(AGENT).then_some(request_class::SUBAGENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fingerprint::KeyFingerprint;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn a_key_has_one_fingerprint_in_both_headers() {
        let fingerprint = |name: &'static str, value: &str| {
            client_keys(&headers(&[(name, value)])).next().map(|key| KeyFingerprint::of(key).to_string())
        };
        // What `printf sk-1 | sha256sum` begins with.
        let key = Some("0f2c10bf3d128c71".to_owned());
        assert_eq!(fingerprint("x-api-key", "sk-1"), key);
        assert_eq!(fingerprint("authorization", "Bearer sk-1"), key);
        assert_eq!(fingerprint("authorization", "bearer sk-1"), key);
        assert_eq!(fingerprint("authorization", "sk-1"), key);
        assert_ne!(fingerprint("x-api-key", "sk-2"), key);
        for (name, value) in [
            ("x-other", "sk-1"),
            ("x-api-key", ""),
            ("x-api-key", "  "),
            ("authorization", "Bearer "),
            ("authorization", ""),
        ] {
            assert_eq!(fingerprint(name, value), None, "{name}: {value:?}");
        }
    }

    #[test]
    fn a_key_that_only_begins_like_a_placeholder_is_one() {
        for no_key in ["dummy", "sk-xxxxxxxx", "NONE", "sk-placeholder-1", "your-api-key-here", "not-used-000"] {
            assert!(is_placeholder(no_key.as_bytes()), "{no_key}");
        }
        for key in ["sk-XXXq81", "nonesuch4711", "sk-fakeer9", "sk-real", "nullify"] {
            assert!(!is_placeholder(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn the_key_that_authenticates_comes_first() {
        let keys = |fields: &[(&'static str, &str)]| {
            let headers = headers(fields);
            client_keys(&headers).map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
        };
        let bearer = ("authorization", "Bearer sk-real");
        for nothing in ["", " ", "\t"] {
            assert_eq!(keys(&[("x-api-key", nothing), bearer]), ["sk-real"]);
        }
        for other in ["not-used-000", "sk-other", "x"] {
            assert_eq!(keys(&[("x-api-key", other), bearer]), ["sk-real", other]);
        }
        for placeholder in ["dummy", "Bearer null", "bearer undefined", "Bearer sk-placeholder", "Bearer NONE"] {
            let authorization = ("authorization", placeholder);
            let word = placeholder.rsplit(' ').next().expect("a word");
            assert_eq!(keys(&[authorization, ("x-api-key", "sk-real")]), ["sk-real", word]);
            assert_eq!(keys(&[authorization]), [word], "better than none");
        }
        assert_eq!(keys(&[("authorization", "Bearer"), ("x-api-key", "sk-real")]), ["sk-real"]);
        assert_eq!(keys(&[("x-api-key", ""), ("x-api-key", "sk-real")]), ["sk-real"]);
        assert_eq!(keys(&[("authorization", "Basic YTpi"), ("x-api-key", "sk-real")]), ["sk-real", "Basic YTpi"]);
        assert_eq!(keys(&[("authorization", "Basic YTpi")]), ["Basic YTpi"]);
    }
}
