//! HTTP/2 requests: checked and read as a whole before Pingora handles them, as HTTP/1 requests are.

use super::body_budget::{HeldBody, Hold};
use super::incoming::Incoming;
use super::request::{Expected, NoRequest, ReadRequest};
use super::response_hold::ResponseHold;
use crate::config::Limits;
use crate::gateway::answer::Answer;
use bytes::Bytes;
use gateway_core::body_intake::Framing;
use gateway_core::both;
use gateway_core::http1::Refusal;
use gateway_core::http1::Target;
use gateway_core::http1::head::{check_connection, check_expect, check_method};
use gateway_core::reason::Reason;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::protocols::http::v2::server::HttpSession as Http2Session;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The request that was read, on its way to the phase that takes it. It travels in the head's extensions.
#[derive(Clone)]
pub(crate) struct Carried(Arc<Mutex<Option<ReadRequest>>>);

impl Carried {
    /// Hands the request out, once.
    pub(crate) fn take(&self) -> Option<ReadRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads the body of a request that was checked, with what is known of it; it must be known if there is one. Afterwards
/// its head carries all that. What it returns is for `WholeRequest`.
///
/// # Errors
/// Why there is no request to handle.
pub(crate) async fn read(
    session: &mut Http2Session,
    limits: &Limits,
    expected: Option<Expected>,
) -> Result<Arc<ResponseHold>, NoRequest> {
    let started = Instant::now();
    session.set_write_timeout(Some(limits.write_timeout));
    let (found, body) = match expected {
        Some(Expected { hold, found }) => (found, Some(read_body(session, limits, hold).await?)),
        None => (None, None),
    };
    let length_name = Bytes::from_static(b"Content-Length");
    let response_hold = Arc::<ResponseHold>::default();
    response_hold.expect_body(body.as_ref().is_some_and(|held| !held.bytes.is_empty()));
    let read = ReadRequest { started, body, found, length_name, hold: Arc::clone(&response_hold) };
    session.req_header_mut().extensions_mut().insert(Carried(Arc::new(Mutex::new(Some(read)))));
    Ok(response_hold)
}

/// Checks what HTTP/2 itself does not make impossible.
///
/// # Errors
/// The refusal of the first rule that the head breaks.
pub(crate) fn check(request: &RequestHeader, limits: &Limits) -> Result<(), Refusal> {
    let method = request.method.as_str().as_bytes();
    check_method(method)?;
    if let Target::Absolute { .. } = Target::parse(method, request.raw_path())? {
        return Err(Refusal::bad(Reason::Target, both!("The request target must be a path.", "请求目标必须是路径。")));
    }
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = request.headers.get(HOST).map(|host| host.as_bytes());
    match (authority, host) {
        (None, None) => {
            return Err(Refusal::bad(
                Reason::Host,
                both!("The request has neither :authority nor Host.", "请求既没有 :authority，也没有 Host。"),
            ));
        }
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => {
            return Err(Refusal::bad(
                Reason::Host,
                both!("The :authority and the Host of the request differ.", "请求的 :authority 与 Host 不一致。"),
            ));
        }
        (Some(given), _) | (None, Some(given)) if !gateway_core::http1::is_host(given) => {
            return Err(Refusal::bad(
                Reason::Host,
                both!(
                    "The host of the request is not a name or address with an optional port.",
                    "请求的主机不是主机名或地址（可带端口）。"
                ),
            ));
        }
        _ => {}
    }
    for (name, reason) in [(HOST, Reason::Host), (CONTENT_LENGTH, Reason::ContentLength)] {
        if request.headers.get_all(&name).iter().count() > 1 {
            return Err(Refusal::bad(
                reason,
                both!("The {name} header is there more than once.", "{name} 请求头出现了多次。"),
            ));
        }
    }
    if request.headers.len() > limits.head.header_count {
        let message = both!(
            "The request has more than {most} header fields.",
            "请求头超过 {most} 个。",
            most = limits.head.header_count
        );
        return Err(Refusal::new(431, Reason::HeaderCount, message));
    }
    let bytes: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.head.header_bytes {
        let message = both!(
            "The request head is larger than {most} bytes.",
            "请求头总共超过 {most} 字节。",
            most = limits.head.header_bytes
        );
        return Err(Refusal::new(431, Reason::HeaderBytes, message));
    }
    if request.raw_path().len() > limits.head.target_bytes {
        let message = both!(
            "The request target is longer than {most} bytes.",
            "请求目标超过 {most} 字节。",
            most = limits.head.target_bytes
        );
        return Err(Refusal::new(414, Reason::TargetBytes, message));
    }
    if let Some(value) = request.headers.get(EXPECT) {
        check_expect(value.as_bytes())?;
    }
    let mut options = 0;
    request.headers.get_all(CONNECTION).iter().try_for_each(|value| check_connection(value.as_bytes(), &mut options))
}

async fn read_body(session: &mut Http2Session, limits: &Limits, hold: Hold) -> Result<HeldBody, NoRequest> {
    let length = match session.req_header().headers.get(CONTENT_LENGTH) {
        None => None,
        Some(value) => {
            let length = value.to_str().ok().and_then(|digits| digits.parse::<usize>().ok());
            Some(length.ok_or_else(|| {
                Refusal::bad(
                    Reason::ContentLength,
                    both!("The Content-Length header is not a number.", "Content-Length 请求头不是数字。"),
                )
            })?)
        }
    };
    let mut body = Incoming::new(Framing::UntilEnd(length), hold, limits)?;
    while let Some(chunk) = body.in_time(session.read_body_bytes()).await?.map_err(|_| NoRequest::Aborted)? {
        body.push(&chunk)?;
    }
    body.end()?;
    Ok(body.finish()?)
}

/// Sends a response of the gateway's own.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn answer(session: &mut Http2Session, answer: Answer, request_id: &str) -> Result<()> {
    if answer.is_silence() {
        session.shutdown();
        return Ok(());
    }
    let is_head = session.req_header().method == http::Method::HEAD;
    let header = answer.head(request_id)?;
    session.write_response_header(Box::new(header), is_head || answer.body.is_empty())?;
    if is_head { Ok(()) } else { session.write_body(answer.body, true).await }
}
