//! A client's connection: reads whole requests from it, keeps their bodies within bounds, and stands in for it towards
//! Pingora until the response is out.

pub mod body_budget;
pub mod body_shares;
pub mod buffers;
pub mod http1;
mod http1_stream;
pub mod http2;
mod incoming;
pub mod request;
pub mod response_hold;
pub mod unsent;
pub mod whole_request;
