//! Reading the request log, next to its writer.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Readings at one time; others wait.
const CONNECTIONS: u32 = 4;
/// How long they wait, and how long a file may be locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the request log.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Arc<OnceLock<SqlitePool>>,
    path: PathBuf,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
#[error("the request log cannot be read: {0}")]
pub struct ReadError(#[from] sqlx::Error);

impl Reader {
    /// A reader of this file, which is opened when something is read.
    pub fn new(path: &Path) -> Self {
        Self { pool: Arc::default(), path: path.to_owned() }
    }

    /// The connections, which can only be made where there is a runtime.
    pub(super) fn pool(&self) -> &SqlitePool {
        self.pool.get_or_init(|| {
            let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).busy_timeout(PATIENCE);
            SqlitePoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(PATIENCE)
                .idle_timeout(Duration::from_secs(60))
                .connect_lazy_with(options)
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes, with what is not yet in its place.
    pub fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        size(&self.path) + size(Path::new(&log))
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
