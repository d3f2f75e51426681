//! The composition root: builds the parts and hands them to Pingora.

use crate::admin::{Admin, AdminService};
use crate::config::{Loaded, Startup};
use crate::feed::Event;
use crate::gateway::{Door, Gateway, HealthChecks, Shared, Snapshot, Upstreams};
use crate::metrics::Metrics;
use crate::store::{Reader, RequestLog, Retention, Writer};
use anyhow::{Context, bail};
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

/// Serves until the process is told to stop.
///
/// # Errors
/// When it cannot start: an address in use, a certificate that cannot be read, ...
pub fn run(loaded: Loaded, upgrade: bool) -> anyhow::Result<()> {
    let Loaded { config, startup, server_conf, path, .. } = loaded;
    if !upgrade {
        check_addresses(&startup)?;
    }
    let snapshot = Snapshot::new(config).map_err(anyhow::Error::msg)?;
    let targets: Vec<String> = snapshot.upstreams.iter().map(|upstream| upstream.origin()).collect();
    let settings = &startup.log;
    let (log, queue) = RequestLog::new(settings.database.is_some(), settings.queue, settings.queue_bytes);
    let reader = settings.database.as_deref().map(Reader::new);
    let writer = settings.database.clone().map(|path| {
        let retention =
            Retention { age: settings.keep, bytes: settings.keep_bytes as u64, statistics: settings.keep_statistics };
        Arc::new(Writer::new(path, retention, queue))
    });
    let shared = Arc::new(Shared::new(snapshot, Metrics::register().context("registering the metrics")?, log));

    let options = Opt { upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(Some(options), server_conf);
    server.bootstrap();

    let admin: Arc<Admin> = Arc::new(Admin::new(Arc::clone(&shared), reader));
    let proxy = http_proxy(&server.configuration, Gateway::new(Arc::clone(&shared), Arc::clone(&admin) as _));
    let mut gateway = Service::new("gateway".to_owned(), Door::new(proxy, Arc::clone(&shared)));
    add_listeners(&mut gateway, &startup)?;
    server.add_service(gateway);
    server.add_service(background_service("health checks", HealthChecks::new(Arc::clone(&shared))));

    if let Some(writer) = &writer {
        let writing = LogWriting { writer: Arc::clone(writer), shared: Arc::clone(&shared) };
        server.add_service(background_service("request log", writing));
    }
    prometheus::register(Box::new(Upstreams::new(Arc::clone(&shared))))
        .context("registering the metrics of the upstreams")?;
    let mut admin = Service::new("admin".to_owned(), AdminService::new(Arc::clone(&shared), admin));
    admin.add_tcp(&startup.admin_listen.to_string());
    server.add_service(admin);
    server.add_service(background_service("live", Seconds(Arc::clone(&shared))));

    log::info!(
        "anyrouter-gateway {} listens on http://{} and sends to {target}; metrics on http://{}/metrics; {path}",
        env!("CARGO_PKG_VERSION"),
        startup.listen,
        startup.admin_listen,
        target = targets.join(", "),
    );
    server.run(RunArgs::default());
    if let Some(writer) = writer {
        writer.finish(&shared.log);
    }
    Ok(())
}

/// Ends each second for those who look on.
struct Seconds(Arc<Shared>);

#[async_trait]
impl BackgroundService for Seconds {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = seconds.tick() => self.0.feed.tick(),
                _ = shutdown.changed() => break,
            }
        }
        self.0.feed.send(|| Event::End);
    }
}

/// The service that writes the request log.
struct LogWriting {
    writer: Arc<Writer>,
    shared: Arc<Shared>,
}

#[async_trait]
impl BackgroundService for LogWriting {
    /// Goes on while requests are still drained: it ends with its runtime.
    async fn start(&self, _: ShutdownWatch) {
        self.writer.run(&self.shared.log).await;
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

/// Finds out about busy addresses before Pingora, which would panic.
fn check_addresses(startup: &Startup) -> anyhow::Result<()> {
    let tls = startup.tls.as_ref().map(|tls| ("gateway.tls.listen (TLS_LISTEN)", tls.listen));
    let plain = [
        ("gateway.listen (LISTEN, PORT)", startup.listen),
        ("gateway.admin_listen (ADMIN_LISTEN)", startup.admin_listen),
    ];
    for (setting, address) in plain.into_iter().chain(tls) {
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
