//! The request log in SQLite: all SQL of the program is in this folder, and what is done with the file.
//!
//! The rest asks for little: [`Database`] opens, writes a batch and deletes what is too old; [`Reader`] lists and sums. Another
//! database would be a folder beside this one with these two.

mod cache_use;
mod copy;
mod database;
mod fingerprint;
mod insert;
mod listing;
mod made_of;
mod place;
mod quarters;
mod reader;
mod recost;
mod sessions;
mod statistics;
mod waste;

pub(crate) use copy::copy;
pub use database::Database;
pub(super) use place::Rows;
pub(crate) use reader::ReadError;
pub use reader::Reader;
/// Why something could not be written.
pub(super) use sqlx::Error as WriteError;
