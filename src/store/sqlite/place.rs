//! Whether the open file is still the one at its path, and what becomes of its rows if somebody deleted it.
//!
//! SQLite goes on with a file that has no name any more, without an error: what is written then is gone at the end.

use crate::store::columns::millis;
use sqlx::SqliteConnection;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

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
    /// Somebody put another file into its place: they are in this one.
    SetAside(PathBuf),
    /// There is no room for them.
    Lost,
}

/// Where a file is to be, and which one was opened there.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    identity: Identity,
    /// What SQLite has put beside it.
    beside: Vec<(PathBuf, Identity)>,
}

impl Place {
    /// The file that is at this path now.
    ///
    /// # Errors
    /// When none is.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: Identity::of(path)?, beside: Vec::new() })
    }

    /// Notes what SQLite has put beside the file, once it is open and was read.
    ///
    /// # Errors
    /// When the file is not there any more.
    pub(super) fn note_beside(&mut self) -> std::io::Result<()> {
        // Links are followed: it is beside the file that they lead to.
        let file = self.path.canonicalize()?;
        let beside = ["-wal", "-shm"].map(|suffix| with_suffix(&file, suffix));
        self.beside = beside.into_iter().filter_map(|path| Identity::of(&path).ok().map(|is| (path, is))).collect();
        Ok(())
    }

    /// Whether the file is still the one at its path. One that cannot be looked at counts as there.
    pub(super) fn is_taken(&self) -> bool {
        match Identity::of(&self.path) {
            Ok(there) => there == self.identity,
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }

    /// Puts the rows of a file that was deleted into a new one at its path; one that was only moved keeps them, and where
    /// another file is by now they go beside it.
    ///
    /// # Errors
    /// When that cannot be done now; the old file is open as before.
    pub(super) async fn bring_back(&self, connection: &mut SqliteConnection) -> Result<Rows, sqlx::Error> {
        if let Some(elsewhere) = self.identity.whereabouts() {
            settle(connection).await?;
            self.leave_nothing_beside();
            return Ok(Rows::Elsewhere(elsewhere));
        }
        self.leave_nothing_beside();
        match self.copy_back(connection).await {
            Err(error) if is_full(&error) => Ok(Rows::Lost),
            done => done,
        }
    }

    async fn copy_back(&self, connection: &mut SqliteConnection) -> Result<Rows, sqlx::Error> {
        let target = destination(&self.path);
        if !target.exists() {
            if let Some(folder) = target.parent() {
                make_folder(folder)?;
            }
            let new = NewFile::beside(&target)?;
            let rows = copy_to(connection, &new.beside).await?;
            if new.put()? {
                return Ok(Rows::Kept(rows));
            }
        }
        // While one process takes over from another, both have the file open, and the first to see makes it anew.
        if let Ok(rows) = rows_if_all_are_in(connection, &target).await {
            return Ok(Rows::Kept(rows));
        }
        let former = with_suffix(&target, &format!(".former-{}", millis(SystemTime::now())));
        let new = NewFile::beside(&former)?;
        copy_to(connection, &new.beside).await?;
        new.put()?;
        Ok(Rows::SetAside(former))
    }

    /// Removes what SQLite put beside the open file, if it stayed where the file is no more: the next file would take it for
    /// its own, and break. What belongs to the next file already is left.
    fn leave_nothing_beside(&self) {
        for (path, identity) in &self.beside {
            if Identity::of(path).is_ok_and(|there| there == *identity) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Where a file of this path is made: a link that leads nowhere yet, its own or of a folder around it, is followed.
pub(super) fn destination(path: &Path) -> PathBuf {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        let there = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        let Some((link, leads_to)) = there.and_then(|part| Some((part, part.read_link().ok()?))) else { break };
        let around = link.parent().unwrap_or(link).join(leads_to);
        path = match path.strip_prefix(link) {
            Ok(rest) if !rest.as_os_str().is_empty() => around.join(rest),
            _ => around,
        };
    }
    path
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

/// Writes all that is beside the open file into it.
async fn settle(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let (is_busy, _, _) = sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(connection).await?;
    match is_busy {
        0 => Ok(()),
        _ => Err(std::io::Error::other("it was moved, and somebody still reads it").into()),
    }
}

/// How many rows the open file has, if the one at this path has all of them too.
async fn rows_if_all_are_in(connection: &mut SqliteConnection, path: &Path) -> Result<u64, sqlx::Error> {
    sqlx::query("ATTACH DATABASE ? AS there").bind(text_of(path)?).execute(&mut *connection).await?;
    let sql = "SELECT COUNT(*), COALESCE(SUM(id NOT IN (SELECT id FROM there.requests)), 0) FROM main.requests";
    let found = sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(&mut *connection).await;
    sqlx::query("DETACH DATABASE there").execute(connection).await?;
    match found? {
        (rows, 0) => Ok(u64::try_from(rows).unwrap_or_default()),
        _ => Err(sqlx::Error::RowNotFound),
    }
}

fn text_of(path: &Path) -> std::io::Result<&str> {
    path.to_str().ok_or_else(|| std::io::Error::other("its path is no UTF-8"))
}

/// Copies all that is in the open file; returns how many rows.
async fn copy_to(connection: &mut SqliteConnection, path: &Path) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM requests").fetch_one(&mut *connection).await?;
    sqlx::query("VACUUM INTO ?").bind(text_of(path)?).execute(connection).await?;
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

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
