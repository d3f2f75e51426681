//! A request's way through the limits of its token, user and group, and what it holds of them until it is over.

use super::limit::{Kind, Limit, Subject};
use super::measure::Amounts;
use super::rate::{Rate, Slow, Taken};
use super::stock::{Lack, Stock};
use std::sync::Arc;
use std::time::Duration;

/// What a gateway holds for one subject: a stock for each of its limits, but for those of sessions. A window that opens
/// makes a new list of them; requests that began before settle with the stocks that they took from.
#[derive(Debug, Default)]
pub struct Holdings {
    rate: Option<Arc<Rate>>,
    /// Places first.
    stocks: Box<[Arc<Stock>]>,
    /// How many of them are places.
    places: usize,
}

impl Holdings {
    /// These.
    pub fn new(rate: Option<Arc<Rate>>, mut stocks: Vec<Arc<Stock>>) -> Self {
        let is_spent = |stock: &Arc<Stock>| stock.limit().kind() != Kind::Places;
        stocks.sort_by_key(is_spent);
        let places = stocks.iter().position(is_spent).unwrap_or(stocks.len());
        Self { rate, stocks: stocks.into(), places }
    }

    /// The share of its rate of requests.
    pub fn rate(&self) -> Option<&Arc<Rate>> {
        self.rate.as_ref()
    }

    /// The stocks: places before what is spent.
    pub fn stocks(&self) -> &[Arc<Stock>] {
        &self.stocks
    }
}

/// What a request's token, user and group have, in the order of [`Subject::ALL`]; `None` for one without limits.
pub type Subjects = [Option<Arc<Holdings>>; 3];

/// What is missing for a request.
#[derive(Clone, Debug)]
pub struct Shortage {
    /// Whose limit it is.
    pub subject: Subject,
    /// The limit.
    pub limit: Limit,
    /// The id of its window.
    pub window: i64,
    /// What the request would have to take.
    pub needed: i64,
    /// What is missing.
    pub missing: Missing,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The lease, or so much of it: the keeper is to ask the ledger, which may have more.
    Lease(Lack),
    /// Time: the rate is used for so long.
    Time(Duration),
}

/// What a request holds of its limits. [`Admission::settle`] counts what it used; one that is dropped counts nothing, as on
/// a panic, or when a request is given up.
#[derive(Debug)]
#[must_use = "a request that is served holds this until it is over"]
pub struct Admission {
    subjects: Subjects,
    taken: Amounts,
    is_low: bool,
}

/// Takes what a request is likely to use, from each limit, or nothing from any. `now` is the gateway's own time.
///
/// # Errors
/// When there is not enough in one of them: the first, by rates, places, and what is spent.
pub fn admit(subjects: Subjects, likely: &Amounts, now: Duration) -> Result<Admission, Box<Shortage>> {
    for (subject, rate) in rates(&subjects) {
        rate.look(now).map_err(|slow| slow_by(subject, rate, slow))?;
    }
    let mut is_low = false;
    for (done, (subject, stock)) in stocks(&subjects).enumerate() {
        let needed = likely.of(stock.limit().measure);
        if let Err(lack) = stock.reserve(needed, now) {
            give_back(&subjects, likely, done);
            let (limit, window) = (*stock.limit(), stock.window());
            return Err(Box::new(Shortage { subject, limit, window, needed, missing: Missing::Lease(lack) }));
        }
        is_low |= stock.is_low();
    }
    take_rates(&subjects, now).inspect_err(|_| give_back(&subjects, likely, usize::MAX))?;
    Ok(Admission { subjects, taken: *likely, is_low })
}

impl Admission {
    /// Whether a stock is low since: the keeper should not wait for its next tick.
    pub fn is_low(&self) -> bool {
        self.is_low
    }

    /// What was taken.
    pub fn taken(&self) -> &Amounts {
        &self.taken
    }

    /// The request is over, and used this. `owes` hears of each window of which it used more than there was.
    pub fn settle(mut self, used: &Amounts, mut owes: impl FnMut(i64)) {
        let subjects = std::mem::take(&mut self.subjects);
        for (_, stock) in stocks(&subjects) {
            let measure = stock.limit().measure;
            if stock.settle(self.taken.of(measure), used.of(measure)) {
                owes(stock.window());
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        give_back(&self.subjects, &self.taken, usize::MAX);
    }
}

/// Gives back what was taken from the first stocks.
fn give_back(subjects: &Subjects, taken: &Amounts, count: usize) {
    for (_, stock) in stocks(subjects).take(count) {
        stock.settle(taken.of(stock.limit().measure), 0);
    }
}

/// Lets the request through each rate, or through none.
fn take_rates(subjects: &Subjects, now: Duration) -> Result<(), Box<Shortage>> {
    let mut taken: [Option<(&Rate, Taken)>; 3] = [None; 3];
    for (place, (subject, rate)) in taken.iter_mut().zip(rates(subjects)) {
        match rate.take(now) {
            Ok(through) => *place = Some((rate, through)),
            Err(slow) => {
                taken.iter().flatten().for_each(|(rate, through)| rate.undo(through));
                return Err(slow_by(subject, rate, slow));
            }
        }
    }
    Ok(())
}

fn slow_by(subject: Subject, rate: &Rate, slow: Slow) -> Box<Shortage> {
    let missing = match slow {
        Slow::Wait(time) => Missing::Time(time),
        Slow::Lack(lack) => Missing::Lease(lack),
    };
    Box::new(Shortage { subject, limit: *rate.limit(), window: rate.window(), needed: 1, missing })
}

fn rates(subjects: &Subjects) -> impl Iterator<Item = (Subject, &Rate)> {
    each(subjects).filter_map(|(subject, held)| Some((subject, held.rate.as_deref()?)))
}

/// All stocks, in the order in which they are taken from: places first.
fn stocks(subjects: &Subjects) -> impl Iterator<Item = (Subject, &Stock)> {
    let part = |take: fn(&Holdings) -> &[Arc<Stock>]| {
        each(subjects).flat_map(move |(subject, held)| take(held).iter().map(move |stock| (subject, &**stock)))
    };
    part(|held| &held.stocks[..held.places]).chain(part(|held| &held.stocks[held.places..]))
}

fn each(subjects: &Subjects) -> impl Iterator<Item = (Subject, &Holdings)> {
    Subject::ALL.iter().zip(subjects).filter_map(|(subject, held)| Some((*subject, held.as_deref()?)))
}
