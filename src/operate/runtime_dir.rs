//! The runtime folder: the pid file, and the sockets by which processes find each other.

use super::own_folder::{self, Unusable};
use crate::language::say;
use gateway_core::both;
use gateway_core::language::Words;
use std::io;
use std::path::{Path, PathBuf};

/// Longest path of a Unix socket.
const SOCKET_PATH_BYTES: usize = 107;

/// The runtime folder.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// The folder at `path`, made if need be, for the gateway alone.
    ///
    /// # Errors
    /// When it cannot be made or written, somebody else can, or its path is too long for a socket.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Unusable> {
        let failed = |error: io::Error| {
            Unusable::Failed(both!(
                "gateway.runtime_dir: {path} cannot be used: {error}",
                "gateway.runtime_dir：无法使用 {path}：{error}",
                path = path.display()
            ))
        };
        own_folder::prepare(path, "gateway.runtime_dir")?;
        let folder = Self::open(path).map_err(|why| Unusable::Failed(Words::said(why)))?;
        let probe = folder.0.join(format!(".probe-{}", std::process::id()));
        std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
        Ok(folder)
    }

    /// The folder at `path`, which is there.
    ///
    /// # Errors
    /// When it is not, or its path is too long for a socket.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                say!(
                    "no gateway runs here: {elsewhere}",
                    "这里没有正在运行的网关：{elsewhere}",
                    elsewhere = elsewhere(path)
                )
            }
            _ => say!(
                "gateway.runtime_dir: {path} cannot be used: {error}",
                "gateway.runtime_dir：无法使用 {path}：{error}",
                path = path.display()
            ),
        };
        let folder = Self(path.canonicalize().map_err(failed)?);
        match folder.control_socket_of(u32::MAX).as_os_str().len() <= SOCKET_PATH_BYTES {
            true => Ok(folder),
            false => Err(say!(
                "gateway.runtime_dir: the path {path} is too long for a socket",
                "gateway.runtime_dir：路径 {path} 太长，无法在其中创建套接字",
                path = path.display()
            )),
        }
    }

    /// The file with the number of the process that serves.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.0.join("gateway.pid")
    }

    /// Where the serving process takes commands.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The same before it has its name.
    pub(crate) fn control_socket_of(&self, pid: u32) -> PathBuf {
        self.0.join(format!("control.sock.{pid}"))
    }

    /// What a draining process says of itself.
    pub(crate) fn draining(&self, pid: u32) -> PathBuf {
        self.0.join(format!("draining-{pid}.json"))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Notes that this process serves.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_pid(&self) -> io::Result<()> {
        let pid = std::process::id();
        let beside = self.0.join(format!("gateway.pid.{pid}"));
        std::fs::write(&beside, format!("{pid}\n"))?;
        std::fs::rename(&beside, self.pid_file())
    }

    /// Takes the pid file and the control socket away at the end, if no other process has taken over. Returns whether they
    /// were this process's.
    pub(crate) fn leave(&self) -> bool {
        let own = format!("{}\n", std::process::id());
        let is_own = std::fs::read_to_string(self.pid_file()).is_ok_and(|text| text == own);
        if is_own {
            let _ = std::fs::remove_file(self.pid_file());
            let _ = std::fs::remove_file(self.control_socket());
        }
        is_own
    }
}

/// What to do when no gateway is found by way of this folder.
pub(crate) fn elsewhere(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    say!(
        "its folder would be {path} (gateway.runtime_dir). If it runs elsewhere, type this in the folder that it was \
         started in, or name its configuration with -c FILE, or that folder with GATEWAY_RUNTIME_DIR",
        "它的运行目录应为 {path}（gateway.runtime_dir）。如果它在别处运行，请到启动它的目录中执行，或用 -c 文件 指明它的配置，\
         或用 GATEWAY_RUNTIME_DIR 指明该目录",
        path = path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_taken_away_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = RuntimeDir::prepare(&dir.path().join("a/run")).expect("made");
        folder.write_pid().expect("written");
        std::fs::write(folder.control_socket(), "").expect("written");
        let own = std::fs::read_to_string(folder.pid_file()).expect("there");
        assert_eq!(own, format!("{}\n", std::process::id()));
        std::fs::write(folder.pid_file(), "1\n").expect("written");
        assert!(!folder.leave());
        assert!(folder.pid_file().exists() && folder.control_socket().exists(), "another's");
        folder.write_pid().expect("written");
        assert!(folder.leave());
        assert!(!folder.pid_file().exists() && !folder.control_socket().exists());
    }

    #[test]
    fn a_folder_that_cannot_be_used_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("file"), "").expect("written");
        let why = |path: &str| match RuntimeDir::prepare(&dir.path().join(path)) {
            Err(Unusable::Refused(why) | Unusable::Failed(why)) => why.to_string(),
            Ok(_) => panic!("{path} is used"),
        };
        let error = why("file/run");
        assert!(error.contains("gateway.runtime_dir") && error.contains("file/run"), "{error}");
        let error = why(&"x".repeat(100));
        assert!(error.contains("too long"), "{error}");
    }
}
