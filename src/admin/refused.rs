//! Why a request to the API has no result, and the answer that says so.

use crate::config::live::ProblemView;
use crate::gateway::Answer;
use crate::store::ReadError;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use std::time::Duration;

/// The type of nearly all answers.
pub(super) const JSON: &str = "application/json";

/// Why a request to the API has no result.
#[derive(Debug)]
pub(super) enum Refused {
    /// The status, and what to do.
    Status(u16, String),
    /// The method is none of these.
    Method(String),
    /// There were too many wrong keys; none is looked at for so long.
    TooOften(Duration),
    /// There were so many wrong keys that this request gets no answer.
    Unanswered,
    /// The configuration is not valid.
    Wrong(Vec<ProblemView>),
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self::Status(503, error.to_string())
    }
}

impl Refused {
    /// The request is not one that can be understood.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::Status(400, message.into())
    }

    /// What it asks for is not there: the rest of "There is no ...".
    pub(super) fn not_found(what: &str) -> Self {
        Self::Status(404, format!("There is no {what}."))
    }

    /// The answer.
    pub(super) fn answer(self, request_id: &str) -> Answer {
        match self {
            Self::Status(status, message) => Answer::error(status, &message, request_id),
            Self::Method(allowed) => {
                let mut answer = Answer::error(405, &format!("This takes {allowed}."), request_id);
                answer.headers.retain(|(name, _)| name != ALLOW);
                match HeaderValue::try_from(allowed) {
                    Ok(allowed) => answer.with_value(ALLOW, allowed),
                    Err(_) => answer,
                }
            }
            Self::TooOften(wait) => {
                let message = "Too many wrong keys within a minute: wait a minute. The right key is taken at any time.";
                let answer = Answer::error(429, message, request_id);
                answer.with_value(RETRY_AFTER, HeaderValue::from(wait.as_secs()))
            }
            Self::Unanswered => return Answer::silence(),
            Self::Wrong(problems) => wrong(&problems, request_id),
        }
        .with(CACHE_CONTROL, "no-store")
    }
}

fn wrong(problems: &[ProblemView], request_id: &str) -> Answer {
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    let message = format!("The configuration is not valid: {}", messages.join("; "));
    let body = serde_json::json!({
        "type": "error",
        "error": { "type": "invalid_request_error", "message": message },
        "problems": problems,
        "request_id": request_id,
    });
    Answer::new(422, JSON, body.to_string())
}

/// An answer with a value in it.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Answer, Refused> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Answer::new(200, JSON, text)),
        Err(error) => Err(Refused::Status(500, error.to_string())),
    }
}
