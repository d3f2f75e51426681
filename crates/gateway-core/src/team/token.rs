//! What a client token may, and why it may not.

use crate::codes::codes;
use crate::holder::Holder;
use crate::http1::Refusal;
use crate::language::both;
use crate::reason::Reason;
use crate::rules::glob::Glob;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

codes! {
    /// Whether a token, or a user with all tokens, is used.
    State {
        /// It is.
        Active = "active",
        /// It is not, until somebody says so.
        Suspended = "suspended",
        /// It never is again.
        Revoked = "revoked",
    }
}

codes! {
    /// What a user may do in the panel and its API.
    Role {
        /// See what is the user's own.
        Member = "member",
        /// See and change everything.
        Admin = "admin",
    }
}

impl State {
    /// The one with this code. One that is not known, of a later version, is taken for one that is not used.
    pub fn of(code: &str) -> Self {
        Self::ALL.iter().copied().find(|state| state.code() == code).unwrap_or(Self::Suspended)
    }
}

/// A token, without its text.
#[derive(Clone, Debug)]
pub struct Token {
    /// Whose it is.
    pub holder: Arc<Holder>,
    /// The models that it may use; empty for all.
    pub models: Vec<Glob>,
    /// The names of the upstreams that it may use; empty for all.
    pub upstreams: Vec<String>,
    /// The networks that it may come from; empty for all.
    pub addresses: Vec<IpNet>,
    /// When it ends, in milliseconds since 1970.
    pub ends_ms: Option<i64>,
    /// Whether it is used.
    pub state: State,
    /// Whether its user is.
    pub user: State,
    /// Whether its user may see and change everything.
    pub is_admin: bool,
    /// When it was used last since somebody asked, in milliseconds since 1970; 0 if it was not.
    pub used_ms: Arc<AtomicI64>,
}

/// Why a request is refused for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has none, and needs one.
    Missing,
    /// Nobody knows it.
    Unknown,
    /// Nobody knows it, and its address has sent too many of these.
    Guesses,
    /// Its time is over, or that of the secret that a newer one took the place of.
    Expired,
    /// It was revoked.
    Revoked,
    /// It, or its user, is suspended.
    Suspended,
    /// It may not come from this address.
    Address,
    /// It may not use this model, or nobody can tell which one it is.
    Model,
    /// None of its upstreams is there.
    Upstream,
    /// It stands where an upstream would see it.
    Exposed,
}

impl Token {
    /// Whether a request with it is served that comes from this address now.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, client: Option<IpAddr>, now_ms: i64) -> Result<(), Denied> {
        let is_over = self.ends_ms.is_some_and(|ends| ends <= now_ms);
        let is_within = |client: IpAddr| self.addresses.iter().any(|network| network.contains(&client.to_canonical()));
        match (self.state, self.user) {
            (State::Revoked, _) | (_, State::Revoked) => Err(Denied::Revoked),
            _ if is_over => Err(Denied::Expired),
            (State::Suspended, _) | (_, State::Suspended) => Err(Denied::Suspended),
            _ if !self.addresses.is_empty() && !client.is_some_and(is_within) => Err(Denied::Address),
            (State::Active, State::Active) => Ok(()),
        }
    }

    /// What its user may do in the panel and its API.
    pub fn role(&self) -> Role {
        if self.is_admin { Role::Admin } else { Role::Member }
    }

    /// Whether it may use all of these models: at least one has to be known.
    ///
    /// # Errors
    /// [`Denied::Model`].
    pub fn admit_models(&self, named: &[String]) -> Result<(), Denied> {
        let may_use = |model: &String| self.models.iter().any(|glob| glob.matches(model));
        let is_fine = self.models.is_empty() || !named.is_empty() && named.iter().all(may_use);
        if is_fine { Ok(()) } else { Err(Denied::Model) }
    }
}

impl Denied {
    /// What the client is told.
    pub fn refusal(self) -> Refusal {
        let (status, reason, message) = match self {
            Self::Missing => (
                401,
                Reason::TokenMissing,
                both!(
                    "This gateway serves only who has a token of its own (agw_...): give it to the client as \
                     ANTHROPIC_AUTH_TOKEN. Whoever runs the gateway issues them.",
                    "此网关只接受它自己签发的令牌（agw_...）：请在客户端的 ANTHROPIC_AUTH_TOKEN 中填写令牌。令牌由网关的运营者签发。"
                ),
            ),
            Self::Unknown => (
                401,
                Reason::TokenUnknown,
                both!(
                    "This gateway does not know this token: it may be mistyped, or of another gateway.",
                    "此网关没有这个令牌：可能填写有误，或属于另一个网关。"
                ),
            ),
            Self::Guesses => (
                429,
                Reason::TokenGuesses,
                both!(
                    "This gateway does not know this token, and too many unknown ones came from this address: try again in \
                     a minute, with the right one.",
                    "此网关没有这个令牌，且此地址发来的未知令牌过多：请核对令牌，一分钟后再试。"
                ),
            ),
            Self::Expired => (
                401,
                Reason::TokenExpired,
                both!(
                    "This token has expired: ask whoever runs the gateway for a new one.",
                    "这个令牌已过期：请向网关的运营者索取新的令牌。"
                ),
            ),
            Self::Revoked => (
                401,
                Reason::TokenRevoked,
                both!(
                    "This token was revoked: ask whoever runs the gateway for a new one.",
                    "这个令牌已被吊销：请向网关的运营者索取新的令牌。"
                ),
            ),
            Self::Suspended => (
                403,
                Reason::TokenSuspended,
                both!(
                    "This token, or its user, is suspended: ask whoever runs the gateway.",
                    "这个令牌或它的用户已被停用：请联系网关的运营者。"
                ),
            ),
            Self::Address => (
                403,
                Reason::TokenAddress,
                both!(
                    "This token may not be used from this address: ask whoever runs the gateway.",
                    "这个令牌不能在此地址使用：请联系网关的运营者。"
                ),
            ),
            Self::Model => (
                404,
                Reason::TokenModel,
                both!(
                    "This token may not use this model: choose another one, or ask whoever runs the gateway.",
                    "这个令牌不能使用该模型：请换一个模型，或联系网关的运营者。"
                ),
            ),
            Self::Upstream => (
                403,
                Reason::TokenUpstream,
                both!(
                    "None of the upstreams that this token may use is in the gateway's configuration: ask whoever runs it.",
                    "这个令牌可用的上游都不在网关的配置中：请联系网关的运营者。"
                ),
            ),
            Self::Exposed => (
                403,
                Reason::TokenExposed,
                both!(
                    "This request holds a token of this gateway where the relay would read it, and tokens go to no relay. \
                     Have that token rotated without overlap, or revoked, and the conversation goes on; or take the token \
                     out of it.",
                    "这个请求的内容里有此网关的令牌，发出去会被中转站看到，因此没有发送。请让运营者吊销该令牌，\
                     或轮换并让旧令牌立即失效，对话即可继续；也可以从对话中删去令牌。"
                ),
            ),
        };
        Refusal::new(status, reason, message)
    }
}

#[cfg(test)]
pub(super) fn token_for_tests(id: &str) -> Token {
    let holder = Holder { user: "alice".into(), group: None, token: id.into() };
    Token {
        holder: Arc::new(holder),
        models: Vec::new(),
        upstreams: Vec::new(),
        addresses: Vec::new(),
        ends_ms: None,
        state: State::Active,
        user: State::Active,
        is_admin: false,
        used_ms: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::again::Again;
    use crate::language::Language;

    #[test]
    fn a_token_is_refused_for_the_first_of_its_faults() {
        let token = token_for_tests("tok_1");
        let here = Some(IpAddr::from([192, 0, 2, 7]));
        let networks = |text: &str| vec![text.parse().expect("a network")];
        let suspended = Token { user: State::Suspended, ..token.clone() };
        let elsewhere = Token { addresses: networks("10.0.0.0/8"), ..token.clone() };
        for (token, expected) in [
            (token.clone(), Ok(())),
            (Token { ends_ms: Some(1_001), ..token.clone() }, Ok(())),
            (Token { ends_ms: Some(1_000), ..token.clone() }, Err(Denied::Expired)),
            (Token { ends_ms: Some(1_000), ..suspended.clone() }, Err(Denied::Expired)),
            (Token { state: State::Revoked, ends_ms: Some(1), ..token.clone() }, Err(Denied::Revoked)),
            (Token { state: State::Suspended, ..token.clone() }, Err(Denied::Suspended)),
            (suspended, Err(Denied::Suspended)),
            (elsewhere, Err(Denied::Address)),
            (Token { addresses: networks("192.0.2.0/29"), ..token.clone() }, Ok(())),
        ] {
            assert_eq!(token.admit(here, 1_000), expected, "{token:?}");
        }
        let near = Token { addresses: networks("192.0.2.0/24"), ..token };
        assert_eq!(near.admit(Some("::ffff:192.0.2.7".parse().expect("an address")), 0), Ok(()));
        assert_eq!(near.admit(None, 0), Err(Denied::Address), "nobody knows where it comes from");
    }

    #[test]
    fn each_model_that_is_named_has_to_be_one_of_the_tokens() {
        let all = token_for_tests("tok_1");
        let some = Token { models: vec![Glob::new("claude-haiku-*"), Glob::new("claude-opus-5")], ..all.clone() };
        let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (names, is_fine) in [
            (&["claude-haiku-5-5"][..], true),
            (&["claude-opus-5"], true),
            (&["claude-opus-5-5"], false),
            (&["claude-haiku-5-5", "claude-opus-5-5"], false),
            (&[], false),
        ] {
            assert_eq!(some.admit_models(&named(names)).is_ok(), is_fine, "{names:?}");
            assert_eq!(all.admit_models(&named(names)), Ok(()));
        }
    }

    #[test]
    fn a_state_that_is_not_known_is_not_used() {
        for state in State::ALL {
            assert_eq!(State::of(state.code()), *state);
        }
        assert_eq!(State::of("half"), State::Suspended);
    }

    #[test]
    fn no_refusal_has_a_client_try_again_at_once() {
        for denied in [
            Denied::Missing,
            Denied::Unknown,
            Denied::Guesses,
            Denied::Expired,
            Denied::Revoked,
            Denied::Suspended,
            Denied::Address,
            Denied::Model,
            Denied::Upstream,
            Denied::Exposed,
        ] {
            let refusal = denied.refusal();
            let expected = if refusal.status == 429 { Again::After(60) } else { Again::Never };
            assert_eq!(refusal.reason.again(), expected, "{denied:?}");
            assert_ne!(refusal.message.text(Language::English), refusal.message.text(Language::Chinese));
        }
    }
}
