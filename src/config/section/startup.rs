//! What only a restart can change: listeners, logs, folders.

use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::settings_reader::{Effective, Reader};
use crate::config::source::text_file;
use crate::config::source::value;
use pingora::tls::CryptoProvider;
use pingora::tls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How the request log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Its file; `None` keeps nothing.
    pub database: Option<PathBuf>,
    /// How long rows are kept.
    pub keep: Duration,
    /// How large it may grow, in bytes.
    pub keep_bytes: usize,
    /// How much room requests that anybody can send may take beside that, in bytes.
    pub keep_rejected_bytes: usize,
    /// How long statistics by the hour and by the day are kept.
    pub keep_statistics: Duration,
    /// Most records that wait for the disk.
    pub queue: usize,
    /// Most bytes of bodies among them.
    pub queue_bytes: usize,
}

/// The TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    /// Where it listens.
    pub listen: SocketAddr,
    /// PEM file of the certificate chain.
    pub cert: String,
    /// PEM file of the private key.
    pub key: String,
}

/// What only a restart can change.
#[derive(Clone, Debug)]
pub struct Startup {
    /// The gateway's address.
    pub listen: SocketAddr,
    /// The admin service's address.
    pub admin_listen: SocketAddr,
    /// The TLS listener, if there is one.
    pub tls: Option<TlsListener>,
    /// Whether to log at debug level.
    pub debug: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The file that log lines are added to; `None` for standard error.
    pub log_file: Option<PathBuf>,
    /// The request log.
    pub log: LogSettings,
    /// The folder for what the gateway writes itself.
    pub state_dir: PathBuf,
    /// The folder of the pid file and the sockets.
    pub runtime_dir: PathBuf,
    /// Whether changes of the files are looked for.
    pub watch: bool,
}

impl Startup {
    /// Reads it; `None` when something without a default is wrong.
    pub fn read(reader: &mut Reader<'_>, state_dir: PathBuf) -> Option<Self> {
        let listen = read_listen(reader);
        let admin_listen = reader.read("gateway.admin_listen", value::address);
        if let (Some(listen), Some(admin)) = (listen, admin_listen)
            && listen == admin
        {
            let at = reader.source_of("gateway.admin_listen").unwrap_or(Source::Default);
            reader.problem(at, "gateway.admin_listen", Message::OwnAddress { address: admin.to_string() });
        }
        let tls = read_tls(reader);
        let debug = reader.read("gateway.debug", value::boolean);
        let log_format = reader.read("gateway.log.format", |text| {
            value::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
        });
        let log_file = reader.read("gateway.log.file", value::text);
        let log = read_log(reader);
        let runtime_dir = reader.read("gateway.runtime_dir", value::text);
        let watch = reader.read("gateway.watch", value::boolean);
        Some(Self {
            listen: listen?,
            admin_listen: admin_listen?,
            tls,
            debug: debug?,
            log_format: log_format?,
            log_file: log_file.map(PathBuf::from),
            log: log?,
            state_dir,
            runtime_dir: PathBuf::from(runtime_dir?),
            watch: watch?,
        })
    }
}

/// `LISTEN`, with its port changed by `PORT` unless `LISTEN` comes from a higher source.
pub fn read_listen(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let listen = reader.read("gateway.listen", value::address);
    let Some((text, source)) = reader.variable("PORT") else { return listen };
    let port = value::port(&text).map_err(|what| reader.problem(source.clone(), "PORT", what)).ok()?;
    let is_outranked = match reader.source_of("gateway.listen") {
        Some(Source::CommandLine) => true,
        Some(Source::Environment(_)) => matches!(source, Source::DotEnv(_)),
        _ => false,
    };
    let mut listen = listen?;
    if !is_outranked {
        listen.set_port(port);
        reader.effective.push(Effective { key: "gateway.listen (port)".to_owned(), value: port.to_string(), source });
    }
    Some(listen)
}

fn read_log(reader: &mut Reader<'_>) -> Option<LogSettings> {
    let database = reader.read("gateway.database", database);
    let keep = reader.read("gateway.log.keep", value::duration);
    let keep_bytes = reader.read("gateway.log.keep_size", value::size);
    let keep_rejected_bytes = reader.read("gateway.log.keep_rejected", value::size);
    let keep_statistics = reader.read("gateway.log.keep_statistics", value::duration);
    let queue = reader.read("gateway.log.queue", |text| value::number(text, 1..=1_000_000));
    let queue_bytes = reader.read("gateway.log.queue_bytes", value::size);
    Some(LogSettings {
        database: database?,
        keep: keep?,
        keep_bytes: keep_bytes?,
        keep_rejected_bytes: keep_rejected_bytes?,
        keep_statistics: keep_statistics?,
        queue: queue? as usize,
        queue_bytes: queue_bytes?,
    })
}

/// A path, or `off`.
fn database(text: &str) -> Result<Option<PathBuf>, Message> {
    Ok((!text.eq_ignore_ascii_case("off")).then(|| PathBuf::from(text)))
}

fn read_tls(reader: &mut Reader<'_>) -> Option<TlsListener> {
    let listen = reader.read("gateway.tls.listen", value::address);
    let cert = reader.read("gateway.tls.cert", |path| certificates(path).map(|chain| (path.to_owned(), chain)));
    let key = reader.read("gateway.tls.key", |path| private_key(path).map(|key| (path.to_owned(), key)));
    match (listen, cert, key) {
        (Some(listen), Some((cert, chain)), Some((key, secret))) => {
            if let (Err(what), Some(at)) = (fits(chain, secret), reader.source_of("gateway.tls.key")) {
                reader.problem(at, "gateway.tls.key", what);
            }
            Some(TlsListener { listen, cert, key })
        }
        (Some(_), _, _) => {
            if let Some(at) = reader.source_of("gateway.tls.listen") {
                reader.problem(at, "gateway.tls", Message::TlsNeedsBoth);
            }
            None
        }
        (None, _, _) => None,
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Message> {
    match text_file::certificates(path)? {
        chain if chain.is_empty() => Err(Message::NoCertificate { path: path.to_owned() }),
        chain => Ok(chain),
    }
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, Message> {
    PrivateKeyDer::from_pem_slice(&text_file::pem(path)?)
        .map_err(|error| Message::NotAPrivateKey { path: path.to_owned(), said: error.to_string() })
}

/// Whether a key belongs to a certificate.
fn fits(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), Message> {
    pingora::tls::install_default_crypto_provider();
    let provider = CryptoProvider::get_default().ok_or(Message::NoCryptography)?;
    let both = CertifiedKey::from_der(chain, key, provider);
    both.map(drop).map_err(|error| Message::KeyDoesNotFit { said: error.to_string() })
}
