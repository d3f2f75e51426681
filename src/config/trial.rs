//! What only a restart uses, tried beforehand as far as it can be: addresses and files.

use super::section::log_store::LogStore;
use super::section::startup::Startup;
use super::source::message::Message;
use super::source::problem::{Problem, Source};
use super::source::settings_reader::Effective;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// The addresses at which a gateway listens.
pub(crate) fn addresses(startup: &Startup) -> Vec<(&'static str, SocketAddr)> {
    let tls = startup.tls.as_ref().map(|tls| ("gateway.tls.listen", tls.listen));
    [("gateway.listen", startup.listen), ("gateway.admin_listen", startup.admin_listen)]
        .into_iter()
        .chain(tls)
        .collect()
}

/// Whether one of two addresses cannot be bound as long as the other is: all addresses of a port are in the way of each one.
pub(crate) fn is_in_the_way(one: SocketAddr, other: SocketAddr) -> bool {
    one != other && one.port() == other.port() && (one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// What the next start would fail at, of the settings that `is_asked` names. `own` are the addresses at which this process
/// listens; without one, it is not known who has an address that is in use.
pub(super) fn problems(
    startup: &Startup,
    effective: &[Effective],
    own: &[SocketAddr],
    is_asked: &dyn Fn(&str) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, what: Message| {
        let at =
            effective.iter().find(|setting| setting.key == key).map_or(Source::Default, |known| known.source.clone());
        problems.push(Problem { at, key: key.to_owned(), what });
    };
    let all = addresses(startup);
    for (at, &(key, address)) in all.iter().enumerate() {
        let is_same = |other: &SocketAddr| {
            let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
            other.port() == address.port() && (other.ip() == address.ip() || is_any)
        };
        if let Some((other, _)) = all[..at].iter().find(|(_, other)| is_same(other))
            && (is_asked(key) || is_asked(other))
        {
            wrong(key, Message::AddressTaken { address: address.to_string(), other: (*other).to_owned() });
        }
    }
    let new = all.into_iter().filter(|(key, address)| is_asked(key) && !own.contains(address));
    for (key, address) in new {
        let is_own_port = own.iter().any(|own| own.port() == address.port());
        match TcpListener::bind(address).map_err(|error| (error.kind(), error)) {
            Ok(_) => {}
            Err((ErrorKind::AddrInUse, _)) if own.is_empty() || is_own_port => {}
            Err((ErrorKind::AddrInUse, _)) => wrong(key, Message::AddressInUse { address: address.to_string() }),
            Err((_, error)) => {
                wrong(key, Message::CannotListen { address: address.to_string(), said: error.to_string() });
            }
        }
    }
    let files = [
        ("gateway.database", startup.log.store.as_ref().and_then(LogStore::file)),
        ("gateway.log.file", startup.log_file.as_deref()),
    ];
    for (key, path) in files.into_iter().filter(|(key, _)| is_asked(key)) {
        if let Some(Err(what)) = path.map(writable) {
            wrong(key, what);
        }
    }
    let folders = [("gateway.state_dir", &startup.state_dir), ("gateway.runtime_dir", &startup.runtime_dir)];
    for (key, folder) in folders.into_iter().filter(|(key, _)| is_asked(key)) {
        if let Err(what) = writable_folder(folder) {
            wrong(key, what);
        }
    }
    problems
}

/// Whether a file can be written, without making it.
fn writable(path: &Path) -> Result<(), Message> {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            writable_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        }
        Err(error) => Err(Message::CannotBeWritten { path: path.display().to_string(), said: error.to_string() }),
    }
}

/// Whether a folder is there, or can be made in one that is.
fn writable_folder(folder: &Path) -> Result<(), Message> {
    let path = folder.display().to_string();
    let folders = folder.ancestors().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    for ancestor in folders {
        match ancestor.metadata() {
            Ok(metadata) if !metadata.is_dir() => return Err(Message::FolderIsFile { path }),
            Ok(metadata) if metadata.permissions().readonly() => return Err(Message::FolderReadOnly { path }),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Message::FolderUnknown { path, said: error.to_string() }),
        }
    }
    Err(Message::FolderCannotBeMade { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_port_are_in_the_way_of_each_one() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let clash = |one: &str, other: &str| is_in_the_way(address(one), address(other));
        assert!(clash("0.0.0.0:8088", "127.0.0.1:8088") && clash("127.0.0.1:8088", "0.0.0.0:8088"));
        assert!(clash("[::]:8088", "127.0.0.1:8088"));
        for new in ["0.0.0.0:8089", "127.0.0.2:8088", "127.0.0.1:8088"] {
            assert!(!clash(new, "127.0.0.1:8088"), "{new}");
        }
    }

    #[test]
    fn files_and_folders_are_tried_without_making_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let new = folder.path().join("a/b/log.db");
        assert_eq!(writable(&new), Ok(()));
        assert!(!folder.path().join("a").exists());
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert_eq!(writable(&file), Ok(()));
        assert!(writable(&file.join("log.db")).is_err() && writable(folder.path()).is_err());
    }
}
