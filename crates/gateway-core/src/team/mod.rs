//! A team that shares the gateway's upstreams: its client tokens, and what each may (`token`, `roster`); limits of tokens, users
//! and groups, and how several gateways keep them together.
//!
//! A ledger lends each gateway a part of a window, a lease (`grant`), by what it asks for (`demand`). The gateway keeps it as a
//! stock of atomics (`stock`), from which requests take what they are likely to use (`estimate`) and to which they give back
//! what they did not (`admission`). So a request asks neither a disk nor another gateway, and waits for no lock. This folder
//! only computes: rows and clocks come from the caller, which keeps the ledger, runs the keeper, and tells clients why they
//! are refused (`refusal`) and others that a limit is nearly used (`notice`), and its holder with each response
//! how much is used (`budget`).

pub mod admission;
#[cfg(test)]
mod admission_tests;
pub mod asked;
mod atomics;
pub mod budget;
pub mod demand;
pub mod estimate;
pub mod found;
pub mod grant;
#[cfg(test)]
mod grant_tests;
#[cfg(all(test, interleaved))]
mod interleavings;
#[cfg(any(test, fuzzing))]
pub(crate) mod ledger_model;
pub mod limit;
pub mod measure;
pub mod notice;
pub mod rate;
pub mod refusal;
pub mod roster;
pub mod sessions;
#[cfg(test)]
mod simulation;
pub mod stock;
pub mod text;
pub mod token;
pub mod window;
#[cfg(test)]
mod window_tests;

pub use limit::{Kind, Limit, LimitFault, Subject, Window};
pub use measure::{Amounts, Measure};
