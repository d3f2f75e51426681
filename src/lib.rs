//! A programmable gateway on Pingora between Claude Code and an Anthropic-compatible relay.
//!
//! The binary is all there is to use: [`run`]. Its parts are private, so that the compiler finds what nobody uses.
//! ARCHITECTURE.md says what to read first.

mod access_log;
mod admin;
mod cli;
mod command;
mod config;
mod connections;
mod database_file;
mod doctor;
mod drain;
mod feed;
mod gateway;
mod install;
mod language;
mod ledger;
mod listen;
mod log_output;
mod metrics;
mod notify;
mod operate;
mod prices;
#[cfg(test)]
mod sample;
mod server;
mod store;
mod team;
mod tryout;
mod unix_time;
mod upstream;

pub use command::run;

/// What `benches/` and `examples/` use of the parts.
#[doc(hidden)]
pub mod measured {
    pub use crate::config::log_store::LogStore;
    pub use crate::config::resilience::Affinity;
    pub use crate::config::{Arguments, load};
    pub use crate::store::sessions::{SessionsAsked, SessionsBy};
    pub use crate::store::{By, Database, Filter, GroupedBy, GroupsBy, Reader, Span, StatsFilter};
    pub use crate::upstream::keys::Wish;
    pub use crate::upstream::pool::{choose, home};
    pub use crate::upstream::sessions::{AffinityTable, Client, SessionPlace};
    pub use crate::upstream::{Upstream, clock, prepare};
}
