//! Limits in dollars, and whose requests they count, for who compares the ledger with the request log.

use super::asked::Terms;
use super::limits::owners;
use super::read;
use crate::ledger::Owner;
use gateway_core::team::limit::Subject;
use gateway_core::team::measure::Measure;
use rusqlite::{Connection, params};
use std::sync::Arc;

/// Limits in dollars of a token, a user or a group.
#[derive(Clone, Debug)]
pub(crate) struct InDollars {
    /// Whose they are, with no other limits.
    pub owner: Owner,
    /// When each of them was set, in milliseconds since 1970.
    pub since_ms: Vec<i64>,
    /// The tokens whose requests may count: those that are revoked too, and of a group all, for users change groups.
    pub tokens: Vec<String>,
}

/// All limits in dollars.
pub(super) fn all(file: &Connection, terms: &Terms) -> rusqlite::Result<Vec<InDollars>> {
    let mut found = Vec::new();
    for owner in owners(file, terms)?.into_values() {
        let mut owner = Arc::unwrap_or_clone(owner);
        owner.limits.retain(|limit| limit.measure == Measure::Usd);
        if owner.limits.is_empty() {
            continue;
        }
        let mut since_ms = Vec::new();
        for limit in &owner.limits {
            let sql = "SELECT created_ms FROM limits \
                       WHERE subject_kind = ? AND subject_id = ? AND measure = ? AND window = ?";
            let values = params![owner.kind.code(), &*owner.id, limit.measure.code(), limit.window.code()];
            since_ms.push(file.prepare_cached(sql)?.query_row(values, |row| row.get(0))?);
        }
        let id = |row: &rusqlite::Row<'_>| row.get(0);
        let tokens = match owner.kind {
            Subject::Token => vec![owner.id.to_string()],
            Subject::User => read::all(file, "SELECT id FROM tokens WHERE user_id = ?", [&*owner.id], id)?,
            Subject::Group => read::all(file, "SELECT id FROM tokens", [], id)?,
        };
        found.push(InDollars { owner, since_ms, tokens });
    }
    Ok(found)
}
