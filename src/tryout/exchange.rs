//! Sends a request over a connection of its own, and reads what comes.

use crate::doctor::diagnosis::Failure;
use crate::doctor::http;
use crate::gateway::Reply;
use crate::language::say;
use ::http::HeaderMap;
use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use bytes::BytesMut;
use gateway_core::http1::chunked;
use gateway_core::protocol::Protocol;
use gateway_core::usage::decode::Decoder;
use gateway_core::usage::meter::{Limits, Meter};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Longest time for a connection.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Most bytes of a body that are read: a list of models is the largest.
const MOST_BYTES: usize = 1024 * 1024;

/// Why nothing came.
#[derive(Debug)]
pub(super) enum NoReply {
    /// There is no connection.
    NotConnected(String),
    /// No answer in time.
    Late(Duration),
    /// The connection ended, or spoke something else.
    Broken,
}

/// Sends a request, and reads the answer.
///
/// # Errors
/// When there is none within this time.
pub(super) async fn send(
    address: SocketAddr,
    request: &[u8],
    asked: Protocol,
    within: Duration,
) -> Result<Reply, NoReply> {
    let began = Instant::now();
    let connecting = timeout_at(began + CONNECT_TIME, TcpStream::connect(address)).await;
    let late = || say!("no connection within {within} s", "{within} 秒内没有连上", within = CONNECT_TIME.as_secs());
    let connected = connecting.map_err(|_| NoReply::NotConnected(late()))?;
    let mut stream = connected.map_err(|error| NoReply::NotConnected(error.to_string()))?;
    let deadline = began + within;
    let writing = async { stream.write_all(request).await.and(stream.flush().await) };
    // One that refuses may have closed already: its answer says more.
    let _ = timeout_at(deadline, writing).await.map_err(|_| NoReply::Late(within))?;
    let read = http::read_head(&mut stream, deadline).await;
    let (answer, mut piece) = read.map_err(|failure| match failure {
        Failure::AnswerTimeout => NoReply::Late(within),
        _ => NoReply::Broken,
    })?;
    let mut body = Body::new(answer.status, &answer.headers);
    let now = std::time::Instant::now();
    let (limits, kind) =
        (Limits { event_bytes: MOST_BYTES, reply_bytes: MOST_BYTES }, answer.headers.get(CONTENT_TYPE));
    let kind = kind.map(HeaderValue::as_bytes).unwrap_or_default();
    let codings = answer.headers.get_all(CONTENT_ENCODING);
    let decoder = || Decoder::new(codings.iter().map(HeaderValue::as_bytes));
    let mut meter = match answer.status {
        200..=299 => Meter::new(asked, kind, decoder, (began.into_std(), now), limits),
        _ => None,
    };
    let mut buffer = vec![0; 16 * 1024];
    while !body.is_whole && body.bytes.len() < MOST_BYTES {
        let seen = body.bytes.len();
        body.push(&piece);
        if let Some(meter) = &mut meter {
            meter.push(&body.bytes[seen..], std::time::Instant::now());
        }
        if body.is_whole {
            break;
        }
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => piece = buffer[..count].to_vec(),
            Ok(Ok(_)) => {
                body.ends();
                break;
            }
            _ => break,
        }
    }
    let summary = meter.map(|mut meter| {
        while meter.is_behind() {
            meter.catch_up();
        }
        meter.finish()
    });
    let Body { bytes, is_whole, .. } = body;
    let (status, headers, took) = (answer.status, answer.headers, began.elapsed());
    Ok(Reply { status, headers, body: bytes.to_vec(), is_whole, summary, took })
}

/// A body while it is read.
struct Body {
    bytes: BytesMut,
    length: Option<usize>,
    chunks: Option<chunked::Decoder>,
    is_whole: bool,
}

impl Body {
    fn new(status: u16, headers: &HeaderMap) -> Self {
        let is_chunked = headers.contains_key(TRANSFER_ENCODING);
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let length = if matches!(status, 204 | 304) { Some(0) } else { length };
        let chunks = is_chunked.then(chunked::Decoder::default);
        Self { bytes: BytesMut::new(), length, chunks, is_whole: length == Some(0) }
    }

    fn push(&mut self, piece: &[u8]) {
        match &mut self.chunks {
            // What is malformed ends like what is cut.
            Some(decoder) => self.is_whole = decoder.push(piece, &mut self.bytes).is_ok() && decoder.is_done(),
            None => {
                self.bytes.extend_from_slice(piece);
                self.is_whole = self.length.is_some_and(|length| self.bytes.len() >= length);
            }
        }
    }

    /// The connection has ended: that ends a body without any framing.
    fn ends(&mut self) {
        self.is_whole = self.chunks.is_none() && self.length.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What comes of a request to a server that says this and hangs up, or says nothing and stays.
    async fn sent(says: Option<&'static str>) -> Result<Reply, NoReply> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = [0; 64];
            assert!(stream.read(&mut asked).await.expect("a request") > 0);
            match says {
                Some(says) => drop(stream.write_all(says.as_bytes()).await),
                None => std::future::pending().await,
            }
        });
        let asked = Protocol::of("POST", b"/v1/messages");
        let within = if says.is_some() { Duration::from_secs(20) } else { Duration::from_millis(50) };
        let reply = send(address, b"POST / HTTP/1.1\r\n\r\n", asked, within).await;
        serving.abort();
        reply
    }

    #[tokio::test]
    async fn bodies_end_as_they_are_framed() {
        for (says, body, is_whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "{}", false),
            ("HTTP/1.1 200 OK\r\n\r\n{}", "{}", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "{}", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
            ("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "", true),
        ] {
            let reply = sent(Some(says)).await.unwrap_or_else(|none| panic!("{says}: {none:?}"));
            assert_eq!((reply.body.as_slice(), reply.is_whole), (body.as_bytes(), is_whole), "{says}");
        }
    }

    #[tokio::test]
    async fn what_does_not_come_is_told_apart() {
        assert!(matches!(sent(None).await, Err(NoReply::Late(_))));
        assert!(matches!(sent(Some("SSH-2.0-x\r\n")).await, Err(NoReply::Broken)));
        assert!(matches!(sent(Some("")).await, Err(NoReply::Broken)));
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = nobody.local_addr().expect("its address");
        drop(nobody);
        let none = send(address, b"", Protocol::of("GET", b"/"), Duration::from_secs(5)).await;
        assert!(matches!(none, Err(NoReply::NotConnected(_))));
    }
}
