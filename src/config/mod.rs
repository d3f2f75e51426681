//! From what the operator wrote to validated, ready-to-use values.
//!
//! [`load`] is the one place where precedence lives: command line, environment, `env/.env`, the YAML file, default.
//! Every mistake is found in one go, each with its place; a configuration with a mistake is never used.

pub mod headers;
mod node;
pub mod problem;
pub mod profile;
pub mod proxy;
mod reader;
pub mod resilience;
pub mod routes;
mod rules;
pub mod secret;
pub mod settings;
pub mod upstream;
pub mod value;

use crate::http1::head;
use crate::rules::rule::Rule;
use node::Reading;
use pingora::server::configuration::ServerConf;
use problem::{Problem, Problems, Source};
use proxy::{OutboundProxy, Proxies};
use reader::{Effective, Reader};
use resilience::{Affinity, Failover, HealthSettings, Queue};
use routes::Route;
use secret::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use upstream::{Inherited, UpstreamConfig};

pub use reader::{Effective as EffectiveSetting, Lookup};

/// The file that is used when none is named, if it exists.
pub const DEFAULT_FILE: &str = "conf/gateway.yaml";
/// The same file as it was shipped.
const BUILT_IN: &str = include_str!("../../conf/gateway.yaml");
const DOTENV_FILE: &str = "env/.env";

/// What becomes of `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The client's address is added to the chain.
    Append,
    /// The chain goes through as it came.
    Keep,
    /// The field is removed.
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
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

/// Bounds on what clients may send, and on the time they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on request heads.
    pub head: head::Limits,
    /// Bytes of one request body.
    pub request_body: usize,
    /// Bytes of all request bodies held at one time.
    pub request_bodies_total: usize,
    /// Time for a head to come in.
    pub header_timeout: Duration,
    /// Longest silence while a body comes in.
    pub body_timeout: Duration,
    /// Longest idle time between requests.
    pub keepalive_timeout: Duration,
    /// Longest time that a client takes no byte of its answer.
    pub write_timeout: Duration,
}

/// What requests are handled with: a reload replaces it as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// The upstreams, preferred ones first; never empty.
    pub upstreams: Vec<UpstreamConfig>,
    /// The operator's rules.
    pub rules: Vec<Rule>,
    /// What `SYSTEM_PROMPT_REPLACEMENT` stands for: it comes first, so that a profile still finds what it demands.
    pub first_rules: Vec<Rule>,
    /// What the headers file stands for: it comes last, since it overrides.
    pub last_rules: Vec<Rule>,
    /// Which keys go to which upstream.
    pub routes: Vec<Route>,
    /// When another upstream takes a request over.
    pub failover: Failover,
    /// When an upstream counts as broken.
    pub health: HealthSettings,
    /// How sessions stay at one upstream.
    pub affinity: Affinity,
    /// Requests that wait for a place at an upstream.
    pub queue: Queue,
    /// Servers that resolve names; empty for the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// What becomes of `X-Forwarded-For`.
    pub forwarded_for: ForwardedFor,
    /// Bounds on clients.
    pub limits: Limits,
    /// Longest time that an upstream takes no byte of a request.
    pub upstream_write_timeout: Duration,
    /// How long an idle connection to an upstream is kept.
    pub pool_idle_timeout: Duration,
    /// Whether the panel is served on the gateway's port.
    pub dashboard_enabled: bool,
    /// The panel's key.
    pub dashboard_key: Option<Secret>,
}

/// What only a restart can change.
#[derive(Debug)]
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
}

/// A whole, valid configuration.
#[derive(Debug)]
pub struct Loaded {
    /// What requests are handled with.
    pub config: Config,
    /// What only a restart can change.
    pub startup: Startup,
    /// Pingora's own settings; only a restart can change them either.
    pub server_conf: ServerConf,
    /// Each setting with its value and source.
    pub effective: Vec<Effective>,
    /// The file that was read.
    pub path: String,
}

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The YAML file.
    pub file: Option<String>,
    /// Settings given as flags: key and text.
    pub overrides: Vec<(&'static str, String)>,
}

/// Loads the configuration from its file, the environment `env` and `env/.env`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(arguments: &Arguments, env: Lookup<'_>) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let dotenv = read_dotenv(&mut problems);
    let (path, yaml) = read_file(arguments, env, &mut problems);
    let in_files = dotenv.clone();
    let names = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .or_else(|| in_files.get(name).filter(|value| !value.is_empty()).cloned())
    };
    let mut reader = Reader::new(&path, &yaml, env, &names, dotenv, arguments.overrides.clone());
    problems.append(&mut reader.problems);
    reader.problems = problems;

    let server_conf = read_server_conf(&mut reader, &yaml);
    let loaded = lower(&mut reader);
    match loaded {
        Some((config, startup)) if reader.problems.is_empty() => {
            Ok(Loaded { config, startup, server_conf, effective: reader.effective, path })
        }
        _ => Err(Problems(reader.problems)),
    }
}

fn read_dotenv(problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if !Path::new(DOTENV_FILE).exists() {
        return variables;
    }
    let mut wrong = |message: String| problems.push(Problem { at: Source::WholeFile(DOTENV_FILE.to_owned()), message });
    match dotenvy::from_path_iter(DOTENV_FILE) {
        Ok(lines) => {
            for line in lines {
                match line {
                    Ok((name, value)) => drop(variables.insert(name, value)),
                    // The line itself is not shown: it may hold a key.
                    Err(dotenvy::Error::LineParse(_, at)) => {
                        wrong(format!("a line is not NAME=value (character {at} of it); quote values with blanks"));
                    }
                    Err(error) => wrong(format!("cannot be read: {error}")),
                }
            }
        }
        Err(error) => wrong(format!("cannot be read: {error}")),
    }
    variables
}

/// The path and text of the YAML file: the one named, or the default one, or the one built in.
fn read_file(arguments: &Arguments, env: Lookup<'_>, problems: &mut Vec<Problem>) -> (String, String) {
    let named = arguments.file.clone().or_else(|| env("GATEWAY_CONFIG").filter(|path| !path.is_empty()));
    let path = match named {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).exists() => DEFAULT_FILE.to_owned(),
        None => return ("built-in defaults".to_owned(), BUILT_IN.to_owned()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => (path, text),
        Err(error) => {
            problems.push(Problem {
                at: Source::WholeFile(path.clone()),
                message: format!("the configuration cannot be read: {error}"),
            });
            (path, String::new())
        }
    }
}

/// Pingora's own settings from the top level of the file, with the gateway's defaults for some.
fn read_server_conf(reader: &mut Reader<'_>, yaml: &str) -> ServerConf {
    let known = match serde_yaml::to_value(ServerConf::default()) {
        Ok(serde_yaml::Value::Mapping(mapping)) => {
            mapping.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    reader.refuse_unknown_keys(&known);

    let mut conf = ServerConf::default();
    if reader.problems.is_empty() && !yaml.trim().is_empty() {
        match serde_yaml::from_str(yaml) {
            Ok(read) => conf = read,
            Err(error) => {
                let at = match error.location() {
                    Some(at) => Source::File { path: reader.path.clone(), line: at.line(), column: at.column() },
                    None => Source::WholeFile(reader.path.clone()),
                };
                reader.problem(at, error.to_string());
            }
        }
    }
    // Without work stealing the same work takes 10 to 20 % less CPU.
    if reader.node("work_stealing").is_none() {
        conf.work_stealing = false;
    }
    if reader.node("upstream_keepalive_pool_size").is_none() {
        conf.upstream_keepalive_pool_size = 256;
    }
    conf.grace_period_seconds = conf.grace_period_seconds.or(Some(10));
    conf.graceful_shutdown_timeout_seconds = conf.graceful_shutdown_timeout_seconds.or(Some(5));
    conf
}

/// All settings to their values; `None` when one without a default is wrong.
fn lower(reader: &mut Reader<'_>) -> Option<(Config, Startup)> {
    let listen = read_listen(reader);
    let admin_listen = reader.read("gateway.admin_listen", value::address);
    if let (Some(listen), Some(admin)) = (listen, admin_listen)
        && listen == admin
    {
        let at = reader.source_of("gateway.admin_listen").unwrap_or(Source::Default);
        reader.problem(at, format!("gateway.admin_listen: {admin} is the gateway's own address"));
    }
    let tls = read_tls(reader);
    let system_prompt = read_system_prompt(reader);
    let headers_file = reader.read("gateway.headers_file", value::text);
    let custom_headers = match headers::load(headers_file.as_deref().unwrap_or_default()) {
        Ok(headers) => {
            for header in &headers {
                let source = Source::WholeFile(headers_file.clone().unwrap_or_default());
                let key = format!("header {}", header.name);
                reader.effective.push(Effective { key, value: header.value.to_string(), source });
            }
            headers
        }
        Err(problems) => {
            reader.problems.extend(problems);
            Vec::new()
        }
    };
    let preserve_host = reader.read("gateway.preserve_host", value::boolean);
    let forwarded_for = reader.read("gateway.forwarded_for", |text| {
        value::choice(
            text,
            &[("append", ForwardedFor::Append), ("keep", ForwardedFor::Keep), ("off", ForwardedFor::Off)],
        )
    });
    let proxies = read_proxies(reader);
    let dashboard_enabled = reader.read("gateway.dashboard.enabled", value::boolean);
    let dashboard_key = reader.read_shown("gateway.dashboard.api_key", value::text, |_| "********".to_owned());
    reader.read("gateway.database", value::text);
    let debug = reader.read("gateway.debug", value::boolean);
    let log_format = reader.read("gateway.log.format", |text| {
        value::choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    });
    let limits = read_limits(reader);
    let connect_timeout = reader.read("gateway.timeouts.connect", value::duration);
    let read_timeout = reader.read("gateway.timeouts.read", value::duration);
    let first_byte_timeout = reader.read("gateway.timeouts.first_byte", value::duration);
    let upstream_write_timeout = reader.read("gateway.timeouts.write", value::duration);
    let pool_idle_timeout = reader.read("gateway.timeouts.pool_idle", value::duration);

    let (failover, health) = (resilience::failover(reader), resilience::health(reader));
    let (affinity, queue) = (resilience::affinity(reader), resilience::queue(reader));
    let dns_servers = resilience::dns_servers(reader);

    // A wrong value is noted already; a stand-in lets the upstreams be checked in the same go.
    let inherited = Inherited {
        preserve_host: preserve_host.unwrap_or_default(),
        connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(10)),
        read_timeout: read_timeout.unwrap_or(Duration::from_secs(600)),
        first_byte_timeout,
        proxies,
    };
    let mut upstreams = upstream::read(reader, &inherited);
    let routes = routes::read(reader, &mut upstreams, &inherited);
    let rules = read_rules(reader, &upstreams);

    let config = Config {
        upstreams,
        rules,
        first_rules: system_prompt.into_iter().collect(),
        last_rules: profile::headers_file(&custom_headers).into_iter().collect(),
        routes,
        failover: failover?,
        health: health?,
        affinity: affinity?,
        queue: queue?,
        dns_servers,
        forwarded_for: forwarded_for?,
        limits: limits?,
        upstream_write_timeout: upstream_write_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        dashboard_enabled: dashboard_enabled?,
        dashboard_key: dashboard_key.map(Secret::new),
    };
    let startup = Startup { listen: listen?, admin_listen: admin_listen?, tls, debug: debug?, log_format: log_format? };
    Some((config, startup))
}

fn read_proxies(reader: &mut Reader<'_>) -> Proxies {
    // A proxy's URL may hold a password.
    let mut proxy = |key| reader.read_shown(key, OutboundProxy::parse, |_| "********".to_owned());
    Proxies {
        http: proxy("gateway.proxy.http"),
        https: proxy("gateway.proxy.https"),
        all: proxy("gateway.proxy.all"),
        none: reader.read("gateway.proxy.none", value::text).unwrap_or_default(),
    }
}

/// `LISTEN`, with its port changed by `PORT` unless `LISTEN` comes from a higher source.
fn read_listen(reader: &mut Reader<'_>) -> Option<SocketAddr> {
    let listen = reader.read("gateway.listen", value::address);
    let Some((text, source)) = reader.variable("PORT") else { return listen };
    let port = value::port(&text).map_err(|message| reader.problem(source.clone(), format!("PORT: {message}"))).ok()?;
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

fn read_tls(reader: &mut Reader<'_>) -> Option<TlsListener> {
    let listen = reader.read("gateway.tls.listen", value::address);
    let cert = reader.read("gateway.tls.cert", readable_file);
    let key = reader.read("gateway.tls.key", readable_file);
    match (listen, cert, key) {
        (Some(listen), Some(cert), Some(key)) => Some(TlsListener { listen, cert, key }),
        (Some(_), _, _) => {
            if let Some(at) = reader.source_of("gateway.tls.listen") {
                reader.problem(at, "gateway.tls: the listener needs cert and key, two readable PEM files");
            }
            None
        }
        (None, _, _) => None,
    }
}

fn readable_file(path: &str) -> Result<String, String> {
    std::fs::File::open(path).map(|_| path.to_owned()).map_err(|error| format!("\"{path}\" cannot be read: {error}"))
}

/// The operator's rules.
fn read_rules(reader: &mut Reader<'_>, upstreams: &[UpstreamConfig]) -> Vec<Rule> {
    let Some(list) = reader.node("gateway.rules").cloned() else { return Vec::new() };
    let names: Vec<String> = upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    // Upstreams of a variable have names that a file cannot know.
    let known = rules::Known {
        upstreams: Some(names.as_slice()).filter(|_| !upstream::come_from_variable(reader)),
        is_built_in: false,
    };
    let mut problems = Vec::new();
    let path = reader.path.clone();
    let rules = rules::read(&mut Reading::new(&path, reader.names, &mut problems), &list, "gateway.rules", known);
    reader.problems.append(&mut problems);
    rules
}

fn read_system_prompt(reader: &mut Reader<'_>) -> Option<Rule> {
    let shorten = |text: &str| match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    };
    let replacement =
        reader.read_shown("gateway.system_prompt.replacement", value::text, |text| shorten(text).replace('\n', "\\n"));
    let insert_if_missing = reader.read("gateway.system_prompt.insert_if_missing", value::boolean)?;
    replacement.map(|text| profile::system_prompt(&text, insert_if_missing))
}

fn read_limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let request_body = reader.read("gateway.limits.request_body", value::size);
    let request_bodies_total = reader.read("gateway.limits.request_bodies_total", value::size);
    if let (Some(one), Some(all)) = (request_body, request_bodies_total)
        && one > all
    {
        let at = reader.source_of("gateway.limits.request_bodies_total").unwrap_or(Source::Default);
        reader.problem(at, "gateway.limits.request_bodies_total: this is less than gateway.limits.request_body");
    }
    let header_bytes = reader.read("gateway.limits.header_bytes", |text| {
        let bytes = value::size(text)?;
        // Pingora itself stops at 1 MiB less one byte.
        if bytes < 1_048_575 { Ok(bytes) } else { Err(format!("\"{text}\" is not below 1 MiB")) }
    });
    let header_count = reader.read("gateway.limits.header_count", |text| value::number(text, 1..=250));
    let target_bytes = reader.read("gateway.limits.target_bytes", value::size);
    let header_timeout = reader.read("gateway.limits.header_timeout", value::duration);
    let body_timeout = reader.read("gateway.limits.body_timeout", value::duration);
    let keepalive_timeout = reader.read("gateway.limits.keepalive_timeout", value::duration);
    let write_timeout = reader.read("gateway.limits.write_timeout", value::duration);
    Some(Limits {
        head: head::Limits {
            header_bytes: header_bytes?,
            header_count: usize::try_from(header_count?).ok()?,
            target_bytes: target_bytes?,
        },
        request_body: request_body?,
        request_bodies_total: request_bodies_total?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        keepalive_timeout: keepalive_timeout?,
        write_timeout: write_timeout?,
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
