//! An HTTP/2 client, over plain TCP (prior knowledge) or TLS.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use http::HeaderMap;
use tokio::net::TcpStream;

use crate::deadline::within;
use crate::tls::{self, Alpn};
use crate::wire::Socket;

/// Why an HTTP/2 request got no whole answer.
#[derive(Debug)]
pub struct H2Failure {
    /// The head, if it had come.
    pub head: Option<http::response::Parts>,
    /// The body's bytes before the failure.
    pub body: Vec<u8>,
    /// What happened.
    pub error: h2::Error,
}

/// A whole HTTP/2 answer.
#[derive(Debug)]
pub struct H2Response {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Fields after the body.
    pub trailers: Option<HeaderMap>,
}

impl H2Response {
    /// The body, lossily as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer that is read piece by piece; dropping it resets its stream.
pub struct H2Stream {
    /// The answer's head.
    pub head: http::response::Parts,
    body: h2::RecvStream,
}

impl H2Stream {
    /// Reads the body until it holds `text`; returns what was read.
    ///
    /// # Panics
    /// When the body ends or fails before.
    pub async fn piece_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let data = within("the next bytes of an HTTP/2 body", self.body.data()).await;
            let data = data.expect("more of the body").expect("data");
            let _ = self.body.flow_control().release_capacity(data.len());
            seen.extend(data);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Whether the body ends here, and well.
    pub async fn ended(&mut self) -> bool {
        loop {
            match within("the end of an HTTP/2 body", self.body.data()).await {
                // The end may come as an empty frame of its own.
                Some(Ok(data)) if data.is_empty() => {}
                more => return more.is_none(),
            }
        }
    }
}

/// A request whose body has not ended; dropping it resets its stream.
pub struct H2Unfinished {
    answer: h2::client::ResponseFuture,
    _stream: h2::SendStream<Bytes>,
}

impl H2Unfinished {
    /// The status of the answer that comes all the same, and its body.
    ///
    /// # Errors
    /// When the stream ends without an answer.
    pub async fn answer(self) -> Result<(u16, String), h2::Error> {
        let (head, mut stream) = within("the head of an HTTP/2 answer", self.answer).await?.into_parts();
        let mut body = Vec::new();
        while let Some(Ok(data)) = within("the next bytes of an HTTP/2 body", stream.data()).await {
            body.extend(data);
        }
        Ok((head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }
}

/// One HTTP/2 connection.
pub struct H2Client {
    sender: h2::client::SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl H2Client {
    /// Connects in plain text and speaks HTTP/2 at once.
    pub async fn connect(addr: SocketAddr) -> Self {
        let tcp = within("connect", TcpStream::connect(addr)).await.expect("connection refused");
        Self::handshake(Socket::Plain(tcp)).await
    }

    /// Connects with TLS and ALPN `h2`, trusting only `ca_file`.
    ///
    /// # Panics
    /// When the server does not choose `h2`.
    pub async fn connect_tls(addr: SocketAddr, ca_file: &Path, name: &str) -> Self {
        let tcp = within("connect", TcpStream::connect(addr)).await.expect("connection refused");
        let connecting = tls::connector(ca_file, Alpn::H2).connect(tls::server_name(name), tcp);
        let stream = within("TLS handshake", connecting).await.expect("TLS handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()), "ALPN");
        Self::handshake(Socket::Tls(Box::new(stream.into()))).await
    }

    async fn handshake(socket: Socket) -> Self {
        let (sender, connection) =
            within("HTTP/2 handshake", h2::client::handshake(socket)).await.expect("HTTP/2 handshake");
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends a request whose body goes out in these pieces (none: the head ends the stream) and reads the
    /// answer. Nothing is added to the request's head.
    ///
    /// # Errors
    /// When the stream or the connection ends before the answer is whole.
    pub async fn try_send(&self, request: http::Request<()>, pieces: &[&[u8]]) -> Result<H2Response, H2Failure> {
        let mut failure = |error: h2::Error| H2Failure { head: None, body: vec![], error };
        let mut sender = within("HTTP/2 ready", self.sender.clone().ready()).await.map_err(&mut failure)?;
        let (answer, mut stream) = sender.send_request(request, pieces.is_empty()).map_err(&mut failure)?;
        let sending = async {
            for (at, piece) in pieces.iter().enumerate() {
                let mut rest = Bytes::copy_from_slice(piece);
                let last = at + 1 == pieces.len();
                while !rest.is_empty() {
                    stream.reserve_capacity(rest.len());
                    // The peer may answer and reset before it took everything.
                    let Some(Ok(granted)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                    let now = rest.split_to(granted.min(rest.len()));
                    if stream.send_data(now, last && rest.is_empty()).is_err() {
                        return;
                    }
                }
                if piece.is_empty() && stream.send_data(Bytes::new(), last).is_err() {
                    return;
                }
            }
        };
        let reading = async {
            let (head, mut stream) = answer.await.map_err(&mut failure)?.into_parts();
            let mut body = Vec::new();
            while let Some(data) = stream.data().await {
                match data {
                    Ok(data) => {
                        let _ = stream.flow_control().release_capacity(data.len());
                        body.extend(data);
                    }
                    Err(error) => return Err(H2Failure { head: Some(head), body, error }),
                }
            }
            match stream.trailers().await {
                Ok(trailers) => Ok(H2Response { status: head.status.as_u16(), headers: head.headers, body, trailers }),
                Err(error) => Err(H2Failure { head: Some(head), body, error }),
            }
        };
        within("an HTTP/2 answer", async {
            tokio::pin!(sending, reading);
            let mut sent = false;
            loop {
                tokio::select! {
                    () = &mut sending, if !sent => sent = true,
                    answer = &mut reading => return answer,
                }
            }
        })
        .await
    }

    /// Sends a request and the beginning of its body, as far as the other side takes it.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn begin(&self, request: http::Request<()>, beginning: &[u8]) -> H2Unfinished {
        let mut sender = within("HTTP/2 ready", self.sender.clone().ready()).await.expect("HTTP/2 ready");
        let (answer, mut stream) = sender.send_request(request, false).expect("the head sent");
        let mut rest = Bytes::copy_from_slice(beginning);
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let capacity = within("room for a body", std::future::poll_fn(|cx| stream.poll_capacity(cx))).await;
            let Some(Ok(granted)) = capacity else { break };
            let now = rest.split_to(granted.min(rest.len()));
            if stream.send_data(now, false).is_err() {
                break;
            }
        }
        H2Unfinished { answer, _stream: stream }
    }

    /// Sends a request with a small body and returns once the answer's head has come.
    ///
    /// # Panics
    /// When none comes.
    pub async fn open(&self, request: http::Request<()>, body: &[u8]) -> H2Stream {
        let mut sender = within("HTTP/2 ready", self.sender.clone().ready()).await.expect("HTTP/2 ready");
        let (answer, mut stream) = sender.send_request(request, false).expect("the head sent");
        stream.send_data(Bytes::copy_from_slice(body), true).expect("the body sent");
        let (head, body) = within("the head of an HTTP/2 answer", answer).await.expect("a head").into_parts();
        H2Stream { head, body }
    }

    /// As [`H2Client::try_send`].
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn send(&self, request: http::Request<()>, pieces: &[&[u8]]) -> H2Response {
        match self.try_send(request, pieces).await {
            Ok(response) => response,
            Err(failure) => panic!("no whole HTTP/2 answer: {failure:?}"),
        }
    }
}

impl Drop for H2Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
