//! Lines with descriptors attached (`SCM_RIGHTS`), and who is at the other end of a control socket.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::geteuid;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Most descriptors of one line.
const MOST: usize = 16;
/// Longest line: a list of all client tokens.
const LINE_BYTES: usize = 32 * 1024 * 1024;

/// Whether this user may tell this process what to do, or be told something by it: who the process runs as, and root.
pub(super) fn is_trusted(uid: u32) -> bool {
    uid == geteuid().as_raw() || uid == 0
}

/// The user at the other end.
///
/// # Errors
/// When the kernel does not say.
pub(super) fn peer_of(stream: impl AsFd) -> io::Result<u32> {
    Ok(user_and_group_of(stream)?.0)
}

/// The user and the group at the other end, as the kernel knows them.
///
/// # Errors
/// When it does not say.
pub(super) fn user_and_group_of(stream: impl AsFd) -> io::Result<(u32, u32)> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok((peer.uid.as_raw(), peer.gid.as_raw()))
}

/// The process at the other end, as this one's machine or container numbers it.
///
/// # Errors
/// When the kernel does not say.
pub(super) fn process_of(stream: impl AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.pid.as_raw_nonzero().get().cast_unsigned())
}

/// Sends the beginning of `line`, and all of `descriptors` with it. Returns how much of the line was sent.
///
/// # Errors
/// When the other end is gone, or its buffer is full.
pub(super) fn send(stream: impl AsFd, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !attached.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other(format!("more than {MOST} descriptors")));
    }
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(line)], &mut attached, SendFlags::NOSIGNAL)?)
}

/// Waits for a line, until `time` is over. Returns it with the descriptors that came with it.
///
/// # Errors
/// When there is none in time, the other end is gone, or the line is too long.
pub(super) fn receive(stream: &UnixStream, time: Duration) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let deadline = Instant::now() + time;
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would be none.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut piece = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut attached = RecvAncillaryBuffer::new(&mut space);
        let buffers = &mut [IoSliceMut::new(&mut piece)];
        let read = match rustix::net::recvmsg(stream, buffers, &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            read => read?.bytes,
        };
        for message in attached.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        line.extend_from_slice(&piece[..read]);
        if line.ends_with(b"\n") {
            return Ok((line, descriptors));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.len() > LINE_BYTES || descriptors.len() > MOST {
            return Err(io::Error::other("the message is too long"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn descriptors_come_with_their_line() {
        let (one, two) = UnixStream::pair().expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let line = format!("{}\n", "x".repeat(10_000));
        let sent = send(&one, line.as_bytes(), &[listener.as_fd(), listener.as_fd()]).expect("sent");
        (&one).write_all(&line.as_bytes()[sent..]).expect("sent");
        let (got, descriptors) = receive(&two, Duration::from_secs(5)).expect("received");
        assert_eq!((got.len(), descriptors.len()), (10_001, 2));
        let same = descriptors.into_iter().map(TcpListener::from).next().expect("a listener");
        assert_eq!(same.local_addr().expect("bound"), listener.local_addr().expect("bound"));
    }

    #[test]
    fn who_says_nothing_or_goes_away_is_not_waited_for() {
        let (one, mut two) = UnixStream::pair().expect("a pair");
        let error = receive(&one, Duration::from_millis(20)).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        two.write_all(b"half a li").expect("sent");
        let error = receive(&one, Duration::from_millis(20)).expect_err("no line");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(two);
        let error = receive(&one, Duration::from_secs(5)).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_line_has_an_end() {
        let (one, mut two) = UnixStream::pair().expect("a pair");
        let writing = std::thread::spawn(move || {
            let endless = vec![b'x'; 2 * LINE_BYTES];
            let _ = two.write_all(&endless);
            let _ = two.read(&mut [0]);
        });
        let error = receive(&one, Duration::from_secs(10)).expect_err("too long");
        assert!(error.to_string().contains("too long"), "{error}");
        drop(one);
        writing.join().expect("ended");
    }

    #[test]
    fn only_the_own_user_and_root_are_trusted() {
        let (one, _two) = UnixStream::pair().expect("a pair");
        assert_eq!(peer_of(&one).expect("known"), geteuid().as_raw());
        assert_eq!(process_of(&one).expect("known"), std::process::id());
        assert!(is_trusted(geteuid().as_raw()) && is_trusted(0) && !is_trusted(geteuid().as_raw() + 1));
    }
}
