//! Keeps the conversations in the state folder, so that an upgrade and a restart know them, with the editions of the rules
//! that they began with. Rules may hold secrets, so the files are their owner's alone.
//!
//! A process that handed over still ends requests: what it learns of them goes into a file of its own, which the process
//! that serves looks into.

use super::{Conversations, Known};
use crate::config::write_whole;
use gateway_core::language::Words;
use gateway_core::rules::prefix::PrefixRules;
use gateway_core::thinking::conversation::Conversation;
use gateway_core::thinking::edition::Edition;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file of the process that serves.
const FILE: &str = "conversations.json";
/// The file of a process that handed over.
const LEAVING: &str = "conversations-leaving.json";
/// Conversations in one file, those with thinking first.
const MOST: usize = 20_000;
/// Largest file that is read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// How long after a start the process before may still learn something.
const LEAVING_TIME: Duration = Duration::from_secs(10);
/// Shortest time between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// When it was written, in seconds since 1970.
    saved_at: u64,
    /// Rules by their digests.
    rules: BTreeMap<String, PrefixRules>,
    /// Editions by their digests: which rules they have for each upstream.
    editions: BTreeMap<String, Vec<(String, String)>>,
    /// The conversations, each with when something new was learnt of it last, in milliseconds since 1970.
    conversations: Vec<(u64, Conversation, u64)>,
}

/// Writes and reads the files.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many changes of the table are in the file.
    written: u64,
    /// When the next write may be.
    next: Option<Instant>,
    /// Which version of the other process's file was read.
    seen: Option<SystemTime>,
    /// When what other processes left was taken over.
    loaded: Option<Instant>,
}

impl Keeper {
    /// For this state folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), state: Mutex::default() }
    }

    /// Takes over what earlier processes left. A file that cannot be read costs no more than a line in the log.
    pub(crate) fn load(&self, conversations: &Conversations) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen = self.leaving_changed();
        self.read(FILE, conversations);
        state.written = conversations.changes();
        self.read(LEAVING, conversations);
        state.loaded = Some(Instant::now());
    }

    /// Whether two processes serve at this time, perhaps: what one learns, the other is to know with the next request.
    pub(crate) fn is_in_a_hurry(&self, has_successor: bool) -> bool {
        let loaded = self.state.lock().unwrap_or_else(PoisonError::into_inner).loaded;
        has_successor || loaded.is_some_and(|at| at.elapsed() < LEAVING_TIME)
    }

    /// Writes what has changed, and looks what another process has learnt. This may write and read a file.
    pub(crate) fn tick(&self, conversations: &Conversations, has_successor: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !has_successor {
            let changed = self.leaving_changed();
            if changed.is_some() && changed != state.seen {
                state.seen = changed;
                self.read(LEAVING, conversations);
            }
        }
        if has_successor || state.next.is_none_or(|next| next <= Instant::now()) {
            self.write(conversations, has_successor, &mut state);
        }
    }

    /// Writes at once what has changed.
    pub(crate) fn save(&self, conversations: &Conversations, has_successor: bool) {
        self.write(conversations, has_successor, &mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn write(&self, conversations: &Conversations, has_successor: bool, state: &mut State) {
        let changes = conversations.changes();
        if changes == state.written {
            return;
        }
        let began = Instant::now();
        let path = self.folder.join(if has_successor { LEAVING } else { FILE });
        let text = serde_json::to_vec(&Stored::of(conversations)).map_err(|error| Words::said(error.to_string()));
        if let Err(error) = text.and_then(|text| write_whole(&path, &text)) {
            log::error!("{error}: conversations are not known after a restart");
        }
        state.written = changes;
        state.next = Some(Instant::now() + PAUSE.max(began.elapsed() * SHARE));
    }

    fn leaving_changed(&self) -> Option<SystemTime> {
        std::fs::metadata(self.folder.join(LEAVING)).and_then(|file| file.modified()).ok()
    }

    fn read(&self, name: &str, conversations: &Conversations) {
        let path = self.folder.join(name);
        let Ok(file) = std::fs::metadata(&path) else { return };
        let text = match file.len() > MOST_BYTES {
            true => Err(format!("it has more than {} MiB", MOST_BYTES >> 20)),
            false => std::fs::read(&path).map_err(|error| error.to_string()),
        };
        let stored =
            text.and_then(|text| serde_json::from_slice::<Stored>(&text).map_err(|error| where_it_broke(&error)));
        match stored {
            Ok(stored) => stored.put_into(conversations),
            Err(error) => log::error!(
                "{}: the conversations in it are not known any more ({error}); those that go on have the present rules",
                path.display()
            ),
        }
    }
}

/// Where a file is damaged: what stands there may be a secret.
fn where_it_broke(error: &serde_json::Error) -> String {
    format!("damaged at line {}, column {}", error.line(), error.column())
}

impl Stored {
    fn of(conversations: &Conversations) -> Self {
        let (thinking, others): (Vec<_>, Vec<_>) = conversations
            .table
            .iter()
            .map(|(key, known)| (*key, known))
            .partition(|(_, known)| known.conversation.thinks());
        let kept: Vec<(u64, Known)> = thinking.into_iter().chain(others).take(MOST).collect();
        let used: HashSet<u64> = kept.iter().flat_map(|(_, known)| known.conversation.rules()).collect();
        let (mut rules, mut editions) = (BTreeMap::new(), BTreeMap::new());
        for edition in conversations.editions.load().iter().filter(|edition| used.contains(&edition.digest())) {
            let parts = edition.parts().map(|(name, part)| {
                let digest = hex(part.digest());
                rules.insert(digest.clone(), PrefixRules::clone(part));
                (name.to_string(), digest)
            });
            editions.insert(hex(edition.digest()), parts.collect());
        }
        let saved_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let stored = |(key, known): (u64, Known)| (key, Conversation::clone(&known.conversation), known.learnt_at);
        Self { saved_at, rules, editions, conversations: kept.into_iter().map(stored).collect() }
    }

    /// Adds what is newer than what is known there.
    fn put_into(self, conversations: &Conversations) {
        let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(self.saved_at));
        if age.is_ok_and(|age| age > conversations.settings.idle) {
            return;
        }
        let rules: BTreeMap<_, _> = self.rules.into_iter().map(|(digest, part)| (digest, Arc::new(part))).collect();
        let mut known = Vec::new();
        for (digest, parts) in self.editions {
            let Ok(digest) = u64::from_str_radix(&digest, 16) else { continue };
            let parts = parts.into_iter().filter_map(|(name, part)| Some((name.into(), Arc::clone(rules.get(&part)?))));
            known.push(Arc::new(Edition::stored(parts, digest)));
        }
        let stored = self.conversations.into_iter();
        let stored = stored
            .map(|(key, conversation, learnt_at)| (key, Known { conversation: Arc::new(conversation), learnt_at }));
        conversations.add(known, stored.collect());
    }
}

fn hex(digest: u64) -> String {
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resilience::Affinity;
    use crate::gateway::conversations::now_ms;
    use gateway_core::rules::body::{BodyAction, Mode, System, Target};
    use gateway_core::rules::rule::{Rule, RuleSet};
    use gateway_core::thinking::conversation::{Answered, Course, Place, Shown};
    use std::os::unix::fs::PermissionsExt as _;

    fn edition(text: &str) -> Arc<Edition> {
        let body = vec![BodyAction::System(System::new(Mode::Append, Target::Last, text))];
        let rule = Arc::new(Rule { name: "rule".into(), body, ..Rule::default() });
        Arc::new(Edition::of([(&Arc::from("a"), &RuleSet::new(vec![rule]))].into_iter()))
    }

    fn conversations(sessions: usize, edition: &Arc<Edition>) -> Arc<Conversations> {
        let conversations = Conversations::after(&Affinity { sessions, idle: Duration::from_secs(60) }, None);
        conversations.put_in_force(edition, None);
        conversations
    }

    fn remember(conversations: &Conversations, key: u64, edition: &Edition) {
        let answered = Answered {
            shown: Shown { comes_back: true, prefix: Some(7) },
            course: &Course::Unseen,
            rules: edition.digest(),
            place: Place { upstream: "a".into(), account: u64::MAX },
            changes_prefix: true,
            moved: None,
        };
        conversations.learn(key, |_| Conversation::after(None, &answered));
    }

    #[test]
    fn the_next_process_knows_conversations_and_their_rules() {
        let dir = tempfile::tempdir().expect("a folder");
        let (old_rules, new_rules) = (edition("a secret"), edition("new"));
        let old = conversations(10, &old_rules);
        remember(&old, u64::MAX, &old_rules);
        let keeper = Keeper::new(dir.path());
        keeper.tick(&old, false);
        let path = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let new = conversations(10, &new_rules);
        let next = Keeper::new(dir.path());
        next.load(&new);
        assert_eq!(new.get(u64::MAX), old.get(u64::MAX));
        let known = new.edition(old_rules.digest()).expect("known");
        assert_eq!(known.part("a").map(|part| part.digest()), old_rules.part("a").map(|part| part.digest()));
        assert!(new.edition(new_rules.digest()).is_some());
        // What the old one learns afterwards, of the same conversation too: the newest counts.
        remember(&old, 2, &old_rules);
        remember(&new, u64::MAX, &new_rules);
        keeper.save(&old, true);
        next.tick(&new, false);
        assert!(new.get(2).is_some());
        let rules = |key: u64| new.get(key).map(|known| known.rules().collect::<Vec<_>>());
        assert_eq!(rules(u64::MAX), Some(vec![new_rules.digest()]), "its own is newer");
        let before = now_ms();
        while now_ms() == before {
            std::thread::yield_now();
        }
        remember(&old, u64::MAX, &old_rules);
        Stored::of(&old).put_into(&new);
        assert_eq!(rules(u64::MAX), Some(vec![old_rules.digest()]), "the other one's is newer");
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let rules = edition("x");
        let (conversations, keeper) = (conversations(10, &rules), Keeper::new(dir.path()));
        keeper.tick(&conversations, false);
        assert!(!dir.path().join(FILE).exists());
        remember(&conversations, 1, &rules);
        keeper.tick(&conversations, false);
        std::fs::remove_file(dir.path().join(FILE)).expect("written");
        keeper.save(&conversations, false);
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_damaged_file_costs_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let rules = edition("x");
        let table = conversations(10, &rules);
        for text in ["", "{", "[]", "{\"saved_at\":0,\"rules\":{},\"editions\":{},\"conversations\":[]}"] {
            std::fs::write(dir.path().join(FILE), text).expect("written");
            Keeper::new(dir.path()).load(&table);
        }
        remember(&table, 1, &rules);
        Keeper::new(dir.path()).save(&table, false);
        let text = std::fs::read_to_string(dir.path().join(FILE)).expect("text");
        std::fs::write(dir.path().join(FILE), text.replace("Append", "Nonsense")).expect("written");
        let other = conversations(10, &rules);
        Keeper::new(dir.path()).load(&other);
        assert!(other.get(1).is_none());
    }
}
