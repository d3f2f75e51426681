//! How often something happened in the last minute, whenever that is asked: there is no window that begins anew, and forgets
//! what was a moment before.

use std::time::Duration;

/// What counts together.
const SLICE: Duration = Duration::from_secs(5);
/// So many of these are a minute, with the one that has begun.
const SLICES: u64 = 13;

/// What happened in the last minute, to five seconds: rather some seconds longer than one too short.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    counts: [u32; SLICES as usize],
    slice: u64,
}

impl Recent {
    /// Counts one more at this time, which only goes on; how many there were in the minute before it.
    pub fn note(&mut self, now: Duration) -> u32 {
        let slice = now.as_secs() / SLICE.as_secs();
        let passed = slice.saturating_sub(self.slice).min(SLICES);
        self.slice = self.slice.max(slice);
        for back in 0..passed {
            *self.count(self.slice - back) = 0;
        }
        let before = self.counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count));
        let count = self.count(self.slice);
        *count = count.saturating_add(1);
        before
    }

    fn count(&mut self, slice: u64) -> &mut u32 {
        &mut self.counts[usize::try_from(slice % SLICES).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(times: &[u64]) -> Vec<u32> {
        let mut recent = Recent::default();
        times.iter().map(|second| recent.note(Duration::from_secs(*second))).collect()
    }

    #[test]
    fn a_minute_back_counts_whenever_that_is() {
        for begin in [0, 1, 4, 59, 60, 61, 1_000_003] {
            let at = |seconds: [u64; 6]| seconds.map(|second| begin + second);
            assert_eq!(noted(&at([0, 55, 56, 57, 58, 59])), [0, 1, 2, 3, 4, 5], "{begin}");
            assert_eq!(noted(&at([0, 60, 60, 119, 120, 120]))[1], 1, "{begin}");
            assert_eq!(noted(&at([0, 0, 0, 65, 65, 130]))[3..], [0, 1, 0], "{begin}");
            assert_eq!(noted(&at([0, 0, 0, 0, 0, 10_000]))[5], 0, "{begin}");
        }
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_loses_nothing() {
        assert_eq!(noted(&[100, 99, 90, 100]), [0, 1, 2, 3]);
    }
}
