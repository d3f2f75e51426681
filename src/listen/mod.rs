//! Listening: the sockets of this process, the loops that accept connections from them, and the connection as Pingora
//! gets it.
//!
//! Pingora's own listening service hides its sockets; an upgrade has to hand them over while they are in use. And every
//! step of a connection before its first request has a time here.

mod accept;
mod connection;
mod holder;
mod sockets;
pub(crate) mod tls;

pub(crate) use accept::{Endpoint, Listening};
pub(crate) use connection::Connection;
pub(crate) use holder::{holder, how_to_see, is_taken};
pub(crate) use sockets::{Accepting, Sockets, raise_descriptor_limit};
