//! What was done to the machine, so that it can be undone.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, openat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

/// How a folder is opened that must be none behind a link.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whose a file is, and who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    /// The user and the group of that number; root if there is none.
    pub owner: Option<u32>,
    /// The bits.
    pub mode: u32,
}

/// One deed.
#[derive(Debug)]
enum Deed {
    /// A file, or a folder with all in it, that was not there.
    Made(PathBuf),
    /// A file that was: the former one is beside it.
    Replaced { path: PathBuf, former: PathBuf },
}

/// All deeds, in their order.
#[derive(Debug, Default)]
pub(super) struct Journal(Vec<Deed>);

fn failed(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

impl Journal {
    /// Makes a folder, and those above it; one that is there is left as it is.
    ///
    /// # Errors
    /// What cannot be done, with the path.
    pub(super) fn folder(&mut self, path: &Path, rights: Rights) -> Result<(), String> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent, rights)?;
        }
        DirBuilder::new().mode(rights.mode).create(path).map_err(failed(path))?;
        self.0.push(Deed::Made(path.to_owned()));
        // Whatever the umask is.
        std::fs::set_permissions(path, Permissions::from_mode(rights.mode)).map_err(failed(path))?;
        chown(path, rights.owner, rights.owner).map_err(failed(path))
    }

    /// Puts a file there; one that is there goes to the name behind which `former` stands.
    ///
    /// # Errors
    /// What cannot be done, with the path.
    pub(super) fn file(&mut self, path: &Path, bytes: &[u8], rights: Rights) -> Result<(), String> {
        let beside = with(path, &format!(".new-{}", std::process::id()));
        let _ = std::fs::remove_file(&beside);
        let mut options = OpenOptions::new();
        let written = options.write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(rights.mode))?;
            chown(&beside, rights.owner.or(Some(0)), rights.owner.or(Some(0)))?;
            file.sync_all()
        });
        let put = written.and_then(|()| {
            let is_there = path.symlink_metadata().is_ok();
            let former = with(path, ".old");
            if is_there {
                std::fs::rename(path, &former)?;
                self.0.push(Deed::Replaced { path: path.to_owned(), former });
            }
            std::fs::rename(&beside, path)?;
            if !is_there {
                self.0.push(Deed::Made(path.to_owned()));
            }
            Ok(())
        });
        put.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            failed(path)(error)
        })
    }

    /// Notes that something was made there by others.
    pub(super) fn made(&mut self, path: &Path) {
        self.0.push(Deed::Made(path.to_owned()));
    }

    /// Puts everything back, the last deed first. Returns what could not be.
    pub(super) fn undo(self) -> Vec<String> {
        let undone = self.0.into_iter().rev().map(|deed| match deed {
            Deed::Made(path) => remove(&path).map_err(failed(&path)),
            Deed::Replaced { path, former } => std::fs::rename(&former, &path).map_err(failed(&path)),
        });
        undone.filter_map(Result::err).collect()
    }
}

/// What is gone already, with the folder that it was in, need not be removed.
fn remove(path: &Path) -> io::Result<()> {
    match remove_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        // systemd moves the state of a dynamic user, and leaves a link.
        Ok(found) if found.is_symlink() => {
            let target = path.canonicalize();
            std::fs::remove_file(path)?;
            target.map_or(Ok(()), std::fs::remove_dir_all)
        }
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// A path with this at its end.
pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Gives all in a folder to a user; links are not followed.
///
/// # Errors
/// What cannot be given, with the path.
pub(super) fn give(folder: &Path, user: u32) -> Result<(), String> {
    // It lies in a folder of root's, and may be a link that systemd made.
    let opened = openat(CWD, folder, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|error| failed(folder)(error.into()))?;
    give_all(&opened, folder, user)
}

/// By descriptors: whoever may write here could put a link in the place of a folder meanwhile, and be given another one's.
fn give_all(opened: &OwnedFd, folder: &Path, user: u32) -> Result<(), String> {
    let untold = |error: Errno| failed(folder)(error.into());
    let (owner, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(user)));
    for entry in Dir::read_from(opened).map_err(untold)? {
        let entry = entry.map_err(untold)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let path = folder.join(OsStr::from_bytes(name.to_bytes()));
        let wrong = |error: Errno| failed(&path)(error.into());
        let found = statat(opened, name, AtFlags::SYMLINK_NOFOLLOW).map_err(wrong)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            give_all(&openat(opened, name, FOLDER, Mode::empty()).map_err(wrong)?, &path, user)?;
        }
        if found.st_uid != user {
            chownat(opened, name, owner, group, AtFlags::SYMLINK_NOFOLLOW).map_err(wrong)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    const RIGHTS: Rights = Rights { owner: None, mode: 0o640 };

    /// All files of a folder with what they hold.
    fn all(folder: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok);
        let mut files: Vec<_> = entries
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_else(|_| "a folder".to_owned());
                (entry.file_name().to_string_lossy().into_owned(), text)
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn what_was_done_can_be_undone_whatever_was_there() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root gives files away");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("there"), "before").expect("written");
        let before = all(dir.path());
        let mut journal = Journal::default();
        journal.file(&path("there"), b"after", RIGHTS).expect("put");
        journal.file(&path("new"), b"new", RIGHTS).expect("put");
        journal.folder(&path("a/b"), Rights { owner: Some(54_321), mode: 0o700 }).expect("made");
        journal.file(&path("a/b/c"), b"c", RIGHTS).expect("put");
        assert_eq!(path("new").metadata().expect("there").mode() & 0o777, 0o640);
        assert_eq!(path("a/b").metadata().expect("there").uid(), 54_321);
        let wanted = [("a", "a folder"), ("new", "new"), ("there", "after"), ("there.old", "before")];
        assert_eq!(all(dir.path()), wanted.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(journal.undo(), [] as [String; 0]);
        assert_eq!(all(dir.path()), before);
        let error = Journal::default().file(&path("there/x"), b"", RIGHTS).expect_err("no folder");
        assert!(error.contains("there/x"), "{error}");
    }

    #[test]
    fn what_a_link_leads_to_is_given_to_nobody() {
        let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another"));
        let (inner, of_other) = (folder.path().join("data"), other.path().join("file"));
        std::fs::create_dir(&inner).expect("made");
        for file in [&inner.join("gateway.db"), &of_other] {
            std::fs::write(file, "").expect("written");
        }
        symlink(other.path(), folder.path().join("link")).expect("a link");
        let own = of_other.metadata().expect("a file").uid();
        // Only root may give files away.
        let user = if own == 0 { 12_345 } else { own };
        give(folder.path(), user).expect("given");
        let owner = |path: &Path| path.symlink_metadata().expect("there").uid();
        assert_eq!([&inner, &inner.join("gateway.db"), &folder.path().join("link")].map(|path| owner(path)), [user; 3]);
        assert_eq!([owner(other.path()), owner(&of_other)], [own; 2]);
    }
}
