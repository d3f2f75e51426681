//! The key of an upstream in what it answers with an error: some repeat it there, and who has only a client token is not to
//! get it. It is masked in the head, and in the beginning of the body.

use super::context::Context;
use super::masking::Masking;
use super::{failure, field_order};
use bytes::Bytes;
use gateway_core::record::fault::UpstreamFault;
use http::HeaderValue;
use pingora::Result;
use pingora::http::ResponseHeader;

/// Has the upstream's key masked in the response with this head, if that is to be.
pub(super) fn expect(response: &ResponseHeader, context: &mut Context) {
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    let key = context.key().filter(|_| is_error && context.arrival.identity.token.is_some());
    let is_coded = context.attempt.error_body.as_ref().is_some_and(|error| error.is_coded());
    let masking = key.map(|key| key.config.key.expose()).filter(|key| !key.is_empty());
    context.attempt.masking = masking.map(|key| Box::new(Masking::new(key, is_coded)));
}

/// Masks it in the fields of the head.
pub(super) fn head(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    let Some(masking) = &context.attempt.masking else { return Ok(()) };
    if !response.headers.values().any(|value| masking.is_in(value.as_bytes())) {
        return Ok(());
    }
    field_order::change(response, |_, value| match masking.masked(value.as_bytes()) {
        Some(masked) => HeaderValue::from_maybe_shared(masked.freeze()).ok(),
        None => Some(value.clone()),
    })
}

/// Whether a body in a coding, for which nothing is waited any more, can go to the client.
///
/// # Errors
/// When it has the key, or may have it because it cannot be read: then nothing more of it goes out.
pub(super) fn judge(context: &Context) -> Result<()> {
    let (masking, error) = (&context.attempt.masking, &context.attempt.error_body);
    let (Some(masking), Some(error)) = (masking.as_ref().filter(|masking| masking.is_coded), error) else {
        return Ok(());
    };
    match error.is_unread() || masking.is_in(error.beginning()) {
        true => Err(failure::settled(UpstreamFault::Status { status: context.attempt.status })),
        false => Ok(()),
    }
}

/// Masks it in a piece of the body, of which the meter has read already.
pub(super) fn body(bytes: &mut Option<Bytes>, is_end: bool, context: &mut Context) {
    let Some(masking) = context.attempt.masking.as_mut().filter(|masking| !masking.is_coded) else { return };
    let piece = masking.piece(bytes.take().unwrap_or_default(), is_end);
    *bytes = Some(piece).filter(|piece| !piece.is_empty());
}
