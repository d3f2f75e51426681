//! What the integration tests stand on.
//!
//! * [`Upstream`]: a mock origin on a real socket that records every request byte by byte, refuses to
//!   guess (what could be read in two ways is *malformed*, and fails the test), and misbehaves on request.
//! * [`Gateway`]: the real binary as a child process, in a folder and an environment of its own.
//! * [`Client`] and [`H2Client`]: clients that send exactly the given bytes and read strictly.
//! * [`DnsServer`], [`Proxy`], [`Deaf`]: what stands between the gateway and its upstreams.
//! * [`Pool`]: the text of a configuration with several upstreams.
//! * [`anthropic`]: a handler for [`Upstream`] that speaks the Anthropic Messages API.
//!
//! Nothing here sleeps for luck: every wait is for an event, under [`DEADLINE`].
//!
//! It does not know the gateway's code: only its command line, its configuration and its sockets.

pub mod anthropic;
mod child;
mod client;
mod deaf;
mod dns;
pub mod fixtures;
mod gateway;
mod h1_upstream;
mod h2_client;
mod h2_upstream;
mod load;
pub mod metrics;
mod pool;
mod ports;
mod proxy;
mod reply;
pub mod siege;
mod tls;
mod upstream;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use client::{Client, Request, Response, ResponseHead};
pub use deaf::Deaf;
pub use dns::{DnsMode, DnsServer};
pub use gateway::{Beside, Died, Gateway, GatewayBuilder, Output};
pub use h2_client::{H2Client, H2Failure, H2Response, H2Stream, H2Unfinished};
pub use load::{Load, Tally};
pub use pool::{Pool, ask, failing, named, named_on};
pub use ports::Port;
pub use proxy::{CREDENTIALS, Proxy, Stub, TlsFront};
pub use reply::{Gate, Reply, Step, gzip};
pub use tls::{Alpn, Authority, Leaf};
pub use upstream::{Received, Upstream, UpstreamBuilder};
pub use wire::{Framing, Headers, WireError};

/// How long anything may take before a test gives up on it. Generous: it is there to end a hang, not to
/// measure.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Awaits `work`, panicking with `what` when [`DEADLINE`] passes first.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(value) => value,
        Err(_) => panic!("gave up after {DEADLINE:?}: {what}"),
    }
}

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
