//! The ledger: limits of client tokens, users and groups, kept together by all gateways that share a state folder. During an
//! upgrade these are two.
//!
//! Requests take from stocks (`gateway_core::team::stock`), without a lock and without the disk. The keeper, a thread, has
//! these filled from the ledger's file, and tells it what was used. Only a request that finds nothing waits for the keeper,
//! for [`PATIENCE`] at most.

mod book;
mod common;
mod counts;
mod file;
mod held;
mod keeper;
mod notices;
mod rows;
#[cfg(test)]
mod tests;
pub(crate) mod usage;

pub(crate) use book::{Checks, Owner, Owners};
pub(crate) use counts::{Counts, Known};

use crate::unix_time::now_ms;
use book::{Book, Open, Standing};
use common::Common;
use gateway_core::team::admission::{Admission, Missing, Shortage, admit};
use gateway_core::team::budget::Budget;
use gateway_core::team::estimate::Told;
use gateway_core::team::limit::{Limit, Subject, Window};
use gateway_core::team::measure::{Amounts, Measure};
use gateway_core::team::notice::Notice;
use gateway_core::team::refusal::Refusal;
use gateway_core::team::stock::Lack;
use gateway_core::usage::pricing::NanoUsd;
use gateway_core::usage::summary::Tokens;
use keeper::{Answered, Claim, Keeper, Message, Want};
use moka::sync::Cache;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// How long a request waits for the ledger.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long it waits until it asks again, where another gateway may give something back.
const PAUSE: Duration = Duration::from_millis(20);
/// What was asked for in vain is not asked for again for so long.
const VAIN_MS: u64 = 500;
/// How long the place of a session is taken to be there without asking: a third of the time that it lasts.
const CLAIMED: Duration = Duration::from_secs(5 * 60);
/// Sessions of which that is known.
const MOST_SESSIONS: u64 = 20_000;
/// Where the share of a rate is elsewhere.
const SLOW: Duration = Duration::from_secs(1);
/// How long the keeper waits after a fault.
const PAUSE_AFTER_FAULT: Duration = Duration::from_millis(500);
/// Longest wait for the last words of the keeper.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What requests see of the ledger.
pub(crate) struct Ledger {
    common: Arc<Common>,
    to_keeper: Sender<Message>,
    /// Until the keeper takes it.
    messages: Mutex<Option<Receiver<Message>>>,
    /// Sessions that have places.
    sessions: Cache<u64, ()>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ledger")
    }
}

impl Ledger {
    /// One without limits, and without a keeper.
    pub(crate) fn new(counts: Counts) -> Self {
        let (to_keeper, messages) = channel();
        Self {
            common: Arc::new(Common::new(counts)),
            to_keeper,
            messages: Mutex::new(Some(messages)),
            sessions: Cache::builder().max_capacity(MOST_SESSIONS).time_to_live(CLAIMED).build(),
        }
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> &Counts {
        &self.common.counts
    }

    /// Has a keeper work, with the file in this folder.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(crate) fn keep(&self, folder: &Path) -> std::io::Result<()> {
        let Some(messages) = self.messages.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let (common, folder) = (Arc::clone(&self.common), folder.to_owned());
        let gateway = format!("{:016x}", fastrand::u64(..));
        let work = move || {
            let mut keeper = Keeper::new(common, folder, gateway);
            // Without a keeper all would be refused from then on.
            while !has_ended(&mut keeper, &messages) {
                log::error!("the keeper of limits failed, and goes on");
                std::thread::sleep(PAUSE_AFTER_FAULT);
                keeper.recover();
            }
        };
        std::thread::Builder::new().name("ledger".to_owned()).spawn(work).map(drop)
    }

    /// So many requests may wait for the keeper.
    pub(crate) fn bound_waiting(&self, most: u32) {
        self.common.bound_waiting(most);
    }

    /// These are the limits from here on, by the ids of tokens.
    pub(crate) fn publish(&self, limits: Vec<(Arc<str>, Owners)>) {
        self.common.set_book(Book::after(&self.common.book(), limits));
        self.tell(Message::Book);
    }

    /// Somebody wants to be told when these parts of a limit are spent, in hundredths; nobody if there are none.
    pub(crate) fn tell_at(&self, parts: &[u8]) {
        self.common.notices.tell_at(parts);
    }

    /// What is to be told since this was asked last.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.common.notices.take()
    }

    /// The process takes no new requests.
    pub(crate) fn drain(&self) {
        self.tell(Message::Drain);
    }

    /// The process ends: what it has goes back, before this returns.
    pub(crate) fn end(&self) {
        let (done, heard) = channel();
        self.tell(Message::End(done));
        let _ = heard.recv_timeout(LAST_WORDS);
    }

    /// What requests of this token are checked against; `None` if it has no limits.
    pub(crate) fn checks(&self, token: &str) -> Option<Arc<Checks>> {
        self.common.book().get(token).cloned()
    }

    fn tell(&self, message: Message) {
        // Without a keeper nobody gets anything.
        let _ = self.to_keeper.send(message);
    }

    /// The same of what a request waits for; who finds no room gets no answer.
    fn wait_for(&self, message: Message) {
        if self.common.enter() {
            self.tell(message);
        }
    }

    /// Takes what a request is likely to use of all of its limits; waits for the keeper only if there is nothing.
    ///
    /// # Errors
    /// Why the request is refused.
    pub(crate) async fn admit(
        &self,
        checks: &Arc<Checks>,
        session: Option<&str>,
        likely: &Amounts,
    ) -> Result<Admitted, Box<Refusal>> {
        let mut asked = None;
        let admitted = match self.take(checks, likely, &mut asked).await {
            Ok(admitted) => self.claim(checks, session, &mut asked).await.map(|()| admitted),
            Err(refusal) => Err(refusal),
        };
        if let Some(since) = asked {
            self.counts().waited(since);
        }
        admitted
    }

    /// `asked` is when the ledger was asked first.
    async fn take(
        &self,
        checks: &Arc<Checks>,
        likely: &Amounts,
        asked: &mut Option<Instant>,
    ) -> Result<Admitted, Box<Refusal>> {
        let (began, mut is_heard) = (Instant::now(), false);
        loop {
            let own = self.common.now();
            let (standing, lack) = match checks.subjects(millis(own)) {
                Err(standing) => (standing, None),
                Ok(subjects) => match admit(subjects, likely, own) {
                    Ok(admission) => {
                        if admission.is_low() && self.common.note_low() {
                            self.tell(Message::Low);
                        }
                        return Ok(self.admitted(admission, checks));
                    }
                    Err(shortage) => {
                        let Some(standing) = checks.of(shortage.subject) else { return Err(Box::new(Refusal::Ledger)) };
                        let Missing::Lease(lack) = shortage.missing else { return Err(refused(standing, &shortage)) };
                        if matches!(lack, Lack::Missing { .. }) && standing.is_vain(millis(own)) {
                            return Err(refused(standing, &shortage));
                        }
                        (standing, Some((shortage, lack)))
                    }
                },
            };
            asked.get_or_insert_with(Instant::now);
            let window = lack.as_ref().map(|(shortage, lack)| (shortage.window, *lack));
            let answered = self.ask(standing, likely, window, PATIENCE.saturating_sub(began.elapsed())).await;
            let is_over = began.elapsed() >= PATIENCE || answered.is_none();
            is_heard |= answered.is_some();
            let answered = answered.unwrap_or(Answered { is_away: false, is_alone: false });
            match lack {
                _ if answered.is_away => return Err(Box::new(Refusal::Ledger)),
                // What came with the answer may be enough.
                Some((shortage, Lack::Missing { .. })) if answered.is_alone || is_over => {
                    return self.last_try(checks, likely, standing, &shortage);
                }
                Some((shortage, Lack::Stale)) if is_over && is_heard => return Err(refused(standing, &shortage)),
                _ if is_over => return Err(Box::new(Refusal::Ledger)),
                _ => {}
            }
            if !answered.is_alone {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn admitted(&self, admission: Admission, checks: &Arc<Checks>) -> Admitted {
        Admitted {
            admission,
            checks: Arc::clone(checks),
            common: Arc::clone(&self.common),
            to_keeper: self.to_keeper.clone(),
        }
    }

    fn last_try(
        &self,
        checks: &Arc<Checks>,
        likely: &Amounts,
        standing: &Arc<Standing>,
        shortage: &Shortage,
    ) -> Result<Admitted, Box<Refusal>> {
        let own = self.common.now();
        let Ok(subjects) = checks.subjects(millis(own)) else { return Err(refused(standing, shortage)) };
        match admit(subjects, likely, own) {
            Ok(admission) => Ok(self.admitted(admission, checks)),
            Err(shortage) => {
                let standing = checks.of(shortage.subject).unwrap_or(standing);
                if matches!(shortage.missing, Missing::Lease(Lack::Missing { .. })) {
                    standing.was_vain(millis(own) + VAIN_MS);
                }
                Err(refused(standing, &shortage))
            }
        }
    }

    /// Has the keeper ask for what a request needs; `None` if that takes too long.
    async fn ask(
        &self,
        standing: &Arc<Standing>,
        likely: &Amounts,
        lack: Option<(i64, Lack)>,
        within: Duration,
    ) -> Option<Answered> {
        let (reply, answered) = oneshot::channel();
        self.wait_for(Message::Want(Want { standing: Arc::clone(standing), likely: *likely, lack, reply }));
        tokio::time::timeout(within, answered).await.ok()?.ok()
    }

    /// Claims a place for the session of a request wherever sessions are limited. Requests that name none are one.
    async fn claim(
        &self,
        checks: &Checks,
        session: Option<&str>,
        asked: &mut Option<Instant>,
    ) -> Result<(), Box<Refusal>> {
        let session = session.unwrap_or_default();
        let limited = checks.each().filter(|standing| standing.owner.of_sessions().next().is_some());
        let claims = limited.map(|standing| (claim_of(&standing.owner, session), Arc::clone(standing)));
        let (known, standings): (Vec<u64>, Vec<_>) =
            claims.filter(|(known, _)| !self.sessions.contains_key(known)).unzip();
        if standings.is_empty() {
            return Ok(());
        }
        asked.get_or_insert_with(Instant::now);
        let (reply, answer) = oneshot::channel();
        let owners: Vec<Arc<Owner>> = standings.iter().map(|standing| Arc::clone(&standing.owner)).collect();
        let session = format!("{:032x}", xxh3_128(session.as_bytes()));
        self.wait_for(Message::Claim(Claim { standings, session, reply }));
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(()))) => known.into_iter().for_each(|known| self.sessions.insert(known, ())),
            Ok(Ok(Err(Some((at, full))))) => {
                let Some(owner) = owners.get(at) else { return Err(Box::new(Refusal::Ledger)) };
                let resets = full.free_at.map(|at| owner.resets(at, now_ms()));
                return Err(Box::new(Refusal::Sessions { whose: owner.whose(&full.limit), resets }));
            }
            _ => return Err(Box::new(Refusal::Ledger)),
        }
        Ok(())
    }
}

/// Whether the keeper has worked until the process ends; without that it has failed.
fn has_ended(keeper: &mut Keeper, messages: &Receiver<Message>) -> bool {
    // What it was at is gone with its transaction, and what it holds is in stocks, each of which is whole at any time. Of a
    // transaction that was written, but not heard of, a lease that went back would be charged again.
    catch_unwind(AssertUnwindSafe(|| keeper.run(messages))).is_ok()
}

/// Stands for the places of a session with an owner; another list of limits is another claim.
fn claim_of(owner: &Owner, session: &str) -> u64 {
    let whose = format!("{} {} {}", owner.kind.code(), owner.id, session);
    let seed = xxh3_64_with_seed(format!("{:?}", owner.limits).as_bytes(), 0);
    xxh3_64_with_seed(whose.as_bytes(), seed)
}

impl Checks {
    /// What a request with a body of so many bytes is likely to use. `price` says what tokens cost with its model, `None` if
    /// nobody has said.
    ///
    /// # Errors
    /// When nobody has, and a limit is in dollars.
    pub(crate) fn likely(
        &self,
        model: &str,
        body_bytes: u64,
        price: impl Fn(&Tokens) -> Option<NanoUsd>,
    ) -> Result<Amounts, Box<Refusal>> {
        let Some((owner, limit)) = self.in_measure(Measure::Usd) else {
            return Ok(self.estimates.of(model, body_bytes, |_| None));
        };
        let is_priced = std::cell::Cell::new(false);
        let price = |tokens: &Tokens| price(tokens).inspect(|_| is_priced.set(true));
        let likely = self.estimates.of(model, body_bytes, price);
        match is_priced.get() {
            true => Ok(likely),
            false => Err(Box::new(self.unpriced(model, owner, limit))),
        }
    }

    /// The limit of the token or its user that is nearest to its end, as far as this gateway knows; `None` if none is spent,
    /// or none is open. What a group used tells of others.
    pub(crate) fn budget(&self) -> Option<Budget> {
        let own = self.each().filter(|standing| standing.owner.kind != Subject::Group);
        let budgets = own.filter_map(|standing| Some((&standing.owner, standing.opened()?)));
        Budget::nearest(budgets.flat_map(|(owner, open)| open.budgets(owner).collect::<Vec<_>>()))
    }

    /// Why a request is refused of which nobody learns what it uses; `None` if that is no matter.
    pub(crate) fn refuses_unread(&self) -> Option<Refusal> {
        let (owner, limit) = [Measure::Usd, Measure::Tokens].into_iter().find_map(|one| self.in_measure(one))?;
        Some(self.unpriced("", owner, limit))
    }

    fn unpriced(&self, model: &str, owner: &Owner, limit: &Limit) -> Refusal {
        Refusal::Unpriced { model: model.to_owned(), whose: owner.whose(limit) }
    }
}

/// What a request holds of its limits until it is over. One that is dropped counts nothing.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Admission,
    checks: Arc<Checks>,
    common: Arc<Common>,
    to_keeper: Sender<Message>,
}

impl Admitted {
    /// What it was taken for.
    pub(crate) fn taken(&self) -> Amounts {
        *self.admission.taken()
    }

    /// The limit that is nearest to its end, for the holder.
    pub(crate) fn budget(&self) -> Option<Budget> {
        self.checks.budget()
    }

    /// The request is over, and nothing is known to have been used.
    pub(crate) fn release(self) {
        self.common.counts.used_nothing();
    }

    /// What a request with a body of so many bytes had its upstream read, of which nothing was told.
    pub(crate) fn prompt(&self, model: &str, body_bytes: u64) -> Tokens {
        self.checks.estimates.prompt(model, body_bytes)
    }

    /// The request is over and used this; `told` is what others are judged by, if it was told all.
    pub(crate) fn settle(self, used: &Amounts, told: Option<&Told<'_>>, known: Known) {
        self.common.counts.settled(self.admission.taken(), used, known);
        if let Some(told) = told {
            self.checks.estimates.learn(told, used);
        }
        let (common, to_keeper) = (&self.common, &self.to_keeper);
        // Another gateway would spend what this request took beyond what there was here, until it hears of it. No more of these
        // wait for the keeper than requests were in flight beyond a limit.
        self.admission.settle(used, |window| {
            if common.has_others() {
                let _ = to_keeper.send(Message::Owes(window));
            }
        });
    }
}

/// Why a request is refused that lacks this of what an owner has.
fn refused(standing: &Standing, shortage: &Shortage) -> Box<Refusal> {
    let owner = &standing.owner;
    let limit = owner.limit(&shortage.limit).copied().unwrap_or(shortage.limit);
    let whose = owner.whose(&limit);
    let is_rate = rows::is_rate(&limit);
    Box::new(match shortage.missing {
        Missing::Time(wait) => Refusal::Rate { whose, wait },
        Missing::Lease(_) if is_rate => Refusal::Rate { whose, wait: SLOW },
        Missing::Lease(Lack::Stale) if limit.window != Window::Now => Refusal::Held { whose },
        Missing::Lease(_) => {
            let open = standing.opened();
            let unspent = open.as_deref().map_or(0, |open| unspent(open, shortage.window));
            let ends = open.as_deref().and_then(|open| open.ends_at(shortage.window));
            Refusal::short(whose, unspent, shortage.needed, ends.map(|at| owner.resets(at, now_ms())))
        }
    })
}

fn unspent(open: &Open, window: i64) -> i64 {
    open.holdings.stocks().iter().find(|stock| stock.window() == window).map_or(0, |stock| stock.unspent())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
