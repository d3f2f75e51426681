//! `sessions` and `sessions/{id}`: conversations of clients. (Who is logged in to the panel is in `sessions.rs`.)

use super::call::Call;
use super::capture;
use super::download::{Form, cell, wants_csv};
use super::fault::Fault;
use super::refused::{Refused, json};
use super::whose;
use crate::config::fingerprint::KeyFingerprint;
use crate::gateway::running::{Entry, Running};
use crate::gateway::{Answer, Shared};
use crate::store::Reader;
use crate::store::sessions::{Active, After, Session, SessionRow, Sessions, SessionsAsked, SessionsBy};
use crate::unix_time::now_ms;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most sessions of a page.
const MOST_SESSIONS: u32 = 200;
const DEFAULT_SESSIONS: u32 = 50;
/// Most lines of a download.
const MOST_LINES: u32 = 5_000;
/// How far back a list goes, if nobody says it.
const DEFAULT_SPAN_MS: i64 = 86_400_000;
/// Longest text that is looked for.
const LONGEST_TEXT: usize = 200;
/// What the name of a download tells.
const FILTERS: [&str; 8] = ["model", "upstream", "key", "q", "sort", "token", "user", "group"];

/// A page of sessions, or all of them as a download.
pub(super) async fn page(reader: &Reader, shared: &Shared, call: &Call) -> Result<Answer, Refused> {
    let (form, is_csv) = (Form::read(&call.parameters)?, wants_csv(call)?);
    let tokens = whose::tokens(&call.parameters, &shared.roster.load())?;
    let mut asked = asked_of(&shared.running, call, tokens)?;
    if !is_csv {
        return json(&reader.sessions(&asked).await?);
    }
    asked.limit = call.parameters.number("limit", 1..MOST_LINES + 1, MOST_LINES)? as usize;
    let found = reader.sessions(&asked).await?;
    let span = (Some(found.from_ms), Some(found.to_ms));
    Ok(table(&form, &form.name("sessions", span, &call.parameters, &FILTERS), &found))
}

/// One session, and whether its next request is to be kept.
#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    session: Session,
    capture: Option<capture::Told>,
}

/// One session.
pub(super) async fn one(reader: &Reader, shared: &Shared, id: &str) -> Result<Answer, Refused> {
    let Some(mut session) = reader.session(id).await? else { return Err(Fault::NoSession.into()) };
    session.running = active(&shared.running, |_| true).get(id).map_or(0, |active| active.requests);
    json(&One { session, capture: capture::of(shared, id) })
}

/// A page of what the requests with these client tokens are of. It does not tell where they went.
pub(super) async fn of_tokens(
    reader: &Reader,
    running: &Running,
    call: &Call,
    tokens: Vec<String>,
) -> Result<Answer, Refused> {
    let asked = asked_of(running, call, Some(tokens))?;
    let asked = SessionsAsked { keys: Vec::new(), upstreams: Vec::new(), ..asked };
    let mut found = reader.sessions(&asked).await?;
    found.sessions.iter_mut().for_each(|session| session.upstreams.clear());
    json(&found)
}

/// What a query asks for, of the requests with these client tokens, if there are any given.
fn asked_of(running: &Running, call: &Call, tokens: Option<Vec<String>>) -> Result<SessionsAsked, Refused> {
    let keys: Option<HashSet<_>> =
        tokens.as_ref().map(|tokens| tokens.iter().map(|id| KeyFingerprint::of_token(id)).collect());
    let is_wanted = |entry: &Entry| keys.as_ref().is_none_or(|keys| entry.key.is_some_and(|key| keys.contains(&key)));
    Ok(SessionsAsked { tokens, active: active(running, is_wanted), ..asked(call)? })
}

/// What a query asks for.
fn asked(call: &Call) -> Result<SessionsAsked, Refused> {
    let parameters = &call.parameters;
    let to_ms = parameters.time("to")?.unwrap_or_else(now_ms);
    let from_ms = parameters.time("from")?.unwrap_or((to_ms - DEFAULT_SPAN_MS).max(0));
    if from_ms > to_ms {
        return Err(Fault::TimesReversed.into());
    }
    let first = parameters.choice("sort", SessionsBy::ALL.map(|first| (first.name(), first)))?.unwrap_or_default();
    let after = match parameters.get("cursor") {
        Some(text) => Some(After::read(text).ok_or(Fault::NotACursor)?),
        None => None,
    };
    Ok(SessionsAsked {
        from_ms,
        to_ms,
        first,
        models: parameters.list("model")?,
        upstreams: parameters.list("upstream")?,
        keys: parameters.list("key")?,
        tokens: None,
        text: parameters.get("q").map(|text| text.chars().take(LONGEST_TEXT).collect()),
        limit: parameters.number("limit", 1..MOST_LINES + 1, DEFAULT_SESSIONS)?.min(MOST_SESSIONS) as usize,
        after,
        active: BTreeMap::new(),
    })
}

/// The sessions of those requests that are being served.
fn active(running: &Running, is_wanted: impl Fn(&Entry) -> bool) -> BTreeMap<String, Active> {
    let millis = |time: SystemTime| {
        i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    };
    let mut sessions: BTreeMap<String, Active> = BTreeMap::new();
    for entry in running.list().0.into_iter().filter(|entry| is_wanted(entry)) {
        let Some(session) = &entry.names.client.session else { continue };
        let at = millis(entry.started_at);
        let active = Active { requests: 0, first_ms: at, last_ms: at };
        let active = sessions.entry(session.clone()).or_insert(active);
        active.requests += 1;
        active.first_ms = active.first_ms.min(at);
        active.last_ms = active.last_ms.max(at);
    }
    sessions
}

/// Sessions as a download.
fn table(form: &Form, name: &str, found: &Sessions) -> Answer {
    const HEAD: [&str; 25] = [
        "session",
        "first_at",
        "first_at_ms",
        "last_at",
        "last_at_ms",
        "duration_ms",
        "running",
        "agents",
        "requests",
        "completed",
        "failed",
        "cost_usd",
        "unpriced_requests",
        "input_tokens",
        "output_tokens",
        "cache_write_tokens",
        "cache_read_tokens",
        "cache_hit_rate",
        "models",
        "upstreams",
        "keys",
        "wasted_tokens",
        "wasted_usd",
        "request_bytes",
        "response_bytes",
    ];
    let line = |row: &SessionRow| {
        let total = &row.total;
        vec![
            row.session.clone(),
            form.time(row.first_at_ms),
            row.first_at_ms.to_string(),
            form.time(row.last_at_ms),
            row.last_at_ms.to_string(),
            row.duration_ms.to_string(),
            row.running.to_string(),
            row.agents.to_string(),
            total.requests.to_string(),
            total.completed.to_string(),
            total.failed.to_string(),
            cell(total.cost_usd),
            total.unpriced_requests.to_string(),
            total.tokens.input.to_string(),
            total.tokens.output.to_string(),
            total.tokens.cache_write.to_string(),
            total.tokens.cache_read.to_string(),
            cell(row.cache_hit_rate),
            row.models.join(" "),
            row.upstreams.join(" "),
            row.keys.join(" "),
            row.wasted_tokens.to_string(),
            cell(row.wasted_usd),
            total.request_bytes.to_string(),
            total.response_bytes.to_string(),
        ]
    };
    form.answer(name, &HEAD, found.sessions.iter().map(line))
}
