//! The fields in which a client says who it is: its key, and its session.

use crate::config::routes::digest;
use crate::upstream::sessions::Client;
use gateway_core::rules::header::bearer;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use std::fmt;

/// A field in which a client sends its key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The field that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// The keys that a client sent: in `x-api-key`, and in `Authorization` without its scheme.
pub(super) fn client_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let x_api_key = headers.get(X_API_KEY).map(|value| value.as_bytes());
    let authorization = headers.get(AUTHORIZATION).map(|value| bearer(value.as_bytes()).unwrap_or(value.as_bytes()));
    x_api_key.into_iter().chain(authorization)
}

/// Who sends a request with these headers: the session that it names, and its key.
pub(super) fn client(headers: &HeaderMap) -> Client {
    let session = headers.get(SESSION).map(|id| id.as_bytes());
    Client::new(session, client_keys(headers).next())
}

/// The beginning of the SHA-256 of a client's key: enough to tell keys apart, of no other use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyFingerprint([u8; 4]);

impl KeyFingerprint {
    /// Of the key with this digest.
    pub(crate) fn of(digest: [u8; 32]) -> Self {
        let [a, b, c, d, ..] = digest;
        Self([a, b, c, d])
    }

    /// Of the key in these headers, if there is one.
    pub(crate) fn in_headers(headers: &HeaderMap) -> Option<Self> {
        client_keys(headers).next().map(|key| Self::of(digest(key)))
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_fingerprint_in_both_headers() {
        let fingerprint = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a value"));
            KeyFingerprint::in_headers(&headers).map(|key| key.to_string())
        };
        // What `printf sk-1 | sha256sum` begins with.
        let key = Some("0f2c10bf".to_owned());
        assert_eq!(fingerprint("x-api-key", "sk-1"), key);
        assert_eq!(fingerprint("authorization", "Bearer sk-1"), key);
        assert_eq!(fingerprint("authorization", "bearer sk-1"), key);
        assert_ne!(fingerprint("x-api-key", "sk-2"), key);
        assert_eq!(fingerprint("x-other", "sk-1"), None);
    }
}
