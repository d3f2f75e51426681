//! Who reads the request log: lists, sums and sessions are in the files beside this one.

use crate::store::sqlite::{Connections, ReadPool};
use std::path::Path;

/// Reads the request log.
#[derive(Clone, Debug)]
pub struct Reader {
    connections: Connections,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
#[error("the request log cannot be read: {0}")]
pub struct ReadError(#[from] sqlx::Error);

impl Reader {
    /// A reader of this file, which is opened when something is read.
    pub fn new(path: &Path) -> Self {
        Self { connections: Connections::to(path) }
    }

    /// What statements are executed on.
    pub(super) async fn pool(&self) -> ReadPool {
        self.connections.pool().await
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.connections.path()
    }

    /// Its size in bytes, with what is not yet in its place.
    pub fn bytes(&self) -> u64 {
        self.connections.bytes()
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
