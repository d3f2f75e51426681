//! What is known of a request when it is over: plain data for the access log, the metrics and the request log.

use crate::usage::meter::Summary;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How a request ended. Each request has exactly one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer went to the client.
    Completed,
    /// The upstream answered with a status of 400 or more, which was passed on.
    UpstreamError,
    /// An error came in the middle of the stream.
    StreamError,
    /// The upstream's answer ended too early: before its framing said so, or without `message_stop`.
    Truncated,
    /// The upstream fell silent in mid-answer for longer than the limit.
    Stalled,
    /// The client went away before the answer was complete.
    ClientAborted,
    /// The gateway refused the request.
    Rejected,
    /// The gateway itself failed.
    GatewayError,
    /// No upstream answered.
    Unreachable,
}

impl Outcome {
    /// All outcomes, in the order of [`Outcome::index`].
    pub const ALL: [Self; 9] = [
        Self::Completed,
        Self::UpstreamError,
        Self::StreamError,
        Self::Truncated,
        Self::Stalled,
        Self::ClientAborted,
        Self::Rejected,
        Self::GatewayError,
        Self::Unreachable,
    ];

    /// Place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::UpstreamError => "upstream_error",
            Self::StreamError => "stream_error",
            Self::Truncated => "truncated",
            Self::Stalled => "stalled",
            Self::ClientAborted => "client_aborted",
            Self::Rejected => "rejected",
            Self::GatewayError => "gateway_error",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The gateway's id of the request.
    pub request_id: String,
    /// When its first byte came in.
    pub started_at: SystemTime,
    /// From its first byte to the end of its answer.
    pub duration: Duration,
    /// From its first byte to the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// Where it came from.
    pub client: Option<IpAddr>,
    /// `1.0`, `1.1` or `2`; empty if the request could not be read.
    pub http: &'static str,
    /// Method; empty if the request could not be read.
    pub method: String,
    /// Path without the query, which may hold keys.
    pub path: String,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why the gateway refused it or failed, as a short name; empty otherwise.
    pub reason: &'static str,
    /// Name of the upstream that it went to last.
    pub upstream: Option<Arc<str>>,
    /// How many times it was sent to an upstream.
    pub attempts: u32,
    /// Bytes of the request body as the client sent it.
    pub request_bytes: u64,
    /// Bytes of the answer's body that went to the client.
    pub response_bytes: u64,
    /// The first eight hexadecimal digits of the SHA-256 of the client's key.
    pub key: Option<String>,
    /// What became of the system prompt; empty if it was none of the gateway's business.
    pub rewrite: &'static str,
    /// The session that the client names.
    pub session: Option<String>,
    /// What the answer says, if it is one to a request for a message.
    pub answer: Option<Summary>,
}

/// Longest path that is recorded, in bytes: records wait in memory for the disk.
const LONGEST_PATH: usize = 1024;

/// A path as it is recorded: the beginning of a very long one.
pub fn path_text(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(LONGEST_PATH)]).into_owned()
}

#[cfg(test)]
impl RequestRecord {
    /// One for tests: a request that went well.
    pub fn sample() -> Self {
        Self {
            request_id: "req_1".to_owned(),
            started_at: SystemTime::UNIX_EPOCH,
            duration: Duration::from_millis(12),
            first_byte: Some(Duration::from_millis(9)),
            client: Some([127, 0, 0, 1].into()),
            http: "1.1",
            method: "POST".to_owned(),
            path: "/v1/messages".to_owned(),
            status: 200,
            outcome: Outcome::Completed,
            reason: "",
            upstream: Some("a".into()),
            attempts: 1,
            request_bytes: 3,
            response_bytes: 4,
            key: Some("0a1b2c3d".to_owned()),
            rewrite: "replaced",
            session: None,
            answer: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_recorded_by_its_beginning() {
        assert_eq!(path_text(b"/v1/messages"), "/v1/messages");
        assert_eq!(path_text(&[b'x'; 16 * 1024]).len(), LONGEST_PATH);
    }

    #[test]
    fn every_outcome_has_its_place() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index, "{}", outcome.name());
        }
    }
}
