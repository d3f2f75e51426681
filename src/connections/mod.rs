//! The clients' connections: how many there may be, who they belong to, and which one makes room for a new one.
//!
//! Each open connection takes a file descriptor, and each request that is served one more, for the upstream. Both count
//! against what the process may open, less what is set aside for everything else; so that it never runs out of them.
//!
//! A connection makes room when it is idle, and, if none is, as long as its requests are not whole, or while its client
//! takes nothing of their responses: who sends or reads slowly holds a place no better than who does nothing.

mod caps;
mod collect;
mod fit;
mod place;
mod table;

pub(crate) use caps::{Caps, Full, most_of_one};
pub(crate) use collect::Collector;
pub(crate) use fit::{Fit, fit};
pub(crate) use place::{Place, Serving, Untaken, making_room, served};
pub(crate) use table::Connections;

#[cfg(test)]
mod tests;
