//! The rows of the ledger, within one transaction: what a gateway reads and writes at a tick. The arithmetic is
//! `gateway_core::team::grant`'s.

use super::book::Key;
use gateway_core::team::grant::{Account, Asked, Fate, Granted, Lease, Report, charged};
use gateway_core::team::limit::{Kind, Limit, Window};
use gateway_core::team::measure::Measure;
use gateway_core::team::sessions::{self, Claim};
use gateway_core::team::window::Span;
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension as _, params};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;
/// A gateway that has told nothing for so long will not come back.
const GONE_MS: i64 = DAY_MS;
/// Windows that are over stay for so long: those of minutes and hours, and the others.
const KEPT_MS: [i64; 2] = [7 * DAY_MS, 400 * DAY_MS];

/// The ledger as one gateway sees it in a transaction.
#[derive(Clone, Copy)]
pub(super) struct Rows<'t> {
    pub file: &'t Connection,
    /// The gateway.
    pub gateway: &'t str,
    /// The time by the database's clock, in milliseconds since 1970.
    pub now: i64,
    /// Whether there is no other gateway.
    pub is_alone: bool,
}

/// A session that has no place.
#[derive(Clone, Debug)]
pub(super) struct Full {
    /// Which limit is full.
    pub limit: Limit,
    /// When another session may begin, in milliseconds since 1970; `None` if never.
    pub free_at: Option<i64>,
}

/// Says that a gateway is there.
pub(super) fn greet(file: &Connection, gateway: &str, now: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO gateways (id, version, seen_ms) VALUES (?1, ?2, ?3) \
               ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms";
    file.prepare_cached(sql)?.execute(params![gateway, env!("CARGO_PKG_VERSION"), now])?;
    Ok(())
}

/// The other gateways that are there.
pub(super) fn others(file: &Connection, gateway: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = file.prepare_cached("SELECT id FROM gateways WHERE id <> ?")?;
    select.query_map([gateway], |row| row.get(0))?.collect()
}

/// What others claim of a window of which a gateway has a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    pub window: i64,
    /// What was spent by leases that are over, and what the other leases claim.
    pub claimed: i64,
    /// What requests of others wait for.
    pub wanted: i64,
}

/// What others claim of the windows of which this gateway has leases.
pub(super) fn claims_of_others(file: &Connection, gateway: &str) -> rusqlite::Result<Vec<Claims>> {
    let sql = "SELECT own.window_id, windows.spent_closed + COALESCE(SUM(MAX(other.granted, other.spent + other.held)), 0), \
               COALESCE(SUM(other.wanted), 0) \
               FROM leases AS own JOIN windows ON windows.id = own.window_id \
               LEFT JOIN leases AS other \
               ON other.window_id = own.window_id AND other.gateway <> own.gateway AND other.charged IS NULL \
               WHERE own.gateway = ? AND own.charged IS NULL GROUP BY own.window_id";
    let mut select = file.prepare_cached(sql)?;
    let claims =
        |row: &rusqlite::Row<'_>| Ok(Claims { window: row.get(0)?, claimed: row.get(1)?, wanted: row.get(2)? });
    select.query_map([gateway], claims)?.collect()
}

/// A gateway is gone: its leases are over, and what its requests held is charged.
pub(super) fn bury(file: &Connection, gateway: &str) -> rusqlite::Result<()> {
    let sql = "SELECT leases.window_id, leases.spent, leases.held, windows.measure, windows.window \
               FROM leases JOIN windows ON windows.id = leases.window_id \
               WHERE leases.gateway = ? AND leases.charged IS NULL";
    let mut select = file.prepare_cached(sql)?;
    let rows = select.query_map([gateway], |row| {
        let lease = Lease { spent: row.get(1)?, held: row.get(2)?, ..Lease::default() };
        Ok((row.get::<_, i64>(0)?, lease, row.get::<_, String>(3)?, row.get::<_, String>(4)?))
    })?;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let (window, lease, measure, time) = row;
        let limit = Measure::of_code(&measure).zip(Window::of_code(&time));
        // What is not known, of a later version, is charged as it stands.
        let limit = limit.map(|(measure, window)| Limit { measure, window, amount: 1 });
        let cost = limit.map_or(lease.spent, |limit| charged(&limit, &lease));
        charge(file, window, cost)?;
    }
    file.prepare_cached("DELETE FROM leases WHERE gateway = ?")?.execute([gateway])?;
    file.prepare_cached("DELETE FROM gateways WHERE id = ?")?.execute([gateway])?;
    Ok(())
}

fn charge(file: &Connection, window: i64, amount: i64) -> rusqlite::Result<()> {
    if amount != 0 {
        let sql = "UPDATE windows SET spent_closed = spent_closed + ? WHERE id = ?";
        file.prepare_cached(sql)?.execute([amount, window])?;
    }
    Ok(())
}

/// Deletes what is of no more use.
pub(super) fn clean(file: &Connection, gateway: &str, now: i64) -> rusqlite::Result<()> {
    let mut select = file.prepare_cached("SELECT id FROM gateways WHERE seen_ms < ? AND id <> ?")?;
    let gone = select.query_map(params![now - GONE_MS, gateway], |row| row.get::<_, String>(0))?;
    for gateway in gone.collect::<rusqlite::Result<Vec<_>>>()? {
        bury(file, &gateway)?;
    }
    let short = [Window::Minute, Window::FiveHours].map(Window::code);
    let sql = "DELETE FROM windows WHERE ends_ms < CASE WHEN window IN (?, ?) THEN ? ELSE ? END \
               AND id NOT IN (SELECT window_id FROM leases)";
    file.execute(sql, params![short[0], short[1], now - KEPT_MS[0], now - KEPT_MS[1]])?;
    file.execute("DELETE FROM notices WHERE window_id NOT IN (SELECT id FROM windows)", [])?;
    file.execute("DELETE FROM session_places WHERE until_ms < ?", [now - DAY_MS])?;
    Ok(())
}

/// The windows of a limit that have not ended.
pub(super) fn windows(file: &Connection, key: &Key, now: i64) -> rusqlite::Result<Vec<(i64, Span, i64)>> {
    let sql = "SELECT id, opens_ms, ends_ms, spent_closed FROM windows WHERE subject_kind = ? AND subject_id = ? \
               AND measure = ? AND window = ? AND (ends_ms IS NULL OR ends_ms > ?)";
    let mut select = file.prepare_cached(sql)?;
    let values = params![key.kind, key.id, key.measure, key.window.code(), now];
    let window =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Span { opens_at: row.get(1)?, ends_at: row.get(2)? }, row.get(3)?));
    select.query_map(values, window)?.collect()
}

/// Whether the window of this number is still the same.
pub(super) fn has_window(file: &Connection, window: i64, key: &Key, span: &Span) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM windows WHERE id = ? AND subject_kind = ? AND subject_id = ? \
               AND measure = ? AND window = ? AND opens_ms = ?)";
    let values = params![window, key.kind, key.id, key.measure, key.window.code(), span.opens_at];
    file.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

impl Rows<'_> {
    /// The window of a limit that holds now: the one that is there, or one that is opened.
    pub(super) fn window(&self, key: &Key, zone: &TimeZone) -> rusqlite::Result<(i64, Span)> {
        let known = windows(self.file, key, self.now)?;
        let span = key.window.at(zone, self.now, known.iter().map(|(_, span, _)| *span));
        if let Some((id, ..)) = known.iter().find(|(_, known, _)| *known == span) {
            return Ok((*id, span));
        }
        // One that began at the same time, in another zone, goes on.
        let sql = "INSERT INTO windows (subject_kind, subject_id, measure, window, opens_ms, ends_ms) \
                   VALUES (?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (subject_kind, subject_id, measure, window, opens_ms) \
                   DO UPDATE SET ends_ms = excluded.ends_ms RETURNING id";
        let values = params![key.kind, key.id, key.measure, key.window.code(), span.opens_at, span.ends_at];
        let id = self.file.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
        Ok((id, span))
    }

    /// A tick of this gateway for one window, whose limit is this now. The inner error is what the gateway was charged when
    /// its lease was taken for lost: there is none any more.
    pub(super) fn tick(
        &self,
        window: i64,
        limit: &Limit,
        told: &Report,
        asked: &Asked,
    ) -> rusqlite::Result<Result<Granted, i64>> {
        let (others, lost) = self.leases(window, limit)?;
        if let Some(charged) = lost {
            self.delete(window)?;
            return Ok(Err(charged));
        }
        let select = "SELECT spent_closed FROM windows WHERE id = ?";
        let spent_closed: Option<i64> =
            self.file.prepare_cached(select)?.query_row([window], |row| row.get(0)).optional()?;
        let cap = i64::try_from(limit.amount).unwrap_or(i64::MAX);
        let account = Account {
            cap,
            spent_closed: spent_closed.unwrap_or_default(),
            others: &others,
            is_alone: self.is_alone && others.is_empty(),
        };
        let (row, granted) = account.tick(told, asked, self.now);
        let sql = "INSERT INTO leases (window_id, gateway, granted, spent, held, wanted, ticked_ms) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (window_id, gateway) DO UPDATE SET \
                   granted = ?3, spent = ?4, held = ?5, wanted = ?6, ticked_ms = ?7";
        let values = params![window, self.gateway, row.granted, row.spent, row.held, row.wanted, row.ticked_at];
        self.file.prepare_cached(sql)?.execute(values)?;
        Ok(Ok(granted))
    }

    /// This gateway needs its lease no longer; what the window was charged for it.
    pub(super) fn close(&self, window: i64, limit: &Limit, told: &Report) -> rusqlite::Result<i64> {
        let (_, lost) = self.leases(window, limit)?;
        self.delete(window)?;
        if let Some(charged) = lost {
            return Ok(charged);
        }
        let lease = Lease { spent: told.spent, held: told.held, ..Lease::default() };
        let cost = charged(limit, &lease);
        charge(self.file, window, cost)?;
        Ok(cost)
    }

    fn delete(&self, window: i64) -> rusqlite::Result<()> {
        let sql = "DELETE FROM leases WHERE window_id = ? AND gateway = ?";
        self.file.prepare_cached(sql)?.execute(params![window, self.gateway])?;
        Ok(())
    }

    /// The leases of all other gateways, without those that are lost; and what this gateway was charged, if its own was.
    fn leases(&self, window: i64, limit: &Limit) -> rusqlite::Result<(Vec<Lease>, Option<i64>)> {
        let sql = "SELECT gateway, granted, spent, held, wanted, ticked_ms, charged FROM leases WHERE window_id = ?";
        let mut select = self.file.prepare_cached(sql)?;
        let rows = select.query_map([window], |row| {
            let lease = Lease {
                granted: row.get(1)?,
                spent: row.get(2)?,
                held: row.get(3)?,
                wanted: row.get(4)?,
                ticked_at: row.get(5)?,
            };
            Ok((row.get::<_, String>(0)?, lease, row.get::<_, Option<i64>>(6)?))
        })?;
        let (mut others, mut lost) = (Vec::new(), None);
        for (gateway, mut lease, charged_before) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
            if gateway == self.gateway {
                lost = charged_before;
                continue;
            }
            match lease.fate(self.now) {
                _ if charged_before.is_some() => {}
                Fate::Kept => others.push(lease),
                Fate::Restamp => {
                    lease.ticked_at = self.now;
                    let sql = "UPDATE leases SET ticked_ms = ? WHERE window_id = ? AND gateway = ?";
                    self.file.prepare_cached(sql)?.execute(params![self.now, window, gateway])?;
                    others.push(lease);
                }
                Fate::Lost => {
                    let cost = charged(limit, &lease);
                    charge(self.file, window, cost)?;
                    let sql = "UPDATE leases SET granted = 0, spent = 0, held = 0, wanted = 0, charged = ? \
                               WHERE window_id = ? AND gateway = ?";
                    self.file.prepare_cached(sql)?.execute(params![cost, window, gateway])?;
                }
            }
        }
        Ok((others, lost))
    }

    /// Claims a place for a session in all limits of sessions of an owner: of each its key and the limit.
    pub(super) fn claim(
        &self,
        session: &str,
        limits: &[(Key, Limit)],
        zone: &TimeZone,
    ) -> rusqlite::Result<Result<(), Full>> {
        let Some((Key { kind, id, .. }, _)) = limits.first() else { return Ok(Ok(())) };
        let select = "SELECT until_ms FROM session_places WHERE subject_kind = ? AND subject_id = ? AND session = ?";
        let until = self.file.prepare_cached(select)?.query_row(params![kind, id, session], |row| row.get(0));
        let until: Option<i64> = until.optional()?;
        let mut used = Vec::new();
        for (key, limit) in limits {
            used.push((*limit, self.sessions(key, zone)?));
        }
        let counted = used.iter().map(|(limit, (count, ..))| (*limit, *count));
        let claim = sessions::claim(until, counted, self.now);
        if let Claim::Full { limit } = claim {
            let free_at = used.iter().find(|(other, _)| *other == limit).and_then(|(_, (.., free_at))| *free_at);
            return Ok(Err(Full { limit, free_at }));
        }
        if claim == Claim::New {
            for (_, (_, window, _)) in used {
                window.map_or(Ok(()), |window| charge(self.file, window, 1))?;
            }
        }
        let kept = i64::try_from(sessions::KEPT.as_millis()).unwrap_or(i64::MAX);
        let sql = "INSERT INTO session_places (subject_kind, subject_id, session, until_ms) VALUES (?, ?, ?, ?) \
                   ON CONFLICT (subject_kind, subject_id, session) DO UPDATE SET until_ms = excluded.until_ms";
        self.file.prepare_cached(sql)?.execute(params![kind, id, session, self.now.saturating_add(kept)])?;
        Ok(Ok(()))
    }

    /// What counts for a limit of sessions, its window if it has one, and when there will be less.
    pub(super) fn sessions(&self, key: &Key, zone: &TimeZone) -> rusqlite::Result<(u64, Option<i64>, Option<i64>)> {
        if key.window == Window::Now {
            let sql = "SELECT COUNT(*), MIN(until_ms) FROM session_places \
                       WHERE subject_kind = ? AND subject_id = ? AND until_ms > ?";
            let values = params![key.kind, key.id, self.now];
            let (count, free_at): (u64, _) =
                self.file.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
            return Ok((count, None, free_at));
        }
        let (window, span) = self.window(key, zone)?;
        let sql = "SELECT spent_closed FROM windows WHERE id = ?";
        let spent: i64 = self.file.prepare_cached(sql)?.query_row([window], |row| row.get(0))?;
        Ok((spent.max(0).unsigned_abs(), Some(window), span.ends_at))
    }
}

/// Whether the lease of such a limit is a share of a rate.
pub(super) fn is_rate(limit: &Limit) -> bool {
    limit.kind() == Kind::Rate
}
