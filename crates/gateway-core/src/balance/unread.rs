//! Why a balance is not known.

use crate::language::both;
use crate::language::{Language, Spelled, Words};
use std::time::Duration;

/// Why a balance could not be read. It never repeats what the other side said: that may be the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There was no response.
    NoResponse {
        /// What is known of that.
        said: Words,
    },
    /// There was none in time.
    Late {
        /// The time that there was.
        within: Duration,
    },
    /// The response has another status than 200.
    Status {
        /// This one.
        status: u16,
    },
    /// The response is larger than such answers are.
    TooLarge {
        /// Bytes that it may have.
        most: usize,
    },
    /// The response is no JSON.
    NotJson,
    /// The response does not say what it should.
    Missing {
        /// Where that should stand.
        pointer: String,
    },
}

impl Unread {
    pub(super) fn missing(pointer: &str) -> Self {
        Self::Missing { pointer: pointer.to_owned() }
    }

    /// Whether there is nothing that answers such questions, so that another question may be answered.
    pub fn is_unknown_there(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 405 } | Self::NotJson)
    }

    /// Whether nothing answers at all, so that further questions are in vain for now.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::NoResponse { .. } | Self::Late { .. })
    }

    /// Its code in the API, which stays as it is for ever.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoResponse { .. } => "no_response",
            Self::Late { .. } => "late",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "too_large",
            Self::NotJson => "not_json",
            Self::Missing { .. } => "missing",
        }
    }

    /// What happened, for the operator.
    pub fn words(&self) -> Words {
        match self {
            Self::NoResponse { said } => {
                let chinese = said.text(Language::Chinese);
                Words::new(format_args!("there was no response: {said}"), format_args!("没有响应：{chinese}"))
            }
            Self::Late { within } => {
                let within = Spelled(*within);
                both!("there was no response within {within}", "在 {within:#}内没有响应")
            }
            Self::Status { status } => {
                both!("the upstream answered {status}, not 200", "上游返回了 {status}，而不是 200")
            }
            Self::TooLarge { most } => {
                both!("the response is larger than {most} bytes", "响应超过 {most} 字节")
            }
            Self::NotJson => both!("the response is no JSON", "响应不是 JSON"),
            Self::Missing { pointer } => {
                both!("the response has nothing that is a balance at {pointer}", "响应中的 {pointer} 处没有余额")
            }
        }
    }
}
