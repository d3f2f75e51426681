//! Groups by key: sums of earlier versions have the first half of a fingerprint only.

use super::figures::Totals;
use std::collections::BTreeMap;

/// Digits of a fingerprint in rows of earlier versions.
pub(super) const OLD_DIGITS: usize = 8;

/// Adds the sums of half a fingerprint to those of the whole one, unless two keys have that half in common. Says of which
/// halves that was done.
pub(super) fn join(groups: &mut BTreeMap<String, Totals>) -> BTreeMap<String, String> {
    let halves: Vec<String> = groups.keys().filter(|name| name.len() == OLD_DIGITS).cloned().collect();
    let mut joined = BTreeMap::new();
    for half in halves {
        let mut of_half = groups.range(half.clone()..).skip(1).map(|(name, _)| name);
        let mut whole = of_half.by_ref().take_while(|name| name.starts_with(&half));
        let (Some(only), None) = (whole.next().cloned(), whole.next()) else { continue };
        if let Some(old) = groups.remove(&half)
            && let Some(new) = groups.get_mut(&only)
        {
            new.merge(&old);
            joined.insert(only, half);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rollup::SUMS;

    #[test]
    fn old_sums_join_those_of_the_only_key_that_they_can_be_of() {
        let totals = |requests| {
            let mut totals = Totals::default();
            let mut sums = [0; SUMS];
            sums[0] = requests;
            totals.add("completed", &sums);
            totals
        };
        let names =
            ["", "0a1b2c3d", "0a1b2c3d00000001", "11111111", "22222222", "2222222200000001", "2222222200000002"];
        let mut groups: BTreeMap<_, _> =
            names.into_iter().zip(1..).map(|(name, n)| (name.to_owned(), totals(n))).collect();
        assert_eq!(join(&mut groups), BTreeMap::from([("0a1b2c3d00000001".to_owned(), "0a1b2c3d".to_owned())]));
        let sums: Vec<_> = groups.iter().map(|(name, totals)| (name.as_str(), totals.sum("requests"))).collect();
        assert_eq!(
            sums,
            [
                ("", 1),
                ("0a1b2c3d00000001", 5),
                ("11111111", 4),
                ("22222222", 5),
                ("2222222200000001", 6),
                ("2222222200000002", 7)
            ]
        );
    }
}
