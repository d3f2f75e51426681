//! `config` and what belongs to it: looking, checking, changing, returning to former versions, reloading.

use super::audited;
use super::call::Call;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use super::turns::Turns;
use crate::config::live::{Difference, Live, Refused as NotApplied};
use crate::config::schema;
use crate::gateway::Answer;
use serde::Deserialize;
use std::sync::Arc;

/// An edit; what it has not is left as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    /// The version that it was made for.
    base_version: Option<String>,
    overlay: Option<String>,
    headers: Option<String>,
}

/// The configuration in force; `reveal=headers` shows the values of the headers file.
pub(super) async fn current(live: &Arc<Live>, call: &Call) -> Result<Answer, Refused> {
    let with_headers = match call.parameters.get("reveal") {
        None => false,
        Some("headers") => true,
        Some(_) => return Err(Fault::NotAChoice { name: "reveal".into(), choices: "headers".into() }.into()),
    };
    let current = off_the_worker(live, move |live| live.current(with_headers)).await?;
    json(&current)
}

/// What an edit would do.
pub(super) async fn check(live: &Arc<Live>, turns: &Turns, call: &Call) -> Result<Answer, Refused> {
    let draft: Draft = call.json(|most| Fault::BodyTooLarge { most })?;
    let live = Arc::clone(live);
    let checked = turns.run(move || live.check(draft.overlay.as_deref(), draft.headers.as_deref())).await?;
    json(&checked)
}

/// Puts an edit in force.
pub(super) async fn apply(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let live = &parts.live;
    let draft: Draft = call.json(|most| Fault::BodyTooLarge { most })?;
    let Some(base) = draft.base_version else {
        return Err(Fault::NoBaseVersion.into());
    };
    let before = base.clone();
    let applied =
        off_the_worker(live, move |live| live.apply(&base, draft.overlay.as_deref(), draft.headers.as_deref())).await?;
    match applied {
        Ok((current, differences)) => {
            let versions = (before, current.version.clone());
            audited::configuration(parts, call, "config.change", versions, in_english(&differences)).await;
            json(&current)
        }
        Err(NotApplied::Conflict { present }) => Err(Fault::Conflict { current: present }.into()),
        Err(NotApplied::NotWritten(said)) => Err(Fault::NotWritten { said }.into()),
        Err(NotApplied::Wrong(problems)) => Err(Refused::Wrong(problems)),
    }
}

/// The last versions.
pub(super) async fn history(live: &Arc<Live>) -> Result<Answer, Refused> {
    let versions = off_the_worker(live, |live| live.history()).await?;
    json(&serde_json::json!({ "versions": versions }))
}

/// The JSON Schema of the YAML file.
pub(super) fn schema() -> Result<Answer, Refused> {
    json(&schema::schema())
}

/// Reads all files anew.
pub(super) async fn reload(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let before = parts.live.version();
    match off_the_worker(&parts.live, |live| live.reload_for_panel()).await? {
        Ok(reloaded) => {
            let (versions, changed) = ((before, reloaded.version.clone()), in_english(&reloaded.differences));
            audited::configuration(parts, call, "config.reload", versions, changed).await;
            json(&reloaded)
        }
        Err(problems) => Err(Refused::Wrong(problems)),
    }
}

fn in_english(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(|found| found.words().to_string()).collect()
}

/// Files are read and written, and synced: not on a thread that serves requests.
async fn off_the_worker<T: Send + 'static>(
    live: &Arc<Live>,
    work: impl FnOnce(&Live) -> T + Send + 'static,
) -> Result<T, Refused> {
    let live = Arc::clone(live);
    let worked = tokio::task::spawn_blocking(move || work(&live)).await;
    worked.map_err(Refused::failed)
}
