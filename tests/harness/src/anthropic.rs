//! A handler for the mock upstream that speaks the Anthropic Messages API, as far as its clients look.

use std::time::Duration;

use serde_json::{Value, json};

use crate::reply::{Reply, Step};
use crate::upstream::Received;

/// What the model says.
pub const TEXT: &str = "Hello from the mock";

/// How the mock behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Time between two events of a stream.
    pub gap: Duration,
    /// Refuses what AnyRouter refuses: see [`anyrouter_refusal`].
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
    if path.contains("count_tokens") {
        return with_id(Reply::json(json!({ "input_tokens": 42 }).to_string()));
    }
    if options.strict_anyrouter
        && let Some((status, kind, message)) = anyrouter_refusal(request, &body)
    {
        return error(status, kind, &message);
    }
    match body["stream"].as_bool() {
        Some(true) => stream(model, options.gap),
        _ => with_id(Reply::json(message(model, TEXT, Some("end_turn")).to_string())),
    }
}

/// What AnyRouter would refuse in this request, as its users report it: status, type, message.
pub fn anyrouter_refusal(request: &Received, body: &Value) -> Option<(u16, &'static str, String)> {
    let betas = request.headers.all("anthropic-beta").join(",");
    let has_beta = |name: &str| betas.split(',').any(|beta| beta.trim() == name);
    let refuse = |status, message: &str| Some((status, "new_api_error", message.to_owned()));
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    if !request.headers.all("authorization").iter().any(|value| value.starts_with("Bearer ")) {
        return Some((401, "authentication_error", "no Authorization: Bearer".into()));
    }
    if !query.split('&').any(|pair| pair == "beta=true") {
        return refuse(500, "query without beta=true");
    }
    for beta in ["claude-code-20250219", "context-1m-2025-08-07"] {
        if !has_beta(beta) {
            return Some((400, "invalid_request_error", format!("anthropic-beta without {beta}")));
        }
    }
    let Some(system) = body["system"].as_array() else {
        return refuse(500, "system is no list");
    };
    const IDENTITIES: [&str; 2] = [
        "You are Claude Code, Anthropic's official CLI for Claude.",
        "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
    ];
    let texts = || system.iter().filter_map(|block| block["text"].as_str());
    if !texts().any(|text| IDENTITIES.iter().any(|identity| text.starts_with(identity))) {
        return refuse(500, "system holds no identity text");
    }
    if !body["metadata"]["user_id"].is_string() {
        return refuse(500, "no metadata.user_id");
    }
    if request.body.len() > body.to_string().len() {
        return refuse(500, "JSON with blanks between its tokens");
    }
    None
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
