//! `recost`: costs of rows made anew.

use super::call::Call;
use super::fault::Fault;
use super::parameters::TIMES;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::Answer;
use crate::store::{NotBegun, Progress, Recosts, State};
use serde::Deserialize;

/// Which rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    from_ms: i64,
    to_ms: Option<i64>,
}

/// How far the last run is.
pub(super) fn progress(parts: &Parts) -> Result<Answer, Refused> {
    told(recosts(parts)?.progress())
}

/// Begins a run.
pub(super) fn begin(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let recosts = recosts(parts)?;
    let wanted: Wanted = call.json(|most| Fault::BodyTooLarge { most })?;
    for (name, time) in [("from_ms", Some(wanted.from_ms)), ("to_ms", wanted.to_ms)] {
        if let Some(time) = time.filter(|time| !TIMES.contains(time)) {
            return Err(Fault::NotATime { name: name.to_owned(), text: time.to_string() }.into());
        }
    }
    if wanted.to_ms.is_some_and(|to| to <= wanted.from_ms) {
        return Err(Fault::TimesReversed.into());
    }
    match recosts.begin(wanted.from_ms, wanted.to_ms) {
        Ok(progress) => told(Some(progress)),
        Err(NotBegun::Running) => Err(Fault::RecostRuns.into()),
        Err(NotBegun::Failed(said)) => Err(Fault::Failed { said }.into()),
    }
}

/// Ends the run that is under way; whether one is.
pub(super) fn stop(parts: &Parts) -> Result<(Answer, bool), Refused> {
    let progress = recosts(parts)?.stop();
    let is_running = progress.as_ref().is_some_and(|progress| progress.state == State::Running);
    Ok((told(progress)?, is_running))
}

fn told(progress: Option<Progress>) -> Result<Answer, Refused> {
    json(&serde_json::json!({ "recost": progress }))
}

fn recosts(parts: &Parts) -> Result<&Recosts, Refused> {
    parts.recosts.as_ref().ok_or_else(|| Fault::NoLog.into())
}
