//! Who has an address that a gateway would listen at.

use gateway_core::both;
use gateway_core::language::Words;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Whether another program listens there.
pub(crate) fn is_taken(address: SocketAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bound = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).and_then(|socket| {
        // Without listening: two that look at the same time are not in each other's way.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)
    });
    bound == Err(Errno::ADDRINUSE)
}

/// Who that is, as far as this user may know.
pub(crate) fn holder(address: SocketAddr) -> Words {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let is_it = |row: &Row| {
        let is_any = row.address.ip().is_unspecified() || address.ip().is_unspecified();
        row.address.port() == address.port() && (is_any || row.address.ip() == address.ip())
    };
    let found = tables.iter().flat_map(|table| table.lines().filter_map(row)).find(is_it);
    let Some(Row { user, inode, .. }) = found else { return both!("another program", "其他程序") };
    match process_with(inode) {
        Some((pid, name)) => both!("{name} (process {pid})", "{name}（进程 {pid}）"),
        None if user == 0 => both!("a program of root's", "root 的程序"),
        None => both!("a program of the user {user}", "用户 {user} 的程序"),
    }
}

/// What to type to see it.
pub(crate) fn how_to_see(address: SocketAddr) -> String {
    format!("sudo ss -ltnp 'sport = :{}'", address.port())
}

/// A socket that listens.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// A line of the kernel's table; `None` for one that does not listen.
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (&local, &state, &user, &inode) = (fields.get(1)?, fields.get(3)?, fields.get(7)?, fields.get(9)?);
    if state != "0A" {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    // Words of 32 bits, each as this machine has them in memory.
    let words = ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match *bytes.as_slice() {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
    };
    let address = SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?);
    Some(Row { address, user: user.parse().ok()?, inode: inode.parse().ok()? })
}

/// The process that has this socket, if it is this user's, or this user is root.
fn process_with(inode: u64) -> Option<(u32, String)> {
    let socket = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| link == Path::new(&socket))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    });
    let (pid, path) = processes.into_iter().find(|(_, path)| has_it(path))?;
    let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
    // Whoever named it so meant no terminal to obey.
    let name: String = name.trim().chars().filter(|character| !character.is_control()).collect();
    Some((pid, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::language::Language;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found_by_the_kernels_table() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        assert!(is_taken(address) && is_taken(SocketAddr::from(([0, 0, 0, 0], address.port()))));
        let told = holder(address).text(Language::English).to_owned();
        assert!(told.ends_with(&format!(" (process {})", std::process::id())), "{told}");
        drop(listener);
        assert!(!is_taken(address));
        assert_eq!(holder(address), both!("another program", "其他程序"));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_both_families_are_read() {
        let rest = "00000000:00000000 00:00000000 00000000  1000        0 77 1";
        let six =
            format!("   0: 00000000000000000000000001000000:1F98 00000000000000000000000000000000:0000 0A {rest}");
        for (line, wanted) in [
            (format!("   0: 0100007F:1F98 00000000:0000 0A {rest}"), Some("127.0.0.1:8088")),
            (six, Some("[::1]:8088")),
            (format!("   0: 0100007F:1F98 00000000:0000 01 {rest}"), None),
            ("  sl  local_address rem_address   st tx_queue".to_owned(), None),
        ] {
            let wanted = wanted.map(|address| Row { address: address.parse().expect("one"), user: 1000, inode: 77 });
            assert_eq!(row(&line), wanted, "{line}");
        }
    }
}
