//! Who is told that a limit is used up by and by: noted in the ledger, so that it is told once, whichever gateway sees it and
//! however often one starts.

use super::book::Owner;
use super::rows::Rows;
use arc_swap::ArcSwap;
use gateway_core::team::limit::Limit;
use gateway_core::team::notice::{Notice, is_told_of, reached};
use rusqlite::params;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most notices that wait for whoever tells them, which is done each second.
const MOST_WAITING: usize = 1_000;

/// Stands among the parts of a window for its being looked at with a limit of this amount.
const SEEN: u8 = 0;

/// What somebody is to be told, and when.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    parts: ArcSwap<Vec<u8>>,
    notices: Mutex<VecDeque<Notice>>,
}

impl Waiting {
    /// Somebody wants to be told of these parts, in hundredths.
    pub(super) fn tell_at(&self, parts: &[u8]) {
        self.parts.store(Arc::new(parts.to_vec()));
    }

    /// The parts that somebody is told of.
    pub(super) fn parts(&self) -> Arc<Vec<u8>> {
        self.parts.load_full()
    }

    /// Has somebody told; of too many, the first are dropped.
    pub(super) fn put(&self, notice: Option<Notice>) {
        let Some(notice) = notice else { return };
        let mut waiting = self.lock();
        if waiting.len() == MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(notice);
    }

    /// All that wait.
    pub(super) fn take(&self) -> Vec<Notice> {
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A window, as it is in a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent<'o> {
    pub window: i64,
    pub owner: &'o Owner,
    pub limit: Limit,
    /// What all gateways together spent of it.
    pub spent: i64,
    pub ends_at: Option<i64>,
    /// The part that was reached when it was looked at last, and what the limit was then.
    pub noted: Option<(u8, u64)>,
}

/// What was noted, and what is to be told of that once it is written.
#[derive(Debug)]
pub(super) struct Noted {
    pub window: i64,
    pub part: (u8, u64),
    pub notice: Option<Notice>,
}

impl Spent<'_> {
    /// Notes which of these parts are reached; none if nothing has changed.
    pub(super) fn note(&self, rows: &Rows<'_>, parts: &[u8]) -> rusqlite::Result<Option<Noted>> {
        let percent = reached(self.spent, self.limit.amount, parts).unwrap_or_default();
        let part = (percent, self.limit.amount);
        if self.noted == Some(part) || !is_told_of(&self.limit) {
            return Ok(None);
        }
        // A limit that was raised is told of again, but for the parts that are passed by then.
        let was_seen = !parts.is_empty() && matches!(rows.note(self.window, SEEN, self.limit.amount)?, Row::Known);
        let mut is_news = false;
        for each in parts.iter().filter(|each| **each <= percent) {
            let is_new = match rows.note(self.window, *each, self.limit.amount)? {
                Row::New => true,
                Row::Raised => was_seen,
                Row::Known => false,
            };
            is_news |= is_new && *each == percent;
        }
        let notice = is_news.then(|| Notice {
            whose: self.owner.whose(&self.limit),
            percent,
            spent: self.spent,
            resets: self.ends_at.map(|at| self.owner.resets(at, rows.now)),
        });
        Ok(Some(Noted { window: self.window, part, notice }))
    }
}

/// Notes which parts of an owner's limits of sessions are reached.
pub(super) fn of_sessions(rows: &Rows<'_>, owner: &Owner, parts: &[u8]) -> rusqlite::Result<Vec<Noted>> {
    let mut noted = Vec::new();
    for limit in owner.of_sessions().filter(|limit| is_told_of(limit) && !parts.is_empty()) {
        let (count, window, ends_at) = rows.sessions(&owner.key(limit), &owner.zone)?;
        let Some(window) = window else { continue };
        let spent = i64::try_from(count).unwrap_or(i64::MAX);
        noted.extend(Spent { window, owner, limit: *limit, spent, ends_at, noted: None }.note(rows, parts)?);
    }
    Ok(noted)
}

/// What was known of a part of a window.
enum Row {
    /// Nothing.
    New,
    /// It was reached when the limit was lower.
    Raised,
    /// It was reached.
    Known,
}

impl Rows<'_> {
    /// Notes that a part of a window is reached.
    fn note(&self, window: i64, percent: u8, amount: u64) -> rusqlite::Result<Row> {
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let insert = "INSERT INTO notices (window_id, percent, amount, at_ms) VALUES (?1, ?2, ?3, ?4) \
                      ON CONFLICT (window_id, percent) DO NOTHING";
        if self.file.prepare_cached(insert)?.execute(params![window, percent, amount, self.now])? > 0 {
            return Ok(Row::New);
        }
        let raise = "UPDATE notices SET amount = ?3, at_ms = ?4 WHERE window_id = ?1 AND percent = ?2 AND amount < ?3";
        let is_raised = self.file.prepare_cached(raise)?.execute(params![window, percent, amount, self.now])? > 0;
        Ok(if is_raised { Row::Raised } else { Row::Known })
    }
}
