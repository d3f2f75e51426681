//! The panel's key in force: who has it may see and change everything, so it never goes to an upstream.

use crate::config::routes::digest;
use crate::config::secret::Secret;
use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION};
use pingora::http::RequestHeader;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Keys from this length on are looked for in every field; a shorter one may be a word that other fields hold too.
const RARE_FROM: usize = 16;
/// What stands around a key in a field, a target or a cookie, unless it is a character of the key itself.
const SEPARATORS: &[u8] = b" \t,;=\"'&?/:|()<>{}[]";
/// How long a ticket is good for, if nobody uses it.
const TICKET_TIME: Duration = Duration::from_secs(24 * 3600);
/// Tickets that are good at one time: a further one takes the place of the oldest.
const MOST_TICKETS: usize = 16;

/// The panel's key, ready to be compared.
#[derive(Debug)]
pub struct PanelKey {
    key: Secret,
    digest: [u8; 32],
    /// Whether the configuration sets it, and not the file in the state folder.
    pub is_configured: bool,
    is_separator: Box<[bool; 256]>,
}

impl PanelKey {
    /// Prepares a key.
    pub fn new(key: Secret, is_configured: bool) -> Self {
        let own = key.expose().as_bytes();
        let mut is_separator = Box::new([false; 256]);
        for &byte in SEPARATORS.iter().filter(|byte| !own.contains(byte)) {
            is_separator[usize::from(byte)] = true;
        }
        Self { digest: digest(own), key, is_configured, is_separator }
    }

    /// The key itself.
    pub fn secret(&self) -> &Secret {
        &self.key
    }

    /// Whether this is the key. Takes the same time for every text of one length.
    pub fn is(&self, given: &[u8]) -> bool {
        digest(given).ct_eq(&self.digest).into()
    }

    /// Whether a request carries the key: in a field for credentials, or, unless the key may be a common word, in any
    /// field or the target.
    pub fn is_in(&self, request: &RequestHeader) -> bool {
        let own = self.key.expose().as_bytes();
        let is_rare = own.len() >= RARE_FROM;
        if is_rare && self.is_part_of(request.raw_path()) {
            return true;
        }
        request.headers.iter().any(|(name, value)| {
            (is_rare || is_for_credentials(name)) && value.len() >= own.len() && self.is_in_field(value)
                || *name == AUTHORIZATION && self.is_in_basic(value)
        })
    }

    fn is_in_field(&self, value: &HeaderValue) -> bool {
        self.equals(value.as_bytes()) || self.is_part_of(value.as_bytes())
    }

    /// Name and password, one of which may be the key.
    fn is_in_basic(&self, value: &HeaderValue) -> bool {
        let Some((scheme, credentials)) = value.as_bytes().split_at_checked(6) else { return false };
        scheme.eq_ignore_ascii_case(b"basic ")
            && STANDARD.decode(credentials.trim_ascii()).is_ok_and(|decoded| self.is_part_of(&decoded))
    }

    /// Whether the key stands between separators.
    fn is_part_of(&self, text: &[u8]) -> bool {
        text.len() >= self.key.expose().len()
            && text.split(|&byte| self.is_separator[usize::from(byte)]).any(|part| self.equals(part))
    }

    /// Compares without a digest: only the length shows in the time.
    fn equals(&self, text: &[u8]) -> bool {
        text.ct_eq(self.key.expose().as_bytes()).into()
    }
}

fn is_for_credentials(name: &HeaderName) -> bool {
    *name == AUTHORIZATION
        || *name == PROXY_AUTHORIZATION
        || *name == COOKIE
        || matches!(name.as_str(), "x-api-key" | "x-goog-api-key" | "api-key")
}

#[derive(Debug)]
struct Ticket {
    digest: [u8; 32],
    issued: Instant,
}

/// What opens the panel.
#[derive(Debug, Default)]
pub struct PanelKeys {
    key: ArcSwapOption<PanelKey>,
    /// Each stands for the key once, in a link: browsers write links into their history, and take them to other machines,
    /// and other users of this one see the arguments of a browser.
    tickets: Mutex<VecDeque<Ticket>>,
}

impl PanelKeys {
    /// The key in force; without one nobody gets in.
    pub fn key(&self) -> Option<Arc<PanelKey>> {
        self.key.load_full()
    }

    /// Puts a key in force, or closes the panel.
    pub fn set(&self, key: Option<PanelKey>) {
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

    /// Whether a request that would be proxied carries the key.
    pub fn is_in(&self, request: &RequestHeader) -> bool {
        self.key.load().as_ref().is_some_and(|key| key.is_in(request))
    }

    /// Has this text stand for the key once.
    pub fn issue(&self, ticket: &str) {
        let mut tickets = self.tickets();
        tickets.push_back(Ticket { digest: digest(ticket.as_bytes()), issued: Instant::now() });
        if tickets.len() > MOST_TICKETS {
            tickets.pop_front();
        }
    }

    /// Whether this text stands for the key; from now on it does not.
    pub fn redeem(&self, given: &[u8]) -> bool {
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

    const KEY: &str = "kX9vQ2mZ7pL4wR8tB6nY";

    fn request(target: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("a request");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        request
    }

    fn is_in(key: &str, target: &str, fields: &[(&'static str, &str)]) -> bool {
        PanelKey::new(Secret::new(key), true).is_in(&request(target, fields))
    }

    #[test]
    fn the_key_is_found_wherever_a_client_may_put_it() {
        let basic = format!("Basic {}", STANDARD.encode(format!("user:{KEY}")));
        for (name, value) in [
            ("authorization", format!("Bearer {KEY}")),
            ("authorization", format!("bearer   {KEY} ")),
            ("authorization", KEY.to_owned()),
            ("authorization", basic),
            ("x-api-key", KEY.to_owned()),
            ("x-goog-api-key", KEY.to_owned()),
            ("api-key", KEY.to_owned()),
            ("cookie", format!("a=b; key={KEY}; c=d")),
            ("x-something", format!("token=\"{KEY}\"")),
            ("referer", format!("http://127.0.0.1/admin?key={KEY}&x")),
        ] {
            assert!(is_in(KEY, "/v1/messages", &[("accept", "*/*"), (name, &value)]), "{name}: {value}");
        }
        assert!(is_in(KEY, &format!("/v1/models?key={KEY}"), &[]));
        assert!(is_in(KEY, &format!("/{KEY}/v1/models"), &[]));
        for (name, value) in [
            ("authorization", "Bearer sk-another".to_owned()),
            ("x-api-key", KEY.to_lowercase()),
            ("x-api-key", format!("{KEY}x")),
            ("authorization", "Basic !".to_owned()),
        ] {
            assert!(!is_in(KEY, "/v1/messages", &[(name, &value)]), "{name}: {value}");
        }
    }

    #[test]
    fn a_key_that_is_a_common_word_is_looked_for_among_credentials_only() {
        for key in ["cli", "1234"] {
            assert!(!is_in(key, "/cli?x=1234", &[("x-app", "cli"), ("content-length", "1234")]));
            assert!(is_in(key, "/", &[("x-api-key", key)]));
            assert!(is_in(key, "/", &[("authorization", &format!("Bearer {key}"))]));
        }
    }

    #[test]
    fn a_key_may_have_separators_in_it() {
        let key = "two words; and = a/slash";
        assert!(is_in(key, "/", &[("authorization", &format!("Bearer,{key}"))]));
        assert!(is_in(key, "/", &[("x-api-key", key)]));
    }

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
}
