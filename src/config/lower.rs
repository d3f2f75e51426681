//! What requests are handled with: all sections, read to values.

use super::section::allow_origins::AllowOrigins;
use super::section::headers::CustomHeader;
use super::section::limits::Limits;
use super::section::proxy::Proxies;
use super::section::resilience::{Affinity, Failover, HealthSettings, Queue};
use super::section::routes::{self, Route};
use super::section::startup::Startup;
use super::section::upstream::{self, Inherited, UpstreamConfig};
use super::section::{prices, profile, rules};
use super::source::message::Message;
use super::source::node_reader::NodeReader;
use super::source::secret::Secret;
use super::source::settings_reader::Reader;
use super::source::value;
use gateway_core::addresses::TrustedProxies;
use gateway_core::rules::rule::Rule;
use gateway_core::usage::pricing::Prices;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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

/// All settings to their values; `None` when one without a default is wrong.
pub fn lower(
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
    let trusted_proxies = reader
        .read("gateway.trusted_proxies", |text| {
            TrustedProxies::parse(text).map_err(|text| Message::NotAddresses { text })
        })
        .unwrap_or_default();
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
        upstreams: Some(names.as_slice()).filter(|_| reader.upstreams_variable().is_none()),
        is_built_in: false,
    };
    let mut problems = Vec::new();
    let places = reader.places();
    let rules = rules::read(&mut NodeReader::new(&places, reader.names, &mut problems), &list, "gateway.rules", known);
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
