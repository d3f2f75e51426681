//! A gateway: its stocks, and its keeper.

use crate::team::Limit;
use crate::team::admission::{Holdings, Subjects};
use crate::team::demand::{Demand, Plan};
use crate::team::estimate::Estimates;
use crate::team::grant::{Asked, Granted, USED_FOR};
use crate::team::ledger_model::Window;
use crate::team::stock::Stock;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Serves,
    /// It takes no new requests.
    Drains,
    Dead,
}

pub(super) struct Gateway {
    pub(super) id: usize,
    pub(super) state: State,
    /// Until when it does not reach the ledger.
    pub(super) away_until: u64,
    /// Whether an answer of the ledger is on its way: there is one tick at a time.
    pub(super) is_asking: bool,
    pub(super) held: Vec<Held>,
    /// By token.
    pub(super) subjects: Vec<Subjects>,
    pub(super) estimates: Vec<Estimates>,
}

/// A stock, and what the keeper knows of it.
pub(super) struct Held {
    pub(super) stock: Arc<Stock>,
    demand: Demand,
    has_lease: bool,
    /// What requests wait for.
    pub(super) waiting: i64,
}

/// What the ledger said of a stock.
pub(super) struct Answer {
    stock: usize,
    granted: Granted,
}

impl Gateway {
    /// One with a stock of each window; each token has as many, one after the other.
    pub(super) fn new(id: usize, limits: &[Limit], tokens: usize) -> Self {
        let stock = |(window, limit): (usize, &Limit)| Arc::new(Stock::new(*limit, window as i64));
        let stocks: Vec<Arc<Stock>> = limits.iter().enumerate().map(stock).collect();
        let of_token = |stocks: &[Arc<Stock>]| [Some(Arc::new(Holdings::new(None, stocks.to_vec()))), None, None];
        Self {
            id,
            state: State::Serves,
            away_until: 0,
            is_asking: false,
            subjects: stocks.chunks(limits.len() / tokens).map(of_token).collect(),
            estimates: (0..tokens).map(|_| Estimates::default()).collect(),
            held: stocks
                .into_iter()
                .map(|stock| Held { stock, demand: Demand::default(), has_lease: false, waiting: 0 })
                .collect(),
        }
    }

    /// Tells the ledger all, and returns what it says.
    pub(super) fn tick(&mut self, ledger: &mut [Window], is_alone: bool, now: u64, db_now: i64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (at, held) in self.held.iter_mut().enumerate() {
            let (stock, window) = (&held.stock, &mut ledger[at]);
            let mut plan =
                held.demand.tick(&stock.report(), std::mem::take(&mut held.waiting), Duration::from_millis(now));
            if self.state == State::Drains {
                plan = Plan::Close;
            }
            let asked = match plan {
                Plan::Ask(asked) => asked,
                Plan::Close if !held.has_lease => continue,
                Plan::Close => {
                    stock.withdraw(i64::MAX);
                    if stock.is_at_rest() {
                        stock.begin_anew(window.close(self.id, &stock.report(), db_now));
                        held.has_lease = false;
                        continue;
                    }
                    Asked::default()
                }
            };
            let is_alone = is_alone && self.state == State::Serves;
            match window.tick(self.id, &stock.report(), &asked, is_alone, db_now) {
                Ok(granted) => {
                    held.has_lease = true;
                    answers.push(Answer { stock: at, granted });
                }
                Err(charged) => stock.begin_anew(charged),
            }
        }
        answers
    }

    /// The ledger's answer to a tick that was sent at that time. Returns whether something was called back.
    pub(super) fn hear(&mut self, answers: &[Answer], sent_at: u64) -> bool {
        let mut is_recalled = false;
        for Answer { stock, granted } in answers {
            let stock = &self.held[*stock].stock;
            stock.fill(granted, Duration::from_millis(sent_at) + USED_FOR);
            is_recalled |= stock.give_back(granted);
        }
        is_recalled
    }
}
