//! What was told of, and what is to be told now. Pure: what is seen goes in, events come out.

use super::event::{Event, Subject, Trouble};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What is seen at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What is not as it should be.
    pub troubles: BTreeMap<Subject, Trouble>,
    /// The upstreams that there are.
    pub upstreams: BTreeSet<Arc<str>>,
    /// Their keys, each with its upstream.
    pub keys: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Seen {
    /// Whether it is still looked at: what was taken out of the configuration is neither down nor up.
    fn knows(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Upstream(name) => self.upstreams.contains(name),
            Subject::Key(upstream, key) | Subject::Balance(upstream, key) => {
                self.keys.contains(&(Arc::clone(upstream), Arc::clone(key)))
            }
            _ => true,
        }
    }
}

/// What somebody was told of, and not yet that it is over.
#[derive(Clone, Copy, Debug)]
struct Told {
    stage: u64,
    since: SystemTime,
}

/// What was told, when.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    told: BTreeMap<Subject, Told>,
    /// When each was told last: of a subject its beginning, and its end.
    last: BTreeMap<(Subject, bool), SystemTime>,
}

impl Ledger {
    /// What is to be told now: how what is seen differs from what was told, each difference once in `quiet`. One that is
    /// held back for that is told afterwards, if it is still there.
    pub(super) fn due(&mut self, seen: &Seen, now: SystemTime, quiet: Duration) -> Vec<Event> {
        self.last.retain(|_, at| is_within(*at, now, quiet));
        self.told.retain(|subject, _| seen.knows(subject));
        let mut events = Vec::new();
        for (subject, trouble) in &seen.troubles {
            let told = self.told.get(subject);
            let is_news = told.is_none_or(|told| told.stage < trouble.stage);
            let key = (subject.clone(), true);
            if is_news && !self.last.contains_key(&key) {
                self.last.insert(key, now);
                let since = told.map_or(now, |told| told.since);
                self.told.insert(subject.clone(), Told { stage: trouble.stage, since });
                events.push(Event::beginning(subject, trouble, now));
            }
        }
        let over: Vec<(Subject, Told)> = self
            .told
            .iter()
            .filter(|(subject, _)| !seen.troubles.contains_key(*subject))
            .map(|(subject, told)| (subject.clone(), *told))
            .collect();
        for (subject, told) in over {
            let lasted = now.duration_since(told.since).unwrap_or_default();
            let key = (subject.clone(), false);
            match Event::end(&subject, lasted, now) {
                Some(_) if self.last.contains_key(&key) => {}
                end => {
                    self.told.remove(&subject);
                    if let Some(end) = end {
                        self.last.insert(key, now);
                        events.push(end);
                    }
                }
            }
        }
        events
    }
}

/// Whether something happened less than so long ago. With a clock that was set back nobody can tell: then it does not.
fn is_within(at: SystemTime, now: SystemTime, quiet: Duration) -> bool {
    now.duration_since(at).is_ok_and(|past| past < quiet)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
