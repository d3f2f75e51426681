//! The request log in SQLite: what is done with the file, and the SQL that only it takes.
//!
//! The rest asks for little: [`Database`] opens, writes a batch and deletes what is too old; [`Connections`] are what is read
//! through. Another database would be a folder beside this one with these two.

mod connections;
mod copy;
mod database;
mod insert;
mod place;
mod quarters;

pub(super) use connections::Connections;
pub(crate) use copy::copy;
pub(super) use database::Database;
pub(super) use place::Rows;

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
