//! A raw HTTP/1.1 client: sends the bytes it is given, reads answers strictly.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::deadline::within;
use crate::tls::{self, Alpn};
use crate::wire::{self, BodyReader, Framing, Headers, Socket, Wire, WireError, malformed, show};

/// A request to be written as bytes: `Content-Length` is added for a body, `Host` first.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Any method and target, sent as they are.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: vec![], body: None }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a body and its `Content-Length`.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Adds a field as it is.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The request's bytes; `Host: gateway.test` is added if no Host was given.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            out.extend(b"Host: gateway.test\r\n");
        }
        for (name, value) in &self.headers {
            out.extend(name.bytes());
            out.extend(b": ");
            out.extend(value);
            out.extend(b"\r\n");
        }
        if let Some(body) = &self.body {
            out.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        out.extend(b"\r\n");
        out.extend(self.body.as_deref().unwrap_or_default());
        out
    }
}

/// The head of an answer, and of the interim ones before it.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Heads with status 1xx (but 101) that came first.
    pub interim: Vec<(u16, Headers)>,
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The fields, in order and as spelled.
    pub headers: Headers,
    /// How the body is framed.
    pub framing: Framing,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its head.
    pub head: ResponseHead,
    /// Its body without framing.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Headers,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The first value of a field, lossily as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.headers.get(name)
    }

    /// The status, the upstream that the gateway names, and how many attempts it says there were (`?` where it says
    /// nothing), as `200 relay 1`.
    pub fn outcome(&self) -> String {
        let field = |name| self.header(name).unwrap_or_else(|| "?".to_owned());
        format!("{} {} {}", self.status(), field("x-gateway-upstream"), field("x-gateway-attempts"))
    }

    /// The body, lossily as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// A connection of a raw client.
pub struct Client {
    wire: Wire,
    body: Option<BodyReader>,
}

impl Client {
    /// Connects in plain text.
    pub async fn connect(addr: SocketAddr) -> Self {
        let tcp = within("connect", TcpStream::connect(addr)).await.expect("connection refused");
        Self::over(tcp)
    }

    /// Connects as another client: from the address `127.0.0.LAST`.
    pub async fn connect_from(last: u8, addr: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, last], 0).into()).expect("an address of the loopback network");
        Self::over(within("connect", socket.connect(addr)).await.expect("connection refused"))
    }

    /// Uses a connection that the test has prepared.
    pub fn over(tcp: TcpStream) -> Self {
        let _ = tcp.set_nodelay(true);
        Self { wire: Wire::new(Socket::Plain(tcp)), body: None }
    }

    /// Connects with TLS, trusting only `ca_file`.
    pub async fn connect_tls(addr: SocketAddr, ca_file: &Path, name: &str, alpn: Alpn) -> Self {
        let tcp = within("connect", TcpStream::connect(addr)).await.expect("connection refused");
        let _ = tcp.set_nodelay(true);
        let stream = within("TLS handshake", tls::connector(ca_file, alpn).connect(tls::server_name(name), tcp));
        let stream = stream.await.expect("TLS handshake");
        Self { wire: Wire::new(Socket::Tls(Box::new(stream.into()))), body: None }
    }

    /// Sends bytes. A connection that the other side has closed is no error here: its answer tells more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("send", self.wire.write(bytes.as_ref())).await;
    }

    /// Sends bytes, or says why they could not be sent.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        within("send", self.wire.write(bytes.as_ref())).await
    }

    /// Sends the pieces with a gap between them; stops when the other side has closed.
    pub async fn send_pieces(&mut self, pieces: &[&[u8]], gap: Duration) {
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(gap).await;
            }
            if self.wire.write(piece).await.is_err() {
                return;
            }
        }
    }

    /// Sends a request and reads its answer whole.
    ///
    /// # Panics
    /// When the answer is not whole and well-formed.
    pub async fn request(&mut self, request: &Request) -> Response {
        self.send(request.bytes()).await;
        self.response(request.method()).await
    }

    /// As [`Client::request`], with the failure as a value.
    ///
    /// # Errors
    /// When the answer is not whole and well-formed.
    pub async fn try_request(&mut self, request: &Request) -> Result<Response, WireError> {
        self.send(request.bytes()).await;
        self.try_response(request.method()).await
    }

    /// Reads the answer to a request with this method whole.
    ///
    /// # Panics
    /// When it is not whole and well-formed.
    pub async fn response(&mut self, method: &str) -> Response {
        match self.try_response(method).await {
            Ok(response) => response,
            Err(error) => panic!("no good answer: {error}"),
        }
    }

    /// As [`Client::response`], with the failure as a value.
    ///
    /// # Errors
    /// When the answer is cut, malformed, or the connection is reset.
    pub async fn try_response(&mut self, method: &str) -> Result<Response, WireError> {
        let head = self.try_head(method).await?;
        let mut body = Vec::new();
        while let Some(piece) = self.try_piece().await? {
            body.extend(piece);
        }
        let trailers = self.body.take().map(|reader| reader.trailers).unwrap_or_default();
        Ok(Response { head, body, trailers })
    }

    /// Reads an answer's head; its body is then read by [`Client::piece`].
    ///
    /// # Panics
    /// When it is cut or malformed.
    pub async fn head(&mut self, method: &str) -> ResponseHead {
        match self.try_head(method).await {
            Ok(head) => head,
            Err(error) => panic!("no good head: {error}"),
        }
    }

    /// As [`Client::head`], with the failure as a value.
    ///
    /// # Errors
    /// When it is cut, malformed, or the connection is reset.
    pub async fn try_head(&mut self, method: &str) -> Result<ResponseHead, WireError> {
        let mut interim = Vec::new();
        loop {
            let raw = within("the head of an answer", self.wire.head()).await?;
            let raw = raw.ok_or_else(|| WireError::Cut("closed without an answer".into()))?;
            let mut head = parse_head(&raw, method)?;
            if (100..200).contains(&head.status) && head.status != 101 {
                interim.push((head.status, head.headers));
                continue;
            }
            head.interim = interim;
            self.body = Some(BodyReader::new(head.framing));
            return Ok(head);
        }
    }

    /// Reads one interim answer (1xx) and nothing more.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn interim(&mut self) -> (u16, Headers) {
        let raw = within("an interim answer", self.wire.head()).await.expect("a head").expect("an interim answer");
        let head = parse_head(&raw, "GET").expect("a head");
        assert!((100..200).contains(&head.status), "interim answer wanted, got {}", head.status);
        (head.status, head.headers)
    }

    /// The next bytes of the body as they come; `None` at its end.
    ///
    /// # Panics
    /// When the body is cut or malformed.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        match self.try_piece().await {
            Ok(piece) => piece,
            Err(error) => panic!("no good body: {error}"),
        }
    }

    /// As [`Client::piece`], with the failure as a value.
    ///
    /// # Errors
    /// When the body is cut, malformed, or the connection is reset.
    pub async fn try_piece(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let Some(reader) = self.body.as_mut() else { return Ok(None) };
        within("the next bytes of a body", reader.next(&mut self.wire)).await
    }

    /// Reads the body until it holds `text`; returns what was read.
    ///
    /// # Panics
    /// When the body ends before.
    pub async fn piece_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            match self.piece().await {
                Some(piece) => seen.extend(piece),
                None => panic!("the body ended before {text:?}: {}", show(&seen)),
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Reads exactly `n` bytes past all framing (after an upgrade).
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn raw(&mut self, n: usize) -> Vec<u8> {
        while self.wire.buf.len() < n {
            let read = within("raw bytes", self.wire.fill()).await.expect("raw bytes");
            assert!(read > 0, "closed after {} of {n} bytes", self.wire.buf.len());
        }
        let rest = self.wire.buf.split_off(n);
        std::mem::replace(&mut self.wire.buf, rest)
    }

    /// Waits until the other side has closed (or reset) the connection; what came before that.
    pub async fn closed(&mut self) -> Vec<u8> {
        within("the other side closing", async { while !matches!(self.wire.fill().await, Ok(0) | Err(_)) {} }).await;
        std::mem::take(&mut self.wire.buf)
    }

    /// Ends the sending side only.
    pub async fn finish(&mut self) {
        let _ = self.wire.socket.shutdown().await;
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.wire.socket.reset_on_close();
    }
}

fn parse_head(raw: &[u8], method: &str) -> Result<ResponseHead, WireError> {
    let lines = wire::lines(raw)?;
    let line = String::from_utf8_lossy(lines[0]).into_owned();
    let mut parts = line.splitn(3, ' ');
    let (version, status, reason) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
    let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let (Some("HTTP/1.1"), true, Some(reason)) = (version, digits, reason) else {
        return malformed(format!("status line {line:?}"));
    };
    let status: u16 = status.parse().or_else(|_| malformed(format!("status {status:?}")))?;
    let headers = wire::fields(lines[1..].iter().copied())?;
    let bodiless = method == "HEAD" || status < 200 || status == 204 || status == 304;
    let declared = wire::declared_framing(&headers)?;
    let framing = if bodiless { Framing::None } else { declared.unwrap_or(Framing::Close) };
    Ok(ResponseHead { interim: vec![], status, reason: reason.to_owned(), headers, framing })
}
