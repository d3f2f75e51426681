//! What becomes of the process: one state, changed by signals, commands, Pingora's phases and the work that is left.

use super::audited::{self, By, Noting};
use super::claim::Claim;
use super::commands::{Command, Own};
use super::control::{Answer, Question, Status};
use super::ending::{Asked, End, EndGuard};
use super::names::Names;
use super::panel::LetIn;
use super::predecessors::Predecessor;
use super::recost::Recosting;
use super::signals::{Signals, Told};
use super::successor::{Successor, Waiting};
use super::team::Acting;
use super::{RuntimeDir, systemd};
use crate::config;
use crate::config::live::Live;
use crate::drain::Drain;
use crate::listen::Sockets;
use crate::log_output;
use gateway_core::both;
use gateway_core::language::{Spelled, Words};
use pingora::server::{ExecutionPhase, ShutdownSignal, ShutdownSignalWatch};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How often the work that is left is looked at while draining.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is looked whether the control socket and the pid file are there.
const LOOK_FOR_NAMES: Duration = Duration::from_secs(1);
/// How long nothing must have happened before a process that handed over ends: TLS handshakes that are under way count
/// for nothing yet.
const QUIET: Duration = Duration::from_millis(500);
/// Time until connections are accepted at the start.
const START_TIME: Duration = Duration::from_secs(10);
/// How long clients have to see `Connection: close` in an answer after the hand-over, before their idle connections are
/// closed.
const LEAVE_TIME: Duration = Duration::from_secs(5);
/// Most that is waited for this process's own loops to accept no more, before the service is the successor's.
const PAUSE_TIME: Duration = Duration::from_secs(1);

/// What the supervisor looks after.
pub(crate) struct Parts {
    /// The runtime folder; without one nobody can send commands, and there are no upgrades.
    pub folder: Option<RuntimeDir>,
    /// What is told that the end begins, and knows what is left.
    pub drain: Arc<Drain>,
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
    /// How long the end may take, by the configuration in force.
    pub limits: Box<dyn Fn() -> config::Drain + Send>,
    /// Where the process listens.
    pub addresses: Vec<SocketAddr>,
    /// Its listening sockets.
    pub sockets: Arc<Sockets>,
    /// Writes what the next process is to know, before that one gets the sockets.
    pub before_hand_over: Arc<dyn Fn() + Send + Sync>,
    /// How many loops will accept connections.
    pub loops: usize,
    /// What it has of the service that it takes over, if it does; an `upgrade` command may read its standard output.
    pub claim: Option<Claim>,
    /// Pingora's phases.
    pub phases: broadcast::Receiver<ExecutionPhase>,
}

/// The supervisor's handle.
pub(crate) struct Supervisor {
    shutdown: Mutex<Option<oneshot::Receiver<ShutdownSignal>>>,
    ended: std_mpsc::Receiver<End>,
    end: std_mpsc::SyncSender<End>,
}

impl Supervisor {
    /// Starts it. Signals are listened to when this returns.
    ///
    /// # Errors
    /// When its thread or its runtime cannot be started.
    pub(crate) fn start(parts: Parts) -> std::io::Result<Self> {
        let (shutdown, asked) = oneshot::channel();
        let (end, ended) = std_mpsc::sync_channel(4);
        let (listening, is_listening) = std_mpsc::sync_channel(1);
        let over = end.clone();
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(listening.send(Err(error))),
            };
            runtime.block_on(async {
                let signals = match Signals::listen() {
                    Ok(signals) => signals,
                    Err(error) => return drop(listening.send(Err(error))),
                };
                let _ = listening.send(Ok(()));
                let (taken, outcomes) = mpsc::channel(1);
                let running = Running::new(parts, shutdown, over, taken);
                running.run(signals, outcomes).await;
            });
        })?;
        is_listening.recv().unwrap_or_else(|_| Err(std::io::Error::other("the supervisor ended")))?;
        Ok(Self { shutdown: Mutex::new(Some(asked)), ended, end })
    }

    /// What Pingora asks when to shut down; once.
    pub(crate) fn shutdown_watch(&self) -> impl ShutdownSignalWatch + Send + 'static {
        let asked = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).take();
        Asked(tokio::sync::Mutex::new(asked))
    }

    /// Ends the wait when dropped: for a thread without which there is nothing to wait for.
    pub(crate) fn end_guard(&self) -> EndGuard {
        EndGuard(self.end.clone())
    }

    /// Waits until the process has nothing left to do, or cannot go on.
    pub(crate) fn wait(&self) -> End {
        self.ended.recv().unwrap_or(End::Fault)
    }
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    /// A successor has the sockets too. This process serves as before until that one says that it serves, and then accepts
    /// no more connections, unless that one is gone.
    HandingOver,
    Draining,
    /// All is said; the process only has to end.
    Over,
}

struct Running {
    parts: Parts,
    stage: Stage,
    started: SystemTime,
    shutdown: Option<oneshot::Sender<ShutdownSignal>>,
    end: std_mpsc::SyncSender<End>,
    /// Whether this process took over, or tries to.
    is_successor: bool,
    waiting: Waiting,
    /// By which it is found, once it serves.
    names: Option<Names>,
    /// Where it is told what came of a hand-over.
    taken: mpsc::Sender<Result<Successor, String>>,
    has_handed_over: bool,
    since: Option<Instant>,
    deadline: Option<Instant>,
    /// When idle connections are to be closed.
    leave_at: Option<Instant>,
    /// When idle connections were closed, or something was last under way after that.
    last_busy: Option<Instant>,
    last_told: Option<Instant>,
}

impl Running {
    fn new(
        parts: Parts,
        shutdown: oneshot::Sender<ShutdownSignal>,
        end: std_mpsc::SyncSender<End>,
        taken: mpsc::Sender<Result<Successor, String>>,
    ) -> Self {
        Self {
            is_successor: parts.claim.is_some(),
            parts,
            stage: Stage::Starting,
            started: SystemTime::now(),
            shutdown: Some(shutdown),
            end,
            waiting: Waiting::default(),
            names: None,
            taken,
            has_handed_over: false,
            since: None,
            deadline: None,
            leave_at: None,
            last_busy: None,
            last_told: None,
        }
    }

    async fn run(mut self, mut signals: Signals, mut outcomes: mpsc::Receiver<Result<Successor, String>>) {
        let (commands, mut asked) = mpsc::channel::<Command>(8);
        let (served, mut serves) = mpsc::channel::<Result<(), Words>>(1);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks_for_names = tokio::time::interval(LOOK_FOR_NAMES);
        looks_for_names.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                told = signals.next() => self.on_signal(told),
                phase = self.parts.phases.recv() => match phase {
                    Ok(ExecutionPhase::Running) => self.begin(&commands, served.clone()),
                    // Idle connections are closed.
                    Ok(ExecutionPhase::ShutdownStarted) => self.last_busy = self.last_busy.or(Some(Instant::now())),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    // Pingora has gone, and its end guard with it.
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some(outcome) = serves.recv() => self.on_served(outcome, &commands),
                Some(outcome) = outcomes.recv() => self.on_taken(outcome),
                Some(command) = asked.recv() => match command {
                    Command::Asked(question, reply) => {
                        let answer = self.answer(question);
                        let _ = reply.send(answer);
                    }
                    Command::Waits(successor) => self.waiting.add(successor),
                },
                _ = looks_for_names.tick(), if self.stage == Stage::Serving => {
                    if let Some(names) = &mut self.names {
                        names.keep();
                    }
                }
                _ = look.tick(), if self.stage == Stage::Draining => {
                    if self.is_over() {
                        return self.finish();
                    }
                }
            }
        }
    }

    /// Pingora's services run: connections are accepted from here on.
    fn begin(&mut self, commands: &mpsc::Sender<Command>, served: mpsc::Sender<Result<(), Words>>) {
        self.stage = Stage::Serving;
        let claim = self.parts.claim.take();
        if claim.is_none() {
            // Before anybody is answered: who sees that the gateway is there can give it commands.
            self.take_names(commands);
        }
        self.parts.sockets.accept(true);
        let (sockets, loops) = (Arc::clone(&self.parts.sockets), self.parts.loops);
        tokio::spawn(async move { served.send(serve(&sockets, loops, claim).await).await });
    }

    /// Takes the control socket and the pid file, from whoever had them.
    fn take_names(&mut self, commands: &mpsc::Sender<Command>) {
        let Parts { live, let_in, recost, team, noting, folder, .. } = &self.parts;
        let (live, let_in, noting) = (Arc::clone(live), Arc::clone(let_in), Arc::clone(noting));
        let own = Own { live, let_in, recost: Arc::clone(recost), team: Arc::clone(team), noting };
        self.names = folder.clone().map(|folder| Names::take(folder, own, commands.clone()));
    }

    /// Connections are accepted, and the process before this one, if there is one, has left the service to it.
    fn on_served(&mut self, outcome: Result<(), Words>, commands: &mpsc::Sender<Command>) {
        match outcome {
            Ok(()) => {
                if self.is_successor {
                    self.take_names(commands);
                }
                systemd::ready("serving");
                if self.is_successor {
                    super::upgrade::report(&format!("serving {}", std::process::id()));
                }
            }
            Err(why) => {
                log::error!("{why}");
                if self.is_successor && self.stage == Stage::Serving {
                    super::upgrade::report_failure(&why);
                    self.drain_within((self.parts.limits)().stop);
                    self.close_idle();
                }
            }
        }
    }

    fn on_signal(&mut self, told: Told) {
        match (told, self.stage) {
            (_, Stage::Over) => {}
            (Told::Stop | Told::StopNow, Stage::Starting) => {
                log::info!("told to stop before anything was served");
                std::process::exit(0);
            }
            (Told::Reload, Stage::Serving) => {
                log_output::reopen();
                let (live, noting) = (Arc::clone(&self.parts.live), Arc::clone(&self.parts.noting));
                tokio::task::spawn_blocking(move || {
                    // What is wrong is in the log.
                    if let Ok(reloaded) = live.reload() {
                        noting(By::Signal, audited::reload(&reloaded));
                    }
                });
            }
            (Told::HandOver, Stage::Serving) => {
                if let Err(why) = self.hand_over(None) {
                    log::error!("SIGQUIT is not obeyed: {why}");
                }
            }
            (Told::Stop, Stage::Serving | Stage::HandingOver) => self.stop(),
            (Told::Stop, Stage::Draining) => {
                let sooner = Instant::now() + (self.parts.limits)().stop;
                self.deadline = Some(self.deadline.map_or(sooner, |deadline| deadline.min(sooner)));
                self.close_idle();
                log::info!("told to stop while draining: {} left", self.parts.drain.busy());
            }
            (Told::StopNow, _) => {
                log::info!("told to stop at once: {} requests and connections are cut", self.parts.drain.busy());
                self.stage = Stage::Over;
                self.finish();
            }
            (Told::Reopen, _) => {
                log_output::reopen();
                log::info!("SIGUSR1: the log file, if there is one, is opened anew");
            }
            (Told::Reload | Told::HandOver, stage) => log::warn!("a signal ({told:?}) means nothing while {stage:?}"),
        }
    }

    /// What came of a hand-over. As long as nobody else serves, this process does.
    fn on_taken(&mut self, outcome: Result<Successor, String>) {
        let confirmed = outcome.and_then(|successor| {
            let gone = |error| format!("process {} serves no more: {error}", successor.pid());
            successor.confirm().map(|()| successor.pid()).map_err(gone)
        });
        let stage = self.stage;
        match confirmed {
            Ok(pid) => {
                log::info!("process {pid} serves from here on; {} left to finish", self.parts.drain.busy());
                self.has_handed_over = true;
                if let Some(names) = &mut self.names {
                    names.leave_to_successor();
                }
                self.parts.drain.hand_over();
                if stage == Stage::HandingOver {
                    self.drain_within((self.parts.limits)().upgrade);
                    self.leave_at = Some(Instant::now() + LEAVE_TIME);
                }
            }
            Err(why) => {
                log::error!("the hand-over failed: {why}; this process goes on serving");
                if stage == Stage::HandingOver {
                    self.stage = Stage::Serving;
                    self.parts.sockets.accept(true);
                }
            }
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::HandOver { to } => match self.hand_over(to) {
                Ok(()) => Answer::HandingOver,
                Err(why) => Answer::Refused(vec![why]),
            },
            // The others do not come here.
            Question::Status
            | Question::Reload
            | Question::Succeed
            | Question::Inherit
            | Question::Panel(_)
            | Question::Recost(_)
            | Question::Team(_) => {
                Answer::Status(Status::own(&self.parts.addresses, &self.parts.drain, &self.parts.live, self.started))
            }
        }
    }

    /// Gives the listening sockets to a process that waits for them.
    fn hand_over(&mut self, to: Option<u32>) -> Result<(), Words> {
        if self.stage != Stage::Serving {
            let stage = self.stage;
            return Err(both!("the process is not serving ({stage:?})", "此进程没有在提供服务（{stage:?}）"));
        }
        let successor = self.waiting.take(to).ok_or_else(|| {
            both!(
                "no new process waits at the control socket for the listening sockets; `anyrouter-gateway upgrade` starts \
                 one",
                "没有新进程在等待监听套接字；请执行 `anyrouter-gateway upgrade` 启动一个"
            )
        })?;
        let sockets = self.parts.sockets.all();
        let sockets = sockets.map_err(|error| {
            both!("the listening sockets cannot be handed over: {error}", "无法移交监听套接字：{error}")
        })?;
        self.stage = Stage::HandingOver;
        let (taken, write) = (self.taken.clone(), Arc::clone(&self.parts.before_hand_over));
        let own = Arc::clone(&self.parts.sockets);
        tokio::spawn(async move {
            // Whatever becomes of it, the service goes on.
            let _ = tokio::task::spawn_blocking(move || write()).await;
            let outcome = successor.take_over(sockets).await;
            if let Ok(successor) = &outcome {
                // Who was told that the new process serves finds it at the next connection, not this one. Connections
                // that come in the meantime are the new one's.
                own.accept(false);
                if tokio::time::timeout(PAUSE_TIME, own.accepted_by_none()).await.is_err() {
                    log::warn!(
                        "connections are still accepted here after {}; process {} is to serve all the same",
                        humantime::format_duration(PAUSE_TIME),
                        successor.pid()
                    );
                }
            }
            taken.send(outcome).await
        });
        Ok(())
    }

    fn stop(&mut self) {
        let limit = (self.parts.limits)().stop;
        log::info!(
            "told to stop: {} requests and connections have up to {}",
            self.parts.drain.busy(),
            humantime::format_duration(limit)
        );
        systemd::stopping();
        self.drain_within(limit);
        self.close_idle();
    }

    /// Nothing new is accepted, and what there is has this long.
    fn drain_within(&mut self, limit: Duration) {
        let now = Instant::now();
        self.stage = Stage::Draining;
        self.since = Some(now);
        self.deadline = Some(now + limit);
        self.parts.drain.begin();
        self.parts.sockets.close();
    }

    /// Has Pingora close idle connections.
    fn close_idle(&mut self) {
        self.leave_at = None;
        if let Some(shutdown) = self.shutdown.take() {
            // Nobody listens only when Pingora has ended already.
            let _ = shutdown.send(ShutdownSignal::GracefulTerminate);
        }
    }

    /// Whether nothing is left, or the time is over.
    fn is_over(&mut self) -> bool {
        let (now, busy) = (Instant::now(), self.parts.drain.busy());
        self.tell(now, busy);
        if self.leave_at.is_some_and(|at| at <= now) {
            self.close_idle();
        }
        let Some(last_busy) = &mut self.last_busy else { return false };
        if busy > 0 {
            *last_busy = now;
        }
        let quiet = if self.has_handed_over { QUIET } else { LOOK };
        if busy == 0 && now.duration_since(*last_busy) >= quiet {
            return true;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            log::warn!("the time to drain is over: {busy} requests and connections are cut");
            return true;
        }
        false
    }

    /// Says for others to see how far the drain is, once a second.
    fn tell(&mut self, now: Instant, busy: usize) {
        let (Some(folder), true) = (&self.parts.folder, self.has_handed_over) else { return };
        if self.last_told.is_some_and(|told| now.duration_since(told) < Duration::from_secs(1)) {
            return;
        }
        self.last_told = Some(now);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let left = self.deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(now));
        let gone = self.since.map_or(Duration::ZERO, |since| now.duration_since(since));
        Predecessor {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            busy,
            since_ms: millis(wall.saturating_sub(gone)),
            until_ms: millis(wall + left),
        }
        .write(folder);
    }

    fn finish(&self) {
        if let Some(folder) = &self.parts.folder {
            Predecessor::remove(folder, std::process::id());
        }
        if let Some(names) = &self.names {
            names.remove();
        }
        let _ = self.end.try_send(End::InOrder);
    }
}

/// Readiness is real: connections are accepted at every address; and it is the only one: the process before this one
/// leaves the service to it.
async fn serve(sockets: &Sockets, loops: usize, claim: Option<Claim>) -> Result<(), Words> {
    tokio::time::timeout(START_TIME, sockets.accepted_by(loops)).await.map_err(|_| {
        both!(
            "connections are not accepted at all addresses after {time}",
            "启动 {time:#}后仍未在所有地址上接受连接",
            time = Spelled(START_TIME)
        )
    })?;
    let Some(claim) = claim else { return Ok(()) };
    let serving = tokio::task::spawn_blocking(move || claim.serving()).await;
    serving.unwrap_or_else(|error| Err(Words::said(error.to_string())))
}
