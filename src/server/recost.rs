//! Costs made anew: with the prices in force, for the panel and the command line; and by the command itself where no
//! gateway runs.

use crate::config::Loaded;
use crate::gateway::Shared;
use crate::operate::control::Recost;
use crate::operate::recost::{Recosting, Told};
use crate::store::costs::Tariff;
use crate::store::{Progress, Recosts, State, Watch};
use humantime::format_rfc3339_seconds;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// What no run can be without.
const NO_LOG: &str = "there is no request log: it is switched off (GATEWAY_DB, gateway.database)";

struct InForce(Arc<Shared>);

impl Watch for InForce {
    fn tariff(&self) -> Tariff {
        Tariff::of(&self.0.snapshot.load().config)
    }

    fn is_ending(&self) -> bool {
        self.0.drain.is_on()
    }
}

/// For the request log in this file, with the prices that requests see.
pub(super) fn of(path: &Path, shared: &Arc<Shared>) -> Recosts {
    Recosts::new(path, Arc::new(InForce(Arc::clone(shared))))
}

/// What the control socket offers.
pub(super) fn for_commands(recosts: Option<Recosts>) -> Recosting {
    Arc::new(move |wish| {
        let recosts = recosts.as_ref().ok_or(NO_LOG)?;
        let progress = match wish {
            Recost::Begin { from_ms, to_ms } => Some(recosts.begin(from_ms, to_ms).map_err(|error| error.to_string())?),
            Recost::Look => recosts.progress(),
            Recost::Stop => recosts.stop(),
        };
        progress.as_ref().map(told).ok_or_else(|| {
            "this process makes no costs anew: one that it replaced may have begun to; rows and sums agree, and the same \
             command does the rest"
                .to_owned()
        })
    })
}

/// A gateway's prices, where none runs.
struct Configured(Tariff);

impl Watch for Configured {
    fn tariff(&self) -> Tariff {
        self.0.clone()
    }

    fn is_ending(&self) -> bool {
        false
    }
}

/// Does it in this process, for a command where no gateway runs.
///
/// # Errors
/// When there is no request log, or it cannot be written.
pub(crate) fn here(loaded: &Loaded, wish: Recost) -> Result<String, String> {
    let path = loaded.startup.log.database.as_deref().ok_or(NO_LOG)?;
    if !path.exists() {
        return Err(format!("there is no request log: {} does not exist", path.display()));
    }
    let Recost::Begin { from_ms, to_ms } = wish else {
        return Err("no gateway runs here: there is nothing to stop".to_owned());
    };
    own(path)?;
    let recosts = Recosts::new(path, Arc::new(Configured(Tariff::of(&loaded.config))));
    let told = told(&recosts.run(from_ms, to_ms));
    if told.is_done { Ok(format!("{}: {}", path.display(), told.text)) } else { Err(told.text) }
}

/// Whether the request log is this user's own: what is written beside it would be this user's, and keep the gateway out.
///
/// # Errors
/// When it is somebody else's.
fn own(path: &Path) -> Result<(), String> {
    let owner = path.metadata().map_err(|error| format!("{} cannot be read: {error}", path.display()))?.uid();
    let this = rustix::process::geteuid().as_raw();
    if owner == this {
        return Ok(());
    }
    Err(format!(
        "no gateway runs here, and {} belongs to user {owner}, not to {this}: run this as that user (`sudo -u '#{owner}'`), \
         or start the gateway, which does it then",
        path.display()
    ))
}

fn told(progress: &Progress) -> Told {
    let Progress { state, percent, rows, changed, unpriced, left, left_upstreams, .. } = progress;
    let at = |ms: i64| format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()));
    let covered = match progress.oldest_ms.zip(progress.newest_ms) {
        Some((oldest, newest)) => format!(
            "{rows} rows with known usage, from {} to {}: {changed} have another cost now, {unpriced} have no price{}",
            at(oldest),
            at(newest),
            match left {
                0 => String::new(),
                _ => format!(
                    ", {left} are as they were, because no upstream of the configuration has their upstream's name ({})",
                    left_upstreams.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            }
        ),
        None => "no rows with known usage yet".to_owned(),
    };
    let text = match state {
        State::Running => format!("{percent} %: {covered}"),
        State::Done if progress.oldest_ms.is_none() => "there are no rows with known usage in that time".to_owned(),
        State::Done => format!("{covered}; sums of before the oldest row are as they were"),
        State::Stopped => {
            format!("stopped at {percent} %: {covered}; rows and sums agree, and the same command does the rest")
        }
        State::Failed => {
            let why = progress.error.as_deref().unwrap_or_default();
            format!("the costs cannot be made anew: {why}; at {percent} %: {covered}; rows and sums agree")
        }
    };
    Told { text, is_running: *state == State::Running, is_done: *state == State::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_log_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log.db");
        std::fs::write(&path, "").expect("written");
        assert_eq!(own(&path), Ok(()));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12345), None).expect("given away");
            let why = own(&path).expect_err("refused");
            assert!(why.contains("belongs to user 12345") && why.contains("sudo -u '#12345'"), "{why}");
        }
    }
}
