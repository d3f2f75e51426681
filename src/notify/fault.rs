//! Why a message did not arrive.

use gateway_core::both;
use gateway_core::language::Words;
use std::time::Duration;

/// Why a target did not take a message. What others say is without secrets once it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no connection.
    NotConnected { said: Words },
    /// It did not answer in time.
    Late { within: Duration },
    /// The connection ended before an answer, or something else than one came.
    NoAnswer,
    /// It answered with another status than it should.
    Status { status: u16, said: String, after: Option<Duration> },
    /// It answered 200, and something that is not its answer.
    Strange { status: u16 },
    /// It said that it does not take the message.
    Refused { code: i64, said: String, is_lasting: bool, after: Option<Duration> },
    /// The mail server does not take it.
    Mail { said: String, is_lasting: bool },
    /// It cannot be sent as it is configured.
    Unsendable { said: Words },
}

impl Fault {
    /// What programs know it by.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotConnected { .. } => "not_connected",
            Self::Late { .. } => "timed_out",
            Self::NoAnswer => "no_answer",
            Self::Status { .. } => "status",
            Self::Strange { .. } => "strange_answer",
            Self::Refused { .. } => "refused",
            Self::Mail { .. } => "mail_refused",
            Self::Unsendable { .. } => "unsendable",
        }
    }

    /// The words for it, as the rest of a sentence that begins with the target's name.
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Late { within } => {
                both!("did not answer within {seconds} s", "{seconds} 秒内没有响应", seconds = within.as_secs())
            }
            Self::NoAnswer => both!("gave no answer over HTTP", "没有返回 HTTP 响应"),
            Self::Status { status, said, .. } if said.is_empty() => both!("answered {status}", "返回了 {status}"),
            Self::Status { status, said, .. } => both!("answered {status}: {said}", "返回了 {status}：{said}"),
            Self::Strange { status } => both!(
                "answered {status} with something that is not its answer: check the URL",
                "返回了 {status}，但内容不是这类目标的响应：请检查 URL"
            ),
            Self::Refused { code, said, .. } => {
                both!("did not take the message ({code}): {said}", "拒绝了消息（{code}）：{said}")
            }
            Self::Mail { said, .. } => both!("did not take the message: {said}", "拒绝了邮件：{said}"),
            Self::NotConnected { said } | Self::Unsendable { said } => said.clone(),
        }
    }

    /// Whether the same message cannot arrive later either: a wrong key, a chat that is gone.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::NotConnected { .. } | Self::Late { .. } | Self::NoAnswer => false,
            Self::Status { status, .. } => (300..500).contains(status) && !matches!(status, 408 | 425 | 429),
            Self::Refused { is_lasting, .. } | Self::Mail { is_lasting, .. } => *is_lasting,
            Self::Strange { .. } | Self::Unsendable { .. } => true,
        }
    }

    /// How long the target asked to be left alone.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Status { after, .. } | Self::Refused { after, .. } => *after,
            _ => None,
        }
    }

    /// The same, with what others say changed.
    pub(super) fn map(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::NotConnected { said } => *said = said.map(change),
            Self::Status { said, .. } | Self::Refused { said, .. } | Self::Mail { said, .. } => *said = change(said),
            Self::Late { .. } | Self::NoAnswer | Self::Strange { .. } | Self::Unsendable { .. } => {}
        }
        self
    }
}
