//! Which of an upstream's lines is used: the fastest one, but not by turns. Pure.

use super::clock::millis;
use std::time::Duration;

/// The share of the used line's time below which another line is worth a change.
const WORTH_IT: f64 = 0.8;
/// For how long it must stay so.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// A line, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The time that it counts with; `None` if none is known.
    pub(super) time: Option<Duration>,
    /// Whether it is down.
    pub(super) is_down: bool,
}

/// The line in use, and since when others are better.
#[derive(Debug)]
pub(super) struct LineChoice {
    used: usize,
    is_made: bool,
    better_since_ms: Vec<Option<u64>>,
}

impl LineChoice {
    /// Of so many lines this one is used until they were compared.
    pub(super) fn new(count: usize, used: usize) -> Self {
        Self { used, is_made: false, better_since_ms: vec![None; count] }
    }

    /// Whether the lines were compared.
    pub(super) fn is_made(&self) -> bool {
        self.is_made
    }

    /// The line to use from now on. The first choice takes the fastest line; later ones another line only if it is
    /// faster by a fifth for five minutes, or if the one in use is down.
    pub(super) fn look(&mut self, seen: &[Seen], now_ms: u64) -> usize {
        let time = |at: usize| seen[at].time.filter(|_| !seen[at].is_down);
        let fastest =
            |among: &mut dyn Iterator<Item = usize>| among.filter(|&at| time(at).is_some()).min_by_key(|&at| time(at));
        let used = time(self.used);
        if !self.is_made || used.is_none() {
            if let Some(fastest) = fastest(&mut (0..seen.len())) {
                self.is_made = true;
                self.change_to(fastest);
            }
            return self.used;
        }
        let bound = used.unwrap_or_default().mul_f64(WORTH_IT);
        for (at, since) in self.better_since_ms.iter_mut().enumerate() {
            let is_better = time(at).is_some_and(|time| time <= bound);
            *since = is_better.then(|| since.unwrap_or(now_ms));
        }
        let is_ripe = |at: &usize| self.better_since_ms[*at].is_some_and(|since| now_ms - since >= millis(PATIENCE));
        if let Some(faster) = fastest(&mut (0..seen.len()).filter(is_ripe)) {
            self.change_to(faster);
        }
        self.used
    }

    fn change_to(&mut self, line: usize) {
        if self.used != line {
            self.used = line;
            self.better_since_ms.fill(None);
        }
    }
}

#[cfg(test)]
#[path = "line_choice_tests.rs"]
mod tests;
