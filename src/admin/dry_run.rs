//! `explain`: what rules would make of a request.

use super::call::Call;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::{Answer, Values, explain};
use serde::Deserialize;

/// `{"head": "POST /v1/messages HTTP/1.1\n...", "body": "{...}"}`, the head optional.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    head: Option<String>,
    body: String,
}

/// What the rules in force would make of a request.
pub(super) async fn answer(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let question: Question = call.json(|most| Fault::CapturedTooLarge { most })?;
    let snapshot = parts.shared.snapshot.load_full();
    let run = move || explain(snapshot, question.head.as_deref(), question.body.as_bytes(), Values::Masked);
    json(&parts.dry_runs.run(run).await?.map_err(|said| Fault::NotARequest { said })?)
}
