//! Outbound proxies: reading their URLs, and which upstream is reached through which.

use super::secret::Secret;
use super::upstream::BaseUrl;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// `http://`: CONNECT, and absolute targets for upstreams without TLS.
    Http,
    /// `https://`: the same over TLS.
    Https,
    /// `socks5://`, or `socks5h://`.
    Socks5 {
        /// Whether the proxy resolves the upstream's name (`socks5h`).
        remote_dns: bool,
    },
}

/// Who the gateway is to a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// An outbound proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundProxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its URL without user and password, for messages.
    pub shown: String,
    /// User and password, if the URL has them.
    pub credentials: Option<Credentials>,
}

/// The proxies of all upstreams that have none of their own.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http://` upstreams.
    pub http: Option<OutboundProxy>,
    /// For `https://` upstreams.
    pub https: Option<OutboundProxy>,
    /// For upstreams without one of the other two.
    pub all: Option<OutboundProxy>,
    /// Comma list of hosts that are reached without a proxy.
    pub none: String,
}

impl Proxies {
    /// The proxy for an upstream: the one for its scheme, else the one for all, unless its host is exempt.
    pub fn choose(&self, url: &BaseUrl) -> Option<OutboundProxy> {
        let by_scheme = if url.tls { &self.https } else { &self.http };
        let proxy = by_scheme.as_ref().or(self.all.as_ref())?;
        (!is_listed(&self.none, url)).then(|| proxy.clone())
    }
}

/// An upstream's own setting: `off` for no proxy.
///
/// # Errors
/// What is wrong with the text.
pub fn own(text: &str) -> Result<Option<OutboundProxy>, String> {
    match text.to_ascii_lowercase().as_str() {
        "off" | "direct" => Ok(None),
        _ => OutboundProxy::parse(text).map(Some),
    }
}

impl OutboundProxy {
    /// Reads `[scheme://][user:password@]host[:port]`; a missing scheme means http.
    ///
    /// # Errors
    /// What is wrong with the text. It is not repeated, for it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = url::Url::parse(&text).map_err(|error| format!("the proxy's URL: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the proxy's URL has no host")?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" => (ProxyKind::Socks5 { remote_dns: false }, 1080),
            "socks5h" | "socks" => (ProxyKind::Socks5 { remote_dns: true }, 1080),
            other => return Err(format!("{other}:// is no kind of proxy; http, https, socks5 and socks5h are")),
        };
        let decode = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| "user and password of the proxy's URL must be UTF-8".to_owned())
        };
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let credentials = match has_credentials {
            false => None,
            true => {
                let password = decode(url.password().unwrap_or_default())?;
                Some(Credentials { user: decode(url.username())?, password: Secret::new(password) })
            }
        };
        let is_clean = |text: &str| !text.chars().any(char::is_control);
        if credentials.as_ref().is_some_and(|c| !is_clean(&c.user) || !is_clean(c.password.expose())) {
            return Err("user and password of the proxy's URL have control characters in them".to_owned());
        }
        let port = url.port().unwrap_or(default_port);
        Ok(Self {
            kind,
            shown: format!("{}://{host}:{port}", url.scheme()),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            credentials,
        })
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
    use crate::config::upstream::base_url;

    fn url(text: &str) -> BaseUrl {
        base_url(text).expect("valid")
    }

    #[test]
    fn the_nearest_proxy_counts() {
        let proxy = |text| Some(OutboundProxy::parse(text).expect("valid"));
        let proxies =
            Proxies { https: proxy("https-proxy:2"), all: proxy("http://all:1"), http: None, none: "x.test".into() };
        let shown = |text| proxies.choose(&url(text)).map(|proxy| proxy.shown);
        assert_eq!(shown("https://a.test").as_deref(), Some("http://https-proxy:2"));
        assert_eq!(shown("http://a.test").as_deref(), Some("http://all:1"));
        assert_eq!(shown("http://127.0.0.1:9").as_deref(), Some("http://all:1"), "only NO_PROXY exempts");
        assert_eq!((shown("https://x.test"), shown("https://sub.x.test")), (None, None));
        assert_eq!(own("off"), Ok(None));
        assert_eq!(own("http://own:3").map(|own| own.map(|proxy| proxy.port)), Ok(Some(3)));
        assert_eq!(Proxies::default().choose(&url("https://a.test")), None);
    }

    #[test]
    fn no_proxy_lists_are_read_as_usual() {
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
    fn a_proxy_url_is_read_and_never_repeated() {
        let proxy = OutboundProxy::parse("http://me:p%40ss@127.0.0.1:7890").expect("valid");
        assert_eq!(
            (proxy.host.as_str(), proxy.port, proxy.shown.as_str()),
            ("127.0.0.1", 7890, "http://127.0.0.1:7890")
        );
        let credentials = proxy.credentials.as_ref().expect("credentials");
        assert_eq!((credentials.user.as_str(), credentials.password.expose()), ("me", "p@ss"));
        assert!(!format!("{proxy:?}").contains("p@ss"));
        for (text, kind, host, port) in [
            ("[::1]:8", ProxyKind::Http, "::1", 8),
            ("proxy", ProxyKind::Http, "proxy", 80),
            ("https://proxy", ProxyKind::Https, "proxy", 443),
            ("socks5://proxy", ProxyKind::Socks5 { remote_dns: false }, "proxy", 1080),
            ("socks5h://proxy:7891", ProxyKind::Socks5 { remote_dns: true }, "proxy", 7891),
        ] {
            let proxy = OutboundProxy::parse(text).expect("valid");
            assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (kind, host, port), "{text}");
        }
        for text in ["socks4://me:secret@h:1", "ftp://secret@h", "http://", "http://secret:secret@", "http://h:secret"]
        {
            let error = OutboundProxy::parse(text).expect_err("not usable");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
