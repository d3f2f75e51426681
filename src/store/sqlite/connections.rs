//! Connections that read the file, next to its writer.

use super::place::Identity;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Readings at one time; others wait.
const CONNECTIONS: u32 = 4;
/// How long they wait, and how long a file may be locked.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a file is waited for that is not there, and how often it is looked for.
const NEW_FILE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// Connections to a file, which is opened when something is read.
#[derive(Clone, Debug)]
pub(in crate::store) struct Connections {
    opened: Arc<Mutex<Option<Opened>>>,
    path: PathBuf,
}

/// Connections, and to which file.
#[derive(Debug)]
struct Opened {
    pool: SqlitePool,
    file: Option<Identity>,
}

impl Connections {
    /// Those to this file.
    pub(in crate::store) fn to(path: &Path) -> Self {
        Self { opened: Arc::default(), path: path.to_owned() }
    }

    /// The connections to what is at the path; those to a file that was there before are left. Where no file is, the writer
    /// makes one soon: that is waited for.
    pub(in crate::store) async fn pool(&self) -> SqlitePool {
        let until = Instant::now() + NEW_FILE;
        while !self.path.exists() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        self.present()
    }

    fn present(&self) -> SqlitePool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let there = Identity::of(&self.path).ok();
        match &mut *opened {
            Some(opened) if there.is_none() || opened.file == there => opened.pool.clone(),
            // It was not there yet.
            Some(opened) if opened.file.is_none() => {
                opened.file = there;
                opened.pool.clone()
            }
            _ => {
                let pool = self.connections();
                *opened = Some(Opened { pool: pool.clone(), file: there });
                pool
            }
        }
    }

    fn connections(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).busy_timeout(PATIENCE);
        SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options)
    }

    /// Its size in bytes, with what is not yet in its place.
    pub(in crate::store) fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        size(&self.path) + size(Path::new(&log))
    }
}
