//! New processes that wait for the listening sockets, as the process that serves sees them: connections at its control
//! socket. One gets the sockets; whatever it does with them then, this process serves until it has said that it does.

use super::claim::SERVING;
use super::control::{self, Answer};
use super::descriptors;
use gateway_core::both;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// Time for a successor to serve once it has the sockets.
const SERVING_TIME: Duration = Duration::from_secs(12);
/// Most that wait.
const MOST: usize = 4;

/// A new process that waits.
#[derive(Debug)]
pub(super) struct Successor {
    stream: UnixStream,
    pid: u32,
}

impl Successor {
    /// The process at the other end of this connection.
    pub(super) fn new(stream: UnixStream, pid: u32) -> Self {
        Self { stream, pid }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still waits: it has not gone, nor said anything out of its turn.
    fn is_waiting(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives it the sockets, and waits until it says that it serves.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn take_over(mut self, sockets: Vec<TcpListener>) -> Result<Self, String> {
        let (pid, time) = (self.pid, humantime::format_duration(SERVING_TIME));
        match tokio::time::timeout(SERVING_TIME, self.converse(&sockets)).await {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(format!("process {pid} got the sockets, and does not serve: {error}")),
            Err(_) => Err(format!("process {pid} got the sockets, and did not say within {time} that it serves")),
        }
    }

    async fn converse(&mut self, sockets: &[TcpListener]) -> io::Result<()> {
        let handles: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        control::write(&mut self.stream, &Answer::Sockets, &handles).await?;
        let mut said = vec![0; SERVING.len()];
        self.stream.read_exact(&mut said).await?;
        match said == SERVING {
            true => Ok(()),
            false => Err(io::Error::other("it says something else")),
        }
    }

    /// Leaves the service to it.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn confirm(&self) -> io::Result<()> {
        if !self.is_waiting() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        say(&self.stream, &Answer::Yours)
    }
}

/// Those that wait, the newest last.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<Successor>);

impl Waiting {
    /// Another one waits, and is told that it does.
    pub(super) fn add(&mut self, successor: Successor) {
        self.0.retain(Successor::is_waiting);
        let answer = match self.0.len() < MOST {
            true => Answer::Waiting,
            false => Answer::Refused(vec![both!(
                "{MOST} processes wait for the sockets already",
                "已有 {MOST} 个进程在等待监听套接字"
            )]),
        };
        if say(&successor.stream, &answer).is_ok() && answer == Answer::Waiting {
            self.0.push(successor);
        }
    }

    /// Takes one out: the one with this process id, or the newest.
    pub(super) fn take(&mut self, pid: Option<u32>) -> Option<Successor> {
        self.0.retain(Successor::is_waiting);
        let at = self.0.iter().rposition(|successor| pid.is_none_or(|pid| successor.pid == pid))?;
        Some(self.0.remove(at))
    }
}

/// Says one line, for which there is always room: nothing else was said before that is not read yet.
fn say(stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let line = control::line(answer)?;
    let sent = descriptors::send(stream, &line, &[])?;
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};

    fn successor(pid: u32) -> (Successor, std::os::unix::net::UnixStream) {
        let (one, two) = std::os::unix::net::UnixStream::pair().expect("a pair");
        one.set_nonblocking(true).expect("set");
        (Successor::new(UnixStream::from_std(one).expect("a stream"), pid), two)
    }

    /// The reactor notices what happened to a stream.
    async fn settle() {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn only_those_that_wait_are_taken() {
        let mut waiting = Waiting::default();
        let (one, gone) = successor(1);
        let (two, mut talks) = successor(2);
        let (three, _waits) = successor(3);
        for successor in [one, two, three] {
            waiting.add(successor);
        }
        assert!(waiting.take(Some(9)).is_none());
        drop(gone);
        talks.write_all(b"hello").expect("sent");
        settle().await;
        assert!(waiting.take(Some(1)).is_none() && waiting.take(Some(2)).is_none());
        assert_eq!(waiting.take(None).map(|successor| successor.pid), Some(3));
        assert!(waiting.take(None).is_none());
    }

    #[tokio::test]
    async fn there_is_an_end_to_those_that_wait() {
        let mut waiting = Waiting::default();
        let mut others = Vec::new();
        for pid in 0..=4 {
            let (successor, other) = successor(pid);
            waiting.add(successor);
            others.push(other);
        }
        let mut line = String::new();
        BufReader::new(others.pop().expect("the fifth")).read_line(&mut line).expect("an answer");
        assert!(line.contains("refused"), "{line}");
        assert_eq!(waiting.take(None).map(|successor| successor.pid), Some(3));
    }

    #[tokio::test]
    async fn one_that_lies_or_dies_gets_nothing() {
        let (one, mut lies) = successor(1);
        lies.write_all(b"nonsense").expect("sent");
        let error = one.take_over(Vec::new()).await.expect_err("it does not serve");
        assert!(error.contains("process 1") && error.contains("something else"), "{error}");
        let (two, dies) = successor(2);
        drop(dies);
        assert!(two.take_over(Vec::new()).await.is_err());
        let (three, mut serves) = successor(3);
        serves.write_all(SERVING).expect("sent");
        let three = three.take_over(Vec::new()).await.expect("it serves");
        three.confirm().expect("it is there");
        drop(serves);
        settle().await;
        assert!(three.confirm().is_err(), "it has died in the meantime");
    }
}
