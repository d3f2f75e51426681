//! The key of an upstream in what it answers with an error: some repeat it there, and who has only a client token is not to
//! get it. It is masked in the head, and in the beginning of the body.

use super::context::Context;
use super::failure;
use super::masking::Masking;
use bytes::{Bytes, BytesMut};
use gateway_core::record::fault::UpstreamFault;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use pingora::Result;
use pingora::http::ResponseHeader;

/// Has the upstream's key masked in the response with this head, if that is to be.
pub(super) fn expect(response: &ResponseHeader, context: &mut Context) {
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    let key = context.key().filter(|_| is_error && context.arrival.identity.token.is_some());
    let is_coded = response.headers.contains_key(CONTENT_ENCODING);
    let masking = key.map(|key| key.config.key.expose()).filter(|key| !key.is_empty());
    context.attempt.masking = masking.map(|key| Box::new(Masking::new(key, is_coded)));
}

/// Masks it in the fields of the head.
pub(super) fn head(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    let Some(masking) = &context.attempt.masking else { return Ok(()) };
    let masked = response.headers.iter().filter_map(|(name, value)| {
        let value = masking.masked(value.as_bytes())?;
        Some((name.clone(), HeaderValue::from_maybe_shared(BytesMut::freeze(value)).ok()?))
    });
    for (name, value) in masked.collect::<Vec<_>>() {
        response.insert_header(name, value)?;
    }
    Ok(())
}

/// Masks it in a piece of the body, of which the meter has read already.
///
/// # Errors
/// When the body is in a coding, and has it: then nothing more of it goes out.
pub(super) fn body(bytes: &mut Option<Bytes>, is_end: bool, context: &mut Context) -> Result<()> {
    let status = context.attempt.status;
    let Some(masking) = &mut context.attempt.masking else { return Ok(()) };
    if masking.is_coded {
        let read = context.attempt.error_body.as_ref().map_or(&[][..], |error| error.beginning());
        return match masking.is_in(read) {
            true => Err(failure::settled(UpstreamFault::Status { status })),
            false => Ok(()),
        };
    }
    let piece = masking.piece(bytes.take().unwrap_or_default(), is_end);
    *bytes = Some(piece).filter(|piece| !piece.is_empty());
    Ok(())
}
