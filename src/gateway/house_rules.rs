//! What the doors of both kinds of connections go by: which requests come in, with what limits, and what is told of
//! those that do not.

use super::answer::{Answer, new_request_id};
use super::clean::Names;
use super::client::body_budget::Budget;
use super::client::body_budget::Hold;
use super::client::body_shares::Owners;
use super::client::http1::{Begun, ClientStream};
use super::client::request::{Expected, NoRequest};
use super::client::unsent::Taking;
use super::identity::{self, Found};
use super::local::{self, LocalHandler, Whose};
use super::shared::Shared;
use super::snapshot::{Snapshot, X_FORWARDED_FOR};
use crate::config::Limits;
use crate::connections::{Place, Serving};
use crate::upstream::sessions::Client;
use bytes::BytesMut;
use gateway_core::addresses::{Origin, client_group};
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::http1::head::field_values;
use gateway_core::protocol::{Endpoint, Protocol};
use gateway_core::reason::Reason;
use gateway_core::record::{Cause, Outcome, RequestRecord};
use gateway_core::redact::MASK;
use http::HeaderMap;
use http::uri::Authority;
use pingora::http::RequestHeader;
use pingora::protocols::{GetSocketDigest, SocketDigest};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What both kinds of connections go by.
pub(super) struct HouseRules {
    /// What all requests share.
    pub shared: Arc<Shared>,
    /// The memory for request bodies.
    pub budget: Budget,
    /// Who answers requests for the gateway's own pages.
    pub pages: Arc<dyn LocalHandler>,
    /// Whether every request is one for the gateway's own pages.
    pub is_all_own: bool,
}

impl HouseRules {
    /// Reads the rest of a request; what of it is for Pingora, and its part of the connections while it is served.
    pub(super) async fn read(
        &self,
        client: &mut ClientStream,
        begun: Begun,
        snapshot: &Arc<Snapshot>,
        place: Option<&Place>,
    ) -> Result<(BytesMut, Option<Serving>), NoRequest> {
        let lines = field_values(begun.head(), X_FORWARDED_FOR.as_str());
        let origin = client.peer().map(|peer| snapshot.config.trusted_proxies.origin(peer, lines));
        let is_own = || begun.request().is_some_and(|request| self.is_own(&request, snapshot));
        let mut serving = match self.begin(origin, snapshot, place, is_own) {
            Ok(serving) => serving,
            Err(refusal) => {
                client.refuse(begun);
                return Err(refusal.into());
            }
        };
        client.watch(self.taking(origin, &snapshot.config.limits, client.get_socket_digest(), place));
        let head = self.read_rest(client, begun, origin.map(|origin| origin.client), snapshot).await?;
        // It may have had to make room in the last moment.
        serving.as_mut().map_or(Ok(()), Serving::whole).map_err(|_| Refusal::no_room())?;
        Ok((head, serving))
    }

    /// Takes a request in whose head is there: its part of the connections while it is served. Requests for the
    /// gateway's own pages are taken whatever waits for its clients; `is_own` says whether this is one.
    pub(super) fn begin(
        &self,
        origin: Option<Origin>,
        snapshot: &Snapshot,
        place: Option<&Place>,
        is_own: impl FnOnce() -> bool,
    ) -> Result<Option<Serving>, Refusal> {
        let client = origin.map(|origin| origin.client);
        let limit = snapshot.config.limits.unsent_answers;
        if !self.is_all_own && self.shared.unsent.is_full_for(client.map(client_group), limit) && !is_own() {
            return Err(Refusal::unread_responses());
        }
        place.map(|place| place.begin(client)).transpose().map_err(|_| Refusal::no_room())
    }

    async fn read_rest(
        &self,
        client: &mut ClientStream,
        begun: Begun,
        address: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<BytesMut, NoRequest> {
        let limits = &snapshot.config.limits;
        if !begun.has_body() {
            return client.read_rest(begun, limits, None, snapshot.must_see_bodies).await;
        }
        let may_be_own = self.is_all_own || local::may_take_body(&begun.target());
        if let Some(request) = may_be_own.then(|| begun.request()).flatten().filter(|it| self.is_own(it, snapshot)) {
            return match self.admit(&request, address, snapshot).await {
                Ok((own, expected)) => {
                    let read = client.read_rest(begun, &own, Some(expected), false).await;
                    read.map_err(|error| of_page(error, &own))
                }
                Err((answer, request_id)) => {
                    client.refuse(begun);
                    Err(NoRequest::Answered(answer, request_id))
                }
            };
        }
        let fields = identity::fields_of(begun.head());
        let may_come = |is_barred| {
            let is_here = |request: RequestHeader| self.is_answered_here(&request, is_barred, address, snapshot);
            client.holds_body(&begun) || begun.request().is_some_and(is_here)
        };
        match self.expect(&fields, None, address, snapshot, may_come) {
            Ok(expected) => client.read_rest(begun, limits, Some(expected), snapshot.must_see_bodies).await,
            Err(refusal) => {
                client.refuse(begun);
                Err(self.slowed(refusal, address).await)
            }
        }
    }

    /// A refusal, after a while if it is for one of many unknown tokens.
    pub(super) async fn slowed(&self, refusal: Refusal, client: Option<IpAddr>) -> NoRequest {
        self.shared.slow_guesses(&refusal, client).await.unwrap_or(refusal).into()
    }

    /// Whether the gateway has an answer of its own to what no upstream is there for. Who sends the panel's key is told that
    /// it is this one, and not that nobody knows it.
    pub(super) fn is_answered_here(
        &self,
        request: &RequestHeader,
        is_barred: bool,
        client: Option<IpAddr>,
        snapshot: &Snapshot,
    ) -> bool {
        identity::is_answered_here(request, is_barred, client, snapshot)
            || self.shared.panel.carried(request, b"").is_some()
    }

    /// What is known of a body before it is read. One of a request that no upstream is there for comes in only if it
    /// `may_come` all the same, which is told whether the request is refused for its token.
    pub(super) fn expect(
        &self,
        fields: &HeaderMap,
        authority: Option<&Authority>,
        client: Option<IpAddr>,
        snapshot: &Arc<Snapshot>,
        may_come: impl FnOnce(bool) -> bool,
    ) -> Result<Expected, Refusal> {
        let identity = identity::identify(fields, authority, client, &self.shared.roster.load(), snapshot);
        if let Err(refusal) = &identity.group
            && !may_come(identity.is_barred)
        {
            return Err(refusal.clone());
        }
        let hold = Hold::new(&self.budget, Owners::new(client, identity.sender));
        Ok(Expected { hold, found: Some(Found { snapshot: Arc::clone(snapshot), identity }) })
    }

    /// Watches how a client takes its answer.
    pub(super) fn taking(
        &self,
        origin: Option<Origin>,
        limits: &Limits,
        socket: Option<Arc<SocketDigest>>,
        place: Option<&Place>,
    ) -> Taking {
        let group = origin.map(|origin| client_group(origin.client));
        Taking::new(&self.shared.unsent, group, limits.write_timeout, limits.unsent_answers, socket, place.cloned())
    }

    /// Whether it is one for the gateway's own pages.
    pub(super) fn is_own(&self, request: &RequestHeader, snapshot: &Snapshot) -> bool {
        self.is_all_own || local::whose(request, &snapshot.config) == Whose::Pages
    }

    /// The limits of a request for the gateway's own pages, and what is known of its body before that is read; or its
    /// answer.
    pub(super) async fn admit(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        snapshot: &Snapshot,
    ) -> Result<(Limits, Expected), (Answer, String)> {
        let request_id = new_request_id();
        match self.pages.admit(request, client, &request_id).await {
            Ok(request_body) => {
                let hold = Hold::new(&self.budget, Owners::new(client, Client::UNKNOWN));
                let limits = Limits { request_body, ..snapshot.config.limits.clone() };
                Ok((limits, Expected { hold, found: None }))
            }
            Err(answer) => Err((answer, request_id)),
        }
    }

    /// What a record tells of the head of a request that was not read.
    pub(super) fn named(&self, request: &RequestHeader, snapshot: &Snapshot, record: RequestRecord) -> RequestRecord {
        let (method, path, endpoint) = match self.shared.panel.carried(request, b"") {
            // Any of them may hold it.
            Some(_) => (MASK.to_owned(), MASK.to_owned(), Endpoint::Other),
            None => {
                let Names { method, path, .. } = Names::of(request, None, &snapshot.secrets);
                (method, path, Protocol::of(request.method.as_str(), request.raw_path()).endpoint())
            }
        };
        let (key, holder) = identity::fingerprint(&request.headers, &self.shared.roster.load(), snapshot);
        let key = key.map(|key| key.to_string());
        RequestRecord { method, path, endpoint, key, holder, ..record }
    }

    /// Counts and logs a request that was not read. Those of the admin service are no traffic.
    pub(super) fn finish(&self, record: RequestRecord) {
        self.shared.finish(record, self.is_all_own);
    }
}

/// Why a request for one of the gateway's own pages was not read: the bound on its body is one that nobody can set.
pub(super) fn of_page(error: NoRequest, limits: &Limits) -> NoRequest {
    match error {
        NoRequest::Refused(refusal) if refusal.reason == Reason::RequestBody => {
            let message =
                both!("The body is larger than {most} bytes.", "请求体超过 {most} 字节。", most = limits.request_body);
            Refusal::new(refusal.status, refusal.reason, message).into()
        }
        other => other,
    }
}

/// The record of a request that was not read to its end.
pub(super) fn unread(
    request_id: String,
    client: Option<IpAddr>,
    refusal: &Refusal,
    outcome: Outcome,
    started: Instant,
    response_bytes: usize,
) -> RequestRecord {
    RequestRecord {
        duration: started.elapsed(),
        client,
        status: refusal.status,
        outcome,
        reason: Some(refusal.reason),
        response_bytes: response_bytes as u64,
        cause: (outcome == Outcome::Rejected).then_some(Cause::Rejected),
        ..RequestRecord::new(request_id, SystemTime::now() - started.elapsed())
    }
}
