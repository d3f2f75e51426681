//! What requests are handled with: all sections, read to values.

use super::section::allow_origins::{ALLOW_ORIGINS, AllowOrigins};
use super::section::forwarding::{self, ForwardedFor, HintHeaders, Via};
use super::section::headers::CustomHeader;
use super::section::health::HealthSettings;
use super::section::key_names::{self, KeyNames};
use super::section::language::LANGUAGE;
use super::section::limits::Limits;
use super::section::notify::Notify;
use super::section::proxy::Proxies;
use super::section::request_log::CaptureSettings;
use super::section::resilience::{Affinity, Failover, Queue};
use super::section::routes::{self, Route};
use super::section::service::{self, Drain};
use super::section::startup::Startup;
use super::section::thinking::Thinking;
use super::section::upstream::{self, Inherited, UpstreamConfig};
use super::section::{error_rules, models, prices, profile, rules, system_prompt, team::Team, timeouts};
use super::source::node_reader::NodeReader;
use super::source::secret::Secret;
use super::source::settings_reader::Reader;
use gateway_core::addresses::TrustedProxies;
use gateway_core::errors::ErrorRule;
use gateway_core::language::Language;
use gateway_core::models::Model;
use gateway_core::rules::rule::Rule;
use gateway_core::usage::pricing::Prices;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What requests are handled with: a reload replaces it as a whole. A flat list, a field for each section of the file.
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
    /// The language of messages to clients that do not say which one they read.
    pub language: Language,
    /// What becomes of `X-Forwarded-For`.
    pub forwarded_for: ForwardedFor,
    /// Whether the gateway names itself in `Via`.
    pub via: Via,
    /// Whether Claude Code's hints go on to upstreams.
    pub hint_headers: HintHeaders,
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
    /// What follows an upstream's error: the operator's rules, and the built-in ones that are on.
    pub errors: Vec<Arc<ErrorRule>>,
    /// When an upstream counts as down, and how it comes back.
    pub health: HealthSettings,
    /// What is done about preserved thinking.
    pub thinking: Thinking,
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
    /// The models that are told where no upstream has a list of them; empty for those that were seen.
    pub models: Vec<Model>,
    /// What tokens cost, by model.
    pub prices: Prices,
    /// What the keys of clients are called.
    pub key_names: KeyNames,
    /// How long requests may go on at the end.
    pub drain: Drain,
    /// What holds for client tokens.
    pub team: Team,
    /// Who is told when something breaks.
    pub notify: Notify,
}

/// All settings to their values; `None` when one with a default is wrong.
pub(super) fn lower(
    reader: &mut Reader<'_>,
    state_dir: PathBuf,
    custom_headers: &[CustomHeader],
    grace: Option<Duration>,
) -> Option<(Config, Startup)> {
    let startup = Startup::read(reader, state_dir);
    let system_prompt = system_prompt::read(reader);
    let proxies = Proxies::read(reader);
    let health = HealthSettings::read(reader);
    let inherited = Inherited {
        preserve_host: reader.get(&forwarding::PRESERVE_HOST),
        connect_timeout: reader.get(&timeouts::CONNECT),
        read_timeout: reader.get(&timeouts::READ),
        first_byte_timeout: reader.get_if_set(&timeouts::FIRST_BYTE),
        first_event_timeout: reader.get_if_set(&timeouts::FIRST_EVENT),
        probe: health.probe.path.as_deref(),
        proxies: &proxies,
    };
    let language = language(reader);
    let mut config = Config {
        upstreams: Vec::new(),
        rules: Vec::new(),
        rules_off: Vec::new(),
        first_rules: system_prompt.into_iter().collect(),
        last_rules: profile::headers_file(custom_headers).into_iter().collect(),
        routes: Vec::new(),
        language,
        forwarded_for: reader.get(&forwarding::FORWARDED_FOR),
        via: reader.get(&forwarding::VIA),
        hint_headers: reader.get(&forwarding::HINT_HEADERS),
        trusted_proxies: reader.get_if_set(&forwarding::TRUSTED_PROXIES).unwrap_or_default(),
        allow_origins: reader.get_if_set(&ALLOW_ORIGINS).unwrap_or_default(),
        limits: Limits::read(reader),
        upstream_write_timeout: reader.get(&timeouts::WRITE),
        pool_idle_timeout: reader.get(&timeouts::POOL_IDLE),
        failover: Failover::read(reader),
        errors: Vec::new(),
        health: health.clone(),
        thinking: Thinking::read(reader),
        affinity: Affinity::read(reader),
        queue: Queue::read(reader),
        dns_servers: reader.get_if_set(&timeouts::DNS_SERVERS).unwrap_or_default(),
        dashboard_enabled: reader.get(&service::DASHBOARD_ENABLED),
        dashboard_key: reader.get_if_set(&service::DASHBOARD_KEY).map(Secret::new),
        capture: CaptureSettings::read(reader),
        models_by_name: reader.get(&service::MODELS_BY_NAME),
        models: models::read(reader),
        prices: prices::read(reader),
        key_names: key_names::read(reader),
        drain: Drain::read(reader, grace),
        team: Team::read(reader),
        notify: Notify::read(reader, language, &proxies),
    };
    config.upstreams = upstream::read(reader, inherited);
    config.errors = error_rules::read(reader, &config.upstreams);
    config.routes = routes::read(reader, &mut config.upstreams, inherited);
    rules::List { on: config.rules, off: config.rules_off } = read_rules(reader, &config.upstreams);
    (!reader.has_stand_ins()).then_some((config, startup))
}

/// The language that is spoken unless somebody asks for the other one.
fn language(reader: &mut Reader<'_>) -> Language {
    let named = reader.get(&LANGUAGE).or_else(|| Language::of_locale(reader.environment()));
    named.unwrap_or(Language::English)
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
    let mut reading = NodeReader::new(&places, reader.names, &mut problems);
    let rules = rules::read(&mut reading, &list, "gateway.rules", known);
    let mut warnings = reading.warnings;
    reader.warnings.append(&mut warnings);
    reader.problems.append(&mut problems);
    rules
}
