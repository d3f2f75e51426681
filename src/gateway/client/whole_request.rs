//! An HTTP/2 request as Pingora sees it: Pingora's own session to which one thing was done. Its body was read already,
//! and it says that there is none. So it takes the same way as an HTTP/1 request (see `client`); everything else is
//! delegated.

use super::response_hold::{Due, HELD_BYTES, HeldHead, ResponseHold};
use super::unsent::Taking;
use crate::upstream::clock::{now_ms, until};
use async_trait::async_trait;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session as CustomSession;
use pingora::protocols::http::v2::server::HttpSession as Http2Session;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, OrErr, Result};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long a response that broke off waits before its stream is reset: a reset drops the frames that h2 has not written
/// yet, and nothing tells when the connection has.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// An HTTP/2 session whose body was read.
pub(crate) struct WholeRequest {
    session: Http2Session,
    has_body: bool,
    hold: Arc<ResponseHold>,
    /// The beginning of a response that is held back.
    held: HeldHead<Beginning>,
    /// Where the body of the response goes, once its head was sent.
    writer: Option<SendStream<Bytes>>,
    has_ended: bool,
    body_bytes_sent: usize,
    taking: Taking,
}

/// The head of a response, and pieces of its body that were held back with it.
struct Beginning {
    head: Box<ResponseHeader>,
    body: Vec<Bytes>,
}

impl WholeRequest {
    /// The session, what `http2::read` returned for it, and how its client takes the response.
    pub(crate) fn new(session: Http2Session, hold: Arc<ResponseHold>, taking: Taking) -> Self {
        let has_body = hold.take_body();
        Self {
            session,
            has_body,
            hold,
            held: HeldHead::default(),
            writer: None,
            has_ended: false,
            body_bytes_sent: 0,
            taking,
        }
    }

    fn write_head(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.session.write_response_header(head, end)?;
        // There is none after an interim response, which Pingora leaves out.
        if let Some(writer) = self.session.take_response_body_writer() {
            self.writer = Some(writer);
            self.has_ended = end;
        }
        Ok(())
    }

    /// Sends a piece of the body as the client makes room for it; `behind` bytes come after it. Pingora's own way would
    /// end a client that takes its time for a whole piece.
    async fn send(&mut self, mut data: Bytes, end: bool, behind: usize) -> Result<()> {
        if self.has_ended || data.is_empty() && !end {
            return Ok(());
        }
        let Some(writer) = &mut self.writer else {
            return Error::e_explain(ErrorType::H2Error, "a body before its head");
        };
        if data.is_empty() {
            let ended = writer.send_data(Bytes::new(), end);
            ended.or_err(ErrorType::WriteError, "ending an answer").map_err(|e| e.into_down())?;
        }
        while !data.is_empty() {
            writer.reserve_capacity(data.len());
            let (taking, in_hand) = (&mut self.taking, data.len() + behind);
            let granted = std::future::poll_fn(|cx| match writer.poll_capacity(cx) {
                Poll::Ready(granted) => Poll::Ready(Ok(granted)),
                Poll::Pending => {
                    taking.poll_blocked(cx, in_hand).map_or_else(|e| Poll::Ready(Err(e)), |()| Poll::Pending)
                }
            });
            let granted = granted.await.map_err(|stalled| {
                self.hold.stall(stalled);
                Error::new_down(ErrorType::WriteTimedout)
            })?;
            let granted = match granted {
                Some(granted) => {
                    granted.or_err(ErrorType::WriteError, "waiting for room").map_err(|e| e.into_down())?
                }
                None => return Err(Error::new_down(ErrorType::ConnectionClosed)),
            };
            let piece = data.split_to(granted.min(data.len()));
            self.taking.took(piece.len(), in_hand);
            self.body_bytes_sent += piece.len();
            let is_last = end && data.is_empty();
            writer.send_data(piece, is_last).or_err(ErrorType::WriteError, "sending").map_err(|e| e.into_down())?;
        }
        self.has_ended |= end;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.has_ended) else { return Ok(()) };
        self.has_ended = true;
        writer
            .send_data(Bytes::new(), true)
            .or_err(ErrorType::WriteError, "ending an answer")
            .map_err(|e| e.into_down())
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.has_ended) else { return Ok(()) };
        self.has_ended = true;
        writer.send_trailers(trailers).or_err(ErrorType::WriteError, "sending trailers").map_err(|e| e.into_down())
    }

    /// Sends what Pingora has of the response; whether that was its end.
    async fn send_all(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut behind: usize = tasks.iter().map(body_bytes).sum();
        let mut is_end = false;
        for task in tasks {
            behind -= body_bytes(&task);
            is_end |= match task {
                HttpTask::Header(head, end) => {
                    self.write_head(head, end).map_err(|error| error.into_down())?;
                    end
                }
                HttpTask::Body(data, end) => {
                    self.send(data.unwrap_or_default(), end, behind).await?;
                    end
                }
                HttpTask::Trailer(Some(trailers)) => {
                    self.send_trailers(*trailers)?;
                    true
                }
                HttpTask::Trailer(None) | HttpTask::Done => true,
                HttpTask::UpgradedBody(..) => {
                    return Error::e_explain(ErrorType::InternalError, "HTTP/2 switches no protocols");
                }
                HttpTask::Failed(error) => {
                    if self.writer.is_some() && !self.has_ended {
                        tokio::time::sleep(BEFORE_RESET).await;
                    }
                    return Err(error);
                }
            };
        }
        if is_end {
            self.end()?;
        }
        Ok(is_end)
    }

    /// Waits until the client gives the request up.
    async fn idle(&mut self) -> Result<Option<Bytes>> {
        let Some(writer) = &mut self.writer else { return self.session.read_body_or_idle(true).await };
        let reason = std::future::poll_fn(|cx| writer.poll_reset(cx)).await;
        let reason = reason.or_err(ErrorType::H2Error, "the client's connection failed")?;
        Error::e_explain(ErrorType::H2Error, format!("the client gave the request up: {reason}"))
    }

    /// Sends what was held back, unless it is to be forgotten. What little there is of a body waits for no room: whoever
    /// watches the client may be interrupted.
    fn release(&mut self) -> Result<()> {
        let Some(Beginning { head, body }) = self.held.release(&self.hold) else { return Ok(()) };
        self.write_head(head, false)?;
        let Some(writer) = self.writer.as_mut().filter(|_| !self.has_ended) else { return Ok(()) };
        for piece in body {
            self.body_bytes_sent += piece.len();
            writer.send_data(piece, false).or_err(ErrorType::WriteError, "sending").map_err(|e| e.into_down())?;
        }
        Ok(())
    }

    /// Whether this is held back: a head alone, or all that comes before somebody says that the response is good.
    fn holds(&mut self, tasks: &[HttpTask]) -> bool {
        let is_head = matches!(tasks.first(), Some(HttpTask::Header(_, false)));
        if !self.hold.awaits_word() {
            let is_alone = matches!(tasks, [HttpTask::Header(..)] | [HttpTask::Header(..), HttpTask::Failed(_)]);
            return is_head && is_alone && self.hold.begin_to_hold(now_ms);
        }
        let is_open = |task: &HttpTask| {
            matches!(task, HttpTask::Header(_, false) | HttpTask::Body(_, false) | HttpTask::Failed(_))
        };
        let bytes = self.held_bytes() + tasks.iter().map(body_bytes).sum::<usize>();
        let can_hold = tasks.iter().all(is_open) && bytes <= HELD_BYTES;
        can_hold && (self.hold.is_holding() || is_head && self.hold.begin_to_hold(now_ms))
    }

    fn held_bytes(&mut self) -> usize {
        let body = self.held.kept().map(|held| held.body.iter().map(Bytes::len).sum());
        body.filter(|_| self.hold.is_holding()).unwrap_or_default()
    }

    /// Holds this back.
    fn keep(&mut self, tasks: Vec<HttpTask>) -> Result<()> {
        for task in tasks {
            match task {
                HttpTask::Header(head, _) => self.held.keep(Beginning { head, body: Vec::new() }),
                HttpTask::Body(Some(piece), _) => {
                    self.held.kept().into_iter().for_each(|held| held.body.push(piece.clone()))
                }
                HttpTask::Failed(error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until the client gives the request up, or a deadline has passed: a response that does not begin in time is
    /// an error, what was held back for long enough goes out.
    async fn watch(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.hold.due(now_ms) {
                Due::Nothing => return self.idle().await,
                Due::At(at) => tokio::select! {
                    idle = self.idle() => return idle,
                    () = tokio::time::sleep(until(at)) => {}
                },
                Due::Release => self.release()?,
                Due::Late => return Error::e_explain(ErrorType::ReadTimedout, "the response did not begin in time"),
            }
        }
    }
}

fn body_bytes(task: &HttpTask) -> usize {
    match task {
        HttpTask::Body(Some(data), _) => data.len(),
        _ => 0,
    }
}

/// Stands for the whole body, which has its own way to the upstream.
const BODY: Bytes = Bytes::from_static(b"x");

#[async_trait]
impl CustomSession for WholeRequest {
    fn req_header(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_body_done(&mut self) -> bool {
        true
    }

    fn is_body_empty(&mut self) -> bool {
        !self.has_body
    }

    async fn read_body_or_idle(&mut self, _: bool) -> Result<Option<Bytes>> {
        self.watch().await
    }

    async fn write_response_header(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.release()?;
        self.write_head(response, end)
    }

    async fn write_response_header_ref(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        self.write_head(Box::new(response.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.send(data, end, 0).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.send_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        if self.holds(&tasks) {
            return self.keep(tasks).map(|()| false);
        }
        // An end that no hook saw: nobody said what the response is.
        if matches!(tasks.first(), Some(HttpTask::Header(_, true))) && self.hold.must_speak() {
            self.hold.say_nothing();
            return Err(Error::new_down(ErrorType::WriteError));
        }
        // Broken off before the body began: the head is not sent, so that another upstream can still answer.
        if self.held.is_there() && matches!(tasks.first(), Some(HttpTask::Failed(_))) {
            return self.send_all(tasks).await;
        }
        self.hold.hold_no_more();
        self.release()?;
        self.send_all(tasks).await
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.session.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.session.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.session.response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        if !self.has_ended {
            self.session.shutdown();
        }
    }

    async fn finish(&mut self) -> Result<()> {
        self.end()
    }

    fn body_bytes_sent(&self) -> usize {
        self.body_bytes_sent
    }

    fn body_bytes_read(&self) -> usize {
        self.session.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.session.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.session.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.session.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.session.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.session.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {}

    fn retry_buffer_truncated(&self) -> bool {
        false
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.has_body.then_some(BODY)
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn futures::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn futures::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Err(no_messages())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Err(no_messages())
    }
}

/// HTTP/2 has no messages beside requests and responses, and none were handed out.
fn no_messages() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "HTTP/2 has no custom messages")
}
