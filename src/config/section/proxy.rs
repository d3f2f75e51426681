//! Outbound proxies: what an operator writes, and which one an upstream is reached through. As with curl, but that
//! a proxy without a port is at its scheme's.

use super::base_url::BaseUrl;
use crate::config::source::message::Message;
use crate::config::source::secret::Secret;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use url::{Host, Url};

/// Most bytes of a user or a password in SOCKS5 (RFC 1929).
const SOCKS_CREDENTIAL_BYTES: usize = 255;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// HTTP CONNECT.
    Http,
    /// HTTP CONNECT over TLS.
    Https,
    /// SOCKS5.
    Socks5 {
        /// Whether the proxy resolves names (`socks5h`), or the gateway (`socks5`).
        remote_dns: bool,
    },
}

/// User and password for a proxy, percent-decoded. They are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; without a colon for HTTP proxies.
    pub user: String,
    /// The password; empty if there is none.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundProxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; 80, 443 or 1080 if the URL has none.
    pub port: u16,
    /// How it is shown, such as `http://host:port`: without user and password.
    pub shown: String,
    /// User and password.
    pub credentials: Option<Credentials>,
}

impl OutboundProxy {
    /// Reads `[scheme://][user[:password]@]host[:port]`.
    ///
    /// # Errors
    /// What is wrong with the text. It is not repeated, for it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Message> {
        // The parser of URLs would leave them out.
        if text.contains(|c: char| c.is_control()) {
            return Err(Message::ValueControls);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, "http", 80),
            "https" => (ProxyKind::Https, "https", 443),
            "socks5" => (ProxyKind::Socks5 { remote_dns: false }, "socks5", 1080),
            "socks5h" | "socks" => (ProxyKind::Socks5 { remote_dns: true }, "socks5h", 1080),
            "socks4" | "socks4a" => {
                return Err(Message::ProxySocks4);
            }
            _ => return Err(Message::ProxyScheme),
        };
        let url =
            Url::parse(&format!("{scheme}://{rest}")).map_err(|error| Message::ProxyUrl { said: error.to_string() })?;
        // What stands behind a / is no part of a proxy, but perhaps of a password that is not encoded.
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(Message::ProxyRest);
        }
        // Only for http and https does the URL hold a host that is checked already.
        let host = url.host_str().and_then(|host| Host::parse(host).ok());
        let host = host.filter(|host| !host.to_string().is_empty()).ok_or(Message::ProxyHost)?;
        let port = url.port().unwrap_or(default_port);
        if port == 0 {
            return Err(Message::ProxyPort);
        }
        Ok(Self {
            kind,
            shown: format!("{scheme}://{host}:{port}"),
            host: host.to_string().trim_matches(['[', ']']).to_owned(),
            port,
            credentials: credentials(kind, &url)?,
        })
    }
}

fn credentials(kind: ProxyKind, url: &Url) -> Result<Option<Credentials>, Message> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Message::ProxyEncoding),
    };
    let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
    match kind {
        ProxyKind::Http | ProxyKind::Https if user.contains(':') => {
            return Err(Message::ProxyColon);
        }
        ProxyKind::Socks5 { .. } if user.len().max(password.len()) > SOCKS_CREDENTIAL_BYTES => {
            return Err(Message::ProxyLong { most: SOCKS_CREDENTIAL_BYTES as u64 });
        }
        _ => {}
    }
    Ok(Some(Credentials { user, password: Secret::new(password) }))
}

/// The `proxy` of an upstream: `off` or `direct` for none.
///
/// # Errors
/// As [`OutboundProxy::parse`].
pub(crate) fn own(text: &str) -> Result<Option<OutboundProxy>, Message> {
    match text.to_ascii_lowercase().as_str() {
        "off" | "direct" => Ok(None),
        _ => OutboundProxy::parse(text).map(Some),
    }
}

/// How the text of a proxy is shown: without user and password, and not at all if it is none.
pub(crate) fn shown(text: &str) -> String {
    match own(text) {
        Ok(None) => text.to_owned(),
        Ok(Some(proxy)) => proxy.shown,
        Err(_) => "********".to_owned(),
    }
}

settings! {
    HTTP: OutboundProxy = Setting::one(
        "gateway.proxy.http",
        "",
        OutboundProxy::parse,
        "Outbound proxy for http:// upstreams: http://, https://, socks5:// or \
         socks5h://[user:password@]host[:port].",
        "http:// 上游的出站代理：http://、https://、socks5:// 或 socks5h://[用户:密码@]主机[:端口]。",
    )
    .env(&["HTTP_PROXY", "http_proxy"])
    .shown(shown)
    .key();
    HTTPS: OutboundProxy = Setting::one(
        "gateway.proxy.https",
        "",
        OutboundProxy::parse,
        "Outbound proxy for https:// upstreams.",
        "https:// 上游的出站代理。",
    )
    .env(&["HTTPS_PROXY", "https_proxy"])
    .shown(shown)
    .key();
    ALL: OutboundProxy = Setting::one(
        "gateway.proxy.all",
        "",
        OutboundProxy::parse,
        "Outbound proxy for upstreams without one of their own.",
        "没有单独设置代理的上游所用的出站代理。",
    )
    .env(&["ALL_PROXY", "all_proxy"])
    .shown(shown)
    .key();
    NONE: String = Setting::list(
        "gateway.proxy.none",
        "",
        value::text,
        "Comma list of hosts that are reached without a proxy.",
        "不经过代理的主机，用逗号分隔。",
    )
    .env(&["NO_PROXY", "no_proxy"]);
}

/// The proxies for upstreams without one of their own.
#[derive(Debug, Default)]
pub struct Proxies {
    /// For `http://` upstreams.
    pub http: Option<OutboundProxy>,
    /// For `https://` upstreams.
    pub https: Option<OutboundProxy>,
    /// For upstreams without one of the other two.
    pub all: Option<OutboundProxy>,
    /// Comma list of hosts that are reached without a proxy.
    pub none: Option<String>,
}

impl Proxies {
    /// No proxies.
    #[cfg(test)]
    pub const NONE: &Self = &Self { http: None, https: None, all: None, none: None };

    /// Reads `gateway.proxy`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            http: reader.get_if_set(&HTTP),
            https: reader.get_if_set(&HTTPS),
            all: reader.get_if_set(&ALL),
            none: reader.get_if_set(&NONE),
        }
    }

    /// The proxy for what is at `url`: the one for its scheme, else the one for all, unless the host is exempt.
    pub fn choose(&self, url: &BaseUrl) -> Option<OutboundProxy> {
        let by_scheme = if url.tls { &self.https } else { &self.http };
        let proxy = by_scheme.as_ref().or(self.all.as_ref())?;
        let is_exempt = self.none.as_deref().is_some_and(|list| is_listed(list, url));
        (!is_exempt).then(|| proxy.clone())
    }
}

/// Whether a `NO_PROXY` list names a host: `*`, a name (with all names below it), an address, a network, each but the
/// first perhaps with a port.
fn is_listed(list: &str, url: &BaseUrl) -> bool {
    let ip: Option<IpAddr> = url.host.parse().ok();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Ok(network), Some(ip)) = (entry.parse::<ipnet::IpNet>(), ip) {
            return network.contains(&ip);
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse::<u16>().ok()),
            _ => (entry, None),
        };
        if port.is_some_and(|port| port != url.port) {
            return false;
        }
        let name = name.trim_start_matches(['*', '[']).trim_start_matches('.').trim_end_matches([']', '.']);
        match ip {
            Some(ip) => name.parse() == Ok(ip),
            None => {
                let (name, host) = (name.to_ascii_lowercase(), url.host.to_ascii_lowercase());
                !name.is_empty() && (host == name || host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.')))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::base_url::parse as base_url;

    fn proxy(text: &str) -> OutboundProxy {
        OutboundProxy::parse(text).expect("a proxy")
    }

    #[test]
    fn the_proxy_of_the_scheme_counts_then_the_one_for_all() {
        let proxies = Proxies {
            http: None,
            https: Some(proxy("https-proxy:2")),
            all: Some(proxy("http://all:1")),
            none: Some("x.test,127.0.0.2".to_owned()),
        };
        let chosen = |url: &str| proxies.choose(&base_url(url).expect("valid")).map(|proxy| proxy.shown);
        assert_eq!(chosen("https://a.test").as_deref(), Some("http://https-proxy:2"));
        assert_eq!(chosen("http://a.test").as_deref(), Some("http://all:1"));
        for exempt in ["https://x.test", "https://sub.x.test", "http://127.0.0.2:9"] {
            assert_eq!(chosen(exempt), None, "{exempt}");
        }
        // Nothing is exempt that the list does not name.
        for listed in ["http://127.0.0.1:9", "http://localhost", "http://[::1]"] {
            assert_eq!(chosen(listed).as_deref(), Some("http://all:1"), "{listed}");
        }
        assert_eq!(Proxies::NONE.choose(&base_url("https://a.test").expect("valid")), None);
    }

    #[test]
    fn no_proxy_lists_are_read_as_usual() {
        let url = |text| base_url(text).expect("valid");
        let (name, v4, v6) = (url("https://api.a.test"), url("http://10.1.2.3:8080"), url("http://[fd00::1]"));
        for (list, url, listed) in [
            ("*", &name, true),
            ("b.test, a.test", &name, true),
            (".a.test", &name, true),
            ("*.a.test", &name, true),
            ("API.A.TEST", &name, true),
            ("api.a.test:443", &name, true),
            ("api.a.test:80", &name, false),
            ("i.a.test", &name, false),
            ("test.api.a.test", &name, false),
            ("", &name, false),
            (".", &name, false),
            ("10.0.0.0/8", &v4, true),
            ("10.1.2.3", &v4, true),
            ("10.1.2.3:8080", &v4, true),
            ("10.1.2.3:80", &v4, false),
            ("1.2.3", &v4, false),
            ("192.168.0.0/16", &v4, false),
            ("fd00::/8", &v6, true),
            ("fd00::1", &v6, true),
            ("[fd00::1]:80", &v6, true),
            ("[fd00::1]:81", &v6, false),
        ] {
            assert_eq!(is_listed(list, url), listed, "{list} for {}", url.host);
        }
    }

    #[test]
    fn a_proxy_is_read_in_all_its_forms() {
        let socks = |remote_dns| ProxyKind::Socks5 { remote_dns };
        for (text, kind, host, port, shown) in [
            ("http://127.0.0.1:7890", ProxyKind::Http, "127.0.0.1", 7890, "http://127.0.0.1:7890"),
            ("127.0.0.1:7890", ProxyKind::Http, "127.0.0.1", 7890, "http://127.0.0.1:7890"),
            ("Proxy.Test", ProxyKind::Http, "proxy.test", 80, "http://proxy.test:80"),
            ("HTTP://p/", ProxyKind::Http, "p", 80, "http://p:80"),
            ("[::1]:8", ProxyKind::Http, "::1", 8, "http://[::1]:8"),
            ("https://p", ProxyKind::Https, "p", 443, "https://p:443"),
            ("https://p:80", ProxyKind::Https, "p", 80, "https://p:80"),
            ("socks5://P", socks(false), "p", 1080, "socks5://p:1080"),
            ("socks5://p:80", socks(false), "p", 80, "socks5://p:80"),
            ("socks5h://[fd00::1]:9", socks(true), "fd00::1", 9, "socks5h://[fd00::1]:9"),
            ("socks://u:p@p:443", socks(true), "p", 443, "socks5h://p:443"),
        ] {
            let proxy = proxy(text);
            let read = (proxy.kind, proxy.host.as_str(), proxy.port, proxy.shown.as_str());
            assert_eq!(read, (kind, host, port, shown), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        for scheme in ["http", "https", "socks5", "socks5h"] {
            let proxy = proxy(&format!("{scheme}://us%2Fer:s%40cret:x@h:1"));
            assert!(!format!("{proxy:?}").contains("cret") && !format!("{proxy:?}").contains("er:"), "{proxy:?}");
            assert!(!format!("{proxy:?}").contains("us/"), "{proxy:?}");
            let credentials = proxy.credentials.expect("credentials");
            assert_eq!((credentials.user.as_str(), credentials.password.expose()), ("us/er", "s@cret:x"));
        }
        let password = |text: &str| proxy(text).credentials.map(|c| (c.user, c.password.expose().to_owned()));
        assert_eq!(password("http://me@h:1"), Some(("me".to_owned(), String::new())));
        assert_eq!(password("http://:p@h:1"), Some((String::new(), "p".to_owned())));
        assert_eq!(password("http://@h:1"), None);
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        let long = format!("socks5://{}:p@h", "secret".repeat(50));
        for (text, word) in [
            ("socks4://me:secret@h:1", "SOCKS4"),
            ("socks4a://me:secret@h:1", "SOCKS4"),
            ("ftp://me:secret@h", "begins with"),
            ("secret://h", "begins with"),
            ("http://me:secret@h:port", "port"),
            ("http://me:secret", "port"),
            ("http://h:0", "port"),
            ("socks5://me:secret@", "host"),
            ("socks5://me:secret@a b:1", "domain"),
            ("http://", "host"),
            ("", "host"),
            ("http://me:1#secret@h:1", "after its port"),
            ("http://me:1/secret@h:1", "after its port"),
            ("http://me:1?secret@h:1", "after its port"),
            ("http://me:%ff@h:1", "UTF-8"),
            ("http://a%3Ab:secret@h:1", "colon"),
            (&long, "255"),
        ] {
            let error = OutboundProxy::parse(text).expect_err(text).to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{text}: {error}");
            assert_eq!(shown(text), "********");
        }
    }

    #[test]
    fn an_upstream_can_do_without() {
        for text in ["off", "OFF", "direct"] {
            assert_eq!((own(text), shown(text).as_str()), (Ok(None), text));
        }
        assert_eq!(own("http://p:1").expect("valid").map(|proxy| proxy.shown).as_deref(), Some("http://p:1"));
        assert_eq!(shown("me:pass@p:1"), "http://p:1");
    }
}
