//! Times in buckets whose bounds grow by a twelfth, so that percentiles can be had of sums. Pure.

use std::time::Duration;

/// Buckets for each doubling: a bucket's middle is within 4.4 % of all that is in it.
const PER_DOUBLING: f64 = 8.0;

/// The bucket of a time.
pub(super) fn bucket(time: Duration) -> i64 {
    let millis = time.as_secs_f64() * 1_000.0;
    match millis >= 1.0 {
        true => (millis.log2() * PER_DOUBLING) as i64 + 1,
        // Nobody cares what happened within a millisecond.
        false => 0,
    }
}

/// The middle of a bucket, in milliseconds.
fn middle(bucket: i64) -> f64 {
    match bucket {
        ..=0 => 0.5,
        _ => ((bucket as f64 - 0.5) / PER_DOUBLING).exp2(),
    }
}

/// How many times fell into which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<(i64, u64)>);

impl Times {
    /// Adds a count to a bucket. Buckets come in any order.
    pub fn add(&mut self, bucket: i64, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 += count,
            Err(at) if count > 0 => self.0.insert(at, (bucket, count)),
            Err(_) => {}
        }
    }

    /// The time that this share of all (0 to 1) do not exceed, in milliseconds; `None` if there are none.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|(_, count)| count).sum();
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= wanted).then(|| middle(*bucket))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_twentieth_of_the_exact_ones() {
        let mut times = Times::default();
        let mut exact: Vec<f64> = Vec::new();
        for index in 1..=5_000_u64 {
            let micros = 1_000 + index * index * 37 % 900_000_007;
            exact.push(micros as f64 / 1_000.0);
            times.add(bucket(Duration::from_micros(micros)), 1);
        }
        exact.sort_by(f64::total_cmp);
        for share in [0.01, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let wanted = exact[((5_000.0_f64 * share).ceil() as usize).max(1) - 1];
            let found = times.percentile(share).expect("there are some");
            assert!((found / wanted - 1.0).abs() < 0.05, "{share}: {found} is not {wanted}");
        }
    }

    #[test]
    fn few_times_and_none_have_percentiles_too() {
        let mut times = Times::default();
        assert_eq!(times.percentile(0.5), None);
        times.add(bucket(Duration::from_micros(10)), 1);
        assert_eq!(times.percentile(0.0), Some(0.5));
        times.add(3, 0);
        assert_eq!(times.percentile(1.0), Some(0.5));
        assert!(bucket(Duration::from_secs(100_000)) < 300, "there are few buckets");
    }
}
