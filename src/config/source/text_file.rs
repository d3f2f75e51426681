//! Files that a configuration is read from: as a whole, within bounds, and never from a device.

use super::bounds::TEXT_BYTES;
use super::message::Message;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// The text of a file or a pipe (`<(command)`).
///
/// # Errors
/// When it cannot be read, is something else, or has more than [`TEXT_BYTES`].
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let text = String::from_utf8(read_bytes(path.as_ref(), TEXT_BYTES)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// The bytes of a file or a pipe: no more than `most`.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_bytes(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // Names no file at all, wherever one is asked for.
    if path == Path::new("/dev/null") {
        return Ok(Vec::new());
    }
    // To open a device may do something already; afterwards it may be another one.
    check(&path.metadata()?, most)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    check(&metadata, most)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(too_long("more than the limit", most));
    }
    if bytes.is_empty() && metadata.file_type().is_fifo() {
        return Err(io::Error::other("the pipe is empty: what comes through a pipe can be read only once"));
    }
    Ok(bytes)
}

/// The text of a regular file; `None` for everything else, a pipe too, which may have been read before.
pub(crate) fn read_again(path: &Path) -> Option<String> {
    path.metadata().ok().filter(Metadata::is_file)?;
    read(path).ok()
}

/// The certificates of a PEM file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Message> {
    let certificates = CertificateDer::pem_slice_iter(&pem(path)?).collect::<Result<_, _>>();
    certificates.map_err(|error: rustls_pki_types::pem::Error| Message::NotPem {
        path: path.to_owned(),
        said: error.to_string(),
    })
}

/// What stands in a PEM file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn pem(path: &str) -> Result<Vec<u8>, Message> {
    read_bytes(path.as_ref(), TEXT_BYTES)
        .map_err(|error| Message::FileUnreadable { path: path.to_owned(), said: error.to_string() })
}

fn check(metadata: &Metadata, most: usize) -> io::Result<()> {
    let kind = metadata.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(io::Error::other(format!("it is {}; a file or a pipe is expected", named(kind))));
    }
    match usize::try_from(metadata.len()) {
        Ok(length) if length <= most => Ok(()),
        _ => Err(too_long(&format!("{} bytes", metadata.len()), most)),
    }
}

fn named(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

fn too_long(found: &str, most: usize) -> io::Error {
    io::Error::other(format!("it has {found}, {most} bytes are the most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_pipes_of_a_bounded_length_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "text").expect("written");
        assert_eq!((read(&file).expect("read"), read("/dev/null").expect("read")), ("text".to_owned(), String::new()));
        let (long, socket) = (folder.path().join("long"), folder.path().join("socket"));
        std::fs::write(&long, "x".repeat(TEXT_BYTES + 1)).expect("written");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        for (path, wanted) in [
            (Path::new("/dev/zero"), "it is a device; a file or a pipe is expected"),
            (folder.path(), "it is a folder"),
            (&socket, "it is a socket"),
            (&long, "it has 1048577 bytes, 1048576 bytes are the most"),
        ] {
            let error = read(path).expect_err("refused").to_string();
            assert!(error.contains(wanted), "{error}");
        }
        assert_eq!((read_again(&file).as_deref(), read_again(Path::new("/dev/zero"))), (Some("text"), None));
    }
}
