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
mod spent;
mod statistics;
mod waste;

pub(crate) use copy::copy;
pub use database::Database;
pub(super) use place::Rows;
pub(crate) use reader::ReadError;
pub use reader::Reader;
pub(crate) use spent::SpentBy;

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file itself is the matter.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// A statement failed, or the way to it.
    #[error(transparent)]
    Statement(#[from] sqlx::Error),
    /// Records could not be inserted.
    #[error(transparent)]
    Insertion(#[from] rusqlite::Error),
}
