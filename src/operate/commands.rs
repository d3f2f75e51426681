//! Takes commands from the control socket. A reload needs nobody else; the rest is for the supervisor to answer.

use super::control::{self, Answer, Question};
use crate::config::live::Live;
use crate::log_output;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// A command that needs the supervisor's state.
pub type Command = (Question, oneshot::Sender<Answer>);

/// Takes commands for as long as the process lives.
pub async fn listen(listener: UnixListener, commands: mpsc::Sender<Command>, live: Arc<Live>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, commands.clone(), Arc::clone(&live)))),
            Err(error) => {
                log::error!("a command cannot be taken: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, commands: mpsc::Sender<Command>, live: Arc<Live>) {
    let answer = match control::read(&mut stream).await {
        Ok(Question::Reload) => {
            log_output::reopen();
            reload(live).await
        }
        Ok(question) => {
            let (reply, answer) = oneshot::channel();
            let sent = commands.send((question, reply)).await;
            match (sent, answer.await) {
                (Ok(()), Ok(answer)) => answer,
                _ => Answer::Refused(vec!["the process is ending".to_owned()]),
            }
        }
        Err(error) => Answer::Refused(vec![format!("the question cannot be read: {error}")]),
    };
    if let Err(error) = control::write(&mut stream, &answer).await {
        log::debug!("a command got no answer: {error}");
    }
}

async fn reload(live: Arc<Live>) -> Answer {
    match tokio::task::spawn_blocking(move || live.reload()).await {
        Ok(Ok(reloaded)) => Answer::Reloaded {
            version: reloaded.version,
            pending_restart: reloaded.pending_restart,
            warnings: reloaded.warnings,
        },
        Ok(Err(problems)) => Answer::Refused(problems.0.iter().map(ToString::to_string).collect()),
        Err(error) => Answer::Refused(vec![format!("the reload broke off: {error}")]),
    }
}
