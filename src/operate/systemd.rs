//! What systemd is told (`sd_notify`): one datagram to the socket that it names. Without systemd nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The configuration of the service, as `conf/anyrouter-gateway.service` names it.
pub(super) const CONFIGURATION: &str = "/etc/anyrouter-gateway/gateway.yaml";

/// The variable with the socket's address.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Whether systemd wants to hear of this process.
pub(crate) fn is_supervisor() -> bool {
    std::env::var_os(SOCKET).is_some_and(|socket| !socket.is_empty())
}

/// The process serves, and is the unit's main process from now on.
pub(crate) fn ready(status: &str) {
    tell(&format!("MAINPID={}\nREADY=1\nSTATUS={status}", std::process::id()));
}

/// The process will end soon.
pub(crate) fn stopping() {
    tell("STOPPING=1\nSTATUS=finishing the last requests");
}

fn tell(message: &str) {
    let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, message) {
        log::warn!("systemd could not be told ({message:?}): {error}");
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(Path::new(socket))?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(|_| ())
}

/// The unit of systemd that a process belongs to, if any: the innermost service of its control group.
pub(crate) fn unit_of(pid: u32) -> Option<String> {
    unit(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The files from which systemd takes the variables of a unit.
pub(crate) fn environment_files(unit: &str) -> Vec<PathBuf> {
    let asked =
        Command::new("systemctl").args(["show", "--property", "EnvironmentFiles", "--value", "--", unit]).output();
    let text = asked.ok().filter(|asked| asked.status.success()).map(|asked| asked.stdout).unwrap_or_default();
    listed_files(&String::from_utf8_lossy(&text))
}

/// A line for each: `PATH (ignore_errors=yes)`.
fn listed_files(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| PathBuf::from(line.rsplit_once(" (ignore_errors=").map_or(line, |(path, _)| path));
    text.lines().filter(|line| !line.is_empty()).map(path).collect()
}

fn unit(cgroup: &str) -> Option<String> {
    // Version 2 has one line, "0::/system.slice/name.service".
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_variables_are_read_from_what_systemd_shows() {
        let text = "/etc/a b/environment (ignore_errors=yes)\n/etc/c (ignore_errors=no)\n\n";
        assert_eq!(listed_files(text), [PathBuf::from("/etc/a b/environment"), PathBuf::from("/etc/c")]);
    }

    #[test]
    fn messages_reach_sockets_with_and_without_a_path() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let name = format!("gateway-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        for (socket, listener) in [
            (path.display().to_string(), UnixDatagram::bind(&path).expect("bound")),
            (format!("@{name}"), UnixDatagram::bind_addr(&abstract_address).expect("bound")),
        ] {
            send(OsStr::new(&socket), "READY=1").expect("sent");
            let mut buffer = [0; 32];
            let length = listener.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..length], b"READY=1");
        }
        assert!(send(OsStr::new("/nowhere/notify"), "READY=1").is_err());
    }

    #[test]
    fn the_unit_is_the_innermost_service() {
        let unit = |path: &str| unit(&format!("1:name=systemd:/\n0::{path}\n"));
        assert_eq!(unit("/system.slice/gw.service").as_deref(), Some("gw.service"));
        assert_eq!(unit("/system.slice/gw.service/.control").as_deref(), Some("gw.service"));
        assert_eq!(unit("/user.slice/user-0.slice/session-1.scope"), None);
    }
}
