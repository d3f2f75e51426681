//! What the handlers work with.

use super::access::Gate;
use super::fault::Fault;
use super::refused::Refused;
use super::turns::Turns;
use crate::config::live::Live;
use crate::gateway::Shared;
use crate::notify::Notifier;
use crate::store::{Reader, Recosts};
use crate::team::Keeper;
use std::sync::Arc;

/// What the handlers work with.
pub(super) struct Parts {
    /// The gateway.
    pub shared: Arc<Shared>,
    /// The request log; `None` if there is none.
    pub log: Option<Reader>,
    /// What makes costs anew; `None` if there is no request log.
    pub recosts: Option<Recosts>,
    /// The configuration.
    pub live: Arc<Live>,
    /// What tells of what breaks.
    pub notifier: Arc<Notifier>,
    /// What keeps users, groups and client tokens.
    pub team: Arc<Keeper>,
    /// Who may do what.
    pub gate: Arc<Gate>,
    /// Checks of edits.
    pub checks: Turns,
    /// Dry runs of requests.
    pub dry_runs: Turns,
    /// Tests of upstreams that send a message.
    pub tests: Turns,
    /// Tests of targets of notifications.
    pub notices: Turns,
}

impl Parts {
    /// Whoever reads the request log.
    pub(super) fn reader(&self) -> Result<&Reader, Refused> {
        self.log.as_ref().ok_or_else(|| Fault::NoLog.into())
    }
}
