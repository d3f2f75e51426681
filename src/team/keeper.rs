//! Keeps the file of the team, and has requests see what it says: at once after a change here, within a second after one by
//! another process, which during an upgrade shares the file.

use super::actions;
use super::asked::{self, Asked, Failure, Terms};
use super::in_dollars::{self, InDollars};
use super::limits;
use super::read;
use super::store::{FileError, Store};
use super::valid::Upstreams;
use super::wish::{Actor, Denial, Noted, Obstacle, Told, Wish};
use crate::ledger::Owners;
use crate::unix_time::now_ms;
use arc_swap::ArcSwap;
use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::team::roster::Roster;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Its name in the state folder.
const FILE: &str = "team.db";
/// How often the days are noted on which tokens were used, in milliseconds.
const NOTES_USE: i64 = 60_000;

/// What requests see of the file.
pub(crate) struct Seen {
    /// The client tokens.
    pub roster: Roster,
    /// What they may use, by their ids.
    pub limits: Vec<(Arc<str>, Owners)>,
}

/// Where requests see it.
pub(crate) type Publish = Box<dyn Fn(Seen) + Send + Sync>;

/// Keeps the file of the team.
pub(crate) struct Keeper {
    path: PathBuf,
    publish: Publish,
    open: Mutex<Open>,
    terms: ArcSwap<Terms>,
}

#[derive(Default)]
struct Open {
    /// None before there is a file.
    store: Option<Store>,
    /// The version of the file that requests see.
    seen: Option<i64>,
    /// When the days of use were noted last.
    noted_ms: i64,
    /// Whether the last look failed: the log says it once.
    has_failed: bool,
}

/// The client tokens in this state folder, for a look; none if this user cannot read them.
pub(crate) fn roster(state_dir: &Path) -> Roster {
    let opened = Store::look(&state_dir.join(FILE));
    opened.and_then(|mut store| Ok(read::roster(&*store.transaction(false)?)?)).unwrap_or_default()
}

impl Keeper {
    /// The keeper of the file in this state folder. It is opened now if it is there, and made when there is something to
    /// write.
    ///
    /// # Errors
    /// When it is there, and cannot be read: to serve without it would let in whom it keeps out, or nobody.
    pub(crate) fn open(state_dir: &Path, terms: Terms, publish: Publish) -> Result<Self, Words> {
        let terms = ArcSwap::from_pointee(terms);
        let keeper = Self { path: state_dir.join(FILE), publish, open: Mutex::default(), terms };
        if keeper.path.exists() {
            keeper.load(&mut keeper.lock()).map_err(|error| keeper.unusable(&error))?;
        }
        Ok(keeper)
    }

    /// Fulfills somebody's wish.
    ///
    /// # Errors
    /// Why it is not fulfilled.
    pub(crate) fn act(&self, wish: &Wish, actor: &Actor, upstreams: &Upstreams) -> Result<Told, Denial> {
        let mut open = self.lock();
        if !wish.changes() && open.store.is_none() && !self.path.exists() {
            return Ok(nothing(wish));
        }
        let unusable = |error: &FileError| Denial { kind: Obstacle::File, words: self.unusable(error) };
        self.put_in_place(&mut open).map_err(|error| unusable(&error))?;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let terms = &self.terms.load_full();
        let asked = Asked { actor, now_ms: now_ms(), upstreams, folder, terms };
        let told = match wish {
            // It reads the ledger too, which may be busy: nobody waits for that.
            Wish::Usage { .. } | Wish::UsageOfToken { .. } => {
                drop(open);
                let mut store = Store::look(&self.path).map_err(|error| unusable(&error))?;
                store.transaction(false).map_err(Failure::File).and_then(|file| actions::act(&file, wish, asked))
            }
            _ => self.act_on(&mut open, wish, asked),
        };
        told.map_err(|failure| match failure {
            Failure::Refused(kind, words) => Denial { kind, words },
            Failure::File(error) => unusable(&error.into()),
        })
    }

    /// All limits in dollars, from the file: nobody waits for that.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn in_dollars(&self) -> Result<Vec<InDollars>, FileError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let mut store = Store::look(&self.path)?;
        Ok(in_dollars::all(&*store.transaction(false)?, &self.terms.load_full())?)
    }

    fn act_on(&self, open: &mut Open, wish: &Wish, asked: Asked<'_>) -> Result<Told, Failure> {
        let Some(store) = open.store.as_mut() else { return Ok(nothing(wish)) };
        let transaction = store.transaction(wish.changes())?;
        let told = actions::act(&transaction, wish, asked)?;
        let seen = wish.changes().then(|| seen(&transaction, asked.terms)).transpose()?;
        transaction.commit()?;
        if let Some(seen) = seen {
            (self.publish)(seen);
        }
        Ok(told)
    }

    /// Notes a change of something else than the team in the audit. Where that fails, the change stays.
    pub(crate) fn note(&self, actor: &Actor, noted: &Noted) {
        if let Err(error) = self.noted(actor, noted) {
            log::warn!("the audit has no row of {} {}: {}", noted.action, noted.target, self.unusable(&error));
        }
    }

    fn noted(&self, actor: &Actor, noted: &Noted) -> Result<(), FileError> {
        let mut open = self.lock();
        self.put_in_place(&mut open)?;
        let Some(store) = open.store.as_mut() else { return Ok(()) };
        let transaction = store.transaction(true)?;
        let upstreams = Upstreams::default();
        let (terms, folder) = (&self.terms.load_full(), Path::new(""));
        let asked = Asked { actor, now_ms: now_ms(), upstreams: &upstreams, folder, terms };
        asked::note(&transaction, asked, noted.action, &noted.target, noted.before.as_ref(), noted.after.as_ref())?;
        Ok(transaction.commit()?)
    }

    /// Looks what another process has changed, and brings the file back if somebody deleted it; `used` says on which days
    /// tokens were used since it was asked last, as a time within that day. Called each second.
    pub(crate) fn refresh(&self, terms: Terms, used: &dyn Fn() -> Vec<(String, i64)>) {
        let mut open = self.lock();
        if terms != **self.terms.load() {
            self.terms.store(Arc::new(terms));
            open.seen = None;
        }
        match self.look(&mut open, used) {
            Ok(()) => open.has_failed = false,
            Err(error) if !open.has_failed => {
                open.has_failed = true;
                log::error!("{}; requests see the tokens as they were", self.unusable(&error));
            }
            Err(_) => {}
        }
    }

    fn look(&self, open: &mut Open, used: &dyn Fn() -> Vec<(String, i64)>) -> Result<(), FileError> {
        if open.store.is_none() && !self.path.exists() {
            return Ok(());
        }
        self.put_in_place(open)?;
        let now = now_ms();
        if let Some(store) = open.store.as_mut().filter(|_| now - open.noted_ms >= NOTES_USE) {
            open.noted_ms = now;
            let used = used();
            if !used.is_empty() {
                let transaction = store.transaction(true)?;
                actions::note_use(&transaction, &used)?;
                transaction.commit()?;
            }
        }
        match &open.store {
            Some(store) if open.seen != Some(store.version()?) => self.load(open),
            _ => Ok(()),
        }
    }

    /// Has the file open that is at the path.
    fn put_in_place(&self, open: &mut Open) -> Result<(), FileError> {
        match &open.store {
            Some(store) if store.is_at(&self.path) => return Ok(()),
            Some(store) if !self.path.exists() => {
                store.bring_back(&self.path)?;
                log::warn!("{} was deleted: it is there again", self.path.display());
            }
            _ => {}
        }
        self.load(open)
    }

    /// Opens the file if it is not the one that is open, and has requests see what it says.
    fn load(&self, open: &mut Open) -> Result<(), FileError> {
        if !open.store.as_ref().is_some_and(|store| store.is_at(&self.path)) {
            open.store = Some(Store::open(&self.path)?);
        }
        let Some(store) = open.store.as_mut() else { return Ok(()) };
        let version = store.version()?;
        let transaction = store.transaction(false)?;
        let seen = seen(&transaction, &self.terms.load())?;
        drop(transaction);
        open.seen = Some(version);
        (self.publish)(seen);
        Ok(())
    }

    fn unusable(&self, error: &FileError) -> Words {
        both!("{path} cannot be used: {error}", "无法使用 {path}：{error}", path = self.path.display())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(file: &Connection, terms: &Terms) -> rusqlite::Result<Seen> {
    Ok(Seen { roster: read::roster(file)?, limits: limits::for_requests(file, terms)? })
}

/// What is told where there is no file yet.
fn nothing(wish: &Wish) -> Told {
    match wish {
        Wish::ListGroups => Told::Groups(Vec::new()),
        Wish::ListUsers => Told::Users(Vec::new()),
        Wish::ListLimits { .. } => Told::Limits(Vec::new()),
        Wish::Usage { .. } | Wish::UsageOfToken { .. } => Told::Usage(Vec::new()),
        Wish::ReadAudit { .. } => Told::Audit(Vec::new()),
        _ => Told::Tokens(Vec::new()),
    }
}
