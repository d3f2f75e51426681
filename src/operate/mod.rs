//! Running as a service: signals, the control socket behind `reload` and `upgrade`, the hand-over to a new process,
//! the drain at the end, and what systemd is told.
//!
//! All of it lives on one thread of its own, which is there before Pingora's services are and goes on while Pingora
//! sleeps: Pingora looks at signals only once, and sleeps through its grace period.

mod adopted;
pub(crate) mod ask;
pub(crate) mod audited;
mod claim;
mod commands;
pub(crate) mod control;
mod descriptors;
mod ending;
pub(crate) mod health;
mod inheritance;
mod installed;
mod names;
pub(crate) mod own_folder;
pub(crate) mod panel;
pub(crate) mod predecessors;
mod reachable;
mod records;
pub(crate) mod recost;
pub(crate) mod reload;
pub(crate) mod running;
pub(crate) mod runtime_dir;
pub(crate) mod service_file;
mod signals;
mod successor;
pub(crate) mod supervisor;
pub(crate) mod systemd;
pub(crate) mod team;
pub(crate) mod upgrade;
pub(crate) mod watch;

pub(crate) use adopted::{Looked, adopt};
pub(crate) use claim::Claim;
pub(crate) use ending::End;
pub(crate) use installed::language_of_service;
pub(crate) use reachable::reachable;
pub(crate) use runtime_dir::RuntimeDir;
pub(crate) use supervisor::{Parts, Supervisor};
