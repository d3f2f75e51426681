//! `live`: server-sent events of what happens.

use super::status;
use crate::feed::{Event, Second};
use crate::gateway::{Answer, Recipient, Shared};
use crate::store::Listed;
use crate::store::row::{TokenCounts, cost_of};
use bytes::Bytes;
use gateway_core::again::Again;
use gateway_core::both;
use http::header::{CACHE_CONTROL, HeaderName};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests that are told of in one second; of others only the number.
const REQUESTS_A_SECOND: u64 = 200;
/// Readers at one time.
const READERS: usize = 64;
/// Proxies end connections on which nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a reader may take no byte.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells of what happens until the client goes away, the process drains, or the reader may not look any more.
///
/// # Errors
/// When the client is gone.
pub(super) async fn serve(
    session: &mut ServerSession,
    shared: &Shared,
    request_id: &str,
    may_look: impl Fn() -> bool,
) -> pingora::Result<()> {
    if shared.feed.listeners() >= READERS {
        let message = both!(
            "{READERS} readers listen already: close a panel, and try again.",
            "已有 {READERS} 个页面在接收实时事件：请关闭一个面板后重试。"
        );
        let language = shared.snapshot.load().config.language;
        let to = Recipient::of(request_id, &session.req_header().headers, language);
        let answer = Answer::error(503, &message, to).again(Again::After(1));
        return answer.send_direct(session, request_id).await;
    }
    let mut listener = shared.feed.listen();
    let mut head = ResponseHeader::build(200, Some(5))?;
    head.insert_header(http::header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    // nginx would keep events back.
    head.insert_header(HeaderName::from_static("x-accel-buffering"), "no")?;
    head.insert_header(http::header::TRANSFER_ENCODING, "chunked")?;
    head.insert_header(HeaderName::from_static("x-request-id"), request_id)?;
    session.set_write_timeout(Some(WRITE_TIMEOUT));
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(Bytes::from_static(b"retry: 2000\n\n"), false).await?;
    let (mut told, mut skipped) = (0, 0);
    loop {
        let Ok((event, missed)) = tokio::time::timeout(HEARTBEAT, listener.next()).await else {
            session.write_response_body(Bytes::from_static(b":\n\n"), false).await?;
            continue;
        };
        skipped += missed;
        let text = match event {
            Event::Request(_) if told >= REQUESTS_A_SECOND => {
                skipped += 1;
                continue;
            }
            Event::Request(record) => {
                told += 1;
                event_text("request", &json!(Listed::from(&*record)))
            }
            Event::Second(_) if !may_look() => break,
            Event::Second(second) => {
                told = 0;
                event_text("second", &second_json(&second, std::mem::take(&mut skipped) + second.untold, shared))
            }
            Event::Config(version) => event_text("config", &json!({ "version": &*version })),
            Event::End => break,
        };
        session.write_response_body(Bytes::from(text), false).await?;
    }
    session.set_keepalive(None);
    session.write_response_body(Bytes::new(), true).await
}

fn event_text(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn second_json(second: &Second, skipped: u64, shared: &Shared) -> Value {
    let [input, output, cache_write, cache_read] = second.tokens;
    let tokens = TokenCounts { input, output, cache_write, cache_read };
    let mut text = json!({
        "requests": second.requests,
        "completed": second.completed,
        "failed": second.failed,
        "in_flight": shared.metrics.in_flight.get(),
        "streams": shared.metrics.streams.get(),
        "tokens": tokens,
        "cost_usd": cost_of(second.cost, second.unpriced, tokens),
        "unpriced_requests": second.unpriced,
        "response_bytes": second.response_bytes,
        "skipped": skipped,
    });
    if let (Value::Object(text), Value::Object(running)) =
        (&mut text, status::running(&shared.running, status::OF_FEED))
    {
        text.extend(running);
    }
    text
}
