//! What the gateway holds after each wave: open files, threads, memory; and how that grows. It begins anew with each process
//! that takes over.

use std::time::Duration;

const NAMES: [&str; 3] = ["files", "threads", "kB resident"];
/// Files that there may be more of than after the first wave: connections that are kept, a pool that differs by chance.
const MORE_FILES: u64 = 64;
/// Threads that there may be more of: those that wait a moment for further work.
const MORE_THREADS: u64 = 8;

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    process: u32,
    held: Vec<(Duration, [u64; 3])>,
}

impl Growth {
    /// What a process holds so long after the beginning.
    pub(crate) fn note(&mut self, after: Duration, (process, held): (u32, [u64; 3])) {
        if std::mem::replace(&mut self.process, process) != process {
            self.held.clear();
        }
        self.held.push((after, held));
    }

    /// What was noted last.
    pub(crate) fn last(&self) -> String {
        let held = self.held.last().map_or([0; 3], |&(_, held)| held);
        NAMES.iter().zip(held).map(|(name, held)| format!("{held} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// What has become more since the first wave than it may.
    pub(crate) fn more_than_at_first(&self, (_, held): (u32, [u64; 3])) -> Option<String> {
        let first = self.held.first()?.1;
        let is_more = held[0] > first[0] + MORE_FILES || held[1] > first[1] + MORE_THREADS;
        is_more.then(|| format!("{first:?} after the first wave, {held:?} now"))
    }

    /// What each of them grows by in an hour: a line fitted to all but the first third, in which all warms up.
    pub(crate) fn slopes(&self) -> String {
        let warm = &self.held[self.held.len() / 3..];
        let slope = |at: usize| {
            let points = warm.iter().map(|(after, held)| (after.as_secs_f64() / 3600.0, held[at] as f64));
            slope(&points.collect::<Vec<_>>())
        };
        let told: Vec<String> = (0..3)
            .map(|at| slope(at).map_or("-".to_owned(), |slope| format!("{slope:+.0}")) + " " + NAMES[at])
            .collect();
        format!("an hour: {}; fitted over {} waves", told.join(", "), warm.len())
    }
}

/// The slope of the line with the least squares.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points
        .iter()
        .fold((0.0, 0.0), |(over, under), point| (over + (point.0 - x) * (point.1 - y), under + (point.0 - x).powi(2)));
    (under > 0.0).then(|| over / under)
}

#[test]
fn a_line_is_fitted_and_what_grew_is_told() {
    assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
    assert_eq!(slope(&[(1.0, 1.0)]), None);
    let mut growth = Growth::default();
    growth.note(Duration::from_secs(1), (1, [100, 20, 5_000]));
    assert_eq!(growth.more_than_at_first((1, [100 + MORE_FILES, 20, 900_000])), None);
    assert!(growth.more_than_at_first((1, [100, 21 + MORE_THREADS, 0])).is_some());
    growth.note(Duration::from_secs(2), (2, [300, 20, 9_000]));
    assert_eq!(growth.more_than_at_first((2, [300, 20, 9_000])), None, "another process");
}
