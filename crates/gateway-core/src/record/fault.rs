//! What an upstream did that made a request, or a health check, fail.

mod text;
mod tls;

pub use text::{Reader, Told};
pub use tls::TlsFault;

use super::outcome::Outcome;
use crate::reason::Reason;
use crate::usage::summary::{Said, Summary};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What an upstream did. As JSON it is a `code`, which stays as it is for ever, and `parameters`, if there are any.
/// `said` is another side's text or the system's: for the operator only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", content = "parameters", rename_all = "snake_case")]
#[allow(missing_docs, reason = "docs/openapi.yaml has the parameters")]
pub enum UpstreamFault {
    // --- no connection ---
    /// Its name does not resolve.
    Resolve {
        said: String,
        /// The name; `None` if it is that of `base_url`, or in rows of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// For how long it has been found not to exist (NXDOMAIN); `None` for any other reason.
        #[serde(rename = "absent_ms", with = "some_millis", default, skip_serializing_if = "Option::is_none")]
        absent: Option<Duration>,
    },
    /// It refused the connection.
    ConnectRefused,
    /// The connection took too long.
    ConnectTimeout {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    /// No connection, for another reason.
    Connect { said: String },
    /// The TLS handshake failed; `fault` is `None` for an unusual reason.
    Tls { fault: Option<TlsFault>, said: String },
    /// Its outbound proxy did not open the way.
    Proxy {
        said: String,
        /// Why it never will, as it is; `None` for any other reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<ProxyRefusal>,
        /// For how long the proxy's own name has been found not to exist.
        #[serde(rename = "absent_ms", with = "some_millis", default, skip_serializing_if = "Option::is_none")]
        absent: Option<Duration>,
    },
    /// The same, in time.
    ProxyTimeout { said: String },
    /// The outbound proxy answered in its place. `has_credentials` is `None` unless it asks for some.
    ProxyAnswer { proxy: String, status: u16, has_credentials: Option<bool> },
    // --- no room ---
    /// All its places are taken, and so is the queue.
    QueueFull { max_in_flight: u32, queue: usize },
    /// None of its places became free in time.
    QueueTimeout {
        max_in_flight: u32,
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    // --- no key ---
    /// All of its keys rest, the first one so long.
    KeysRest {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    /// None of its keys is used: each is switched off, or was refused.
    KeysOut,
    // --- no response, or none that can be passed on ---
    /// It did not begin its response in time.
    FirstByteTimeout {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    /// It began its response, and sent no event in time that says anything.
    FirstEventTimeout {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    /// It stopped taking the request.
    WriteTimeout,
    /// It closed the connection without a response.
    Closed,
    /// It sent something that is no HTTP response.
    BadAnswer,
    /// It sent interim responses without end.
    InterimFlood { most: usize, kib: usize },
    /// It sent a web page where the API sends JSON.
    WebPage,
    /// It sent a success with nothing in it.
    NoAnswer,
    /// It sent something that is no message, with this status.
    NoMessage { status: u16 },
    /// It sent an error with the status of a success.
    ErrorReply { kind: String },
    /// It answered with a status after which another upstream is tried (`failover.retry_on`).
    Status { status: u16 },
    /// It refused thinking that came back; without it the request was sent once more.
    ThinkingRefused,
    // --- a response that broke off ---
    /// It fell silent.
    Stalled {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
    /// It ended its response too early.
    Truncated,
    /// It ended its stream without `message_stop`.
    NoMessageStop,
    /// It sent an error in its stream.
    StreamError { kind: String },
    // --- a health check ---
    /// It answered with another status than it should.
    ProbeStatus { status: u16 },
    /// There was no response.
    ProbeFailed { said: String },
    /// There was none in time.
    ProbeTimeout {
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
    },
}

/// Why an outbound proxy opens no way, however often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyRefusal {
    /// It wants other credentials (407).
    Credentials,
    /// It forbids the way (403).
    Forbidden,
    /// Its own certificate is not trusted.
    Certificate,
}

/// Durations as whole milliseconds.
mod millis {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(from)?))
    }
}

/// The same of those that may not be there.
mod some_millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    #[allow(clippy::ref_option, reason = "serde gives it so")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => crate::record::fault::millis::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

/// What an error is called whose type is none of these.
const OTHER: &str = "other";
/// The types of errors that the API has, and that of relays built on New API.
pub const ERROR_TYPES: [&str; 9] = [
    "new_api_error",
    "overloaded_error",
    "api_error",
    "rate_limit_error",
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "timeout_error",
    "not_found_error",
];

impl UpstreamFault {
    /// The same without words that an upstream may have invented, or repeated: it names an error as the API does, or
    /// as `other`. What is told of the upstream to everybody knows no request whose secrets could be taken out.
    pub fn in_known_words(mut self) -> Self {
        if let Self::StreamError { kind } | Self::ErrorReply { kind } = &mut self
            && !ERROR_TYPES.contains(&kind.as_str())
        {
            OTHER.clone_into(kind);
        }
        self
    }

    /// The same with the name of its error changed.
    pub fn with_kind(mut self, change: impl FnOnce(&str) -> String) -> Self {
        if let Self::StreamError { kind } | Self::ErrorReply { kind } = &mut self {
            *kind = change(kind);
        }
        self
    }

    /// What is wrong with a response of status 200 that is over and whose framing was whole, if anything is.
    pub fn in_answer(answer: &Summary) -> Option<Self> {
        let kind = || answer.error.clone().unwrap_or_default();
        Some(match answer.said() {
            Said::Error if answer.is_stream() => Self::StreamError { kind: kind() },
            Said::Error => Self::ErrorReply { kind: kind() },
            Said::Part => Self::NoMessageStop,
            Said::Nothing => Self::NoAnswer,
            Said::NoMessage => Self::NoMessage { status: 200 },
            Said::Page => Self::WebPage,
            Said::All | Said::Unreadable | Said::Other => return None,
        })
    }

    /// The reason of a request that ends with it. `None` where the response says it itself; health checks have none.
    pub fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Resolve { .. } => Reason::Resolve,
            Self::ConnectRefused => Reason::ConnectRefused,
            Self::ConnectTimeout { .. } => Reason::ConnectTimeout,
            Self::Connect { .. } => Reason::Connect,
            Self::Tls { .. } => Reason::Tls,
            Self::Proxy { .. } | Self::ProxyAnswer { .. } => Reason::Proxy,
            Self::ProxyTimeout { .. } => Reason::ProxyTimeout,
            Self::QueueFull { .. } | Self::QueueTimeout { .. } => Reason::UpstreamFull,
            Self::KeysRest { .. } => Reason::KeysRest,
            Self::KeysOut => Reason::KeysOut,
            Self::FirstByteTimeout { .. } => Reason::FirstByteTimeout,
            Self::FirstEventTimeout { .. } => Reason::FirstEventTimeout,
            Self::WriteTimeout => Reason::WriteTimeout,
            Self::Closed => Reason::Closed,
            Self::BadAnswer => Reason::BadAnswer,
            Self::InterimFlood { .. } => Reason::InterimFlood,
            Self::WebPage => Reason::WebPage,
            Self::NoAnswer => Reason::NoAnswer,
            Self::NoMessage { .. } => Reason::NoMessage,
            Self::ErrorReply { .. } => Reason::ErrorReply,
            Self::Stalled { .. } => Reason::Stalled,
            Self::Truncated => Reason::Truncated,
            Self::NoMessageStop => Reason::NoMessageStop,
            Self::Status { .. } | Self::StreamError { .. } | Self::ThinkingRefused => return None,
            Self::ProbeStatus { .. } | Self::ProbeFailed { .. } | Self::ProbeTimeout { .. } => return None,
        })
    }

    /// How a request ends that ends with it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::QueueFull { .. } | Self::QueueTimeout { .. } | Self::KeysRest { .. } | Self::KeysOut => {
                Outcome::Rejected
            }
            Self::WebPage | Self::NoAnswer | Self::Status { .. } | Self::ThinkingRefused => Outcome::UpstreamError,
            Self::NoMessage { .. } | Self::ErrorReply { .. } => Outcome::UpstreamError,
            Self::Stalled { .. } | Self::FirstEventTimeout { .. } => Outcome::Stalled,
            Self::Truncated | Self::NoMessageStop => Outcome::Truncated,
            Self::StreamError { .. } => Outcome::StreamError,
            _ => Outcome::Unreachable,
        }
    }

    /// The status of the response that the gateway makes of it.
    pub fn status(&self) -> u16 {
        match self {
            Self::ConnectTimeout { .. } | Self::FirstByteTimeout { .. } => 504,
            Self::WriteTimeout | Self::Stalled { .. } | Self::FirstEventTimeout { .. } => 504,
            Self::QueueFull { .. } | Self::QueueTimeout { .. } | Self::KeysOut => 503,
            Self::KeysRest { .. } => 429,
            Self::Status { status } => *status,
            _ => 502,
        }
    }

    /// Whether there was no connection, so that the upstream heard nothing of the request.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::ConnectRefused
                | Self::ConnectTimeout { .. }
                | Self::Connect { .. }
                | Self::Tls { .. }
                | Self::Proxy { .. }
                | Self::ProxyTimeout { .. }
                | Self::ProxyAnswer { .. }
        )
    }

    /// Whether the upstream gave a response that the client can get as it is, if no other upstream has a better one.
    pub fn has_response(&self) -> bool {
        matches!(
            self,
            Self::Status { .. } | Self::StreamError { .. } | Self::ErrorReply { .. } | Self::NoMessage { .. }
        )
    }
}

impl std::error::Error for UpstreamFault {}

#[cfg(test)]
mod tests;
