//! Medians, ranges and percentiles.

/// The middle and the ends of what several rounds gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// Median and range of `values`; none of nothing.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    Some(Spread { median, min, max })
}

/// Whether `now` is above `before` by more than chance: twice what `before` itself varies by.
pub(crate) fn is_beyond(now: Spread, before: Spread) -> bool {
    now.median > before.median + 2.0 * (before.max - before.min)
}

/// The value below which `share` (0 to 1) of the sorted `values` lie; 0 of nothing.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// `value` with about three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => thousands(value.round() as i64),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        assert_eq!(spread([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread([4.0, 1.0]).map(|s| s.median), Some(2.5));
        assert_eq!(spread([]), None);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 0.5), percentile(&hundred, 0.99)), (50.0, 99.0));
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn what_varies_anyway_is_no_difference() {
        let before = Spread { median: 50.0, min: 49.0, max: 52.0 };
        let now = |median| Spread { median, min: 0.0, max: 100.0 };
        assert_eq!([40.0, 50.0, 56.0, 56.1].map(|median| is_beyond(now(median), before)), [false, false, false, true]);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!([0.123, 45.67, 123.4, 1234567.0].map(short), ["0.12", "45.7", "123", "1,234,567"]);
    }
}
