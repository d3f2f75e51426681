//! One target of `gateway.notify.targets`: where messages go, in which form, and about what.

use super::base_url::BaseUrl;
use super::proxy::{self, OutboundProxy, Proxies};
use crate::config::source::environment::{Lookup, expand};
use crate::config::source::message::Message;
use crate::config::source::node_reader::NodeReader;
use crate::config::source::secret::Secret;
use crate::config::source::value;
use gateway_core::language::Language;
use marked_yaml::Node;
use url::Url;

/// Keys of a target.
pub(crate) const TARGET_KEYS: [&str; 13] = [
    "name", "kind", "url", "secret", "token", "chat_id", "user", "password", "from", "to", "events", "language",
    "proxy",
];
/// Where Telegram's bots are.
const TELEGRAM: &str = "https://api.telegram.org";
/// Most addresses that one email goes to.
const MOST_ADDRESSES: usize = 20;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// An upstream fails, and is left alone.
    UpstreamDown,
    /// It works again.
    UpstreamUp,
    /// No upstream is left.
    AllDown,
    /// At least one is there again.
    AllUp,
    /// A key of an upstream is out of use.
    KeyDown,
    /// It is used again.
    KeyUp,
    /// The balance of a key is near its end, or used up.
    BalanceLow,
    /// The cost of 24 hours is above the bound.
    CostAbove,
    /// The share of cached tokens of a model or a session fell.
    CacheFell,
    /// A reload was refused.
    ConfigRefused,
    /// The request log is not written.
    LogFailing,
    /// It is written again.
    LogBack,
    /// The certificate ends soon.
    CertificateEnding,
    /// Much of a limit is used, or all.
    LimitSpent,
}

impl EventKind {
    /// All there are, with their names.
    pub const ALL: [(&'static str, Self); 14] = [
        ("upstream_down", Self::UpstreamDown),
        ("upstream_up", Self::UpstreamUp),
        ("all_down", Self::AllDown),
        ("all_up", Self::AllUp),
        ("key_down", Self::KeyDown),
        ("key_up", Self::KeyUp),
        ("balance_low", Self::BalanceLow),
        ("cost_above", Self::CostAbove),
        ("cache_fell", Self::CacheFell),
        ("config_refused", Self::ConfigRefused),
        ("log_failing", Self::LogFailing),
        ("log_back", Self::LogBack),
        ("certificate_ending", Self::CertificateEnding),
        ("limit_spent", Self::LimitSpent),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// In which form a target takes messages, and what it needs for that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/notify.md has them")]
pub enum Channel {
    Webhook { secret: Option<Secret> },
    Feishu { secret: Option<Secret> },
    DingTalk { secret: Option<Secret> },
    WeCom,
    Telegram { chat_id: String },
    Slack,
    Ntfy { topic: String, token: Option<Secret> },
    Email { login: Option<Login>, from: String, to: Vec<String> },
}

impl Channel {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Feishu { .. } => "feishu",
            Self::DingTalk { .. } => "dingtalk",
            Self::WeCom => "wecom",
            Self::Telegram { .. } => "telegram",
            Self::Slack => "slack",
            Self::Ntfy { .. } => "ntfy",
            Self::Email { .. } => "email",
        }
    }
}

/// User and password at a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what they are called")]
pub struct Login {
    pub user: String,
    pub password: Secret,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is called: unique.
    pub name: String,
    /// In which form it takes messages.
    pub channel: Channel,
    /// Its host; `tls` is TLS from the first byte on.
    pub place: BaseUrl,
    /// Path and query of the request. They hold the target's key with most kinds.
    pub path: Secret,
    /// What it is told of.
    pub events: Vec<EventKind>,
    /// In which language.
    pub language: Language,
    /// The proxy that it is reached through.
    pub proxy: Option<OutboundProxy>,
}

impl Target {
    /// All texts of it that nobody is to see.
    pub fn secrets(&self) -> Vec<&str> {
        let path = self.path.expose();
        let mut secrets: Vec<&str> = Vec::new();
        // Segments and values, of which one is the key; short ones are words such as `send`.
        secrets.extend(path.split(['/', '?', '&', '=']).filter(|part| part.len() >= 16));
        secrets.push(path.trim_matches('/'));
        secrets.extend(path.split('/').filter_map(|part| part.strip_prefix("bot")));
        match &self.channel {
            Channel::Webhook { secret } | Channel::Feishu { secret } | Channel::DingTalk { secret } => {
                secrets.extend(secret.as_ref().map(Secret::expose));
            }
            Channel::Ntfy { token, topic } => {
                secrets.extend(token.as_ref().map(Secret::expose));
                secrets.push(topic);
            }
            Channel::Email { login, .. } => secrets.extend(login.as_ref().map(|login| login.password.expose())),
            Channel::WeCom | Channel::Telegram { .. } | Channel::Slack => {}
        }
        secrets.retain(|secret| secret.len() >= 6);
        secrets
    }
}

/// What an entry says, before it is known which of it is needed.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    kind: Option<&'static str>,
    url: Option<Secret>,
    secret: Option<Secret>,
    token: Option<Secret>,
    chat_id: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    from: Option<String>,
    to: Vec<String>,
    events: Option<Vec<EventKind>>,
    language: Option<Language>,
    proxy: Option<Option<OutboundProxy>>,
    /// The keys that are there.
    keys: Vec<String>,
}

/// The kinds, with the keys that each needs, and those that it may have besides.
pub(crate) const KINDS: [(&str, &[&str], &[&str]); 8] = [
    ("webhook", &["url"], &["secret"]),
    ("feishu", &["url"], &["secret"]),
    ("dingtalk", &["url"], &["secret"]),
    ("wecom", &["url"], &[]),
    ("telegram", &["token", "chat_id"], &["url"]),
    ("slack", &["url"], &[]),
    ("ntfy", &["url"], &["token"]),
    ("email", &["url", "from", "to"], &["user", "password"]),
];
/// The keys that every kind may have.
const COMMON: [&str; 5] = ["name", "kind", "events", "language", "proxy"];

/// Reads one target; `None` if something is wrong with it.
pub(super) fn read(
    reading: &mut NodeReader<'_, '_>,
    node: &Node,
    at: &str,
    language: Language,
    proxies: &Proxies,
) -> Option<Target> {
    let before = reading.problems();
    let entry = read_entry(reading, node, at);
    if entry.kind.is_none() && reading.problems() == before {
        reading.wrong(node, at, Message::NotifyKindMissing { kinds: KINDS.map(|(kind, ..)| kind).join(", ") });
    }
    let kind = entry.kind?;
    let (_, needed, optional) = KINDS.iter().find(|(name, ..)| *name == kind)?;
    for key in needed.iter().filter(|key| !entry.keys.iter().any(|there| there == *key)) {
        reading.wrong(node, at, Message::NotifyKeyMissing { kind: kind.to_owned(), key: (*key).to_owned() });
    }
    for key in &entry.keys {
        if ![*needed, *optional, &COMMON].concat().contains(&key.as_str()) {
            let what = Message::NotifyKeyUnused { kind: kind.to_owned(), key: key.clone() };
            reading.wrong_name(node, &format!("{at}.{key}"), key, what);
        }
    }
    if entry.user.is_some() != entry.password.is_some() && kind == "email" {
        let key = if entry.user.is_some() { "password" } else { "user" };
        reading.wrong(node, at, Message::NotifyKeyMissing { kind: kind.to_owned(), key: key.to_owned() });
    }
    if reading.problems() > before {
        return None;
    }
    match target(entry, kind, language, proxies) {
        Ok(target) => Some(target),
        Err(what) => {
            reading.wrong_name(node, &format!("{at}.url"), "url", what);
            None
        }
    }
}

fn read_entry(reading: &mut NodeReader<'_, '_>, node: &Node, at: &str) -> Entry {
    let env = reading.env();
    let mut entry = Entry::default();
    let languages = [("zh", Language::Chinese), ("en", Language::English)];
    for (key, value) in reading.entries(node, at, &TARGET_KEYS) {
        let at = format!("{at}.{key}");
        let hidden = |text: &str| hidden(text, env);
        match key.as_str() {
            "name" => entry.name = reading.parse(value, &at, name),
            "kind" => {
                entry.kind =
                    reading.parse(value, &at, |text| value::choice(text, &KINDS.map(|(kind, ..)| (kind, kind))))
            }
            "url" => entry.url = reading.parse_key(value, &at, hidden),
            "secret" => entry.secret = reading.parse_key(value, &at, hidden),
            "token" => entry.token = reading.parse_key(value, &at, hidden),
            "password" => entry.password = reading.parse_key(value, &at, hidden),
            "user" => entry.user = reading.parse(value, &at, |text| expand(text, env)),
            "chat_id" => entry.chat_id = reading.parse(value, &at, |text| expand(text, env)),
            "from" => entry.from = reading.parse(value, &at, mailbox),
            "to" => entry.to = reading.parse_each(value, &at, mailbox),
            "events" => {
                entry.events = Some(reading.parse_each(value, &at, |text| value::choice(text, &EventKind::ALL)));
            }
            "proxy" => entry.proxy = reading.parse(value, &at, proxy::own),
            _ => entry.language = reading.parse(value, &at, |text| value::choice(text, &languages)),
        }
        if key == "to" && entry.to.len() > MOST_ADDRESSES {
            let what = Message::TooMany { found: entry.to.len() as u64, most: MOST_ADDRESSES as u64 };
            reading.wrong(value, &at, what);
        }
        entry.keys.push(key);
    }
    entry
}

/// The target that an entry with all that its kind needs is.
fn target(entry: Entry, kind: &str, language: Language, proxies: &Proxies) -> Result<Target, Message> {
    let is_email = kind == "email";
    let url = entry.url.as_ref().map_or(TELEGRAM, Secret::expose);
    let (place, mut path) = place(url, is_email)?;
    let channel = match kind {
        "webhook" => Channel::Webhook { secret: entry.secret },
        "feishu" => Channel::Feishu { secret: entry.secret },
        "dingtalk" => Channel::DingTalk { secret: entry.secret },
        "wecom" => Channel::WeCom,
        "slack" => Channel::Slack,
        "telegram" => {
            let token = entry.token.as_ref().map_or("", Secret::expose);
            path = format!("{}/bot{token}/sendMessage", path.trim_end_matches('/'));
            Channel::Telegram { chat_id: entry.chat_id.unwrap_or_default() }
        }
        "ntfy" => {
            // A message as JSON goes to the server, and says its topic in itself.
            let (server, topic) =
                path.rsplit_once('/').filter(|(_, topic)| is_topic(topic)).ok_or(Message::NtfyTopic)?;
            let topic = topic.to_owned();
            path = format!("{server}/");
            Channel::Ntfy { topic, token: entry.token }
        }
        _ => Channel::Email {
            login: entry.user.zip(entry.password).map(|(user, password)| Login { user, password }),
            from: entry.from.unwrap_or_default(),
            to: entry.to,
        },
    };
    Ok(Target {
        name: entry.name.unwrap_or_else(|| kind.to_owned()),
        proxy: entry.proxy.unwrap_or_else(|| proxies.choose(&place)),
        place,
        path: Secret::new(path),
        channel,
        events: entry.events.unwrap_or_else(|| EventKind::ALL.map(|(_, kind)| kind).to_vec()),
        language: entry.language.unwrap_or(language),
    })
}

/// Where a URL leads, and its path with the query. Messages never repeat it.
fn place(text: &str, is_email: bool) -> Result<(BaseUrl, String), Message> {
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase if is_email => Message::MailUrl,
        url::ParseError::RelativeUrlWithoutBase => Message::UrlSchemeMissing,
        error => Message::NotAUrl { said: error.to_string() },
    })?;
    let (tls, port) = match (url.scheme(), is_email) {
        ("https", false) => (true, 443),
        ("http", false) => (false, 80),
        // Submission with TLS from the first byte on (RFC 8314), or with STARTTLS.
        ("smtps", true) => (true, 465),
        ("smtp", true) => (false, 587),
        (_, true) => return Err(Message::MailUrl),
        (other, false) => return Err(Message::UrlScheme { scheme: other.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(if is_email { Message::MailCredentials } else { Message::UrlCredentials });
    }
    if url.fragment().is_some() {
        return Err(Message::UrlQuery);
    }
    if is_email && (!matches!(url.path(), "" | "/") || url.query().is_some()) {
        return Err(Message::MailUrl);
    }
    // Of other schemes than the web's the parser does not know how hosts are written.
    let host = url.host_str().and_then(|host| url::Host::parse(host).ok()).map(|host| host.to_string());
    let host = host.filter(|host| !host.is_empty()).ok_or(Message::UrlHost)?;
    let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    let place = BaseUrl {
        tls,
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(port),
        authority,
        path_prefix: String::new(),
    };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok((place, format!("{}{query}", url.path())))
}

/// `env:NAME`, or a text in which `${env.NAME}` stands for a variable; and whether blanks around it were cut off.
fn hidden(text: &str, env: Lookup<'_>) -> Result<(Secret, bool), Message> {
    let mut text = match value::bare(text).strip_prefix("env:") {
        Some(name) => env(name)
            .filter(|value| !value::bare(value).is_empty())
            .ok_or_else(|| Message::VariableNotSet { name: name.to_owned() })?,
        None => expand(text, env)?,
    };
    let was_cut = value::cut(&mut text);
    match text.as_bytes() {
        [] => Err(Message::ValueMissing),
        bytes if gateway_core::http1::is_field_value(bytes) => Ok((Secret::new(text), was_cut)),
        _ => Err(Message::KeyControls),
    }
}

fn name(text: &str) -> Result<String, Message> {
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits { Ok(text.to_owned()) } else { Err(Message::NotAName) }
}

fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// `ops@example.com`, or `The gateway <gateway@example.com>`.
fn mailbox(text: &str) -> Result<String, Message> {
    match text.parse::<lettre::message::Mailbox>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Message::NotAMailbox { text: text.to_owned() }),
    }
}

#[cfg(test)]
#[path = "notify_target_tests.rs"]
mod tests;
