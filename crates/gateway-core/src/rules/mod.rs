//! What to change in a request: pure decisions on heads and bodies, without sockets.

pub mod body;
pub mod document;
pub mod glob;
pub mod header;
pub mod matcher;
pub mod plan;
pub mod prefix;
pub mod query;
pub mod rule;
mod stored;
pub mod template;
pub mod thinking;
mod varying;
