//! How fast upstreams are beside each other, whatever they were asked. Pure.
//!
//! One that serves the longer prompts is not slower for that. So medians are compared kind by kind, where at least two
//! upstreams had requests of the kind, and what is left of each upstream is by how much it differs from the middle of its
//! kinds. Who has no kind in common with others has no such number.

use super::first_events::{FirstEvent, Kind};
use std::collections::BTreeMap;

/// How many times of one kind make a median.
const FEW: usize = 3;
/// How many times, of all kinds that can be compared, say something about an upstream.
const ENOUGH: usize = 8;
/// What nobody notices, in seconds: 20 ms are not twice as good as 40.
const UNNOTICED: f64 = 0.1;

/// By how many times the first events of each take as long as those of the middle one; `None` where that is not known.
pub(super) fn relative(events: &[Vec<FirstEvent>]) -> Vec<Option<f64>> {
    let mut kinds: BTreeMap<Kind, Vec<Median>> = BTreeMap::new();
    for (at, events) in events.iter().enumerate() {
        let mut of_kind: BTreeMap<Kind, Vec<FirstEvent>> = BTreeMap::new();
        events.iter().for_each(|event| of_kind.entry(event.kind).or_default().push(*event));
        for (kind, events) in of_kind {
            if let Some((seconds, count)) = median(&events).filter(|(_, count)| *count >= FEW) {
                let log = (seconds + UNNOTICED).ln();
                kinds.entry(kind).or_default().push(Median { at, count, log });
            }
        }
    }
    let mut sums = vec![(0.0, 0); events.len()];
    for medians in kinds.values().filter(|medians| medians.len() > 1) {
        // Not weighted by counts: it must not follow whoever has most of the requests.
        let middle = medians.iter().map(|median| median.log).sum::<f64>() / medians.len() as f64;
        for &Median { at, count, log } in medians {
            sums[at].0 += (log - middle) * count as f64;
            sums[at].1 += count;
        }
    }
    sums.into_iter().map(|(sum, count)| (count >= ENOUGH).then(|| (sum / count as f64).exp())).collect()
}

/// The median of an upstream's times of one kind.
struct Median {
    at: usize,
    count: usize,
    /// Of its seconds and what nobody notices.
    log: f64,
}

/// The median in seconds, and of how many times it is. A wait that was given up says only that it would have taken longer:
/// it counts if it took longer than usual.
pub(super) fn median(events: &[FirstEvent]) -> Option<(f64, usize)> {
    let seconds = |is_wanted: &dyn Fn(&FirstEvent) -> bool| {
        let mut seconds: Vec<f64> =
            events.iter().filter(|event| is_wanted(event)).map(|event| event.time.as_secs_f64()).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        seconds
    };
    let came = seconds(&|event| !event.is_given_up);
    let usual = came.get(came.len() / 2).copied().unwrap_or_default();
    let all = seconds(&|event| !event.is_given_up || event.time.as_secs_f64() > usual);
    Some((*all.get(all.len() / 2)?, all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn times(kind: Kind, seconds: f64, count: usize) -> Vec<FirstEvent> {
        let event = FirstEvent { kind, time: Duration::from_secs_f64(seconds), is_given_up: false };
        vec![event; count]
    }

    fn rounded(events: &[Vec<FirstEvent>]) -> Vec<Option<i64>> {
        relative(events).into_iter().map(|times| times.map(|times| (times * 100.0).round() as i64)).collect()
    }

    #[test]
    fn long_prompts_make_no_upstream_slow() {
        let (short, long) = (Kind::of(1, 3_000, false), Kind::of(1, 900_000, false));
        let a = [times(short, 1.0, 9), times(long, 9.0, 90)].concat();
        let b = [times(short, 1.0, 90), times(long, 9.0, 9)].concat();
        assert_eq!(rounded(&[a.clone(), b]), [Some(100), Some(100)]);
        // By all its times together, this one would be the faster one of the two.
        let slower = [times(short, 2.0, 90), times(long, 18.0, 9)].concat();
        let [Some(fast), Some(slow)] = rounded(&[a, slower])[..] else { panic!("both are known") };
        assert!((65..75).contains(&fast) && (135..150).contains(&slow), "{fast} {slow}");
    }

    #[test]
    fn what_has_nothing_in_common_is_not_compared() {
        let (one, other) = (Kind::of(1, 0, false), Kind::of(2, 0, false));
        assert_eq!(rounded(&[times(one, 1.0, 50), times(other, 9.0, 50)]), [None, None]);
        assert_eq!(rounded(&[times(one, 1.0, 50), times(one, 9.0, 2)]), [None, None], "two are chance");
        assert_eq!(rounded(&[times(one, 1.0, 50), times(one, 1.0, 4)]), [Some(100), None], "and four are few");
        assert_eq!(rounded(&[times(one, 1.0, 50)]), [None]);
        assert_eq!(rounded(&[]), []);
    }

    #[test]
    fn what_nobody_notices_makes_no_difference() {
        let kind = Kind::of(1, 0, false);
        let [Some(fast), Some(slow)] = rounded(&[times(kind, 0.005, 9), times(kind, 0.02, 9)])[..] else { panic!() };
        assert!(fast > 90 && slow < 110, "{fast} {slow}");
    }

    #[test]
    fn a_wait_that_was_given_up_counts_only_if_it_was_long() {
        let kind = Kind::of(1, 0, false);
        let given_up = |seconds| FirstEvent { is_given_up: true, ..times(kind, seconds, 1)[0] };
        let came = times(kind, 5.0, 3);
        assert_eq!(median(&[came.clone(), vec![given_up(1.0); 9]].concat()), Some((5.0, 3)));
        assert_eq!(median(&[came, vec![given_up(60.0); 9]].concat()), Some((60.0, 12)));
        assert_eq!(median(&[given_up(60.0); 3]), Some((60.0, 3)), "one that never says anything");
        assert_eq!(median(&[]), None);
    }
}
