//! The panel's own files, built by `make panel` into `static/dist` and embedded here. They hold nothing of a user's, and
//! need no key.

use crate::gateway::Answer;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use rust_embed::{Embed, EmbeddedFile};
use std::borrow::Cow;

/// The type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// Nothing inline, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'self'";
/// The file that every page of the panel begins with.
const INDEX: &str = "index.html";
/// What is named after its content never changes.
const HASHED: &str = "assets/";

/// What is shown when the program was built without the panel.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>anyrouter-gateway</title>\n\
    <h1>anyrouter-gateway</h1>\n<p>The gateway is running. This program was built without its panel: install Node.js, then \
    type <code>make build</code>. <a href=\"/health\">/health</a> and the admin API work without it.</p>\n\
    <p lang=\"zh-CN\">网关正在运行。此程序构建时未包含管理面板：请安装 Node.js，然后运行 <code>make build</code>。\
    <a href=\"/health\">/health</a> 和管理 API 不受影响。</p>\n</html>\n";

#[derive(Embed)]
#[folder = "static/dist"]
#[allow_missing = true]
struct Panel;

/// The panel's answer to a request for the path behind `/admin`; `None` if there is no such file or page.
pub(super) fn answer(path: &[u8], headers: &HeaderMap) -> Option<Answer> {
    let path = std::str::from_utf8(path).ok()?.trim_start_matches('/');
    let Some(index) = Panel::get(INDEX) else {
        let is_page = is_page(path);
        return is_page.then(|| Answer::new(200, HTML, NOT_BUILT).with(CACHE_CONTROL, "no-store"));
    };
    let name = if path.is_empty() { INDEX } else { path };
    // Only whole files can be asked for by name, not their compressed forms, nor what the build notes for itself.
    let found = Panel::get(name).filter(|_| !name.ends_with(".br") && !name.starts_with('.'));
    match found {
        Some(file) => Some(file_answer(name, file, headers)),
        None if is_page(path) => Some(file_answer(INDEX, index, headers)),
        None => None,
    }
}

/// Whether this is the path of a page, which the panel itself finds; its files have names with a dot.
fn is_page(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'/');
    path.bytes().all(is_plain) && !path.starts_with(HASHED)
}

fn file_answer(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Answer {
    let etag =
        file.metadata.sha256_hash().iter().take(16).fold("\"".to_owned(), |tag, byte| format!("{tag}{byte:02x}"));
    let cache = match name.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let compressed = accepts_brotli(headers).then(|| Panel::get(&format!("{name}.br"))).flatten();
    // Each form of a file is a thing of its own (RFC 9110 section 8.8.3.3).
    let etag = if compressed.is_some() { etag + "-br\"" } else { etag + "\"" };
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| {
        let known = known.as_bytes();
        known == b"*" || known.split(|&byte| byte == b',').any(|tag| weak(tag.trim_ascii()) == etag.as_bytes())
    });
    let mut answer = match (is_known, &compressed) {
        (true, _) => Answer::new(304, content_type(name), Bytes::new()),
        (false, Some(compressed)) => {
            let body = bytes_of(compressed.data.clone());
            Answer::new(200, content_type(name), body).with(CONTENT_ENCODING, "br")
        }
        (false, None) => Answer::new(200, content_type(name), bytes_of(file.data)),
    };
    if is_known {
        answer.headers.retain(|(name, _)| name != CONTENT_TYPE);
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer = answer.with_value(ETAG, etag);
    }
    answer
        .with(CACHE_CONTROL, cache)
        .with(VARY, "Accept-Encoding")
        .with(CONTENT_SECURITY_POLICY, POLICY)
        .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with(REFERRER_POLICY, "no-referrer")
        .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin")
}

/// A tag without the mark of a weak one.
fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    let mut codings = lists.flat_map(|list| list.split(',')).map(str::trim);
    codings.any(|coding| match coding.split_once(';') {
        Some((name, weight)) => {
            name.trim() == "br"
                && !weight.trim().trim_start_matches("q=").starts_with("0.000")
                && weight.trim() != "q=0"
        }
        None => coding == "br",
    })
}

fn bytes_of(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => HTML,
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_plain_paths_and_tricks_are_none() {
        for page in ["", "requests", "sessions/0a1b-2c"] {
            assert!(is_page(page), "{page}");
        }
        for none in ["..%2f", "../x", "assets/x", "a.js", "a b", "x\\y", "%00"] {
            assert!(!is_page(none), "{none}");
        }
    }

    #[test]
    fn brotli_is_for_those_who_take_it() {
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().expect("a value"));
            headers
        };
        for (value, takes) in
            [("gzip, br", true), ("br;q=0.5", true), ("br;q=0", false), ("gzip", false), ("brx", false)]
        {
            assert_eq!(accepts_brotli(&headers(value)), takes, "{value}");
        }
        assert!(!accepts_brotli(&HeaderMap::new()));
    }
}
