//! Who may see the gateway's own pages, and who may change anything: who has the panel's key, or a session that began
//! with it. Nobody else, wherever a request comes from.

use super::call::{Call, Caller};
use super::fault::Fault;
use super::refused::{Refused, json};
use super::sessions::{self, Ended, Read, SESSION_TIME, Session};
use crate::gateway::{Answer, Free, Noted, PanelKey, PanelKeys, SESSION_COOKIES, WINDOW, WrongKeys, looks_like_ticket};
use crate::unix_time::now_ms;
use gateway_core::rules::header::bearer;
use gateway_core::team::roster::Roster;
use gateway_core::team::token::{Denied, Token};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderValue, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Cookies of our names that are looked at: more than a browser keeps for one host, so that other programs on other ports,
/// whose cookies it sends too, hide none.
const MOST_COOKIES: usize = 256;

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
    reason: Reason,
}

/// What lets a request in.
#[derive(Clone, Debug)]
enum Pass {
    /// The key itself.
    Key(Arc<PanelKey>),
    /// A session that began with it.
    Session(Arc<PanelKey>, Session),
    /// A client token. What it may is a matter of its user's role.
    Token(Arc<Token>),
}

/// Why a request may not do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
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

    fn may_read(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| !matches!(pass, Pass::Token(token) if !token.is_admin))
    }

    fn may_write(&self) -> bool {
        self.may_read() && self.reason == Reason::None
    }

    /// Who it is that was let in.
    pub(super) fn caller(&self) -> Caller {
        match &self.pass {
            None => Caller::default(),
            Some(Pass::Key(_)) => Caller { name: "the panel's key".to_owned(), token: None },
            Some(Pass::Session(..)) => Caller { name: "the panel".to_owned(), token: None },
            Some(Pass::Token(token)) => {
                let name = format!("{} ({})", token.holder.user, token.holder.token);
                Caller { name, token: Some(Arc::clone(token)) }
            }
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
            (false, Some(Pass::Token(token))) if needs != Needs::Own && !token.is_admin => Err(Reason::Member.refuse()),
            (false, _) => Err(self.reason.refuse()),
        }
    }
}

impl Reason {
    /// Why the request is refused, in words.
    fn refuse(self) -> Refused {
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
    ended: Ended,
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
            Some(given) => match roster.admit(given, client, now_ms()) {
                Ok(token) => Some(Pass::Token(Arc::clone(token))),
                Err((Denied::Unknown, _)) => None,
                // It was good once: no guess.
                Err(_) => return Access::none(Reason::NoKey),
            },
            None => match self.session_of(headers, &key) {
                Read::Good(session) => Some(Pass::Session(key, session)),
                Read::Forged => None,
                Read::None => return Access::none(Reason::NoKey),
            },
        };
        let Some(pass) = pass else { return Access::none(self.note_wrong(client).await) };
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let reason = if is_read || is_json(headers) { Reason::None } else { Reason::NotJson };
        Access { pass: Some(pass), reason }
    }

    async fn note_wrong(&self, client: Option<IpAddr>) -> Reason {
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
            Some(Pass::Token(token)) => {
                let present = roster.with_id(&token.holder.token);
                keys.key().is_some() && present.is_some_and(|token| token.is_admin && token.is_in_use(now_ms()))
            }
        }
    }

    /// The session of the request's cookies: a good one, if there is one.
    fn session_of(&self, headers: &HeaderMap, key: &PanelKey) -> Read {
        let now = SystemTime::now();
        let mut worst = Read::None;
        for cookie in cookies(headers) {
            match sessions::read(cookie, key.secret(), now) {
                Read::Good(session) if !self.ended.has(&session) => return Read::Good(session),
                Read::Forged => worst = Read::Forged,
                _ => {}
            }
        }
        worst
    }

    /// Who asks, and what it may do.
    pub(super) async fn who(&self, call: &Call, keys: &PanelKeys, roster: &Roster) -> Result<Answer, Refused> {
        let access = self.access(&call.request, call.client, keys, roster).await;
        if access.reason == Reason::Unanswered {
            return Err(access.reason.refuse());
        }
        json(&serde_json::json!({
            "may_read": access.may_read(),
            "may_write": access.may_write(),
            "key_is_set": keys.key().is_some(),
            "version": env!("CARGO_PKG_VERSION"),
        }))
    }

    /// Begins a session for who has the key. What else comes with a login does not matter: a cookie that is good no more is
    /// what there was before.
    pub(super) async fn login(&self, call: &Call, keys: &PanelKeys) -> Result<Answer, Refused> {
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
        if !key.is(given) && !keys.redeem(given) {
            if looks_like_ticket(&login.key) {
                return Err(Fault::LinkOver.into());
            }
            return Err(match self.note_wrong(call.client).await {
                Reason::NoKey => Fault::WrongKey.into(),
                reason => reason.refuse(),
            });
        }
        let session = sessions::begin(key.secret(), SystemTime::now()).map_err(Refused::failed)?;
        set_cookies(&call.request, &session, SESSION_TIME)
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

/// Whether a browser says that another site's page makes the request.
fn is_cross_site(request: &RequestHeader) -> bool {
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

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let name = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The values of our cookies. There may be many: browsers do not keep the ports of a host apart. Whatever else is among them
/// hides none.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let pairs = cookies.filter_map(|cookie| std::str::from_utf8(cookie).ok()?.trim().split_once('='));
    pairs.filter(|(name, _)| SESSION_COOKIES.contains(name)).map(|(_, value)| value).take(MOST_COOKIES)
}

/// Sets our cookie, or takes it away. Behind TLS, ours or that of a reverse proxy, the browser names an `https` origin: then
/// the cookie never travels in the clear, and no page without TLS can set it (RFC 6265bis section 4.1.3.1).
fn set_cookies(request: &RequestHeader, value: &str, age: Duration) -> Result<Answer, Refused> {
    let is_tls = request.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let [secure, plain] = SESSION_COOKIES;
    let names: &[(&str, &str)] = match (is_tls, value.is_empty()) {
        (true, true) => &[(secure, "; Secure"), (plain, "")],
        (true, false) => &[(secure, "; Secure")],
        (false, _) => &[(plain, "")],
    };
    let mut answer = Answer::new(204, "text/plain", "");
    answer.headers.clear();
    for (name, attribute) in names {
        let text =
            format!("{name}={value}; Path=/api/admin; Max-Age={}; HttpOnly; SameSite=Strict{attribute}", age.as_secs());
        let value = HeaderValue::from_str(&text).map_err(Refused::failed)?;
        answer = answer.with_value(SET_COOKIE, value);
    }
    Ok(answer)
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
    fn both_names_of_the_cookie_are_read() {
        let found = request(&[("cookie", "a=b; gateway_session=x.y"), ("cookie", "__Secure-gateway_session=z; c=d")]);
        assert_eq!(cookies(&found.headers).collect::<Vec<_>>(), ["x.y", "z"]);
    }

    #[test]
    fn a_good_cookie_is_found_among_those_of_other_programs() {
        let mut many = "gateway_session=1.2.3; ".repeat(200).into_bytes();
        many.extend_from_slice(b"name=caf\xe9; gateway_session=good");
        let mut found = request(&[]);
        found.append_header("cookie", HeaderValue::from_bytes(&many).expect("a value")).expect("a field");
        assert!(cookies(&found.headers).any(|value| value == "good"));
    }

    #[test]
    fn a_cookie_of_a_page_over_tls_is_for_tls_alone() {
        let lines = |origin: &str, value: &str| {
            let answer = set_cookies(&request(&[("origin", origin)]), value, SESSION_TIME);
            let Ok(answer) = answer else { panic!("no cookie") };
            answer.headers.iter().map(|(_, value)| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            lines("https://a.example", "x"),
            ["__Secure-gateway_session=x; Path=/api/admin; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"]
        );
        assert_eq!(
            lines("http://127.0.0.1:8088", "x"),
            ["gateway_session=x; Path=/api/admin; Max-Age=43200; HttpOnly; SameSite=Strict"]
        );
        assert_eq!(lines("https://a.example", "").len(), 2);
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
