//! What each of the hooks of Pingora's `ProxyHttp` does for one request.

pub(super) mod apply_rules;
pub(super) mod attempt;
pub(super) mod begin;
pub(super) mod context;
pub(super) mod conversation;
pub(super) mod downstream;
pub(super) mod ending;
pub(super) mod error_rules;
pub(super) mod failover;
pub(super) mod failure;
mod field_order;
pub(super) mod finish;
pub(super) mod first_event;
pub(super) mod key_change;
mod lines;
pub(super) mod max_forwards;
mod models;
pub(super) mod observe;
mod origin_headers;
pub(super) mod repair;
pub(super) mod request_head;
pub(super) mod response_head;
mod session_place;
pub(super) mod settle;
mod shapes;
mod steering;
pub(super) mod upstream_response;
