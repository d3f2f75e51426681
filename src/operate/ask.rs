//! The other end of the control socket, for the command line.

use super::RuntimeDir;
use super::control::{Answer, Question, Status};
use std::io::{BufRead as _, BufReader, Write as _};
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
pub fn ask(folder: &RuntimeDir, question: Question) -> Result<Answer, String> {
    let path = folder.control_socket();
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        format!(
            "no gateway can be reached at {}: {error}; is it running, with the same configuration file \
             (gateway.runtime_dir), and may this user connect to it?",
            path.display()
        )
    })?;
    let asked = || -> std::io::Result<String> {
        let time = if question == Question::Status { STATUS_TIME } else { ANSWER_TIME };
        stream.set_read_timeout(Some(time))?;
        stream.set_write_timeout(Some(time))?;
        let mut line = serde_json::to_vec(&question)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    let line = asked().map_err(|error| format!("the gateway did not answer: {error}"))?;
    serde_json::from_str(&line).map_err(|error| format!("the gateway's answer cannot be read: {error}"))
}

/// Who serves.
///
/// # Errors
/// As [`ask`].
pub fn status(folder: &RuntimeDir) -> Result<Status, String> {
    match ask(folder, Question::Status)? {
        Answer::Status(status) => Ok(status),
        other => Err(format!("the gateway gave another answer than its status: {other:?}")),
    }
}

/// `anyrouter-gateway reload`. Returns what to tell.
///
/// # Errors
/// As [`ask`], or what is wrong with the configuration.
pub fn reload(folder: &RuntimeDir) -> Result<String, String> {
    match ask(folder, Question::Reload)? {
        Answer::Reloaded { version, pending_restart, warnings } => {
            let short = version.get(..12).unwrap_or(&version);
            let mut told: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            told += &format!("the configuration was loaded anew (its files are version {short})");
            if !pending_restart.is_empty() {
                told += &format!("; only `anyrouter-gateway upgrade` changes {}", pending_restart.join(", "));
            }
            Ok(told)
        }
        Answer::Refused(problems) => {
            let count = problems.len();
            let errors = if count == 1 { "error" } else { "errors" };
            Err(format!("{}\nrefused with {count} {errors}; what was in force still is", problems.join("\n")))
        }
        other => Err(format!("the gateway gave another answer than to a reload: {other:?}")),
    }
}
