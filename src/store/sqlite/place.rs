//! Whether the open file is still the one at its path, and what becomes of its rows if somebody deleted it.
//!
//! SQLite goes on with a file that has no name any more, without an error: what is written then is gone at the end.

use sqlx::SqliteConnection;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// What is at this path.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be looked at.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let there = path.metadata()?;
        Ok(Self { device: there.dev(), inode: there.ino() })
    }

    /// The entries of this process's open files that are it.
    fn open_files(self) -> impl Iterator<Item = PathBuf> {
        let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        let entries = open.filter_map(|entry| Some(entry.ok()?.path()));
        entries.filter(move |entry| Self::of(entry).is_ok_and(|found| found == self))
    }

    /// Where it is now, if it has a name: this process has it open.
    fn whereabouts(self) -> Option<PathBuf> {
        let has_name = |entry: &PathBuf| entry.metadata().is_ok_and(|found| found.nlink() > 0);
        let name = self.open_files().find(has_name)?.read_link().ok()?;
        // The name that it was opened by is gone, and what others it has is not known.
        (!name.to_string_lossy().ends_with(" (deleted)")).then_some(name)
    }
}

/// What became of the rows of a file that is not at its path any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Rows {
    /// They are in the new file.
    Kept(u64),
    /// They are in the old file, which has another name now.
    Elsewhere(PathBuf),
    /// Somebody put another file into its place: they are lost.
    Replaced,
    /// There is no room for them.
    Lost,
}

/// Where a file is to be, and which one was opened there.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    identity: Identity,
}

impl Place {
    /// The file that is at this path now.
    ///
    /// # Errors
    /// When none is.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: Identity::of(path)? })
    }

    /// Whether the file is still the one at its path.
    pub(super) fn is_taken(&self) -> bool {
        Identity::of(&self.path).is_ok_and(|there| there == self.identity)
    }

    /// Puts the rows of a file that was deleted into a new one at its path; one that was only moved keeps them.
    ///
    /// # Errors
    /// When the new file cannot be written; the old one is open as before.
    pub(super) async fn bring_back(&self, connection: &mut SqliteConnection) -> Result<Rows, sqlx::Error> {
        if let Some(elsewhere) = self.identity.whereabouts() {
            // All of it, should what SQLite puts beside it have stayed behind.
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
            self.leave_nothing_beside();
            return Ok(Rows::Elsewhere(elsewhere));
        }
        if self.path.exists() {
            self.leave_nothing_beside();
            return Ok(Rows::Replaced);
        }
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder)?;
        }
        let new = NewFile::beside(&self.path)?;
        self.leave_nothing_beside();
        match copy_to(connection, &new.beside).await {
            Ok(rows) => Ok(if new.put()? { Rows::Kept(rows) } else { Rows::Replaced }),
            Err(error) if is_full(&error) => Ok(Rows::Lost),
            Err(error) => Err(error),
        }
    }

    /// Removes what SQLite put beside the open file, if it stayed where the file is no more: the next file would take it for
    /// its own, and break.
    fn leave_nothing_beside(&self) {
        for suffix in ["-wal", "-shm"] {
            let path = with_suffix(&self.path, suffix);
            if Identity::of(&path).is_ok_and(|beside| beside.open_files().next().is_some()) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// An empty file, for its owner alone, beside the place that it is for: nobody finds it there before it is whole. Dropped, it
/// is gone.
pub(super) struct NewFile<'p> {
    /// Where it is meanwhile.
    pub(super) beside: PathBuf,
    path: &'p Path,
}

impl<'p> NewFile<'p> {
    /// One for this place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn beside(path: &'p Path) -> std::io::Result<Self> {
        // Several may be made at one time.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = with_suffix(path, &format!(".new-{}-{number}", std::process::id()));
        // Left over from a process of this number that was killed.
        let _ = std::fs::remove_file(&beside);
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        Ok(Self { beside, path })
    }

    /// Puts it into its place, unless another one is there by now; whether it did.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn put(self) -> std::io::Result<bool> {
        match std::fs::hard_link(&self.beside, self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // Not every file system has hard links.
            Err(_) => std::fs::rename(&self.beside, self.path).map(|()| true),
        }
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(with_suffix(&self.beside, suffix));
        }
    }
}

/// Copies all that is in the open file; returns how many rows.
async fn copy_to(connection: &mut SqliteConnection, path: &Path) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM requests").fetch_one(&mut *connection).await?;
    let text = path.to_str().ok_or_else(|| std::io::Error::other("its path is no UTF-8"))?;
    sqlx::query("VACUUM INTO ?").bind(text).execute(connection).await?;
    // No connection has it open yet, so that closing it releases no lock.
    File::open(path)?.sync_all()?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

/// The path of what is beside a file.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a folder, and those around it, for the gateway alone.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether the disk is full: `SQLITE_FULL`.
fn is_full(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "13")
}
