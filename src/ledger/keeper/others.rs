//! What the keeper learns of other gateways that share the ledger's file, and of another file in its place.

use super::Keeper;
use crate::ledger::file::{self, File, FileError};
use crate::ledger::held::{Held, What};
use crate::ledger::rows;
use std::time::{Duration, Instant};

/// How often the ledger is looked at for what others owe or need, as long as there are others.
const LOOK: Duration = Duration::from_millis(20);
/// Looking takes one part in so many of the keeper's time, at most.
const REST: u32 = 10;

impl Keeper {
    /// How long there is nothing to do but what messages ask for, if the next tick is due at this time.
    pub(super) fn until(&self, tick: Instant) -> Duration {
        let look = self.look_at.filter(|_| self.others > 0);
        look.map_or(tick, |look| look.min(tick)).saturating_duration_since(Instant::now())
    }

    /// The ledger is to hear of this window at once.
    pub(super) fn is_due(&mut self, window: i64) {
        if let Some(held) = self.helds.get_mut(&window) {
            held.is_due = true;
        }
    }

    /// Looks whether others used more than there was, or wait for something that is here: of those windows the ledger is asked
    /// at once, and not with the next tick. Without others there is nothing to look for.
    pub(super) fn look_at_others(&mut self) {
        let now = Instant::now();
        if self.others == 0 || self.look_at.is_some_and(|next| now < next) {
            return;
        }
        // What cannot be read now is told by the next tick.
        let _ = self.note_needs();
        self.look_at = Some(now + LOOK.max(now.elapsed() * REST));
    }

    fn note_needs(&mut self) -> Result<(), FileError> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        let version = file.version()?;
        if self.seen_version.replace(version) == Some(version) {
            return Ok(());
        }
        for rows::Claims { window, claimed, wanted } in rows::claims_of_others(file.connection(), &self.gateway)? {
            let Some(held) = self.helds.get_mut(&window) else { continue };
            let What::Stock(stock) = &held.what else { continue };
            let told = stock.report();
            let amount = i64::try_from(held.limit.amount).unwrap_or(i64::MAX);
            let is_passed = claimed.saturating_add(told.granted) > amount && told.free.max(told.held) > 0;
            held.is_due |= is_passed || wanted > 0 && told.free > 0;
        }
        Ok(())
    }

    /// Goes over to the file that is there now. If its windows have other numbers, nothing is held from here on, and what it
    /// knows that this gateway held is charged, as if its process had been killed. All of that, or nothing: what fails here
    /// comes again at the next tick.
    pub(super) fn go_over(&mut self) -> Result<(), FileError> {
        let mut other = File::open(&self.folder)?;
        let has = |held: &Held| rows::has_window(other.connection(), held.window, &held.key, &held.span);
        let is_of_same = self.helds.values().map(has).collect::<rusqlite::Result<Vec<_>>>()?;
        if is_of_same.contains(&false) {
            let transaction = other.transaction()?;
            rows::bury(&transaction, &self.gateway)?;
            transaction.commit()?;
            self.common.close_all();
            self.helds.drain().for_each(|(_, held)| held.standing.set(None));
            self.current.clear();
        }
        if let Some((file, _)) = &mut self.file {
            *file = other;
        }
        // Versions are the connection's own.
        self.seen_version = None;
        Ok(())
    }

    /// Which other gateways there are; the leases of those that are gone are over.
    pub(super) fn look_for_others(&mut self) -> Result<(), FileError> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        if file.bring_back()? {
            self.go_over()?;
        }
        let Some((file, _)) = &mut self.file else { return Ok(()) };
        let others = rows::others(file.connection(), &self.gateway)?;
        let gone: Vec<&String> = others.iter().filter(|other| file::is_gone(&self.folder, other)).collect();
        if !gone.is_empty() {
            let transaction = file.transaction()?;
            gone.iter().try_for_each(|gateway| rows::bury(&transaction, gateway))?;
            transaction.commit()?;
            gone.iter().for_each(|gateway| file::forget(&self.folder, gateway));
        }
        self.others = others.len() - gone.len();
        // Who drains is not the last one.
        self.common.set_others(self.others > 0 || self.is_draining);
        Ok(())
    }
}
