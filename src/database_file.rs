//! A database file of the gateway's own in the state folder: how it is opened, its tables, and its return when somebody
//! deletes it while it is open. The request log is another matter (`store`).

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system says so.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// SQLite says so.
    #[error(transparent)]
    Statement(#[from] rusqlite::Error),
    /// It has tables that are not of this kind.
    #[error("it is another program's database")]
    Foreign,
}

/// A kind of file.
pub(crate) struct Kind {
    /// Marks a file as one of this kind.
    pub application: i64,
    /// How long another process may hold it.
    pub busy: Duration,
    /// How it is used, told before anything is read.
    pub pragmas: &'static str,
    /// What brings its tables up to date. A file that a newer version has changed stays as it is: its changes leave what this
    /// one writes valid.
    pub migrations: &'static [&'static str],
}

/// Opens a file, makes it if it is not there, and brings its tables up to date.
pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Connection, FileError> {
    // Nobody else may read it from the beginning; what SQLite puts beside it is as closed as the file.
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map(drop)?,
    }
    close_to_others(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(kind.busy)?;
    connection.execute_batch(kind.pragmas)?;
    migrate(&mut connection, kind)?;
    Ok(connection)
}

/// Takes from others what they may do with a file, such as one that was copied here. One of another user stays as it is.
fn close_to_others(path: &Path) -> std::io::Result<()> {
    let mode = path.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            log::warn!("{} can be read by others, and is not this user's", path.display());
            Ok(())
        }
        done => {
            log::warn!("{} could be read by others; now it cannot", path.display());
            done
        }
    }
}

/// Opens a file that is there, and changes nothing.
pub(crate) fn look(path: &Path, kind: &Kind) -> Result<Connection, FileError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(kind.busy)?;
    Ok(connection)
}

/// Which file stands at a path: its device and its number.
pub(crate) fn place_of(path: &Path) -> std::io::Result<(u64, u64)> {
    let there = path.metadata()?;
    Ok((there.dev(), there.ino()))
}

/// Writes all of a file that somebody deleted into a new one at its path, unless another process has done so meanwhile.
pub(crate) fn bring_back(connection: &Connection, path: &Path) -> Result<(), FileError> {
    let beside = beside(path, &format!(".new-{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
    connection.execute("VACUUM INTO ?", [beside.to_string_lossy()])?;
    // What another process brought back may have changed since: nothing is put over it.
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    }
}

/// What stands beside a file with this end of its name.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn migrate(connection: &mut Connection, kind: &Kind) -> Result<(), FileError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, done) = (number("application_id")?, number("user_version")?);
    let tables: i64 = transaction.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0))?;
    if application != kind.application && (application != 0 || tables > 0) {
        return Err(FileError::Foreign);
    }
    let done = usize::try_from(done).unwrap_or_default();
    let Some(missing) = kind.migrations.get(done..).filter(|missing| !missing.is_empty()) else { return Ok(()) };
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", kind.application)?;
    transaction.pragma_update(None, "user_version", i64::try_from(kind.migrations.len()).unwrap_or(i64::MAX))?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        application: 1,
        busy: Duration::from_secs(1),
        pragmas: "PRAGMA synchronous = NORMAL",
        migrations: &["CREATE TABLE a (n INTEGER)"],
    };

    fn numbers(path: &Path) -> Vec<i64> {
        let file = open(path, &KIND).expect("opened");
        let mut select = file.prepare("SELECT n FROM a").expect("a statement");
        let rows = select.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("numbers")
    }

    #[test]
    fn a_file_is_its_owners_and_a_newer_version_may_have_changed_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let file = open(&path, &KIND).expect("opened");
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        file.pragma_update(None, "user_version", 99).expect("written");
        drop(file);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("opened to others");
        assert!(open(&path, &KIND).is_ok());
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(matches!(open(&path, &Kind { application: 2, ..KIND }), Err(FileError::Foreign)));
        std::fs::remove_file(&path).expect("removed");
        Connection::open(&path).expect("made").execute_batch("CREATE TABLE t (a)").expect("written");
        assert!(matches!(open(&path, &KIND), Err(FileError::Foreign)));
    }

    #[test]
    fn a_file_that_was_deleted_is_brought_back_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let one = open(&path, &KIND).expect("opened");
        let other = open(&path, &KIND).expect("opened");
        one.execute("INSERT INTO a VALUES (1)", []).expect("written");
        let before = place_of(&path).expect("a file");
        std::fs::remove_file(&path).expect("removed");
        bring_back(&one, &path).expect("brought back");
        assert_ne!(place_of(&path).expect("a file"), before);
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        let again = open(&path, &KIND).expect("opened");
        again.execute("INSERT INTO a VALUES (2)", []).expect("written");
        bring_back(&other, &path).expect("left as it is");
        assert_eq!(numbers(&path), [1, 2], "what was written since stays");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }
}
