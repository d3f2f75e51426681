//! One HTTP/1.1 request, and the beginning of its answer: bounded in bytes and in time.

use super::diagnosis::Failure;
use crate::config::proxy::OutboundProxy;
use crate::config::secret::Secret;
use crate::config::upstream::UpstreamConfig;
use crate::upstream::tunnel;
use bytes::BytesMut;
use gateway_core::http1::chunked;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// Most bytes of an answer's head, and most bytes of its body that are read.
const MOST_BYTES: usize = 64 * 1024;
const MOST_FIELDS: usize = 128;

/// The beginning of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// The first bytes of its body, decoded.
    pub body_start: Vec<u8>,
}

/// The target of the one request that is made.
pub(super) fn target(upstream: &UpstreamConfig) -> String {
    format!("{}/v1/models?limit=1", upstream.base_url.path_prefix)
}

/// The request: it changes nothing, and costs nothing. A proxy that forwards it gets the whole target.
pub(super) fn request(upstream: &UpstreamConfig, key: Option<&Secret>, forwarder: Option<&OutboundProxy>) -> Vec<u8> {
    let origin = forwarder.map_or_else(String::new, |_| format!("http://{}", upstream.base_url.authority));
    let credentials = forwarder.and_then(|proxy| tunnel::basic(proxy.credentials.as_ref()?));
    let credentials = credentials.as_ref().and_then(|value| value.to_str().ok());
    let credentials = credentials.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let authorization = key.map(|key| format!("Authorization: Bearer {}\r\n", key.expose())).unwrap_or_default();
    format!(
        "GET {origin}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: anyrouter-gateway/{} (doctor)\r\nAccept: application/json\r\n\
         Accept-Encoding: identity\r\nanthropic-version: 2023-06-01\r\n{authorization}{credentials}Connection: close\r\n\r\n",
        target(upstream),
        upstream.base_url.authority,
        env!("CARGO_PKG_VERSION"),
    )
    .into_bytes()
}

/// Reads the head of an answer, and what came with it of its body.
///
/// # Errors
/// When none comes until the deadline, or something else does.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    deadline: Instant,
) -> Result<(Answer, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = timeout_at(deadline, stream.read(&mut piece)).await.map_err(|_| Failure::AnswerTimeout)?;
        // A connection that is cut before the head is whole: whether properly or not makes no difference.
        match read.unwrap_or(0) {
            0 if bytes.is_empty() => return Err(Failure::Closed),
            0 => return Err(Failure::NotHttp),
            count => bytes.extend_from_slice(&piece[..count]),
        }
        while let Some((answer, length)) = parse_head(&bytes)? {
            let rest = bytes.split_off(length);
            // Interim answers come before the one that counts.
            if answer.status >= 200 || answer.status == 101 {
                return Ok((answer, rest));
            }
            bytes = rest;
        }
        if bytes.len() > MOST_BYTES {
            return Err(Failure::NotHttp);
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes).map_err(|_| Failure::NotHttp)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let fields = response.headers.iter().filter_map(|field| {
        Some((HeaderName::from_bytes(field.name.as_bytes()).ok()?, HeaderValue::from_bytes(field.value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, value);
    }
    let status = response.code.ok_or(Failure::NotHttp)?;
    Ok(Some((Answer { status, headers, body_start: Vec::new() }, length)))
}

/// Reads an answer with the beginning of its body. A body that is cut, malformed or slow counts as far as it came.
///
/// # Errors
/// As [`read_head`].
pub(crate) async fn read_answer(stream: &mut (impl AsyncRead + Unpin), deadline: Instant) -> Result<Answer, Failure> {
    let (mut answer, mut piece) = read_head(stream, deadline).await?;
    let mut body = Body::new(&answer);
    let mut buffer = [0; 4096];
    while body.push(&piece) {
        match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => piece = buffer[..count].to_vec(),
            _ => break,
        }
    }
    answer.body_start = body.bytes.to_vec();
    Ok(answer)
}

/// A body while it is read.
struct Body {
    bytes: BytesMut,
    most: usize,
    chunks: Option<chunked::Decoder>,
}

impl Body {
    fn new(answer: &Answer) -> Self {
        let is_chunked = answer.headers.get(TRANSFER_ENCODING).is_some_and(|coding| {
            coding.to_str().is_ok_and(|coding| coding.trim().to_ascii_lowercase().ends_with("chunked"))
        });
        let length = answer.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let most = match answer.status {
            204 | 304 => 0,
            _ if is_chunked => MOST_BYTES,
            _ => length.unwrap_or(MOST_BYTES).min(MOST_BYTES),
        };
        Self { bytes: BytesMut::new(), most, chunks: is_chunked.then(chunked::Decoder::default) }
    }

    /// Takes bytes as they came; whether more are wanted.
    fn push(&mut self, piece: &[u8]) -> bool {
        let is_open = match &mut self.chunks {
            Some(decoder) => decoder.push(piece, &mut self.bytes).is_ok() && !decoder.is_done(),
            None => {
                self.bytes.extend_from_slice(piece);
                true
            }
        };
        self.bytes.truncate(self.most);
        is_open && self.bytes.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn read(mut bytes: &[u8]) -> Result<Answer, Failure> {
        read_answer(&mut bytes, Instant::now() + Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn answers_are_read_as_they_are_framed() {
        let rows: [(&[u8], u16, &[u8]); 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more", 200, b"ok"),
            (b"HTTP/1.1 401 No\r\n\r\nuntil the end", 401, b"until the end"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, b"ok"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz", 200, b"ok"),
            (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
            (b"HTTP/1.1 204 No Content\r\n\r\nwhat?", 204, b""),
            (b"HTTP/1.1 520\r\nContent-Length: 99\r\n\r\ncut", 520, b"cut"),
        ];
        for (bytes, status, body) in rows {
            let answer = read(bytes).await.unwrap_or_else(|error| panic!("{}: {error:?}", bytes.escape_ascii()));
            assert_eq!((answer.status, answer.body_start.as_slice()), (status, body), "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_named() {
        assert_eq!(read(b"").await.err(), Some(Failure::Closed));
        for bytes in [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 OK\r\n\r\n"] {
            assert_eq!(read(bytes).await.err(), Some(Failure::NotHttp), "{}", bytes.escape_ascii());
        }
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
        assert_eq!(read(&endless).await.err(), Some(Failure::NotHttp));
    }

    #[tokio::test]
    async fn no_more_of_a_body_is_read_than_is_needed() {
        let huge = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 1 << 20]].concat();
        assert_eq!(read(&huge).await.expect("an answer").body_start.len(), MOST_BYTES);
    }
}
