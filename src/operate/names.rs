//! By which names the process that serves is found: the control socket, the pid file, and the link among the records.

use super::commands::{self, Command, Own};
use super::own_folder::{self, Unusable};
use super::records::{self, own_variable};
use super::{RuntimeDir, control};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The names of this process.
pub(super) struct Names {
    folder: RuntimeDir,
    own: Own,
    commands: mpsc::Sender<Command>,
    /// What listens at the control socket.
    listener: Option<JoinHandle<()>>,
    /// What sees to the link.
    noting: Option<JoinHandle<()>>,
    /// Whether they were found gone, and that was told.
    are_gone: bool,
}

impl Names {
    /// Takes them, from whoever had them.
    pub(super) fn take(folder: RuntimeDir, own: Own, commands: mpsc::Sender<Command>) -> Self {
        let noting = Some(tokio::spawn(records::attend(folder.clone())));
        let mut names = Self { folder, own, commands, listener: None, noting, are_gone: false };
        names.put();
        names
    }

    fn put(&mut self) {
        // What goes on is told once, not every second.
        let level = if self.are_gone { log::Level::Debug } else { log::Level::Error };
        match control::bind(&self.folder) {
            Ok(listener) => {
                let listening = tokio::spawn(commands::listen(listener, self.commands.clone(), self.own.clone()));
                if let Some(former) = self.listener.replace(listening) {
                    former.abort();
                }
            }
            Err(error) => log::log!(
                level,
                "commands cannot be taken at {}: {error}; reload with SIGHUP",
                self.folder.control_socket().display()
            ),
        }
        if let Err(error) = self.folder.write_pid() {
            log::log!(level, "{} cannot be written: {error}", self.folder.pid_file().display());
        }
    }

    /// Takes them again if somebody deleted them: nobody could give commands.
    pub(super) fn keep(&mut self) {
        if self.folder.control_socket().exists() && self.folder.pid_file().exists() {
            self.are_gone = false;
            return;
        }
        match own_folder::prepare(self.folder.path(), "gateway.runtime_dir") {
            Ok(()) => {
                if !self.are_gone {
                    let path = self.folder.path().display();
                    log::warn!("{path} or what was in it was deleted: commands are taken there again");
                }
                self.put();
            }
            Err(Unusable::Failed(why) | Unusable::Refused(why)) if !self.are_gone => {
                log::error!("commands do not reach this process any more: {why}; reload with SIGHUP");
            }
            Err(_) => {}
        }
        self.are_gone = true;
    }

    /// Leaves them to a process that has taken over.
    pub(super) fn leave_to_successor(&mut self) {
        if let Some(noting) = self.noting.take() {
            // It would bring the link back when the successor has ended.
            noting.abort();
        }
    }

    /// Takes them away at the end, if no other process has them by now.
    pub(super) fn remove(&self) {
        if self.folder.leave() {
            records::forget(&self.folder, &own_variable);
        }
    }
}
