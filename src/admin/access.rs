//! Who may see the gateway's own pages, and who may change anything: who has the panel's key or a client token, or a session
//! that began with one. Nobody else, wherever a request comes from. `login.rs` begins and ends sessions.

use super::call::Caller;
use super::cookie::cookies;
use super::fault::Fault;
use super::refused::Refused;
use super::sessions::{self, Ended, Read, Session};
use crate::gateway::{Free, Noted, PanelKey, PanelKeys, WINDOW, WrongKeys};
use crate::unix_time::now_ms;
use gateway_core::rules::header::bearer;
use gateway_core::team::roster::Roster;
use gateway_core::team::text::{self, Digest};
use gateway_core::team::token::{Denied, Token};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// What a request must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: whoever wants to log in, or out, has nothing yet.
    Nothing,
    /// The key, or a session.
    Look,
    /// The same, in a request that no form of another site's page can make.
    Change,
    /// The key, a session, or a client token of anybody's.
    Own,
}

/// What a request may do, and why not more.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// What it showed; without it it may nothing.
    pass: Option<Pass>,
    pub reason: Reason,
}

/// What lets a request in.
#[derive(Clone, Debug)]
enum Pass {
    /// The key itself.
    Key(Arc<PanelKey>),
    /// A session that began with it.
    Session(Arc<PanelKey>, Session),
    /// A client token. What it may is a matter of its user's role.
    Token(Shown),
}

/// A client token that was shown, or that a session began with.
#[derive(Clone, Debug)]
struct Shown {
    token: Arc<Token>,
    /// What is kept of its text.
    digest: Digest,
    /// Where it comes from.
    client: Option<IpAddr>,
    /// The session, and the key that signed it.
    session: Option<(Arc<PanelKey>, Session)>,
}

/// Why a request may not do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It may.
    None,
    /// It has no key, or a wrong one.
    NoKey,
    /// There were too many wrong keys.
    TooOften,
    /// There were so many that this one is not answered.
    Unanswered,
    /// The gateway itself has no key.
    Closed,
    /// It comes from another site's page.
    CrossSite,
    /// It is a change that does not say that it is JSON.
    NotJson,
    /// It has a client token whose user is no admin.
    Member,
}

impl Access {
    const fn none(reason: Reason) -> Self {
        Self { pass: None, reason }
    }

    pub(super) fn may_read(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| !matches!(pass, Pass::Token(shown) if !shown.token.is_admin))
    }

    pub(super) fn may_write(&self) -> bool {
        self.may_read() && self.reason == Reason::None
    }

    /// Who it is that was let in.
    pub(super) fn caller(&self) -> Caller {
        match &self.pass {
            None => Caller::default(),
            Some(Pass::Key(_)) => Caller { name: "the panel's key".to_owned(), ..Caller::default() },
            Some(Pass::Session(..)) => Caller { name: "the panel".to_owned(), ..Caller::default() },
            Some(Pass::Token(Shown { token, digest, .. })) => {
                let name = format!("{} ({})", token.holder.user, token.holder.token);
                Caller { name, token: Some(Arc::clone(token)), text: Some(*digest) }
            }
        }
    }

    /// What whoever was let in may do, as the API calls it, and whose token it has.
    pub(super) fn role(&self) -> (Option<&'static str>, Option<Arc<str>>) {
        match &self.pass {
            None => (None, None),
            Some(Pass::Key(_) | Pass::Session(..)) => (Some("operator"), None),
            Some(Pass::Token(Shown { token, .. })) => (Some(token.role().code()), Some(Arc::clone(&token.holder.user))),
        }
    }

    /// Lets a request pass that has what it needs.
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn permit(&self, needs: Needs) -> Result<(), Refused> {
        let may = match needs {
            Needs::Nothing => true,
            Needs::Look => self.may_read(),
            Needs::Change => self.may_write(),
            Needs::Own => self.pass.is_some() && matches!(self.reason, Reason::None | Reason::Member),
        };
        match (may, &self.pass) {
            (true, _) => Ok(()),
            // Whatever else is wrong with it.
            (false, Some(Pass::Token(shown))) if needs != Needs::Own && !shown.token.is_admin => {
                Err(Reason::Member.refuse())
            }
            (false, _) => Err(self.reason.refuse()),
        }
    }
}

impl Reason {
    /// Why the request is refused, in words.
    pub(super) fn refuse(self) -> Refused {
        match self {
            Reason::Unanswered => Refused::Unanswered,
            Reason::TooOften => Refused::TooOften(WINDOW),
            Reason::CrossSite => Fault::CrossSite.into(),
            Reason::NotJson => Fault::NotSentAsJson.into(),
            Reason::Member => Fault::AdminNeeded.into(),
            Reason::Closed => Fault::NoPanelKey.into(),
            Reason::NoKey | Reason::None => Fault::KeyNeeded.into(),
        }
    }
}

/// Decides, and counts wrong keys.
pub(super) struct Gate {
    wrong: WrongKeys,
    pub ended: Ended,
}

impl Gate {
    /// A gate that keeps its state in this folder.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { wrong: WrongKeys::new("keys for the panel"), ended: Ended::open(state_dir) }
    }

    /// Takes over the sessions that another process has ended. This reads a file.
    pub(super) fn refresh(&self) {
        self.ended.refresh();
    }

    /// What this request may do. A wrong key may have to wait for the answer.
    pub(super) async fn access(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        keys: &PanelKeys,
        roster: &Roster,
    ) -> Access {
        let headers = &request.headers;
        if is_cross_site(request) {
            return Access::none(Reason::CrossSite);
        }
        let Some(key) = keys.key() else { return Access::none(Reason::Closed) };
        let pass = match headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes())) {
            Some(given) if key.is(given) => Some(Pass::Key(key)),
            Some(given) => match text::digest(given) {
                Some(digest) => match roster.admit_digest(&digest, client, now_ms()) {
                    Ok(token) => Some(Pass::Token(Shown { token: Arc::clone(token), digest, client, session: None })),
                    Err((Denied::Unknown, _)) => None,
                    // It was good once: no guess.
                    Err(_) => return Access::none(Reason::NoKey),
                },
                None => None,
            },
            None => match self.session_of(headers, &key, client, roster) {
                (Some(pass), _) => Some(pass),
                (None, true) => None,
                (None, false) => return Access::none(Reason::NoKey),
            },
        };
        let Some(pass) = pass else { return Access::none(self.note_wrong(client).await) };
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let reason = if is_read || is_json(headers) { Reason::None } else { Reason::NotJson };
        Access { pass: Some(pass), reason }
    }

    pub(super) async fn note_wrong(&self, client: Option<IpAddr>) -> Reason {
        match self.wrong.note(client, Free::FEW).await {
            Noted::Counted => Reason::NoKey,
            Noted::Late => Reason::TooOften,
            Noted::Unanswered => Reason::Unanswered,
        }
    }

    /// Whether what let a request in is still good: for answers without an end.
    pub(super) fn is_still_good(&self, access: &Access, keys: &PanelKeys, roster: &Roster) -> bool {
        let is_in_force = |known: &Arc<PanelKey>| keys.key().is_some_and(|key| Arc::ptr_eq(&key, known));
        match &access.pass {
            None => false,
            Some(Pass::Key(key)) => is_in_force(key),
            Some(Pass::Session(key, session)) => {
                is_in_force(key) && !session.is_over(SystemTime::now()) && !self.ended.has(session)
            }
            Some(Pass::Token(Shown { digest, client, session, .. })) => {
                let is_on = match session {
                    Some((key, session)) => {
                        is_in_force(key) && !session.is_over(SystemTime::now()) && !self.ended.has(session)
                    }
                    None => keys.key().is_some(),
                };
                is_on && roster.admit_digest(digest, *client, now_ms()).is_ok_and(|token| token.is_admin)
            }
        }
    }

    /// What a session of the request's cookies lets in, if one is good; else whether one is forged.
    fn session_of(
        &self,
        headers: &HeaderMap,
        key: &Arc<PanelKey>,
        client: Option<IpAddr>,
        roster: &Roster,
    ) -> (Option<Pass>, bool) {
        let (now, mut is_forged) = (SystemTime::now(), false);
        for cookie in cookies(headers) {
            match sessions::read(cookie, key.secret(), now) {
                Read::Good(session) if !self.ended.has(&session) => {
                    if let Some(pass) = of_session(session, key, client, roster) {
                        return (Some(pass), false);
                    }
                }
                Read::Forged => is_forged = true,
                _ => {}
            }
        }
        (None, is_forged)
    }
}

/// What a session lets in: one of a client token only as long as that is good, as if its text were shown.
fn of_session(session: Session, key: &Arc<PanelKey>, client: Option<IpAddr>, roster: &Roster) -> Option<Pass> {
    let key = Arc::clone(key);
    let Some(digest) = session.of else { return Some(Pass::Session(key, session)) };
    let token = Arc::clone(roster.admit_digest(&digest, client, now_ms()).ok()?);
    Some(Pass::Token(Shown { token, digest, client, session: Some((key, session)) }))
}

/// Whether a browser says that another site's page makes the request.
pub(super) fn is_cross_site(request: &RequestHeader) -> bool {
    // No page can forge this one; older browsers, and those without TLS, say only the origin.
    if let Some(site) = request.headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = request.headers.get(ORIGIN) else { return false };
    let (host, origin) = (host(request), origin.as_bytes());
    let origin = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    origin.is_none_or(|origin| origin != host)
}

/// The host that the request is for: HTTP/2 has it in `:authority`.
fn host(request: &RequestHeader) -> &[u8] {
    let field = request.headers.get(HOST).map(HeaderValue::as_bytes);
    field.or_else(|| Some(request.uri.authority()?.as_str().as_bytes())).unwrap_or_default()
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let name = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        request
    }

    #[test]
    fn pages_of_other_sites_are_told_by_what_browsers_say() {
        for (fields, is_other) in [
            (vec![], false),
            (vec![("sec-fetch-site", "same-origin")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("origin", "http://127.0.0.1:8088"), ("host", "127.0.0.1:8088")], false),
            (vec![("origin", "http://127.0.0.1:9999"), ("host", "127.0.0.1:8088")], true),
            (vec![("origin", "null"), ("host", "127.0.0.1:8088")], true),
        ] {
            assert_eq!(is_cross_site(&request(&fields)), is_other, "{fields:?}");
        }
    }

    #[test]
    fn http2_names_the_host_in_its_target() {
        let mut request = request(&[("origin", "https://127.0.0.1:8443")]);
        request.set_uri("https://127.0.0.1:8443/api/admin/session".parse().expect("a URI"));
        assert!(!is_cross_site(&request));
        request.insert_header("origin", "https://evil.example").expect("a field");
        assert!(is_cross_site(&request));
    }
}
