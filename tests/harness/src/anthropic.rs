//! A handler for the mock upstream that speaks the Anthropic Messages API, as far as its clients look.

use std::time::Duration;

use serde_json::{Value, json};

use crate::received::Received;
use crate::reply::{Reply, Step};

/// What the model says.
pub const TEXT: &str = "Hello from the mock";

/// How the mock behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Time between two events of a stream.
    pub gap: Duration,
    /// Refuses what AnyRouter refuses: see [`Demand`].
    pub strict_anyrouter: bool,
}

/// A handler with default options.
pub fn handler() -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    handler_with(Options::default())
}

/// A handler with these options.
pub fn handler_with(options: Options) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    move |request| answer(request, &options)
}

fn answer(request: &Received, options: &Options) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path.strip_suffix('/').unwrap_or(path)) {
        ("HEAD", "" | "/api/hello") => return Reply::status(200),
        (_, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models") => {}
        _ => return error(404, "not_found_error", &format!("no such path: {path}")),
    }
    if !request.headers.has("x-api-key") && !request.headers.has("authorization") {
        return error(401, "authentication_error", "no key: x-api-key or Authorization");
    }
    if path.starts_with("/v1/models") {
        return models();
    }
    if request.method != "POST" {
        return error(405, "invalid_request_error", "use POST");
    }
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body @ Value::Object(_)) => body,
        _ => return error(400, "invalid_request_error", "the body is no JSON object"),
    };
    let Some(model) = body["model"].as_str() else {
        return error(400, "invalid_request_error", "model: field required");
    };
    if !body["messages"].is_array() {
        return error(400, "invalid_request_error", "messages: field required");
    }
    if options.strict_anyrouter
        && let Some(demand) = anyrouter_refusals(request, &body).first()
    {
        let (status, kind, message) = demand.refusal();
        return error(status, kind, message);
    }
    if path.contains("count_tokens") {
        return with_id(Reply::json(json!({ "input_tokens": 42 }).to_string()));
    }
    match body["stream"].as_bool() {
        Some(true) => stream(model, options.gap),
        _ => with_id(Reply::json(message(model, TEXT, Some("end_turn")).to_string())),
    }
}

/// Something that AnyRouter demands of a request, and what it answers without it, as its users report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The key in `Authorization: Bearer`.
    Bearer,
    /// The key nowhere else: no `x-api-key` beside it.
    KeyOnce,
    /// No field twice that has one value.
    SingleFields,
    /// No trace of the client's address.
    NoForwardedFor,
    /// `?beta=true`, once.
    BetaQuery,
    /// `claude-code-20250219` in `anthropic-beta`.
    ClaudeCodeFlag,
    /// `context-1m-2025-08-07` in `anthropic-beta`, on most models.
    LongContextFlag,
    /// ... and not on a model that does not know it.
    NoLongContextFlag,
    /// `model` without the suffix `[1m]`.
    PlainModel,
    /// `system` is a list.
    SystemList,
    /// `system` holds an identity text.
    Identity,
    /// The API itself takes four of them at most.
    FourCacheControls,
    /// `metadata.user_id` is there.
    UserId,
    /// No blanks between the tokens of the body.
    Compact,
}

impl Demand {
    /// Status, type and message of the answer to a request that does not meet it.
    pub fn refusal(self) -> (u16, &'static str, &'static str) {
        let new_api = |message| (500, "new_api_error", message);
        let invalid = |message| (400, "invalid_request_error", message);
        match self {
            Self::Bearer => (401, "authentication_error", "no Authorization: Bearer"),
            Self::KeyOnce => (401, "authentication_error", "x-api-key beside Authorization"),
            Self::SingleFields => invalid("a field is there twice"),
            Self::NoForwardedFor => (403, "permission_error", "X-Forwarded-For"),
            Self::BetaQuery => new_api("query without one beta=true"),
            Self::ClaudeCodeFlag => invalid("anthropic-beta without claude-code-20250219"),
            Self::LongContextFlag => invalid("anthropic-beta without context-1m-2025-08-07"),
            Self::NoLongContextFlag => (520, "new_api_error", "context-1m-2025-08-07 on a model without it"),
            Self::PlainModel => invalid("model with [1m]"),
            Self::SystemList => new_api("system is no list"),
            Self::Identity => new_api("system holds no identity text"),
            Self::FourCacheControls => invalid("more than four blocks with cache_control"),
            Self::UserId => new_api("no metadata.user_id"),
            Self::Compact => new_api("JSON with blanks between its tokens"),
        }
    }
}

/// Fields of which a second line is never meant.
const SINGLE: [&str; 10] = [
    "authorization",
    "x-api-key",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "content-length",
    "accept",
    "user-agent",
    "x-app",
    "host",
];

/// How the text of a block begins that says who asks.
const IDENTITIES: [&str; 2] = [
    "You are Claude Code, Anthropic's official CLI for Claude.",
    "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
];

/// Every demand of AnyRouter's that this request does not meet, in the order in which it would be told.
pub fn anyrouter_refusals(request: &Received, body: &Value) -> Vec<Demand> {
    let headers = &request.headers;
    let betas = headers.all("anthropic-beta").join(",");
    let has_beta = |name: &str| betas.split(',').filter(|beta| beta.trim() == name).count() == 1;
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let bearer = |value: &String| value.strip_prefix("Bearer ").is_some_and(|key| !key.trim().is_empty());
    let is_beta = |pair: &&str| *pair == "beta" || pair.starts_with("beta=");
    let mut missing = vec![
        (Demand::Bearer, headers.all("authorization").iter().any(bearer)),
        (Demand::KeyOnce, !headers.has("x-api-key")),
        (Demand::SingleFields, SINGLE.iter().all(|name| headers.all(name).len() < 2)),
        (Demand::NoForwardedFor, !headers.has("x-forwarded-for")),
        (Demand::BetaQuery, query.split('&').filter(is_beta).eq(["beta=true"])),
        (Demand::ClaudeCodeFlag, has_beta("claude-code-20250219")),
    ];
    let has_long_context = has_beta("context-1m-2025-08-07");
    missing.push(match body["model"].as_str().is_some_and(|model| model.contains("haiku")) {
        true => (Demand::NoLongContextFlag, !has_long_context),
        false => (Demand::LongContextFlag, has_long_context),
    });
    missing.push((Demand::PlainModel, body["model"].as_str().is_none_or(|model| !model.ends_with("[1m]"))));
    if !path.contains("count_tokens") {
        let system = body["system"].as_array();
        let says_who = |block: &Value| {
            block["text"].as_str().is_some_and(|text| IDENTITIES.iter().any(|identity| text.starts_with(identity)))
        };
        missing.extend([
            (Demand::SystemList, system.is_some()),
            (Demand::Identity, system.is_none_or(|system| system.iter().any(says_who))),
            (Demand::FourCacheControls, cache_controls(body) <= 4),
            (Demand::UserId, body["metadata"]["user_id"].is_string()),
        ]);
    }
    missing.push((Demand::Compact, !has_blanks(&request.body)));
    missing.into_iter().filter(|(_, is_met)| !is_met).map(|(demand, _)| demand).collect()
}

/// How many members `cache_control` there are, those in tool schemas and inputs aside.
fn cache_controls(body: &Value) -> usize {
    let own = |value: &Value| usize::from(value["cache_control"].is_object());
    let listed = |list: &Value| list.as_array().map_or(0, |items| items.iter().map(own).sum());
    let content = |message: &Value| listed(&message["content"]);
    let messages = body["messages"].as_array().map_or(0, |messages| messages.iter().map(content).sum());
    listed(&body["system"]) + listed(&body["tools"]) + messages
}

/// Whether there are blanks between the tokens of a JSON text.
fn has_blanks(json: &[u8]) -> bool {
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\r' | b'\n' if !in_string => return true,
            _ => {}
        }
    }
    false
}

/// An error in the API's shape.
pub fn error(status: u16, kind: &str, message: &str) -> Reply {
    let body = json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": "req_mock0001",
    });
    with_id(Reply::status(status).body(body.to_string()).header("Content-Type", "application/json"))
}

fn with_id(reply: Reply) -> Reply {
    reply.header("request-id", "req_mock0001").header("anthropic-ratelimit-requests-remaining", "49")
}

fn models() -> Reply {
    let model = |id: &str, name: &str| json!({"type": "model", "id": id, "display_name": name, "created_at": "2025-09-29T00:00:00Z"});
    let (first, last) = ("claude-opus-5-5", "claude-sonnet-4-5-20250929");
    let data = json!([model(first, "Claude Opus 5.5"), model(last, "Claude Sonnet 4.5")]);
    with_id(Reply::json(json!({"data": data, "has_more": false, "first_id": first, "last_id": last}).to_string()))
}

fn message(model: &str, text: &str, stop_reason: Option<&str>) -> Value {
    let content = if text.is_empty() { json!([]) } else { json!([{ "type": "text", "text": text }]) };
    json!({
        "id": "msg_mock0001", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {
            "input_tokens": 42, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 5,
            "output_tokens": if stop_reason.is_some() { 9 } else { 1 },
        },
    })
}

/// A whole message of this model that used so many tokens.
pub fn message_that_used(model: &str, input: u64, output: u64) -> Reply {
    let mut body = message(model, "hi", Some("end_turn"));
    body["usage"] = json!({"input_tokens": input, "output_tokens": output});
    Reply::json(body.to_string())
}

/// The events of a streamed answer, each as its bytes.
pub fn events(model: &str) -> Vec<String> {
    let event = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let mut events = vec![
        event("message_start", json!({ "message": message(model, "", None) })),
        event("content_block_start", json!({ "index": 0, "content_block": { "type": "text", "text": "" } })),
        event("ping", json!({})),
    ];
    for word in TEXT.split_inclusive(' ') {
        events.push(event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": word}})));
    }
    events.push(event("content_block_stop", json!({ "index": 0 })));
    let end = json!({"delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 9}});
    events.push(event("message_delta", end));
    events.push(event("message_stop", json!({})));
    events
}

fn stream(model: &str, gap: Duration) -> Reply {
    let mut reply = with_id(Reply::sse()).header("Cache-Control", "no-cache");
    for (at, event) in events(model).into_iter().enumerate() {
        if at > 0 && !gap.is_zero() {
            reply = reply.step(Step::Sleep(gap));
        }
        reply = reply.bytes(event);
    }
    reply
}
