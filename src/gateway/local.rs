//! The few paths that the gateway answers itself.

use super::Shared;
use super::answer::Answer;
use super::context::Context;
use crate::config::routes::digest;
use crate::http1::split_query;
use crate::rules::header::bearer;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, LOCATION};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The largest request that is explained on a worker thread.
const MAX_QUESTION_BYTES: usize = 1024 * 1024;

/// The page at `/admin` until the panel is there.
const PLACEHOLDER: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>anyrouter-gateway</title>\n\
    <h1>anyrouter-gateway</h1>\n<p>The gateway is running. The panel comes with a later version; until then see \
    <a href=\"/health\">/health</a>.</p>\n<p lang=\"zh-CN\">网关正在运行。管理面板将在后续版本提供；目前请看 \
    <a href=\"/health\">/health</a>。</p>\n</html>\n";

/// The gateway's own answer to this request, if it has one.
pub fn answer(request: &RequestHeader, shared: &Shared, context: &Context) -> Option<Answer> {
    let (path, _) = split_query(request.raw_path());
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let config = &context.snapshot.config;
    match path {
        b"/health" if is_read => Some(health(shared)),
        _ if !config.dashboard_enabled => None,
        b"/" if is_read && accepts_html(&request.headers) => Some(Answer::new(307, HTML, "").with(LOCATION, "/admin")),
        b"/admin" | b"/admin/" if is_read => Some(
            Answer::new(200, HTML, PLACEHOLDER)
                .with(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")
                .with(CACHE_CONTROL, "no-store"),
        ),
        b"/api/admin/explain" if request.method == Method::POST => Some(guarded(request, context, explain)),
        b"/api/admin/upstreams" if is_read => Some(guarded(request, context, upstreams)),
        _ => None,
    }
}

/// The answer, for those who may see it.
fn guarded(request: &RequestHeader, context: &Context, answer: fn(&Context) -> Answer) -> Answer {
    match may_look(request, context) {
        true => answer(context),
        false => Answer::error(
            401,
            "This needs DASHBOARD_API_KEY as a bearer token, or, if none is set, a client on this machine.",
            &context.request_id,
        ),
    }
}

fn upstreams(context: &Context) -> Answer {
    match super::upstreams::json(&context.snapshot) {
        Ok(text) => Answer::new(200, JSON, text).with(CACHE_CONTROL, "no-store"),
        Err(error) => Answer::error(500, &error.to_string(), &context.request_id),
    }
}

/// Whether the client may see what the panel shows: with the key, or, while there is none, from this machine itself.
/// A reverse proxy and pages of other sites come from there too: with forwarding fields, another `Host` (DNS
/// rebinding), or the fields by which browsers say where a request comes from.
fn may_look(request: &RequestHeader, context: &Context) -> bool {
    if let Some(key) = &context.snapshot.config.dashboard_key {
        let given = request.headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        return given.is_some_and(|given| digest(given).ct_eq(&digest(key.expose().as_bytes())).into());
    }
    let host = request.headers.get(HOST).map(|host| host.as_bytes()).unwrap_or_default();
    let name = match host.strip_prefix(b"[") {
        Some(address) => address.split(|&byte| byte == b']').next(),
        None => host.split(|&byte| byte == b':').next(),
    };
    let is_here = matches!(name, Some(b"localhost" | b"127.0.0.1" | b"::1"));
    let forwarding = ["forwarded", "x-forwarded-for", "x-real-ip", "via", "origin", "sec-fetch-site"];
    let is_forwarded = forwarding.iter().any(|name| request.headers.contains_key(*name));
    is_here && !is_forwarded && context.client.is_some_and(|client| client.to_canonical().is_loopback())
}

/// What rules would make of a request: `{"head": "POST /v1/messages HTTP/1.1\n...", "body": "{...}"}`, the head optional.
fn explain(context: &Context) -> Answer {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Question {
        head: Option<String>,
        body: String,
    }
    let body = context.body.as_ref().map(|held| &held.bytes[..]).unwrap_or_default();
    if body.len() > MAX_QUESTION_BYTES {
        let message =
            format!("The question is larger than {MAX_QUESTION_BYTES} bytes; the command line takes any size.");
        return Answer::error(413, &message, &context.request_id);
    }
    let explained = serde_json::from_slice::<Question>(body)
        .map_err(|error| format!("the question cannot be read: {error}"))
        .and_then(|question| {
            super::explain(Arc::clone(&context.snapshot), question.head.as_deref(), question.body.as_bytes())
        })
        .and_then(|explanation| serde_json::to_string(&explanation).map_err(|error| error.to_string()));
    match explained {
        Ok(text) => Answer::new(200, JSON, text).with(CACHE_CONTROL, "no-store"),
        Err(message) => Answer::error(400, &message, &context.request_id),
    }
}

fn health(shared: &Shared) -> Answer {
    let body = serde_json::json!({
        "status": "ok",
        "service": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "boot_id": shared.boot_id,
        "started_at": humantime::format_rfc3339_seconds(shared.started_at).to_string(),
    });
    Answer::new(200, JSON, body.to_string()).with(CACHE_CONTROL, "no-store")
}

/// Whether a browser asks: programs accept anything, or JSON, but do not name HTML.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| memchr::memmem::find(value.as_bytes(), b"text/html").is_some())
}
