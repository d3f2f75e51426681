//! The fields in which a client says who it is: its key, and its session.

use crate::upstream::sessions::Client;
use gateway_core::rules::header::bearer;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

/// A field in which a client sends its key.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The field that names a session.
pub const SESSION: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// The keys that a client sent: in `x-api-key`, and in `Authorization` without its scheme.
pub fn client_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let x_api_key = headers.get(X_API_KEY).map(|value| value.as_bytes());
    let authorization = headers.get(AUTHORIZATION).map(|value| bearer(value.as_bytes()).unwrap_or(value.as_bytes()));
    x_api_key.into_iter().chain(authorization)
}

/// Who sends a request with these headers: the session that it names, and its key.
pub fn client(headers: &HeaderMap) -> Client {
    let session = headers.get(SESSION).map(|id| id.as_bytes());
    Client::new(session, client_keys(headers).next())
}

/// The first eight hexadecimal digits of the SHA-256 of the client's key: enough to tell keys apart, of no other use.
pub fn key_fingerprint(headers: &HeaderMap) -> Option<String> {
    let key = client_keys(headers).next()?;
    let digest = Sha256::digest(key);
    Some(digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_fingerprint_in_both_headers() {
        let headers = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a value"));
            headers
        };
        let a = key_fingerprint(&headers("x-api-key", "sk-1"));
        assert_eq!(a, key_fingerprint(&headers("authorization", "Bearer sk-1")));
        assert_eq!(a, key_fingerprint(&headers("authorization", "bearer sk-1")));
        assert_ne!(a, key_fingerprint(&headers("x-api-key", "sk-2")));
        assert_eq!(a.expect("a fingerprint").len(), 8);
        assert_eq!(key_fingerprint(&HeaderMap::new()), None);
    }
}
