//! The list of upstreams.

use super::api_keys::{self, ApiKey};
use super::balance::{self, BalanceSource};
use super::base_url::{self, BaseUrl};
use super::health;
pub(crate) use super::inherited::Inherited;
use super::profile::{self, Profile};
use super::proxy::{self, OutboundProxy};
use super::thinking::Controls;
use super::upstream_keys::UPSTREAM_KEYS;
use super::upstream_names::{name, names};
use super::upstream_test::{self, TestSettings};
use crate::config::source::bounds;
use crate::config::source::message::Message;
use crate::config::source::node::scalar_text;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::problem::Source;
use crate::config::source::settings_reader::{Effective, Reader};
use crate::config::source::text_file;
use crate::config::source::value;
use gateway_core::rules::glob::Glob;
use gateway_core::rules::rule::Rule;
use gateway_core::usage::pricing::decimal::Factor;
use marked_yaml::Node;
use marked_yaml::types::MarkedMappingNode;
use rustls_pki_types::CertificateDer;
use std::time::Duration;

/// Where requests go if nobody says so.
const DEFAULT_BASE_URL: &str = "https://anyrouter.top";

/// The names of profiles.
const PROFILES: [(&str, Profile); 2] = [("anyrouter", Profile::AnyRouter), ("none", Profile::None)];
/// The profile of the upstreams that `API_BASE_URL` and `API_BASE_URLS` give.
pub(crate) const PROFILE_VARIABLE: &str = "API_PROFILE";

/// The version of HTTP that an upstream is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    One,
    /// HTTP/2, over `http://` too.
    Two,
    /// HTTP/2 if the TLS handshake agrees on it, else HTTP/1.1; only for `https://`.
    Auto,
}

/// One place to send requests to, ready to use. A flat list, a field for each key of an entry of `gateway.upstreams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Name in logs, metrics and errors; unique.
    pub name: String,
    /// Whether it is in service: one that is not gets a request only if there is no other for it.
    pub is_enabled: bool,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Other addresses that lead to the same relay.
    pub lines: Vec<BaseUrl>,
    /// Lower numbers are preferred.
    pub priority: u32,
    /// Share within one priority.
    pub weight: u32,
    /// How many times the price it charges.
    pub cost_factor: Factor,
    /// The rules that it needs.
    pub profile: Profile,
    /// Which rules of the profile are switched on or off.
    pub profile_rules: Vec<(String, bool)>,
    /// The models that get the flag of the long context; `None` for those of the profile.
    pub long_context: Option<Vec<Glob>>,
    /// The keys of which one goes to it instead of the client's; none twice.
    pub api_keys: Vec<ApiKey>,
    /// Where it says what is left on them.
    pub balance: Option<BalanceSource>,
    /// Whether it serves only the keys that a route sends to it.
    pub is_reserved: bool,
    /// The proxy that it is reached through: its own, or else the one that `gateway.proxy` has for it.
    pub proxy: Option<OutboundProxy>,
    /// The version of HTTP.
    pub http: HttpVersion,
    /// Most requests at one time, from 1; `None` for no bound.
    pub max_in_flight: Option<u32>,
    /// Path and query of the request that asks whether it is well, behind `base_url.path_prefix`; `None`: it is not
    /// asked.
    pub probe: Option<String>,
    /// Whether the client's `Host` is kept.
    pub preserve_host: bool,
    /// The certificate authorities of `ca_file`; empty for the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Name in the TLS handshake.
    pub sni: Option<String>,
    /// Whether certificates are not checked.
    pub insecure: bool,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Longest silence.
    pub read_timeout: Duration,
    /// Time for its answer to begin; never more than `read_timeout`.
    pub first_byte_timeout: Duration,
    /// Time for the first event of a stream that says something; `None` for any time.
    pub first_event_timeout: Option<Duration>,
    /// Whether it takes `thinking.block_binding`.
    pub thinking_controls: Controls,
    /// When it is tested with a message, and with what; `None`: never.
    pub test: Option<TestSettings>,
}

impl UpstreamConfig {
    /// One at this place, with the defaults.
    pub fn at(base_url: BaseUrl, inherited: Inherited<'_>) -> Self {
        Self {
            name: base_url.host.clone(),
            is_enabled: true,
            profile: Profile::of_host(&base_url.host),
            profile_rules: Vec::new(),
            long_context: None,
            api_keys: Vec::new(),
            balance: None,
            is_reserved: false,
            proxy: inherited.proxies.choose(&base_url),
            base_url,
            lines: Vec::new(),
            priority: 0,
            weight: 1,
            cost_factor: Factor::ONE,
            http: HttpVersion::One,
            max_in_flight: None,
            probe: inherited.probe.map(str::to_owned),
            preserve_host: inherited.preserve_host,
            authorities: Vec::new(),
            sni: None,
            insecure: false,
            connect_timeout: inherited.connect_timeout,
            read_timeout: inherited.read_timeout,
            first_byte_timeout: inherited.first_byte(None, inherited.read_timeout),
            first_event_timeout: inherited.first_event_timeout,
            thinking_controls: Controls::default(),
            test: None,
        }
    }
}

impl UpstreamConfig {
    /// Whether one key can take the place of another: an error that speaks of the key is the key's then.
    pub(crate) fn has_key_pool(&self) -> bool {
        self.api_keys.iter().filter(|key| key.is_enabled).nth(1).is_some()
    }

    /// The rules of its profile that are on.
    ///
    /// # Errors
    /// When a switch names no rule.
    pub(crate) fn rules_of_profile(&self) -> Result<Vec<Rule>, Message> {
        profile::switched(self.profile, &self.profile_rules, self.long_context.as_deref())
    }
}

/// Reads the upstreams: `API_BASE_URLS`, else `API_BASE_URL`, else the list of the file, else AnyRouter.
pub(crate) fn read(reader: &mut Reader<'_>, inherited: Inherited<'_>) -> Vec<UpstreamConfig> {
    let before = reader.problems.len();
    let mut upstreams = match reader.upstreams_variable() {
        Some((text, source)) => from_variable(reader, &text, &source, inherited),
        None => from_file(reader, inherited),
    };
    if reader.upstreams_variable().is_none()
        && !upstreams.is_empty()
        && let Some((_, source)) = reader.variable(PROFILE_VARIABLE)
    {
        let place = reader.node("gateway.upstreams").map_or(Source::Default, |list| reader.place(list.span()));
        reader.warning(source, "", Message::ProfileUnused { place: place.to_string() });
    }
    if upstreams.is_empty() && reader.problems.len() == before {
        upstreams = from_variable(reader, DEFAULT_BASE_URL, &Source::Default, inherited);
    }
    upstreams.sort_by_key(|upstream| upstream.priority);
    upstreams
}

fn from_variable(
    reader: &mut Reader<'_>,
    text: &str,
    source: &Source,
    inherited: Inherited<'_>,
) -> Vec<UpstreamConfig> {
    let mut upstreams: Vec<UpstreamConfig> = Vec::new();
    if let Err(what) = bounds::count(text.split(',').count(), bounds::UPSTREAMS) {
        reader.problem(source.clone(), "upstreams", what);
        return upstreams;
    }
    let profile = profile_variable(reader);
    for (index, url) in text.split(',').map(str::trim).filter(|url| !url.is_empty()).enumerate() {
        match base_url::parse(url) {
            Ok(base_url) => {
                let mut upstream = UpstreamConfig::at(base_url, inherited);
                upstream.priority = u32::try_from(index).unwrap_or(u32::MAX);
                let key = format!("gateway.upstreams[{index}].base_url");
                reader.effective.push(Effective { key, value: url.to_owned(), source: source.clone() });
                if let Some((profile, name, source)) = &profile {
                    upstream.profile = *profile;
                    let key = format!("gateway.upstreams[{index}].profile");
                    reader.effective.push(Effective { key, value: name.clone(), source: source.clone() });
                }
                upstreams.push(upstream);
            }
            Err(what) => reader.problem(source.clone(), "", what),
        }
    }
    let urls: Vec<BaseUrl> = upstreams.iter().map(|upstream| upstream.base_url.clone()).collect();
    for (upstream, name) in upstreams.iter_mut().zip(names(&urls, &[])) {
        upstream.name = name;
    }
    upstreams
}

/// `API_PROFILE`: the profile of the upstreams that a variable gives, its name, and who set it.
fn profile_variable(reader: &mut Reader<'_>) -> Option<(Profile, String, Source)> {
    let (text, source) = reader.variable(PROFILE_VARIABLE)?;
    match value::choice(text.trim(), &PROFILES) {
        Ok(profile) => Some((profile, text.trim().to_owned(), source)),
        Err(what) => {
            reader.problem(source, "", what);
            None
        }
    }
}

fn from_file(reader: &mut Reader<'_>, inherited: Inherited<'_>) -> Vec<UpstreamConfig> {
    let Some(list) = reader.node("gateway.upstreams").cloned() else { return Vec::new() };
    let Some(list) = list.as_sequence() else {
        if list.as_scalar().is_none_or(|scalar| !scalar_text(scalar).is_empty()) {
            let place = reader.place(list.span());
            reader.problem(place, "gateway.upstreams", Message::ListExpected);
        }
        return Vec::new();
    };
    if list.is_empty() {
        let place = reader.place(list.span());
        reader.problem(place, "gateway.upstreams", Message::UpstreamsEmpty);
    }
    if let Err(what) = bounds::count(list.len(), bounds::UPSTREAMS) {
        let place = reader.place(list.span());
        reader.problem(place, "gateway.upstreams", what);
        return Vec::new();
    }
    let mut upstreams: Vec<UpstreamConfig> = Vec::new();
    for (index, node) in list.iter().enumerate() {
        let at = format!("gateway.upstreams[{index}]");
        // A mapping begins with its first key.
        let first = node.as_mapping().and_then(|entry| entry.keys().next()).map_or(node.span(), |key| key.span());
        let place = reader.place(first);
        let Some(entry) = node.as_mapping() else {
            reader.problem(place, &at, Message::MappingExpected { keys: "base_url".to_owned() });
            continue;
        };
        let known: Vec<&str> = UPSTREAM_KEYS.iter().map(|known| known.key).collect();
        reader.refuse_unknown_entry_keys(&at, entry, &known);
        if let Some(upstream) = (Entry { reader, entry, at, place: place.clone() }).read(inherited) {
            if upstreams.iter().any(|other| other.name == upstream.name) {
                reader.problem(place, "", Message::UpstreamTwice { name: upstream.name.clone() });
            }
            upstreams.push(upstream);
        }
    }
    upstreams
}

/// One entry of the list while it is read.
struct Entry<'r, 'a> {
    reader: &'r mut Reader<'a>,
    entry: &'r MarkedMappingNode,
    at: String,
    place: Source,
}

impl Entry<'_, '_> {
    fn read(mut self, inherited: Inherited<'_>) -> Option<UpstreamConfig> {
        let before = self.reader.problems.len();
        let Some(base_url) = self.get("base_url", base_url::parse) else {
            if self.reader.problems.len() == before {
                self.reader.problem(self.place, &self.at, Message::BaseUrlMissing);
            }
            return None;
        };
        let default = UpstreamConfig::at(base_url, inherited);
        let profile = self.get("profile", |text| value::choice(text, &PROFILES)).unwrap_or(default.profile);
        let api_keys = self.api_keys();
        let read_timeout = self.get("read_timeout", value::duration).unwrap_or(default.read_timeout);
        let first_byte_timeout = self.get("first_byte_timeout", value::duration);
        Some(UpstreamConfig {
            test: self.test(&api_keys),
            is_reserved: !api_keys.is_empty(),
            balance: self.balance(!api_keys.is_empty()),
            lines: self.lines(&default.base_url),
            name: self.get("name", name).unwrap_or(default.name),
            is_enabled: self.get("enabled", value::boolean).unwrap_or(default.is_enabled),
            priority: self.get("priority", |text| value::number(text, 0..=1000)).unwrap_or(default.priority),
            weight: self.get("weight", |text| value::number(text, 1..=1000)).unwrap_or(default.weight),
            cost_factor: self.get("cost_factor", |text| value::factor(text, 100)).unwrap_or(default.cost_factor),
            profile,
            profile_rules: self.profile_rules(profile),
            long_context: self.long_context(profile),
            api_keys,
            proxy: self.get("proxy", proxy::own).unwrap_or(default.proxy),
            http: self.http(default.base_url.tls).unwrap_or(default.http),
            max_in_flight: self.get("max_in_flight", |text| value::number(text, 1..=1_000_000)),
            probe: self.get("probe", health::probe_path).unwrap_or(default.probe),
            preserve_host: self.get("preserve_host", value::boolean).unwrap_or(default.preserve_host),
            authorities: self.get("ca_file", text_file::authorities).unwrap_or_default(),
            sni: self.get("sni", value::text),
            insecure: self.get("insecure", value::boolean).unwrap_or(false),
            connect_timeout: self.get("connect_timeout", value::duration).unwrap_or(default.connect_timeout),
            read_timeout,
            first_byte_timeout: inherited.first_byte(first_byte_timeout, read_timeout),
            first_event_timeout: self.get("first_event_timeout", value::duration).or(default.first_event_timeout),
            thinking_controls: self.get("thinking_controls", Controls::parse).unwrap_or_default(),
            base_url: default.base_url,
        })
    }

    fn http(&mut self, tls: bool) -> Option<HttpVersion> {
        let versions = [("1", HttpVersion::One), ("2", HttpVersion::Two), ("auto", HttpVersion::Auto)];
        let version = self.get("http", |text| value::choice(text, &versions))?;
        // Without TLS there is nothing to agree on it with.
        Some(if version == HttpVersion::Auto && !tls { HttpVersion::One } else { version })
    }

    /// Reads a value of the entry that is no scalar, if it is there.
    fn nested<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut NodeReader<'_, '_>, &Node, &str) -> T,
    ) -> Option<T> {
        let node = self.entry.get_node(key)?;
        let at = format!("{}.{key}", self.at);
        let mut problems = Vec::new();
        let places = self.reader.places();
        let mut reading = NodeReader::new(&places, self.reader.names, &mut problems);
        let value = read(&mut reading, node, &at);
        self.reader.warnings.append(&mut reading.warnings);
        self.reader.problems.append(&mut problems);
        Some(value)
    }

    /// What settings show of a value that is no scalar.
    fn show(&mut self, key: &'static str, value: String) {
        let Some(node) = self.entry.get_node(key) else { return };
        let source = self.reader.place(node.span());
        self.reader.effective.push(Effective { key: format!("{}.{key}", self.at), value, source });
    }

    /// `{name: on, name: off}`
    fn profile_rules(&mut self, profile: Profile) -> Vec<(String, bool)> {
        let switches = self.nested("profile_rules", |reading, node, at| {
            let mut switches = Vec::new();
            for (name, value) in reading.any_entries(node, at) {
                let switch = reading.parse(value, &format!("{at}.{name}"), value::boolean);
                switches.extend(switch.map(|is_on| (name, is_on)));
            }
            for switch in &switches {
                if let Err(what) = profile::switched(profile, std::slice::from_ref(switch), None) {
                    reading.wrong_name(node, at, &switch.0, what);
                }
            }
            switches
        });
        switches.unwrap_or_default()
    }

    /// A pattern, or a list of them.
    fn long_context(&mut self, profile: Profile) -> Option<Vec<Glob>> {
        self.nested("long_context", |reading, node, at| {
            if profile == Profile::None {
                reading.wrong(node, at, Message::LongContextNoProfile);
            }
            reading.parse_each(node, at, |text| Ok(Glob::new(text)))
        })
    }

    /// `[host, host:port]`
    fn lines(&mut self, base_url: &BaseUrl) -> Vec<BaseUrl> {
        let lines = self.nested("lines", |reading, node, at| {
            let lines = reading.parse_each(node, at, |text| base_url::line(base_url, text));
            if let Err(what) = bounds::count(lines.len(), bounds::LINES) {
                reading.wrong(node, at, what);
            }
            for (index, line) in lines.iter().enumerate() {
                let is_same = |other: &BaseUrl| (other.port, &other.host) == (line.port, &line.host);
                if is_same(base_url) || lines[..index].iter().any(is_same) {
                    reading.wrong(node, at, Message::Twice { name: line.authority.clone() });
                }
            }
            lines
        });
        lines.unwrap_or_default()
    }

    /// `api_key` or `api_keys`.
    fn api_keys(&mut self) -> Vec<ApiKey> {
        let only = self.api_key();
        let is_both = only.is_some();
        let keys = self.nested("api_keys", |reading, node, at| {
            let keys = api_keys::read(reading, node, at);
            if is_both {
                reading.wrong(node, at, Message::ApiKeyAndKeys);
            }
            keys
        });
        let Some(keys) = keys else { return only.into_iter().collect() };
        self.show("api_keys", api_keys::shown(&keys));
        keys
    }

    /// `balance`, which asks for each key what is left.
    fn balance(&mut self, has_keys: bool) -> Option<BalanceSource> {
        let source = self.nested("balance", |reading, node, at| {
            if !has_keys {
                reading.wrong(node, at, Message::BalanceWithoutKey);
            }
            balance::read(reading, node, at)
        });
        let source = source.flatten()?;
        self.show("balance", source.shown());
        Some(source)
    }

    /// `{every: 6h, model: NAME, key: NAME}`
    fn test(&mut self, keys: &[ApiKey]) -> Option<TestSettings> {
        let node = self.entry.get_node("test")?;
        if node.as_scalar().is_some_and(|scalar| scalar_text(scalar).is_empty()) {
            return None;
        }
        let test = self.nested("test", |reading, node, at| upstream_test::read(reading, node, at, keys))??;
        self.show("test", upstream_test::shown(&test, keys));
        Some(test)
    }

    fn api_key(&mut self) -> Option<ApiKey> {
        let env = self.reader.names;
        let (key, was_cut) = self.get("api_key", |text| api_keys::parse(text, env))?;
        if was_cut && let Some(node) = self.entry.get_node("api_key") {
            let at = self.reader.place(node.span());
            self.reader.warning(at, &format!("{}.api_key", self.at), Message::BlanksCut);
        }
        Some(ApiKey::only(key))
    }

    fn get<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Message>) -> Option<T> {
        debug_assert!(UPSTREAM_KEYS.iter().any(|setting| setting.key == key), "{key}");
        let node = self.entry.get_node(key)?;
        let source = self.reader.place(node.span());
        let path = format!("{}.{key}", self.at);
        let Some(scalar) = node.as_scalar() else {
            self.reader.problem(source, &path, Message::OneValue);
            return None;
        };
        let mut text = scalar_text(scalar);
        if key == "proxy" && value::bare(text).len() < text.len() {
            text = value::bare(text);
            self.reader.warning(source.clone(), &path, Message::BlanksCut);
        }
        if text.is_empty() {
            return None;
        }
        let value = match key {
            "proxy" => proxy::shown(text),
            "api_key" => "********".to_owned(),
            _ => text.to_owned(),
        };
        self.reader.effective.push(Effective { key: path.clone(), value, source: source.clone() });
        parse(text).map_err(|what| self.reader.problem(source, &path, what)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_follows_the_host() {
        for (url, profile) in [
            ("https://anyrouter.top", Profile::AnyRouter),
            ("https://AnyRouter.Top./x", Profile::AnyRouter),
            ("https://pmpjfbhq.cn-nb1.rainapp.top", Profile::AnyRouter),
            ("https://a-ocnfniawgw.cn-shanghai.fcapp.run", Profile::AnyRouter),
            ("http://q.quuvv.cn:8080", Profile::AnyRouter),
            ("https://other.cn-nb1.rainapp.top", Profile::None),
            ("https://anyrouter.top.evil.example", Profile::None),
            ("http://127.0.0.1:1", Profile::None),
        ] {
            assert_eq!(Profile::of_host(&base_url::parse(url).expect("valid").host), profile, "{url}");
        }
    }
}
