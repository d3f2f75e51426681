//! The parts of the gateway that only compute: bytes and values in, values out.
//!
//! No Pingora, no tokio, no sockets, no clock. So they can be fuzzed, measured and tested alone, and cargo itself sees to
//! it that they stay so. What runs is in the `anyrouter-gateway` package, which uses this one.

pub mod addresses;
pub mod again;
pub mod balance;
pub mod body_intake;
pub mod cache_waste;
#[cfg(test)]
mod chance;
mod codes;
pub mod errors;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod holder;
pub mod http1;
pub mod language;
pub mod models;
pub mod prompt_shape;
pub mod protocol;
pub mod reason;
pub mod recent;
pub mod record;
pub mod redact;
pub mod rules;
pub mod team;
pub mod thinking;
pub mod usage;
