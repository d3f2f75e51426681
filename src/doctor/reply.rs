//! What came of a message, and what that means. Pure.

use super::diagnosis;
use super::findings::{self, Finding};
use crate::gateway::Reply;
use gateway_core::usage::summary::Said;
use serde_json::Value;

/// What a message came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an answer.
    Answered,
    /// The answer began, and did not come to its end.
    Cut,
    /// An error came in the middle of the answer.
    Error(Finding),
    /// An error came, or something else that is no message.
    NoMessage(Finding),
}

/// What a message came to that got this from an upstream.
pub(crate) fn verdict(reply: &Reply) -> Verdict {
    let said = reply.summary.as_ref().map(|summary| summary.said());
    match said.filter(|_| (200..300).contains(&reply.status)) {
        Some(Said::All) if !is_message(reply) => Verdict::NoMessage(findings::NO_MESSAGE),
        Some(Said::All) if reply.is_whole => Verdict::Answered,
        Some(Said::All | Said::Part) => Verdict::Cut,
        Some(Said::Error) if reply.summary.as_ref().is_some_and(|summary| summary.is_stream()) => {
            Verdict::Error(of_error(reply))
        }
        Some(Said::Error) => Verdict::NoMessage(of_error(reply)),
        _ => Verdict::NoMessage(match finding(reply.status, reply) {
            findings::REACHABLE => findings::NO_MESSAGE,
            other => other,
        }),
    }
}

/// Whether there is anything of a message in what may be any JSON.
fn is_message(reply: &Reply) -> bool {
    reply.summary.as_ref().is_some_and(|answer| answer.model.is_some()) || !text(reply).trim().is_empty()
}

/// What a response that is no message means.
fn finding(status: u16, reply: &Reply) -> Finding {
    let answer = diagnosis::Answer { status, headers: &reply.headers, body_start: &reply.body, with_key: true };
    match diagnosis::of_answer(&answer) {
        // These are about the doctor's own request.
        findings::NO_MODEL_LIST => findings::NO_MODEL,
        findings::PROBE_REFUSED => findings::REQUEST_REFUSED,
        finding => finding,
    }
}

/// The same of an error with the status of a success, by its type.
fn of_error(reply: &Reply) -> Finding {
    let kind = reply.summary.as_ref().and_then(|summary| summary.error.as_deref()).unwrap_or_default();
    let status = match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        _ => 500,
    };
    finding(status, reply)
}

/// What the response says of itself: its error's message, or its text.
pub(crate) fn message(reply: &Reply) -> String {
    let of_stream = reply.summary.as_ref().and_then(|summary| summary.error_message.clone().or(summary.error.clone()));
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&body);
    let of_body = ["message", "detail"].iter().find_map(|name| error[*name].as_str()).or(error.as_str());
    of_stream.or(of_body.map(str::to_owned)).unwrap_or_else(|| String::from_utf8_lossy(&reply.body).into_owned())
}

/// The type of its error.
pub(crate) fn error_type(reply: &Reply) -> Option<String> {
    let of_stream = reply.summary.as_ref().and_then(|summary| summary.error.clone());
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    of_stream.or_else(|| body["error"]["type"].as_str().map(str::to_owned))
}

/// The words of the answer.
pub(crate) fn text(reply: &Reply) -> String {
    if let Ok(whole) = serde_json::from_slice::<Value>(&reply.body) {
        let blocks = whole["content"].as_array().into_iter().flatten();
        return blocks.filter_map(|block| block["text"].as_str()).collect();
    }
    let text = String::from_utf8_lossy(&reply.body);
    let events = text.split(['\n', '\r']).filter_map(|line| line.strip_prefix("data:"));
    let events = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let pieces = events.filter_map(|event| {
        let piece = match event["type"].as_str()? {
            "content_block_start" => &event["content_block"]["text"],
            _ => &event["delta"]["text"],
        };
        piece.as_str().map(str::to_owned)
    });
    pieces.collect()
}
