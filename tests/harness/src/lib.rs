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
mod deadline;
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
pub mod prompt_cache;
mod proxy;
mod received;
mod reply;
pub mod siege;
mod through;
mod tls;
mod upstream;
mod wire;

pub use client::{Client, Request, Response, ResponseHead};
pub use deadline::{DEADLINE, within};
pub use deaf::Deaf;
pub use dns::{DnsMode, DnsServer};
pub use gateway::{Beside, Died, Gateway, GatewayBuilder, Output};
pub use h2_client::{H2Client, H2Failure, H2Response, H2Stream, H2Unfinished};
pub use load::{Load, Tally};
pub use pool::{Pool, ask, failing, named, named_on};
pub use ports::Port;
pub use proxy::{CREDENTIALS, Proxy, Stub, TlsFront};
pub use received::Received;
pub use reply::{Gate, Reply, Step, gzip};
pub use through::through;
pub use tls::{Alpn, Authority, Leaf};
pub use upstream::{Upstream, UpstreamBuilder};
pub use wire::{Framing, Headers, WireError};
