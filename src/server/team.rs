//! The team: what requests see of it, and what commands change.

use crate::config::{Config, Loaded, Startup};
use crate::gateway::Shared;
use crate::language::told as in_words;
use crate::operate::audited::{By, Noting};
use crate::operate::own_folder::{self, Unusable};
use crate::operate::team::Acting;
use crate::team::{Actor, Keeper, Seen, Terms, Told, Upstreams, Wish};
use gateway_core::language::Words;
use gateway_core::team::roster::Roster;
use rustix::process::geteuid;
use std::sync::Arc;

/// Opens what the state folder has of the team, and has requests see it.
///
/// # Errors
/// When it cannot be read, or the configuration in force is none for a team.
pub(super) fn open(startup: &Startup, shared: &Arc<Shared>) -> anyhow::Result<Arc<Keeper>> {
    let seen = Arc::clone(shared);
    shared.ledger.keep(&startup.state_dir)?;
    let publish = Box::new(move |Seen { roster, limits }| {
        roster.keep_use(&seen.roster.load());
        // Who has a token has its limits too.
        seen.ledger.publish(limits);
        seen.roster.store(Arc::new(roster));
    });
    let terms = Terms::of(&shared.snapshot.load().config);
    let keeper = Keeper::open(&startup.state_dir, terms, publish).map_err(anyhow::Error::msg)?;
    bound(shared);
    check(&shared.snapshot.load().config, &shared.roster.load()).map_err(anyhow::Error::msg)?;
    Ok(Arc::new(keeper))
}

/// Whether requests with client tokens can be served with this configuration, if there are any.
///
/// # Errors
/// Why not.
pub(super) fn check(config: &Config, roster: &Roster) -> Result<(), Words> {
    if roster.has_tokens() { Upstreams::of(config).take_tokens() } else { Ok(()) }
}

/// What the control socket offers.
pub(super) fn for_commands(keeper: Arc<Keeper>, shared: Arc<Shared>) -> Acting {
    Arc::new(move |wish, user| {
        let upstreams = Upstreams::of(&shared.snapshot.load().config);
        keeper.act(wish, &actor(user), &upstreams).map_err(|denial| denial.words)
    })
}

/// What keeps the audit of what is none of the team's.
pub(super) fn noting(keeper: &Arc<Keeper>) -> Noting {
    let keeper = Arc::clone(keeper);
    Arc::new(move |by, noted| {
        let actor = match by {
            By::User(user) => actor(user),
            By::Signal => Actor { name: "SIGHUP".to_owned(), address: None },
            By::Files => Actor { name: "gateway.watch".to_owned(), address: None },
        };
        keeper.note(&actor, &noted);
    })
}

/// What a second brings: what another process has changed, and which tokens were used.
pub(super) fn refresh(keeper: &Keeper, shared: &Shared) {
    keeper.refresh(Terms::of(&shared.snapshot.load().config), &|| shared.roster.load().take_used());
    bound(shared);
}

/// Bounds what may wait for the ledger.
fn bound(shared: &Shared) {
    shared.ledger.bound_waiting(shared.snapshot.load().config.team.bounds.waiting);
}

/// How the audit calls a user of this machine who typed a command.
fn actor(user: u32) -> Actor {
    Actor { name: format!("command line, user {user}"), address: None }
}

/// Fulfills a wish in this process, for a command where no gateway runs: in a folder of this user's own alone, for the file would
/// be this user's, and keep the gateway out.
///
/// # Errors
/// Why it is not fulfilled.
pub(crate) fn here(loaded: &Loaded, wish: &Wish) -> Result<Told, String> {
    let folder = &loaded.startup.state_dir;
    own_folder::prepare(folder, "gateway.state_dir").map_err(|unusable| match unusable {
        Unusable::Refused(why) | Unusable::Failed(why) => in_words(&why),
    })?;
    let keeper = Keeper::open(folder, Terms::of(&loaded.config), Box::new(drop)).map_err(|why| in_words(&why))?;
    let told = keeper.act(wish, &actor(geteuid().as_raw()), &Upstreams::of(&loaded.config));
    told.map_err(|denial| in_words(&denial.words))
}
