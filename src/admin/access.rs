//! Who may see the gateway's own pages, and who may change anything.

use super::{Call, Refused};
use crate::config::Config;
use crate::config::routes::digest;
use crate::config::secret::Secret;
use crate::gateway::{Answer, Shared};
use crate::rules::header::bearer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, HeaderValue, ORIGIN, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, Method};
use moka::sync::Cache;
use pingora::http::RequestHeader;
use ring::hmac;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use subtle::ConstantTimeEq;

/// The cookie of a reader who gave the key.
const COOKIE_NAME: &str = "gateway_session";
/// How long it is good for.
const SESSION_TIME: Duration = Duration::from_secs(12 * 3600);
/// Wrong keys of one address within [`FAILURE_TIME`]; after that it must wait.
const MOST_FAILURES: u32 = 5;
const FAILURE_TIME: Duration = Duration::from_secs(60);
/// Addresses that are remembered because of wrong keys.
const MOST_ADDRESSES: u64 = 10_000;

/// What a request may do, and why not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it may see what there is.
    pub may_read: bool,
    /// Whether it may change something.
    pub may_write: bool,
    reason: Reason,
}

/// Why a request may not do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It may.
    None,
    /// It has no key, or a wrong one.
    NoKey,
    /// Its address gave wrong keys too often.
    TooOften,
    /// No key is set: who is on this machine may look.
    KeyNotSet,
    /// It comes from another site's page.
    CrossSite,
    /// It is a change that does not say that it is JSON.
    NotJson,
}

impl Access {
    fn new(may_read: bool, may_write: bool, reason: Reason) -> Self {
        Self { may_read, may_write, reason }
    }

    /// Whether a request with this method to this path is allowed. `explain` runs the rules that are in force, on a text, and
    /// changes nothing; a check of an edit runs what somebody wrote, which is for those who may put it in force.
    pub fn may(&self, method: &Method, path: &[&str]) -> bool {
        let is_look = matches!(*method, Method::GET | Method::HEAD) || path == ["explain"];
        if is_look { self.may_read } else { self.may_write }
    }

    /// The answer to a request that is not allowed.
    pub fn refuse(&self, request_id: &str) -> Answer {
        let (status, message) = match self.reason {
            Reason::TooOften => (429, "Five wrong keys within a minute: wait a minute."),
            Reason::CrossSite => (403, "This is not for pages of other sites."),
            Reason::NotJson => (415, "A change must have Content-Type: application/json."),
            Reason::KeyNotSet if self.may_read => {
                (403, "Nobody may change anything while DASHBOARD_API_KEY is not set: set it in env/.env, and reload.")
            }
            Reason::KeyNotSet => (
                401,
                "While DASHBOARD_API_KEY is not set, only a client on this machine may look, at http://127.0.0.1.",
            ),
            Reason::NoKey | Reason::None => {
                (401, "This needs DASHBOARD_API_KEY as a bearer token, or a login at /admin.")
            }
        };
        let answer = Answer::error(status, message, request_id).with(CACHE_CONTROL, "no-store");
        if status == 429 { answer.with(RETRY_AFTER, "60") } else { answer }
    }
}

/// Decides, and counts wrong keys.
pub struct Gate {
    failures: Cache<IpAddr, Arc<AtomicU32>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { failures: Cache::builder().max_capacity(MOST_ADDRESSES).time_to_live(FAILURE_TIME).build() }
    }
}

impl Gate {
    /// What this request may do.
    pub fn access(&self, request: &RequestHeader, client: Option<IpAddr>, config: &Config) -> Access {
        let headers = &request.headers;
        if is_cross_site(request) {
            return Access::new(false, false, Reason::CrossSite);
        }
        let Some(key) = &config.dashboard_key else {
            return Access::new(is_here(request, client), false, Reason::KeyNotSet);
        };
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let is_known = match given {
            // Who must wait may not try.
            Some(_) if self.must_wait(client) => return Access::new(false, false, Reason::TooOften),
            Some(given) => self.is_right(given, key, client),
            None => cookie(headers).is_some_and(|cookie| is_session(cookie, key, SystemTime::now())),
        };
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        match is_known {
            false => Access::new(false, false, Reason::NoKey),
            true if is_read || is_json(headers) => Access::new(true, true, Reason::None),
            true => Access::new(true, false, Reason::NotJson),
        }
    }

    /// `session`: who one is, a login, a logout.
    pub fn session(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        body: &[u8],
        access: &Access,
        shared: &Shared,
        request_id: &str,
    ) -> Answer {
        let config = &shared.snapshot.load().config;
        let answer = match request.method {
            Method::GET | Method::HEAD => super::json(&serde_json::json!({
                "may_read": access.may_read,
                "may_write": access.may_write,
                "key_is_set": config.dashboard_key.is_some(),
                "version": env!("CARGO_PKG_VERSION"),
            })),
            _ if access.reason == Reason::CrossSite => return access.refuse(request_id),
            Method::POST => self.login(request, client, body, config, request_id),
            Method::DELETE => set_cookie(request, "", Duration::ZERO),
            _ => Err(Refused::Method(super::methods(&["session"]).unwrap_or_default())),
        };
        match answer {
            Ok(answer) => answer.with(CACHE_CONTROL, "no-store"),
            Err(refused) => refused.answer(request_id),
        }
    }

    fn login(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        body: &[u8],
        config: &Config,
        request_id: &str,
    ) -> Result<Answer, Refused> {
        #[derive(serde::Deserialize)]
        struct Login {
            key: String,
        }
        if !is_json(&request.headers) {
            return Err(Refused::Status(415, "A login must have Content-Type: application/json.".to_owned()));
        }
        let Some(key) = &config.dashboard_key else {
            return Err(Refused::bad("There is no key to log in with: set DASHBOARD_API_KEY in env/.env, and reload."));
        };
        if self.must_wait(client) {
            return Ok(Access::new(false, false, Reason::TooOften).refuse(request_id));
        }
        let call = Call { parameters: Default::default(), body };
        let login: Login = call.json("")?;
        if !self.is_right(login.key.as_bytes(), key, client) {
            return Err(Refused::Status(401, "This is not DASHBOARD_API_KEY.".to_owned()));
        }
        set_cookie(request, &new_session(key, SystemTime::now()), SESSION_TIME)
    }

    fn must_wait(&self, client: Option<IpAddr>) -> bool {
        let failures = client.and_then(|client| self.failures.get(&client));
        failures.is_some_and(|failures| failures.load(Ordering::Relaxed) >= MOST_FAILURES)
    }

    fn is_right(&self, given: &[u8], key: &Secret, client: Option<IpAddr>) -> bool {
        let is_right = digest(given).ct_eq(&digest(key.expose().as_bytes())).into();
        if let (false, Some(client)) = (is_right, client) {
            self.failures.get_with(client, Arc::default).fetch_add(1, Ordering::Relaxed);
        }
        is_right
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

/// Whether the client is on this machine itself. A reverse proxy is too, and what another site's name leads to (DNS
/// rebinding): these are told by their fields.
fn is_here(request: &RequestHeader, client: Option<IpAddr>) -> bool {
    let (host, headers) = (host(request), &request.headers);
    let name = match host.strip_prefix(b"[") {
        Some(address) => address.split(|&byte| byte == b']').next(),
        None => host.split(|&byte| byte == b':').next(),
    };
    let forwarding = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    matches!(name, Some(b"localhost" | b"127.0.0.1" | b"::1"))
        && !forwarding.iter().any(|name| headers.contains_key(*name))
        && client.is_some_and(|client| client.to_canonical().is_loopback())
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

/// The value of our cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// Sets our cookie. Behind TLS, ours or that of a reverse proxy, the browser names an `https` origin: then the cookie is
/// never to travel in the clear (RFC 6265 section 4.1.2.5).
fn set_cookie(request: &RequestHeader, value: &str, age: Duration) -> Result<Answer, Refused> {
    let is_tls = request.headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if is_tls { "; Secure" } else { "" };
    let text =
        format!("{COOKIE_NAME}={value}; Path=/api/admin; Max-Age={}; HttpOnly; SameSite=Strict{secure}", age.as_secs());
    let value = HeaderValue::from_str(&text).map_err(|error| Refused::Status(500, error.to_string()))?;
    let mut answer = Answer::new(204, "text/plain", "").with_value(SET_COOKIE, value);
    answer.headers.retain(|(name, _)| name != CONTENT_TYPE);
    Ok(answer)
}

/// A session that needs no memory: until when it is good, signed with the key. It survives a restart, and ends when the key
/// changes.
fn new_session(key: &Secret, now: SystemTime) -> String {
    let until = seconds(now + SESSION_TIME);
    let tag = hmac::sign(&signing_key(key), until.to_string().as_bytes());
    format!("{until}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn is_session(text: &str, key: &Secret, now: SystemTime) -> bool {
    let Some((until, tag)) = text.split_once('.') else { return false };
    let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
    // The signature first, in constant time.
    let is_signed = hmac::verify(&signing_key(key), until.as_bytes(), &tag).is_ok();
    is_signed && until.parse::<u64>().is_ok_and(|until| until > seconds(now))
}

fn signing_key(key: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, format!("anyrouter-gateway session {}", key.expose()).as_bytes())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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
    fn a_session_is_good_for_its_time_and_its_key() {
        let (key, other) = (Secret::new("key-1".to_owned()), Secret::new("key-2".to_owned()));
        let now = SystemTime::now();
        let session = new_session(&key, now);
        assert!(is_session(&session, &key, now));
        assert!(!is_session(&session, &other, now), "another key");
        assert!(!is_session(&session, &key, now + SESSION_TIME), "too late");
        let (until, tag) = session.split_once('.').expect("two parts");
        let longer = until.parse::<u64>().expect("a time") + 1;
        assert!(!is_session(&format!("{longer}.{tag}"), &key, now), "a later time with the same signature");
        assert!(!is_session("", &key, now) && !is_session("x.y", &key, now));
        let found = request(&[("cookie", "a=b; gateway_session=x.y")]);
        assert_eq!(cookie(&found.headers), Some("x.y"));
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
        assert!(is_here(&request, Some([127, 0, 0, 1].into())));
        request.insert_header("origin", "https://evil.example").expect("a field");
        assert!(is_cross_site(&request));
    }

    #[test]
    fn this_machine_is_told_by_address_name_and_the_lack_of_a_proxy() {
        let here = Some([127, 0, 0, 1].into());
        assert!(is_here(&request(&[("host", "localhost:8088")]), here));
        assert!(is_here(&request(&[("host", "[::1]:8088")]), Some(std::net::Ipv6Addr::LOCALHOST.into())));
        assert!(!is_here(&request(&[("host", "localhost:8088")]), Some([192, 0, 2, 1].into())));
        assert!(!is_here(&request(&[("host", "evil.example")]), here));
        assert!(!is_here(&request(&[]), here));
        assert!(!is_here(&request(&[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]), here));
    }

    #[test]
    fn too_many_wrong_keys_of_one_address_make_it_wait() {
        let (gate, key) = (Gate::default(), Secret::new("right".to_owned()));
        let (one, other) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        for _ in 0..MOST_FAILURES {
            assert!(!gate.must_wait(one));
            assert!(!gate.is_right(b"wrong", &key, one));
        }
        assert!(gate.must_wait(one) && !gate.must_wait(other));
        assert!(gate.is_right(b"right", &key, other));
    }
}
