//! What is valid, but hardly what was meant.

use super::files::{Arguments, DOTENV_FILE};
use super::former;
use super::lower::Config;
use super::mask;
use super::panel_key::{self, Weakness};
use super::section::base_url::{self, BaseUrl};
use super::section::routes::KEY_MAPPINGS_FILE;
use super::section::settings;
use super::section::startup::Startup;
use super::section::upstream::UpstreamConfig;
use super::service_file::{MOST_LINES, in_line};
use super::source::environment::Lookup;
use super::source::environment_file::{Assignment, EnvironmentFile};
use super::source::message::Message;
use super::source::problem::{Problem, Source};
use super::source::settings_reader::{Effective, Reader};
use super::source::text_file;
use gateway_core::redact::{is_secret_name, looks_like_secret};
use gateway_core::rules::body::BodyAction;
use gateway_core::rules::header::HeaderOp;
use gateway_core::rules::matcher::Condition;
use gateway_core::rules::rule::Rule;
use marked_yaml::Node;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Variables that are looked for in the environment alone.
const NOT_FOR_THE_FILE: [&str; 2] = ["GATEWAY_CONFIG", "RUST_LOG"];
/// The upstreams of the shipped file.
const SHIPPED: &str = r#"[{"name":"anyrouter","base_url":"https://anyrouter.top"}]"#;
/// The variables that say where requests go.
const ADDRESSES: [&str; 2] = ["API_BASE_URL", "API_BASE_URLS"];
/// From which likeness on, of 1, another name is taken for a slip of the pen.
const LIKENESS: f64 = 0.85;

/// All that is worth a word.
pub(super) fn find(reader: &Reader<'_>, config: &Config, file: Option<&EnvironmentFile>) -> Vec<Problem> {
    let mut warnings = hidden_lists(reader);
    for (setting, url) in base_urls(&reader.effective) {
        let told = url.endpoint_in_it();
        warnings.extend(told.map(|what| Problem { at: setting.source.clone(), key: setting.key.clone(), what }));
    }
    // With client tokens each of them has a key, and needs no route.
    for upstream in config.upstreams.iter().filter(|upstream| upstream.is_reserved && !config.team.require_token) {
        if !config.routes.iter().any(|route| route.upstreams.contains(&upstream.name)) {
            let at = list_place(reader, "gateway.upstreams");
            let what = Message::UpstreamUnused { name: upstream.name.clone() };
            warnings.push(Problem { at, key: String::new(), what });
        }
    }
    for upstream in &config.upstreams {
        if !upstream.api_keys.is_empty() && upstream.api_keys.iter().all(|key| !key.is_enabled) {
            let at = list_place(reader, "gateway.upstreams");
            let what = Message::UpstreamKeysOff { name: upstream.name.clone() };
            warnings.push(Problem { at, key: String::new(), what });
        }
    }
    warnings.extend(insecure_ways(reader, config));
    for network in config.trusted_proxies.too_wide() {
        let found = reader.effective.iter().find(|setting| setting.key == "gateway.trusted_proxies");
        let at = found.map_or(Source::Default, |setting| setting.source.clone());
        let what = Message::ProxiesTooWide { network: network.to_string() };
        warnings.push(Problem { at, key: "gateway.trusted_proxies".to_owned(), what });
    }
    warnings.extend(keys_for_all(reader, config));
    warnings.extend(changes_of_prefix(reader, config));
    warnings.extend(weak_panel_key(reader, config));
    warnings.extend(misspelt_variables(reader));
    warnings.extend(file.into_iter().flat_map(|file| misspelt_for_systemd(reader, file)));
    warnings.extend(former::find(reader));
    warnings
}

/// Ways on which keys can be read by others.
fn insecure_ways(reader: &Reader<'_>, config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for upstream in &config.upstreams {
        let of_upstream = |setting: &&Effective| setting.key.ends_with("].base_url");
        let is_it =
            |setting: &&Effective| base_url::parse(&setting.value).is_ok_and(|base_url| base_url == upstream.base_url);
        let at = reader.effective.iter().filter(of_upstream).find(is_it).map(|setting| setting.source.clone());
        let at = at.unwrap_or_else(|| list_place(reader, "gateway.upstreams"));
        if upstream.insecure && upstream.base_url.tls {
            let what = Message::UpstreamInsecure { name: upstream.name.clone() };
            warnings.push(Problem { at: at.clone(), key: String::new(), what });
        }
        if !upstream.base_url.tls && !upstream.api_keys.is_empty() && !is_this_machine(&upstream.base_url.host) {
            let what = Message::KeyWithoutTls { name: upstream.name.clone() };
            warnings.push(Problem { at, key: String::new(), what });
        }
    }
    warnings
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    host == "localhost" || host.ends_with(".localhost") || is_loopback
}

/// Files with secrets in them that others than their owner can read. `texts` are those that were read: paths and texts.
pub(super) fn open_files(texts: &[(&String, &String)]) -> Vec<Problem> {
    let [yaml, overlay, headers] = texts else { return Vec::new() };
    let has_secrets = |text: &str| mask::has_secrets(text);
    let with_secrets = |(path, text): &(&String, &String)| has_secrets(text).then(|| (*path).clone());
    let dotenv = text_file::read_again(Path::new(DOTENV_FILE)).unwrap_or_default();
    let is_secret_line = |line: &str| {
        let Some((name, value)) = line.split_once('=') else { return false };
        let is_comment = line.trim_start().starts_with('#');
        !is_comment && !value.trim().is_empty() && (is_secret_name(name) || looks_like_secret(value.as_bytes()))
    };
    let paths = [yaml, overlay, headers].into_iter().filter_map(with_secrets);
    let dotenv = dotenv.lines().any(is_secret_line).then(|| DOTENV_FILE.to_owned());
    let paths = paths.chain(dotenv).chain([KEY_MAPPINGS_FILE.to_owned()]);
    let mode = |path: &String| Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let open = paths.filter_map(|path| Some((mode(&path).filter(|mode| mode & 0o077 != 0)?, path)));
    open.map(|(mode, path)| {
        let mode = format!("{mode:03o}");
        Problem::of_file(&path, Message::FileOpen { path: path.clone(), mode })
    })
    .collect()
}

/// Keys that are added to everybody's requests: those of the headers file, and of rules that ask for nothing that not
/// everybody can send. Where all upstreams are reserved for clients whose keys are known, nobody else has any.
fn keys_for_all(reader: &Reader<'_>, config: &Config) -> Vec<Problem> {
    if config.upstreams.iter().all(|upstream| upstream.is_reserved) {
        return Vec::new();
    }
    let in_file = config.last_rules.iter().flat_map(added_keys).map(|name| {
        let key = format!("header {name}");
        let at = reader.effective.iter().find(|setting| setting.key == key).map(|setting| setting.source.clone());
        let what = Message::HeaderKeyForAll { name: name.to_owned() };
        Problem { at: at.unwrap_or(Source::Default), key: String::new(), what }
    });
    let is_for_all = |rule: &&Rule| {
        let anybody = |condition: &Condition| {
            matches!(condition, Condition::Method(_) | Condition::Path(_) | Condition::Query(..) | Condition::Model(_))
        };
        rule.matcher.0.iter().all(anybody)
    };
    let in_rules = config.rules.iter().filter(is_for_all).flat_map(|rule| {
        added_keys(rule).map(|name| Problem {
            at: list_place(reader, "gateway.rules"),
            key: String::new(),
            what: Message::RuleKeyForAll { rule: rule.name.to_string(), name: name.to_owned() },
        })
    });
    in_file.chain(in_rules).collect()
}

/// Rules that make another `system` or `tools` from turn to turn, or something else of the attribution.
fn changes_of_prefix(reader: &Reader<'_>, config: &Config) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for rule in config.rules.iter().filter(|rule| rule.body.iter().any(BodyAction::changes_prefix)) {
        let mut warn =
            |what| warnings.push(Problem { at: list_place(reader, "gateway.rules"), key: String::new(), what });
        let name = || rule.name.to_string();
        if let Some(condition) = rule.matcher.varying().into_iter().next() {
            warn(Message::PrefixVaries { rule: name(), condition });
        }
        if rule.body.iter().any(BodyAction::disturbs_attribution) {
            warn(Message::AttributionDisturbed { rule: name() });
        }
    }
    warnings
}

/// The fields in which a rule sends a key that stands in it.
fn added_keys(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.headers.iter().filter_map(|op| match op {
        HeaderOp::Set(name, value) | HeaderOp::Add(name, value) | HeaderOp::Default(name, value) => {
            let text = value.fixed_text()?;
            let is_key = is_secret_name(name.name.as_str()) || looks_like_secret(text.as_bytes());
            is_key.then_some(name.cased.as_str())
        }
        _ => None,
    })
}

/// A key of the panel that somebody could guess. Who has it may change everything.
fn weak_panel_key(reader: &Reader<'_>, config: &Config) -> Option<Problem> {
    let what = match panel_key::weakness(config.dashboard_key.as_ref()?.expose())? {
        Weakness::Short => Message::PanelKeyShort,
        Weakness::Plain => Message::PanelKeyPlain,
        Weakness::Sequence => Message::PanelKeySequence,
        Weakness::Words => Message::PanelKeyWords,
    };
    let setting = reader.effective.iter().find(|setting| setting.key == "gateway.dashboard.api_key");
    let at = setting.map_or(Source::Default, |setting| setting.source.clone());
    Some(Problem { at, key: "gateway.dashboard.api_key".to_owned(), what })
}

/// Upstreams to which requests with client tokens could not go, because there is no key in whose place the token stands.
pub(super) fn without_keys(reader: &Reader<'_>, config: &Config) -> Vec<Problem> {
    let keyless = config.upstreams.iter().filter(|upstream| config.team.require_token && upstream.api_keys.is_empty());
    let problem = |upstream: &UpstreamConfig| {
        let what = Message::UpstreamWithoutKey { name: upstream.name.clone() };
        Problem { at: list_place(reader, "gateway.upstreams"), key: String::new(), what }
    };
    keyless.map(problem).collect()
}

/// Upstreams that are this gateway itself: requests would go round and round. Through an outbound proxy the same address
/// is another one.
pub(super) fn loops(effective: &[Effective], config: &Config, startup: &Startup) -> Vec<Problem> {
    let own = [startup.listen, startup.admin_listen].into_iter().chain(startup.tls.as_ref().map(|tls| tls.listen));
    let own: Vec<SocketAddr> = own.collect();
    base_urls(effective)
        .flat_map(|(setting, url)| {
            // A line stands for its upstream's address: that has a place of its own.
            let upstream = config.upstreams.iter().find(|known| known.base_url == url);
            let lines = upstream.map(|upstream| upstream.lines.clone()).unwrap_or_default();
            iter::once(url).chain(lines).map(move |url| (setting, url))
        })
        .filter(|(_, url)| own.iter().any(|own| is_at(url, own)))
        .filter(|(_, url)| config.upstreams.iter().any(|known| leads_to(known, url) && known.proxy.is_none()))
        .map(|(setting, url)| Problem {
            at: setting.source.clone(),
            key: setting.key.clone(),
            what: Message::UpstreamIsGateway { authority: url.authority },
        })
        .collect()
}

fn leads_to(upstream: &UpstreamConfig, url: &BaseUrl) -> bool {
    upstream.base_url == *url || upstream.lines.contains(url)
}

/// Whether a URL leads to this listener, as far as that shows without asking a name server.
fn is_at(url: &BaseUrl, own: &SocketAddr) -> bool {
    let addresses: Vec<IpAddr> = match url.host.trim_end_matches('.') {
        host if host == "localhost" || host.ends_with(".localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        host => host.parse::<IpAddr>().iter().map(IpAddr::to_canonical).collect(),
    };
    let is_own =
        |ip: &IpAddr| *ip == own.ip() || ip.is_unspecified() || (own.ip().is_unspecified() && ip.is_loopback());
    url.port == own.port() && addresses.iter().any(is_own)
}

/// The addresses of all upstreams, with who set them.
fn base_urls(effective: &[Effective]) -> impl Iterator<Item = (&Effective, BaseUrl)> {
    let is_one =
        |setting: &&Effective| setting.key.starts_with("gateway.upstreams[") && setting.key.ends_with("].base_url");
    effective.iter().filter(is_one).filter_map(|setting| Some((setting, base_url::parse(&setting.value).ok()?)))
}

fn list_place(reader: &Reader<'_>, key: &str) -> Source {
    reader.node(key).map_or(Source::Default, |node| reader.place(node.span()))
}

/// Lists that another source replaces as a whole.
fn hidden_lists(reader: &Reader<'_>) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (key, panel, file) in reader.hidden_lists(|list| !is_shipped(list)) {
        let what = Message::ListHidden { file: file.to_string() };
        warnings.push(Problem { at: panel, key: key.to_owned(), what });
    }
    let is_list =
        reader.node("gateway.upstreams").is_some_and(|node| node.as_sequence().is_some() && !is_shipped(node));
    if let (true, Some((_, variable))) = (is_list, reader.upstreams_variable()) {
        let key = "gateway.upstreams".to_owned();
        let what = Message::ListReplaced { variable: variable.to_string() };
        warnings.push(Problem { at: list_place(reader, &key), key, what });
    }
    warnings
}

/// Whether this is the list of the shipped file, which nobody misses.
fn is_shipped(list: &Node) -> bool {
    super::source::node::json(list) == SHIPPED
}

/// Names that are nearly those of the variables which say where requests go, while nothing else says it: no word of warning,
/// for requests would go to the default upstream, with the keys of another relay.
pub(super) fn misspelt_addresses(reader: &Reader<'_>, arguments: &Arguments, env: Lookup<'_>) -> Vec<Problem> {
    let Arguments { environment_file: file, variable_names, .. } = arguments;
    let is_own = |list: &Node| list.as_sequence().is_some() && !is_shipped(list);
    if reader.upstreams_variable().is_some() || reader.node("gateway.upstreams").is_some_and(is_own) {
        return Vec::new();
    }
    let nearly_one = |name: &str| meant(reader, name).filter(|meant| ADDRESSES.contains(meant));
    let nearly = |name: &str| nearly_one(name).map(str::to_owned);
    let in_dotenv =
        reader.dotenv().filter(|(_, variable)| !variable.value.is_empty()).filter_map(|(name, variable)| {
            let (line, column) = variable.name_at;
            let at = Source::File { path: DOTENV_FILE.to_owned(), line, column };
            let what = Message::AddressMisspelt { name: name.to_owned(), meant: nearly(name)? };
            Some(Problem { at, key: String::new(), what })
        });
    let is_set = |found: &&Assignment| match &found.value {
        Some(value) => !value.expose().is_empty(),
        None => env(&found.name).is_some_and(|value| !value.is_empty()),
    };
    let is_of_file = |name: &str| file.iter().flat_map(|file| &file.assignments).any(|found| found.name == name);
    // Other programs have variables too, such as APP_BASE_URL.
    let may_be_ours = |name: &&String| name.to_uppercase().starts_with("API") && !is_of_file(name);
    let in_environment = variable_names.iter().filter(may_be_ours).filter_map(|name| {
        let meant = nearly_one(name).filter(|_| env(name).is_some_and(|value| !value.is_empty()))?;
        let what = Message::EnvironmentAddressMisspelt { name: name.clone(), meant: meant.to_owned() };
        Some(Problem { at: Source::Environment(meant), key: String::new(), what })
    });
    let in_file = file.iter().flat_map(|file| {
        file.assignments.iter().filter(is_set).filter_map(|found| {
            let (name, line, path) = (found.name.clone(), found.line as u64, file.path.clone());
            let what = Message::ServiceAddressMisspelt { meant: nearly(&name)?, name, line, path };
            Some(in_line(file, found.line, what))
        })
    });
    in_environment.chain(in_dotenv).chain(in_file).take(MOST_LINES).collect()
}

/// Names in `env/.env` that do nothing there, and those that are nearly those of settings.
fn misspelt_variables(reader: &Reader<'_>) -> Vec<Problem> {
    reader
        .dotenv()
        .filter_map(|(name, variable)| {
            let (line, column) = variable.name_at;
            let what = match NOT_FOR_THE_FILE.contains(&name) {
                true => Message::VariableNotHere { name: name.to_owned() },
                false => misspelt(reader, name)?,
            };
            let at = Source::File { path: DOTENV_FILE.to_owned(), line, column };
            Some(Problem { at, key: String::new(), what })
        })
        .collect()
}

/// The names in the file of variables of a service that are nearly those of settings.
fn misspelt_for_systemd(reader: &Reader<'_>, file: &EnvironmentFile) -> Vec<Problem> {
    let problem = |found: &Assignment| Some(in_line(file, found.line, misspelt(reader, &found.name)?));
    file.assignments.iter().filter_map(problem).take(MOST_LINES).collect()
}

/// What is said of a name that no setting has, if one has nearly this name.
fn misspelt(reader: &Reader<'_>, name: &str) -> Option<Message> {
    let meant = meant(reader, name)?;
    Some(Message::VariableMisspelt { name: name.to_owned(), meant: meant.to_owned() })
}

/// The setting's variable that is nearly this name, which is none's. A number or a word behind a setting's name makes it
/// another one, such as for `${env.NAME}`.
fn meant(reader: &Reader<'_>, name: &str) -> Option<&'static str> {
    let known: Vec<&'static str> = settings::variables().collect();
    let is_own = |known: &&str| name.starts_with(&format!("{known}_"));
    if known.contains(&name) || former::is_one(name) || reader.mentions(name) || known.iter().any(is_own) {
        return None;
    }
    let upper = name.to_uppercase();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&upper, known);
    let nearest = known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) >= LIKENESS).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_knows_its_own_address() {
        let is_own = |url: &str, own: &str| is_at(&base_url::parse(url).expect("a URL"), &own.parse().expect("one"));
        for (url, own) in [
            ("http://127.0.0.1:8088", "127.0.0.1:8088"),
            ("http://localhost:8088/prefix", "127.0.0.1:8088"),
            ("http://localhost:8088", "[::1]:8088"),
            ("http://127.0.0.1:8088", "0.0.0.0:8088"),
            ("http://[::1]:8088", "[::]:8088"),
            ("http://0.0.0.0:8088", "127.0.0.1:8088"),
            ("http://localhost.:8088", "127.0.0.1:8088"),
            ("http://[::ffff:127.0.0.1]:8088", "127.0.0.1:8088"),
            ("https://192.0.2.1", "192.0.2.1:443"),
        ] {
            assert!(is_own(url, own), "{url} {own}");
        }
        for (url, own) in [
            ("http://127.0.0.1:8089", "127.0.0.1:8088"),
            ("http://127.0.0.2:8088", "127.0.0.1:8088"),
            ("http://192.0.2.1:8088", "127.0.0.1:8088"),
            ("http://gateway.example:8088", "0.0.0.0:8088"),
        ] {
            assert!(!is_own(url, own), "{url} {own}");
        }
    }
}
