//! The headers that tell the client which upstream its response comes from.

use super::context::Context;
use http::HeaderValue;

/// Tells the client which upstream answered.
const X_GATEWAY_UPSTREAM: &str = "x-gateway-upstream";
/// Tells the client how many upstreams its request was sent to.
const X_GATEWAY_ATTEMPTS: &str = "x-gateway-attempts";

/// Says where the response comes from, or where the last failure was.
pub(super) fn of(context: &Context) -> impl Iterator<Item = (&'static str, HeaderValue)> {
    let named = |label| [(X_GATEWAY_UPSTREAM, label), (X_GATEWAY_ATTEMPTS, context.routing.attempts.into())];
    let label = context.chosen().map(|destination| destination.upstream.label.clone());
    label.map(named).into_iter().flatten()
}
