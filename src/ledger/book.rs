//! Whose limits there are: made of the team's file whenever that changes, for requests to look into.

use arc_swap::ArcSwapOption;
use gateway_core::team::admission::{Holdings, Subjects};
use gateway_core::team::budget::Budget;
use gateway_core::team::estimate::Estimates;
use gateway_core::team::limit::{Kind, Limit, Subject, Window};
use gateway_core::team::measure::Measure;
use gateway_core::team::refusal::{Resets, Whose};
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How exactly it is known when a request came last.
const TOUCHED_MS: u64 = 500;

/// A token, a user or a group that has limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    /// What it is.
    pub kind: Subject,
    /// Its id.
    pub id: Arc<str>,
    /// What people know it by: of a token USER/NAME.
    pub name: String,
    /// Where its days begin and end.
    pub zone: TimeZone,
    /// Its limits, at least one; no two of the same measure and window.
    pub limits: Vec<Limit>,
}

/// Those of a token that have limits, in the order of [`Subject::ALL`].
pub(crate) type Owners = [Option<Arc<Owner>>; 3];

impl Owner {
    /// Its limit of this measure and window, as it is now.
    pub(super) fn limit(&self, of: &Limit) -> Option<&Limit> {
        self.limits.iter().find(|limit| (limit.measure, limit.window) == (of.measure, of.window))
    }

    /// Its limits of sessions.
    pub(super) fn of_sessions(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(|limit| limit.kind() == Kind::Sessions)
    }

    /// One of its limits, for people.
    pub(super) fn whose(&self, limit: &Limit) -> Whose {
        Whose { subject: self.kind, name: self.name.clone(), limit: *limit }
    }

    /// When one of its limits begins again, seen from now; both in milliseconds since 1970.
    pub(super) fn resets(&self, at: i64, now: i64) -> Resets {
        let within = Duration::from_millis(at.saturating_sub(now).max(0).unsigned_abs());
        Resets { at, within, zone: self.zone.clone() }
    }

    /// What one of its limits is known by, whatever its amount.
    pub(super) fn key(&self, limit: &Limit) -> Key {
        Key { kind: self.kind.code(), id: Arc::clone(&self.id), measure: limit.measure.code(), window: limit.window }
    }
}

/// What a limit is known by, whatever its amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub kind: &'static str,
    pub id: Arc<str>,
    pub measure: &'static str,
    pub window: Window,
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.kind, &self.id, self.measure, self.window.code()).hash(state);
    }
}

/// What this gateway has of an owner's limits.
#[derive(Debug)]
pub(super) struct Standing {
    pub owner: Arc<Owner>,
    /// None as long as no request has used it lately.
    open: ArcSwapOption<Open>,
    /// When a request came last, in milliseconds of the ledger's own time.
    used: AtomicU64,
    /// Until when nothing more is to be had, in milliseconds of the ledger's own time.
    vain: AtomicU64,
}

/// What is held, and when its windows end.
#[derive(Debug)]
pub(super) struct Open {
    pub holdings: Arc<Holdings>,
    /// Each window and its end, in milliseconds since 1970.
    pub ends: Vec<(i64, Option<i64>)>,
}

impl Open {
    /// When a window ends; `None` if never.
    pub(super) fn ends_at(&self, window: i64) -> Option<i64> {
        self.ends.iter().find(|(id, _)| *id == window)?.1
    }

    /// What is used of an owner's limits that are spent.
    pub(super) fn budgets(&self, owner: &Owner) -> impl Iterator<Item = Budget> {
        let spent = self.holdings.stocks().iter().filter(|stock| stock.limit().kind() == Kind::Spending);
        spent.map(|stock| {
            let limit = owner.limit(stock.limit()).copied().unwrap_or(*stock.limit());
            let used = i64::try_from(limit.amount).unwrap_or(i64::MAX).saturating_sub(stock.left());
            Budget { subject: owner.kind, limit, used, resets_at: self.ends_at(stock.window()) }
        })
    }
}

impl Standing {
    fn new(owner: Arc<Owner>) -> Self {
        Self { owner, open: ArcSwapOption::empty(), used: AtomicU64::new(0), vain: AtomicU64::new(0) }
    }

    /// What requests take from; `None` before the keeper has opened it.
    pub(super) fn holdings(&self) -> Option<Arc<Holdings>> {
        self.open.load().as_ref().map(|open| Arc::clone(&open.holdings))
    }

    /// The same, with the ends of the windows.
    pub(super) fn opened(&self) -> Option<Arc<Open>> {
        self.open.load_full()
    }

    /// The keeper has opened it, or closes it.
    pub(super) fn set(&self, open: Option<Open>) {
        self.open.store(open.map(Arc::new));
    }

    /// A request comes.
    fn touch(&self, now_ms: u64) {
        // Most of the time it is read alone.
        if now_ms.saturating_sub(self.used.load(Ordering::Relaxed)) >= TOUCHED_MS {
            self.used.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When a request came last.
    pub(super) fn used_ms(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it was found a moment ago that no more is to be had.
    pub(super) fn is_vain(&self, now_ms: u64) -> bool {
        now_ms < self.vain.load(Ordering::Relaxed)
    }

    /// No more is to be had before this time.
    pub(super) fn was_vain(&self, until_ms: u64) {
        self.vain.store(until_ms, Ordering::Relaxed);
    }
}

/// What the requests of a token are checked against.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(super) standings: [Option<Arc<Standing>>; 3],
    pub(super) estimates: Arc<Estimates>,
}

impl Checks {
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Standing>> {
        self.standings.iter().flatten()
    }

    /// Those of an owner of this kind.
    pub(super) fn of(&self, subject: Subject) -> Option<&Arc<Standing>> {
        self.each().find(|standing| standing.owner.kind == subject)
    }

    /// What requests take from; an error is the one that is not open.
    pub(super) fn subjects(&self, now_ms: u64) -> Result<Subjects, &Arc<Standing>> {
        let mut subjects = Subjects::default();
        for (held, standing) in subjects.iter_mut().zip(&self.standings) {
            if let Some(standing) = standing {
                standing.touch(now_ms);
                *held = Some(standing.holdings().ok_or(standing)?);
            }
        }
        Ok(subjects)
    }

    /// The first limit in this measure, and whose it is.
    pub(super) fn in_measure(&self, measure: Measure) -> Option<(&Owner, &Limit)> {
        self.each().find_map(|standing| {
            let limit = standing.owner.limits.iter().find(|limit| limit.measure == measure);
            Some((&*standing.owner, limit?))
        })
    }
}

/// All checks, by the ids of tokens; tokens without limits are not in it.
#[derive(Debug, Default)]
pub(super) struct Book(HashMap<Arc<str>, Arc<Checks>>);

impl Book {
    /// The book with these limits. What the former one had of the same owners goes on.
    pub(super) fn after(former: &Self, limits: Vec<(Arc<str>, Owners)>) -> Self {
        let mut standings: HashMap<(&'static str, Arc<str>), Arc<Standing>> = HashMap::new();
        for standing in former.each() {
            let key = (standing.owner.kind.code(), Arc::clone(&standing.owner.id));
            standings.insert(key, Arc::clone(standing));
        }
        let mut standing = |owner: Arc<Owner>| {
            let known = standings.entry((owner.kind.code(), Arc::clone(&owner.id)));
            let known = known.or_insert_with(|| Arc::new(Standing::new(Arc::clone(&owner))));
            if known.owner != owner {
                *known = Arc::new(Standing::new(owner));
            }
            Arc::clone(known)
        };
        let checks = limits.into_iter().map(|(token, owners)| {
            let estimates = former.0.get(&token).map(|checks| Arc::clone(&checks.estimates)).unwrap_or_default();
            let standings = owners.map(|owner| owner.map(&mut standing));
            (token, Arc::new(Checks { standings, estimates }))
        });
        Self(checks.collect())
    }

    /// What the requests of this token are checked against.
    pub(super) fn get(&self, token: &str) -> Option<&Arc<Checks>> {
        self.0.get(token)
    }

    /// What this gateway has of all owners' limits; of some more than once.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Standing>> {
        self.0.values().flat_map(|checks| checks.each())
    }

    /// Whether there are no limits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
