//! Sessions: what a browser has instead of the key, or of a client token.
//!
//! A session says until when it is good and who it is, signed with the panel's key: nothing is kept of it, so that it
//! survives restarts and upgrades, and a new key ends all of them. One that began with a client token has its digest, by
//! which the token is looked up each time as if it were shown: it ends with that text of it. What is kept is the few that
//! were ended before their time, in memory and in the state folder, where the next process and the one before find them too.

use crate::config::secret::Secret;
use crate::config::write_whole;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::team::text::Digest;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a session is good.
pub(super) const SESSION_TIME: Duration = Duration::from_secs(12 * 3600);
/// Bytes of a session's id.
const ID_BYTES: usize = 16;
/// Ended sessions that are remembered one by one, and tokens of which any is.
const MOST_ENDED: usize = 1000;
/// The same of one token: whoever has it begins and ends as many as it likes, and ends nobody else's.
const MOST_ENDED_OF_A_TOKEN: usize = 8;
/// Largest file of them that is read.
const MOST_BYTES: u64 = 1024 * 1024;

/// A session whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Its random name.
    id: String,
    /// Until when it is good, in seconds since 1970.
    until: u64,
    /// What is kept of the text of the token that it began with; `None` if that was the panel's key.
    pub of: Option<Digest>,
}

impl Session {
    /// Whether its time is over.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.until <= seconds(now)
    }
}

/// The text of a new session, of the client token with this digest or of who has the panel's key.
///
/// # Errors
/// When the system gives no random bytes.
pub(super) fn begin(key: &Secret, of: Option<&Digest>, now: SystemTime) -> Result<String, String> {
    let mut id = [0; ID_BYTES];
    SystemRandom::new().fill(&mut id).map_err(|_| "the system gives no random bytes for a session".to_owned())?;
    let mut signed = format!("{}.{}", seconds(now + SESSION_TIME), URL_SAFE_NO_PAD.encode(id));
    if let Some(digest) = of {
        signed = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(digest));
    }
    let tag = hmac::sign(&signing_key(key, of.is_some()), signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// What a text that may be a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A session that is good unless it was ended.
    Good(Session),
    /// One that is over, or none at all.
    None,
    /// One that somebody else signed: as good as a wrong key.
    Forged,
}

/// Reads such a text.
pub(super) fn read(text: &str, key: &Secret, now: SystemTime) -> Read {
    let Some((signed, tag)) = text.rsplit_once('.') else { return Read::None };
    let Some((until, id)) = signed.split_once('.') else { return Read::None };
    let (id, digest) = id.split_once('.').map_or((id, None), |(id, digest)| (id, Some(digest)));
    let decoded = |digest| Digest::try_from(URL_SAFE_NO_PAD.decode(digest).ok()?).ok();
    let of = digest.map(decoded);
    if of == Some(None) {
        return Read::None;
    }
    let of = of.flatten();
    let (Ok(tag), Ok(until)) = (URL_SAFE_NO_PAD.decode(tag), until.parse::<u64>()) else { return Read::None };
    if until <= seconds(now) {
        return Read::None;
    }
    match hmac::verify(&signing_key(key, of.is_some()), signed.as_bytes(), &tag) {
        Ok(()) => Read::Good(Session { id: id.to_owned(), until, of }),
        Err(_) => Read::Forged,
    }
}

/// Those of tokens have another one: an earlier version, which does not know them, must not take one for the panel's.
fn signing_key(key: &Secret, is_of_token: bool) -> hmac::Key {
    let whose = if is_of_token { "of a token " } else { "" };
    hmac::Key::new(hmac::HMAC_SHA256, format!("anyrouter-gateway session {whose}{}", key.expose()).as_bytes())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The sessions that were ended before their time.
pub(super) struct Ended {
    path: PathBuf,
    lists: ArcSwap<Lists>,
    /// When the file was last changed, as far as this process knows; held while it is written.
    seen: Mutex<Option<SystemTime>>,
}

/// As they are in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lists {
    /// Those of the panel's key.
    #[serde(flatten)]
    of_key: List,
    /// Those of client tokens, by their digests.
    #[serde(default)]
    of_tokens: BTreeMap<String, List>,
    /// Sessions of tokens that would be over by then are over: what does not fit above is among them.
    #[serde(default)]
    of_tokens_before: u64,
}

/// Sessions that were ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    /// Sessions that would be over by then are over: what does not fit below is among them.
    #[serde(default)]
    before: u64,
    /// Until when each would be good.
    #[serde(default)]
    ended: BTreeMap<String, u64>,
}

impl Lists {
    fn of(session: Session) -> Self {
        let list = List { before: 0, ended: BTreeMap::from([(session.id, session.until)]) };
        match session.of {
            None => Self { of_key: list, ..Self::default() },
            Some(digest) => Self { of_tokens: BTreeMap::from([(named(&digest), list)]), ..Self::default() },
        }
    }

    fn has(&self, session: &Session) -> bool {
        match &session.of {
            None => self.of_key.has(session),
            Some(digest) => {
                session.until <= self.of_tokens_before
                    || self.of_tokens.get(&named(digest)).is_some_and(|list| list.has(session))
            }
        }
    }

    /// With all of others, without what is over anyway, and bounded: rather too many are ended than one too few.
    fn with(&self, other: Self, now: u64) -> Self {
        let mut of_tokens = self.of_tokens.clone();
        let mut before = self.of_tokens_before.max(other.of_tokens_before);
        for (digest, list) in other.of_tokens {
            let own = of_tokens.entry(digest).or_default();
            *own = own.with(list, now, MOST_ENDED_OF_A_TOKEN);
        }
        of_tokens.retain(|_, list| list.last() > now);
        while of_tokens.len() > MOST_ENDED
            && let Some((digest, last)) =
                of_tokens.iter().map(|(digest, list)| (digest.clone(), list.last())).min_by_key(|(_, last)| *last)
        {
            before = before.max(last);
            of_tokens.remove(&digest);
        }
        Self { of_key: self.of_key.with(other.of_key, now, MOST_ENDED), of_tokens, of_tokens_before: before }
    }
}

fn named(digest: &Digest) -> String {
    URL_SAFE_NO_PAD.encode(digest)
}

impl List {
    fn has(&self, session: &Session) -> bool {
        session.until <= self.before || self.ended.contains_key(&session.id)
    }

    /// When the last of them would be over.
    fn last(&self) -> u64 {
        self.ended.values().copied().max().unwrap_or_default().max(self.before)
    }

    fn with(&self, other: Self, now: u64, most: usize) -> Self {
        let mut list = self.clone();
        list.before = list.before.max(other.before);
        list.ended.extend(other.ended);
        list.ended.retain(|_, until| *until > now);
        while list.ended.len() > most
            && let Some((id, until)) =
                list.ended.iter().min_by_key(|(_, until)| **until).map(|(id, until)| (id.clone(), *until))
        {
            list.before = list.before.max(until);
            list.ended.remove(&id);
        }
        list
    }
}

impl Ended {
    /// Those of this state folder.
    pub(super) fn open(state_dir: &Path) -> Self {
        let ended =
            Self { path: state_dir.join("ended-sessions.json"), lists: ArcSwap::default(), seen: Mutex::new(None) };
        ended.refresh();
        ended
    }

    /// Whether this session was ended.
    pub(super) fn has(&self, session: &Session) -> bool {
        self.lists.load().has(session)
    }

    /// Ends a session, here and in the file.
    pub(super) fn end(&self, session: Session) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seconds(SystemTime::now());
        let lists = self.lists.load().with(Lists::of(session), now).with(self.read_file(), now);
        self.lists.store(Arc::new(lists.clone()));
        self.write(&lists);
        *seen = self.changed();
    }

    fn write(&self, lists: &Lists) {
        let text = serde_json::to_string(lists).unwrap_or_default();
        if let Err(error) = write_whole(&self.path, text.as_bytes()) {
            log::error!("{error}: a session that was ended is over for this process, but not after a restart");
        }
    }

    /// Takes over what another process has ended, if the file was changed. This reads a file.
    pub(super) fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.changed();
        if changed.is_none() && seen.is_some() {
            // Somebody deleted it: what was ended must not begin anew after a restart.
            self.write(&self.lists.load());
            *seen = self.changed();
            return;
        }
        if changed.is_some() && changed != *seen {
            let lists = self.lists.load().with(self.read_file(), seconds(SystemTime::now()));
            self.lists.store(Arc::new(lists));
            *seen = changed;
        }
    }

    fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).and_then(|file| file.modified()).ok()
    }

    fn read_file(&self) -> Lists {
        let is_small = std::fs::metadata(&self.path).is_ok_and(|file| file.len() <= MOST_BYTES);
        let text = is_small.then(|| std::fs::read(&self.path).ok()).flatten();
        let lists = text.map(|text| serde_json::from_slice(&text));
        lists.unwrap_or_else(|| Ok(Lists::default())).unwrap_or_else(|error| {
            log::error!("{}: the sessions that were ended cannot be read: {error}", self.path.display());
            Lists::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str, key: &Secret, now: SystemTime) -> Option<Session> {
        match read(text, key, now) {
            Read::Good(session) => Some(session),
            _ => None,
        }
    }

    #[test]
    fn a_session_is_good_for_its_time_and_its_key() {
        let (key, other) = (Secret::new("key-1"), Secret::new("key-2"));
        let now = SystemTime::now();
        let session = begin(&key, None, now).expect("random bytes");
        assert!(good(&session, &key, now).is_some());
        assert_eq!(read(&session, &other, now), Read::Forged, "another key");
        assert_eq!(read(&session, &key, now + SESSION_TIME), Read::None, "too late");
        let (until, rest) = session.split_once('.').expect("parts");
        let longer = until.parse::<u64>().expect("a time") + 1;
        assert_eq!(read(&format!("{longer}.{rest}"), &key, now), Read::Forged, "a later time with the same signature");
        for none in ["", "x.y", "x.y.z", "..", "99999999999999999999.a.b", "99999999999.a.b.c"] {
            assert_eq!(read(none, &key, now), Read::None, "{none}");
        }
        assert_ne!(begin(&key, None, now).expect("random bytes"), session);
    }

    #[test]
    fn a_session_of_a_token_is_that_tokens_and_no_other_ones() {
        let (key, now) = (Secret::new("key"), SystemTime::now());
        let text = begin(&key, Some(&[7; 32]), now).expect("random bytes");
        assert_eq!(good(&text, &key, now).and_then(|session| session.of), Some([7; 32]));
        let parts: Vec<&str> = text.split('.').collect();
        let [until, id, digest, tag] = parts[..] else { panic!("{text}") };
        assert_eq!(read(&format!("{until}.{id}.{tag}"), &key, now), Read::Forged, "not the panel's");
        let other = URL_SAFE_NO_PAD.encode([8; 32]);
        assert_eq!(read(&format!("{until}.{id}.{other}.{tag}"), &key, now), Read::Forged, "not another one's");
        // As an earlier version read it, which had one key for all.
        let signed = format!("{until}.{id}.{digest}");
        let tag = URL_SAFE_NO_PAD.decode(tag).expect("base64");
        assert!(hmac::verify(&signing_key(&key, false), signed.as_bytes(), &tag).is_err());
        let panel = begin(&key, None, now).expect("random bytes");
        assert_eq!(good(&panel, &key, now).and_then(|session| session.of), None);
        let (signed, tag) = panel.rsplit_once('.').expect("parts");
        assert_eq!(read(&format!("{signed}.{other}.{tag}"), &key, now), Read::Forged);
    }

    #[test]
    fn an_ended_session_stays_ended_for_every_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let (key, now) = (Secret::new("key"), SystemTime::now());
        let new = || good(&begin(&key, None, now).expect("random bytes"), &key, now).expect("good");
        let (one, two, three) = (new(), new(), new());
        let (old, next) = (Ended::open(dir.path()), Ended::open(dir.path()));
        old.end(one.clone());
        assert!(old.has(&one) && !old.has(&two));
        assert!(!next.has(&one));
        next.end(two.clone());
        assert!(next.has(&one) && next.has(&two), "what is in the file counts too");
        old.refresh();
        assert!(old.has(&two) && !old.has(&three));
        let restarted = Ended::open(dir.path());
        assert!(restarted.has(&one) && restarted.has(&two) && !restarted.has(&three));
    }

    #[test]
    fn a_full_list_ends_too_many_rather_than_too_few() {
        let sessions = |range: std::ops::Range<u64>| List {
            before: 0,
            ended: range.map(|until| (format!("{until:06}"), until)).collect(),
        };
        let most = MOST_ENDED as u64;
        let with = |list: &List, other, now| list.with(other, now, MOST_ENDED);
        let list = with(&with(&List::default(), sessions(100..100 + most), 0), sessions(5000..5003), 0);
        assert_eq!((list.ended.len(), list.before), (MOST_ENDED, 102));
        for until in [100, 102, 103, 5002] {
            assert!(list.has(&Session { id: format!("{until:06}"), until, of: None }), "{until}");
        }
        assert!(!list.has(&Session { id: "another".to_owned(), until: 103, of: None }));
        assert_eq!(with(&list, List::default(), 5001).ended.len(), 1, "what is over anyway is forgotten");
    }

    #[test]
    fn whoever_has_a_token_ends_its_own_sessions_alone_however_many() {
        let session = |id: u64, until: u64, of: Option<Digest>| Session { id: id.to_string(), until, of };
        let mut lists = Lists::default();
        for at in 0..3000 {
            lists = lists.with(Lists::of(session(at, 1000 + at, Some([1; 32]))), 0);
        }
        assert!(lists.has(&session(0, 1000, Some([1; 32]))) && lists.has(&session(2999, 3999, Some([1; 32]))));
        for other in [None, Some([2; 32])] {
            assert!(!lists.has(&session(9, 1000, other)), "{other:?}");
        }
        assert_eq!((lists.of_tokens.len(), lists.of_tokens[&named(&[1; 32])].ended.len()), (1, MOST_ENDED_OF_A_TOKEN));
        // More tokens than are remembered: those that are over first are over.
        for at in 0..=MOST_ENDED as u64 {
            let mut digest = [3; 32];
            digest[..8].copy_from_slice(&at.to_be_bytes());
            lists = lists.with(Lists::of(session(at, 5000 + at, Some(digest))), 0);
        }
        assert!(lists.has(&session(7, 4000, Some([9; 32]))) && !lists.has(&session(7, 9000, Some([9; 32]))));
        assert!(!lists.has(&session(7, 1, None)));
        let kept: Lists = serde_json::from_str(&serde_json::to_string(&lists).expect("JSON")).expect("lists");
        assert_eq!(kept, lists);
        let earlier: Lists = serde_json::from_str(r#"{"before": 5, "ended": {"a": 9}}"#).expect("an earlier version's");
        assert!(earlier.has(&session(1, 5, None)) && !earlier.has(&session(1, 5, Some([1; 32]))));
    }

    #[test]
    fn a_file_that_is_broken_or_cannot_be_written_does_not_keep_a_session_alive() {
        let dir = tempfile::tempdir().expect("a folder");
        let session = Session { id: "a".to_owned(), until: u64::MAX, of: None };
        std::fs::write(dir.path().join("ended-sessions.json"), "{").expect("written");
        let ended = Ended::open(dir.path());
        ended.end(session.clone());
        assert!(ended.has(&session));
        assert!(Ended::open(dir.path()).has(&session));
        std::fs::write(dir.path().join("file"), "").expect("written");
        let ended = Ended::open(&dir.path().join("file"));
        ended.end(session.clone());
        assert!(ended.has(&session));
    }
}
