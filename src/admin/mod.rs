//! The gateway's own pages: health, the admin API, and where the panel is. Both services serve them: the gateway hands
//! such requests on, and the admin service has nothing else.

mod access;
mod assets;
mod audited;
mod call;
mod capture;
mod configuration;
mod conversations;
mod cookie;
mod download;
mod drafts;
mod dry_run;
mod export;
mod fault;
mod keys;
mod limits;
mod live;
mod login;
mod notify;
mod own;
mod parameters;
mod parts;
mod recost;
mod refused;
mod requests;
mod routes;
mod service;
mod sessions;
mod statistics;
mod status;
mod team;
mod turns;
mod upstream_test;
mod upstreams;
mod waste;
mod whose;

use crate::config::live::Live;
use crate::gateway::{Answer, LocalHandler, LocalRequest, Recipient, Shared};
use crate::notify::Notifier;
use crate::store::{Reader, Recosts};
use crate::team::Keeper;
use access::{Access, Gate, Needs};
use assets::HTML;
use async_trait::async_trait;
use call::{Call, MAX_BODY_BYTES, SMALL_BODY_BYTES};
use fault::Fault;
use gateway_core::http1::split_query;
use http::Method;
use http::header::{CACHE_CONTROL, LOCATION};
use parameters::Parameters;
use parts::Parts;
use pingora::http::RequestHeader;
use refused::Refused;
use routes::Reply;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use turns::Turns;

pub(crate) use service::AdminService;

/// What the paths of the API begin with.
const API: &[u8] = b"/api/admin/";
/// How many tests with a message there are at a time.
const TESTS: usize = 4;
/// Most tests of targets of notifications at a time: each waits for another server.
const NOTICES: usize = 4;

/// Answers requests for the gateway's own pages.
pub(crate) struct Admin {
    parts: Parts,
}

impl Admin {
    /// The pages of a gateway that keeps its state in this folder.
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: Option<Reader>,
        recosts: Option<Recosts>,
        live: Arc<Live>,
        notifier: Arc<Notifier>,
        team: Arc<Keeper>,
        state_dir: &Path,
    ) -> Self {
        let (checks, dry_runs) = (Turns::new(), Turns::new());
        let (tests, notices) = (Turns::of(TESTS), Turns::of(NOTICES));
        let gate = Arc::new(Gate::new(state_dir));
        Self { parts: Parts { shared, log, recosts, live, notifier, team, gate, checks, dry_runs, tests, notices } }
    }

    /// Takes over what another process has changed in the state folder. This reads a file.
    pub(crate) fn refresh(&self) {
        self.parts.gate.refresh();
    }

    /// Whom the answer to a request is for.
    fn recipient<'r>(&self, request_id: &'r str, request: &RequestHeader) -> Recipient<'r> {
        Recipient::of(request_id, &request.headers, self.parts.shared.snapshot.load().config.language)
    }

    /// The answer to a request for a page, which needs no key.
    fn page(&self, request: &RequestHeader, path: &[u8]) -> Result<Answer, Refused> {
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let found = match path {
            _ if !is_read => None,
            b"/health" => Some(status::alive(&self.parts.shared)),
            b"/" => Some(Answer::new(307, HTML, "").with(LOCATION, "/admin")),
            _ => match path.strip_prefix(b"/admin") {
                Some(rest) if rest.is_empty() || rest.starts_with(b"/") => assets::answer(rest, &request.headers),
                _ => None,
            },
        };
        found.ok_or_else(|| Fault::NoPage.into())
    }

    /// Answers a request to the API: `path` is what follows [`API`].
    async fn api(&self, local: LocalRequest<'_>, path: &[u8]) -> pingora::Result<()> {
        let LocalRequest { session, client, body, request_id } = local;
        let Parts { shared, gate, .. } = &self.parts;
        let request = session.req_header().clone();
        let segments = parameters::segments(path);
        let found = self.found(&request, client, &segments).await;
        let (route, named, access) = match found {
            Ok(found) => found,
            Err(refused) => {
                let answer = refused.answer(self.recipient(request_id, &request));
                return answer.send_direct(session, request_id).await;
            }
        };
        let (_, query) = split_query(request.raw_path());
        let parameters = Parameters::read(query.unwrap_or_default());
        let [named, within] = named.map(str::to_owned);
        let caller = access.as_ref().map(Access::caller).unwrap_or_default();
        let call = Call { client, caller, named, within, parameters, body, request };
        let reply = (route.handler)(&self.parts, &call).await;
        if let (Ok(Reply::Whole(_)), Some(action)) = (&reply, audited::action(&call.request.method, route.template)) {
            audited::done(&self.parts, &call, action).await;
        }
        match reply {
            Ok(Reply::Whole(answer) | Reply::Same(answer)) => {
                answer.with(CACHE_CONTROL, "no-store").send_direct(session, request_id).await
            }
            Ok(Reply::Rows(export)) => export.serve(session, request_id).await,
            Ok(Reply::Live) => {
                let may_look = || {
                    access
                        .as_ref()
                        .is_some_and(|access| gate.is_still_good(access, &shared.panel, &shared.roster.load()))
                };
                live::serve(session, shared, request_id, may_look).await
            }
            Err(refused) => {
                let answer = refused.answer(self.recipient(request_id, &call.request));
                answer.send_direct(session, request_id).await
            }
        }
    }

    /// The route of a request to the API that may use it, what its path names, and what it showed. Who has no key does
    /// not hear which paths there are.
    async fn found<'s>(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        segments: &'s [String],
    ) -> Result<(&'static routes::Route, [&'s str; 2], Option<Access>), Refused> {
        let Parts { shared, gate, .. } = &self.parts;
        // What changes from now on, this process does not hear of: the key, for one. Clients try again at once, and come to
        // the next process.
        if shared.drain.has_successor() {
            return Err(Refused::Unanswered);
        }
        let found = routes::find(&request.method, segments);
        let needs = found.as_ref().map_or_else(|_| routes::needs_at_least(segments), |(route, _)| route.needs);
        let access = match needs {
            Needs::Nothing => None,
            needs => {
                let access = gate.access(request, client, &shared.panel, &shared.roster.load_full()).await;
                access.permit(needs)?;
                Some(access)
            }
        };
        found.map(|(route, named)| (route, named, access))
    }
}

#[async_trait]
impl LocalHandler for Admin {
    async fn admit(&self, request: &RequestHeader, client: Option<IpAddr>, request_id: &str) -> Result<usize, Answer> {
        let (path, _) = split_query(request.raw_path());
        let Some(path) = path.strip_prefix(API) else { return Ok(SMALL_BODY_BYTES) };
        match self.found(request, client, &parameters::segments(path)).await {
            Ok((_, _, Some(_))) => Ok(MAX_BODY_BYTES),
            Ok((_, _, None)) => Ok(SMALL_BODY_BYTES),
            Err(refused) => Err(refused.answer(self.recipient(request_id, request))),
        }
    }

    async fn serve(&self, local: LocalRequest<'_>) -> pingora::Result<()> {
        let target = local.session.req_header().raw_path().to_vec();
        let (path, _) = split_query(&target);
        if let Some(path) = path.strip_prefix(API) {
            return self.api(local, path).await;
        }
        let LocalRequest { session, request_id, .. } = local;
        let request = session.req_header();
        let to = || self.recipient(request_id, request);
        let answer = self.page(request, path).unwrap_or_else(|refused| refused.answer(to()));
        answer.send_direct(session, request_id).await
    }
}
