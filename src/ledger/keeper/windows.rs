//! What the keeper does with the windows that it knows, before and after it asks the ledger.

use super::{Done, Keeper, Want, needs};
use crate::ledger::book::{Open, Standing};
use crate::ledger::held::{Held, Times, Todo, What};
use crate::ledger::notices::Noted;
use gateway_core::team::admission::Holdings;
use gateway_core::team::limit::Kind;
use gateway_core::team::stock::Lack;
use std::sync::Arc;

impl Keeper {
    /// Notes what a request waits for at windows that are there.
    pub(super) fn note(&mut self, want: &Want, now: Times) {
        for limit in &want.standing.owner.limits {
            let Some(id) = self.current.get(&want.standing.owner.key(limit)) else { continue };
            let Some(held) = self.helds.get_mut(id).filter(|held| held.is_current(now)) else { continue };
            if !Arc::ptr_eq(&held.standing, &want.standing) {
                held.standing = Arc::clone(&want.standing);
                held.limit = *limit;
                held.is_due = true;
            }
            match want.lack {
                Some((window, Lack::Missing { amount })) if window == *id => held.wait(amount),
                Some((_, Lack::Missing { .. })) => {}
                _ => held.wait(needs(&want.likely, limit)),
            }
        }
    }

    /// What is to be done about the windows that are there.
    pub(super) fn plan(&mut self, is_regular: bool, now: Times) -> Vec<(i64, Todo)> {
        let (is_draining, does_tell) = (self.is_draining, self.others > 0);
        let due = self.helds.values_mut().filter(|held| is_regular || held.is_waited_for() || held.is_due);
        let todo = due.map(|held| (held.window, held.plan(now, is_draining, does_tell)));
        todo.filter(|(_, todo)| *todo != Todo::Nothing).collect()
    }

    /// What the ledger answered.
    pub(super) fn hear(&mut self, done: Vec<Done>, now: Times) {
        let gateways = i64::try_from(self.others + 1).unwrap_or(i64::MAX);
        for done in done {
            match done {
                Done::Ticked(window, told, answer) => {
                    if let Some(held) = self.helds.get_mut(&window) {
                        held.is_due = held.hear(told, answer, gateways, now);
                    }
                }
                Done::Closed(window, charged) => {
                    if let Some(held) = self.helds.get_mut(&window) {
                        held.over(charged);
                        held.standing.set(None);
                    }
                }
            }
        }
    }

    /// Has those told who are to be.
    pub(super) fn tell(&mut self, noted: Vec<Noted>) {
        for Noted { window, part, notice } in noted {
            if let Some(held) = self.helds.get_mut(&window) {
                held.noted = Some(part);
            }
            self.common.notices.put(notice);
        }
    }

    /// Has requests see what is held of an owner's limits.
    pub(super) fn open(&self, standing: &Arc<Standing>) {
        let limits = standing.owner.limits.iter().filter(|limit| limit.kind() != Kind::Sessions);
        let helds = limits.map(|limit| self.current.get(&standing.owner.key(limit)).and_then(|id| self.helds.get(id)));
        let Some(helds) = helds.collect::<Option<Vec<&Held>>>() else { return };
        let ends: Vec<(i64, Option<i64>)> = helds.iter().map(|held| (held.window, held.span.ends_at)).collect();
        if standing.opened().is_some_and(|open| open.ends == ends) {
            return;
        }
        let rate = helds.iter().find_map(|held| match &held.what {
            What::Rate(rate) => Some(Arc::clone(rate)),
            What::Stock(_) => None,
        });
        let stocks = helds.iter().filter_map(|held| match &held.what {
            What::Stock(stock) => Some(Arc::clone(stock)),
            What::Rate(_) => None,
        });
        standing.set(Some(Open { holdings: Arc::new(Holdings::new(rate, stocks.collect())), ends }));
    }
}
