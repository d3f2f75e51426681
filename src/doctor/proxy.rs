//! Outbound proxies: which one an upstream is reached through, and the way through it (HTTP CONNECT).

use super::diagnosis::Failure;
use super::http;
use super::probe::Stopped;
use crate::config::Proxies;
use crate::config::secret::Secret;
use crate::config::upstream::{BaseUrl, UpstreamConfig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A proxy that speaks HTTP CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is shown: without user and password.
    pub shown: String,
    /// User and password in the form that Basic authentication sends.
    credentials: Option<Secret>,
}

/// The proxy of an upstream: its own, else the one for its scheme, else the one for all. `None`: it is reached
/// directly.
pub fn choose(upstream: &UpstreamConfig, proxies: &Proxies) -> Option<Result<Proxy, Stopped>> {
    let url = &upstream.base_url;
    if let Some(own) = &upstream.proxy {
        return (!own.eq_ignore_ascii_case("off")).then(|| parse(own));
    }
    let by_scheme = if url.tls { &proxies.https } else { &proxies.http };
    let proxy = by_scheme.as_ref().or(proxies.all.as_ref())?;
    let is_exempt = proxies.none.as_deref().is_some_and(|list| is_listed(list, url));
    (!is_exempt && !is_loopback(&url.host)).then(|| parse(proxy.expose()))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
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

/// Reads `[http://][user:password@]host[:port]`. The text is not repeated in errors: it may hold a password.
fn parse(text: &str) -> Result<Proxy, Stopped> {
    let wrong = |why: String| Stopped(Failure::ProxyUrl, why);
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = url::Url::parse(&text).map_err(|error| wrong(format!("the proxy's URL: {error}")))?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("the proxy's URL has no host".to_owned()))?;
    match url.scheme() {
        "http" => {}
        kind @ ("socks5" | "socks5h" | "socks4" | "socks4a" | "socks" | "https") => {
            let why = format!("{kind}://{host} cannot be tested by this version");
            return Err(Stopped(Failure::ProxyKind, why));
        }
        other => return Err(wrong(format!("{other}:// is no kind of proxy"))),
    }
    let port = url.port_or_known_default().ok_or_else(|| wrong("the proxy's URL has no port".to_owned()))?;
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let credentials = has_credentials.then(|| {
        let pair = [decode(url.username()), decode(url.password().unwrap_or_default())].join(&b':');
        Secret::new(STANDARD.encode(pair))
    });
    let shown = format!("http://{host}:{port}");
    Ok(Proxy { host: host.trim_matches(['[', ']']).to_owned(), port, shown, credentials })
}

impl Proxy {
    /// Has the proxy connect to the upstream.
    ///
    /// # Errors
    /// When it does not.
    pub async fn open(&self, stream: &mut TcpStream, url: &BaseUrl, deadline: Instant) -> Result<String, Stopped> {
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
        let target = format!("{host}:{}", url.port);
        let authorization = self.credentials.as_ref();
        let authorization = authorization.map(|pair| format!("Proxy-Authorization: Basic {}\r\n", pair.expose()));
        let request =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", authorization.unwrap_or_default());
        // A proxy that has closed already shows in the answer.
        let _ = stream.write_all(request.as_bytes()).await;
        let (answer, _) = http::read_head(stream, deadline).await.map_err(|failure| match failure {
            Failure::AnswerTimeout => Stopped(Failure::ProxyTimeout, format!("CONNECT {target}: no answer in time")),
            _ => Stopped(Failure::ProxyBroken, format!("CONNECT {target}: no HTTP answer")),
        })?;
        let told = format!("CONNECT {target}: {}", answer.status);
        match answer.status {
            200..=299 => Ok(told),
            407 => Err(Stopped(Failure::ProxyCredentials, told)),
            _ => Err(Stopped(Failure::ProxyRefused, told)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::upstream::{Inherited, base_url};
    use std::time::Duration;

    fn upstream(url: &str) -> UpstreamConfig {
        let second = Duration::from_secs(1);
        let inherited = Inherited { preserve_host: false, connect_timeout: second, read_timeout: second };
        UpstreamConfig::at(base_url(url).expect("valid"), inherited)
    }

    #[test]
    fn the_nearest_proxy_counts() {
        let all = Some(Secret::new("http://all:1"));
        let proxies =
            Proxies { https: Some(Secret::new("https-proxy:2")), all, http: None, none: Some("x.test".into()) };
        let shown = |upstream: &UpstreamConfig| choose(upstream, &proxies).map(|proxy| proxy.expect("valid").shown);
        assert_eq!(shown(&upstream("https://a.test")).as_deref(), Some("http://https-proxy:2"));
        assert_eq!(shown(&upstream("http://a.test")).as_deref(), Some("http://all:1"));
        for direct in
            ["https://x.test", "https://sub.x.test", "http://127.0.0.1:9", "https://localhost", "http://[::1]"]
        {
            assert_eq!(shown(&upstream(direct)), None, "{direct}");
        }
        let own = |proxy: &str| UpstreamConfig { proxy: Some(proxy.to_owned()), ..upstream("http://127.0.0.1:9") };
        assert_eq!(shown(&own("http://own:3")).as_deref(), Some("http://own:3"), "its own counts for any host");
        assert_eq!(shown(&own("off")), None);
        assert!(choose(&upstream("https://a.test"), &Proxies::default()).is_none());
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
    fn a_proxy_url_is_read_and_never_repeated() {
        let proxy = parse("http://me:p%40ss@127.0.0.1:7890").expect("valid");
        assert_eq!(
            (proxy.host.as_str(), proxy.port, proxy.shown.as_str()),
            ("127.0.0.1", 7890, "http://127.0.0.1:7890")
        );
        assert_eq!(proxy.credentials.as_ref().map(Secret::expose), Some("bWU6cEBzcw=="));
        assert!(!format!("{proxy:?}").contains("bWU6"));
        assert_eq!(parse("[::1]:8").map(|proxy| (proxy.host, proxy.port)), Ok(("::1".to_owned(), 8)));
        for (text, failure) in [
            ("socks5://me:secret@h:1", Failure::ProxyKind),
            ("https://me:secret@h:1", Failure::ProxyKind),
            ("ftp://me:secret@h", Failure::ProxyUrl),
            ("http://me:secret@h:port", Failure::ProxyUrl),
            ("http://", Failure::ProxyUrl),
        ] {
            let stopped = parse(text).expect_err("refused");
            assert_eq!(stopped.0, failure, "{text}");
            assert!(!stopped.1.contains("secret"), "{}", stopped.1);
        }
    }
}
