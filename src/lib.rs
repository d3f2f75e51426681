//! A programmable gateway on Pingora between Claude Code and an Anthropic-compatible relay.
//!
//! The binary is all there is to use; this library is its parts, for its own tests and benchmarks. ARCHITECTURE.md
//! says what to read first.

pub mod access_log;
pub mod admin;
pub mod cli;
pub mod config;
pub mod connections;
pub mod doctor;
pub mod drain;
pub mod feed;
pub mod gateway;
pub mod listen;
pub mod log_output;
pub mod metrics;
pub mod operate;
#[cfg(test)]
mod sample;
pub mod server;
pub mod store;
pub mod upstream;
