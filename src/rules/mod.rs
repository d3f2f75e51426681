//! What to change in a request: pure decisions on heads and bodies, without sockets.

pub mod header;
pub mod json;
pub mod matcher;
pub mod query;
pub mod system;
pub mod template;
