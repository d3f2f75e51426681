//! The headers that tell the client which upstream its response comes from.

use super::context::Context;
use http::{HeaderName, HeaderValue};

/// Tells the client which upstream answered.
const X_GATEWAY_UPSTREAM: HeaderName = HeaderName::from_static("x-gateway-upstream");
/// Tells the client how many upstreams its request was sent to.
const X_GATEWAY_ATTEMPTS: HeaderName = HeaderName::from_static("x-gateway-attempts");

/// Says where the answer comes from, or where the last failure was.
pub fn of(context: &Context) -> [(HeaderName, HeaderValue); 2] {
    let label = context.destination().upstream.label.clone();
    [(X_GATEWAY_UPSTREAM, label), (X_GATEWAY_ATTEMPTS, HeaderValue::from(context.attempts))]
}
