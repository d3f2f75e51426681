//! All client tokens, by what is kept of them: one map, which is replaced as a whole and never changed.

use super::found;
use super::text::{self, Digest};
use super::token::{Denied, State, Token};
use crate::holder::Holder;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// All client tokens.
#[derive(Debug, Default)]
pub struct Roster {
    secrets: HashMap<Digest, Secret>,
    by_id: HashMap<String, Arc<Token>>,
    has_tokens: bool,
}

/// One text of a token; one that was rotated has two for a while.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Whose text it is.
    pub token: Arc<Token>,
    /// When it is good no more although the token may be, in milliseconds since 1970.
    pub ends_ms: Option<i64>,
}

impl Roster {
    /// All of these.
    pub fn new(secrets: impl IntoIterator<Item = (Digest, Secret)>) -> Self {
        let secrets: HashMap<_, _> = secrets.into_iter().collect();
        let has_tokens = secrets.values().any(|secret| secret.token.state != State::Revoked);
        let tokens = secrets.values().map(|secret| (secret.token.holder.token.to_string(), Arc::clone(&secret.token)));
        let by_id = tokens.collect();
        Self { secrets, by_id, has_tokens }
    }

    /// Whether there is a token that is not revoked.
    pub fn has_tokens(&self) -> bool {
        self.has_tokens
    }

    /// Whose this token is, if a request with it is served that comes from this address now. A text that is none costs
    /// no more than one that is: a checksum, or a digest and a look into the map.
    ///
    /// # Errors
    /// Why it is not; with whose it is, where that is known.
    pub fn admit(
        &self,
        presented: &[u8],
        client: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<&Arc<Token>, (Denied, Option<&Arc<Token>>)> {
        match text::digest(presented) {
            Some(digest) => self.admit_digest(&digest, client, now_ms),
            None => Err((Denied::Unknown, None)),
        }
    }

    /// The same by what is kept of the text.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub fn admit_digest(
        &self,
        digest: &Digest,
        client: Option<IpAddr>,
        now_ms: i64,
    ) -> Result<&Arc<Token>, (Denied, Option<&Arc<Token>>)> {
        let Some(Secret { token, ends_ms }) = self.secrets.get(digest) else { return Err((Denied::Unknown, None)) };
        token.admit(client, now_ms).map_err(|denied| (denied, Some(token)))?;
        match ends_ms {
            Some(ends) if *ends <= now_ms => Err((Denied::Expired, Some(token))),
            _ => Ok(token),
        }
    }

    /// Whether this is the text that a token had last.
    pub fn is_newest(&self, digest: &Digest) -> bool {
        self.secrets.get(digest).is_some_and(|secret| secret.ends_ms.is_none())
    }

    /// Whose this token is, whether a request with it is served or not.
    pub fn whose(&self, presented: &[u8]) -> Option<&Arc<Token>> {
        Some(&self.secrets.get(&text::digest(presented)?)?.token)
    }

    /// The token with this id.
    pub fn with_id(&self, id: &str) -> Option<&Arc<Token>> {
        self.by_id.get(id)
    }

    /// The ids of all tokens whose holder is wanted, those that have ended too.
    pub fn ids(&self, is_wanted: impl Fn(&Holder) -> bool) -> Vec<String> {
        let wanted = self.by_id.iter().filter(|(_, token)| is_wanted(&token.holder));
        wanted.map(|(id, _)| id.clone()).collect()
    }

    /// Takes over from the roster before this one which tokens were used.
    pub fn keep_use(&self, former: &Self) {
        for (digest, secret) in &former.secrets {
            let used_ms = secret.token.used_ms.load(Ordering::Relaxed);
            if let Some(now) = self.secrets.get(digest).filter(|_| used_ms > 0) {
                now.token.used_ms.fetch_max(used_ms, Ordering::Relaxed);
            }
        }
    }

    /// The ids of the tokens that were used since this was asked last, and when.
    pub fn take_used(&self) -> Vec<(String, i64)> {
        let tokens = self.secrets.values().map(|secret| &secret.token);
        let used = tokens.map(|token| (token.holder.token.to_string(), token.used_ms.swap(0, Ordering::Relaxed)));
        used.filter(|(_, used_ms)| *used_ms > 0).collect()
    }

    /// Whether a token that is good now stands in this text.
    pub fn is_in(&self, text: &[u8], now_ms: i64) -> bool {
        let is_good = |secret: &Secret| {
            let ends = secret.ends_ms.into_iter().chain(secret.token.ends_ms);
            secret.token.state != State::Revoked && ends.min().is_none_or(|ends| ends > now_ms)
        };
        self.has_tokens && found::find(text).any(|digest| self.secrets.get(&digest).is_some_and(is_good))
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::token_for_tests;
    use super::*;

    fn secret(number: u8, token: &Arc<Token>, ends_ms: Option<i64>) -> (Digest, Secret) {
        let digest = text::digest(text::of([number; 32]).as_bytes()).expect("a token");
        (digest, Secret { token: Arc::clone(token), ends_ms })
    }

    #[test]
    fn a_token_that_was_rotated_has_two_texts_for_a_while() {
        let token = Arc::new(token_for_tests("tok_1"));
        let roster = Roster::new([secret(1, &token, Some(1_000)), secret(2, &token, None)]);
        let admit = |number: u8, now_ms| roster.admit(text::of([number; 32]).as_bytes(), None, now_ms);
        let id = |admitted: Result<&Arc<Token>, _>| admitted.map(|token| token.holder.token.to_string());
        assert_eq!(id(admit(1, 999)).expect("admitted"), "tok_1");
        assert_eq!(id(admit(2, 1_000)).expect("admitted"), "tok_1");
        assert!(matches!(admit(1, 1_000), Err((Denied::Expired, Some(_)))));
        assert!(matches!(admit(3, 0), Err((Denied::Unknown, None))));
        assert!(matches!(roster.admit(b"agw_x", None, 0), Err((Denied::Unknown, None))));
    }

    #[test]
    fn the_next_roster_knows_which_tokens_were_used() {
        let of = |secrets: &[u8]| {
            let token = Arc::new(token_for_tests("tok_1"));
            Roster::new(secrets.iter().map(|number| secret(*number, &token, None)))
        };
        let (former, next) = (of(&[1]), of(&[1, 2]));
        former.with_id("tok_1").expect("there").used_ms.store(7, Ordering::Relaxed);
        next.keep_use(&former);
        assert_eq!(next.take_used(), [("tok_1".to_owned(), 7)]);
        assert_eq!(next.take_used(), []);
        assert!(next.with_id("tok_2").is_none());
    }

    #[test]
    fn a_token_is_seen_in_a_text_as_long_as_it_is_good() {
        let token = Arc::new(token_for_tests("tok_1"));
        let revoked = Arc::new(Token { state: State::Revoked, ..token_for_tests("tok_2") });
        let roster = Roster::new([secret(1, &token, Some(1_000)), secret(2, &token, None), secret(3, &revoked, None)]);
        let is_in = |number: u8, now_ms| {
            roster.is_in(format!("{{\"text\":\"x{}\\n\"}}", text::of([number; 32])).as_bytes(), now_ms)
        };
        assert!(is_in(1, 999) && is_in(2, i64::MAX));
        assert!(!is_in(1, 1_000) && !is_in(3, 0) && !is_in(4, 0));
        assert!(roster.has_tokens());
        assert!(!Roster::new([secret(3, &revoked, None)]).has_tokens() && !Roster::default().has_tokens());
    }
}
