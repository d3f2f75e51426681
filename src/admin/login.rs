//! Logins: what begins a session, what ends it, and what it is asked for.

use super::access::{Gate, Reason, is_cross_site, is_json};
use super::call::Call;
use super::cookie::{cookies, set_cookies};
use super::fault::Fault;
use super::refused::{Refused, json};
use super::sessions::{self, Read, SESSION_TIME};
use crate::gateway::{Answer, PanelKeys, looks_like_ticket};
use crate::unix_time::now_ms;
use gateway_core::team::roster::Roster;
use gateway_core::team::text::{self, Digest};
use gateway_core::team::token::Denied;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

impl Gate {
    /// Who asks, and what it may do.
    pub(super) async fn who(&self, call: &Call, keys: &PanelKeys, roster: &Roster) -> Result<Answer, Refused> {
        let access = self.access(&call.request, call.client, keys, roster).await;
        if access.reason == Reason::Unanswered {
            return Err(access.reason.refuse());
        }
        let (role, user) = access.role();
        json(&serde_json::json!({
            "may_read": access.may_read(),
            "may_write": access.may_write(),
            "role": role,
            "user": user,
            "key_is_set": keys.key().is_some(),
            "version": env!("CARGO_PKG_VERSION"),
        }))
    }

    /// Begins a session for who has the key, or a client token. What else comes with a login does not matter: a cookie that
    /// is good no more is what there was before.
    pub(super) async fn login(&self, call: &Call, keys: &PanelKeys, roster: &Roster) -> Result<Answer, Refused> {
        #[derive(serde::Deserialize)]
        struct Login {
            key: String,
        }
        if is_cross_site(&call.request) {
            return Err(Reason::CrossSite.refuse());
        }
        if !is_json(&call.request.headers) {
            return Err(Fault::NotSentAsJson.into());
        }
        let Some(key) = keys.key() else { return Err(Reason::Closed.refuse()) };
        let login: Login = call.json(|most| Fault::BodyTooLarge { most })?;
        let given = login.key.as_bytes();
        let of = match key.is(given) || keys.redeem(given) {
            true => None,
            false => Some(self.admitted(&login.key, call, roster).await?),
        };
        let session = sessions::begin(key.secret(), of.as_ref(), SystemTime::now()).map_err(Refused::failed)?;
        set_cookies(&call.request, &session, SESSION_TIME)
    }

    /// What is kept of a client token that is good.
    async fn admitted(&self, given: &str, call: &Call, roster: &Roster) -> Result<Digest, Refused> {
        if let Some(digest) = text::digest(given.as_bytes()) {
            match roster.admit_digest(&digest, call.client, now_ms()) {
                Ok(_) => return Ok(digest),
                Err((Denied::Unknown, _)) => {}
                // It was good once: no guess.
                Err((denied, _)) => return Err(Fault::TokenRefused { said: denied.refusal().message }.into()),
            }
        }
        if looks_like_ticket(given) {
            return Err(Fault::LinkOver.into());
        }
        Err(match self.note_wrong(call.client).await {
            Reason::NoKey => Fault::WrongKey.into(),
            reason => reason.refuse(),
        })
    }

    /// Ends every session that the request has.
    pub(super) async fn logout(self: &Arc<Self>, call: &Call, keys: &PanelKeys) -> Result<Answer, Refused> {
        if is_cross_site(&call.request) {
            return Err(Reason::CrossSite.refuse());
        }
        if let Some(key) = keys.key() {
            let now = SystemTime::now();
            for cookie in cookies(&call.request.headers) {
                if let Read::Good(session) = sessions::read(cookie, key.secret(), now) {
                    let gate = Arc::clone(self);
                    // It writes a file. Whatever comes of it is in the log.
                    drop(tokio::task::spawn_blocking(move || gate.ended.end(session)).await);
                }
            }
        }
        set_cookies(&call.request, "", Duration::ZERO)
    }
}
