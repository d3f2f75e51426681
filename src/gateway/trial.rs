//! A request that is really sent to one upstream, on nobody's behalf: it goes the way of a client's (`proxy::attempt`), rules,
//! key, line and proxy included, over a connection of its own, and what comes is read to its end.

use super::answer::new_request_id;
use super::clean::Cleaner;
use super::client::body_budget::HeldBody;
use super::explain::{self, Values};
use super::proxy::context::Context;
use super::proxy::{attempt, failure, upstream_response};
use super::snapshot::Snapshot;
use crate::upstream::line_times;
use crate::upstream::lines::Tried as TriedLines;
use bytes::Bytes;
use gateway_core::language::Words;
use gateway_core::protocol::Protocol;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::redact::{MASK, is_secret_name};
use gateway_core::usage::decode::Decoder;
use gateway_core::usage::summary::Summary;
use http::header::{CONTENT_ENCODING, HOST};
use http::{HeaderMap, HeaderValue, Uri, Version};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, OkOrErr, OrErr, Result};
use pingora_prometheus::prometheus::IntGauge;
use serde::Serialize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;

/// Most bytes of a body that are read.
const MOST_BYTES: usize = 1024 * 1024;
/// Most interim responses.
const MOST_INTERIM: usize = 100;

/// What came.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body, without its framing and its coding.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub is_whole: bool,
    /// What it says, if it is a message.
    pub summary: Option<Summary>,
    /// How long all of it took.
    pub took: Duration,
}

impl Reply {
    /// A field, as far as it is text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }
}

/// A field of a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    /// Its name, as it was written.
    pub name: String,
    /// Its value; a mask if it may be a key.
    pub value: String,
}

/// What went out, without secrets.
#[derive(Debug, Serialize)]
pub(crate) struct Sent {
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    /// Its fields, in order.
    pub headers: Vec<Field>,
    /// Bytes of its body.
    pub bytes: usize,
    /// Unified diff of the head against the client's; empty if nothing was changed.
    pub head_diff: String,
    /// The same of the body, laid out over lines.
    pub body_diff: String,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Tried {
    /// What went out.
    pub sent: Sent,
    /// To connect: name, TCP, outbound proxy.
    pub connect: Option<Duration>,
    /// For the TLS handshake.
    pub tls: Option<Duration>,
    /// From the beginning to the head of the response.
    pub first_byte: Option<Duration>,
    /// From the beginning to the end.
    pub total: Duration,
    /// What came, or what the upstream did instead.
    pub came: Result<Reply, UpstreamFault>,
    /// What it cost, in billionths of a dollar, if the model has a price.
    pub cost: Option<u64>,
}

/// What is known while it is under way.
struct Way {
    began: Instant,
    connect: Option<Duration>,
    tls: Option<Duration>,
    first_byte: Option<Duration>,
}

/// Sends this request to the upstream in this place of the snapshot, with the key in that place there, if it has any. All of
/// it ends `within` this time.
///
/// # Errors
/// When the request cannot be made.
pub(crate) async fn send(
    connector: &Connector,
    snapshot: Arc<Snapshot>,
    (destination, key): (usize, Option<usize>),
    (head, body): (&str, Bytes),
    within: Duration,
) -> Result<Tried, Words> {
    let cannot = |error: Box<pingora::Error>| Words::said(error.etype().as_str().to_owned());
    let client = &explain::parse_head(head)?;
    let gauge = IntGauge::new("trial", "Not shown.").map_err(|error| Words::said(error.to_string()))?;
    let mut context = Context::new(snapshot, new_request_id(), &gauge);
    context.arrival.came_from(context.snapshot.origin(Some([127, 0, 0, 1].into()), &client.headers));
    context.arrival.protocol = Protocol::of(client.method.as_str(), client.raw_path());
    context.arrival.request_bytes = body.len() as u64;
    context.arrival.body = Some(HeldBody { bytes: body.clone(), hold: None });
    context.routing.destination = Some(destination);
    context.routing.key = key;
    let lines = &context.destination().map_err(cannot)?.upstream.lines;
    context.routing.line = lines.next(TriedLines::default()).unwrap_or_default();
    let mut request = client.clone();
    attempt::request(&mut request, client, &mut context).map_err(cannot)?;
    let outgoing = context.attempt.body.clone().unwrap_or_else(|| body.clone());
    let sent = sent(client, &request, (&body, &outgoing), &context.snapshot);
    let mut way = Way { began: Instant::now(), connect: None, tls: None, first_byte: None };
    let exchange = exchange(connector, request, outgoing, &mut context, &mut way);
    let came = match timeout(within, exchange).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(failure::fault(&error, &context).unwrap_or(UpstreamFault::Closed)),
        Err(_) if way.first_byte.is_some() => Err(UpstreamFault::Stalled { within }),
        Err(_) => Err(UpstreamFault::FirstByteTimeout { within }),
    };
    let cost = came.as_ref().ok().and_then(|reply| cost(reply, &context));
    let Way { began, connect, tls, first_byte } = way;
    Ok(Tried { sent, connect, tls, first_byte, total: began.elapsed(), came, cost })
}

/// Sends it, and reads what comes. A body that breaks off counts as far as it came.
async fn exchange(
    connector: &Connector,
    mut request: RequestHeader,
    body: Bytes,
    context: &mut Context,
    way: &mut Way,
) -> Result<Reply> {
    let (mut session, _) = connector.get_http_session(&context.line()?.peer(true)).await?;
    (way.connect, way.tls) = line_times::of_connection(session.digest());
    let first_byte = context.destination()?.upstream.config.first_byte_timeout;
    session.set_read_timeout(Some(first_byte));
    if let HttpSession::H2(_) = &session {
        for_http2(&mut request, context)?;
    }
    session.write_request_header(Box::new(request)).await?;
    session.write_request_body(body, true).await?;
    session.finish_request_body().await?;
    let mut interim = 0;
    let status = loop {
        session.read_response_header().await?;
        let status = session.response_header().map_or(0, |response| response.status.as_u16());
        // Of HTTP/2, interim responses never come this far.
        if status >= 200 || status == 101 || matches!(session, HttpSession::H2(_)) {
            break status;
        }
        interim += 1;
        if interim > MOST_INTERIM {
            return Err(failure::found(UpstreamFault::InterimFlood { most: MOST_INTERIM, kib: 0 }));
        }
    };
    let now = Instant::now();
    way.first_byte = Some(now.duration_since(way.began));
    context.attempt.first_byte = Some(now);
    session.set_read_timeout(Some(context.destination()?.upstream.config.read_timeout));
    let response = session.response_header().cloned();
    let response = response.or_err(ErrorType::InvalidHTTPHeader, "a response without a head")?;
    let protocol = context.arrival.protocol;
    let limits = context.snapshot.config.limits.meter;
    let mut meter = upstream_response::meter(&response, protocol, (way.began, now), limits);
    let (mut came, mut is_whole) = (Vec::new(), false);
    while came.len() < MOST_BYTES {
        match session.read_response_body().await {
            Ok(Some(piece)) => {
                if let Some(meter) = &mut meter {
                    meter.push(&piece, Instant::now());
                }
                came.extend_from_slice(&piece);
            }
            Ok(None) => {
                is_whole = true;
                break;
            }
            Err(_) => break,
        }
    }
    let summary = meter.map(|mut meter| {
        while meter.is_behind() {
            meter.catch_up();
        }
        meter.finish()
    });
    let headers = response.headers.clone();
    Ok(Reply { status, body: decoded(&headers, &came), headers, is_whole, summary, took: way.began.elapsed() })
}

/// HTTP/2 has the whole URI in place of a host, and nothing that belongs to a connection.
fn for_http2(request: &mut RequestHeader, context: &Context) -> Result<()> {
    let line = context.line()?;
    let scheme = if context.destination()?.upstream.config.base_url.tls { "https" } else { "http" };
    let host = request.headers.get(HOST).unwrap_or(&line.host).clone();
    let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(request.raw_path()).build();
    request.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "the target of the test")?);
    request.set_version(Version::HTTP_2);
    request.remove_header(&HOST);
    Ok(())
}

/// A body without its coding, as far as that can be undone.
fn decoded(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let Some(mut decoder) = Decoder::new(headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes)) else {
        return text;
    };
    let mut piece = body;
    loop {
        let pushed = decoder.push(piece, |decoded| {
            let room = MOST_BYTES - text.len();
            text.extend_from_slice(&decoded[..decoded.len().min(room)]);
            if text.len() == MOST_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if pushed.is_err() || !decoder.is_behind() {
            return text;
        }
        piece = &[];
    }
}

/// What went out, for people.
fn sent(client: &RequestHeader, request: &RequestHeader, (before, after): (&[u8], &[u8]), snapshot: &Snapshot) -> Sent {
    let cleaner = Cleaner::new(client, &snapshot.secrets);
    let headers = request.case_header_iter().map(|(name, value)| {
        let name = String::from_utf8_lossy(name.as_slice()).into_owned();
        let value = match value.is_sensitive() || is_secret_name(&name) {
            true => MASK.to_owned(),
            false => cleaner.text(&String::from_utf8_lossy(value.as_bytes()), false),
        };
        Field { name, value }
    });
    Sent {
        method: request.method.to_string(),
        target: cleaner.text(&String::from_utf8_lossy(request.raw_path()), false),
        headers: headers.collect(),
        bytes: after.len(),
        head_diff: explain::head_diff(client, request, Values::Masked, &cleaner),
        body_diff: explain::body_diff(before, after, &cleaner),
    }
}

/// What the response cost, if the model has a price.
fn cost(reply: &Reply, context: &Context) -> Option<u64> {
    let answer = reply.summary.as_ref()?;
    let factor = context.chosen()?.upstream.config.cost_factor;
    let prices = &context.snapshot.config.prices;
    prices.cost(answer.model.as_deref()?, &answer.tokens?, &answer.details, SystemTime::now(), factor)
}
