//! Who sends a request, and where it may go: found out once, before a byte of its body is read.

use super::client_keys::{self, AGENT, REQUEST_CLASS, SESSION, X_API_KEY};
use super::cross_site;
use super::local::{self, Whose};
use super::snapshot::{Group, Snapshot};
use crate::config::fingerprint::KeyFingerprint;
use crate::unix_time::now_ms;
use crate::upstream::sessions::Client;
use gateway_core::holder::Holder;
use gateway_core::http1::Refusal;
use gateway_core::rules::matcher::Facts;
use gateway_core::team::roster::Roster;
use gateway_core::team::text::{self, Digest};
use gateway_core::team::token::{Denied, Token};
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};
use once_cell::sync::Lazy;
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The fields that [`identify`] reads. Their names are made once: a head is looked through for each request with a
/// body.
static FIELDS: [HeaderName; 11] = [
    AUTHORIZATION,
    HOST,
    ORIGIN,
    X_API_KEY,
    SESSION,
    cross_site::SEC_FETCH_SITE,
    ACCESS_CONTROL_REQUEST_HEADERS,
    cross_site::X_GOOG_API_KEY,
    cross_site::API_KEY,
    REQUEST_CLASS,
    AGENT,
];

/// The lengths of these names, a bit each: most names of a head have none of them.
static LENGTHS: Lazy<u64> = Lazy::new(|| FIELDS.iter().fold(0, |lengths, name| lengths | 1 << name.as_str().len()));

/// Who sends a request, and where it may go. It is settled once, before a rule may answer; everything that asks later
/// reads it here.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Stands for its session and its key.
    pub sender: Client,
    /// What it stays together with at an upstream: its session, or that among the requests of its route.
    pub together: Client,
    /// Its key, as records tell keys apart; `None` without one. Of a client token it is that of its id, so that it stays the
    /// same when the token is rotated.
    pub key: Option<KeyFingerprint>,
    /// Its client token, if it has one that is known.
    pub token: Option<Arc<Token>>,
    /// What is kept of the text of that token with which it came.
    pub secret: Option<Digest>,
    /// Whether it has what is meant for a client token.
    pub shows_token: bool,
    /// Whether it is refused for its token, or for want of one: no rule answers it then.
    pub is_barred: bool,
    /// The upstreams that it may go to.
    ///
    /// # Errors
    /// Why it may go to none; that waits for the rules that answer at once.
    pub group: Result<Group, Refusal>,
}

impl Default for Identity {
    /// Of a request of which nothing is known yet.
    fn default() -> Self {
        Self {
            sender: Client::UNKNOWN,
            together: Client::UNKNOWN,
            key: None,
            token: None,
            secret: None,
            shows_token: false,
            is_barred: false,
            group: Ok(Group::Open),
        }
    }
}

impl Identity {
    /// The same sender and token, for who asks later.
    pub(super) fn of_token(&self) -> Option<Self> {
        let token = self.token.clone()?;
        Some(Self { token: Some(token), secret: self.secret, ..Self::default() })
    }

    /// Its token as it is now, if it has one: a request may take long to come in, or wait for its turn, and the token end
    /// meanwhile.
    ///
    /// # Errors
    /// Why the token is good no more.
    pub(super) fn look_again<'r>(
        &self,
        client: Option<IpAddr>,
        roster: &'r Roster,
    ) -> Result<Option<&'r Arc<Token>>, Denied> {
        let Some(token) = &self.token else { return Ok(None) };
        if let Some(secret) = &self.secret {
            return roster.admit_digest(secret, client, now_ms()).map(Some).map_err(|(denied, _)| denied);
        }
        let present = roster.with_id(&token.holder.token).ok_or(Denied::Unknown)?;
        present.admit(client, now_ms()).map(|()| Some(present))
    }
}

/// What was found out of a request before its body was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The configuration that it was found out with, and that the request is served with.
    pub snapshot: Arc<Snapshot>,
    /// Who sends it.
    pub identity: Identity,
}

/// Who sends a request with these fields from this address; `authority` is whom an HTTP/2 request is for. A token that is
/// accepted is noted as used.
pub(super) fn identify(
    headers: &HeaderMap,
    authority: Option<&Authority>,
    client: Option<IpAddr>,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Identity {
    let identity = look(headers, authority, client, roster, snapshot);
    if let (Some(token), Ok(_)) = (&identity.token, &identity.group) {
        token.used_ms.store(now_ms(), Ordering::Relaxed);
    }
    identity
}

/// The same, noting nothing.
pub(super) fn look(
    headers: &HeaderMap,
    authority: Option<&Authority>,
    client: Option<IpAddr>,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Identity {
    match presented(headers) {
        Some(presented) => by_token(headers, presented, client, roster, snapshot),
        None if snapshot.config.team.require_token => {
            let key = client_keys::client_keys(headers).next();
            Identity {
                sender: client_keys::client(headers, key),
                key: key.map(KeyFingerprint::of),
                is_barred: true,
                group: Err(Denied::Missing.refusal()),
                ..Identity::default()
            }
        }
        None => by_key(headers, authority, snapshot),
    }
}

/// The same of a request that is sent with a relay's key, or with none.
fn by_key(headers: &HeaderMap, authority: Option<&Authority>, snapshot: &Snapshot) -> Identity {
    let (route, key) = authenticating(headers, snapshot);
    let sender = client_keys::client(headers, key);
    Identity {
        sender,
        together: route.and_then(|route| snapshot.partial(route)).map_or(sender, |number| sender.among(number)),
        key: key.map(KeyFingerprint::of),
        group: find_group(headers, route, authority, snapshot),
        ..Identity::default()
    }
}

/// What is meant for a client token, in whichever of the fields for keys.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    client_keys::client_keys(headers).find(|key| text::is_meant(key))
}

fn by_token(
    headers: &HeaderMap,
    presented: &[u8],
    client: Option<IpAddr>,
    roster: &Roster,
    snapshot: &Snapshot,
) -> Identity {
    let secret = text::digest(presented);
    let admitted = secret.as_ref().map(|secret| roster.admit_digest(secret, client, now_ms()));
    let (token, denied) = match admitted.unwrap_or(Err((Denied::Unknown, None))) {
        Ok(token) => (Some(token), None),
        Err((denied, token)) => (token, Some(denied)),
    };
    let id = token.map(|token| &*token.holder.token);
    let sender = client_keys::client(headers, id.map(str::as_bytes));
    let group = match (denied, token) {
        (None, Some(token)) => group_of(token, snapshot),
        (denied, _) => Err(denied.unwrap_or(Denied::Unknown).refusal()),
    };
    Identity {
        sender,
        together: sender,
        key: id.map(KeyFingerprint::of_token),
        token: token.map(Arc::clone),
        secret,
        shows_token: true,
        is_barred: group.is_err(),
        group,
    }
}

/// The upstreams that a token may use: only those that have a key to go out in its place.
fn group_of(token: &Token, snapshot: &Snapshot) -> Result<Group, Refusal> {
    let may_use = |place: &usize| token.upstreams.contains(&snapshot.upstreams[*place].config.name);
    let places = match token.upstreams.is_empty() {
        true => Arc::clone(&snapshot.keyed),
        false => snapshot.keyed.iter().copied().filter(may_use).collect(),
    };
    if places.is_empty() { Err(Denied::Upstream.refusal()) } else { Ok(Group::OfToken(places)) }
}

/// The same of a request that was kept without its key, of which this is the fingerprint, or with this token, whatever has
/// become of it since.
pub(super) fn identify_kept(
    headers: &HeaderMap,
    fingerprint: Option<&str>,
    token: Option<&Arc<Token>>,
    snapshot: &Snapshot,
) -> Identity {
    if let Some(token) = token {
        let group = group_of(token, snapshot);
        return Identity { token: Some(Arc::clone(token)), is_barred: group.is_err(), group, ..Identity::default() };
    }
    let class = if snapshot.routes_by_class() { client_keys::request_class(headers) } else { None };
    let route = fingerprint.and_then(|fingerprint| snapshot.routed_by_fingerprint(fingerprint, class));
    Identity { group: find_group(headers, route, None, snapshot), ..Identity::default() }
}

/// The fingerprint of the key that authenticates a request with these fields, if there is one, and whose token it is.
pub(super) fn fingerprint(
    headers: &HeaderMap,
    roster: &Roster,
    snapshot: &Snapshot,
) -> (Option<KeyFingerprint>, Option<Arc<Holder>>) {
    let Some(presented) = presented(headers) else {
        return (authenticating(headers, snapshot).1.map(KeyFingerprint::of), None);
    };
    let holder = roster.whose(presented).map(|token| Arc::clone(&token.holder));
    (holder.as_ref().map(|holder| KeyFingerprint::of_token(&holder.token)), holder)
}

/// The route of a request, and the key that authenticates it: the one that the route lists, or else the first.
fn authenticating<'h>(headers: &'h HeaderMap, snapshot: &Snapshot) -> (Option<usize>, Option<&'h [u8]>) {
    let mut keys = client_keys::client_keys(headers);
    let class = if snapshot.routes_by_class() { client_keys::request_class(headers) } else { None };
    match snapshot.routed(keys.clone(), class) {
        Some((route, key)) => (Some(route), Some(key)),
        None => (None, keys.next()),
    }
}

fn find_group(
    headers: &HeaderMap,
    route: Option<usize>,
    authority: Option<&Authority>,
    snapshot: &Snapshot,
) -> Result<Group, Refusal> {
    let group = snapshot.find_group(route)?;
    if snapshot.adds_key(&group) {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        cross_site::check(headers, host.or(authority.map(Authority::as_str)), &snapshot.config.allow_origins)?;
    }
    Ok(group)
}

/// Those fields of an HTTP/1 head that [`identify`] reads.
pub(super) fn fields_of(head: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(FIELDS.len());
    for (name, value) in gateway_core::http1::head::fields(head) {
        if name.len() >= u64::BITS as usize || *LENGTHS >> name.len() & 1 == 0 {
            continue;
        }
        let known = FIELDS.iter().find(|known| name.eq_ignore_ascii_case(known.as_str().as_bytes()));
        if let (Some(name), Ok(value)) = (known, HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// Whether a request that no upstream is there for is answered all the same, and without its body: by a page of the
/// gateway's own, or by a rule, unless it is barred from these.
pub(super) fn is_answered_here(
    request: &RequestHeader,
    is_barred: bool,
    client: Option<IpAddr>,
    snapshot: &Snapshot,
) -> bool {
    let Some(destination) = snapshot.answering() else { return false };
    let facts = Facts {
        method: request.method.as_str(),
        target: request.raw_path(),
        headers: &request.headers,
        client,
        request_id: "",
        upstream: &destination.upstream.config.name,
        model: None,
        holder: None,
    };
    local::whose(request, &snapshot.config) != Whose::Upstreams
        || !is_barred && destination.rules.respond(&facts, None).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_1_head_tells_who_sends_it() {
        let head = b"POST /x-api-key:no HTTP/1.1\r\nHost: a\r\nX-API-Key: \t sk-1 \r\nAuthorization: Bearer sk-2\r\n\
            x-api-key-2: no\r\nX-Claude-Code-Session-Id: s\r\n\r\n";
        let fields = fields_of(head);
        let value = |name: &str| fields.get(name).map(HeaderValue::as_bytes);
        assert_eq!(value("x-api-key"), Some(&b"sk-1"[..]));
        assert_eq!(value("authorization"), Some(&b"Bearer sk-2"[..]));
        assert_eq!(value("x-claude-code-session-id"), Some(&b"s"[..]));
        assert_eq!(value("host"), Some(&b"a"[..]));
        assert_eq!(fields.len(), 4);
    }
}
