//! The keys of upstreams, and whatever else is secret in the configuration, in what an upstream answers: some repeat
//! their key in an error, and who has only a token is not to get it. It is masked in the head of whatever is no
//! success, and in the beginning of its body.

use super::context::Context;
use super::{failure, field_order};
use bytes::Bytes;
use gateway_core::errors::DECIDING_BYTES;
use gateway_core::record::fault::UpstreamFault;
use gateway_core::redact::masking::Masking;
use gateway_core::usage::decode::Decoder;
use gateway_core::usage::error_body::ErrorBody;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use std::sync::Arc;

/// What tells where a body ends, and of the connection: a password of digits may look like a length.
static FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Whether secrets are masked in the response with this head.
fn is_masked(response: &ResponseHeader, context: &Context) -> bool {
    !response.status.is_success() && context.arrival.identity.token.is_some()
}

/// Has secrets masked in the body that follows this head, if that is to be; in a coding it is read beside.
pub(super) fn expect(response: &ResponseHeader, context: &mut Context) {
    let is_wanted = is_masked(response, context) && response.status != StatusCode::SWITCHING_PROTOCOLS;
    let codings = response.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let coded = if is_wanted { Some(looked_through(Decoder::new(codings))) } else { None };
    context.attempt.coded = coded.filter(|body| body.is_coded()).map(Box::new);
    context.attempt.masking =
        is_wanted.then(|| Box::new(Masking::new(Arc::clone(&context.snapshot.known), DECIDING_BYTES)));
}

fn looked_through(decoder: Option<Decoder>) -> ErrorBody {
    ErrorBody::new(decoder).up_to(DECIDING_BYTES)
}

/// Masks them in a head, an interim one too.
pub(super) fn head(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    if !is_masked(response, context) {
        return Ok(());
    }
    let known = &context.snapshot.known;
    if response.get_reason_phrase().is_some_and(|reason| known.is_in(reason.as_bytes())) {
        response.set_reason_phrase(None)?;
    }
    let is_in = |(name, value): (&HeaderName, &HeaderValue)| {
        !FRAMING.contains(name) && (known.is_in(name.as_str().as_bytes()) || known.is_in(value.as_bytes()))
    };
    if !response.headers.iter().any(is_in) {
        return Ok(());
    }
    field_order::change(response, |name, value| {
        if FRAMING.contains(name) {
            return Some(value.clone());
        }
        // Asterisks would be no name.
        if known.is_in(name.as_str().as_bytes()) {
            return None;
        }
        match known.masked(value.as_bytes()) {
            Some(masked) => HeaderValue::from_maybe_shared(masked.freeze()).ok(),
            None => Some(value.clone()),
        }
    })
}

/// Reads a piece of a body in a coding, as it came.
pub(super) fn read(piece: &[u8], context: &mut Context) {
    let attempt = &mut context.attempt;
    let begins_coded = attempt.masking.as_ref().is_some_and(|masking| masking.begins_coded(piece));
    if begins_coded && attempt.coded.is_none() {
        // Nothing of it goes out, since it cannot be read: nor what is held of its mark.
        attempt.coded = Some(Box::new(looked_through(None)));
    }
    if let Some(coded) = &mut attempt.coded {
        coded.push(piece);
    }
}

/// Whether a body in a coding, for which nothing is waited any more, can go to the client.
///
/// # Errors
/// When it has a secret, or may have one because it cannot be read: then nothing more of it goes out.
pub(super) fn judge(context: &Context) -> Result<()> {
    let attempt = &context.attempt;
    let Some((masking, coded)) = attempt.masking.as_ref().zip(attempt.coded.as_ref()) else { return Ok(()) };
    if !coded.is_unread() && !masking.is_in(coded.beginning()) {
        return Ok(());
    }
    // The status is the client's only if it is an error's.
    Err(failure::settled(match attempt.status {
        status @ 400..600 => UpstreamFault::Status { status },
        status => UpstreamFault::NoMessage { status },
    }))
}

/// Masks secrets in a piece of the body, of which the meter has read already.
pub(super) fn body(bytes: &mut Option<Bytes>, is_end: bool, context: &mut Context) {
    if let Some(masking) = plain(context) {
        let piece = masking.piece(bytes.take().unwrap_or_default(), is_end);
        *bytes = Some(piece).filter(|piece| !piece.is_empty());
    }
}

/// What is still held back of a body that ends with trailers.
pub(in crate::gateway) fn rest(context: &mut Context) -> Option<Bytes> {
    plain(context)?.rest()
}

/// Masks secrets in trailers.
pub(super) fn trailers(trailers: &mut HeaderMap, context: &Context) {
    let known = &context.snapshot.known;
    if context.attempt.masking.is_none() {
        return;
    }
    let named: Vec<_> = trailers.keys().filter(|name| known.is_in(name.as_str().as_bytes())).cloned().collect();
    named.iter().for_each(|name| drop(trailers.remove(name)));
    for value in trailers.values_mut() {
        if let Some(masked) = known.masked(value.as_bytes()) {
            *value = HeaderValue::from_maybe_shared(masked.freeze()).unwrap_or(HeaderValue::from_static(""));
        }
    }
}

/// What masks a body that is in no coding.
fn plain(context: &mut Context) -> Option<&mut Masking> {
    let attempt = &mut context.attempt;
    attempt.masking.as_deref_mut().filter(|_| attempt.coded.is_none())
}
