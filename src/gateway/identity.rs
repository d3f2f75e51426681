//! Who sends a request, and where it may go: found out once, before a byte of its body is read.

use super::client_keys::{self, AGENT, REQUEST_CLASS, SESSION, X_API_KEY};
use super::cross_site;
use super::local::{self, Whose};
use super::snapshot::{Group, Snapshot};
use crate::config::fingerprint::KeyFingerprint;
use crate::upstream::sessions::Client;
use gateway_core::http1::Refusal;
use gateway_core::rules::matcher::Facts;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};
use once_cell::sync::Lazy;
use pingora::http::RequestHeader;
use std::net::IpAddr;
use std::sync::Arc;

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
    /// Its key, as records tell keys apart; `None` without one.
    pub key: Option<KeyFingerprint>,
    /// The upstreams that it may go to.
    ///
    /// # Errors
    /// Why it may go to none; that waits for the rules that answer at once.
    pub group: Result<Group, Refusal>,
}

impl Default for Identity {
    /// Of a request of which nothing is known yet.
    fn default() -> Self {
        Self { sender: Client::UNKNOWN, together: Client::UNKNOWN, key: None, group: Ok(Group::Open) }
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

/// Who sends a request with these fields; `authority` is whom an HTTP/2 request is for.
pub(super) fn identify(headers: &HeaderMap, authority: Option<&Authority>, snapshot: &Snapshot) -> Identity {
    let (route, key) = authenticating(headers, snapshot);
    let sender = client_keys::client(headers, key);
    Identity {
        sender,
        together: route.and_then(|route| snapshot.partial(route)).map_or(sender, |number| sender.among(number)),
        key: key.map(KeyFingerprint::of),
        group: find_group(headers, route, authority, snapshot),
    }
}

/// The same of a request that was kept without its key, of which this is the fingerprint.
pub(super) fn identify_kept(headers: &HeaderMap, fingerprint: Option<&str>, snapshot: &Snapshot) -> Identity {
    let class = if snapshot.routes_by_class() { client_keys::request_class(headers) } else { None };
    let route = fingerprint.and_then(|fingerprint| snapshot.routed_by_fingerprint(fingerprint, class));
    Identity { group: find_group(headers, route, None, snapshot), ..Identity::default() }
}

/// The fingerprint of the key that authenticates a request with these fields, if there is one.
pub(super) fn fingerprint(headers: &HeaderMap, snapshot: &Snapshot) -> Option<KeyFingerprint> {
    authenticating(headers, snapshot).1.map(KeyFingerprint::of)
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
    if snapshot.adds_key(group) {
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
/// gateway's own, or by a rule.
pub(super) fn is_answered_here(request: &RequestHeader, client: Option<IpAddr>, snapshot: &Snapshot) -> bool {
    let Some(destination) = snapshot.answering() else { return false };
    let facts = Facts {
        method: request.method.as_str(),
        target: request.raw_path(),
        headers: &request.headers,
        client,
        request_id: "",
        upstream: &destination.upstream.config.name,
        model: None,
    };
    local::whose(request, &snapshot.config) != Whose::Upstreams || destination.rules.respond(&facts, None).is_some()
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
