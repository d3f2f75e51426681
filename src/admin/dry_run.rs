//! `explain` and `config/explain`: what rules would make of a request.

use super::call::Call;
use super::drafts;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::status;
use crate::gateway::{Answer, Past, Snapshot, Values, explain};
use crate::store::{Detail, Reader};
use gateway_core::protocol::Protocol;
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

/// A request.
struct Asked {
    head: Option<String>,
    body: Vec<u8>,
    /// What is known of it, if it is one of the log.
    past: Option<Past>,
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
        Question { head, body: Some(body), request_id: None } => {
            Ok(Asked { head, body: body.into_bytes(), past: None })
        }
        Question { head: None, body: None, request_id: Some(id) } => past(parts, &id).await,
        _ => Err(Fault::BodyOrRequest.into()),
    }
}

/// A request of the log: as it was captured, or one of its shape.
async fn past(parts: &Parts, id: &str) -> Result<Asked, Refused> {
    if status::running_one(&parts.shared.running, id).is_some() {
        return Err(Fault::NotOver.into());
    }
    let reader = parts.reader()?;
    let detail = reader.detail(id).await?.ok_or(Fault::NoRequest)?;
    let row = &detail.row.row;
    let client = row.text("client").and_then(|client| client.parse().ok());
    let [key, token] = ["key", "token"].map(|name| row.text(name).map(str::to_owned));
    if let Some(capture) = detail.capture.as_ref().filter(|capture| !capture.is_cut) {
        let past = Past { client, key, token, shape: None };
        return Ok(Asked {
            head: Some(capture.head.clone()),
            body: capture.body.clone().into_bytes(),
            past: Some(past),
        });
    }
    match reader.shape(id).await? {
        Some(shape) => {
            let past = Past { client, key, token, shape: Some(shape.left_out()) };
            Ok(Asked { head: Some(shape.head.clone()), body: shape.body(), past: Some(past) })
        }
        None => Err(missing(parts, reader, &detail).await?.into()),
    }
}

/// Why nothing is there that a dry run could use of a request; its code, or `None` if there is something.
pub(super) async fn why_not(parts: &Parts, detail: &Detail) -> Result<Option<&'static str>, Refused> {
    match detail.row.dry_run {
        Some(_) => Ok(None),
        None => Ok(Some(missing(parts, parts.reader()?, detail).await?.code())),
    }
}

async fn missing(parts: &Parts, reader: &Reader, detail: &Detail) -> Result<Fault, Refused> {
    let row = &detail.row.row;
    let text = |name| row.text(name).unwrap_or_default();
    if detail.capture.is_some() {
        return Ok(Fault::CaptureIsCut);
    }
    if !Protocol::of(text("method"), text("path").as_bytes()).has_prompt() {
        return Ok(Fault::NoPrompt);
    }
    if !parts.shared.log.keeps_shapes() {
        return Ok(Fault::ShapesOff);
    }
    let oldest = reader.oldest_shape().await?;
    Ok(if oldest.is_some_and(|oldest| row.started_ms() < Some(oldest)) { Fault::ShapeGone } else { Fault::NoShape })
}

async fn run(parts: &Parts, snapshot: Arc<Snapshot>, asked: Asked) -> Result<Answer, Refused> {
    let Asked { head, body, past } = asked;
    let roster = parts.shared.roster.load_full();
    let run = move || explain(snapshot, &roster, head.as_deref(), &body, Values::Masked, past.as_ref());
    json(&parts.dry_runs.run(run).await?.map_err(|said| Fault::NotARequest { said })?)
}
