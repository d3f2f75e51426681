//! Answers that the gateway makes itself: errors in Anthropic's shape, and a few pages of its own.

use bytes::Bytes;
use gateway_core::again::Again;
use gateway_core::http1::Refusal;
use gateway_core::http1::head::field_values;
use gateway_core::language::{Language, Words, accepted};
use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// The methods that are passed on.
pub(super) const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// The field that every answer carries, the gateway's own and the upstream's.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Whether to send a request again, for the official SDKs and Claude Code; it goes before what the status says.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// What the choice of the language depends on.
const ACCEPT_LANGUAGE_NAME: &str = "Accept-Language";
/// Where the official SDKs look for the id of a failed request.
const REQUEST_ID: &str = "request-id";

/// A new request id: `req_`, 48 bits of time and 80 random ones. Ids of one time stand together in an index.
pub(crate) fn new_request_id() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let id = (millis << 80 | fastrand::u128(..) >> 48).to_be_bytes();
    let digits = id.into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    // To format one takes six times as long.
    "req_".chars().chain(digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))).collect()
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient<'r> {
    /// The gateway's id of the request.
    pub request_id: &'r str,
    /// The language to speak.
    pub language: Language,
}

impl<'r> Recipient<'r> {
    /// The sender of a request with these headers. It is asked only once there is something to say.
    pub(crate) fn of(request_id: &'r str, headers: &HeaderMap, default: Language) -> Self {
        let lines = headers.get_all(ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes);
        Self { request_id, language: accepted(lines, default) }
    }

    /// The sender of a request with this head, of which more may be missing.
    pub(crate) fn of_head(request_id: &'r str, head: &[u8], default: Language) -> Self {
        Self { request_id, language: accepted(field_values(head, ACCEPT_LANGUAGE.as_str()), default) }
    }
}

/// An error's code and what differs from case to case, by name.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorCode {
    pub code: &'static str,
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// The order of the members is the API's own.
#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorPart<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ErrorPart<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(flatten)]
    code: Option<ErrorCode>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub status: u16,
    /// Fields but `Content-Length` and `x-request-id`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// An answer with a body of this type.
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))], body: body.into() }
    }

    /// None: the connection is closed, or the stream over HTTP/2, for one of the gateway's own pages.
    pub(crate) fn silence() -> Self {
        Self { status: 0, headers: Vec::new(), body: Bytes::new() }
    }

    /// Whether this is none.
    pub(crate) fn is_silence(&self) -> bool {
        self.status == 0
    }

    /// An error as the Anthropic API tells it, so that clients show its message.
    pub(crate) fn error(status: u16, message: &Words, to: Recipient<'_>) -> Self {
        Self::error_with(status, message.text(to.language), None, to)
    }

    /// The same, with a code by which programs know it, and a message that is in the recipient's language already.
    pub(crate) fn error_with(status: u16, message: &str, code: Option<ErrorCode>, to: Recipient<'_>) -> Self {
        let Recipient { request_id, language } = to;
        let error = ErrorPart { r#type: error_type(status), message, code };
        let body = serde_json::to_string(&ErrorBody { r#type: "error", error, request_id }).unwrap_or_default();
        let mut answer = Self::new(status, "application/json", body).in_language(language);
        if let Ok(id) = HeaderValue::from_str(request_id) {
            answer.headers.push((HeaderName::from_static(REQUEST_ID), id));
        }
        if status == 405 {
            let allowed = HeaderValue::from_static(ALLOWED);
            answer.headers.push((http::header::ALLOW, allowed));
        }
        answer
    }

    /// An error for a request that is refused.
    pub(crate) fn refusal(refusal: &Refusal, to: Recipient<'_>) -> Self {
        Self::error(refusal.status, &refusal.message, to).again(refusal.reason.again())
    }

    /// Says in which language it is, and that another one may be had.
    pub(crate) fn in_language(self, language: Language) -> Self {
        self.with(CONTENT_LANGUAGE, language.tag()).with(VARY, ACCEPT_LANGUAGE_NAME)
    }

    /// Says whether the request may be sent again.
    pub(crate) fn again(self, again: Again) -> Self {
        match again {
            Again::Never => self.with(X_SHOULD_RETRY, "false"),
            Again::After(seconds) => self.with_value(http::header::RETRY_AFTER, HeaderValue::from(seconds)),
            Again::Told | Again::Freely => self,
        }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Adds a field with a value that was made.
    pub(crate) fn with_value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The bytes on an HTTP/1.1 connection that is closed afterwards.
    pub(crate) fn to_http1(&self, request_id: &str, is_head: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or_default()).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let rest = format!(
            "content-length: {}\r\nx-request-id: {request_id}\r\ndate: {date}\r\nconnection: close\r\n\r\n",
            self.body.len()
        );
        bytes.extend_from_slice(rest.as_bytes());
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// Its head.
    ///
    /// # Errors
    /// When a field cannot be set; that would be a mistake of the gateway's.
    pub(crate) fn head(&self, request_id: &str) -> pingora::Result<ResponseHeader> {
        let mut header = ResponseHeader::build(self.status, Some(self.headers.len() + 2))?;
        for (name, value) in &self.headers {
            header.append_header(name.clone(), value.clone())?;
        }
        if !matches!(self.status, 204 | 304) {
            header.insert_header(CONTENT_LENGTH, self.body.len())?;
        }
        header.insert_header(X_REQUEST_ID, request_id)?;
        Ok(header)
    }

    /// Sends it to the client of `session`, past the proxy's filters: for pages of the gateway's own.
    ///
    /// # Errors
    /// When the client is gone.
    pub(crate) async fn send_direct(self, session: &mut ServerSession, request_id: &str) -> pingora::Result<()> {
        if self.is_silence() {
            session.shutdown().await;
            return Ok(());
        }
        let header = self.head(request_id)?;
        let is_head = session.req_header().method == http::Method::HEAD;
        session.write_response_header(Box::new(header)).await?;
        session.write_response_body(if is_head { Bytes::new() } else { self.body }, true).await
    }
}

/// Anthropic's name for an error with this status.
fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::both;

    #[test]
    fn an_error_has_the_shape_that_clients_know() {
        let to = Recipient { request_id: "req_1", language: Language::English };
        let answer = Answer::error(413, &both!("too \"large\"", "太“大”"), to);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["error"]["type"], "request_too_large");
        assert_eq!(body["error"]["message"], "too \"large\"");
        assert_eq!(body["request_id"], "req_1");
        let wire = String::from_utf8(answer.to_http1("req_1", false)).expect("text");
        assert!(wire.starts_with("HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\n"), "{wire}");
        assert!(wire.contains("\r\nx-request-id: req_1\r\n") && wire.ends_with("\"req_1\"}"), "{wire}");
        assert!(answer.to_http1("req_1", true).ends_with(b"\r\n\r\n"));
        assert!(wire.contains("\r\ncontent-language: en\r\nvary: Accept-Language\r\n"), "{wire}");
        let chinese =
            Answer::error(413, &both!("too large", "太“大”"), Recipient { language: Language::Chinese, ..to });
        let body: serde_json::Value = serde_json::from_slice(&chinese.body).expect("JSON");
        assert_eq!(
            (&body["error"]["type"], &body["error"]["message"]),
            (&"request_too_large".into(), &"太“大”".into())
        );
        let wire = String::from_utf8(chinese.to_http1("req_1", false)).expect("text");
        assert!(wire.contains(&format!("\r\ncontent-length: {}\r\n", chinese.body.len())), "{wire}");
        assert!(wire.contains("\r\ncontent-language: zh-CN\r\n"), "{wire}");
    }

    #[test]
    fn request_ids_differ() {
        assert_ne!(new_request_id(), new_request_id());
        assert_eq!(new_request_id().len(), 36);
    }
}
