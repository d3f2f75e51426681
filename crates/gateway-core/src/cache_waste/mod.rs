//! Which requests wrote the prompt cache anew although what they wrote was there, why, and how many tokens that took.
//!
//! The API caches a prompt by its beginning: tools, then system, then messages; at one account, for one model, for five
//! minutes or an hour since it was last used. So a request is compared with the last one whose conversation it goes on with
//! (`memory`): what that one had in the cache, this one could have read. What it wrote instead is lost. That something is
//! lost, the usage says; why, the first of these questions that has no for an answer (`why`): was it still there, did the
//! request go to where it was, does it begin as that one did?

mod checkpoint;
mod loss;
mod memory;
mod request;
#[cfg(test)]
mod tests;
mod why;

pub use checkpoint::{Cached, Checkpoint, Lifetime, Place, Prefix, Reply};
pub use loss::{Cause, Loss, without_loss};
pub use memory::Memory;
pub use request::{CacheUse, Replies, Request, Shown};
