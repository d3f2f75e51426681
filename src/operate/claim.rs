//! A new process takes over from the one that serves: it waits at the control socket, gets the listening sockets, says
//! when it serves, and is told that the service is its own now. Until then the old process serves too.

use super::RuntimeDir;
use super::ask;
use super::control::{Answer, Question};
use super::descriptors;
use gateway_core::both;
use gateway_core::language::{Language, Spelled, Words};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Time for the old process to note that there is a successor, and to leave the service to it.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Longest wait for the word that the sockets are handed over: SIGQUIT comes from a person.
const SOCKETS_TIME: Duration = Duration::from_secs(600);

/// What a new process has of the old one's service.
#[derive(Debug)]
pub(crate) struct Claim {
    stream: UnixStream,
}

impl Claim {
    /// Waits at the control socket of the process that serves.
    ///
    /// # Errors
    /// When there is none, or it wants no successor.
    pub(crate) fn announce(folder: &RuntimeDir) -> Result<Self, Words> {
        // In the language of this process.
        let stream = ask::connect(folder).map_err(Words::said)?;
        let claim = Self { stream };
        let failed = |error: io::Error| {
            both!("the process that serves cannot be succeeded: {error}", "无法接替正在服务的进程：{error}")
        };
        ask::write(&claim.stream, &Question::Succeed).map_err(failed)?;
        match claim.read(ANSWER_TIME)?.0 {
            Answer::Waiting => Ok(claim),
            Answer::Refused(why) if why.iter().any(|why| why.to_string().contains("unknown variant")) => Err(both!(
                "the process that serves is of a version whose sockets cannot be taken over: stop it, and start this \
                     program, once",
                "正在服务的进程版本太旧，无法移交监听套接字：请这一次先停止它，再启动本程序"
            )),
            Answer::Refused(why) => {
                let why = Words::joined(&why, "; ");
                Err(Words::new(
                    format_args!("the process that serves refused: {why}"),
                    format_args!("正在服务的进程拒绝了：{}", why.text(Language::Chinese)),
                ))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for the listening sockets.
    ///
    /// # Errors
    /// When they do not come.
    pub(crate) fn sockets(&self) -> Result<Vec<TcpListener>, Words> {
        match self.read(SOCKETS_TIME)? {
            (Answer::Sockets, descriptors) => Ok(descriptors.into_iter().map(TcpListener::from).collect()),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Says that this process serves, and waits until the old one leaves the service to it.
    ///
    /// # Errors
    /// When the old one does not: it serves as before.
    pub(crate) fn serving(&self) -> Result<(), Words> {
        let failed =
            |error: io::Error| both!("the process that serves went away: {error}", "原来提供服务的进程已不在：{error}");
        (&self.stream).write_all(SERVING).map_err(failed)?;
        match self.read(ANSWER_TIME)?.0 {
            Answer::Yours => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Another handle of the same.
    ///
    /// # Errors
    /// When no descriptor is free.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }

    fn read(&self, time: Duration) -> Result<(Answer, Vec<std::os::fd::OwnedFd>), Words> {
        let (line, attached) = descriptors::receive(&self.stream, time).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                both!("the process that serves broke the hand-over off", "正在服务的进程中断了移交")
            }
            io::ErrorKind::TimedOut => {
                both!(
                    "the process that serves said nothing for {time}",
                    "正在服务的进程在 {time:#}内没有回应",
                    time = Spelled(time)
                )
            }
            _ => both!("the process that serves cannot be heard: {error}", "收不到正在服务的进程的回应：{error}"),
        })?;
        let answer = serde_json::from_slice(&line);
        let answer = answer.map_err(|error| {
            both!("the process that serves cannot be understood: {error}", "无法读取正在服务的进程的回应：{error}")
        });
        Ok((answer?, attached))
    }
}

/// What a successor says once it serves.
pub(super) const SERVING: &[u8] = b"serving\n";

fn unexpected(answer: &Answer) -> Words {
    both!(
        "the process that serves said something that means nothing here: {answer:?}",
        "无法理解正在服务的进程的回应：{answer:?}"
    )
}
