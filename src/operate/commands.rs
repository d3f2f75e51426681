//! Takes commands from the control socket. A reload and the panel's key need nobody else; the rest is for the supervisor to
//! answer.

use super::audited::{self, By, Noting};
use super::control::{self, Answer, Question, Recost, Wish};
use super::descriptors;
use super::inheritance::{self, User};
use super::panel::LetIn;
use super::recost::{Recosting, Told};
use super::successor::Successor;
use super::team::Acting;
use crate::config::live::Live;
use crate::config::problem::Problem;
use crate::log_output;
use crate::team::Noted;
use gateway_core::both;
use gateway_core::language::Words;
use serde_json::json;
use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Most connections whose question is awaited: the one that has been silent for the longest makes room.
const MOST_SILENT: usize = 16;

/// What needs the supervisor's state.
#[derive(Debug)]
pub(super) enum Command {
    /// A question, and where its answer goes.
    Asked(Question, oneshot::Sender<Answer>),
    /// A new process waits for the listening sockets.
    Waits(Successor),
}

/// What answers by itself.
#[derive(Clone)]
pub(super) struct Own {
    /// The configuration.
    pub live: Arc<Live>,
    /// What lets people into the panel.
    pub let_in: LetIn,
    /// What makes costs anew.
    pub recost: Recosting,
    /// What keeps the team.
    pub team: Acting,
    /// What keeps the audit.
    pub noting: Noting,
}

/// Takes commands for as long as the process lives.
pub(super) async fn listen(listener: UnixListener, commands: mpsc::Sender<Command>, own: Own) {
    let mut silent: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::error!("a command cannot be taken: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let peer = match stream.peer_cred() {
            Ok(peer) if descriptors::is_trusted(peer.uid()) => peer,
            Ok(peer) => {
                log::warn!("user {} was not listened to at the control socket", peer.uid());
                continue;
            }
            Err(error) => {
                log::warn!("who is at the control socket is not known: {error}");
                continue;
            }
        };
        silent.retain(|reading| !reading.is_finished());
        if silent.len() >= MOST_SILENT
            && let Some(oldest) = silent.pop_front()
        {
            oldest.abort();
        }
        let user = peer.uid();
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
        let (commands, own) = (commands.clone(), own.clone());
        let reading = tokio::spawn(async move {
            let mut stream = stream;
            let question = control::read(&mut stream).await;
            // What was asked is answered, however many others come.
            tokio::spawn(converse(stream, (pid, user), question, commands, own));
        });
        silent.push_back(reading.abort_handle());
    }
}

async fn converse(
    mut stream: UnixStream,
    (pid, user): (u32, u32),
    question: std::io::Result<Question>,
    commands: mpsc::Sender<Command>,
    own: Own,
) {
    let answer = match question {
        Ok(Question::Reload) => {
            log_output::reopen();
            reload(own.live, (own.noting, user)).await
        }
        Ok(Question::Inherit) => {
            let environment = inheritance::environment(&own.live.files());
            match User::own() {
                Ok(user) => Answer::Inheritance { environment, user },
                Err(error) => {
                    refused(both!("the process does not know its groups: {error}", "进程无法得知自己所属的组：{error}"))
                }
            }
        }
        Ok(Question::Succeed) => {
            // The supervisor answers, once it has noted it.
            let _ = commands.send(Command::Waits(Successor::new(stream, pid))).await;
            return;
        }
        Ok(Question::Panel(wish)) => match tokio::task::spawn_blocking(move || let_in(&own, wish, user)).await {
            Ok(Ok(link)) => Answer::Panel { link },
            Ok(Err(why)) => refused(why),
            Err(error) => refused(both!("the command broke off: {error}", "命令中断：{error}")),
        },
        Ok(Question::Recost(wish)) => match recost(&own, wish, user).await {
            Ok(Told { text, is_running, is_done }) => Answer::Recost { text, is_running, is_done },
            Err(why) => refused(why),
        },
        Ok(Question::Team(wish)) => match tokio::task::spawn_blocking(move || (own.team)(&wish, user)).await {
            Ok(Ok(told)) => Answer::Team(told),
            Ok(Err(why)) => refused(why),
            Err(error) => refused(both!("the command broke off: {error}", "命令中断：{error}")),
        },
        Ok(question) => {
            let (reply, answer) = oneshot::channel();
            let sent = commands.send(Command::Asked(question, reply)).await;
            match (sent, answer.await) {
                (Ok(()), Ok(answer)) => answer,
                _ => refused(both!("the process is ending", "进程正在退出")),
            }
        }
        Err(error) => refused(both!("the question cannot be read: {error}", "无法读取命令：{error}")),
    };
    let stderr = std::io::stderr();
    let attached = [stderr.as_fd()];
    let attached = if matches!(answer, Answer::Inheritance { .. }) { &attached[..] } else { &[] };
    if let Err(error) = control::write(&mut stream, &answer, attached).await {
        log::debug!("a command got no answer: {error}");
    }
}

/// Lets somebody into the panel; a new key for it is a change.
fn let_in(own: &Own, wish: Wish, user: u32) -> Result<String, Words> {
    let link = (own.let_in)(wish)?;
    if wish == Wish::NewKey {
        let noted = Noted { action: "panel.key", target: "panel".to_owned(), ..Noted::default() };
        (own.noting)(By::User(user), noted);
    }
    Ok(link)
}

/// Has costs made anew, or stops that.
async fn recost(own: &Own, wish: Recost, user: u32) -> Result<Told, Words> {
    let told = (own.recost)(wish)?;
    let (action, after) = match wish {
        Recost::Begin { from_ms, to_ms } => ("recost.begin", Some(json!({ "from_ms": from_ms, "to_ms": to_ms }))),
        Recost::Stop => ("recost.stop", None),
        Recost::Look => return Ok(told),
    };
    let noting = Arc::clone(&own.noting);
    let noted = Noted { action, target: "costs".to_owned(), after, ..Noted::default() };
    // It writes a file.
    drop(tokio::task::spawn_blocking(move || noting(By::User(user), noted)).await);
    Ok(told)
}

async fn reload(live: Arc<Live>, (noting, user): (Noting, u32)) -> Answer {
    let reload = move || live.reload().inspect(|reloaded| noting(By::User(user), audited::reload(reloaded)));
    match tokio::task::spawn_blocking(reload).await {
        Ok(Ok(reloaded)) => Answer::Reloaded {
            version: reloaded.version,
            pending_restart: reloaded.pending_restart,
            warnings: reloaded.warnings,
            differences: Some(reloaded.differences),
            needs_stop: reloaded.needs_stop,
        },
        Ok(Err(problems)) => Answer::Refused(problems.0.iter().map(Problem::words).collect()),
        Err(error) => refused(both!("the reload broke off: {error}", "重新加载中断：{error}")),
    }
}

fn refused(why: Words) -> Answer {
    Answer::Refused(vec![why])
}
