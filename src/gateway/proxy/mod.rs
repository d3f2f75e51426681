//! What each of the hooks of Pingora's `ProxyHttp` does for one request.

pub mod apply_rules;
pub mod attempt;
pub mod begin;
pub mod context;
pub mod downstream;
pub mod ending;
pub mod failover;
pub mod failure;
pub mod finish;
pub mod observe;
mod origin_headers;
pub mod request_head;
pub mod response_head;
pub mod upstream_response;
