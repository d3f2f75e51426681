//! The other end of the control socket, for the command line.

use super::RuntimeDir;
use super::control::{self, Answer, Question, Status};
use super::descriptors;
use super::runtime_dir::elsewhere;
use crate::language::say;
use rustix::process::geteuid;
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Longest time for an answer: a reload may wait for a slow disk.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The same for one that nothing stands in the way of.
const STATUS_TIME: Duration = Duration::from_secs(5);

/// Asks the process that serves.
///
/// # Errors
/// When there is none, or it does not answer.
pub(crate) fn ask(folder: &RuntimeDir, question: Question) -> Result<Answer, String> {
    Ok(ask_with_descriptors(folder, question)?.answer)
}

/// Asks the process that serves; descriptors may come with the answer.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_with_descriptors(folder: &RuntimeDir, question: Question) -> Result<Answered, String> {
    let stream = connect(folder)?;
    let time = if question == Question::Status { STATUS_TIME } else { ANSWER_TIME };
    let asked = write(&stream, &question).and_then(|()| descriptors::receive(&stream, time));
    let (line, attached) =
        asked.map_err(|error| say!("the gateway did not answer: {error}", "网关没有回答：{error}"))?;
    let answer = serde_json::from_slice(&line);
    let mut answer =
        answer.map_err(|error| say!("the gateway's answer cannot be read: {error}", "无法读取网关的回答：{error}"))?;
    // It is printed, perhaps by root, and the other end may be any program of the gateway's user.
    match &mut answer {
        Answer::Refused(texts) | Answer::Reloaded { warnings: texts, .. } => {
            texts.iter_mut().for_each(|text| *text = text.map(printable));
        }
        Answer::Recost { text, .. } => *text = text.map(printable),
        _ => {}
    }
    let peer = descriptors::user_and_group_of(&stream);
    let peer = peer.map_err(|error| {
        say!("nobody knows who answers for the gateway: {error}", "无法得知回答的进程属于谁：{error}")
    })?;
    Ok(Answered { answer, attached, peer })
}

/// An answer, and what came with it.
pub(crate) struct Answered {
    /// What was said.
    pub answer: Answer,
    /// Descriptors.
    pub attached: Vec<OwnedFd>,
    /// User and group of who said it, as the kernel knows them.
    pub peer: (u32, u32),
}

/// A text without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Whether a process takes commands there.
///
/// # Errors
/// When that cannot be found out.
pub(crate) fn is_anybody_there(folder: &RuntimeDir) -> Result<bool, String> {
    match UnixStream::connect(folder.control_socket()) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(false),
        // Whoever it is, asking says more.
        _ => connect(folder).map(|_| true),
    }
}

/// Connects to the process that serves, if its user is one to be listened to: the own one, root, and for root the owner
/// of the runtime folder.
///
/// # Errors
/// When it cannot be reached, or belongs to somebody else.
pub(crate) fn connect(folder: &RuntimeDir) -> Result<UnixStream, String> {
    let path = folder.control_socket();
    let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            say!(
                "the gateway cannot be reached at {path}: {error}; its own user and root can",
                "无法通过 {path} 联系网关：{error}；只有网关的用户和 root 可以",
                path = path.display()
            )
        }
        _ => say!(
            "no gateway runs here ({error}): {elsewhere}",
            "这里没有正在运行的网关（{error}）：{elsewhere}",
            elsewhere = elsewhere(folder.path())
        ),
    })?;
    let failed = |error: std::io::Error| {
        say!("{path} cannot be used: {error}", "无法使用 {path}：{error}", path = path.display())
    };
    let user = descriptors::peer_of(&stream).map_err(failed)?;
    let is_owner = || folder.path().metadata().is_ok_and(|folder| folder.uid() == user);
    match descriptors::is_trusted(user) || geteuid().is_root() && is_owner() {
        true => Ok(stream),
        false => Err(say!(
            "user {user} answers at {path}, who is neither this user nor root",
            "在 {path} 回答的是用户 {user}，既不是当前用户，也不是 root",
            path = path.display()
        )),
    }
}

/// Asks a question.
///
/// # Errors
/// When the other end is gone.
pub(crate) fn write(mut stream: &UnixStream, question: &Question) -> std::io::Result<()> {
    stream.set_write_timeout(Some(STATUS_TIME))?;
    stream.write_all(&control::line(question)?)
}

/// Who serves.
///
/// # Errors
/// As [`ask`].
pub(crate) fn status(folder: &RuntimeDir) -> Result<Status, String> {
    match ask(folder, Question::Status)? {
        Answer::Status(status) => Ok(status),
        other => Err(say!(
            "the gateway gave another answer than its status: {other:?}",
            "网关的回答与它的状态无关：{other:?}"
        )),
    }
}
