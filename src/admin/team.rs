//! `users`, `groups`, `tokens` and `audit`: who shares the gateway, and the client tokens.

use super::call::Call;
use super::fault::Fault;
use super::parts::Parts;
use super::refused::{Refused, json};
use crate::gateway::Answer;
use crate::team::{Actor, Denial, NewToken, Obstacle, Told, Upstreams, Wish};
use serde::Deserialize;
use serde_json::json as object;
use std::sync::Arc;

/// How long the text of a token is good after the next one, if nobody says.
const OVERLAP_MS: i64 = 24 * 3_600 * 1_000;
/// Changes of one page, and the most there can be.
const CHANGES: (u32, u32) = (100, 1_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    name: String,
    time_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    email: Option<String>,
    group: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedToken {
    user: String,
    name: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    upstreams: Vec<String>,
    #[serde(default)]
    addresses: Vec<String>,
    expires_at_ms: Option<i64>,
    #[serde(default)]
    limits: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    overlap_ms: Option<i64>,
}

/// All users.
pub(super) async fn users(parts: &Parts) -> Result<Answer, Refused> {
    match act(parts, None, Wish::ListUsers).await? {
        Told::Users(users) => json(&object!({ "users": users })),
        told => another(&told),
    }
}

/// Adds a user.
pub(super) async fn create_user(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let NewUser { name, email, group, role } = call.json(too_large)?;
    one(act(parts, Some(call), Wish::CreateUser { name, email, group, role }).await?)
}

/// Changes what is given of a user.
pub(super) async fn change_user(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (user, change) = (call.named.clone(), call.json(too_large)?);
    one(act(parts, Some(call), Wish::ChangeUser { user, change }).await?)
}

/// All groups.
pub(super) async fn groups(parts: &Parts) -> Result<Answer, Refused> {
    match act(parts, None, Wish::ListGroups).await? {
        Told::Groups(groups) => json(&object!({ "groups": groups })),
        told => another(&told),
    }
}

/// Adds a group.
pub(super) async fn create_group(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let NewGroup { name, time_zone } = call.json(too_large)?;
    // That of the configuration.
    let time_zone = time_zone.unwrap_or_default();
    one(act(parts, Some(call), Wish::CreateGroup { name, time_zone }).await?)
}

/// The tokens of a user, or all.
pub(super) async fn tokens(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let user = call.parameters.get("user").map(str::to_owned);
    match act(parts, None, Wish::ListTokens { user }).await? {
        Told::Tokens(tokens) => json(&object!({ "tokens": tokens })),
        told => another(&told),
    }
}

/// One token, without its text.
pub(super) async fn token(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    one(act(parts, None, Wish::ShowToken { token: call.named.clone() }).await?)
}

/// Issues a token. Its text is in this answer, and nowhere else.
pub(super) async fn create_token(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let WantedToken { user, name, models, upstreams, addresses, expires_at_ms, limits } = call.json(too_large)?;
    let name = name.unwrap_or_else(|| "default".to_owned());
    let new = NewToken { user, name, models, upstreams, addresses, expires_ms: expires_at_ms, limits };
    one(act(parts, Some(call), Wish::CreateToken(new)).await?)
}

/// Changes what is given of a token.
pub(super) async fn change_token(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let (token, change) = (call.named.clone(), call.json(too_large)?);
    one(act(parts, Some(call), Wish::ChangeToken { token, change }).await?)
}

/// Ends a token.
pub(super) async fn revoke_token(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    one(act(parts, Some(call), Wish::RevokeToken { token: call.named.clone() }).await?)
}

/// Issues another text for a token.
pub(super) async fn rotate_token(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let Rotation { overlap_ms } = call.json(too_large)?;
    let (token, overlap_ms) = (call.named.clone(), overlap_ms.unwrap_or(OVERLAP_MS));
    one(act(parts, Some(call), Wish::RotateToken { token, overlap_ms }).await?)
}

/// Who changed what, the newest first.
pub(super) async fn audit(parts: &Parts, call: &Call) -> Result<Answer, Refused> {
    let before = call.parameters.number("before", 1..u32::MAX, 0)?;
    let most = call.parameters.number("limit", 1..CHANGES.1 + 1, CHANGES.0)?;
    let before = (before > 0).then(|| i64::from(before));
    match act(parts, None, Wish::ReadAudit { before, most }).await? {
        Told::Audit(changes) => {
            let is_more = usize::try_from(most).is_ok_and(|most| changes.len() >= most);
            let next = changes.last().filter(|_| is_more).map(|change| change.id);
            json(&object!({ "changes": changes, "next": next }))
        }
        told => another(&told),
    }
}

/// Has the keeper fulfill a wish; `call` is who wishes to change something.
pub(super) async fn act(parts: &Parts, call: Option<&Call>, wish: Wish) -> Result<Told, Refused> {
    let keeper = Arc::clone(&parts.team);
    let upstreams = Upstreams::of(&parts.shared.snapshot.load().config);
    let name = call.map(|call| call.caller.name.clone()).unwrap_or_default();
    let actor = Actor { name, address: call.and_then(|call| call.client) };
    // It reads and writes a file.
    let acted = tokio::task::spawn_blocking(move || keeper.act(&wish, &actor, &upstreams)).await;
    acted.map_err(Refused::failed)?.map_err(|Denial { kind, words: said }| {
        match kind {
            Obstacle::Unfit => Fault::NotForTeam { said },
            Obstacle::Absent => Fault::NotInTeam { said },
            Obstacle::Taken => Fault::NameTaken { said },
            Obstacle::Often(seconds) => Fault::RotatedTooOften { said, seconds },
            Obstacle::File => Fault::TeamUnusable { said },
        }
        .into()
    })
}

/// The one thing that was made or changed.
fn one(told: Told) -> Result<Answer, Refused> {
    match &told {
        Told::Groups(rows) => rows.first().map(json),
        Told::Users(rows) => rows.first().map(json),
        Told::Tokens(rows) => rows.first().map(json),
        Told::Issued(issued) => Some(json(issued)),
        Told::Audit(_) | Told::Limits(_) | Told::Usage(_) => None,
    }
    .unwrap_or_else(|| another(&told))
}

/// The keeper told something else than what was wished.
pub(super) fn another(told: &Told) -> Result<Answer, Refused> {
    Err(Refused::failed(format_args!("{told:?}")))
}

pub(super) fn too_large(most: u64) -> Fault {
    Fault::BodyTooLarge { most }
}
