//! The keeper: a thread of its own that asks the ledger for what requests need, and tells it what they used. All that wait are
//! answered by one transaction. It alone has the file open; requests see stocks.

mod others;
mod windows;

use super::book::{Key, Standing};
use super::common::Common;
use super::file::{self, Alive, File, FileError};
use super::held::{Held, Times, Todo, What};
use super::notices;
use super::rows::{self, Full, Rows};
use crate::unix_time::now_ms;
use gateway_core::team::grant::{Granted, Report};
use gateway_core::team::limit::{Kind, Limit};
use gateway_core::team::measure::Amounts;
use gateway_core::team::stock::Lack;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often the ledger is told what was used.
const TICK: Duration = Duration::from_secs(1);
/// How often what was written is put through to the disk, and old rows are looked for.
const PUT_THROUGH: Duration = Duration::from_secs(10);
const CLEAN: Duration = Duration::from_secs(3_600);

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A request waits.
    Want(Want),
    /// A session wants places.
    Claim(Claim),
    /// Some stock is low.
    Low,
    /// Of this window more was used than there was.
    Owes(i64),
    /// There is another book.
    Book,
    /// The process takes no new requests: what it does not need goes back.
    Drain,
    /// The process ends: all goes back.
    End(std::sync::mpsc::Sender<()>),
    /// A fault of the keeper's own.
    #[cfg(test)]
    Panic,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) struct Want {
    pub standing: Arc<Standing>,
    pub likely: Amounts,
    /// Which window lacks something, and what; `None` if nothing is open yet.
    pub lack: Option<(i64, Lack)>,
    pub reply: oneshot::Sender<Answered>,
}

/// A session that wants a place with each of these, or none with any.
#[derive(Debug)]
pub(super) struct Claim {
    pub standings: Vec<Arc<Standing>>,
    pub session: String,
    pub reply: oneshot::Sender<Claimed>,
}

/// An error: with which of them there is no place, and why; `None` if the ledger could not be asked.
pub(super) type Claimed = Result<(), Option<(usize, Full)>>;

/// What a request learns that waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The ledger could not be asked.
    pub is_away: bool,
    /// No other gateway has anything that could come here.
    pub is_alone: bool,
}

/// What was done about one window in a transaction.
enum Done {
    Ticked(i64, Report, Result<Granted, i64>),
    Closed(i64, i64),
}

pub(super) struct Keeper {
    common: Arc<Common>,
    folder: PathBuf,
    gateway: String,
    file: Option<(File, Alive)>,
    helds: HashMap<i64, Held>,
    /// The window of each limit that requests use.
    current: HashMap<Key, i64>,
    others: usize,
    /// When the ledger is looked at next for what others need, and its version when that was done last.
    look_at: Option<Instant>,
    seen_version: Option<i64>,
    is_draining: bool,
    is_away: bool,
    put_through: Duration,
    cleaned: Option<Duration>,
    was_written: bool,
}

impl Keeper {
    /// The one of this gateway.
    pub(super) fn new(common: Arc<Common>, folder: PathBuf, gateway: String) -> Self {
        Self {
            common,
            folder,
            gateway,
            file: None,
            helds: HashMap::new(),
            current: HashMap::new(),
            others: 0,
            look_at: None,
            seen_version: None,
            is_draining: false,
            is_away: false,
            put_through: Duration::ZERO,
            cleaned: None,
            was_written: false,
        }
    }

    /// Works until the process ends.
    pub(super) fn run(&mut self, messages: &Receiver<Message>) {
        let mut next = Instant::now() + TICK;
        loop {
            // Without anything to keep, nothing is to be done each second.
            let is_idle = self.helds.is_empty() && self.file.is_none() && !self.is_away;
            if is_idle {
                self.common.counts.rests();
            }
            let first = match is_idle {
                true => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => messages.recv_timeout(self.until(next)),
            };
            let (mut wants, mut claims, mut is_low) = (Vec::new(), Vec::new(), false);
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            let first_came = first.is_ok();
            self.common.counts.wakes();
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    Message::Want(want) => {
                        self.common.leave();
                        wants.push(want);
                    }
                    Message::Claim(claim) => {
                        self.common.leave();
                        claims.push(claim);
                    }
                    Message::Low => is_low = true,
                    Message::Owes(window) => self.is_due(window),
                    Message::Book => self.read_book(),
                    Message::Drain => self.is_draining = true,
                    Message::End(done) => {
                        self.end();
                        let _ = done.send(());
                        return;
                    }
                    #[cfg(test)]
                    Message::Panic => panic!("as a test wants it"),
                }
            }
            // Who has given up needs nothing any more.
            wants.retain(|want: &Want| !want.reply.is_closed());
            claims.retain(|claim: &Claim| !claim.reply.is_closed());
            self.common.low_is_heard();
            let is_regular = next <= Instant::now() || self.is_draining && first_came;
            if next <= Instant::now() {
                next = Instant::now() + TICK;
            }
            self.look_at_others();
            self.pass(wants, claims, is_regular || is_low);
            if is_regular {
                self.tidy();
            }
        }
    }

    fn times(&self) -> Times {
        Times { own: self.common.now(), database: now_ms() }
    }

    /// There are other limits, perhaps. Windows that are open learn of another amount with the next request for them.
    fn read_book(&mut self) {
        // A gateway that starts is to know what the one before it left, before requests come.
        if self.file.is_none() && !self.common.book().is_empty() {
            self.with_file(|_| Ok(())).unwrap_or_else(|error| self.fails(&error));
        }
    }

    /// One round: what requests wait for, and, if it `is_regular`, all that has changed.
    fn pass(&mut self, wants: Vec<Want>, claims: Vec<Claim>, is_regular: bool) {
        if !is_regular && wants.is_empty() && claims.is_empty() && !self.helds.values().any(|held| held.is_due) {
            return;
        }
        let round = self.round(&wants, &claims, is_regular);
        if round.is_ok() {
            self.common.counts.heard();
        }
        let claimed = round.unwrap_or_else(|error| {
            self.fails(&error);
            let now = self.times();
            self.helds.values().for_each(|held| held.extend(now));
            claims.iter().map(|_| Err(None)).collect()
        });
        let answered = Answered { is_away: self.is_away, is_alone: self.others == 0 };
        // Whoever is gone does not hear it.
        for want in wants {
            let _ = want.reply.send(answered);
        }
        for (claim, answer) in claims.into_iter().zip(claimed) {
            let _ = claim.reply.send(answer);
        }
    }

    fn fails(&mut self, error: &FileError) {
        self.common.counts.ticked(false);
        if !self.is_away {
            log::error!(
                "{}: {error}; what this gateway holds of limits is used, and nobody else gets anything",
                file::path(&self.folder).display()
            );
        }
        self.is_away = true;
    }

    fn round(&mut self, wants: &[Want], claims: &[Claim], is_regular: bool) -> Result<Vec<Claimed>, FileError> {
        if is_regular && self.file.is_some() {
            self.look_for_others()?;
        } else if is_regular && self.is_away {
            self.with_file(|_| Ok(()))?;
            self.is_away = false;
        }
        let now = self.times();
        let is_alone = self.others == 0;
        let mut standings: Vec<&Arc<Standing>> = wants.iter().map(|want| &want.standing).collect();
        standings.sort_by_key(|standing| Arc::as_ptr(standing));
        standings.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let opens: Vec<Arc<Standing>> = standings.into_iter().cloned().collect();
        for want in wants {
            self.note(want, now);
        }
        let mut todo = self.plan(is_regular, now);
        if todo.is_empty() && opens.is_empty() && claims.is_empty() {
            return Ok(Vec::new());
        }
        let gateway = self.gateway.clone();
        let limits: HashMap<i64, Limit> =
            todo.iter().filter_map(|(id, _)| Some((*id, self.helds.get(id)?.limit))).collect();
        let (mut new, is_draining) = (HashMap::new(), self.is_draining);
        // A process that takes over, or comes next, tells what this one might not get told any more.
        let parts = if is_draining { Arc::default() } else { self.common.notices.parts() };
        let mut noted = Vec::new();
        let (helds, known) = (&self.helds, &self.current);
        let kept = with(&mut self.file, &self.folder, &gateway, |file| {
            let transaction = file.transaction()?;
            rows::greet(&transaction, &gateway, now.database)?;
            let rows = Rows { file: &transaction, gateway: &gateway, now: now.database, is_alone };
            for standing in &opens {
                open_windows(&rows, standing, (helds, known), &mut new, now)?;
            }
            for held in new.values_mut() {
                let (standing, limit) = (Arc::clone(&held.standing), held.limit);
                let own = wants.iter().filter(|want| Arc::ptr_eq(&want.standing, &standing));
                own.for_each(|want| held.wait(needs(&want.likely, &limit)));
                todo.push((held.window, held.plan(now, is_draining, true)));
            }
            let limit =
                |window: &i64| new.get(window).map(|held: &Held| held.limit).or_else(|| limits.get(window).copied());
            let mut done = Vec::new();
            for (window, todo) in &todo {
                if let Some(limit) = limit(window) {
                    done.extend(written(&rows, *window, &limit, todo)?);
                }
            }
            for one in &done {
                if let Done::Ticked(window, _, Ok(granted)) = one
                    && let Some(held) = new.get(window).or_else(|| helds.get(window))
                {
                    noted.extend(held.spent(granted).note(&rows, &parts)?);
                }
            }
            // Before and after: of a limit that was raised it is told what is reached from here on.
            for standing in claims.iter().flat_map(|claim| &claim.standings) {
                noted.extend(notices::of_sessions(&rows, &standing.owner, &parts)?);
            }
            let claimed = claims.iter().map(|claim| claimed(&rows, claim)).collect::<Result<Vec<_>, _>>()?;
            for (claim, _) in claims.iter().zip(&claimed).filter(|(_, claimed)| claimed.is_ok()) {
                for standing in &claim.standings {
                    noted.extend(notices::of_sessions(&rows, &standing.owner, &parts)?);
                }
            }
            transaction.commit()?;
            Ok((done, claimed))
        });
        for held in new.into_values() {
            if kept.is_ok() {
                self.current.insert(held.key.clone(), held.window);
            }
            if kept.is_ok() || held.has_lease {
                self.helds.insert(held.window, held);
            }
        }
        // What the ledger was to hear, it hears the next time.
        let (done, claimed) = kept.inspect_err(|_| self.helds.values_mut().for_each(|held| held.is_due = true))?;
        self.common.counts.ticked(true);
        self.was_written = true;
        self.is_away = false;
        self.hear(done, now);
        self.tell(noted);
        opens.iter().for_each(|standing| self.open(standing));
        Ok(claimed)
    }

    /// Goes on after a fault: the ledger hears anew of all that is held.
    pub(super) fn recover(&mut self) {
        self.helds.values_mut().for_each(|held| held.is_due = true);
    }

    /// Forgets what nobody uses, and looks after the file.
    fn tidy(&mut self) {
        let now = self.times();
        let (helds, current) = (&mut self.helds, &mut self.current);
        helds.retain(|id, held| {
            let stays = held.has_lease || held.is_due || held.is_in_use();
            if !stays && current.get(&held.key) == Some(id) {
                current.remove(&held.key);
            }
            stays
        });
        let Some((file, _)) = &mut self.file else { return };
        if self.was_written && now.own.saturating_sub(self.put_through) >= PUT_THROUGH {
            (self.was_written, self.put_through) = (false, now.own);
            if let Err(error) = file.put_through() {
                log::warn!("{}: {error}", file::path(&self.folder).display());
            }
        }
        if self.cleaned.is_none_or(|cleaned| now.own.saturating_sub(cleaned) >= CLEAN) {
            self.cleaned = Some(now.own);
            let cleaned = file.transaction().and_then(|transaction| {
                rows::clean(&transaction, &self.gateway, now.database)?;
                transaction.commit()
            });
            let others = cleaned.and_then(|()| rows::others(file.connection(), &self.gateway));
            match others {
                Ok(others) => file::sweep(&self.folder, &others),
                Err(error) => log::warn!("{}: {error}", file::path(&self.folder).display()),
            }
        }
    }

    /// All goes back; what requests still hold is charged.
    fn end(&mut self) {
        let Some((mut file, alive)) = self.file.take() else { return };
        let mut ended = || -> Result<(), FileError> {
            let transaction = file.transaction()?;
            let rows = Rows { file: &transaction, gateway: &self.gateway, now: now_ms(), is_alone: false };
            for held in self.helds.values() {
                if let What::Stock(stock) = &held.what {
                    rows.close(held.window, &held.limit, &stock.report())?;
                }
            }
            rows::bury(&transaction, &self.gateway)?;
            Ok(transaction.commit()?)
        };
        match ended() {
            Ok(()) => drop(alive),
            Err(error) => log::warn!("{}: {error}", file::path(&self.folder).display()),
        }
    }

    fn with_file<T>(&mut self, act: impl FnOnce(&mut File) -> Result<T, FileError>) -> Result<T, FileError> {
        let gateway = self.gateway.clone();
        let done = with(&mut self.file, &self.folder, &gateway, act)?;
        self.look_for_others()?;
        Ok(done)
    }
}

/// Does something with the file, which is opened if need be.
fn with<T>(
    open: &mut Option<(File, Alive)>,
    folder: &std::path::Path,
    gateway: &str,
    act: impl FnOnce(&mut File) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let (file, _) = match open {
        Some(open) => open,
        None => {
            // Nobody may read of a gateway that seems to be gone.
            let alive = Alive::mark(folder, gateway)?;
            let file = File::open(folder)?;
            // Who serves until now is to know of this one before it hands over.
            rows::greet(file.connection(), gateway, now_ms())?;
            open.insert((file, alive))
        }
    };
    act(file)
}

/// Opens those windows of an owner's limits that are not open.
fn open_windows(
    rows: &Rows<'_>,
    standing: &Arc<Standing>,
    (helds, known): (&HashMap<i64, Held>, &HashMap<Key, i64>),
    new: &mut HashMap<i64, Held>,
    now: Times,
) -> rusqlite::Result<()> {
    for limit in standing.owner.limits.iter().filter(|limit| limit.kind() != Kind::Sessions) {
        let key = standing.owner.key(limit);
        if known.get(&key).and_then(|id| helds.get(id)).is_some_and(|held| held.is_current(now)) {
            continue;
        }
        let (window, span) = rows.window(&key, &standing.owner.zone)?;
        if new.contains_key(&window) {
            continue;
        }
        // What is known of it stays there as well: a fault must not lose it.
        let known = helds.get(&window).cloned();
        let mut held = known.unwrap_or_else(|| Held::new(key, window, span, *limit, standing));
        held.limit = *limit;
        held.standing = Arc::clone(standing);
        new.insert(window, held);
    }
    Ok(())
}

/// Does what is to be done about a window whose limit is this now.
fn written(rows: &Rows<'_>, window: i64, limit: &Limit, todo: &Todo) -> rusqlite::Result<Option<Done>> {
    Ok(match todo {
        Todo::Nothing => None,
        Todo::Tick(told, asked) => Some(Done::Ticked(window, *told, rows.tick(window, limit, told, asked)?)),
        Todo::Close(told) => Some(Done::Closed(window, rows.close(window, limit, told)?)),
    })
}

/// Places with all, or with none.
fn claimed(rows: &Rows<'_>, claim: &Claim) -> rusqlite::Result<Claimed> {
    rows.file.execute_batch("SAVEPOINT claim")?;
    for (at, standing) in claim.standings.iter().enumerate() {
        let owner = &standing.owner;
        let limits: Vec<(Key, Limit)> = owner.of_sessions().map(|limit| (owner.key(limit), *limit)).collect();
        if let Err(full) = rows.claim(&claim.session, &limits, &owner.zone)? {
            rows.file.execute_batch("ROLLBACK TO claim; RELEASE claim")?;
            return Ok(Err(Some((at, full))));
        }
    }
    rows.file.execute_batch("RELEASE claim")?;
    Ok(Ok(()))
}

/// What a request needs of a limit.
fn needs(likely: &Amounts, limit: &Limit) -> i64 {
    if rows::is_rate(limit) { 1 } else { likely.of(limit.measure) }
}
