//! The haproxy configuration that is measured.
use std::net::SocketAddr;

/// The text of the configuration file: one thread, no log, keep-alive without end on both sides, the body sent on as it comes.
pub(crate) fn configuration(listen: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn 8000
defaults
    mode http
    http-reuse always
    option forwardfor
    timeout connect 10s
    timeout client 10m
    timeout server 10m
frontend here
    bind {listen} backlog 4096
    default_backend there
backend there
    server origin {origin} pool-max-conn 256
"
    )
}
