//! Files that a configuration is read from: as a whole, within bounds, and never from a device.

use super::bounds::TEXT_BYTES;
use super::message::Message;
use super::place::place_in;
use pingora::tls::RootCertStore;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// What editors of Windows put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How long a pipe may have nobody who writes to it.
const NO_WRITER: Duration = Duration::from_secs(5);
/// How long who writes to it may take for more: it may be a command that asks for secrets first.
const SILENT_WRITER: Duration = Duration::from_secs(60);

/// The text of a file or a pipe (`<(command)`).
///
/// # Errors
/// When it cannot be read, is something else, or has more than [`TEXT_BYTES`].
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    read_up_to(path.as_ref(), TEXT_BYTES)
}

/// What to type if the file is only another user's: in a container everybody is one.
pub(crate) fn refused(path: &str, error: &io::Error) -> Option<Message> {
    let user = u64::from(geteuid().as_raw());
    (error.kind() == io::ErrorKind::PermissionDenied).then(|| Message::NotForThisUser { user, path: path.to_owned() })
}

/// As [`read`], of a file that may have so many bytes.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_up_to(path: &Path, most: usize) -> io::Result<String> {
    let text = String::from_utf8(read_bytes(path, most)?);
    text.map_err(|error| {
        let is_utf16 = matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        let good = error.utf8_error().valid_up_to();
        let before = str::from_utf8(&error.as_bytes()[..good]).unwrap_or_default();
        let (line, column) = place_in(before, good);
        io::Error::new(io::ErrorKind::InvalidData, NotUtf8 { is_utf16, line, column })
    })
}

/// A text that is not UTF-8, and where that shows.
#[derive(Debug)]
struct NotUtf8 {
    is_utf16: bool,
    line: usize,
    column: usize,
}

impl std::error::Error for NotUtf8 {}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_utf16 { "it is UTF-16: save it as UTF-8" } else { "it is not valid UTF-8" })
    }
}

fn not_utf8(error: &io::Error) -> Option<&NotUtf8> {
    error.get_ref()?.downcast_ref()
}

/// Line and column of what [`read`] could not read, if it is about one place.
pub(crate) fn place_of(error: &io::Error) -> Option<(usize, usize)> {
    not_utf8(error).map(|error| (error.line, error.column))
}

/// That the file has another encoding, if [`read`] could not read it for that.
pub(crate) fn encoding(error: &io::Error) -> Option<Message> {
    not_utf8(error).map(|error| if error.is_utf16 { Message::Utf16 } else { Message::NotUtf8 })
}

/// The bytes of a file or a pipe, without a byte order mark: no more than `most`.
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
    // Without waiting for one who writes to it, if it is a pipe.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    check(&metadata, most)?;
    let mut bytes = Vec::new();
    match metadata.file_type().is_fifo() {
        true => read_pipe(&file, most, &mut bytes)?,
        false => drop(file.take(most as u64 + 1).read_to_end(&mut bytes)?),
    }
    if bytes.len() > most {
        return Err(too_long("more than the limit", most));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// Reads a pipe, which was opened without waiting, to its end, or beyond `most`. Whoever writes to it may still have to
/// begin.
fn read_pipe(mut pipe: &File, most: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let (mut piece, mut has_writer, mut is_over) = ([0; 4096], false, false);
    let mut last = Instant::now();
    loop {
        match pipe.read(&mut piece) {
            Ok(0) if is_over && bytes.is_empty() => {
                return Err(io::Error::other("the pipe is empty: what comes through a pipe can be read only once"));
            }
            Ok(0) if is_over || has_writer => return Ok(()),
            // Nobody has opened it yet.
            Ok(0) => {}
            Ok(read) => {
                bytes.extend_from_slice(&piece[..read]);
                if bytes.len() > most {
                    return Ok(());
                }
                (has_writer, last) = (true, Instant::now());
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => has_writer = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let patience = if has_writer { SILENT_WRITER } else { NO_WRITER };
        let Some(left) = patience.checked_sub(last.elapsed()) else {
            let what = if has_writer { "its writer wrote nothing" } else { "nobody writes to this pipe: nothing came" };
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{what} for {} s", patience.as_secs())));
        };
        let mut awaited = [PollFd::new(pipe, PollFlags::IN)];
        let until = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut awaited, Some(&until)) {
            Ok(_) | Err(Errno::INTR) => is_over |= awaited[0].revents().contains(PollFlags::HUP),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The text of a regular file; `None` for everything else, a pipe too, which may have been read before.
pub(crate) fn read_again(path: &Path) -> Option<String> {
    read_again_up_to(path, TEXT_BYTES)
}

/// As [`read_again`], of a file that may have so many bytes.
pub(crate) fn read_again_up_to(path: &Path, most: usize) -> Option<String> {
    path.metadata().ok().filter(Metadata::is_file)?;
    read_up_to(path, most).ok()
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

/// The certificates of a PEM file, checked to be usable as authorities.
///
/// # Errors
/// When there is none, or one that is no authority.
pub(crate) fn authorities(path: &str) -> Result<Vec<CertificateDer<'static>>, Message> {
    let certificates = certificates(path)?;
    if certificates.is_empty() {
        return Err(Message::NoCertificate { path: path.to_owned() });
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        let added = store.add(certificate.clone());
        added.map_err(|error| Message::NoAuthority { path: path.to_owned(), said: error.to_string() })?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_read_a_file_is_told_what_to_type() {
        let told = |kind: io::ErrorKind| refused("env/.env", &kind.into()).map(|message| message.to_string());
        let user = geteuid().as_raw();
        let what = format!(
            "cannot be read by user {user}, who runs this: type `chown {user} env/.env`, or let others read it"
        );
        assert_eq!(told(io::ErrorKind::PermissionDenied), Some(what));
        assert_eq!(told(io::ErrorKind::IsADirectory), None);
    }

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
    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "\u{feff}a\u{feff}").expect("written");
        assert_eq!(read(&file).expect("read"), "a\u{feff}");
        std::fs::write(&file, b"\xff\xfea\0").expect("written");
        assert_eq!(read(&file).expect_err("no UTF-8").to_string(), "it is UTF-16: save it as UTF-8");
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_only_once() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let text = "x".repeat(100_000);
        let written = std::thread::spawn({
            let text = text.clone();
            move || std::io::Write::write_all(&mut writer, text.as_bytes())
        });
        assert_eq!(read(&path).expect("read"), text);
        written.join().expect("ended").expect("written");
        let error = read(&path).expect_err("nothing is left").to_string();
        assert!(error.contains("can be read only once"), "{error}");
    }
}
