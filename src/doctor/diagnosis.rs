//! What an upstream's answer means, or the lack of one. Pure: what was seen goes in, a [`Finding`] comes out.

use super::detail::Detail;
use super::findings::{self, Finding};
use gateway_core::record::cause;
use gateway_core::record::fault::{ProxyRefusal, TlsFault, UpstreamFault};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// What only challenge pages hold: those of Alibaba Cloud, Cloudflare, Tencent and their like. In lower case.
const CHALLENGE_MARKS: &[&str] = &[
    "acw_sc__v2",
    "aliyun_waf",
    "errors.aliyun.com",
    "cf-chl",
    "cf_chl",
    "challenge-platform",
    "just a moment...",
    "attention required! | cloudflare",
    "edgeone",
    "_guard/",
    "captcha",
];

/// How relays built on New API say that they have no channel for a model. In lower case.
const NO_CHANNEL_MARKS: &[&str] = &["无可用渠道", "no available channel", "\"model_not_found\""];

/// How a try ended that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The name has no address, as a DNS server says.
    NameUnknown,
    /// The same of a name of AnyRouter's, which has others.
    MirrorUnknown,
    /// The name could not be looked up.
    Resolve,
    /// The resolver did not answer in time.
    ResolveTimeout,
    /// The connection was refused.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// The network or the host is unreachable.
    NoRoute,
    /// No connection, for another reason.
    Connect,
    /// The certificate is for another name.
    TlsName,
    /// The certificate's authority is not trusted.
    TlsAuthority,
    /// The certificate is an authority's own.
    TlsSelfSigned,
    /// The certificate has expired.
    TlsExpired,
    /// The certificate is not valid yet.
    TlsNotYetValid,
    /// There is no authority to check certificates with.
    TlsNoRoots,
    /// The other side does not speak TLS.
    NotTls,
    /// The connection ended in the handshake.
    TlsClosed,
    /// No handshake in time.
    TlsTimeout,
    /// No handshake, for another reason.
    Tls,
    /// The connection ended without an answer.
    Closed,
    /// No answer in time.
    AnswerTimeout,
    /// The answer is no HTTP.
    NotHttp,
    /// No connection to the proxy.
    ProxyUnreachable,
    /// The proxy wants other credentials.
    ProxyCredentials,
    /// The proxy does not want to connect to the upstream.
    ProxyRefused,
    /// The proxy did not answer in time.
    ProxyTimeout,
    /// The proxy's answer is no HTTP.
    ProxyBroken,
}

/// Why a step was the last one, and what can be told of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped(pub Failure, pub Detail);

/// What is known of an answer to a request on an API path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// The beginning of its body, decoded.
    pub body_start: &'a [u8],
    /// Whether a key was sent.
    pub with_key: bool,
}

/// What it means that there was no answer.
pub(crate) fn of_failure(failure: Failure) -> Finding {
    match failure {
        Failure::NameUnknown => findings::NAME_UNKNOWN,
        Failure::MirrorUnknown => findings::NAME_UNKNOWN_MIRROR,
        Failure::Resolve => findings::DNS_FAILED,
        Failure::ResolveTimeout => findings::DNS_TIMEOUT,
        Failure::Refused => findings::CONNECT_REFUSED,
        Failure::ConnectTimeout => findings::CONNECT_TIMEOUT,
        Failure::NoRoute => findings::NO_ROUTE,
        Failure::Connect => findings::CONNECT_FAILED,
        Failure::TlsName => findings::TLS_NAME,
        Failure::TlsAuthority => findings::TLS_AUTHORITY,
        Failure::TlsSelfSigned => findings::TLS_SELF_SIGNED,
        Failure::TlsExpired => findings::TLS_EXPIRED,
        Failure::TlsNotYetValid => findings::TLS_NOT_YET_VALID,
        Failure::TlsNoRoots => findings::TLS_NO_ROOTS,
        Failure::NotTls => findings::NOT_TLS,
        Failure::TlsClosed => findings::TLS_CLOSED,
        Failure::TlsTimeout => findings::TLS_TIMEOUT,
        Failure::Tls => findings::TLS_FAILED,
        Failure::Closed => findings::CLOSED,
        Failure::AnswerTimeout => findings::ANSWER_TIMEOUT,
        Failure::NotHttp => findings::NOT_HTTP,
        Failure::ProxyUnreachable => findings::PROXY_UNREACHABLE,
        Failure::ProxyCredentials => findings::PROXY_CREDENTIALS,
        Failure::ProxyRefused => findings::PROXY_REFUSED,
        Failure::ProxyTimeout => findings::PROXY_TIMEOUT,
        Failure::ProxyBroken => findings::PROXY_BROKEN,
    }
}

/// What it means that an upstream did this in place of an answer.
pub(crate) fn of_fault(fault: &UpstreamFault) -> Finding {
    use UpstreamFault as F;
    match fault {
        F::Resolve { absent: Some(_), .. } => findings::NAME_UNKNOWN,
        F::Resolve { .. } => findings::DNS_FAILED,
        F::ConnectRefused => findings::CONNECT_REFUSED,
        F::ConnectTimeout { .. } => findings::CONNECT_TIMEOUT,
        F::Connect { .. } => findings::CONNECT_FAILED,
        F::Tls { fault, .. } => of_tls(*fault),
        F::Proxy { refusal: Some(ProxyRefusal::Credentials), .. } => findings::PROXY_CREDENTIALS,
        F::Proxy { refusal: Some(ProxyRefusal::Forbidden), .. } => findings::PROXY_REFUSED,
        F::Proxy { .. } => findings::PROXY_UNREACHABLE,
        F::ProxyTimeout { .. } => findings::PROXY_TIMEOUT,
        F::FirstByteTimeout { .. } | F::WriteTimeout => findings::ANSWER_TIMEOUT,
        F::BadAnswer | F::InterimFlood { .. } => findings::NOT_HTTP,
        F::Stalled { .. } | F::Truncated => findings::BROKE_OFF,
        _ => findings::CLOSED,
    }
}

/// What it means that a TLS handshake failed.
fn of_tls(fault: Option<TlsFault>) -> Finding {
    match fault {
        Some(TlsFault::OtherName) => findings::TLS_NAME,
        Some(TlsFault::Expired) => findings::TLS_EXPIRED,
        Some(TlsFault::NotYetValid) => findings::TLS_NOT_YET_VALID,
        Some(TlsFault::UnknownIssuer) => findings::TLS_AUTHORITY,
        Some(TlsFault::SelfSigned) => findings::TLS_SELF_SIGNED,
        Some(TlsFault::NotTls) => findings::NOT_TLS,
        Some(TlsFault::Invalid) | None => findings::TLS_FAILED,
    }
}

/// What an answer means.
pub(crate) fn of_answer(answer: &Answer<'_>) -> Finding {
    let body = unescaped(&String::from_utf8_lossy(answer.body_start));
    let content = Content::of(answer.headers, &body);
    let is_html = content == Content::Html;
    if is_challenge(answer.headers, content, &body) {
        return findings::WAF_CHALLENGE;
    }
    if answer.status >= 400 && cause::SATURATED.iter().any(|words| body.contains(words)) {
        return findings::SATURATED;
    }
    let lower = body.to_ascii_lowercase();
    let is_new_api = body.contains("new_api_error");
    if answer.status >= 400 && NO_CHANNEL_MARKS.iter().any(|mark| lower.contains(mark)) {
        return findings::NO_CHANNEL;
    }
    if answer.status >= 400
        && (lower.contains("invalid claude code request") || cause::is_shape_429(answer.status, is_new_api, &body))
    {
        return findings::SHAPE_REFUSED;
    }
    match answer.status {
        200..=299 => match content {
            Content::Html => findings::WAF_PAGE,
            Content::Json => findings::REACHABLE,
            Content::Empty => findings::EMPTY_ANSWER,
            Content::Other => findings::NOT_JSON,
        },
        300..=399 => findings::REDIRECT,
        400 if wants_long_context(&body) => findings::LONG_CONTEXT,
        401 if answer.with_key => findings::BAD_KEY,
        404 if is_html => findings::WRONG_PATH,
        404 => findings::NO_MODEL_LIST,
        429 => findings::QUOTA,
        400..=499 if is_html => findings::WAF_PAGE,
        401 => findings::REACHABLE_WITHOUT_KEY,
        402 | 403 if content == Content::Json && cause::speaks_of_quota(&lower) => findings::QUOTA_403,
        403 if content == Content::Json && !answer.with_key => findings::REACHABLE_WITHOUT_KEY,
        403 => findings::FORBIDDEN,
        400..=499 => findings::PROBE_REFUSED,
        500 if is_new_api => findings::DEMANDED,
        502 | 504 => findings::BAD_GATEWAY,
        503 if is_html => findings::BAD_GATEWAY,
        503 => findings::POOL_CLOSED,
        520 => findings::CDN_520,
        521 => findings::CDN_521,
        522 | 523 => findings::CDN_522,
        524 => findings::CDN_524,
        525 | 526 => findings::CDN_TLS,
        529 => findings::OVERLOADED,
        500..=599 => findings::SERVER_ERROR,
        _ => findings::NOT_HTTP,
    }
}

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Html,
    Json,
    Empty,
    Other,
}

impl Content {
    fn of(headers: &HeaderMap, body: &str) -> Self {
        let text = body.trim_start_matches('\u{feff}').trim_start();
        let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        let kind =
            headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
        let is_kind = |name: &str| kind.as_deref().is_some_and(|kind| kind.contains(name));
        // The body tells more than its label: relays send HTML as text/plain, and JSON as anything.
        if begins("<!doctype") || begins("<html") || begins("<script") {
            Self::Html
        } else if text.starts_with(['{', '[']) {
            Self::Json
        } else if text.is_empty() {
            Self::Empty
        } else if is_kind("html") {
            Self::Html
        } else if is_kind("json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

fn is_challenge(headers: &HeaderMap, content: Content, body: &str) -> bool {
    if headers.get("cf-mitigated").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"challenge")) {
        return true;
    }
    let page = body.to_ascii_lowercase();
    content == Content::Html && CHALLENGE_MARKS.iter().any(|mark| page.contains(mark))
}

/// A text with what JSON in ASCII writes as `\uXXXX`, for words of Chinese: those are no surrogates.
fn unescaped(body: &str) -> String {
    let mut parts = body.split("\\u");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let character = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match character {
            Some(character) => {
                text.push(character);
                text.push_str(&part[4..]);
            }
            None => text.extend(["\\u", part]),
        }
    }
    text
}

fn wants_long_context(body: &str) -> bool {
    let body = body.to_ascii_lowercase();
    ["context-1m", "1m 上下文", "1m上下文"].iter().any(|mark| body.contains(mark))
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
