//! `explain` and `config/explain`: what rules would make of a request.

use super::call::Call;
use super::drafts;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::{Answer, Snapshot, Values, explain};
use serde::Deserialize;
use std::sync::Arc;

/// A request: `{"head": "POST /v1/messages HTTP/1.1\n...", "body": "{...}"}`, the head optional, or `{"request_id": "..."}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    head: Option<String>,
    body: Option<String>,
    /// A request of the log.
    request_id: Option<String>,
}

/// The same with an overlay that is only tried.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfDraft {
    overlay: String,
    head: Option<String>,
    body: Option<String>,
    request_id: Option<String>,
}

/// A request as text.
struct Asked {
    head: Option<String>,
    body: String,
}

/// What the rules in force would make of a request.
pub(super) async fn answer(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let question: Question = call.json(|most| Fault::CapturedTooLarge { most })?;
    let asked = asked(parts, question).await?;
    run(parts, parts.shared.snapshot.load_full(), asked).await
}

/// What they would make of it if this overlay were in force.
pub(super) async fn of_draft(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let OfDraft { overlay, head, body, request_id } = call.json(|most| Fault::CapturedTooLarge { most })?;
    let asked = asked(parts, Question { head, body, request_id }).await?;
    run(parts, drafts::snapshot(parts, overlay).await?, asked).await
}

async fn asked(parts: &Parts, question: Question) -> Result<Asked, Refused> {
    match question {
        Question { head, body: Some(body), request_id: None } => Ok(Asked { head, body }),
        Question { head: None, body: None, request_id: Some(id) } => {
            let detail = parts.reader()?.detail(&id).await?.ok_or(Fault::NoRequest)?;
            let capture = detail.capture.ok_or(Fault::NotCaptured)?;
            if capture.is_cut {
                return Err(Fault::CaptureIsCut.into());
            }
            Ok(Asked { head: Some(capture.head), body: capture.body })
        }
        _ => Err(Fault::BodyOrRequest.into()),
    }
}

async fn run(parts: &Parts, snapshot: Arc<Snapshot>, asked: Asked) -> Result<Answer, Refused> {
    let run = move || explain(snapshot, asked.head.as_deref(), asked.body.as_bytes(), Values::Masked);
    json(&parts.dry_runs.run(run).await?.map_err(|said| Fault::NotARequest { said })?)
}
