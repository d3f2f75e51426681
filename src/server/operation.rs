//! What the composition root needs to run as a service: the runtime folder, the configuration that can change, the
//! supervisor, and an end in order.

use super::panel::Panel;
use super::team;
use crate::config::live::{Live, Prepare};
use crate::config::problem::Problem;
use crate::config::{Arguments, Loaded, Startup, is_in_the_way};
use crate::connections::{self, Caps, Connections, Full, Place, most_of_one};
use crate::feed::Event;
use crate::gateway::{Keeper, Shared, Snapshot};
use crate::listen::Sockets;
use crate::operate::audited::Noting;
use crate::operate::own_folder::{self, Unusable};
use crate::operate::recost::Recosting;
use crate::operate::team::Acting;
use crate::operate::{self, Claim, Parts, RuntimeDir, Supervisor};
use anyhow::Context;
use gateway_core::both;
use pingora::server::Server;
use pingora_prometheus::prometheus;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Pingora's own grace period: an end that nobody waits for.
pub(super) const LONGER_THAN_ANY_DRAIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Keeps the process's memory, with the keys in it, from its own user's other programs, and out of files: not while
/// somebody looks for a mistake (`gateway.debug`).
pub(super) fn seal(is_debug: bool) {
    if is_debug {
        return;
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!("other programs of this user can read the process's memory: {error}");
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none)
        && getrlimit(Resource::Core).current != Some(0)
    {
        log::warn!("a crash can write the process's memory to a file: {error}");
    }
}

/// The state folder. Whoever needs it finds out by itself when it cannot be made.
///
/// # Errors
/// When others can look into it, and that is not to be changed here.
pub(super) fn prepare_state(startup: &Startup) -> anyhow::Result<()> {
    match own_folder::prepare(&startup.state_dir, "gateway.state_dir") {
        Ok(()) => Ok(()),
        Err(Unusable::Refused(why)) => Err(anyhow::Error::msg(why)),
        Err(Unusable::Failed(why)) => {
            log::warn!("{why}");
            Ok(())
        }
    }
}

/// Makes the state folder anew if somebody deleted it.
pub(super) fn keep_state(startup: &Startup) {
    if startup.state_dir.exists() {
        return;
    }
    match own_folder::prepare(&startup.state_dir, "gateway.state_dir") {
        Ok(()) => log::warn!(
            "{} was deleted: it is made anew, with what the gateway still knows of it",
            startup.state_dir.display()
        ),
        // Whoever needs it says so.
        Err(why) => log::debug!("{why:?}"),
    }
}

/// The runtime folder. A gateway that only wants to serve can do without.
///
/// # Errors
/// When it cannot be used, and is needed to take over from another process; when it is not the gateway's alone; or when
/// another gateway uses it.
pub(super) fn prepare_folder(startup: &Startup, upgrade: bool) -> anyhow::Result<Option<RuntimeDir>> {
    match RuntimeDir::prepare(&startup.runtime_dir) {
        Ok(folder) => match operate::ask::status(&folder) {
            // Two would take the socket, the pid file and the request log from each other.
            Ok(other) if !upgrade && !other.is_draining => Err(anyhow::Error::msg(both!(
                "process {pid} is a gateway with the same gateway.runtime_dir ({folder}), at {addresses}: \
                 `anyrouter-gateway reload` gives it another configuration, `anyrouter-gateway upgrade` puts this program in \
                 its place, `kill {pid}` stops it. To run two, give this one folders of its own: GATEWAY_RUNTIME_DIR, \
                 GATEWAY_STATE_DIR, GATEWAY_DB",
                "已有一个网关在使用同一个 gateway.runtime_dir（{folder}）：进程 {pid}，监听 {addresses}。\
                 `anyrouter-gateway reload` 让它重新加载配置，`anyrouter-gateway upgrade` 用本程序替换它，`kill {pid}` 停止它。\
                 如果要同时运行两个，请用 GATEWAY_RUNTIME_DIR、GATEWAY_STATE_DIR、GATEWAY_DB 给这一个另设目录",
                pid = other.pid,
                folder = folder.path().display(),
                addresses = other.addresses.join(", ")
            ))),
            _ => Ok(Some(folder)),
        },
        Err(Unusable::Refused(why)) => Err(anyhow::Error::msg(why)),
        Err(Unusable::Failed(why)) if upgrade => Err(anyhow::Error::msg(why)),
        Err(Unusable::Failed(why)) => {
            log::warn!("{why}: the commands reload and upgrade will not reach this process");
            Ok(None)
        }
    }
}

/// Binds the addresses, but for those whose sockets come from the process that serves from `predecessor`; these are
/// returned.
///
/// # Errors
/// When one cannot be had, with what to do.
pub(super) fn bind(
    sockets: &Sockets,
    startup: &Startup,
    predecessor: Option<&RuntimeDir>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let theirs = predecessor.map(operate::ask::status).transpose().map_err(anyhow::Error::msg)?;
    let theirs = theirs.map(|status| status.addresses).unwrap_or_default();
    let tls = startup.tls.as_ref().map(|tls| ("gateway.tls.listen (TLS_LISTEN)", tls.listen));
    let plain = [
        ("gateway.listen (LISTEN, PORT)", startup.listen),
        ("gateway.admin_listen (ADMIN_LISTEN)", startup.admin_listen),
    ];
    let mut inherited = Vec::new();
    for (setting, address) in plain.into_iter().chain(tls) {
        match theirs.contains(&address.to_string()) {
            true => inherited.push(address),
            false => {
                match theirs.iter().filter_map(|their| their.parse().ok()).find(|their| is_in_the_way(*their, address))
                {
                    Some(their) => {
                        return Err(anyhow::Error::msg(both!(
                            "{setting}: {address} cannot be had while the process that serves listens on {their}: stop that \
                             one and start this program, or restart the unit",
                            "{setting}：正在服务的进程监听着 {their}，因此无法监听 {address}：请停止那个进程再启动本程序，或重启该服务"
                        )));
                    }

                    None => sockets.bind(setting, address).map_err(anyhow::Error::msg)?,
                }
            }
        }
    }
    Ok(inherited)
}

/// The configuration in force, which requests see through `shared`.
pub(super) fn live(loaded: &Loaded, arguments: Arguments, shared: &Arc<Shared>, panel: Arc<Panel>) -> Live {
    let (prepared, observed) = (Arc::clone(shared), Arc::clone(shared));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    shared.metrics.config_loaded_at.set(now());
    let prepare: Prepare = Box::new(move |config| {
        let shared = Arc::clone(&prepared);
        team::check(&config, &shared.roster.load())?;
        let snapshot = Arc::new(Snapshot::after(config, Some(&shared.snapshot.load()))?);
        let panel = Arc::clone(&panel);
        Ok(Box::new(move || {
            snapshot.put_in_force(Some(&shared.snapshot.load()));
            shared.snapshot.store(snapshot);
            panel.open();
        }))
    });
    let observer = Box::new(move |outcome: Result<&str, &[Problem]>| {
        let [good, refused] = &observed.metrics.config_reloads;
        match outcome {
            Ok(version) => {
                observed.feed.send(|| Event::Config(version.into()));
                good.inc();
                observed.metrics.config_loaded_at.set(now());
            }
            Err(_) => refused.inc(),
        }
    });
    Live::new(arguments, Box::new(|name| std::env::var(name).ok()), loaded, prepare, observer)
}

/// How connections of clients find a place, in a process that may have this many files open.
///
/// # Errors
/// When the metrics are there already.
pub(super) fn admission(
    shared: &Arc<Shared>,
    open_files: u64,
) -> Result<impl Fn(SocketAddr) -> Result<Place, Full> + Send + Sync + 'static, prometheus::Error> {
    let connections = Arc::<Connections>::default();
    let (for_cap, shared) = (Arc::clone(shared), Arc::clone(shared));
    let cap = move || for_cap.snapshot.load().config.limits.fit(open_files).caps.total;
    prometheus::register(Box::new(connections::Collector::new(Arc::clone(&connections), cap)?))?;
    Ok(move |peer: SocketAddr| {
        let snapshot = shared.snapshot.load();
        let is_proxy = snapshot.config.trusted_proxies.trusts(peer.ip());
        connections.enter(Some(peer.ip()), is_proxy, snapshot.config.limits.fit(open_files).caps)
    })
}

/// The same for the admin service, for which descriptors are set aside.
pub(super) fn admission_of_admin(
    open_files: u64,
) -> impl Fn(SocketAddr) -> Result<Place, Full> + Send + Sync + 'static {
    let connections = Arc::<Connections>::default();
    let total = connections::fit(open_files, 1, 1).admin;
    // Nothing there goes to an upstream.
    let caps = Caps { total, per_client: most_of_one(total), descriptors: usize::MAX };
    move |peer: SocketAddr| connections.enter(Some(peer.ip()), false, caps)
}

/// Has the metrics of processes that drain shown with those of this one.
pub(super) fn register_predecessors(folder: &RuntimeDir) -> anyhow::Result<()> {
    operate::predecessors::Metrics::new(folder.clone())
        .and_then(|metrics| prometheus::register(Box::new(metrics)))
        .context("registering the metrics of processes that drain")
}

/// Starts what looks after the process.
///
/// # Errors
/// When signals cannot be listened to.
pub(super) fn supervise(
    startup: &Startup,
    folder: Option<RuntimeDir>,
    shared: &Arc<Shared>,
    live: Arc<Live>,
    (panel, recost, (team, noting), keeper): (Arc<Panel>, Recosting, (Acting, Noting), Arc<Keeper>),
    server: &Server,
    (sockets, claim): (&Arc<Sockets>, Option<Claim>),
) -> anyhow::Result<Supervisor> {
    let (in_force, known) = (Arc::clone(shared), Arc::clone(shared));
    let tls = startup.tls.as_ref().map(|tls| tls.listen);
    let addresses: Vec<_> = [startup.listen, startup.admin_listen].into_iter().chain(tls).collect();
    Supervisor::start(Parts {
        folder,
        drain: Arc::clone(&shared.drain),
        live,
        let_in: Arc::new(move |wish| panel.let_in(wish)),
        recost,
        team,
        noting,
        limits: Box::new(move || in_force.snapshot.load().config.drain),
        before_hand_over: Arc::new(move || keeper.save(&known.snapshot.load().conversations, false)),
        loops: addresses.len() * server.configuration.listener_tasks_per_fd,
        addresses,
        sockets: Arc::clone(sockets),
        claim,
        phases: server.watch_execution_phase(),
    })
    .context("listening to signals")
}

/// Ends a service from outside, and waits until it has ended.
#[derive(Default)]
pub(super) struct Stop {
    asked: tokio::sync::Notify,
    has_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Longest wait: a write that hangs must not keep the process.
    const WAIT: Duration = Duration::from_secs(5);

    /// Resolves when the service is to end.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The service has ended.
    pub(super) fn stopped(&self) {
        *self.has_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Ends the service.
    pub(super) fn stop(&self) {
        self.asked.notify_one();
        let has_stopped = self.has_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(has_stopped, Self::WAIT, |has_stopped| !*has_stopped);
        drop(waited);
    }
}
