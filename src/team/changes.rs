//! What is changed of users and tokens that are there.

use super::asked::{Asked, Failure, find_token, group as find_group, json, name_is_free, note, user as find_user};
use super::read;
use super::valid;
use super::wish::{TokenChange, Told, UserChange, UserRow};
use gateway_core::both;
use gateway_core::team::token::State;
use rusqlite::{Transaction, params};

/// Changes what is given of a user.
pub(super) fn user(file: &Transaction<'_>, name: &str, change: &UserChange, asked: Asked<'_>) -> Result<Told, Failure> {
    let id = find_user(file, name)?;
    let before = read::users(file, "WHERE users.id = ?", [&id])?;
    if let Some(email) = &change.email {
        email.as_deref().map_or(Ok(()), valid::email)?;
        file.execute("UPDATE users SET email = ? WHERE id = ?", params![email, id])?;
    }
    if let Some(group) = &change.group {
        let group_id = group.as_deref().map(|group| find_group(file, group)).transpose()?;
        file.execute("UPDATE users SET group_id = ? WHERE id = ?", params![group_id, id])?;
    }
    if let Some(role) = &change.role {
        valid::role(role)?;
        file.execute("UPDATE users SET role = ? WHERE id = ?", params![role, id])?;
    }
    if let Some(state) = &change.state {
        valid::state(state)?;
        file.execute("UPDATE users SET state = ? WHERE id = ?", params![state, id])?;
    }
    let after = read::users(file, "WHERE users.id = ?", [&id])?;
    note(file, asked, action(before.first(), after.first()), &id, before.first(), after.first())?;
    Ok(Told::Users(after))
}

/// How the audit calls a change of a user.
fn action(before: Option<&UserRow>, after: Option<&UserRow>) -> &'static str {
    let state = |row: Option<&UserRow>| row.map(|row| State::of(&row.state));
    match state(after) {
        now if now == state(before) => "user.change",
        Some(State::Active) => "user.resume",
        _ => "user.suspend",
    }
}

/// Changes what is given of a token that is not revoked.
pub(super) fn token(
    file: &Transaction<'_>,
    token: &str,
    change: &TokenChange,
    asked: Asked<'_>,
) -> Result<Told, Failure> {
    let before = find_token(file, token, asked.now_ms)?;
    let id = &before.id;
    if before.state == State::Revoked.code() {
        return Err(
            both!("a revoked token stays as it is: create another one", "已吊销的令牌不能更改：请新建令牌").into()
        );
    }
    if let Some(name) = &change.name {
        valid::name(name)?;
        name_is_free(file, &find_user(file, &before.user)?, name, id)?;
        file.execute("UPDATE tokens SET name = ? WHERE id = ?", params![name, id])?;
    }
    if let Some(models) = &change.models {
        valid::models(models)?;
        file.execute("UPDATE tokens SET models = ? WHERE id = ?", params![json(models), id])?;
    }
    if let Some(upstreams) = &change.upstreams {
        valid::upstreams(upstreams, asked.upstreams)?;
        file.execute("UPDATE tokens SET upstreams = ? WHERE id = ?", params![json(upstreams), id])?;
    }
    if let Some(addresses) = &change.addresses {
        let addresses = valid::networks(addresses)?;
        file.execute("UPDATE tokens SET addresses = ? WHERE id = ?", params![json(&addresses), id])?;
    }
    if let Some(ends_ms) = change.expires_at_ms {
        valid::expiry(ends_ms, asked.now_ms)?;
        file.execute("UPDATE tokens SET expires_ms = ? WHERE id = ?", params![ends_ms, id])?;
    }
    if let Some(state) = &change.state {
        valid::state(state)?;
        file.execute("UPDATE tokens SET state = ? WHERE id = ?", params![state, id])?;
    }
    let after = find_token(file, id, asked.now_ms)?;
    note(file, asked, "token.change", id, Some(&before), Some(&after))?;
    Ok(Told::Tokens(vec![after]))
}
