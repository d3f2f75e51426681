//! What is used of limits, as the ledger's file says: for people, and a second old while a gateway serves.

use super::book::Owner;
use super::{file, rows};
use crate::unix_time::now_ms;
use gateway_core::team::limit::{Kind, Limit, Window};
use gateway_core::team::window::Span;
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;
use std::time::Duration;

/// How long a gateway may hold the file.
const BUSY: Duration = Duration::from_secs(5);

/// What is used of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// The limit.
    pub limit: Limit,
    /// So much is spent, or in use; `None` for a rate, of which nobody keeps count.
    pub used: Option<i64>,
    /// So much is held by requests that are being served.
    pub held: i64,
    /// When it began, in milliseconds since 1970; `None` if it has no beginning, or has not begun.
    pub opens_ms: Option<i64>,
    /// When it begins again, in milliseconds since 1970; `None` if never, or if it has not begun.
    pub ends_ms: Option<i64>,
}

/// What is used of the limits of these owners, in their order.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read(folder: &Path, owners: &[Owner]) -> rusqlite::Result<Vec<Vec<Used>>> {
    let path = file::path(folder);
    let file = match path.exists() {
        true => {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let file = Connection::open_with_flags(path, flags)?;
            file.busy_timeout(BUSY)?;
            Some(file)
        }
        false => None,
    };
    let now = now_ms();
    let of_owner = |owner: &Owner| {
        let used = owner.limits.iter().map(|limit| of_limit(file.as_ref(), owner, limit, now));
        used.collect()
    };
    owners.iter().map(of_owner).collect()
}

fn of_limit(file: Option<&Connection>, owner: &Owner, limit: &Limit, now: i64) -> rusqlite::Result<Used> {
    let key = owner.key(limit);
    let known = file.map_or(Ok(Vec::new()), |file| rows::windows(file, &key, now))?;
    let span = key.window.at(&owner.zone, now, known.iter().map(|(_, span, _)| *span));
    let window = known.iter().find(|(_, known, _)| *known == span);
    let (mut used, mut held) = (window.map_or(0, |(.., spent)| *spent), 0);
    if let (Some((id, ..)), Some(file)) = (window, file) {
        let sql = "SELECT COALESCE(SUM(spent), 0), COALESCE(SUM(held), 0) FROM leases \
                   WHERE window_id = ? AND charged IS NULL";
        let (spent, by_requests): (i64, i64) = file.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        (used, held) = (used.saturating_add(spent), by_requests);
    }
    let Span { opens_at, ends_at } = span;
    // What has not begun does not end either, but for the windows of the calendar.
    let ends_ms = ends_at.filter(|_| window.is_some() || key.window != Window::FiveHours);
    let opens_ms = ends_ms.map(|_| opens_at);
    let always = Used { limit: *limit, used: None, held: 0, opens_ms: None, ends_ms: None };
    Ok(match limit.kind() {
        Kind::Rate => always,
        Kind::Places => Used { used: Some(held), ..always },
        Kind::Sessions if key.window == Window::Now => {
            let sql = "SELECT COUNT(*) FROM session_places WHERE subject_kind = ? AND subject_id = ? AND until_ms > ?";
            let count = |file: &Connection| file.query_row(sql, params![key.kind, key.id, now], |row| row.get(0));
            Used { used: Some(file.map_or(Ok(0), count)?), ..always }
        }
        Kind::Sessions => Used { used: Some(used), opens_ms, ends_ms, ..always },
        Kind::Spending => Used { used: Some(used), held, opens_ms, ends_ms, ..always },
    })
}
