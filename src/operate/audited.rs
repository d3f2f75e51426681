//! What the audit has of changes that come neither from the API nor are the team's own: by commands, signals and files.

use crate::config::live::Reloaded;
use crate::team::Noted;
use serde_json::json;
use std::sync::Arc;

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A user of this machine, with a command.
    User(u32),
    /// Whoever sent SIGHUP.
    Signal,
    /// Whoever wrote a file that is watched.
    Files,
}

/// Notes a change.
pub(crate) type Noting = Arc<dyn Fn(By, Noted) + Send + Sync>;

/// That the configuration was loaded anew.
pub(super) fn reload(reloaded: &Reloaded) -> Noted {
    let changed: Vec<String> = reloaded.differences.iter().map(|found| found.words().to_string()).collect();
    let after = json!({ "version": reloaded.version, "changed": changed });
    Noted { action: "config.reload", target: "config".to_owned(), after: Some(after), ..Noted::default() }
}
