//! What the ledger does with its rows: who gets how much of a window, what comes back, and what becomes of a lease whose gateway
//! is gone. All of it is arithmetic on rows that a transaction has read and will write.
//!
//! Of a window the ledger keeps what was spent by leases that are over (`spent_closed`), and a row for each lease: so much was
//! granted, so much of that is spent, so much held by requests that are being served. A gateway writes its own row, always
//! with absolute numbers: a tick that is sent twice does no harm. What nobody has claimed is room.
//!
//! Places (requests at one time) are the same, with nothing ever spent; so are shares of a rate, where what is held is what the
//! gateway lets through.

use super::limit::{Kind, Limit};
use std::time::Duration;

/// How long a gateway may use a lease, by its own clock, from sending the tick on that brought it.
pub const USED_FOR: Duration = Duration::from_secs(20);
/// How long after its last tick a lease is its gateway's, by the database's clock.
const KEPT_MS: i64 = 30_000;
/// A tick that lies so far ahead is from before the clock was set back.
const AHEAD_MS: i64 = 1_000;
/// What is left of a window is handed out as a whole once it is no more than this part of all.
const CRUMB: i64 = 100;

/// A row of `leases`: what one gateway has of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// What it was given, with what was spent of that.
    pub granted: i64,
    /// What was spent. Below zero if it was charged more when the lease was taken for lost (see [`charged`]).
    pub spent: i64,
    /// What requests hold that are being served.
    pub held: i64,
    /// What a request there waits for in vain: others are asked to give it back.
    pub wanted: i64,
    /// When its gateway told this, by the database's clock, in milliseconds since 1970.
    pub ticked_at: i64,
}

impl Lease {
    /// What nobody else may have: all that was granted; more, if requests took more than they were taken for.
    fn claim(&self) -> i64 {
        self.granted.max(self.spent.saturating_add(self.held))
    }

    /// Whether it is still its gateway's.
    pub fn fate(&self, now: i64) -> Fate {
        match now.saturating_sub(self.ticked_at) {
            age if age > KEPT_MS => Fate::Lost,
            age if age < -AHEAD_MS => Fate::Restamp,
            _ => Fate::Kept,
        }
    }
}

/// What becomes of another gateway's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Kept,
    /// The database's clock was set back since: its time begins anew (`ticked_at` is now).
    Restamp,
    /// Its gateway is gone: the row is deleted, and [`charged`] goes to `spent_closed`.
    Lost,
}

/// What a lease costs its window whose row is deleted: what it spent, and, if its gateway is gone, what its requests held, which
/// nobody will settle. A gateway that is back nonetheless goes on from there (`Stock::begin_anew`), so that nothing counts twice.
/// Requests at one time end with their gateway.
pub fn charged(limit: &Limit, lease: &Lease) -> i64 {
    match limit.kind() {
        Kind::Rate | Kind::Places | Kind::Sessions => 0,
        Kind::Spending => lease.spent.saturating_add(lease.held),
    }
}

/// What a gateway tells of a stock at a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it was given.
    pub granted: i64,
    /// What is spent of that.
    pub spent: i64,
    /// What requests hold.
    pub held: i64,
    /// What is left for requests; below zero, what they took beyond it.
    pub free: i64,
}

/// What it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What it would like to have beside what is free.
    pub more: i64,
    /// How much of that a request waits for; if there are several, the one that needs least.
    pub waiting: i64,
}

/// What the ledger says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// All that the gateway has now, with what it spent of that; an absolute number.
    pub granted: i64,
    /// What is to be given back at once, as far as it is free, because requests elsewhere wait for it.
    pub recalled: i64,
    /// What is to be given back at once, whether it is free or not, because requests elsewhere took more than there was, or
    /// the limit was lowered. What is not free is paid for by what comes back from requests.
    pub owed: i64,
    /// What nobody has spent, wherever it is; below zero, how far the limit is passed.
    pub unspent: i64,
    /// Whether there is more to be had.
    pub has_more: bool,
}

/// A window as its ledger has it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'l> {
    /// The limit's amount, as it is now: what was spent is no matter of changing it.
    pub cap: i64,
    /// What was spent by leases that are over.
    pub spent_closed: i64,
    /// The leases of all other gateways.
    pub others: &'l [Lease],
    /// Whether there is no other gateway, which could ever want something.
    pub is_alone: bool,
}

impl Account<'_> {
    /// What a gateway gets, and its row as it is to be written.
    pub fn tick(&self, told: &Report, asked: &Asked, now: i64) -> (Lease, Granted) {
        let sum = |part: fn(&Lease) -> i64| self.others.iter().map(part).fold(0_i64, i64::saturating_add);
        let wanted_elsewhere = sum(|lease| lease.wanted);
        let left = self.cap.saturating_sub(self.spent_closed);
        let unclaimed = left.saturating_sub(sum(Lease::claim)).saturating_sub(told.granted);
        // What requests took beyond the lease is covered as far as there is room. The rest stays a debt: what comes back from
        // other requests pays for that, and is not there for new ones.
        let debt = told.free.min(0).saturating_neg();
        let room = unclaimed.saturating_sub(debt);
        let added = self.share(room, wanted_elsewhere, asked);
        let owed = unclaimed.min(0).saturating_neg().min(told.free.max(0).saturating_add(told.held));
        let free = told.free.max(0).saturating_add(added).saturating_sub(owed).max(0);
        let row = Lease {
            granted: told.granted.saturating_add(unclaimed.clamp(0, debt)).saturating_add(added),
            spent: told.spent,
            held: told.held,
            wanted: asked.waiting.saturating_sub(added).max(0),
            ticked_at: now,
        };
        let granted = Granted {
            granted: row.granted,
            recalled: self.recalled(free, wanted_elsewhere.saturating_sub(room.saturating_sub(added).max(0))),
            owed,
            unspent: left.saturating_sub(sum(|lease| lease.spent)).saturating_sub(told.spent),
            has_more: room > added,
        };
        (row, granted)
    }

    /// What is added to a lease. Who is alone gets all there is. Else a request that waits gets all it needs, or nothing: a
    /// part would be of no use to it, and be missing elsewhere. Of what nobody waits for it is half, so that something is there
    /// for the next one who asks.
    fn share(&self, room: i64, wanted_elsewhere: i64, asked: &Asked) -> i64 {
        if self.is_alone {
            return room.max(0);
        }
        let spare = room.saturating_sub(wanted_elsewhere);
        let most = match spare / 2 {
            half if half < self.crumb() => spare,
            half => half,
        };
        match asked.waiting.max(0) {
            waiting if waiting > room => 0,
            waiting => asked.more.min(most).max(waiting),
        }
        .max(0)
    }

    /// What comes back of what is free, where so much is missing: half, so that it is not asked for again in a moment.
    fn recalled(&self, free: i64, missing: i64) -> i64 {
        match free / 2 {
            _ if missing <= 0 => 0,
            half if half < self.crumb() => free,
            half => half.max(missing).min(free),
        }
    }

    fn crumb(&self) -> i64 {
        (self.cap / CRUMB).max(1)
    }
}
