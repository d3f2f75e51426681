//! From what the operator wrote to validated, ready-to-use values.
//!
//! [`load`] is the one place where precedence lives: command line, environment, `env/.env`, the
//! panel's overlay, the YAML file, default.
//! Every mistake is found in one go, each with its place; a configuration with a mistake is never used.

mod allow_origins;
mod atomic_file;
mod bounds;
mod files;
pub mod headers;
mod known_secrets;
mod layers;
mod limits;
pub mod live;
mod node;
mod panel;
pub mod panel_key;
mod prices;
pub mod problem;
pub mod profile;
pub mod proxy;
mod reader;
pub mod resilience;
pub mod routes;
mod rules;
pub mod schema;
pub mod secret;
mod server_conf;
pub mod settings;
mod startup;
pub mod text_file;
mod trial;
pub mod upstream;
pub mod value;
mod warnings;
mod whereabouts;

use gateway_core::addresses::TrustedProxies;
use gateway_core::rules::rule::Rule;
use gateway_core::usage::pricing::Prices;
use headers::CustomHeader;
use node::Reading;
use pingora::server::configuration::ServerConf;
use problem::{Problem, Problems, Source};
use proxy::Proxies;
use reader::{Effective, Reader};
use resilience::{Affinity, Failover, HealthSettings, Queue};
use routes::Route;
use secret::Secret;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use upstream::{Inherited, UpstreamConfig};

pub use allow_origins::AllowOrigins;
pub use atomic_file::write_whole;
pub use files::{DEFAULT_FILE, Texts};
pub use limits::Limits;
pub use reader::{Effective as EffectiveSetting, List, Lookup};
pub use startup::{LogFormat, LogSettings, Startup, TlsListener};
pub use whereabouts::{Whereabouts, whereabouts};

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

/// Which requests are kept as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// None.
    Off,
    /// Those that failed.
    Errors,
    /// All.
    All,
}

/// What the request log keeps of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureSettings {
    /// Whether the beginning of an error's body is kept.
    pub error_body: bool,
    /// Which requests are kept as a whole.
    pub requests: Kept,
    /// How much of the body of such a request is kept, in bytes.
    pub body_bytes: usize,
}

/// What requests are handled with: a reload replaces it as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// The upstreams, preferred ones first; never empty.
    pub upstreams: Vec<UpstreamConfig>,
    /// The operator's rules.
    pub rules: Vec<Rule>,
    /// Names of those that are switched off.
    pub rules_off: Vec<String>,
    /// What `SYSTEM_PROMPT_REPLACEMENT` stands for: it comes first, so that a profile still finds what it demands.
    pub first_rules: Vec<Rule>,
    /// What the headers file stands for: it comes last, since it overrides.
    pub last_rules: Vec<Rule>,
    /// Which keys go to which upstreams.
    pub routes: Vec<Route>,
    /// What becomes of `X-Forwarded-For`.
    pub forwarded_for: ForwardedFor,
    /// The reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Which web pages may send requests that the gateway adds a key to.
    pub allow_origins: AllowOrigins,
    /// Bounds on clients.
    pub limits: Limits,
    /// Longest time that an upstream takes no byte of a request.
    pub upstream_write_timeout: Duration,
    /// How long an idle connection to an upstream is kept.
    pub pool_idle_timeout: Duration,
    /// When and how often a request is tried again.
    pub failover: Failover,
    /// When an upstream counts as down, and how it comes back.
    pub health: HealthSettings,
    /// Which sessions stay with the upstream that they moved to.
    pub affinity: Affinity,
    /// Requests that wait for a place at an upstream.
    pub queue: Queue,
    /// The name servers to ask; empty for the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Whether the panel is served on the gateway's port.
    pub dashboard_enabled: bool,
    /// The panel's key, if the configuration sets one; else it is a file's (`panel_key`).
    pub dashboard_key: Option<Secret>,
    /// What the request log keeps of bodies.
    pub capture: CaptureSettings,
    /// Most models that are counted by name.
    pub models_by_name: usize,
    /// What tokens cost, by model.
    pub prices: Prices,
    /// How long requests may go on at the end.
    pub drain: Drain,
}

/// How long a process that ends goes on with its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// After a new process took over.
    pub upgrade: Duration,
    /// After SIGTERM.
    pub stop: Duration,
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
    /// The lists that are no single settings.
    pub lists: Vec<List>,
    /// What is valid, but hardly what was meant.
    pub warnings: Vec<Problem>,
    /// The texts of the files.
    pub texts: Texts,
    /// The file that was read.
    pub path: String,
}

impl Loaded {
    /// What a start with it would fail at, as far as that can be tried beforehand. An address that is in use may be that of the
    /// gateway that runs.
    pub fn next_start(&self) -> Vec<Problem> {
        trial::problems(&self.startup, &self.effective, &[], &|_| true)
    }
}

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The YAML file.
    pub file: Option<String>,
    /// Settings given as flags: key and text.
    pub overrides: Vec<(&'static str, String)>,
}

/// Texts that count instead of what the files hold, before they are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edits<'a> {
    /// The panel's overlay.
    pub overlay: Option<&'a str>,
    /// The headers file.
    pub headers: Option<&'a str>,
}

/// Loads the configuration from its files, the environment `env` and `env/.env`.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(arguments: &Arguments, env: Lookup<'_>) -> Result<Loaded, Problems> {
    load_edited(arguments, env, Edits::default())
}

/// As [`load`], with some texts in the place of files.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load_edited(arguments: &Arguments, env: Lookup<'_>, edits: Edits<'_>) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let dotenv = files::read_dotenv(&mut problems);
    let (path, yaml) = files::read_file(arguments, env, &mut problems);
    let in_files = dotenv.clone();
    // What the panel's overlay was before an edit.
    let former = RefCell::new(None::<String>);
    let names = |name: &str| {
        let in_file = in_files.get(name).filter(|value| !value.is_empty());
        let may_tell = match &*former.borrow() {
            // An edit is not to find out which variables there are.
            Some(former) => in_file.is_some() || panel::is_named(name, &[&yaml, former]),
            None => true,
        };
        env(name).filter(|value| may_tell && !value.is_empty()).or_else(|| in_file.cloned())
    };
    let mut reader = Reader::new(&path, &yaml, env, &names, dotenv, arguments.overrides.clone());
    let state_dir = PathBuf::from(reader.read("gateway.state_dir", value::text).unwrap_or_default());
    let (overlay_path, mut overlay) = files::read_overlay(&state_dir, &mut problems);
    if let Some(edited) = edits.overlay {
        former.replace(Some(std::mem::replace(&mut overlay, edited.to_owned())));
    }
    reader.set_overlay(&overlay_path, &overlay);
    problems.append(&mut reader.problems);
    reader.problems = problems;
    let barred = panel::barred(&reader, former.borrow().as_deref());
    if !barred.problems.is_empty() {
        // Nothing else is looked at: what it says of files would tell which ones there are.
        return Err(Problems(barred.problems));
    }

    let server_conf = server_conf::read(&mut reader);
    let grace = server_conf.grace_period_seconds.map(Duration::from_secs);
    let (headers_path, headers_text, headers) = read_headers(&mut reader, edits.headers);
    let lowered = lower(&mut reader, state_dir, &headers, grace);
    if let Some((config, startup)) = &lowered {
        reader.problems.extend(warnings::loops(&reader.effective, config, startup));
    }
    if former.borrow().is_some() {
        reader.problems.iter_mut().for_each(hint_at_variables);
    }
    let files = [(&path, &yaml), (&overlay_path, &overlay), (&headers_path, &headers_text)];
    match lowered {
        Some((config, startup)) if reader.problems.is_empty() => Ok(Loaded {
            warnings: [barred.warnings, warnings::find(&reader, &config), warnings::open_files(&files)].concat(),
            config,
            startup,
            server_conf,
            lists: reader.lists(),
            effective: reader.effective,
            texts: Texts { path: path.clone(), yaml, overlay_path, overlay, headers_path, headers: headers_text },
            path,
        }),
        _ => Err(Problems(reader.problems)),
    }
}

/// Says which variables an edit from the panel may name.
fn hint_at_variables(problem: &mut Problem) {
    if problem.message.ends_with(" is not set") {
        problem.message.push_str(
            ", or the panel may not use it: those in env/.env may be used, and those that the configuration names already",
        );
    }
}

/// Path and text of the headers file, and the headers in it.
fn read_headers(reader: &mut Reader<'_>, edited: Option<&str>) -> (String, String, Vec<CustomHeader>) {
    let path = reader.read("gateway.headers_file", value::text).unwrap_or_default();
    let text = match edited {
        Some(text) => text.to_owned(),
        None => headers::read(&path).unwrap_or_else(|problem| {
            reader.problems.push(problem);
            String::new()
        }),
    };
    let headers = headers::parse(&path, &text).unwrap_or_else(|mut problems| {
        reader.problems.append(&mut problems);
        Vec::new()
    });
    for header in &headers {
        let source = Source::WholeFile(path.clone());
        let key = format!("header {}", header.name);
        reader.effective.push(Effective { key, value: header.value.to_string(), source });
    }
    (path, text, headers)
}

/// All settings to their values; `None` when one without a default is wrong.
fn lower(
    reader: &mut Reader<'_>,
    state_dir: PathBuf,
    custom_headers: &[CustomHeader],
    grace: Option<Duration>,
) -> Option<(Config, Startup)> {
    let startup = Startup::read(reader, state_dir);
    let system_prompt = read_system_prompt(reader);
    let preserve_host = reader.read("gateway.preserve_host", value::boolean);
    let forwarded_for = reader.read("gateway.forwarded_for", |text| {
        value::choice(
            text,
            &[("append", ForwardedFor::Append), ("keep", ForwardedFor::Keep), ("off", ForwardedFor::Off)],
        )
    });
    let trusted_proxies = reader.read("gateway.trusted_proxies", TrustedProxies::parse).unwrap_or_default();
    let allow_origins = reader.read("gateway.allow_origins", AllowOrigins::parse).unwrap_or_default();
    let proxies = Proxies::read(reader);
    let dashboard_enabled = reader.read("gateway.dashboard.enabled", value::boolean);
    let dashboard_key = reader.read_shown("gateway.dashboard.api_key", value::text, |_| "********".to_owned());
    let capture = read_capture(reader);
    let models_by_name = reader.read("gateway.metrics.models", |text| value::number(text, 1..=1000));
    let prices = prices::read(reader);
    let drain_upgrade = reader.read("gateway.drain.upgrade", value::duration);
    let drain_stop = reader.read("gateway.drain.stop", value::duration);
    let is_stop_set = reader.source_of("gateway.drain.stop").is_some();
    let limits = Limits::read(reader);
    let connect_timeout = reader.read("gateway.timeouts.connect", value::duration);
    let read_timeout = reader.read("gateway.timeouts.read", value::duration);
    let upstream_write_timeout = reader.read("gateway.timeouts.write", value::duration);
    let first_byte_timeout = reader.read("gateway.timeouts.first_byte", value::duration);
    let pool_idle_timeout = reader.read("gateway.timeouts.pool_idle", value::duration);
    let failover = Failover::read(reader);
    let health = HealthSettings::read(reader);
    let affinity = Affinity::read(reader);
    let queue = Queue::read(reader);
    let dns_servers = reader.read("gateway.dns.servers", value::name_servers).unwrap_or_default();

    // A wrong value is noted already; a stand-in lets the upstreams be checked in the same go.
    let inherited = Inherited {
        preserve_host: preserve_host.unwrap_or_default(),
        connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(10)),
        read_timeout: read_timeout.unwrap_or(Duration::from_secs(600)),
        first_byte_timeout,
        probe: health.as_ref().and_then(|health| health.probe.path.as_deref()),
        proxies: &proxies,
    };
    let mut upstreams = upstream::read(reader, inherited);
    let routes = routes::read(reader, &mut upstreams, inherited);
    let rules = read_rules(reader, &upstreams);

    let config = Config {
        upstreams,
        rules: rules.on,
        rules_off: rules.off,
        first_rules: system_prompt.into_iter().collect(),
        last_rules: profile::headers_file(custom_headers).into_iter().collect(),
        routes,
        forwarded_for: forwarded_for?,
        trusted_proxies,
        allow_origins,
        limits: limits?,
        upstream_write_timeout: upstream_write_timeout?,
        pool_idle_timeout: pool_idle_timeout?,
        failover: failover?,
        health: health?,
        affinity: affinity?,
        queue: queue?,
        dns_servers,
        dashboard_enabled: dashboard_enabled?,
        dashboard_key: dashboard_key.map(Secret::new),
        drain: Drain { upgrade: drain_upgrade?, stop: grace.filter(|_| !is_stop_set).or(drain_stop)? },
        capture: capture?,
        models_by_name: models_by_name? as usize,
        prices,
    };
    Some((config, startup?))
}

fn read_capture(reader: &mut Reader<'_>) -> Option<CaptureSettings> {
    let error_body = reader.read("gateway.log.capture_error_body", value::boolean);
    let requests = reader.read("gateway.log.capture", |text| {
        value::choice(text, &[("off", Kept::Off), ("errors", Kept::Errors), ("all", Kept::All)])
    });
    let body_bytes = reader.read("gateway.log.capture_body", value::size);
    Some(CaptureSettings { error_body: error_body?, requests: requests?, body_bytes: body_bytes? })
}

/// The operator's rules.
fn read_rules(reader: &mut Reader<'_>, upstreams: &[UpstreamConfig]) -> rules::List {
    let Some(list) = reader.node("gateway.rules").cloned() else { return rules::List::default() };
    let names: Vec<String> = upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    // Upstreams of a variable have names that a file cannot know.
    let known = rules::Known {
        upstreams: Some(names.as_slice()).filter(|_| upstream::variable(reader).is_none()),
        is_built_in: false,
    };
    let mut problems = Vec::new();
    let places = reader.places();
    let rules = rules::read(&mut Reading::new(&places, reader.names, &mut problems), &list, "gateway.rules", known);
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

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
