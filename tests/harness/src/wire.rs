//! HTTP/1.1 on the wire, read strictly: one way to understand the bytes, or an error.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Header fields as they stood: order, case of names and repeats kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    /// The first value of `name` (in any case), lossily as text.
    pub fn get(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// Every value of `name` (in any case) in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Whether a field `name` (in any case) is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The names as spelled, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// All fields but the ones named (in any case).
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = |name: &str| !names.iter().any(|other| other.eq_ignore_ascii_case(name));
        Self(self.0.iter().filter(|(name, _)| kept(name)).cloned().collect())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v)))).finish()
    }
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes (answers only).
    Close,
}

/// Why a message could not be read.
#[derive(Debug)]
pub enum WireError {
    /// The other side closed in the middle; what was being read.
    Cut(String),
    /// The bytes are not well-formed, or could be read in more than one way.
    Malformed(String),
    /// The socket failed (a reset, most often).
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(what) => write!(f, "cut: {what}"),
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::Io(error) => write!(f, "socket: {error}"),
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) fn malformed<T>(why: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(why.into()))
}

/// A TCP connection, with or without TLS.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Makes the coming close a RST.
    pub(crate) fn reset_on_close(&self) {
        #[allow(deprecated, reason = "zero never blocks; the replacement is younger than our minimum tokio")]
        let _ = self.tcp().set_linger(Some(std::time::Duration::ZERO));
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// A socket and what was read from it but not yet used.
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) buf: Vec<u8>,
    pub(crate) eof: bool,
}

const HEAD_MAX: usize = 1 << 20;

impl Wire {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, buf: Vec::new(), eof: false }
    }

    /// Reads once; 0 at the end.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        if self.eof {
            return Ok(0);
        }
        self.buf.reserve(64 * 1024);
        let n = self.socket.read_buf(&mut self.buf).await?;
        self.eof = n == 0;
        Ok(n)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }

    /// Takes a head up to and with its empty line; `None` when the connection ended before its first byte.
    pub(crate) async fn head(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let mut seen = 0;
        loop {
            while let Some(offset) = self.buf[seen..].iter().position(|&byte| byte == b'\n') {
                let at = seen + offset;
                if at == 0 || self.buf[at - 1] != b'\r' {
                    return malformed(format!("bare LF in the head: {}", show(&self.buf[..=at])));
                }
                if self.buf[..at].ends_with(b"\r\n\r") || at == 1 {
                    return Ok(Some(self.take(at + 1)));
                }
                seen = at + 1;
            }
            seen = self.buf.len();
            if seen > HEAD_MAX {
                return malformed("head over 1 MiB");
            }
            if self.fill().await? == 0 {
                if self.buf.is_empty() {
                    return Ok(None);
                }
                return Err(WireError::Cut(format!("in the head: {}", show(&self.buf))));
            }
        }
    }

    /// Takes a line without its CRLF.
    async fn line(&mut self, what: &str) -> Result<Vec<u8>, WireError> {
        loop {
            if let Some(at) = self.buf.iter().position(|&byte| byte == b'\n') {
                if at == 0 || self.buf[at - 1] != b'\r' {
                    return malformed(format!("bare LF in {what}"));
                }
                let mut line = self.take(at + 1);
                line.truncate(at - 1);
                if line.contains(&b'\r') {
                    return malformed(format!("bare CR in {what}"));
                }
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(WireError::Cut(format!("in {what}")));
            }
        }
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let rest = self.buf.split_off(n);
        std::mem::replace(&mut self.buf, rest)
    }
}

/// Reads a body piece by piece, as its bytes come in.
pub(crate) struct BodyReader {
    framing: Framing,
    /// Of the whole body (Content-Length) or of the current chunk.
    left: u64,
    between_chunks: bool,
    done: bool,
    pub(crate) trailers: Headers,
}

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(n) = framing { n } else { 0 };
        let done = matches!(framing, Framing::None | Framing::Length(0));
        Self { framing, left, between_chunks: true, done, trailers: Headers::default() }
    }

    /// The next bytes; `None` once the body is whole.
    pub(crate) async fn next(&mut self, wire: &mut Wire) -> Result<Option<Vec<u8>>, WireError> {
        if self.done {
            return Ok(None);
        }
        if self.framing == Framing::Chunked && self.left == 0 && self.between_chunks {
            let size = chunk_size(&wire.line("a chunk size").await?)?;
            if size == 0 {
                let mut raw = Vec::new();
                loop {
                    let line = wire.line("the trailers").await?;
                    if line.is_empty() {
                        break;
                    }
                    raw.push(line);
                }
                self.trailers = fields(raw.iter().map(Vec::as_slice))?;
                self.done = true;
                return Ok(None);
            }
            self.left = size;
            self.between_chunks = false;
        }
        if wire.buf.is_empty() && wire.fill().await? == 0 {
            if self.framing == Framing::Close {
                self.done = true;
                return Ok(None);
            }
            return Err(WireError::Cut(format!("in the body ({:?}), {} bytes missing", self.framing, self.left)));
        }
        if self.framing == Framing::Close {
            return Ok(Some(wire.take(wire.buf.len())));
        }
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(wire.buf.len());
        let piece = wire.take(n);
        self.left -= n as u64;
        if self.left == 0 {
            if self.framing == Framing::Chunked {
                if !wire.line("the end of a chunk").await?.is_empty() {
                    return malformed("chunk longer than its size");
                }
                self.between_chunks = true;
            } else {
                self.done = true;
            }
        }
        Ok(Some(piece))
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, WireError> {
    let plain = !line.is_empty() && line.len() <= 15 && line.iter().all(u8::is_ascii_hexdigit);
    let text = String::from_utf8_lossy(line);
    match plain {
        true => u64::from_str_radix(&text, 16).or_else(|_| malformed(format!("chunk size {text:?}"))),
        false => malformed(format!("chunk size {text:?} (extensions count as malformed here)")),
    }
}

/// The lines of a head, without their line ends and without the closing empty line.
pub(crate) fn lines(head: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let body = head.strip_suffix(b"\r\n\r\n").ok_or_else(|| WireError::Malformed("empty head".into()))?;
    let mut lines = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    match lines.iter().find(|line| line.iter().any(|&byte| byte == b'\r' || byte == 0)) {
        Some(line) => malformed(format!("bare CR or NUL in {}", show(line))),
        None => Ok(lines),
    }
}

/// Field lines, strictly: no folding, no blank before the colon, no control characters.
pub(crate) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Headers, WireError> {
    let mut headers = Headers::default();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return malformed(format!("field without a colon: {}", show(line)));
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return malformed(format!("field name {}", show(name)));
        }
        if value.iter().any(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
            return malformed(format!("control character in {}", show(line)));
        }
        headers.0.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    Ok(headers)
}

/// What `Content-Length` and `Transfer-Encoding` say; at most one of them, once, in its plainest form.
pub(crate) fn declared_framing(headers: &Headers) -> Result<Option<Framing>, WireError> {
    let (lengths, codings) = (headers.all("content-length"), headers.all("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([length], []) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let leading_zero = length.len() > 1 && length.starts_with('0');
            match length.parse() {
                Ok(n) if digits && !leading_zero => Ok(Some(Framing::Length(n))),
                _ => malformed(format!("Content-Length {length:?}")),
            }
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        _ => malformed(format!("Content-Length {lengths:?} and Transfer-Encoding {codings:?}")),
    }
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes for a message: escaped, at most 200 of them.
pub(crate) fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(200)];
    format!("\"{}\"{}", cut.escape_ascii(), if cut.len() < bytes.len() { "..." } else { "" })
}
