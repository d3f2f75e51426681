//! What is asked by whom, why it is refused, and what all wishes need: names found, changes noted.

use super::read;
use super::valid::{self, Upstreams};
use super::wish::{Actor, Obstacle, TokenRow};
use crate::config::{Config, TeamBounds};
use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::team::window;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use std::path::Path;

/// Rows of the audit that stay.
const MOST_AUDIT: i64 = 100_000;
/// How many of these may have been done with tokens, once it is full.
const MOST_BY_TOKENS: i64 = MOST_AUDIT / 2;
/// After how many new ones there is a look whether there are more.
const LOOK_EVERY: i64 = 1_000;

/// Why a wish is not fulfilled.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot be.
    Refused(Obstacle, Words),
    /// The file does not do it.
    File(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

impl From<Words> for Failure {
    fn from(why: Words) -> Self {
        Self::Refused(Obstacle::Unfit, why)
    }
}

impl Failure {
    /// There is one of that name.
    pub(super) fn taken(why: Words) -> Self {
        Self::Refused(Obstacle::Taken, why)
    }

    /// It was done too often, and may be done again then.
    pub(super) fn too_often(why: Words, at_ms: i64, now_ms: i64) -> Self {
        Self::Refused(Obstacle::Often(at_ms.saturating_sub(now_ms).max(0).unsigned_abs().div_ceil(1_000)), why)
    }

    /// It is not there.
    pub(super) fn absent(why: Words) -> Self {
        Self::Refused(Obstacle::Absent, why)
    }
}

/// What the configuration says of the team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The time zone of whoever is in no group that has one.
    pub zone: TimeZone,
    /// How many there may be.
    pub bounds: TeamBounds,
}

impl Terms {
    /// Of this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self { zone: config.team.time_zone.clone(), bounds: config.team.bounds.clone() }
    }

    /// The time zone of a group with this one; an empty one is none of its own.
    pub(super) fn zone(&self, own: Option<&str>) -> TimeZone {
        own.and_then(window::zone).unwrap_or_else(|| self.zone.clone())
    }
}

/// Who wishes something, when, and what the configuration has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// The upstreams that tokens may name.
    pub upstreams: &'a Upstreams,
    /// Where the ledger is.
    pub folder: &'a Path,
    /// What the configuration says of all of it.
    pub terms: &'a Terms,
}

/// The id of the group with this name or this id.
pub(super) fn group(file: &Connection, name: &str) -> Result<String, Failure> {
    let mut found = read::groups(file, "WHERE id = ?1 OR name = ?1", [name])?;
    // An id is nobody else's name, unless somebody chose it to be.
    found.sort_by_key(|row| row.id != name);
    found.into_iter().next().map(|row| row.id).ok_or_else(|| {
        valid::name(name).err().unwrap_or_else(|| {
            both!(
                "there is no group \"{name}\": `anyrouter-gateway group list` names all, `group create --name` makes one",
                "没有“{name}”这个用户组：`anyrouter-gateway group list` 列出所有用户组，`group create --name` 新建一个"
            )
        })
        .into()
    })
}

/// Whether no other token of this user that is not revoked has this name.
pub(super) fn name_is_free(file: &Connection, user_id: &str, name: &str, but: &str) -> Result<(), Failure> {
    let sql = "SELECT COUNT(*) FROM tokens WHERE user_id = ? AND name = ? AND state <> 'revoked' AND id <> ?";
    let count: i64 = file.query_row(sql, [user_id, name, but], |row| row.get(0))?;
    if count == 0 {
        return Ok(());
    }
    Err(Failure::taken(both!(
        "this user has a token \"{name}\" already: choose another name (--name), or rotate that one",
        "该用户已有名为“{name}”的令牌：请换一个名称（--name），或轮换那个令牌"
    )))
}

/// The id of the user with this name or this id.
pub(super) fn user(file: &Connection, name: &str) -> Result<String, Failure> {
    let mut found = read::users(file, "WHERE users.id = ?1 OR users.name = ?1", [name])?;
    // An id is nobody else's name, unless somebody chose it to be.
    found.sort_by_key(|row| row.id != name);
    found.into_iter().next().map(|row| row.id).ok_or_else(|| {
        Failure::absent(valid::name(name).err().unwrap_or_else(|| {
            both!(
                "there is no user \"{name}\": `anyrouter-gateway user list` names all, `user create --name` makes one",
                "没有“{name}”这个用户：`anyrouter-gateway user list` 列出所有用户，`user create --name` 新建一个"
            )
        }))
    })
}

/// The token with this id, or the one of this USER/NAME that is not revoked.
pub(super) fn find_token(file: &Connection, token: &str, now_ms: i64) -> Result<TokenRow, Failure> {
    let found = match token.split_once('/') {
        Some((user, name)) => {
            let condition = "WHERE users.name = ? AND tokens.name = ? AND tokens.state <> 'revoked'";
            read::tokens(file, condition, [user, name], now_ms)?
        }
        None => read::tokens(file, "WHERE tokens.id = ?", [token], now_ms)?,
    };
    found.into_iter().next().ok_or_else(|| {
        // It is not repeated: somebody may have given the token itself.
        Failure::absent(both!(
            "there is no such token: `anyrouter-gateway token list` has the ids (tok_...); USER/NAME names one too",
            "没有这个令牌：`anyrouter-gateway token list` 列出所有 id（tok_...）；也可以写成 用户/名称"
        ))
    })
}

/// A row of the audit; what it shows of rows has no secrets.
pub(super) fn note(
    file: &Transaction<'_>,
    asked: Asked<'_>,
    action: &str,
    target: &str,
    before: Option<impl Serialize>,
    after: Option<impl Serialize>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO audit (at_ms, actor, address, action, target, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (before, after) = (before.as_ref().map(json), after.as_ref().map(json));
    let Actor { name: actor, address } = asked.actor;
    let address = address.map(|address| address.to_canonical().to_string());
    file.execute(sql, params![asked.now_ms, actor, address, action, target, before, after])?;
    make_room(file)?;
    log::info!("{actor}: {action} {target}");
    Ok(())
}

/// Of a full audit the oldest rows go of what was done with tokens, or of the rest. All tokens are one side, since an
/// admin may have any number of them; names of users have no brackets.
fn make_room(file: &Transaction<'_>) -> rusqlite::Result<()> {
    if file.last_insert_rowid() % LOOK_EVERY != 0 {
        return Ok(());
    }
    let rows: i64 = file.query_row("SELECT COUNT(*) FROM audit", [], |row| row.get(0))?;
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE (actor GLOB '* (tok_*)') = \
               (SELECT COUNT(*) > ? FROM audit WHERE actor GLOB '* (tok_*)') ORDER BY id LIMIT ?)";
    file.execute(sql, [MOST_BY_TOKENS, (rows - MOST_AUDIT).max(0)]).map(drop)
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;

    #[test]
    fn whoever_changes_something_with_many_tokens_pushes_out_only_rows_of_tokens() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = Store::open(&folder.path().join("team.db")).expect("opened");
        let file = file.transaction(true).expect("begun");
        let fill = |actor: &str, rows: i64| {
            let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) INSERT INTO audit \
                       (at_ms, actor, action, target) SELECT n, ?, 'user.change', 'usr_1' FROM n";
            file.execute(sql, params![rows, actor]).expect("filled");
        };
        fill("the panel's key", 20);
        fill("command line, user 0", MOST_BY_TOKENS - 20);
        fill("mallory (tok_1)", MOST_BY_TOKENS);
        let bounds = TeamBounds { tokens: 9, users: 9, groups: 9, guesses: 9, guesses_in_all: 9, waiting: 9 };
        let terms = Terms { zone: TimeZone::UTC, bounds };
        let upstreams = Upstreams::default();
        let change = |name: String| {
            let actor = Actor { name, address: None };
            let asked = Asked { actor: &actor, now_ms: 1, upstreams: &upstreams, folder: folder.path(), terms: &terms };
            note(&file, asked, "user.change", "usr_1", None::<()>, None::<()>).expect("noted");
        };
        let rows = |actor: &str| -> i64 {
            let sql = "SELECT COUNT(*) FROM audit WHERE actor GLOB ?";
            file.query_row(sql, [actor], |row| row.get(0)).expect("a count")
        };
        (0..3 * LOOK_EVERY).for_each(|token| change(format!("mallory (tok_{token})")));
        assert_eq!(
            (rows("the panel's key"), rows("command line*"), rows("* (tok_*)")),
            (20, MOST_BY_TOKENS - 20, MOST_BY_TOKENS)
        );
        // Nor do others push out what was done with tokens.
        (0..3 * LOOK_EVERY).for_each(|_| change("SIGHUP".to_owned()));
        assert_eq!((rows("the panel's key"), rows("SIGHUP"), rows("* (tok_*)")), (0, 3 * LOOK_EVERY, MOST_BY_TOKENS));
    }
}
