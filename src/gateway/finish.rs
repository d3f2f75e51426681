//! The end of a request: from its context to its record.

use super::context::Context;
use super::failure::{self, Failure};
use super::snapshot::client_keys;
use crate::http1::split_query;
use crate::record::{Outcome, RequestRecord};
use http::{HeaderMap, Version};
use pingora::Error;
use pingora::proxy::Session;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The record of a request that is over; `error` is what Pingora says went wrong, if anything did.
pub fn record(session: &Session, error: Option<&Error>, context: &Context) -> RequestRecord {
    let request = session.req_header();
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let failure = error.map(|error| failure::read(error, context));
    let (path, _) = split_query(request.raw_path());
    let (outcome, reason) = match context.rejected {
        Some(reason) => (Outcome::Rejected, reason),
        None => outcome(status, failure.as_ref()),
    };
    RequestRecord {
        request_id: context.request_id.clone(),
        started_at: context.started_at,
        duration: context.started.elapsed(),
        first_byte: context.first_byte.map(|at| at.duration_since(context.started)),
        client: context.client,
        http: match request.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        method: request.method.to_string(),
        path: String::from_utf8_lossy(path).into_owned(),
        status,
        outcome,
        reason,
        upstream: (context.attempts > 0).then(|| Arc::from(context.destination().upstream.config.name.as_str())),
        attempts: context.attempts,
        request_bytes: context.request_bytes,
        response_bytes: session.body_bytes_sent() as u64,
        key: key_fingerprint(&request.headers),
        rewrite: context.attempt.rewrite,
    }
}

fn outcome(status: u16, failure: Option<&Failure>) -> (Outcome, &'static str) {
    match failure {
        Some(failure) => (failure.outcome, failure.reason),
        None if status >= 400 => (Outcome::UpstreamError, ""),
        None => (Outcome::Completed, ""),
    }
}

/// The first eight hexadecimal digits of the SHA-256 of the client's key: enough to tell keys apart, of no other use.
fn key_fingerprint(headers: &HeaderMap) -> Option<String> {
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
