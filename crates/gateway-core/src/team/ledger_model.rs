//! The ledger, in memory: rows, and the arithmetic of `grant` on them. For tests and fuzzing.

use crate::team::Limit;
use crate::team::grant::{Account, Asked, Fate, Granted, Lease, Report, charged};
use std::collections::BTreeMap;

pub(crate) struct Window {
    pub(crate) limit: Limit,
    spent_closed: i64,
    leases: BTreeMap<usize, Lease>,
    /// What gateways were charged that were taken for lost, until they ask again.
    lost: BTreeMap<usize, i64>,
}

impl Window {
    pub(crate) fn new(limit: Limit) -> Self {
        Self { limit, spent_closed: 0, leases: BTreeMap::new(), lost: BTreeMap::new() }
    }

    /// A gateway's tick; an error is what it was charged when its lease was taken for lost.
    pub(crate) fn tick(
        &mut self,
        gateway: usize,
        told: &Report,
        asked: &Asked,
        is_alone: bool,
        now: i64,
    ) -> Result<Granted, i64> {
        self.reap(gateway, now);
        if let Some(charged) = self.lost.remove(&gateway) {
            return Err(charged);
        }
        let others: Vec<Lease> = self.leases.iter().filter(|(id, _)| **id != gateway).map(|(_, row)| *row).collect();
        let cap = i64::try_from(self.limit.amount).expect("within bounds");
        let account = Account { cap, spent_closed: self.spent_closed, others: &others, is_alone };
        let (row, granted) = account.tick(told, asked, now);
        self.leases.insert(gateway, row);
        Ok(granted)
    }

    /// A gateway needs its lease no longer.
    pub(crate) fn close(&mut self, gateway: usize, told: &Report, now: i64) -> i64 {
        self.reap(gateway, now);
        if let Some(charged) = self.lost.remove(&gateway) {
            return charged;
        }
        self.leases.remove(&gateway);
        self.spent_closed += told.spent;
        told.spent
    }

    fn reap(&mut self, asking: usize, now: i64) {
        let limit = self.limit;
        self.leases.retain(|id, row| match row.fate(now) {
            _ if *id == asking && row.fate(now) != Fate::Lost => true,
            Fate::Lost => {
                let cost = charged(&limit, row);
                self.spent_closed += cost;
                self.lost.insert(*id, cost);
                false
            }
            _ => true,
        });
    }

    /// What is spent by all that it was told.
    pub(crate) fn spent(&self) -> i64 {
        self.spent_closed + self.leases.values().map(|row| row.spent).sum::<i64>()
    }

    pub(crate) fn held(&self) -> i64 {
        self.leases.values().map(|row| row.held).sum()
    }

    /// Whether a gateway has a row that is to be taken for lost.
    pub(crate) fn is_lost(&self, gateway: usize, now: i64) -> bool {
        self.leases.get(&gateway).is_some_and(|row| row.fate(now) == Fate::Lost)
    }

    /// What it would charge a gateway that is gone.
    #[cfg(test)]
    pub(crate) fn charges(&self, gateway: usize) -> i64 {
        self.leases.get(&gateway).map_or(0, |row| charged(&self.limit, row))
    }
}
