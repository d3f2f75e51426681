//! A request from a client through the gateway to the mock upstream.

use std::sync::Arc;

use crate::client::Request;
use crate::gateway::Gateway;
use crate::received::Received;
use crate::upstream::Upstream;
use crate::wire::Framing;

/// Sends a request through the gateway; what the upstream got of it: one request, with an exact length.
pub async fn through(upstream: &Upstream, gateway: &Gateway, request: &Request) -> Arc<Received> {
    let before = upstream.received().len();
    assert_eq!(gateway.request(request).await.status(), 200);
    assert_eq!(upstream.received().len(), before + 1, "one request");
    let got = upstream.last();
    if !got.body.is_empty() {
        assert_eq!(got.framing, Framing::Length(got.body.len() as u64), "the length is exact");
        assert_eq!(got.headers.all("content-length"), [got.body.len().to_string()]);
    }
    got
}
