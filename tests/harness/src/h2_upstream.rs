//! The mock upstream's HTTP/2 side.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::received::{Answering, Received, Shared};
use crate::reply::{Reply, Step};
use crate::wire::{Framing, Headers, Socket};

/// What a stream asks of its connection, once all that was sent before is out.
enum Ask {
    Close,
    /// Only to be told that it is out: a reset discards what is still queued.
    Flush(oneshot::Sender<()>),
}

/// Serves one connection to its end.
pub(crate) async fn serve(socket: Socket, number: usize, shared: &Arc<Shared>) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(socket).await?;
    let (asks, mut asked) = mpsc::unbounded_channel();
    // Its streams end with it.
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            // In this order: polling for a request is what writes.
            biased;
            accepted = connection.accept() => match accepted {
                Some(stream) => {
                    let (request, respond) = stream?;
                    streams.spawn(exchange(request, respond, number, Arc::clone(shared), asks.clone()));
                }
                None => return Ok(()),
            },
            ask = asked.recv() => match ask {
                Some(Ask::Flush(done)) => drop(done.send(())),
                Some(Ask::Close) | None => return Ok(()),
            },
        }
        while streams.try_join_next().is_some() {}
    }
}

async fn exchange(
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    number: usize,
    shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
) {
    let (head, mut stream) = request.into_parts();
    let mut request = Received::on(number);
    request.method = head.method.to_string();
    request.target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let authority = head.uri.authority().map(|authority| field("host", authority.as_str().as_bytes()));
    let fields = head.headers.iter().map(|(name, value)| field(name.as_str(), value.as_bytes()));
    request.headers = Headers(authority.into_iter().chain(fields).collect());
    if request.headers.all("host").len() != 1 {
        request.malformed = Some(format!("authority {:?}", request.headers.all("host")));
    }
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                let _ = stream.flow_control().release_capacity(data.len());
                request.body.extend(data);
            }
            Err(error) => {
                request.malformed = Some(format!("in the body: {error}"));
                shared.record(request);
                return;
            }
        }
    }
    request.framing = match request.headers.get("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => Framing::None,
    };
    let request = shared.record(request);
    let reply = (shared.handler)(&request);
    let _answering = Answering::new(&shared);
    // A failure means that the other side is gone.
    let _ = send(respond, &reply, request.method == "HEAD", &asks).await;
}

async fn send(
    mut respond: SendResponse<Bytes>,
    reply: &Reply,
    to_head_request: bool,
    asks: &mpsc::UnboundedSender<Ask>,
) -> Result<(), h2::Error> {
    assert!(reply.interim.is_empty(), "the HTTP/2 mock has no interim answers");
    if reply.raw {
        for step in &reply.steps {
            match step {
                Step::Sleep(time) => tokio::time::sleep(*time).await,
                Step::Wait(gate) => gate.pass().await,
                Step::Stall => return std::future::poll_fn(|cx| respond.poll_reset(cx)).await.map(|_| ()),
                Step::Close => drop(asks.send(Ask::Close)),
                Step::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
                Step::Bytes(_) | Step::Shared(_) | Step::Raw(_) | Step::Echo => {
                    panic!("the HTTP/2 mock sends no raw bytes")
                }
            }
        }
        return Ok(());
    }
    let mut head = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        head = head.header(name, value.as_slice());
    }
    if let Framing::Length(length) = reply.framing {
        head = head.header("content-length", length);
    }
    let bodiless = to_head_request || reply.steps.is_empty();
    let mut stream = respond.send_response(head.body(()).expect("an answer's head"), bodiless)?;
    if bodiless {
        return Ok(());
    }
    for step in &reply.steps {
        match step {
            Step::Bytes(bytes) => stream.send_data(Bytes::from(bytes.clone()), false)?,
            Step::Shared(bytes) => stream.send_data(bytes.clone(), false)?,
            Step::Sleep(time) => or_reset(&mut stream, tokio::time::sleep(*time)).await?,
            Step::Wait(gate) => or_reset(&mut stream, gate.pass()).await?,
            Step::Stall => or_reset(&mut stream, std::future::pending()).await?,
            Step::Close => {
                let _ = asks.send(Ask::Close);
                return Ok(());
            }
            Step::Reset => {
                let (done, flushed) = oneshot::channel();
                let _ = asks.send(Ask::Flush(done));
                let _ = flushed.await;
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            Step::Raw(_) | Step::Echo => panic!("the HTTP/2 mock sends no raw bytes"),
        }
    }
    if reply.trailers.is_empty() {
        return stream.send_data(Bytes::new(), true);
    }
    let mut trailers = http::HeaderMap::new();
    for (name, value) in &reply.trailers {
        let name: http::HeaderName = name.parse().expect("the name of a trailer");
        trailers.append(name, value.parse().expect("the value of a trailer"));
    }
    stream.send_trailers(trailers)
}

/// Waits for `event`, or fails when the other side gives the stream up first.
async fn or_reset(stream: &mut SendStream<Bytes>, event: impl Future<Output = ()>) -> Result<(), h2::Error> {
    tokio::select! {
        () = event => Ok(()),
        reset = std::future::poll_fn(|cx| stream.poll_reset(cx)) => Err(reset?.into()),
    }
}
