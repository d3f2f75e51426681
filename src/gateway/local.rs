//! The few paths that the gateway answers itself.

use super::Shared;
use super::answer::Answer;
use crate::http1::split_query;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The page at `/admin` until the panel is there.
const PLACEHOLDER: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>anyrouter-gateway</title>\n\
    <h1>anyrouter-gateway</h1>\n<p>The gateway is running. The panel comes with a later version; until then see \
    <a href=\"/health\">/health</a>.</p>\n<p lang=\"zh-CN\">网关正在运行。管理面板将在后续版本提供；目前请看 \
    <a href=\"/health\">/health</a>。</p>\n</html>\n";

/// The gateway's own answer to this request, if it has one.
pub fn answer(request: &RequestHeader, shared: &Shared, dashboard_enabled: bool) -> Option<Answer> {
    let (path, _) = split_query(request.raw_path());
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    match path {
        b"/health" if is_read => Some(health(shared)),
        b"/" if is_read && dashboard_enabled && accepts_html(&request.headers) => {
            Some(Answer::new(307, HTML, "").with(LOCATION, "/admin"))
        }
        b"/admin" | b"/admin/" if is_read && dashboard_enabled => Some(
            Answer::new(200, HTML, PLACEHOLDER)
                .with(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")
                .with(CACHE_CONTROL, "no-store"),
        ),
        _ => None,
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
