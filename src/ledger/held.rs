//! What the keeper knows of one window: the stock, or the share of a rate, that requests take from, and what the ledger was
//! told of it last.

use super::book::{Key, Standing};
use super::notices::Spent;
use super::rows::is_rate;
use gateway_core::team::demand::{Demand, Plan};
use gateway_core::team::grant::{Asked, Granted, Report, USED_FOR};
use gateway_core::team::limit::Limit;
use gateway_core::team::rate::{Rate, burst};
use gateway_core::team::stock::Stock;
use gateway_core::team::window::Span;
use std::sync::Arc;
use std::time::Duration;

/// What nobody uses for so long goes back.
const IDLE: Duration = Duration::from_secs(10);
/// The ledger hears of a lease that stays as it is once in so long.
const RENEWED: Duration = Duration::from_secs(5);
/// The pace of a rate is a mean, in which the last tick counts for one in so many.
const SMOOTH: i64 = 4;

/// One window.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub key: Key,
    pub window: i64,
    pub span: Span,
    /// The limit as it is now.
    pub limit: Limit,
    pub what: What,
    /// Whose it is: requests no longer find it there once the lease is over.
    pub standing: Arc<Standing>,
    /// What the request that needs least waits for; 0 if none waits.
    waiting: i64,
    /// What all of them wait for.
    wished: i64,
    /// Whether the ledger is to be asked whatever there is.
    pub is_due: bool,
    pub has_lease: bool,
    demand: Demand,
    told: Report,
    ticked: Duration,
    /// Requests a minute, of a rate.
    pace: i64,
    /// The part of it that was reached when that was looked at last, to be told, and what the limit was then.
    pub noted: Option<(u8, u64)>,
}

/// What requests take from.
#[derive(Clone, Debug)]
pub(super) enum What {
    Stock(Arc<Stock>),
    Rate(Arc<Rate>),
}

/// What is done about a window at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    Nothing,
    Tick(Report, Asked),
    Close(Report),
}

/// The time at a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// By the gateway's own clock, since it began.
    pub own: Duration,
    /// By the database's clock, in milliseconds since 1970.
    pub database: i64,
}

impl Held {
    pub(super) fn new(key: Key, window: i64, span: Span, limit: Limit, standing: &Arc<Standing>) -> Self {
        let what = match is_rate(&limit) {
            true => What::Rate(Arc::new(Rate::new(limit, window))),
            false => What::Stock(Arc::new(Stock::new(limit, window))),
        };
        Self {
            key,
            window,
            span,
            limit,
            what,
            standing: Arc::clone(standing),
            waiting: 0,
            wished: 0,
            is_due: true,
            has_lease: false,
            demand: Demand::default(),
            told: Report::default(),
            ticked: Duration::ZERO,
            pace: 0,
            noted: None,
        }
    }

    /// A request waits for this.
    pub(super) fn wait(&mut self, amount: i64) {
        let amount = amount.max(1);
        self.waiting = if self.waiting > 0 { self.waiting.min(amount) } else { amount };
        self.wished = self.wished.saturating_add(amount);
    }

    /// What all gateways together spent of it, as the ledger says.
    pub(super) fn spent(&self, granted: &Granted) -> Spent<'_> {
        let amount = i64::try_from(self.limit.amount).unwrap_or(i64::MAX);
        Spent {
            window: self.window,
            owner: &self.standing.owner,
            limit: self.limit,
            spent: amount.saturating_sub(granted.unspent),
            ends_at: self.span.ends_at,
            noted: self.noted,
        }
    }

    /// Whether requests wait for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting > 0
    }

    /// Whether it still holds now.
    pub(super) fn is_current(&self, now: Times) -> bool {
        // Five hours may begin a little later than now: the clock was set back.
        self.span.ends_at.is_none_or(|end| now.database < end)
    }

    /// Whether a request may still find it, and settle with it.
    pub(super) fn is_in_use(&self) -> bool {
        match &self.what {
            What::Stock(stock) => Arc::strong_count(stock) > 1 || stock.report().spent != 0,
            What::Rate(rate) => Arc::strong_count(rate) > 1,
        }
    }

    /// What to do about it now. `does_tell` if other gateways may have asked for something since.
    pub(super) fn plan(&mut self, now: Times, is_draining: bool, does_tell: bool) -> Todo {
        let (waiting, wished) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.wished));
        let is_due = std::mem::take(&mut self.is_due);
        let is_idle = waiting == 0 && now.own.saturating_sub(Duration::from_millis(self.standing.used_ms())) >= IDLE;
        let goes_back = waiting == 0 && (is_draining || !self.is_current(now));
        let tells = does_tell || is_due || now.own.saturating_sub(self.ticked) >= RENEWED;
        let todo = match self.what.clone() {
            What::Stock(stock) => self.plan_stock(&stock, waiting, (is_idle, goes_back, tells), now),
            What::Rate(rate) => self.plan_rate(&rate, waiting, (is_idle, goes_back, tells), now),
        };
        match todo {
            Todo::Tick(told, asked) => Todo::Tick(told, Asked { more: asked.more.max(wished), ..asked }),
            todo => todo,
        }
    }

    fn plan_stock(
        &mut self,
        stock: &Stock,
        waiting: i64,
        (is_idle, goes_back, tells): (bool, bool, bool),
        now: Times,
    ) -> Todo {
        let report = stock.report();
        let asked = match self.demand.tick(&report, waiting, now.own) {
            Plan::Close if is_idle && waiting == 0 => None,
            _ if goes_back => None,
            Plan::Close => Some(Asked { more: waiting, waiting }),
            Plan::Ask(asked) => Some(asked),
        };
        match asked {
            Some(asked) if tells || asked.waiting > 0 || report != self.told => Todo::Tick(report, asked),
            Some(_) => Todo::Nothing,
            None if !self.has_lease && report.spent == 0 => Todo::Nothing,
            None => {
                stock.withdraw(i64::MAX);
                match stock.is_at_rest() {
                    true => Todo::Close(stock.report()),
                    false => Todo::Tick(stock.report(), Asked::default()),
                }
            }
        }
    }

    fn plan_rate(
        &mut self,
        rate: &Rate,
        waiting: i64,
        (is_idle, goes_back, tells): (bool, bool, bool),
        now: Times,
    ) -> Todo {
        let passed = i64::try_from(now.own.saturating_sub(self.ticked).as_millis()).unwrap_or(i64::MAX).max(100);
        if tells || waiting > 0 {
            let pace = rate.take_let_through().saturating_mul(60_000) / passed;
            self.pace = (self.pace * (SMOOTH - 1) + pace) / SMOOTH;
        }
        let used = self.pace.saturating_add(1);
        if is_idle || goes_back {
            if !self.has_lease {
                return Todo::Nothing;
            }
            // What was let through is paid for first, from this share.
            return match rate.set(0, 1, now.own, now.own) {
                true => Todo::Close(rate.report(0)),
                false => Todo::Tick(rate.report(used), Asked::default()),
            };
        }
        let report = rate.report(used);
        let more = used.saturating_mul(2).saturating_sub(report.granted).max(waiting);
        match tells || waiting > 0 {
            true => Todo::Tick(report, Asked { more, waiting }),
            false => Todo::Nothing,
        }
    }

    /// The ledger's answer to a tick. Whether it is to be told something at once.
    pub(super) fn hear(&mut self, told: Report, answer: Result<Granted, i64>, gateways: i64, now: Times) -> bool {
        self.ticked = now.own;
        let granted = match answer {
            Ok(granted) => granted,
            Err(charged) => {
                self.over(charged);
                return true;
            }
        };
        self.has_lease = true;
        let until = self.until(now);
        match &self.what {
            What::Stock(stock) => {
                stock.hear(&granted, told.spent);
                stock.fill(&granted, until);
                let free = granted.granted.saturating_sub(told.spent).saturating_sub(told.held);
                self.told = Report { granted: granted.granted, free, ..told };
                stock.give_back(&granted)
            }
            What::Rate(rate) => {
                let back = granted.owed.saturating_add(granted.recalled.min(told.free)).max(0);
                let share = granted.granted.saturating_sub(back).max(0);
                let amount = i64::try_from(self.limit.amount).unwrap_or(i64::MAX);
                rate.set(share, burst(amount, share, gateways), now.own, until) && back > 0
            }
        }
    }

    /// The lease is over, for which the window was charged so much.
    pub(super) fn over(&mut self, charged: i64) {
        self.has_lease = false;
        self.told = Report::default();
        if let What::Stock(stock) = &self.what {
            stock.begin_anew(charged);
        }
    }

    /// The ledger is away: what there is may be used nonetheless.
    pub(super) fn extend(&self, now: Times) {
        match &self.what {
            What::Stock(stock) if self.has_lease => stock.extend(0, self.until(now)),
            What::Rate(rate) if self.has_lease => {
                let share = rate.report(0).granted;
                rate.set(share, burst(share, share, 1), now.own, self.until(now));
            }
            _ => {}
        }
    }

    /// Until when the lease may be used that a tick brings now.
    fn until(&self, now: Times) -> Duration {
        let left = self.span.ends_at.map(|end| end.saturating_sub(now.database).max(0).unsigned_abs());
        let left = left.map_or(USED_FOR, Duration::from_millis);
        now.own + USED_FOR.min(left)
    }
}
