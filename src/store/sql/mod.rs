//! What is read of the request log, and costs made anew: SQL that every database takes, in texts whose few differences are in
//! [`text`]. How a database is opened, written and kept small is a folder of its own beside this one.
//!
//! What all of them do alike is asked for: sums are cast to whole numbers, conditions are counted by `FILTER`, and where nulls
//! come is told wherever it matters.

mod cache_use;
mod fingerprint;
mod listing;
mod made_of;
mod reader;
mod recost;
mod sessions;
mod spent;
mod statistics;
mod text;
mod waste;

pub(crate) use reader::ReadError;
pub use reader::Reader;
pub(crate) use spent::SpentBy;
