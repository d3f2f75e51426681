//! Whether a new process waits for the listening sockets.
//!
//! To connect to its socket would tell, but also use up the one connection that it waits for: the kernel's list of
//! sockets is asked instead.

use std::path::Path;

/// Set for sockets that take connections (`SO_ACCEPTCON`).
const ACCEPTS: u32 = 0x10000;

/// Whether some process takes connections at this socket. A file that was left over is no such process.
pub fn is_waiting(socket: &Path) -> bool {
    std::fs::read_to_string("/proc/self/net/unix").is_ok_and(|list| is_listed(&list, &socket.display().to_string()))
}

/// Lines: address, references, protocol, flags, type, state, inode, and perhaps a path.
fn is_listed(list: &str, path: &str) -> bool {
    list.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        let flags = words.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        // The path is the last word; it may have blanks in it.
        let is_it = line.strip_suffix(path).is_some_and(|before| before.ends_with(' '));
        is_it && flags.is_some_and(|flags| flags & ACCEPTS != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn only_a_socket_that_takes_connections_counts() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a b.sock");
        assert!(!is_waiting(&path));
        let listener = UnixListener::bind(&path).expect("bound");
        assert!(is_waiting(&path) && !is_waiting(&dir.path().join("b.sock")));
        let _client = UnixStream::connect(&path).expect("connected");
        drop(listener);
        assert!(path.exists() && !is_waiting(&path), "a file that was left over");
    }
}
