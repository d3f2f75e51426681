//! Running as a service: signals, the control socket behind `reload` and `upgrade`, the hand-over to a new process,
//! the drain at the end, and what systemd is told.
//!
//! All of it lives on one thread of its own, which is there before Pingora's services are and goes on while Pingora
//! sleeps: Pingora looks at signals only once, and sleeps through its grace period.

pub mod ask;
mod claim;
mod commands;
pub mod control;
mod descriptors;
pub mod health;
mod inheritance;
pub mod own_folder;
pub mod panel;
pub mod predecessors;
mod reachable;
pub mod runtime_dir;
mod signals;
mod successor;
pub mod supervisor;
pub mod systemd;
pub mod upgrade;
pub mod watch;

pub use claim::Claim;
pub use runtime_dir::RuntimeDir;
pub use supervisor::{End, Parts, Supervisor};
