//! The gateway's own pages: health, the admin API, and where the panel is. Both services serve them: the gateway hands
//! such requests on, and the admin service has nothing else.

mod access;
mod assets;
mod configuration;
mod export;
mod live;
mod parameters;
mod requests;
mod service;
mod sessions;
mod statistics;
mod status;
mod turns;
mod upstreams;
mod wrong_keys;

use crate::config::live::{Live, ProblemView};
use crate::gateway::{Answer, LocalHandler, LocalRequest, Shared, explain};
use crate::store::{ReadError, Reader};
use access::{Gate, Visitor};
use async_trait::async_trait;
use gateway_core::http1::split_query;
use http::Method;
use http::header::{ALLOW, CACHE_CONTROL, LOCATION};
use parameters::Parameters;
use pingora::http::RequestHeader;
use serde::Serialize;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use turns::Turns;

pub use service::AdminService;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
/// Largest body of a request to the API.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest body of a request that shows no key before it, such as a login.
const SMALL_BODY_BYTES: usize = 4 * 1024;
/// The API's description for machines.
const OPENAPI: &str = include_str!("../../docs/openapi.yaml");

/// Every path and the methods that it takes. docs/openapi.yaml describes each.
const PATHS: [(&str, &str); 24] = [
    ("session", "GET, HEAD, POST, DELETE"),
    ("health", "GET, HEAD"),
    ("openapi.yaml", "GET, HEAD"),
    ("stats", "GET, HEAD"),
    ("stats/series", "GET, HEAD"),
    ("stats/groups", "GET, HEAD"),
    ("requests", "GET, HEAD"),
    ("requests/{id}", "GET, HEAD"),
    ("sessions/{id}", "GET, HEAD"),
    ("errors", "GET, HEAD"),
    ("running", "GET, HEAD"),
    ("upstreams", "GET, HEAD"),
    ("upstreams/{name}/test", "POST"),
    ("upstreams/{name}/drain", "POST"),
    ("upstreams/{name}/enable", "POST"),
    ("rules", "GET, HEAD"),
    ("config", "GET, HEAD, PUT"),
    ("config/check", "POST"),
    ("config/history", "GET, HEAD"),
    ("config/schema", "GET, HEAD"),
    ("reload", "POST"),
    // Without an end, or as long as the log.
    ("live", "GET"),
    ("export", "GET"),
    ("explain", "POST"),
];

/// The methods that a path takes; `None` if there is no such path.
fn methods(path: &[&str]) -> Option<&'static str> {
    let is_it = |template: &str| {
        let segments: Vec<&str> = template.split('/').collect();
        segments.len() == path.len()
            && segments.iter().zip(path).all(|(known, it)| known == it || known.starts_with('{'))
    };
    PATHS.iter().find(|(template, _)| is_it(template)).map(|(_, methods)| *methods)
}

/// Answers requests for the gateway's own pages.
pub struct Admin {
    shared: Arc<Shared>,
    /// The request log; `None` if there is none.
    reader: Option<Reader>,
    /// The configuration.
    live: Arc<Live>,
    gate: Arc<Gate>,
    /// Checks of edits.
    checks: Turns,
    /// Dry runs of requests.
    dry_runs: Turns,
}

/// A request to the API.
struct Call<'v> {
    parameters: Parameters,
    body: &'v [u8],
}

/// Why a request to the API has no result.
enum Refused {
    /// The status, and what to do.
    Status(u16, String),
    /// The method is none of these.
    Method(&'static str),
    /// The configuration is not valid.
    Wrong(Vec<ProblemView>),
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self::Status(503, error.to_string())
    }
}

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self::Status(400, message.into())
    }

    fn not_found(what: &str) -> Self {
        Self::Status(404, format!("There is no {what}."))
    }

    fn answer(self, request_id: &str) -> Answer {
        match self {
            Self::Status(status, message) => Answer::error(status, &message, request_id),
            Self::Wrong(problems) => {
                let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
                let message = format!("The configuration is not valid: {}", messages.join("; "));
                let error = serde_json::json!({ "type": "invalid_request_error", "message": message });
                let body = serde_json::json!({
                    "type": "error",
                    "error": error,
                    "problems": problems,
                    "request_id": request_id,
                });
                Answer::new(422, JSON, body.to_string())
            }
            Self::Method(allowed) => {
                let mut answer = Answer::error(405, &format!("This takes {allowed}."), request_id);
                answer.headers.retain(|(name, _)| name != ALLOW);
                answer.with(ALLOW, allowed)
            }
        }
        .with(CACHE_CONTROL, "no-store")
    }
}

impl Admin {
    /// The pages of a gateway that keeps its state in this folder.
    pub fn new(shared: Arc<Shared>, reader: Option<Reader>, live: Arc<Live>, state_dir: &Path) -> Self {
        let (checks, dry_runs) = (Turns::new("The check"), Turns::new("The dry run"));
        Self { shared, reader, live, gate: Arc::new(Gate::new(state_dir)), checks, dry_runs }
    }

    /// Takes over what another process has changed in the state folder. This reads a file.
    pub fn refresh(&self) {
        self.gate.refresh();
    }

    async fn answer(&self, request: LocalRequest<'_>) -> pingora::Result<()> {
        let LocalRequest { session, client, body, request_id } = request;
        let request = session.req_header().clone();
        let (path, query) = split_query(request.raw_path());
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        let answer = match path {
            b"/health" if is_read => status::alive(&self.shared),
            b"/" if is_read => Answer::new(307, HTML, "").with(LOCATION, "/admin"),
            _ if is_read && (path == b"/admin" || path.starts_with(b"/admin/")) => {
                let file = assets::answer(&path[b"/admin".len()..], &request.headers);
                file.unwrap_or_else(|| Refused::not_found("such page").answer(request_id))
            }
            _ => match path.strip_prefix(b"/api/admin/") {
                None => Refused::not_found("such page").answer(request_id),
                // What changes from now on, this process does not hear of: the key, for one. Clients try again at once, and
                // come to the next process.
                Some(_) if self.shared.drain.has_successor() => Answer::silence(),
                Some(rest) => {
                    let parameters = Parameters::read(query.unwrap_or_default());
                    let call = Call { parameters, body: &body };
                    let segments = parameters::segments(rest);
                    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
                    if segments == ["session"] {
                        let visitor = Visitor { request: &request, client, body: &body };
                        let answer = self.gate.session(visitor, &self.shared.panel, request_id).await;
                        return answer.send_direct(session, request_id).await;
                    }
                    let access = self.gate.access(&request, client, &self.shared.panel).await;
                    match (&segments[..], &request.method) {
                        _ if !access.may(&request.method, &segments) => access.refuse(request_id),
                        (["live"], &Method::GET) => {
                            let may_look = || self.gate.is_still_good(&access, &self.shared.panel);
                            return live::serve(session, &self.shared, request_id, may_look).await;
                        }
                        (["export"], &Method::GET) => {
                            return match self.export(&call) {
                                Ok(export) => export.serve(session, request_id).await,
                                Err(refused) => refused.answer(request_id).send_direct(session, request_id).await,
                            };
                        }
                        // GET says nothing of what may be shown.
                        (["config"], &Method::GET)
                            if call.parameters.get("reveal").is_some() && !access.may_write() =>
                        {
                            access.refuse(request_id)
                        }
                        (segments, method) => match self.call(segments, method, &call).await {
                            Ok(answer) => answer.with(CACHE_CONTROL, "no-store"),
                            Err(refused) => refused.answer(request_id),
                        },
                    }
                }
            },
        };
        answer.send_direct(session, request_id).await
    }

    /// What a path of [`PATHS`] answers.
    async fn call(&self, path: &[&str], method: &Method, call: &Call<'_>) -> Result<Answer, Refused> {
        let nothing = || Refused::not_found("such path in the admin API; docs/api.md lists them");
        let methods = methods(path).ok_or_else(nothing)?;
        if !methods.split(", ").any(|known| known == method.as_str()) {
            return Err(Refused::Method(methods));
        }
        match path {
            ["explain"] => self.explain(call).await,
            ["health"] => json(&status::health(&self.shared, self.reader.as_ref(), &self.live)),
            ["openapi.yaml"] => Ok(Answer::new(200, "application/yaml", OPENAPI)),
            ["stats"] => statistics::summary(self.reader()?, call).await,
            ["stats", "series"] => statistics::series(self.reader()?, call).await,
            ["stats", "groups"] => statistics::groups(self.reader()?, call).await,
            ["requests"] => requests::page(self.reader()?, call).await,
            ["requests", id] => requests::detail(self.reader()?, id).await,
            ["sessions", id] => requests::session(self.reader()?, id).await,
            ["errors"] => requests::errors(self.reader()?, call).await,
            ["running"] => json(&status::running(&self.shared.running)),
            ["upstreams"] => json(&upstreams::all(&self.shared.snapshot.load())),
            ["upstreams", name, "test"] => upstreams::test(&self.shared.snapshot.load_full(), name).await,
            ["upstreams", name, what] => upstreams::drain(&self.shared.snapshot.load(), name, *what == "drain"),
            ["rules"] => json(&upstreams::rules(&self.shared)),
            ["config"] if *method == Method::PUT => configuration::apply(&self.live, call).await,
            ["config"] => configuration::current(&self.live, configuration::asks_for_headers(call)?).await,
            ["config", "check"] => configuration::check(&self.live, &self.checks, call).await,
            ["config", "history"] => configuration::history(&self.live).await,
            ["config", "schema"] => configuration::schema(),
            ["reload"] => configuration::reload(&self.live).await,
            _ => Err(nothing()),
        }
    }

    /// Whoever reads the request log.
    fn reader(&self) -> Result<&Reader, Refused> {
        let message = "There is no request log: it is switched off (GATEWAY_DB, gateway.database).";
        self.reader.as_ref().ok_or_else(|| Refused::Status(404, message.to_owned()))
    }

    fn export(&self, call: &Call<'_>) -> Result<export::Export, Refused> {
        export::Export::new(self.reader()?.clone(), &call.parameters)
    }

    /// What rules would make of a request: `{"head": "POST /v1/messages HTTP/1.1\n...", "body": "{...}"}`, the head
    /// optional.
    async fn explain(&self, call: &Call<'_>) -> Result<Answer, Refused> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Question {
            head: Option<String>,
            body: String,
        }
        let question: Question = call.json("; the command line takes a question of any size")?;
        let snapshot = self.shared.snapshot.load_full();
        let run = move || explain(snapshot, question.head.as_deref(), question.body.as_bytes());
        json(&self.dry_runs.run(run).await?.map_err(Refused::bad)?)
    }
}

impl Call<'_> {
    /// The body as what it should be.
    fn json<'a, T: serde::Deserialize<'a>>(&'a self, hint: &str) -> Result<T, Refused> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(Refused::Status(413, format!("The body is larger than {MAX_BODY_BYTES} bytes{hint}.")));
        }
        serde_json::from_slice(self.body)
            .map_err(|error| Refused::bad(format!("The body is not what is expected here: {error}.")))
    }
}

#[async_trait]
impl LocalHandler for Admin {
    async fn admit(&self, request: &RequestHeader, client: Option<IpAddr>, request_id: &str) -> Result<usize, Answer> {
        let (path, _) = split_query(request.raw_path());
        let Some(path) = path.strip_prefix(b"/api/admin/") else { return Ok(SMALL_BODY_BYTES) };
        let segments = parameters::segments(path);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if segments == ["session"] {
            return Ok(SMALL_BODY_BYTES);
        }
        if self.shared.drain.has_successor() {
            return Err(Answer::silence());
        }
        let access = self.gate.access(request, client, &self.shared.panel).await;
        match access.may(&request.method, &segments) {
            true => Ok(MAX_BODY_BYTES),
            false => Err(access.refuse(request_id)),
        }
    }

    async fn serve(&self, request: LocalRequest<'_>) -> pingora::Result<()> {
        self.answer(request).await
    }
}

fn json<T: Serialize>(value: &T) -> Result<Answer, Refused> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Answer::new(200, JSON, text)),
        Err(error) => Err(Refused::Status(500, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_path_and_method_is_described_and_no_other() {
        let described: serde_yaml::Value = serde_yaml::from_str(OPENAPI).expect("YAML");
        let paths = described["paths"].as_mapping().expect("paths").iter();
        let in_file: BTreeMap<String, BTreeSet<String>> = paths
            .filter_map(|(path, item)| {
                let path = path.as_str()?.strip_prefix("/api/admin/")?;
                let methods = item.as_mapping()?.keys().filter_map(|key| Some(key.as_str()?.to_uppercase()));
                Some((path.to_owned(), methods.collect()))
            })
            .collect();
        // HEAD goes without saying.
        let of = |methods: &str| methods.split(", ").filter(|name| *name != "HEAD").map(str::to_owned).collect();
        let in_table: BTreeMap<_, _> = PATHS.map(|(path, methods)| (path.to_owned(), of(methods))).into();
        assert_eq!(in_table, in_file);
    }

    #[test]
    fn a_path_is_what_its_template_says() {
        assert_eq!(methods(&["requests", "req_1"]), Some("GET, HEAD"));
        assert_eq!(methods(&["explain"]), Some("POST"));
        assert_eq!((methods(&["requests", "a", "b"]), methods(&[]), methods(&["stats", "x"])), (None, None, None));
    }
}
