//! The conversations whose thinking may come back, and the editions of the rules that they began with. Bounded as the
//! table of sessions is.

mod keeper;

use crate::config::resilience::Affinity;
use arc_swap::ArcSwap;
use gateway_core::thinking::conversation::Conversation;
use gateway_core::thinking::edition::{Edition, with_newest};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use keeper::Keeper;

/// The conversations that are known; bounded.
#[derive(Debug)]
pub(crate) struct Conversations {
    settings: Affinity,
    table: Cache<u64, Known>,
    /// What the rules did to `system` and `tools`, the present edition last.
    editions: ArcSwap<Vec<Arc<Edition>>>,
    /// How often something was remembered.
    changes: AtomicU64,
}

/// A conversation, and when something new was learnt of it last, in milliseconds since 1970.
#[derive(Clone, Debug)]
struct Known {
    conversation: Arc<Conversation>,
    learnt_at: u64,
}

impl Conversations {
    /// The conversations for a configuration with these settings: the `former` ones, if they have the same.
    pub(crate) fn after(settings: &Affinity, former: Option<&Arc<Self>>) -> Arc<Self> {
        match former.filter(|former| former.settings == *settings) {
            Some(same) => Arc::clone(same),
            None => Arc::new(Self::new(settings)),
        }
    }

    fn new(settings: &Affinity) -> Self {
        let table = Cache::builder().max_capacity(settings.sessions as u64).time_to_idle(settings.idle).build();
        Self { settings: settings.clone(), table, editions: ArcSwap::default(), changes: AtomicU64::new(0) }
    }

    /// This edition is in force from here on; what is known of the `former` conversations stays known.
    pub(crate) fn put_in_force(&self, edition: &Arc<Edition>, former: Option<&Self>) {
        if let Some(former) = former.filter(|former| !std::ptr::eq(*former, self)) {
            self.editions.store(former.editions.load_full());
            former.table.iter().for_each(|(key, known)| self.table.insert(*key, known));
            self.changes.store(former.changes() + 1, Ordering::Relaxed);
        }
        self.editions.rcu(|editions| with_newest(editions, Arc::clone(edition)));
    }

    /// The conversation that goes by this number.
    pub(crate) fn get(&self, key: u64) -> Option<Arc<Conversation>> {
        self.table.get(&key).map(|known| known.conversation)
    }

    /// Remembers what `now` makes of what is known of it at this moment, if that is anything new: other requests of the
    /// conversation may be under way.
    pub(crate) fn learn(&self, key: u64, now: impl Fn(Option<&Conversation>) -> Option<Conversation>) {
        // Most requests tell nothing new: then nothing is locked.
        if now(self.get(key).as_deref()).is_none() {
            return;
        }
        let result = self.table.entry(key).and_compute_with(|entry| {
            let present = entry.map(|entry| entry.into_value().conversation);
            match now(present.as_deref()) {
                Some(new) => Op::Put(Known { conversation: Arc::new(new), learnt_at: now_ms() }),
                None => Op::Nop,
            }
        });
        self.count(&result);
    }

    fn count(&self, result: &CompResult<u64, Known>) {
        if matches!(result, CompResult::Inserted(_) | CompResult::ReplacedWith(_)) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds editions, before the present ones, and conversations of which nothing newer is known.
    fn add(&self, editions: Vec<Arc<Edition>>, conversations: Vec<(u64, Known)>) {
        self.editions.rcu(|known| {
            let all = editions.iter().filter(|new| known.iter().all(|known| known.digest() != new.digest()));
            all.chain(known.iter()).fold(Vec::new(), |kept, edition| with_newest(&kept, Arc::clone(edition)))
        });
        for (key, new) in conversations {
            self.count(&self.table.entry(key).and_compute_with(|entry| {
                match entry.is_none_or(|entry| entry.value().learnt_at < new.learnt_at) {
                    true => Op::Put(new),
                    false => Op::Nop,
                }
            }));
        }
    }

    /// How often something was remembered.
    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The edition with this digest, if it is still known.
    pub(crate) fn edition(&self, digest: u64) -> Option<Arc<Edition>> {
        self.editions.load().iter().rfind(|edition| edition.digest() == digest).cloned()
    }

    /// Whether rules other than those of this edition changed `system` or `tools` of requests to an upstream, or may have.
    pub(crate) fn had_other_rules(&self, present: u64, upstream: &str) -> bool {
        let editions = self.editions.load();
        let mut others = editions.iter().filter(|edition| edition.digest() != present);
        others.any(|edition| edition.part(upstream).is_some_and(|part| part.changes_meaning()))
    }
}

/// The time that other processes of this machine have too, in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::thinking::conversation::{Answered, Course, Place, Shown};
    use std::time::Duration;

    #[test]
    fn requests_at_the_same_time_lose_nothing_of_each_other() {
        let affinity = Affinity { sessions: 10, idle: Duration::from_secs(60) };
        let conversations = Conversations::after(&affinity, None);
        // Agents of one session that the client does not tell apart: each began when nothing was known.
        std::thread::scope(|scope| {
            for prefix in 0..4 {
                let conversations = &conversations;
                scope.spawn(move || {
                    let answered = Answered {
                        shown: Shown { comes_back: true, prefix: Some(prefix) },
                        course: &Course::Unseen,
                        rules: prefix,
                        place: Place { upstream: "a".into(), account: 0 },
                        changes_prefix: true,
                        moved: None,
                    };
                    conversations.learn(1, |known| Conversation::after(known, &answered));
                });
            }
        });
        let mut rules: Vec<u64> = conversations.get(1).expect("known").rules().collect();
        rules.sort_unstable();
        assert_eq!(rules, [0, 1, 2, 3]);
    }
}
