//! What to change in a request: pure decisions on heads and bodies, without sockets.

pub mod json;
pub mod system;
