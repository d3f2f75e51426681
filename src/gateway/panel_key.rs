//! The panel's key in force: who has it may see and change everything, so it never goes to an upstream.

use super::key_search::KeySearch;
use crate::config::panel_key::weakness;
use crate::config::routes::digest;
use crate::config::secret::Secret;
use arc_swap::ArcSwapOption;
use pingora::http::RequestHeader;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a ticket is good for, if nobody uses it.
const TICKET_TIME: Duration = Duration::from_secs(24 * 3600);
/// Tickets that are good at one time: a further one takes the place of the oldest.
const MOST_TICKETS: usize = 16;
/// What a ticket begins with.
const TICKET: &str = "once-";
/// Random characters of one: 256 bits.
const TICKET_CHARACTERS: usize = 43;

/// The panel's key, ready to be compared.
#[derive(Debug)]
pub(crate) struct PanelKey {
    key: Secret,
    digest: [u8; 32],
    /// Whether the configuration sets it, and not the file in the state folder.
    pub is_configured: bool,
    search: KeySearch,
}

impl PanelKey {
    /// Prepares a key.
    pub(crate) fn new(key: Secret, is_configured: bool) -> Self {
        let is_rare = weakness(key.expose()).is_none();
        let search = KeySearch::new(&key, is_rare);
        Self { digest: digest(key.expose().as_bytes()), key, is_configured, search }
    }

    /// The key itself.
    pub(crate) fn secret(&self) -> &Secret {
        &self.key
    }

    /// Whether this is the key. Takes the same time for every text of one length.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        digest(given).ct_eq(&self.digest).into()
    }
}

/// Where a request carries the panel's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// In its target or its fields: it is what the client was given for a key.
    InHead,
    /// In its body: somebody has written it down, or a program has read it.
    InBody,
}

/// What stands for the key in a link: `random` is 256 bits.
pub(crate) fn ticket(random: &Secret) -> Secret {
    Secret::new(format!("{TICKET}{}", random.expose()))
}

/// Whether this is a ticket by its looks. With 256 random bits none is a guess.
pub(crate) fn looks_like_ticket(given: &str) -> bool {
    let is_random = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    given.strip_prefix(TICKET).is_some_and(|rest| rest.len() == TICKET_CHARACTERS && rest.bytes().all(is_random))
}

#[derive(Debug)]
struct Ticket {
    digest: [u8; 32],
    issued: Instant,
}

/// What opens the panel.
#[derive(Debug, Default)]
pub(crate) struct PanelKeys {
    key: ArcSwapOption<PanelKey>,
    /// Each stands for the key once, in a link: browsers write links into their history, and take them to other machines,
    /// and other users of this one see the arguments of a browser.
    tickets: Mutex<VecDeque<Ticket>>,
}

impl PanelKeys {
    /// The key in force; without one nobody gets in.
    pub(crate) fn key(&self) -> Option<Arc<PanelKey>> {
        self.key.load_full()
    }

    /// Puts a key in force, or closes the panel.
    pub(crate) fn set(&self, key: Option<PanelKey>) {
        let present = self.key.load();
        let is_same = |present: &Arc<PanelKey>, key: &PanelKey| {
            present.key == key.key && present.is_configured == key.is_configured
        };
        // The same key stays the same value: sessions look at that.
        match (&*present, key) {
            (Some(present), Some(key)) if is_same(present, &key) => {}
            (_, key) => {
                self.key.store(key.map(Arc::new));
                self.tickets().clear();
            }
        }
    }

    /// Where a request that would be proxied carries the key.
    pub(crate) fn carried(&self, request: &RequestHeader, body: &[u8]) -> Option<Carried> {
        let key = self.key.load();
        let search = &key.as_ref()?.search;
        if search.is_in_head(request) {
            return Some(Carried::InHead);
        }
        search.is_in_body(body).then_some(Carried::InBody)
    }

    /// Has this text stand for the key once.
    pub(crate) fn issue(&self, ticket: &str) {
        let mut tickets = self.tickets();
        tickets.push_back(Ticket { digest: digest(ticket.as_bytes()), issued: Instant::now() });
        if tickets.len() > MOST_TICKETS {
            tickets.pop_front();
        }
    }

    /// Whether this text stands for the key; from now on it does not.
    pub(crate) fn redeem(&self, given: &[u8]) -> bool {
        let (given, mut tickets) = (digest(given), self.tickets());
        tickets.retain(|ticket| ticket.issued.elapsed() < TICKET_TIME);
        let before = tickets.len();
        tickets.retain(|ticket| !bool::from(given.ct_eq(&ticket.digest)));
        tickets.len() < before
    }

    fn tickets(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_until_the_key_changes() {
        let keys = PanelKeys::default();
        let set = |key: &str| keys.set(Some(PanelKey::new(Secret::new(key), false)));
        set("1");
        assert!(!keys.redeem(b"") && !keys.redeem(b"a"));
        keys.issue("a");
        keys.issue("b");
        set("1");
        assert!(keys.redeem(b"b") && !keys.redeem(b"b") && keys.redeem(b"a"));
        keys.issue("c");
        set("2");
        assert!(!keys.redeem(b"c"), "another key");
        for number in 0..=MOST_TICKETS {
            keys.issue(&number.to_string());
        }
        assert!(!keys.redeem(b"0") && keys.redeem(b"1"), "the oldest makes room");
    }

    #[test]
    fn a_ticket_is_told_from_a_key() {
        let made = ticket(&crate::config::panel_key::random().expect("random bits"));
        assert!(looks_like_ticket(made.expose()));
        for other in ["", "once-", "once-upon-a-time", made.expose().trim_start_matches("once-")] {
            assert!(!looks_like_ticket(other), "{other}");
        }
    }
}
