//! How requests end.

/// How a request ended. Each request has exactly one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer went to the client.
    Completed,
    /// The upstream answered with a status of 400 or more, or with something else that is no answer to the request; it
    /// was passed on.
    UpstreamError,
    /// An error came in the middle of the stream.
    StreamError,
    /// The upstream's response ended too early: before its framing said so, or without `message_stop`.
    Truncated,
    /// The upstream fell silent in mid-response for longer than the limit.
    Stalled,
    /// The client went away before the response was complete.
    ClientAborted,
    /// The gateway ended the response, because the client did not take it.
    ClientStalled,
    /// The gateway refused the request.
    Rejected,
    /// The gateway itself failed.
    GatewayError,
    /// No upstream answered.
    Unreachable,
    /// The whole response went to the client, and nobody here can tell whether it was a good one.
    Unreadable,
}

impl Outcome {
    /// All outcomes, in the order of [`Outcome::index`].
    pub const ALL: [Self; 11] = [
        Self::Completed,
        Self::UpstreamError,
        Self::StreamError,
        Self::Truncated,
        Self::Stalled,
        Self::ClientAborted,
        Self::ClientStalled,
        Self::Rejected,
        Self::GatewayError,
        Self::Unreachable,
        Self::Unreadable,
    ];

    /// Place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether the request failed, and that by no doing of the client's.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Completed | Self::Unreadable | Self::ClientAborted | Self::ClientStalled | Self::Rejected)
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
            Self::ClientStalled => "client_stalled",
            Self::Rejected => "rejected",
            Self::GatewayError => "gateway_error",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_place() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index, "{}", outcome.name());
        }
    }
}
