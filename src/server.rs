//! The composition root: builds the parts and hands them to Pingora.

mod operation;

use crate::admin::{Admin, AdminService};
use crate::config::{Arguments, Loaded, Startup};
use crate::feed::Event;
use crate::gateway::{Door, Gateway, HealthChecks, Shared, Snapshot, Upstreams};
use crate::metrics::Metrics;
use crate::operate;
use crate::store::{Reader, RequestLog, Retention, Writer};
use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::proxy::http_proxy;
use pingora::server::configuration::Opt;
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora_prometheus::prometheus;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Serves until the process is told to stop, and has finished what it had.
///
/// # Errors
/// When it cannot start: an address in use, a certificate that cannot be read, ...
pub fn run(loaded: Loaded, arguments: Arguments, upgrade: bool) -> anyhow::Result<()> {
    let folder = operation::prepare_folder(&loaded.startup, upgrade)?;
    check_addresses(&loaded.startup, &operation::taken_over(folder.as_ref(), upgrade))?;
    let snapshot = Snapshot::new(loaded.config.clone()).map_err(anyhow::Error::msg)?;
    let has_panel = snapshot.config.dashboard_enabled;
    let targets: Vec<String> = snapshot.upstreams.iter().map(|upstream| upstream.origin()).collect();
    let settings = &loaded.startup.log;
    let (log, queue) = RequestLog::new(settings.database.is_some(), settings.queue, settings.queue_bytes);
    let reader = settings.database.as_deref().map(Reader::new);
    let writer = settings.database.clone().map(|path| {
        let retention =
            Retention { age: settings.keep, bytes: settings.keep_bytes as u64, statistics: settings.keep_statistics };
        Arc::new(Writer::new(path, retention, queue))
    });
    if let Some(writer) = writer.as_ref().filter(|_| upgrade) {
        writer.check().map_err(|error| anyhow!("gateway.database: {error}"))?;
    }
    let shared = Arc::new(Shared::new(snapshot, Metrics::register().context("registering the metrics")?, log));
    let live = Arc::new(operation::live(&loaded, arguments, &shared));
    if loaded.startup.watch {
        operate::watch::start(Arc::clone(&live)).map_err(anyhow::Error::msg)?;
    }

    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let Loaded { startup, mut server_conf, path, .. } = loaded;
    if let Some(folder) = &folder {
        server_conf.upgrade_sock = folder.upgrade_socket().display().to_string();
        operate::predecessors::Metrics::new(folder.clone())
            .and_then(|metrics| prometheus::register(Box::new(metrics)))
            .context("registering the metrics of processes that drain")?;
    }
    // Pingora sleeps through it to the end, and cuts what is running then. The supervisor ends the process before.
    server_conf.grace_period_seconds = Some(operation::LONGER_THAN_ANY_DRAIN.as_secs());
    let options = Opt { upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(Some(options), server_conf);

    let admin: Arc<Admin> = Arc::new(Admin::new(Arc::clone(&shared), reader, Arc::clone(&live)));
    let proxy = http_proxy(&server.configuration, Gateway::new(Arc::clone(&shared), Arc::clone(&admin) as _));
    let mut gateway = Service::new("gateway".to_owned(), Door::new(proxy, Arc::clone(&shared)));
    add_listeners(&mut gateway, &startup)?;
    server.add_service(gateway);
    server.add_service(background_service("health checks", HealthChecks::new(Arc::clone(&shared))));

    let stop_writing = Arc::new(operation::Stop::default());
    if let Some(writer) = &writer {
        let (writer, shared, stop) = (Arc::clone(writer), Arc::clone(&shared), Arc::clone(&stop_writing));
        server.add_service(background_service("request log", LogWriting { writer, shared, stop }));
    }
    prometheus::register(Box::new(Upstreams::new(Arc::clone(&shared))))
        .context("registering the metrics of the upstreams")?;
    let mut admin = Service::new("admin".to_owned(), AdminService::new(Arc::clone(&shared), admin));
    admin.add_tcp(&startup.admin_listen.to_string());
    server.add_service(admin);
    server.add_service(background_service("live", Seconds(Arc::clone(&shared))));

    let supervisor = operation::supervise(&startup, folder, &shared, live, &server, upgrade)?;
    if upgrade {
        operate::upgrade::report_ready();
    }
    server.bootstrap();
    log::info!(
        "anyrouter-gateway {} listens on http://{listen} and sends to {target}; panel on http://{panel}/admin; metrics on \
         http://{admin}/metrics; {path}",
        env!("CARGO_PKG_VERSION"),
        listen = startup.listen,
        panel = if has_panel { startup.listen } else { startup.admin_listen },
        admin = startup.admin_listen,
        target = targets.join(", "),
    );
    let (shutdown_signal, end) = (supervisor.shutdown_watch(), supervisor.end_guard());
    let serve = move || {
        let _end = end;
        server.run(RunArgs { shutdown_signal: Box::new(shutdown_signal) });
    };
    std::thread::Builder::new().name("pingora".to_owned()).spawn(serve).context("starting Pingora's thread")?;
    supervisor.wait();
    if let Some(writer) = writer {
        stop_writing.stop();
        writer.finish(&shared.log);
    }
    log::info!("process {} ends", std::process::id());
    Ok(())
}

/// Ends each second for those who look on, and their streams once the process drains: they would never end.
struct Seconds(Arc<Shared>);

#[async_trait]
impl BackgroundService for Seconds {
    async fn start(&self, _: ShutdownWatch) {
        let Self(shared) = self;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_draining = false;
        loop {
            tokio::select! {
                _ = seconds.tick() => {}
                () = shared.drain.began(), if !is_draining => {}
            }
            is_draining = shared.drain.is_on();
            match is_draining {
                // Again and again: a stream may begin as long as the listeners are open.
                true => shared.feed.send(|| Event::End),
                false => shared.feed.tick(),
            }
        }
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

fn add_listeners(gateway: &mut Service<Door>, startup: &Startup) -> anyhow::Result<()> {
    // Requests are read into buffers of their own size: one of Pingora's before them would only cost memory.
    let unbuffered = L4BufferSettings::default().read(0);
    gateway.add_listener(ListenerConfig::tcp(startup.listen.to_string()).l4_buffer(unbuffered));
    if let Some(tls) = &startup.tls {
        let mut settings = TlsSettings::intermediate(&tls.cert, &tls.key).context("preparing the TLS listener")?;
        settings
            .set_certificate_chain_file(&tls.cert)
            .with_context(|| format!("gateway.tls.cert: \"{}\" holds no certificate in PEM form", tls.cert))?;
        settings
            .set_private_key_file(&tls.key)
            .with_context(|| format!("gateway.tls.key: \"{}\" holds no private key in PEM form", tls.key))?;
        settings.enable_h2();
        gateway.add_tls_with_settings(&tls.listen.to_string(), None, settings);
    }
    Ok(())
}

/// Finds out about busy addresses before Pingora, which would panic. Those that are taken over are busy, of course.
fn check_addresses(startup: &Startup, taken_over: &[String]) -> anyhow::Result<()> {
    let tls = startup.tls.as_ref().map(|tls| ("gateway.tls.listen (TLS_LISTEN)", tls.listen));
    let plain = [
        ("gateway.listen (LISTEN, PORT)", startup.listen),
        ("gateway.admin_listen (ADMIN_LISTEN)", startup.admin_listen),
    ];
    let own = plain.into_iter().chain(tls).filter(|(_, address)| !taken_over.contains(&address.to_string()));
    for (setting, address) in own {
        check_address(setting, address)?;
    }
    Ok(())
}

fn check_address(setting: &str, address: SocketAddr) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use by another program: stop that one, or choose another address with {setting}")
        }
        Err(error) => bail!("cannot listen on {address}: {error}; see {setting}"),
    }
}
