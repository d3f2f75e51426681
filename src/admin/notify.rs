//! `notify`: the targets of notifications, and a test of one.

use super::call::Call;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::Answer;
use crate::notify::Notifier;
use serde::Deserialize;

/// Which target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    target: String,
}

/// The targets, and what was told last.
pub(super) fn view(notifier: &Notifier) -> Result<Answer, Refused> {
    json(&notifier.view())
}

/// Sends a test to a target, and waits for what comes of it.
pub(super) async fn test(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let Wanted { target } = call.json(|most| Fault::BodyTooLarge { most })?;
    let _turn = parts.notices.turn().await?;
    match parts.notifier.test(&target).await {
        Some(tested) => json(&tested),
        None => Err(Fault::NoTarget { name: target }.into()),
    }
}
