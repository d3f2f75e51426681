//! The lines of one upstream: which of them a request takes.

use super::line::Line;
use super::line_choice::{LineChoice, Seen};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which line is in use.
#[derive(Debug)]
struct UsedLine {
    place: AtomicUsize,
    /// Only the service that checks lines takes it.
    choice: Mutex<LineChoice>,
}

/// The lines that a request has tried, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u32);

impl Tried {
    /// Notes that this one was tried.
    pub fn add(&mut self, line: usize) {
        self.0 |= 1 << line;
    }

    fn has(self, line: usize) -> bool {
        self.0 & 1 << line != 0
    }
}

impl UsedLine {
    fn new(count: usize, place: usize) -> Self {
        Self { place: AtomicUsize::new(place), choice: Mutex::new(LineChoice::new(count, place)) }
    }

    fn choice(&self) -> MutexGuard<'_, LineChoice> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of one upstream: that of `base_url`, then those of `lines`.
#[derive(Debug)]
pub struct Lines {
    all: Vec<Line>,
    used: Arc<UsedLine>,
}

impl Lines {
    /// These lines, at least one. What is known of `former` ones stays true as far as they are the same.
    pub(super) fn new(all: Vec<Line>, former: Option<&Self>) -> Self {
        let used = match former {
            None => Arc::new(UsedLine::new(all.len(), 0)),
            Some(former) if former.iter().map(Line::authority).eq(all.iter().map(Line::authority)) => {
                Arc::clone(&former.used)
            }
            Some(former) => {
                let used = former.used().authority();
                let place = all.iter().position(|line| line.authority() == used).unwrap_or_default();
                Arc::new(UsedLine::new(all.len(), place))
            }
        };
        Self { all, used }
    }

    /// All of them.
    pub fn iter(&self) -> slice::Iter<'_, Line> {
        self.all.iter()
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The line in this place; the first one if there is no such place.
    pub fn at(&self, place: usize) -> &Line {
        self.all.get(place).unwrap_or(&self.all[0])
    }

    /// The line in use.
    pub fn used(&self) -> &Line {
        self.at(self.used.place.load(Ordering::Relaxed))
    }

    /// The place of the line that a request takes that has `tried` some in vain: the one in use, if that does not fail,
    /// else the fastest other one. `None` if it has tried all.
    pub fn next(&self, tried: Tried) -> Option<usize> {
        let used = self.used.place.load(Ordering::Relaxed);
        let is_open = |place: usize| !tried.has(place);
        if is_open(used) && (!self.are_several() || !self.at(used).times.is_failing()) {
            return Some(used);
        }
        let others = (0..self.all.len()).filter(|&place| is_open(place));
        // Of those that fail, the one in use comes first.
        others.min_by_key(|&place| {
            let times = &self.all[place].times;
            (times.is_failing(), times.is_failing() && place != used, times.counted().unwrap_or_default())
        })
    }

    /// Whether they were compared since there are these.
    pub fn are_compared(&self) -> bool {
        self.used.choice().is_made()
    }

    /// Compares them, and uses a better one from now on if it is time for that. `upstream` is its name, for the log.
    pub fn compare(&self, upstream: &str, now_ms: u64) {
        let mut choice = self.used.choice();
        if !choice.is_made() && !self.iter().all(|line| line.times.is_known()) {
            return;
        }
        let seen = self.iter().map(|line| Seen { time: line.times.counted(), is_down: line.times.is_down() });
        let seen: Vec<Seen> = seen.collect();
        let chosen = choice.look(&seen, now_ms);
        let before = self.used.place.swap(chosen, Ordering::Relaxed);
        if before != chosen {
            let (from, to) = (self.all[before].authority(), self.all[chosen].authority());
            let why = if seen[before].is_down { "fails" } else { "is slower" };
            log::info!("upstream \"{upstream}\" is reached at {to} from now on: {from} {why}");
        }
    }
}
