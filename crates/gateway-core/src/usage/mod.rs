//! What a response says: how it ended, and what it used. Pure: bytes in, values out; nothing of a response is held back
//! or changed for it.

mod content;
pub mod decode;
pub mod error_body;
mod error_shape;
mod messages;
pub mod meter;
mod nature;
pub mod pricing;
pub mod refused_thinking;
mod reply;
pub mod sse;
pub mod summary;
pub(crate) mod told;
pub mod tools;
pub mod transformations;
