//! A client's connection: reads whole requests from it, keeps their bodies within bounds, and stands in for it towards
//! Pingora until the response is out.

pub(super) mod body_budget;
pub(super) mod body_shares;
pub(super) mod buffers;
pub(super) mod http1;
mod http1_stream;
pub(super) mod http2;
mod incoming;
pub(super) mod request;
pub(super) mod response_hold;
pub(super) mod tunnel;
pub(super) mod unsent;
pub(super) mod whole_request;
