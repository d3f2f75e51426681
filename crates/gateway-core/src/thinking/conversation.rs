//! What is known of a conversation whose thinking comes back, and how it goes on. Pure; who keeps it is another matter.

use super::Moved;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Stretches of one conversation that are remembered: agents that the client does not tell apart have one each.
const MOST_STRETCHES: usize = 4;

/// Where thinking comes from: an upstream, and the account there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The upstream's name.
    #[serde(with = "name")]
    pub upstream: Arc<str>,
    /// Stands for its address and the key that the gateway sends there.
    pub account: u64,
}

/// A part of a conversation with one `system` and `tools` of the client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Digest of the client's own `system` and `tools`; not known before thinking comes back.
    pub prefix: Option<u64>,
    /// Digest of the rules that it began with.
    pub rules: u64,
    /// Whether these changed its `system` or `tools`.
    pub changes_prefix: bool,
    /// Where its thinking came from last.
    pub place: Place,
    /// Whether it came from somewhere else before.
    pub has_moved: bool,
}

/// What is known of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its stretches, the newest first; never empty.
    stretches: Vec<Stretch>,
    /// Whether there is thinking in it.
    thinks: bool,
}

/// What a request shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Whether thinking comes back in it.
    pub comes_back: bool,
    /// The digest of the client's `system` and `tools`, if it was made.
    pub prefix: Option<u64>,
}

/// How a conversation goes on with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The present rules apply: nothing is known that binds it.
    Free,
    /// It goes on with this stretch: the rules of that one apply.
    Bound(Stretch),
    /// The client changed its `system` or `tools`: the present rules apply from here on.
    Anew,
    /// Thinking comes back, and nobody knows from where.
    Unseen,
}

impl Course {
    /// How a conversation, if it is known, goes on with such a request.
    pub fn of(known: Option<&Conversation>, shown: Shown) -> Self {
        let Some(known) = known else {
            return if shown.comes_back { Self::Unseen } else { Self::Free };
        };
        let stretch = match shown.comes_back {
            true => known.stretch(shown.prefix),
            // It goes on after a compaction, unless it is a side request: a title, a summary.
            false => known.with_prefix(shown.prefix.filter(|_| known.thinks)),
        };
        match stretch {
            Some(stretch) => Self::Bound(stretch.clone()),
            None if shown.comes_back => Self::Anew,
            None => Self::Free,
        }
    }

    /// The stretch that it goes on with.
    pub fn stretch(&self) -> Option<&Stretch> {
        match self {
            Self::Bound(stretch) => Some(stretch),
            _ => None,
        }
    }
}

/// What is known when a response has begun well.
#[derive(Clone, Debug)]
pub struct Answered<'a> {
    /// What the request shows.
    pub shown: Shown,
    /// How the conversation went on with it.
    pub course: &'a Course,
    /// The digest of the rules that it was sent with.
    pub rules: u64,
    /// Whether these changed its `system` or `tools`.
    pub changes_prefix: bool,
    /// Where it was sent.
    pub place: Place,
    /// Whether and how it moved with that.
    pub moved: Option<&'a Moved>,
}

impl Conversation {
    /// The stretch with this prefix, or one whose prefix is not known yet; of a request whose own is not known, the newest.
    fn stretch(&self, prefix: Option<u64>) -> Option<&Stretch> {
        let Some(prefix) = prefix else { return self.stretches.first() };
        let of_nobody = || self.stretches.iter().find(|stretch| stretch.prefix.is_none());
        self.with_prefix(Some(prefix)).or_else(of_nobody)
    }

    fn with_prefix(&self, prefix: Option<u64>) -> Option<&Stretch> {
        self.stretches.iter().find(|stretch| prefix.is_some() && stretch.prefix == prefix)
    }

    /// Where the stretch stands that went on as `former`. Other requests may have changed it since: then it is the one with
    /// this prefix.
    fn place_of(&self, former: Option<&Stretch>, prefix: Option<u64>) -> Option<usize> {
        let same = self.stretches.iter().position(|stretch| Some(stretch) == former);
        let prefix = prefix.or(former.and_then(|former| former.prefix));
        same.or_else(|| self.stretches.iter().position(|stretch| prefix.is_some() && stretch.prefix == prefix))
    }

    /// Whether it makes a difference for a request under these rules which `system` and `tools` it has, even if no
    /// thinking comes back in it.
    pub fn depends_on_prefix(&self, rules: u64) -> bool {
        self.thinks && self.stretches.iter().any(|stretch| stretch.rules != rules || stretch.has_moved)
    }

    /// The digests of the rules that it is bound to.
    pub fn rules(&self) -> impl Iterator<Item = u64> {
        self.stretches.iter().map(|stretch| stretch.rules)
    }

    /// Whether all its thinking came from this place.
    pub fn is_all_from(&self, place: &Place) -> bool {
        self.stretches.iter().all(|stretch| stretch.place == *place && !stretch.has_moved)
    }

    /// Whether there is thinking in it.
    pub fn thinks(&self) -> bool {
        self.thinks
    }

    /// What is known of it once a request was answered, `known` being what is known at that moment; `None` if that is
    /// nothing new. Requests without thinking, such as those for titles, begin a conversation, and leave one alone that is
    /// known.
    pub fn after(known: Option<&Self>, answered: &Answered<'_>) -> Option<Self> {
        let Answered { shown, course, rules, changes_prefix, place, moved } = answered;
        let stretch = Stretch {
            prefix: shown.prefix.filter(|_| shown.comes_back),
            rules: *rules,
            changes_prefix: *changes_prefix,
            place: place.clone(),
            has_moved: moved.is_some_and(Moved::is_by_gateway),
        };
        let Some(known) = known else {
            return Some(Self { stretches: vec![stretch], thinks: shown.comes_back });
        };
        if !shown.comes_back {
            return None;
        }
        let mut stretches = known.stretches.clone();
        match known.place_of(course.stretch(), stretch.prefix) {
            Some(at) => {
                let prefix = stretch.prefix.or(stretches[at].prefix);
                // A request at the same time may have gone elsewhere.
                let has_moved = stretch.has_moved || stretches[at].has_moved || stretches[at].place != stretch.place;
                stretches[at] = Stretch { prefix, has_moved, ..stretch };
            }
            None => {
                stretches.insert(0, stretch);
                stretches.truncate(MOST_STRETCHES);
            }
        }
        Some(Self { stretches, thinks: true }).filter(|now| now != known)
    }

    /// What is known of it once an answer had thinking in it, to a request without: that thinking is bound to the rules
    /// and the place of this request, and is the first of its stretch.
    pub fn after_thinking(known: Option<&Self>, answered: &Answered<'_>) -> Option<Self> {
        let Answered { course, rules, changes_prefix, place, .. } = answered;
        let (rules, changes_prefix) = (*rules, *changes_prefix);
        let begun = |prefix| Stretch { prefix, rules, changes_prefix, place: place.clone(), has_moved: false };
        let now = match (known, course.stretch()) {
            (Some(known), Some(former)) => {
                let mut stretches = known.stretches.clone();
                let at = known.place_of(Some(former), None)?;
                stretches[at] = begun(stretches[at].prefix);
                Self { stretches, thinks: true }
            }
            // A side request of one that thinks already.
            (Some(known), None) if known.thinks => return None,
            _ => Self { stretches: vec![begun(None)], thinks: true },
        };
        Some(now).filter(|now| Some(now) != known)
    }
}

/// Names that are shared.
mod name {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(name: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;

    fn place(upstream: &str) -> Place {
        Place { upstream: upstream.into(), account: 0 }
    }

    /// A conversation, as a gateway keeps it.
    #[derive(Default)]
    struct Kept(Option<Conversation>);

    impl Kept {
        /// A request that goes to this upstream under these rules; the rules that it is sent with.
        fn request(&mut self, shown: Shown, rules: u64, upstream: &str, has_thinking: bool) -> (u64, Course) {
            let course = Course::of(self.0.as_ref(), shown);
            let rules = course.stretch().map_or(rules, |stretch| stretch.rules);
            let moved = course.stretch().and_then(|stretch| match *stretch.place.upstream == *upstream {
                true => stretch.has_moved.then_some(Moved::Earlier),
                false => {
                    let from = Arc::clone(&stretch.place.upstream);
                    Some(Moved::Upstream { from, to: upstream.into(), names: Vec::new() })
                }
            });
            let (course, place, moved) = (&course, place(upstream), moved.as_ref());
            let answered = Answered { shown, course, rules, changes_prefix: true, place, moved };
            self.0 = Conversation::after(self.0.as_ref(), &answered).or(self.0.take());
            if has_thinking && !shown.comes_back {
                self.0 = Conversation::after_thinking(self.0.as_ref(), &answered).or(self.0.take());
            }
            (rules, course.clone())
        }

        fn stretches(&self) -> &[Stretch] {
            self.0.as_ref().map_or(&[], |known| &known.stretches)
        }
    }

    fn first() -> Shown {
        Shown::default()
    }

    fn back(prefix: u64) -> Shown {
        Shown { comes_back: true, prefix: Some(prefix) }
    }

    #[test]
    fn a_conversation_stays_on_the_rules_that_it_began_with() {
        for has_thinking in [true, false] {
            let mut kept = Kept::default();
            assert_eq!(kept.request(first(), 10, "a", has_thinking), (10, Course::Free));
            for rules in [11, 12, 13] {
                assert_eq!(kept.request(back(A), rules, "a", true).0, 10);
            }
            // After a compaction no thinking comes back for once.
            assert_eq!(kept.request(Shown { prefix: Some(A), ..first() }, 14, "a", true).0, 10);
            assert_eq!(kept.request(back(A), 15, "a", true).0, 10);
        }
    }

    #[test]
    fn thinking_that_comes_late_is_bound_to_the_rules_that_it_came_with() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "a", false);
        assert_eq!(kept.request(first(), 11, "b", true).0, 11, "nothing bound it");
        let (rules, course) = kept.request(back(A), 12, "b", true);
        assert_eq!((rules, course.stretch().map(|stretch| &*stretch.place.upstream)), (11, Some("b")));
    }

    #[test]
    fn side_requests_move_nothing() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "side", false);
        kept.request(first(), 10, "a", true);
        kept.request(first(), 11, "side", false);
        assert_eq!(kept.request(back(A), 11, "a", true).0, 10);
        let side = Shown { comes_back: false, prefix: Some(B) };
        assert_eq!(kept.request(side, 12, "side", true), (12, Course::Free));
        let (rules, course) = kept.request(back(A), 12, "a", true);
        assert_eq!((rules, course.stretch().map(|stretch| &*stretch.place.upstream)), (10, Some("a")));
        assert_eq!(kept.stretches().len(), 1);
    }

    #[test]
    fn a_client_that_changes_its_prefix_begins_anew() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "a", true);
        kept.request(back(A), 11, "a", true);
        assert_eq!(kept.request(back(B), 12, "a", true), (12, Course::Anew));
        assert_eq!(kept.request(back(B), 13, "a", true).0, 12);
        // Another agent of the same session, of which the client says nothing, goes on as it was.
        assert_eq!(kept.request(back(A), 13, "a", true).0, 10);
        for prefix in 3..20 {
            kept.request(back(prefix), 14, "a", true);
        }
        assert_eq!(kept.stretches().len(), MOST_STRETCHES);
    }

    #[test]
    fn a_move_is_remembered_as_long_as_its_thinking_comes_back() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "a", true);
        kept.request(back(A), 10, "b", true);
        assert!(kept.stretches()[0].has_moved);
        kept.request(back(A), 10, "b", true);
        assert!(kept.stretches()[0].has_moved, "older thinking still comes back");
        kept.request(Shown { prefix: Some(A), ..first() }, 10, "b", true);
        assert!(!kept.stretches()[0].has_moved, "none of it came back");
        assert_eq!(&*kept.stretches()[0].place.upstream, "b");
    }

    #[test]
    fn a_client_that_changes_its_prefix_may_send_thinking_of_before_a_move() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "a", true);
        kept.request(back(A), 10, "a", true);
        let is_all_from =
            |kept: &Kept, upstream| kept.0.as_ref().is_some_and(|known| known.is_all_from(&place(upstream)));
        assert!(is_all_from(&kept, "a") && !is_all_from(&kept, "b"));
        kept.request(back(A), 10, "b", true);
        assert!(!is_all_from(&kept, "a") && !is_all_from(&kept, "b"));
    }

    #[test]
    fn requests_at_the_same_time_lose_nothing_of_each_other() {
        let mut kept = Kept::default();
        kept.request(first(), 10, "a", true);
        let course = Course::of(kept.0.as_ref(), back(A));
        let (shown, place_a) = (back(A), place("a"));
        let late = Answered { shown, course: &course, rules: 10, changes_prefix: true, place: place_a, moved: None };
        // Meanwhile one goes elsewhere, and the client begins anew with another.
        kept.request(back(A), 10, "b", true);
        kept.request(back(B), 12, "a", true);
        let now = Conversation::after(kept.0.as_ref(), &late).expect("it moved back");
        assert_eq!(now.rules().collect::<Vec<_>>(), [12, 10], "no stretch is lost, none is there twice");
        let stretch = now.with_prefix(Some(A)).expect("known");
        assert!(stretch.has_moved && *stretch.place.upstream == *"a", "{stretch:?}");
    }

    #[test]
    fn thinking_from_nowhere_is_told() {
        let mut kept = Kept::default();
        assert_eq!(kept.request(back(A), 10, "a", true), (10, Course::Unseen));
        assert_eq!(kept.request(back(A), 11, "a", true).0, 10);
        let text = serde_json::to_string(&kept.0).expect("stored");
        assert_eq!(serde_json::from_str::<Option<Conversation>>(&text).expect("read"), kept.0);
    }
}
