//! Why a request to the API has no result, and the answer that says so.

use super::fault::Fault;
use crate::config::live::ProblemView;
use crate::gateway::{Answer, ErrorCode, Recipient};
use crate::store::ReadError;
use gateway_core::again::Again;
use gateway_core::language::Language;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use std::fmt::Display;
use std::time::Duration;

/// The type of nearly all answers.
pub(super) const JSON: &str = "application/json";

/// Why a request to the API has no result.
#[derive(Debug)]
pub(super) enum Refused {
    /// What is wrong.
    Because(Fault),
    /// There were too many wrong keys; none is looked at for so long.
    TooOften(Duration),
    /// There were so many wrong keys that this request gets no answer.
    Unanswered,
    /// The configuration is not valid.
    Wrong(Vec<ProblemView>),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Because(fault)
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Fault::LogUnread { said: error.to_string() }.into()
    }
}

impl Refused {
    /// The gateway failed to do it.
    pub(super) fn failed(said: impl Display) -> Self {
        Fault::Failed { said: said.to_string() }.into()
    }

    /// The answer.
    pub(super) fn answer(self, to: Recipient<'_>) -> Answer {
        match self {
            Self::Because(fault) => because(&fault, to),
            Self::TooOften(wait) => {
                let answer = because(&Fault::TooManyWrongKeys, to);
                answer.with_value(RETRY_AFTER, HeaderValue::from(wait.as_secs()))
            }
            Self::Unanswered => return Answer::silence(),
            Self::Wrong(problems) => wrong(&problems, to),
        }
        .with(CACHE_CONTROL, "no-store")
    }
}

fn because(fault: &Fault, to: Recipient<'_>) -> Answer {
    let code = ErrorCode { code: fault.code(), parameters: fault.parameters() };
    let end = if to.language == Language::Chinese { "。" } else { "." };
    let mut message = fault.text(to.language);
    // What is said of a token is a sentence already.
    if !message.ends_with(end) {
        message.push_str(end);
    }
    let mut answer = Answer::error_with(fault.status(), &message, Some(code), to);
    if fault.status() == 503 {
        answer = answer.again(Again::After(1));
    }
    if let Fault::RotatedTooOften { seconds, .. } = fault {
        answer = answer.with_value(RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if let Fault::NoMethod { allowed } = fault {
        answer.headers.retain(|(name, _)| name != ALLOW);
        if let Ok(allowed) = HeaderValue::from_str(allowed) {
            answer = answer.with_value(ALLOW, allowed);
        }
    }
    answer
}

fn wrong(problems: &[ProblemView], to: Recipient<'_>) -> Answer {
    let messages: Vec<&str> = problems.iter().map(|problem| problem.words.text(to.language)).collect();
    let message = match to.language {
        Language::English => format!("The configuration is not valid: {}", messages.join("; ")),
        Language::Chinese => format!("配置有误：{}", messages.join("；")),
    };
    let body = serde_json::json!({
        "type": "error",
        "error": { "type": "invalid_request_error", "message": message },
        "problems": problems,
        "request_id": to.request_id,
    });
    Answer::new(422, JSON, body.to_string()).in_language(to.language)
}

/// An answer with a value in it.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Answer, Refused> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Answer::new(200, JSON, text)),
        Err(error) => Err(Refused::failed(error)),
    }
}
