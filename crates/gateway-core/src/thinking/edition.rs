//! The rules for `system` and `tools` of one configuration, for all of its upstreams.

use crate::rules::prefix::PrefixRules;
use crate::rules::rule::RuleSet;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Editions that are kept: conversations that began before them go on with the present rules.
const MOST_EDITIONS: usize = 64;
/// Bytes of all rules in them.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What one configuration does to `system` and `tools`.
#[derive(Clone, Debug, Default)]
pub struct Edition {
    /// By the names of the upstreams; equal ones are one.
    parts: Vec<(Arc<str>, Arc<PrefixRules>)>,
    digest: u64,
}

impl Edition {
    /// Of the rules for these upstreams.
    pub fn of<'r>(rules: impl Iterator<Item = (&'r Arc<str>, &'r RuleSet)>) -> Self {
        Self::new(rules.map(|(name, rules)| (Arc::clone(name), PrefixRules::of(rules.rules(), name))))
    }

    /// One that was stored under this digest. A program of another version may digest the same rules otherwise.
    pub fn stored(parts: impl Iterator<Item = (Arc<str>, Arc<PrefixRules>)>, digest: u64) -> Self {
        Self { parts: parts.collect(), digest }
    }

    /// Of these parts by the names of their upstreams.
    fn new(parts: impl Iterator<Item = (Arc<str>, PrefixRules)>) -> Self {
        let mut known: Vec<(Arc<str>, Arc<PrefixRules>)> = Vec::new();
        for (name, part) in parts {
            let same =
                known.iter().find(|(_, other)| other.digest() == part.digest()).map(|(_, same)| Arc::clone(same));
            known.push((name, same.unwrap_or_else(|| Arc::new(part))));
        }
        // The order of upstreams makes no difference.
        let mut sorted: Vec<_> = known.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut digested = Vec::new();
        for (name, part) in sorted {
            digested.extend_from_slice(name.as_bytes());
            digested.push(0);
            digested.extend_from_slice(&part.digest().to_le_bytes());
        }
        Self { digest: xxh3_64(&digested), parts: known }
    }

    /// Equal for those that do the same to all requests.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The rules for requests to this upstream, if it was there.
    pub fn part(&self, upstream: &str) -> Option<&Arc<PrefixRules>> {
        self.parts.iter().find(|(name, _)| **name == *upstream).map(|(_, part)| part)
    }

    /// The parts with the names of their upstreams.
    pub fn parts(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<PrefixRules>)> {
        self.parts.iter().map(|(name, part)| (name, part))
    }

    /// Whether nothing is done to `system` and `tools`.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|(_, part)| part.is_empty())
    }

    /// About how many bytes its rules are.
    fn bytes(&self) -> usize {
        let is_first = |at: usize| !self.parts[..at].iter().any(|(_, part)| Arc::ptr_eq(part, &self.parts[at].1));
        (0..self.parts.len()).filter(|&at| is_first(at)).map(|at| self.parts[at].1.bytes()).sum()
    }
}

/// These editions and one more, the newest last; the oldest are left out if they are too many or too large.
pub fn with_newest(editions: &[Arc<Edition>], newest: Arc<Edition>) -> Vec<Arc<Edition>> {
    let digest = newest.digest();
    let others = editions.iter().filter(|edition| edition.digest() != digest).cloned();
    let mut kept: Vec<Arc<Edition>> = others.chain([newest]).collect();
    let mut bytes: usize = kept.iter().map(|edition| edition.bytes()).sum();
    while kept.len() > 1 && (kept.len() > MOST_EDITIONS || bytes > MOST_BYTES) {
        bytes -= kept.remove(0).bytes();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::body::{BodyAction, Mode, System, Target};
    use crate::rules::rule::Rule;

    fn appending(text: &str) -> PrefixRules {
        let body = vec![BodyAction::System(System::new(Mode::Append, Target::Last, text))];
        PrefixRules::of(&[Arc::new(Rule { name: "rule".into(), body, ..Rule::default() })], "a")
    }

    fn edition(parts: &[(&str, &str)]) -> Edition {
        Edition::new(parts.iter().map(|(name, text)| (Arc::from(*name), appending(text))))
    }

    #[test]
    fn editions_that_do_the_same_are_equal() {
        let one = edition(&[("a", "x"), ("b", "y")]);
        assert_eq!(one.digest(), edition(&[("b", "y"), ("a", "x")]).digest());
        for other in [edition(&[("a", "y"), ("b", "x")]), edition(&[("a", "x")]), edition(&[("a", "x"), ("c", "y")])] {
            assert_ne!(one.digest(), other.digest());
        }
        let same = edition(&[("a", "x"), ("b", "x")]);
        assert!(Arc::ptr_eq(same.part("a").expect("a"), same.part("b").expect("b")));
    }

    #[test]
    fn the_oldest_editions_are_forgotten() {
        let mut kept = Vec::new();
        for number in 0..100 {
            kept = with_newest(&kept, Arc::new(edition(&[("a", &number.to_string())])));
        }
        assert_eq!(kept.len(), MOST_EDITIONS);
        assert_eq!(kept[0].digest(), edition(&[("a", "36")]).digest());
        kept = with_newest(&kept, Arc::new(edition(&[("a", "50")])));
        assert_eq!((kept.len(), kept[63].digest()), (MOST_EDITIONS, edition(&[("a", "50")]).digest()));
        let large = "x".repeat(MOST_BYTES / 2);
        for name in ["a", "b"] {
            kept = with_newest(&kept, Arc::new(edition(&[(name, &large)])));
        }
        assert_eq!(kept.len(), 1);
    }
}
