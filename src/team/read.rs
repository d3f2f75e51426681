//! What the file says: rows for people, and the roster for requests.

use super::wish::{AuditRow, GroupRow, TokenRow, UserRow};
use gateway_core::holder::Holder;
use gateway_core::rules::glob::Glob;
use gateway_core::team::roster::{Roster, Secret};
use gateway_core::team::text::Digest;
use gateway_core::team::token::{Role, State, Token};
use jiff::Span;
use jiff::civil::Date;
use rusqlite::{Connection, Params, Row, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 24 * 3_600 * 1_000;

const GROUPS: &str = "SELECT id, name, time_zone, created_ms FROM groups";
const USERS: &str = "SELECT users.id, users.name, users.email, groups.name, users.state, users.created_ms, users.role, \
     (SELECT COUNT(*) FROM tokens WHERE tokens.user_id = users.id AND tokens.state <> 'revoked') \
     FROM users LEFT JOIN groups ON groups.id = users.group_id";
const TOKENS: &str = "SELECT tokens.id, users.name, groups.name, tokens.name, tokens.hint, tokens.state, users.state, \
     tokens.models, tokens.upstreams, tokens.addresses, tokens.expires_ms, tokens.used_on, tokens.created_ms, \
     (SELECT MAX(secrets.expires_ms) FROM secrets WHERE secrets.token_id = tokens.id), users.role \
     FROM tokens JOIN users ON users.id = tokens.user_id LEFT JOIN groups ON groups.id = users.group_id";

/// A token as the file has it, and what is not shown of it.
pub(super) struct Stored {
    row: TokenRow,
    state: State,
    user: State,
    is_admin: bool,
}

/// The groups with this condition.
pub(super) fn groups(file: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Vec<GroupRow>> {
    let group = |row: &Row<'_>| {
        Ok(GroupRow { id: row.get(0)?, name: row.get(1)?, time_zone: row.get(2)?, created_at_ms: row.get(3)? })
    };
    all(file, &format!("{GROUPS} {condition} ORDER BY name"), values, group)
}

/// The users with this condition.
pub(super) fn users(file: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Vec<UserRow>> {
    let user = |row: &Row<'_>| {
        Ok(UserRow {
            id: row.get(0)?,
            name: row.get(1)?,
            email: row.get(2)?,
            group: row.get(3)?,
            state: row.get(4)?,
            created_at_ms: row.get(5)?,
            role: row.get(6)?,
            tokens: row.get(7)?,
        })
    };
    all(file, &format!("{USERS} {condition} ORDER BY users.name"), values, user)
}

/// Changes before the one with this number, the newest first.
pub(super) fn audit(file: &Connection, before: Option<i64>, most: u32) -> rusqlite::Result<Vec<AuditRow>> {
    let sql = "SELECT id, at_ms, actor, address, action, target, before, after FROM audit \
               WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2";
    let json = |row: &Row<'_>, at: usize| {
        row.get::<_, Option<String>>(at).map(|text| text.and_then(|text| serde_json::from_str(&text).ok()))
    };
    let change = |row: &Row<'_>| {
        Ok(AuditRow {
            id: row.get(0)?,
            at_ms: row.get(1)?,
            actor: row.get(2)?,
            address: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            before: json(row, 6)?,
            after: json(row, 7)?,
        })
    };
    all(file, sql, params![before, most], change)
}

/// The tokens with this condition, as people see them now.
pub(super) fn tokens(
    file: &Connection,
    condition: &str,
    values: impl Params,
    now_ms: i64,
) -> rusqlite::Result<Vec<TokenRow>> {
    let stored = stored(file, condition, values)?;
    Ok(stored.into_iter().map(|stored| stored.shown(now_ms)).collect())
}

fn stored(file: &Connection, condition: &str, values: impl Params) -> rusqlite::Result<Vec<Stored>> {
    let token = |row: &Row<'_>| {
        let state = |at: usize| row.get::<_, String>(at).map(|code| State::of(&code));
        Ok(Stored {
            state: state(5)?,
            user: state(6)?,
            is_admin: row.get::<_, String>(14)? == Role::Admin.code(),
            row: TokenRow {
                id: row.get(0)?,
                user: row.get(1)?,
                group: row.get(2)?,
                name: row.get(3)?,
                hint: row.get(4)?,
                state: String::new(),
                models: list(row, 7)?,
                upstreams: list(row, 8)?,
                addresses: list(row, 9)?,
                expires_at_ms: row.get(10)?,
                used_on: row.get::<_, Option<i64>>(11)?.and_then(day),
                created_at_ms: row.get(12)?,
                old_until_ms: row.get(13)?,
            },
        })
    };
    all(file, &format!("{TOKENS} {condition} ORDER BY users.name, tokens.name, tokens.created_ms"), values, token)
}

impl Stored {
    fn shown(mut self, now_ms: i64) -> TokenRow {
        let is_over = self.row.expires_at_ms.is_some_and(|ends| ends <= now_ms);
        self.row.state = match (self.state, self.user) {
            (State::Revoked, _) => State::Revoked.code(),
            _ if is_over => "expired",
            (State::Active, user) => user.code(),
            (state, _) => state.code(),
        }
        .to_owned();
        self.row.old_until_ms = self.row.old_until_ms.filter(|until| *until > now_ms);
        self.row
    }

    fn for_requests(self) -> Token {
        let Self { row, state, user, is_admin } = self;
        let holder = Holder { user: row.user.into(), group: row.group.map(Arc::from), token: row.id.into() };
        // A list that cannot be read must not become one that allows everything.
        let addresses: Vec<_> = row.addresses.iter().filter_map(|network| network.parse().ok()).collect();
        let state = if addresses.len() == row.addresses.len() { state } else { State::Suspended };
        Token {
            holder: Arc::new(holder),
            models: row.models.iter().map(|glob| Glob::new(glob)).collect(),
            upstreams: row.upstreams,
            addresses,
            ends_ms: row.expires_at_ms,
            state,
            user,
            is_admin,
            used_ms: Arc::default(),
        }
    }
}

/// All tokens, for requests.
pub(super) fn roster(file: &Connection) -> rusqlite::Result<Roster> {
    let tokens = stored(file, "", [])?.into_iter().map(Stored::for_requests);
    let tokens: HashMap<Arc<str>, Arc<Token>> =
        tokens.map(|token| (Arc::clone(&token.holder.token), Arc::new(token))).collect();
    let secret = |row: &Row<'_>| Ok((row.get::<_, Digest>(0)?, row.get::<_, String>(1)?, row.get(2)?));
    let secrets = all(file, "SELECT digest, token_id, expires_ms FROM secrets", [], secret)?;
    let secrets = secrets.into_iter().filter_map(|(digest, token, ends_ms)| {
        Some((digest, Secret { token: Arc::clone(tokens.get(&*token)?), ends_ms }))
    });
    Ok(Roster::new(secrets))
}

pub(super) fn all<T>(
    file: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    file.prepare_cached(sql)?.query_map(values, read)?.collect()
}

/// An array in JSON. One that cannot be read is a fault of the row: it must not become one that allows everything.
fn list(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
}

/// A day that is so many after the first of 1970.
fn day(number: i64) -> Option<String> {
    let days = Span::new().try_days(number).ok()?;
    Date::constant(1970, 1, 1).checked_add(days).ok().map(|day| day.to_string())
}
