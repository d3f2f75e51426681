//! The end of a request: from its context to its record.

use super::context::Context;
use super::failure::{self, Failure};
use super::snapshot::client_keys;
use crate::http1::split_query;
use crate::record::{Outcome, RequestRecord, path_text};
use crate::usage::meter::Summary;
use http::{HeaderMap, HeaderValue, Version};
use pingora::Error;
use pingora::proxy::Session;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The record of a request that is over; `error` is what Pingora says went wrong, if anything did.
pub fn record(session: &Session, error: Option<&Error>, context: &mut Context) -> RequestRecord {
    let answer = context.attempt.meter.take().map(|mut meter| meter.finish());
    let request = session.req_header();
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let failure = error.map(|error| failure::read(error, context));
    let (path, _) = split_query(request.raw_path());
    let (outcome, reason) = match context.rejected {
        Some(reason) => (Outcome::Rejected, reason),
        None => outcome(status, failure.as_ref(), answer.as_ref()),
    };
    let upstream = (context.attempts > 0).then(|| &context.destination().upstream);
    match (upstream, error, broken(outcome, answer.as_ref())) {
        (Some(upstream), None, Some(what)) => upstream.failed(&what),
        // What the client did is no fault of the upstream's.
        (Some(upstream), _, None) if context.attempt.is_good && !matches!(outcome, Outcome::Stalled) => {
            upstream.completed();
        }
        _ => {}
    }
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
        path: path_text(path),
        status,
        outcome,
        reason,
        upstream: upstream.map(|upstream| Arc::from(upstream.config.name.as_str())),
        attempts: context.attempts,
        request_bytes: context.request_bytes,
        response_bytes: session.body_bytes_sent() as u64,
        key: key_fingerprint(&request.headers),
        rewrite: context.attempt.rewrite,
        session: request.headers.get("x-claude-code-session-id").map(short),
        answer,
    }
}

fn outcome(status: u16, failure: Option<&Failure>, answer: Option<&Summary>) -> (Outcome, &'static str) {
    let readable =
        answer.filter(|answer| answer.is_stream && !answer.is_unreadable && (answer.is_message || answer.events == 0));
    match (failure, readable) {
        (_, Some(answer)) if answer.error.is_some() => (Outcome::StreamError, ""),
        // Everything was said; how the connection ended is no matter then.
        (_, Some(answer)) if answer.is_complete => (Outcome::Completed, ""),
        (Some(failure), _) => (failure.outcome, failure.reason),
        (None, Some(_)) => (Outcome::Truncated, "no_message_stop"),
        (None, None) if status >= 400 => (Outcome::UpstreamError, ""),
        (None, None) => (Outcome::Completed, ""),
    }
}

/// What the upstream did, if its answer went through and was none all the same.
fn broken(outcome: Outcome, answer: Option<&Summary>) -> Option<String> {
    match outcome {
        Outcome::Truncated => Some("ended its stream without message_stop".to_owned()),
        Outcome::StreamError => Some(format!("sent the error {} in its stream", answer?.error.as_deref()?)),
        _ => None,
    }
}

/// A client's text, cut to a length that logs can bear.
fn short(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(64).collect()
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
