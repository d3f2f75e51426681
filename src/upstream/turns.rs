//! Requests that wait for a place at an upstream, pure: their senders take turns, so that one with many requests does not
//! keep the others waiting for all of them.

use super::sessions::Owner;
use std::collections::VecDeque;

/// What waits, by sender.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// Senders with something that waits; the first one is next.
    lines: VecDeque<Line<T>>,
    len: usize,
    most: usize,
    next_number: u64,
}

#[derive(Debug)]
struct Line<T> {
    sender: Owner,
    /// In the order in which they came, with their numbers.
    waiting: VecDeque<(u64, T)>,
}

impl<T> Turns<T> {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { lines: VecDeque::new(), len: 0, most, next_number: 0 }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One more waits from here on; its number, and what had to leave for it: when there is no more room, the last one of
    /// the sender with the most. `None` if that is this sender itself.
    pub(super) fn join(&mut self, sender: Owner, item: T) -> Option<(u64, Option<T>)> {
        let own = self.lines.iter().find(|line| line.sender == sender).map_or(0, |line| line.waiting.len());
        let left = match self.len < self.most {
            true => None,
            false => {
                let longest = self.lines.iter_mut().max_by_key(|line| line.waiting.len())?;
                // With only one more the two would change places.
                if longest.waiting.len() <= own + 1 {
                    return None;
                }
                self.len -= 1;
                longest.waiting.pop_back().map(|(_, item)| item)
            }
        };
        let number = self.next_number;
        self.next_number += 1;
        self.len += 1;
        match self.lines.iter_mut().find(|line| line.sender == sender) {
            Some(line) => line.waiting.push_back((number, item)),
            None => self.lines.push_back(Line { sender, waiting: VecDeque::from([(number, item)]) }),
        }
        Some((number, left))
    }

    /// The first one of the sender whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<T> {
        let mut line = self.lines.pop_front()?;
        let (_, item) = line.waiting.pop_front()?;
        self.len -= 1;
        if !line.waiting.is_empty() {
            self.lines.push_back(line);
        }
        Some(item)
    }

    /// One that waits no longer, if it still does.
    pub(super) fn leave(&mut self, sender: Owner, number: u64) {
        let Some(at) = self.lines.iter().position(|line| line.sender == sender) else { return };
        let waiting = &mut self.lines[at].waiting;
        if let Ok(place) = waiting.binary_search_by_key(&number, |&(number, _)| number) {
            waiting.remove(place);
            self.len -= 1;
            if waiting.is_empty() {
                self.lines.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Owner = Owner::Key(1);
    const B: Owner = Owner::Key(2);
    const C: Owner = Owner::Address(None);

    fn all(turns: &mut Turns<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| turns.next_turn()).collect()
    }

    #[test]
    fn senders_take_turns_and_each_keeps_its_order() {
        let mut turns = Turns::new(10);
        for (sender, item) in [(A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (C, "c1"), (C, "c2")] {
            assert!(matches!(turns.join(sender, item), Some((_, None))));
        }
        assert_eq!(all(&mut turns), ["a1", "b1", "c1", "a2", "c2", "a3"]);
        assert_eq!(turns.len(), 0);
    }

    #[test]
    fn a_full_queue_takes_from_who_waits_with_most() {
        let mut turns = Turns::new(3);
        for item in ["a1", "a2", "a3"] {
            turns.join(A, item);
        }
        assert_eq!(turns.join(A, "a4"), None);
        assert!(matches!(turns.join(B, "b1"), Some((_, Some("a3")))));
        assert_eq!(turns.join(B, "b2"), None, "two of one make no room for a second of the other");
        assert!(matches!(turns.join(C, "c1"), Some((_, Some("a2")))));
        assert_eq!(turns.join(C, "c2"), None, "each has one");
        assert_eq!(all(&mut turns), ["a1", "b1", "c1"]);
        assert_eq!(Turns::new(0).join(A, "a1"), None);
    }

    #[test]
    fn who_leaves_is_passed_over() {
        let mut turns = Turns::new(10);
        let numbers: Vec<u64> =
            [(A, "a1"), (A, "a2"), (B, "b1")].map(|(sender, item)| turns.join(sender, item).expect("room").0).into();
        turns.leave(A, numbers[0]);
        turns.leave(A, numbers[0]);
        turns.leave(B, numbers[2]);
        assert_eq!((turns.len(), all(&mut turns)), (1, vec!["a2"]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u64),
        Next,
        Leave(usize),
    }

    proptest! {
        #[test]
        fn nobody_starves_and_the_queue_is_bounded(
            most in 0..12usize,
            steps in proptest::collection::vec(prop_oneof![
                (0..6u64).prop_map(Step::Join), Just(Step::Next), any::<usize>().prop_map(Step::Leave)
            ], 0..200),
        ) {
            let mut turns = Turns::new(most);
            // What waits: sender and number, in the order in which they came.
            let mut there: Vec<(u64, u64)> = Vec::new();
            // How many places each sender that waits saw go to others since its last one.
            let mut passed: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
            let mut at = 0;
            for step in steps {
                match step {
                    Step::Join(sender) => {
                        at += 1;
                        let counts = |of: u64| there.iter().filter(|(sender, _)| *sender == of).count();
                        let longest = (0..6).map(counts).max().unwrap_or(0);
                        let own = counts(sender);
                        match turns.join(Owner::Key(sender), (sender, at)) {
                            None => prop_assert!(there.len() == most && longest <= own + 1),
                            Some((_, left)) => {
                                if let Some(left) = left {
                                    let of_its_sender = there.iter().rfind(|(sender, _)| *sender == left.0);
                                    prop_assert_eq!(of_its_sender, Some(&left), "the last one of its sender");
                                    prop_assert!(left.0 != sender && counts(left.0) == longest);
                                    there.retain(|one| *one != left);
                                    if !there.iter().any(|(sender, _)| *sender == left.0) {
                                        passed.remove(&left.0);
                                    }
                                }
                                there.push((sender, at));
                                passed.entry(sender).or_default();
                            }
                        }
                    }
                    Step::Next => {
                        let served = turns.next_turn();
                        prop_assert_eq!(served.is_none(), there.is_empty());
                        let Some(served) = served else { continue };
                        let first = there.iter().find(|(sender, _)| *sender == served.0);
                        prop_assert_eq!(first, Some(&served), "in order within a sender");
                        there.retain(|one| *one != served);
                        passed.remove(&served.0);
                        passed.values_mut().for_each(|passed| *passed += 1);
                        if there.iter().any(|(sender, _)| *sender == served.0) {
                            passed.insert(served.0, 0);
                        }
                        prop_assert!(passed.values().all(|&passed| passed < 6), "longer than a turn of all");
                    }
                    Step::Leave(which) if !there.is_empty() => {
                        let (sender, at) = there.remove(which % there.len());
                        let line = turns.lines.iter().find(|line| line.sender == Owner::Key(sender)).expect("waits");
                        let number = line.waiting.iter().find(|(_, item)| item.1 == at).expect("waits").0;
                        turns.leave(Owner::Key(sender), number);
                        if !there.iter().any(|(other, _)| *other == sender) {
                            passed.remove(&sender);
                        }
                    }
                    Step::Leave(_) => {}
                }
                prop_assert!(turns.len() <= most);
                prop_assert_eq!(turns.len(), there.len());
                prop_assert!(turns.lines.iter().all(|line| !line.waiting.is_empty()));
            }
        }
    }
}
