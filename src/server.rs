//! The composition root: builds the parts and hands them to Pingora.

mod cache_waste;
mod drift;
mod models;
mod operation;
mod panel;
pub(crate) mod recost;
pub(crate) mod team;

use crate::admin::{Admin, AdminService};
use crate::config::live::Live;
use crate::config::{Arguments, Loaded, Startup};
use crate::connections::Fit;
use crate::doctor::Schedule;
use crate::feed::Event;
use crate::gateway::{
    BalanceChecks, Door, Gateway, HealthChecks, Keeper, LineChecks, Shared, Snapshot, SteeringChecks, Upstreams,
};
use crate::ledger::{Counts, Ledger};
use crate::listen::{self, Endpoint, Listening, Sockets};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::operate::{self, Claim, Supervisor};
use crate::store::{Reader, RequestLog, Retention, Writer};
use anyhow::Context;
use async_trait::async_trait;
use drift::{Drift, Gauges};
use gateway_core::both;
use models::ModelsBefore;
use pingora::proxy::http_proxy;
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora_prometheus::prometheus;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Serves until the process is told to stop, and has finished what it had.
///
/// # Errors
/// When it cannot start: an address in use, a certificate that cannot be read, ...
pub(crate) fn run(loaded: Loaded, arguments: Arguments, upgrade: bool) -> anyhow::Result<()> {
    operation::seal(loaded.startup.debug);
    let open_files = listen::raise_descriptor_limit();
    operation::prepare_state(&loaded.startup)?;
    let folder = operation::prepare_folder(&loaded.startup, upgrade)?;
    let sockets = Arc::new(Sockets::default());
    let inherited = operation::bind(&sockets, &loaded.startup, folder.as_ref().filter(|_| upgrade))?;
    let snapshot = Snapshot::new(loaded.config.clone()).map_err(anyhow::Error::msg)?;
    let has_panel = snapshot.config.dashboard_enabled;
    let targets: Vec<String> = snapshot.upstreams.iter().map(|upstream| upstream.origin()).collect();
    let (log, reader, writer) = request_log(&loaded.startup);
    if let Some(writer) = writer.as_ref().filter(|_| upgrade) {
        let key = loaded.startup.log.store.as_ref().map(|store| store.key()).unwrap_or_default();
        writer.check().map_err(|error| anyhow::Error::msg(both!("{key}: {error}", "{key}（请求日志）：{error}")))?;
    }
    let ledger = Ledger::new(Counts::register(prometheus::default_registry()).context("registering the metrics")?);
    let metrics = Metrics::register().context("registering the metrics")?;
    let shared = Arc::new(Shared::new(snapshot, metrics, log, ledger));
    let team = team::open(&loaded.startup, &shared)?;
    let noting = team::noting(&team);
    let keeper = Arc::new(Keeper::new(&loaded.startup.state_dir));
    let panel = Arc::new(panel::Panel::new(Arc::clone(&shared), loaded.startup.clone()));
    panel.open();
    let live = Arc::new(operation::live(&loaded, arguments.clone(), &shared, Arc::clone(&panel)));
    if loaded.startup.watch {
        operate::watch::start(Arc::clone(&live), Arc::clone(&noting)).map_err(anyhow::Error::msg)?;
    }

    let fit = fit_with_warnings(&loaded, open_files);
    let Loaded { startup, mut server_conf, path, .. } = loaded;
    server_conf.upstream_keepalive_pool_size = server_conf.upstream_keepalive_pool_size.min(fit.kept_upstreams);
    folder.as_ref().map_or(Ok(()), operation::register_predecessors)?;
    // Pingora sleeps through it to the end, and cuts what is running then. The supervisor ends the process before.
    server_conf.grace_period_seconds = Some(operation::LONGER_THAN_ANY_DRAIN.as_secs());
    let mut server = Server::new_with_opt_and_conf(None, server_conf);

    // Where the log has the requests of several gateways, a ledger of one of them says less.
    let own_log = reader.clone().filter(|reader| reader.store().file().is_some());
    let compared = own_log.map(|reader| drift(reader, &shared, &team, &startup)).transpose()?;
    let before = reader.clone().map(|reader| ModelsBefore { shared: Arc::clone(&shared), reader });
    let recosts = startup.log.store.as_ref().map(|store| recost::of(store, &shared));
    let certificate_ends = startup.tls.as_ref().and_then(|tls| tls.ends);
    let notifier = Notifier::new(Arc::clone(&shared), reader.clone(), Arc::clone(&live), certificate_ends);
    let notifier = Arc::new(notifier);
    let admin = Admin::new(
        Arc::clone(&shared),
        reader,
        recosts.clone(),
        Arc::clone(&live),
        Arc::clone(&notifier),
        Arc::clone(&team),
        &startup.state_dir,
    );
    let admin: Arc<Admin> = Arc::new(admin);
    let proxy = http_proxy(&server.configuration, Gateway::new(Arc::clone(&shared), Arc::clone(&admin) as _));
    let door = Door::new(proxy, Arc::clone(&shared), Arc::clone(&admin) as _);
    let endpoints = gateway_endpoints(&startup)?;
    let admission = operation::admission(&shared, open_files).context("registering the metrics of connections")?;
    let time = handshake_time(&shared);
    server.add_service(Listening::new("gateway", door, Arc::clone(&sockets), endpoints, time, admission));
    server.add_service(background_service("health checks", HealthChecks::new(Arc::clone(&shared))));
    server.add_service(background_service("line checks", LineChecks::new(Arc::clone(&shared))));
    server.add_service(background_service("balances", BalanceChecks::new(Arc::clone(&shared))));
    server.add_service(background_service("steering", SteeringChecks::new(Arc::clone(&shared))));
    server.add_service(background_service("tests of upstreams", Schedule::new(Arc::clone(&shared))));

    if let Some(before) = before {
        server.add_service(background_service("models used before", before));
    }
    if let Some(compared) = compared {
        server.add_service(background_service("ledger and log compared", compared));
    }
    server.add_service(background_service("notifications", Notifications(notifier)));
    let stop_writing = Arc::new(operation::Stop::default());
    if let Some(writer) = &writer {
        let (writer, shared, stop) = (Arc::clone(writer), Arc::clone(&shared), Arc::clone(&stop_writing));
        server.add_service(background_service("request log", LogWriting { writer, shared, stop }));
    }
    prometheus::register(Box::new(Upstreams::new(Arc::clone(&shared))))
        .context("registering the metrics of the upstreams")?;
    let (of_state, of_team) = (Arc::clone(&live), Arc::clone(&team));
    let state = State { startup: startup.clone(), panel: Arc::clone(&panel), live: of_state, team: of_team };
    let (admin_pages, kept) = (Arc::clone(&admin), Arc::clone(&keeper));
    let seconds = Seconds { shared: Arc::clone(&shared), admin: admin_pages, keeper: kept, state: Arc::new(state) };
    let pages = AdminService::new(Arc::clone(&shared), Arc::clone(&admin) as _);
    let door = Door::of_pages(pages, Arc::clone(&shared), admin).context("preparing the admin service")?;
    let admission = operation::admission_of_admin(open_files);
    let endpoints = vec![Endpoint { address: startup.admin_listen, tls: None }];
    let time = handshake_time(&shared);
    server.add_service(Listening::new("admin", door, Arc::clone(&sockets), endpoints, time, admission));
    server.add_service(background_service("live", seconds));

    // While the process before this one still serves: between its sockets and the first request there must be no wait.
    cache_waste::restore(startup.log.store.as_ref(), &shared);
    let claim = folder.as_ref().filter(|_| upgrade).map(Claim::announce).transpose().map_err(anyhow::Error::msg)?;
    let heir = claim.as_ref().map(Claim::try_clone).transpose()?;
    let acting = (team::for_commands(team, Arc::clone(&shared)), noting);
    let for_commands = (Arc::clone(&panel), recost::for_commands(recosts), acting, Arc::clone(&keeper));
    let supervisor = operation::supervise(&startup, folder, &shared, live, for_commands, &server, (&sockets, heir))?;
    if let Some(claim) = claim {
        operate::upgrade::report_ready();
        claim.sockets().and_then(|given| sockets.adopt(given, &inherited)).map_err(anyhow::Error::msg)?;
    }
    // The process before this one has written what it knows before it gave its sockets away.
    keeper.load(&shared.snapshot.load().conversations);
    server.bootstrap();
    announce(&startup, &targets.join(", "), has_panel, &path);
    panel.tell(&arguments);
    start_pingora(server, &supervisor)?;
    let how = supervisor.wait();
    keeper.save(&shared.snapshot.load().conversations, shared.drain.has_successor());
    shared.ledger.end();
    if let Some(writer) = writer {
        stop_writing.stop();
        writer.finish(&shared.log);
    }
    log::info!("process {} ends", std::process::id());
    // A service manager starts it again only after a fault.
    if how == operate::End::Fault {
        return Err(anyhow::Error::msg(both!(
            "what serves requests has ended by itself; the log says why",
            "处理请求的服务意外退出；原因见日志"
        )));
    }
    Ok(())
}

/// The request log: where records go in, who reads it, and who writes it.
fn request_log(startup: &Startup) -> (RequestLog, Option<Reader>, Option<Arc<Writer>>) {
    let settings = &startup.log;
    let (log, queue) =
        RequestLog::new(settings.store.is_some(), settings.shapes > 0, settings.queue, settings.queue_bytes);
    let reader = settings.store.as_ref().map(Reader::new);
    let writer = settings.store.clone().map(|store| {
        let retention = Retention {
            age: settings.keep,
            bytes: settings.keep_bytes as u64,
            stray_bytes: settings.keep_rejected_bytes as u64,
            statistics: settings.keep_statistics,
            shapes: settings.shapes,
        };
        Arc::new(Writer::new(store, retention, queue))
    });
    (log, reader, writer)
}

/// What compares the request log with the ledger.
fn drift(
    reader: Reader,
    shared: &Arc<Shared>,
    team: &Arc<crate::team::Keeper>,
    startup: &Startup,
) -> anyhow::Result<Drift> {
    let gauges = Gauges::register(prometheus::default_registry()).context("registering the metrics")?;
    let (shared, team, state_dir) = (Arc::clone(shared), Arc::clone(team), startup.state_dir.clone());
    Ok(Drift { shared, team, reader, state_dir, gauges })
}

/// What fits into the files that the process may open; logs that, and what else the operator should know.
fn fit_with_warnings(loaded: &Loaded, open_files: u64) -> Fit {
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let fit = loaded.config.limits.fit(open_files);
    if let Some(notice) = fit.notice(open_files, loaded.config.limits.connections) {
        log::warn!("{notice}");
    }
    fit
}

/// Logs where everything is.
fn announce(startup: &Startup, target: &str, has_panel: bool, path: &str) {
    log::info!(
        "anyrouter-gateway {} listens on http://{listen} and sends to {target}; panel on http://{panel}/admin; metrics on \
         http://{admin}/metrics; {path}",
        env!("CARGO_PKG_VERSION"),
        listen = startup.listen,
        panel = if has_panel { startup.listen } else { startup.admin_listen },
        admin = startup.admin_listen,
    );
}

/// Has Pingora serve, on a thread of its own.
fn start_pingora(server: Server, supervisor: &Supervisor) -> anyhow::Result<()> {
    let (shutdown_signal, end) = (supervisor.shutdown_watch(), supervisor.end_guard());
    let serve = move || {
        let _end = end;
        server.run(RunArgs { shutdown_signal: Box::new(shutdown_signal) });
    };
    std::thread::Builder::new().name("pingora".to_owned()).spawn(serve).context("starting Pingora's thread")?;
    Ok(())
}

/// What the state folder holds beside what others of [`Seconds`] keep there.
struct State {
    startup: Startup,
    panel: Arc<panel::Panel>,
    live: Arc<Live>,
    team: Arc<crate::team::Keeper>,
}

impl State {
    /// Has what somebody deleted written again.
    fn keep(&self) {
        operation::keep_state(&self.startup);
        self.live.keep_edits();
        self.panel.keep();
    }
}

/// How often two processes that serve at one time exchange what they know of conversations.
const EXCHANGE: Duration = Duration::from_millis(20);

/// Ends each second for those who look on, and their streams once the process drains: they would never end. Looks what
/// another process has changed.
struct Seconds {
    shared: Arc<Shared>,
    admin: Arc<Admin>,
    keeper: Arc<Keeper>,
    state: Arc<State>,
}

#[async_trait]
impl BackgroundService for Seconds {
    async fn start(&self, _: ShutdownWatch) {
        let Self { shared, admin, keeper, state } = self;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_draining = false;
        let mut exchanges = tokio::time::interval(EXCHANGE);
        exchanges.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = seconds.tick() => {}
                () = shared.drain.began(), if !is_draining => {}
                _ = exchanges.tick(), if keeper.is_in_a_hurry(shared.drain.has_successor()) => {
                    let (keeper, shared) = (Arc::clone(keeper), Arc::clone(shared));
                    let exchange =
                        move || keeper.tick(&shared.snapshot.load().conversations, shared.drain.has_successor());
                    // One after the other.
                    let _ = tokio::task::spawn_blocking(exchange).await;
                    continue;
                }
            }
            if shared.drain.is_on() && !is_draining {
                shared.ledger.drain();
            }
            is_draining = shared.drain.is_on();
            match is_draining {
                // Again and again: a stream may begin as long as the listeners are open.
                true => shared.feed.send(|| Event::End),
                false => shared.feed.tick(),
            }
            let (admin, keeper, shared, state) =
                (Arc::clone(admin), Arc::clone(keeper), Arc::clone(shared), Arc::clone(state));
            drop(tokio::task::spawn_blocking(move || {
                if !shared.drain.is_on() {
                    state.keep();
                }
                team::refresh(&state.team, &shared);
                admin.refresh();
                keeper.tick(&shared.snapshot.load().conversations, shared.drain.has_successor());
            }));
        }
    }
}

/// The service that tells what breaks.
struct Notifications(Arc<Notifier>);

#[async_trait]
impl BackgroundService for Notifications {
    /// Goes on while requests are drained: what waits still goes out.
    async fn start(&self, _: ShutdownWatch) {
        self.0.run().await;
    }
}

/// The service that writes the request log.
struct LogWriting {
    writer: Arc<Writer>,
    shared: Arc<Shared>,
    stop: Arc<operation::Stop>,
}

#[async_trait]
impl BackgroundService for LogWriting {
    /// Goes on while requests are still drained, until it is told to stop.
    async fn start(&self, _: ShutdownWatch) {
        tokio::select! {
            () = self.writer.run(&self.shared.log) => {}
            () = self.stop.asked() => {}
        }
        self.stop.stopped();
    }
}

/// Where requests come in.
fn gateway_endpoints(startup: &Startup) -> anyhow::Result<Vec<Endpoint>> {
    let mut endpoints = vec![Endpoint { address: startup.listen, tls: None }];
    if let Some(tls) = &startup.tls {
        let acceptor = listen::tls::acceptor(&tls.cert, &tls.key).map_err(anyhow::Error::msg)?;
        endpoints.push(Endpoint { address: tls.listen, tls: Some(Arc::new(acceptor)) });
    }
    Ok(endpoints)
}

/// A TLS handshake has the time of a request head.
fn handshake_time(shared: &Arc<Shared>) -> impl Fn() -> Duration + Send + Sync + 'static {
    let shared = Arc::clone(shared);
    move || shared.snapshot.load().config.limits.header_timeout
}
