//! The client's side of a session: what was read of its request, responses of the gateway's own, and beginning one
//! anew.

use super::context::Context;
use crate::gateway::answer::Answer;
use crate::gateway::browser;
use crate::gateway::client::http1::ClientStream;
use crate::gateway::client::http2;
use crate::gateway::client::request::ReadRequest;
use crate::gateway::local::{self, LocalHandler, LocalRequest, Whose};
use crate::gateway::tokens;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{Method, StatusCode, Version};
use pingora::apps::HttpPersistentSettings;
use pingora::prelude::*;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;

/// What the door read of the request that Pingora is about to handle.
pub(crate) fn take_request(session: &mut ServerSession) -> Option<ReadRequest> {
    // This fixes Pingora's view: the body for it to read is the one that the door lets it see, whatever length the head
    // shows from here on.
    session.is_body_empty();
    if let Some(http1) = session.as_http1() {
        let stream: &dyn pingora::protocols::IO = &**http1.stream();
        return stream.as_any().downcast_ref::<ClientStream>()?.take_request();
    }
    session.req_header_mut().extensions_mut().remove::<http2::Carried>()?.take()
}

/// The body of a request that takes no way through Pingora's proxy.
pub(crate) fn take_body(session: &mut ServerSession) -> Bytes {
    take_request(session).and_then(|read| Some(read.body?.bytes)).unwrap_or_default()
}

/// Makes the session ready for what comes: the limits of the configuration, a head without a client token, and the real
/// length of the body.
///
/// # Errors
/// When a field cannot be set; that would be a mistake of the gateway's.
pub(crate) fn prepare(session: &mut Session, context: &Context) -> Result<()> {
    // The client's connection has its own, which ends only who takes nothing at all.
    session.set_write_timeout(None);
    if session.req_header().version == Version::HTTP_10 {
        session.set_ignore_info_resp(true);
    }
    // The gateway's own pages read it themselves.
    let is_local = local::whose(session.req_header(), &context.snapshot.config) == Whose::Pages;
    if context.arrival.identity.shows_token && !is_local {
        tokens::conceal(session.req_header_mut())?;
    }
    if let Some(held) = &context.arrival.body {
        session.req_header_mut().insert_header(context.arrival.length_name.clone(), held.bytes.len())?;
    }
    Ok(())
}

/// Whether anything of a response went to the client. Interim responses are none: any response may follow them.
pub(crate) fn has_response_begun(session: &Session, context: &Context) -> bool {
    let is_answer = |status: StatusCode| !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS;
    session.response_written().is_some_and(|head| is_answer(head.status)) && !context.is_head_held()
}

/// Whether the client went away, as far as that can be told without waiting.
pub(crate) fn is_client_gone(session: &mut Session, context: &Context) -> bool {
    client_gone(session, context).now_or_never().is_some()
}

/// Waits until the client goes away.
pub(crate) async fn client_gone(session: &mut Session, context: &Context) -> Box<Error> {
    // What the connection does for Pingora while an upstream is at work is not wanted here.
    let _quiet = context.arrival.hold.as_ref().map(|hold| hold.quiet());
    loop {
        if let Err(error) = session.downstream_session.read_body_or_idle(true).await {
            return error.into_down();
        }
    }
}

/// Forgets the head of a response that was held back, so that another response can be sent. Pingora's HTTP/1 session
/// takes that head for sent: it is made anew, from the same bytes, on the same connection.
///
/// # Errors
/// When the session cannot be made anew; that would be a mistake of the gateway's.
pub(crate) fn start_over(session: &mut Session, context: &Context) -> Result<()> {
    let Some(hold) = &context.arrival.hold else { return Ok(()) };
    let is_holding = hold.is_holding();
    hold.end_hold();
    if !is_holding || session.as_http1().is_none() {
        return Ok(());
    }
    let settings = HttpPersistentSettings::for_session(session);
    let nothing = ServerSession::new_http1(Box::new(std::io::Cursor::new(Vec::new())));
    let ServerSession::H1(old) = std::mem::replace(&mut *session.downstream_session, nothing) else {
        return Error::e_explain(ErrorType::InternalError, "the session is not what it was");
    };
    let head = BytesMut::from(&old.get_headers_raw_bytes()[..]);
    let mut new = ServerSession::new_http1(old.into_inner());
    settings.apply_to_session(&mut new);
    new.set_pipelined_prefix(head);
    // The whole head is there, so nothing is waited for.
    if !matches!(new.read_request().now_or_never(), Some(Ok(true))) {
        return Error::e_explain(ErrorType::InternalError, "the request cannot be read again");
    }
    hold.expect_body(!new.is_body_empty());
    *session.downstream_session = new;
    prepare(session, context)
}

/// Sends a response of the gateway's own to the client.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn send(answer: Answer, session: &mut Session, context: &Context) -> Result<()> {
    let mut header = answer.head(&context.request_id)?;
    browser::confine_own(&mut header, &session.req_header().headers)?;
    let has_body = session.req_header().method != Method::HEAD && !answer.body.is_empty();
    session.write_response_header(Box::new(header), !has_body).await?;
    if has_body {
        session.write_response_body(Some(answer.body), true).await?;
    }
    Ok(())
}

/// Hands a request for one of the gateway's own pages on.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn serve_local(session: &mut Session, local: &dyn LocalHandler, context: &mut Context) -> Result<()> {
    let body = context.arrival.body.take();
    let request = LocalRequest {
        session: session.as_downstream_mut(),
        client: context.arrival.client,
        body: body.as_ref().map(|held| held.bytes.clone()).unwrap_or_default(),
        request_id: &context.request_id,
    };
    local.serve(request).await
}
