//! `anyrouter-gateway upgrade`: starts a new process, waits until nothing can fail any more, has the old one hand its
//! sockets over, and tells how it went. Whatever goes wrong before, the old process goes on serving.

use super::control::{Answer, Question, Status};
use super::inheritance::{self, User};
use super::{RuntimeDir, ask, systemd};
use crate::language::{joined, say, told};
use gateway_core::language::{Spelled, Words};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What a new process says once only the sockets are missing.
const READY: &str = "ready";
/// What it says once it serves, with its process id behind.
const SERVING: &str = "serving ";
/// Why it does not, in both languages as JSON: who typed the command may read another one than the gateway.
const FAILED: &str = "error: ";
/// Time for a new process to get ready: a large database may have to be brought up to date.
const READY_TIME: Duration = Duration::from_secs(60);
/// Time for the hand-over: longer than either side waits for the other.
const SERVING_TIME: Duration = Duration::from_secs(30);

/// Says something to the `upgrade` command that started this process, if it was one: it reads the standard output.
pub(crate) fn report(line: &str) {
    // There may be nobody who reads.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says that everything is ready but for the sockets.
pub(crate) fn report_ready() {
    report(READY);
}

/// Says why this process does not serve.
pub(crate) fn report_failure(error: &Words) {
    report(&format!("{FAILED}{}", serde_json::to_string(error).unwrap_or_default()));
}

/// What a new process said of its failure. One of another version says it in plain words.
fn failure(line: &str) -> Option<String> {
    let said = line.strip_prefix(FAILED)?;
    let words = serde_json::from_str(said).unwrap_or_else(|_| Words::said(said.to_owned()));
    Some(ask::printable(&told(&words)))
}

/// Upgrades the gateway that serves from this runtime folder to `program`, or to this one. Returns what to tell.
///
/// # Errors
/// Why it was not done; the old process serves as before, unless the message says otherwise.
pub(crate) fn run(folder: &RuntimeDir, program: Option<&Path>) -> Result<String, String> {
    let old = ask::status(folder)?;
    if old.is_draining {
        return Err(say!("process {pid} is ending already", "进程 {pid} 已在退出", pid = old.pid));
    }
    if old.pid == 1 {
        return Err(say!(
            "a container ends with its process 1, whoever took over: start one from the new image instead",
            "容器会随 1 号进程一起结束，无法由新进程接替：请改用新镜像启动容器"
        ));
    }
    let unit = systemd::unit_of(old.pid).filter(|_| old.has_systemd);
    if let Some(unit) = unit.filter(|unit| systemd::unit_of(std::process::id()).as_ref() != Some(unit)) {
        return through_systemd(&unit);
    }
    let _lock = lock(folder)?;
    let mut new = start(folder, &old, program)?;
    match take_over(folder, &old, &mut new) {
        Ok(pid) if old.has_systemd => Ok(say!(
            "upgraded: process {pid} serves; process {old} finishes its requests ({busy}) and ends",
            "升级完成：进程 {pid} 已接替服务；进程 {old} 处理完进行中的请求（{busy} 个）后退出",
            old = old.pid,
            busy = old.busy
        )),
        Ok(pid) => Ok(say!(
            "upgraded: process {pid} serves, away from any terminal (`kill {pid}` stops it); process {old} finishes its \
             requests ({busy}) and ends",
            "升级完成：进程 {pid} 已接替服务，不依附任何终端（`kill {pid}` 可停止它）；进程 {old} 处理完进行中的请求（{busy} 个）后退出",
            old = old.pid,
            busy = old.busy
        )),
        Err(error) => {
            let _ = new.child.kill();
            let _ = new.child.wait();
            Err(error)
        }
    }
}

/// systemd must see the new process as a part of the unit: it does the same from there.
fn through_systemd(unit: &str) -> Result<String, String> {
    let status = Command::new("systemctl").args(["reload", "--", unit]).status();
    match status {
        Ok(status) if status.success() => Ok(say!("systemd has reloaded {unit}", "systemd 已重新加载 {unit}")),
        Ok(_) => Err(say!(
            "systemctl reload {unit} failed; why says: sudo journalctl --unit {unit} -n 20",
            "systemctl reload {unit} 失败；原因见：sudo journalctl --unit {unit} -n 20"
        )),
        Err(error) => Err(say!("systemctl cannot be run: {error}", "无法运行 systemctl：{error}")),
    }
}

/// The folder itself is locked: it may belong to another user, who could put any file in the place of a lock file.
fn lock(folder: &RuntimeDir) -> Result<File, String> {
    let failed = |error: std::io::Error| {
        say!("{path} cannot be locked: {error}", "无法锁定 {path}：{error}", path = folder.path().display())
    };
    let file = File::open(folder.path()).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(say!("another upgrade is under way", "另一个升级正在进行")),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A new process, and the lines that it says.
struct New {
    child: Child,
    lines: Receiver<String>,
}

/// Starts this program as the old one was started: as its user, with its arguments, folder, environment and standard
/// error.
fn start(folder: &RuntimeDir, old: &Status, program: Option<&Path>) -> Result<New, String> {
    let program = program.map_or_else(std::env::current_exe, std::path::absolute);
    let program =
        program.map_err(|error| say!("this program cannot be found: {error}", "找不到本程序的文件：{error}"))?;
    let answered = ask::ask_with_descriptors(folder, Question::Inherit)?;
    let (environment, user) = match answered.answer {
        Answer::Inheritance { environment, user } => (environment, user),
        Answer::Refused(why) => return Err(refused(old.pid, &why)),
        other => return Err(strange(old.pid, &other)),
    };
    user.check(answered.peer, &inheritance::groups_of(answered.peer.0))?;
    let stderr = answered.attached.into_iter().next();
    let mut command = Command::new(&program);
    command.args(&old.arguments).arg("--upgrade").current_dir(&old.folder);
    // A service manager sets the environment by itself, perhaps to something new.
    if !old.has_systemd {
        command.env_clear().envs(environment.into_iter().filter(|(name, _)| !inheritance::is_dangerous(name)));
    } else if let Some(stream) = environment.get("JOURNAL_STREAM") {
        // That of this command is not the stream that the new process gets.
        command.env("JOURNAL_STREAM", stream);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.map_or_else(Stdio::inherit, Stdio::from));
    // What is typed at this terminal is not meant for the new process.
    command.process_group(0);
    let spawned = spawn_as(command, user)?;
    let mut child = spawned.map_err(|error| {
        say!("{program} cannot be started: {error}", "无法启动 {program}：{error}", program = program.display())
    })?;
    let stdout = child.stdout.take().ok_or_else(|| say!("its standard output is missing", "得不到它的标准输出"))?;
    let (said, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    Ok(New { child, lines })
}

/// Starts a process with the rights of the old one, never with more: for root, on a thread that gives up its own first.
fn spawn_as(mut command: Command, wanted: User) -> Result<std::io::Result<Child>, String> {
    let own = User::own().map_err(|error| {
        say!("this command does not know its own groups: {error}", "无法得知当前用户所属的组：{error}")
    })?;
    if own.user == wanted.user {
        return Ok(command.spawn());
    }
    if own.user != 0 {
        return Err(say!(
            "the gateway runs as user {user}, and only that user and root can upgrade it",
            "网关以用户 {user} 运行，只有该用户和 root 能升级它",
            user = wanted.user
        ));
    }
    let thread = std::thread::spawn(move || -> std::io::Result<Child> {
        let (user, group) = (Uid::from_raw(wanted.user), Gid::from_raw(wanted.group));
        let groups: Vec<Gid> = wanted.groups.into_iter().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        // A process has the rights of the thread that starts it.
        command.spawn()
    });
    thread.join().map_err(|_| say!("the new process could not be started", "无法启动新进程"))
}

fn take_over(folder: &RuntimeDir, old: &Status, new: &mut New) -> Result<u32, String> {
    let goes_on =
        |error: String| say!("{error}; process {pid} goes on serving", "{error}；进程 {pid} 继续服务", pid = old.pid);
    new.wait_for(READY_TIME, |line| (line == READY).then_some(())).map_err(goes_on)?;
    match ask::ask(folder, Question::HandOver { to: Some(new.child.id()) })? {
        Answer::HandingOver => {}
        Answer::Refused(why) => return Err(goes_on(refused(old.pid, &why))),
        other => return Err(strange(old.pid, &other)),
    }
    let serving = new.wait_for(SERVING_TIME, |line| line.strip_prefix(SERVING)?.parse().ok());
    serving.map_err(goes_on)
}

fn refused(pid: u32, why: &[Words]) -> String {
    say!("process {pid} refused: {why}", "进程 {pid} 拒绝了：{why}", why = joined(why, "; "))
}

fn strange(pid: u32, answer: &Answer) -> String {
    say!("process {pid} gave an answer that means nothing here: {answer:?}", "无法理解进程 {pid} 的回答：{answer:?}")
}

impl New {
    /// Waits for a line.
    fn wait_for<T>(&mut self, limit: Duration, wanted: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + limit;
        let mut why = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                    why.extend(failure(&line));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    return Err(say!(
                        "the new process is not ready after {time}",
                        "新进程在 {time:#}内没有准备好",
                        time = Spelled(limit)
                    ));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    let ended = self.child.wait().map_or_else(|error| error.to_string(), ended);
                    let why = if why.is_empty() { say!("see its log", "请看它的日志") } else { why.join("; ") };
                    return Err(say!("the new process ended ({ended}): {why}", "新进程已退出（{ended}）：{why}"));
                }
            }
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => say!("exit status: {code}", "退出码 {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::both;

    #[test]
    fn what_a_new_process_says_of_its_failure_is_read_in_one_line_whatever_its_version() {
        let words = both!("two\nlines \u{1b}[31m", "两\n行");
        let line = format!("{FAILED}{}", serde_json::to_string(&words).expect("JSON"));
        assert_eq!(line.lines().count(), 1);
        assert_eq!(failure(&line).as_deref(), Some("two\nlines \u{fffd}[31m"));
        assert_eq!(failure("error: in plain words").as_deref(), Some("in plain words"));
        assert_eq!(failure(READY), None);
    }
}
