//! What becomes of the process: one state, changed by signals, commands, Pingora's phases and the work that is left.

use super::commands::{self, Command};
use super::control::{self, Answer, Question, Status};
use super::predecessors::Predecessor;
use super::signals::{Signals, Told};
use super::{RuntimeDir, successor, systemd};
use crate::config;
use crate::config::live::Live;
use crate::drain::Drain;
use crate::log_output;
use async_trait::async_trait;
use pingora::server::{ExecutionPhase, ShutdownSignal, ShutdownSignalWatch};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};

/// How often the work that is left is looked at while draining.
const LOOK: Duration = Duration::from_millis(20);
/// How long nothing must have happened before a process that handed over ends: TLS handshakes that are under way count
/// for nothing yet.
const QUIET: Duration = Duration::from_millis(500);
/// Time for the listeners to take connections at the start.
const START_TIME: Duration = Duration::from_secs(10);

/// What the supervisor looks after.
pub struct Parts {
    /// The runtime folder; without one nobody can send commands, and there are no upgrades.
    pub folder: Option<RuntimeDir>,
    /// What is told that the end begins, and knows what is left.
    pub drain: Arc<Drain>,
    /// The configuration.
    pub live: Arc<Live>,
    /// How long the end may take, by the configuration in force.
    pub limits: Box<dyn Fn() -> config::Drain + Send>,
    /// Where the process listens.
    pub addresses: Vec<SocketAddr>,
    /// Whether it takes over from another one, whose `upgrade` command reads its standard output.
    pub is_upgrade: bool,
    /// Pingora's phases.
    pub phases: broadcast::Receiver<ExecutionPhase>,
}

/// The supervisor's handle.
pub struct Supervisor {
    shutdown: Mutex<Option<oneshot::Receiver<ShutdownSignal>>>,
    ended: std_mpsc::Receiver<()>,
    end: std_mpsc::SyncSender<()>,
}

impl Supervisor {
    /// Starts it. Signals are listened to when this returns.
    ///
    /// # Errors
    /// When its thread or its runtime cannot be started.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
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
                let running = Running::new(parts, shutdown, over);
                running.run(signals).await;
            });
        })?;
        is_listening.recv().unwrap_or_else(|_| Err(std::io::Error::other("the supervisor ended")))?;
        Ok(Self { shutdown: Mutex::new(Some(asked)), ended, end })
    }

    /// What Pingora asks when to shut down; once.
    pub fn shutdown_watch(&self) -> impl ShutdownSignalWatch + Send + 'static {
        let asked = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).take();
        Asked(tokio::sync::Mutex::new(asked))
    }

    /// Ends the wait when dropped: for a thread without which there is nothing to wait for.
    pub fn end_guard(&self) -> EndGuard {
        EndGuard(self.end.clone())
    }

    /// Waits until the process has nothing left to do.
    pub fn wait(&self) {
        let _ = self.ended.recv();
    }
}

/// See [`Supervisor::end_guard`].
pub struct EndGuard(std_mpsc::SyncSender<()>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

struct Asked(tokio::sync::Mutex<Option<oneshot::Receiver<ShutdownSignal>>>);

#[async_trait]
impl ShutdownSignalWatch for Asked {
    async fn recv(&self) -> ShutdownSignal {
        let mut asked = self.0.lock().await;
        match &mut *asked {
            Some(asked) => asked.await.unwrap_or(ShutdownSignal::FastShutdown),
            None => std::future::pending().await,
        }
    }
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
    /// Pingora sends the listening sockets.
    HandingOver,
    Draining,
    /// All is said; the process only has to end.
    Over,
}

struct Running {
    parts: Parts,
    stage: Stage,
    shutdown: Option<oneshot::Sender<ShutdownSignal>>,
    end: std_mpsc::SyncSender<()>,
    is_upgrade: bool,
    since: Option<Instant>,
    deadline: Option<Instant>,
    /// When nobody listened any more, or something was last under way after that.
    last_busy: Option<Instant>,
    last_told: Option<Instant>,
}

impl Running {
    fn new(parts: Parts, shutdown: oneshot::Sender<ShutdownSignal>, end: std_mpsc::SyncSender<()>) -> Self {
        Self {
            parts,
            stage: Stage::Starting,
            shutdown: Some(shutdown),
            end,
            is_upgrade: false,
            since: None,
            deadline: None,
            last_busy: None,
            last_told: None,
        }
    }

    async fn run(mut self, mut signals: Signals) {
        let (sender, mut asked) = mpsc::channel::<Command>(8);
        let (served, mut serves) = mpsc::channel::<()>(1);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_ending = matches!(self.stage, Stage::HandingOver | Stage::Draining);
            tokio::select! {
                told = signals.next() => self.on_signal(told),
                phase = self.parts.phases.recv() => match phase {
                    Ok(ExecutionPhase::Running) => {
                        self.stage = Stage::Serving;
                        tokio::spawn(wait_for_listeners(self.parts.addresses.clone(), served.clone()));
                    }
                    Ok(phase) => self.on_phase(&phase),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    // Pingora has gone, and its end guard with it.
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some(()) = serves.recv() => self.serve(&sender),
                Some((question, reply)) = asked.recv() => {
                    let answer = self.answer(question);
                    let _ = reply.send(answer);
                }
                _ = look.tick(), if is_ending => {
                    if self.is_over() {
                        return self.finish();
                    }
                }
            }
        }
    }

    /// The listeners take connections: everybody may know.
    fn serve(&mut self, sender: &mpsc::Sender<Command>) {
        if let Some(folder) = &self.parts.folder {
            match control::bind(folder) {
                Ok(listener) => {
                    drop(tokio::spawn(commands::listen(listener, sender.clone(), Arc::clone(&self.parts.live))))
                }
                Err(error) => log::error!(
                    "commands cannot be taken at {}: {error}; reload with SIGHUP",
                    folder.control_socket().display()
                ),
            }
            if let Err(error) = folder.write_pid() {
                log::error!("{} cannot be written: {error}", folder.pid_file().display());
            }
        }
        systemd::ready("serving");
        if self.parts.is_upgrade {
            super::upgrade::report(&format!("serving {}", std::process::id()));
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
                let live = Arc::clone(&self.parts.live);
                // What is wrong is in the log.
                tokio::task::spawn_blocking(move || drop(live.reload()));
            }
            (Told::HandOver, Stage::Serving) => {
                if let Err(why) = self.hand_over() {
                    log::error!("SIGQUIT is not obeyed: {why}");
                }
            }
            (Told::Stop, Stage::Serving) => self.stop(),
            (Told::Stop, Stage::HandingOver | Stage::Draining) => {
                let sooner = Instant::now() + (self.parts.limits)().stop;
                self.deadline = Some(self.deadline.map_or(sooner, |deadline| deadline.min(sooner)));
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

    fn on_phase(&mut self, phase: &ExecutionPhase) {
        match phase {
            ExecutionPhase::GracefulUpgradeCloseTimeout => {
                log::info!("the listening sockets are handed over; {} left to finish", self.parts.drain.busy());
                self.stage = Stage::Draining;
                self.parts.drain.begin();
            }
            // Nobody listens from here on.
            ExecutionPhase::ShutdownStarted if self.last_busy.is_none() => self.last_busy = Some(Instant::now()),
            _ => {}
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::HandOver => match self.hand_over() {
                Ok(()) => Answer::HandingOver,
                Err(why) => Answer::Refused(vec![why]),
            },
            // A reload does not come here.
            Question::Status | Question::Reload => Answer::Status(self.status()),
        }
    }

    fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: std::env::args().skip(1).filter(|argument| argument != "--upgrade").collect(),
            folder: std::env::current_dir().unwrap_or_default().display().to_string(),
            addresses: self.parts.addresses.iter().map(ToString::to_string).collect(),
            has_systemd: systemd::is_supervisor(),
            is_draining: self.parts.drain.is_on(),
            busy: self.parts.drain.busy(),
        }
    }

    /// Lets Pingora send the listening sockets, if somebody waits for them: it would end in any case.
    fn hand_over(&mut self) -> Result<(), String> {
        if self.stage != Stage::Serving {
            return Err(format!("the process is not serving ({:?})", self.stage));
        }
        let folder = self.parts.folder.as_ref().ok_or("there is no runtime folder (gateway.runtime_dir)")?;
        let socket = folder.upgrade_socket();
        if !successor::is_waiting(&socket) {
            return Err(format!(
                "no new process waits at {} for the listening sockets; `anyrouter-gateway upgrade` starts one",
                socket.display()
            ));
        }
        self.is_upgrade = true;
        self.stage = Stage::HandingOver;
        self.end_within((self.parts.limits)().upgrade, ShutdownSignal::GracefulUpgrade);
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
        self.stage = Stage::Draining;
        self.parts.drain.begin();
        self.end_within(limit, ShutdownSignal::GracefulTerminate);
    }

    fn end_within(&mut self, limit: Duration, signal: ShutdownSignal) {
        let now = Instant::now();
        self.since = Some(now);
        self.deadline = Some(now + limit);
        if let Some(shutdown) = self.shutdown.take() {
            // Nobody listens only when Pingora has ended already.
            let _ = shutdown.send(signal);
        }
    }

    /// Whether nothing is left, or the time is over.
    fn is_over(&mut self) -> bool {
        let (now, busy) = (Instant::now(), self.parts.drain.busy());
        self.tell(now, busy);
        let Some(last_busy) = &mut self.last_busy else { return false };
        if busy > 0 {
            *last_busy = now;
        }
        let quiet = if self.is_upgrade { QUIET } else { LOOK };
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
        let (Some(folder), true) = (&self.parts.folder, self.is_upgrade) else { return };
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
            folder.leave();
        }
        let _ = self.end.try_send(());
    }
}

/// Readiness is real: every listener takes a connection.
async fn wait_for_listeners(addresses: Vec<SocketAddr>, served: mpsc::Sender<()>) {
    let deadline = tokio::time::Instant::now() + START_TIME;
    for address in addresses {
        let address = reachable(address);
        while TcpStream::connect(address).await.is_err() {
            if tokio::time::Instant::now() > deadline {
                return log::error!("{address} takes no connections");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    let _ = served.send(()).await;
}

/// Where a listener can be reached from this machine.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
