//! The conversations whose thinking may come back, and the editions of the rules that they began with. Bounded as the
//! table of sessions is.

mod keeper;

use crate::config::resilience::Affinity;
use arc_swap::ArcSwap;
use gateway_core::thinking::conversation::Conversation;
use gateway_core::thinking::edition::{Edition, with_newest};
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use keeper::Keeper;

/// The conversations that are known; bounded.
#[derive(Debug)]
pub(crate) struct Conversations {
    settings: Affinity,
    table: Cache<u64, Arc<Conversation>>,
    /// What the rules did to `system` and `tools`, the present edition last.
    editions: ArcSwap<Vec<Arc<Edition>>>,
    /// How often something was remembered.
    changes: AtomicU64,
}

impl Conversations {
    /// The conversations after those of the `former` configuration, which stay known; `edition` is in force from here on.
    pub(crate) fn after(settings: &Affinity, former: Option<&Arc<Self>>, edition: &Arc<Edition>) -> Arc<Self> {
        let conversations = match former.filter(|former| former.settings == *settings) {
            Some(same) => Arc::clone(same),
            None => {
                let new = Self::new(settings);
                if let Some(former) = former {
                    new.editions.store(former.editions.load_full());
                    former.table.iter().for_each(|(key, conversation)| new.table.insert(*key, conversation));
                    new.changes.store(former.changes() + 1, Ordering::Relaxed);
                }
                Arc::new(new)
            }
        };
        conversations.editions.rcu(|editions| with_newest(editions, Arc::clone(edition)));
        conversations
    }

    fn new(settings: &Affinity) -> Self {
        let table = Cache::builder().max_capacity(settings.sessions as u64).time_to_idle(settings.idle).build();
        Self { settings: settings.clone(), table, editions: ArcSwap::default(), changes: AtomicU64::new(0) }
    }

    /// The conversation that goes by this number.
    pub(crate) fn get(&self, key: u64) -> Option<Arc<Conversation>> {
        self.table.get(&key)
    }

    /// Remembers what is known of it now.
    pub(crate) fn remember(&self, key: u64, conversation: Conversation) {
        self.table.insert(key, Arc::new(conversation));
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds editions, before the present ones, and conversations that are not known yet.
    fn add(&self, editions: Vec<Arc<Edition>>, conversations: Vec<(u64, Conversation)>) {
        self.editions.rcu(|known| {
            let all = editions.iter().filter(|new| known.iter().all(|known| known.digest() != new.digest()));
            all.chain(known.iter()).fold(Vec::new(), |kept, edition| with_newest(&kept, Arc::clone(edition)))
        });
        for (key, conversation) in conversations {
            if !self.table.contains_key(&key) {
                self.table.insert(key, Arc::new(conversation));
            }
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
}
