//! Files that are there as a whole or not at all.

use gateway_core::both;
use gateway_core::language::Words;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that was written beside its place, down to the disk. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    beside: PathBuf,
    path: PathBuf,
}

/// Puts a file with this content, which only its owner may read, in the place of what is at `path`.
///
/// # Errors
/// What could not be done, with the path.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Words> {
    Staged::write(path, bytes)?.commit()
}

impl Staged {
    /// Writes a file that only its owner may read; its folder is made if need be.
    ///
    /// # Errors
    /// What could not be done, with the path.
    pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Self, Words> {
        let failed = |what: &Path, error: std::io::Error| {
            both!("{path} cannot be written: {error}", "无法写入 {path}：{error}", path = what.display())
        };
        let folder = folder(path);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| failed(&folder, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Several may be written at one time.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = folder.join(format!(".{name}.new-{}-{number}", std::process::id()));
        // Left over from a process of this number that was killed.
        let _ = std::fs::remove_file(&beside);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .map_err(|error| failed(&beside, error))?;
        let staged = Self { beside, path: path.to_owned() };
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| failed(path, error))?;
        Ok(staged)
    }

    /// Puts it into its place, if nothing is there. Returns whether it did.
    ///
    /// # Errors
    /// What could not be done, with the path.
    pub(crate) fn commit_new(self) -> Result<bool, Words> {
        match std::fs::hard_link(&self.beside, &self.path) {
            Ok(()) => self.sync_folder().map(|()| true),
            Err(_) if self.path.exists() => Ok(false),
            // Not every file system has hard links.
            Err(_) => self.commit().map(|()| true),
        }
    }

    /// Puts it into its place.
    ///
    /// # Errors
    /// What could not be done, with the path.
    pub(crate) fn commit(self) -> Result<(), Words> {
        std::fs::rename(&self.beside, &self.path).map_err(|error| self.failed(error))?;
        self.sync_folder()
    }

    /// The name too is to be on the disk.
    fn sync_folder(&self) -> Result<(), Words> {
        File::open(folder(&self.path)).and_then(|folder| folder.sync_all()).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> Words {
        both!("{path} cannot be replaced: {error}", "无法替换 {path}：{error}", path = self.path.display())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.beside);
    }
}

fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a/b.yaml");
        Staged::write(&path, b"one").and_then(Staged::commit).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        drop(Staged::write(&path, b"two").expect("staged"));
        assert_eq!(std::fs::read(&path).expect("there"), b"one");
        assert_eq!(std::fs::read_dir(dir.path().join("a")).expect("a folder").count(), 1, "nothing is left over");
        std::fs::write(dir.path().join("file"), "").expect("written");
        let error = Staged::write(&dir.path().join("file/b"), b"x").expect_err("no folder");
        assert!(error.to_string().contains("file cannot be written"), "{error}");
    }
}
