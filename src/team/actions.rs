//! What is done for a wish: each change in one transaction, with a row in the audit.

use super::asked::{Asked, Failure, find_token, group, json, name_is_free, note, user};
use super::changes;
use super::limits;
use super::read::{self, DAY_MS};
use super::rotation;
use super::secrets::{self, new_id, random};
use super::valid;
use super::wish::{GroupRow, Issued, NewToken, TokenText, Told, UserChange, Wish};
use gateway_core::both;
use gateway_core::team::limit::Subject;
use gateway_core::team::text;
use gateway_core::team::token::{Role, State};
use rusqlite::{Connection, Transaction, params};

impl Wish {
    /// Whether it changes anything.
    pub(super) fn changes(&self) -> bool {
        !matches!(
            self,
            Self::ListGroups
                | Self::ListUsers
                | Self::ListTokens { .. }
                | Self::ShowToken { .. }
                | Self::ListLimits { .. }
                | Self::Usage { .. }
                | Self::UsageOfToken { .. }
                | Self::ReadAudit { .. }
        )
    }
}

/// Fulfills a wish; nothing of it is there until the transaction is committed.
pub(super) fn act(file: &Transaction<'_>, wish: &Wish, asked: Asked<'_>) -> Result<Told, Failure> {
    let now_ms = asked.now_ms;
    match wish {
        Wish::ListGroups => Ok(Told::Groups(with_zones(read::groups(file, "", [])?, asked))),
        Wish::ListUsers => Ok(Told::Users(read::users(file, "", [])?)),
        Wish::ListTokens { user: None } => Ok(Told::Tokens(read::tokens(file, "", [], now_ms)?)),
        Wish::ListTokens { user: Some(name) } => {
            let id = user(file, name)?;
            Ok(Told::Tokens(read::tokens(file, "WHERE tokens.user_id = ?", [id], now_ms)?))
        }
        Wish::ShowToken { token } => Ok(Told::Tokens(vec![find_token(file, token, now_ms)?])),
        Wish::CreateGroup { name, time_zone } => create_group(file, name, time_zone, asked),
        Wish::CreateUser { name, email, group, role } => {
            create_user(file, name, [email.as_deref(), group.as_deref(), role.as_deref()], asked)
        }
        Wish::SuspendUser { name, is_suspended } => {
            let state = if *is_suspended { State::Suspended } else { State::Active };
            let change = UserChange { state: Some(state.code().to_owned()), ..UserChange::default() };
            changes::user(file, name, &change, asked)
        }
        Wish::ChangeUser { user, change } => changes::user(file, user, change, asked),
        Wish::ChangeToken { token, change } => changes::token(file, token, change, asked),
        Wish::ReadAudit { before, most } => Ok(Told::Audit(read::audit(file, *before, *most)?)),
        Wish::CreateToken(new) => create_token(file, new, asked),
        Wish::RotateToken { token, overlap_ms } => rotation::rotate(file, token, *overlap_ms, asked),
        Wish::RevokeToken { token } => revoke_token(file, token, asked),
        Wish::AddLimits { .. }
        | Wish::RemoveLimits { .. }
        | Wish::ListLimits { .. }
        | Wish::Usage { .. }
        | Wish::UsageOfToken { .. } => limits::act(file, wish, asked),
    }
}

fn create_group(file: &Transaction<'_>, name: &str, time_zone: &str, asked: Asked<'_>) -> Result<Told, Failure> {
    valid::name(name)?;
    valid::time_zone(time_zone)?;
    room(file, "groups", asked.terms.bounds.groups)?;
    if !read::groups(file, "WHERE name = ?", [name])?.is_empty() {
        return Err(Failure::taken(both!("there is a group \"{name}\" already", "已有名为“{name}”的用户组")));
    }
    let (id, sql) = (new_id("grp")?, "INSERT INTO groups (id, name, time_zone, created_ms) VALUES (?, ?, ?, ?)");
    file.execute(sql, params![id, name, time_zone, asked.now_ms])?;
    let rows = read::groups(file, "WHERE id = ?", [&id])?;
    note(file, asked, "group.create", &id, None::<()>, rows.first())?;
    Ok(Told::Groups(with_zones(rows, asked)))
}

/// Groups with the time zone that counts for them.
fn with_zones(mut groups: Vec<GroupRow>, asked: Asked<'_>) -> Vec<GroupRow> {
    for group in groups.iter_mut().filter(|group| group.time_zone.is_empty()) {
        asked.terms.zone.iana_name().unwrap_or("UTC").clone_into(&mut group.time_zone);
    }
    groups
}

fn create_user(
    file: &Transaction<'_>,
    name: &str,
    [email, group, role]: [Option<&str>; 3],
    asked: Asked<'_>,
) -> Result<Told, Failure> {
    valid::name(name)?;
    email.map_or(Ok(()), valid::email)?;
    let role = role.unwrap_or(Role::Member.code());
    valid::role(role)?;
    room(file, "users", asked.terms.bounds.users)?;
    if !read::users(file, "WHERE users.name = ?", [name])?.is_empty() {
        return Err(Failure::taken(both!("there is a user \"{name}\" already", "已有名为“{name}”的用户")));
    }
    let group_id = group.map(|group| self::group(file, group)).transpose()?;
    let id = new_id("usr")?;
    let sql = "INSERT INTO users (id, name, email, group_id, role, created_ms) VALUES (?, ?, ?, ?, ?, ?)";
    file.execute(sql, params![id, name, email, group_id, role, asked.now_ms])?;
    let rows = read::users(file, "WHERE users.id = ?", [&id])?;
    note(file, asked, "user.create", &id, None::<()>, rows.first())?;
    Ok(Told::Users(rows))
}

fn create_token(file: &Transaction<'_>, new: &NewToken, asked: Asked<'_>) -> Result<Told, Failure> {
    valid::name(&new.name)?;
    valid::models(&new.models)?;
    valid::upstreams(&new.upstreams, asked.upstreams)?;
    valid::expiry(new.expires_ms, asked.now_ms)?;
    valid::limits(new.limits.len())?;
    let addresses = valid::networks(&new.addresses)?;
    asked.upstreams.take_tokens()?;
    room(file, "tokens", asked.terms.bounds.tokens)?;
    let user_id = user(file, &new.user)?;
    name_is_free(file, &user_id, &new.name, "")?;
    let (id, token) = (new_id("tok")?, text::of(random()?));
    let sql = "INSERT INTO tokens (id, user_id, name, hint, models, upstreams, addresses, expires_ms, created_ms) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let lists = [&new.models, &new.upstreams, &addresses].map(json);
    let [models, upstreams, addresses] = lists;
    let hint = text::hint(&token);
    let values = params![id, user_id, new.name, hint, models, upstreams, addresses, new.expires_ms, asked.now_ms];
    file.execute(sql, values)?;
    secrets::add(file, &id, &token, asked.now_ms)?;
    let row = find_token(file, &id, asked.now_ms)?;
    note(file, asked, "token.create", &id, None::<()>, Some(&row))?;
    limits::add(file, &(Subject::Token, id.clone()), &new.limits, asked)?;
    Ok(Told::Issued(Issued { id, token: TokenText(token), old_until_ms: None }))
}

fn revoke_token(file: &Transaction<'_>, token: &str, asked: Asked<'_>) -> Result<Told, Failure> {
    let before = find_token(file, token, asked.now_ms)?;
    file.execute("UPDATE tokens SET state = ? WHERE id = ?", params![State::Revoked.code(), before.id])?;
    let row = find_token(file, &before.id, asked.now_ms)?;
    note(file, asked, "token.revoke", &before.id, Some(&before), Some(&row))?;
    Ok(Told::Tokens(vec![row]))
}

/// Notes the last days on which tokens were used.
pub(super) fn note_use(file: &Transaction<'_>, days: &[(String, i64)]) -> rusqlite::Result<()> {
    let sql = "UPDATE tokens SET used_on = ?1 WHERE id = ?2 AND COALESCE(used_on, 0) < ?1";
    let mut update = file.prepare_cached(sql)?;
    days.iter().try_for_each(|(id, day_ms)| update.execute(params![day_ms / DAY_MS, id]).map(drop))
}

fn room(file: &Connection, table: &str, most: u32) -> Result<(), Failure> {
    let count: i64 = file.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
    if count < i64::from(most) {
        return Ok(());
    }
    let words = match table {
        "users" => both!(
            "there are {count} users already, as many as there may be (team.bounds.users)",
            "用户已有 {count} 个，达到上限（team.bounds.users）"
        ),
        "tokens" => both!(
            "there are {count} tokens already, as many as there may be (team.bounds.tokens)",
            "令牌已有 {count} 个，达到上限（team.bounds.tokens）"
        ),
        _ => both!(
            "there are {count} groups already, as many as there may be (team.bounds.groups)",
            "用户组已有 {count} 个，达到上限（team.bounds.groups）"
        ),
    };
    Err(words.into())
}
