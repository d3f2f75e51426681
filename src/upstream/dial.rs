//! Connections to an upstream: its addresses raced, through its outbound proxy if it has one.
//!
//! Pingora leaves this to us ([`Connect`]) and knows nothing of addresses: the upstream's group key alone tells its
//! pool apart from others (see ARCHITECTURE.md).

use super::resolve::Addresses;
use super::stats::Stats;
use super::tls;
use super::tunnel::{self, NotOpened, Target};
use crate::config::proxy::{OutboundProxy, ProxyKind};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use gateway_core::both;
use gateway_core::language::{Language, Words};
use gateway_core::record::fault::ProxyRefusal;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::tls::{ServerName, TlsConnector};
use pingora::{Error, ErrorType};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Head start of one address before the next is tried too (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of a host that are tried for one connection.
const MOST_ADDRESSES: usize = 8;

/// How requests get to an upstream.
#[derive(Debug)]
enum Way {
    Direct,
    /// The proxy gets requests with absolute targets (RFC 9112 section 3.2.2).
    Forwarded(Proxy),
    /// The proxy opens a tunnel for each connection.
    Tunnel(Proxy),
}

#[derive(Debug)]
struct Proxy {
    proxy: OutboundProxy,
    addresses: Addresses,
    /// For a proxy that is spoken to over TLS.
    tls: Option<(ServerName<'static>, Connector)>,
}

struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

/// Makes the connections of one upstream.
#[derive(Debug)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    addresses: Addresses,
    way: Way,
    limit: Duration,
    stats: Arc<Stats>,
    /// The address that was connected to last: it goes first the next time.
    last: ArcSwapOption<SocketAddr>,
}

/// A connection that was not made.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NotConnected {
    kind: ErrorType,
    message: String,
    /// Why the proxy never will, as it is.
    pub refusal: Option<ProxyRefusal>,
    /// For how long the name that was looked up has been found not to exist.
    pub absent: Option<Duration>,
    /// The name that does not resolve, and why.
    pub unresolved: Option<(String, String)>,
}

impl NotConnected {
    /// What the dialer said, if this error is one of its own.
    pub(crate) fn in_error(error: &Error) -> Option<&Self> {
        error.root_cause().downcast_ref()
    }

    /// The same for the operator, as the rest of a sentence that begins with the name of what was to be reached.
    pub(crate) fn words(&self) -> Words {
        let said = &self.message;
        match &self.kind {
            ErrorType::ConnectRefused => both!("refused the connection", "拒绝了连接"),
            ErrorType::ConnectTimedout => both!("could not be connected to in time", "连接超时"),
            ErrorType::ConnectNoRoute => {
                both!("could not be connected to: no route leads there", "无法连接：网络不可达")
            }
            kind if *kind == RESOLVE && self.absent.is_some() => {
                both!("could not be found: its name does not exist (NXDOMAIN)", "域名不存在（NXDOMAIN）")
            }
            kind if *kind == RESOLVE => both!("could not be found: {said}", "域名无法解析：{said}"),
            kind if *kind == PROXY_TIMEOUT => {
                both!("could not be reached in time: {said}", "通过出站代理连接超时：{said}")
            }
            kind if *kind == PROXY => both!("could not be reached: {said}", "无法通过出站代理连通：{said}"),
            _ => both!("could not be reached: {said}", "无法连接：{said}"),
        }
    }
}

/// What Pingora's error says when the upstream's name, or its proxy's, does not resolve.
pub(crate) const RESOLVE: ErrorType = ErrorType::Custom("resolve");
/// The same for a proxy that does not open the way.
pub(crate) const PROXY: ErrorType = ErrorType::Custom("proxy");
/// The same for a proxy that takes too long.
pub(crate) const PROXY_TIMEOUT: ErrorType = ErrorType::Custom("proxy_timeout");

/// Where a dialer connects to.
#[derive(Debug)]
pub(super) struct Destination {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the upstream is spoken to over TLS.
    pub tls: bool,
    /// Addresses of the host.
    pub addresses: Addresses,
}

impl Dialer {
    /// A dialer; `limit` is the time for a connection, tunnel included. `proxy` comes with its addresses.
    ///
    /// # Errors
    /// When a proxy that is spoken to over TLS cannot be checked.
    pub(super) fn new(
        to: Destination,
        proxy: Option<(&OutboundProxy, Addresses)>,
        limit: Duration,
        stats: Arc<Stats>,
    ) -> Result<Self, Words> {
        let way = match proxy {
            None => Way::Direct,
            Some((proxy, addresses)) => {
                let tls = match proxy.kind {
                    ProxyKind::Https => Some(proxy_tls(proxy)?),
                    ProxyKind::Http | ProxyKind::Socks5 { .. } => None,
                };
                let is_http = matches!(proxy.kind, ProxyKind::Http | ProxyKind::Https);
                let proxy = Proxy { proxy: proxy.clone(), addresses, tls };
                if is_http && !to.tls { Way::Forwarded(proxy) } else { Way::Tunnel(proxy) }
            }
        };
        let Destination { host, port, addresses, .. } = to;
        Ok(Self { host, port, addresses, way, limit, stats, last: ArcSwapOption::empty() })
    }

    /// The proxy that gets requests with absolute targets, if this is the way.
    pub(super) fn forwards_through(&self) -> Option<&OutboundProxy> {
        match &self.way {
            Way::Forwarded(proxy) => Some(&proxy.proxy),
            Way::Direct | Way::Tunnel(_) => None,
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn dial(&self) -> Result<Stream, NotConnected> {
        let deadline = Instant::now() + self.limit;
        match &self.way {
            Way::Direct => {
                let addresses = self.resolve(&self.addresses, &self.host, deadline).await?;
                Ok(self.tcp(&addresses, deadline, "").await?.into())
            }
            Way::Forwarded(proxy) => self.through(proxy, None, deadline).await,
            Way::Tunnel(proxy) => match proxy.proxy.kind {
                // The proxy is to get an address: the first one that it can reach.
                ProxyKind::Socks5 { remote_dns: false } => {
                    let addresses = self.resolve(&self.addresses, &self.host, deadline).await?;
                    let mut last = None;
                    for &address in addresses.iter().take(MOST_ADDRESSES) {
                        match self.through(proxy, Some(Target::Address(address)), deadline).await {
                            Err(error) if error.kind == PROXY => last = Some(error),
                            done => return done,
                        }
                    }
                    Err(last.unwrap_or_else(|| not_connected(RESOLVE, "the name has no address".to_owned())))
                }
                _ => self.through(proxy, Some(Target::Name(&self.host, self.port)), deadline).await,
            },
        }
    }

    /// A connection to the proxy, and through it to the target if there is one.
    async fn through(
        &self,
        proxy: &Proxy,
        target: Option<Target<'_>>,
        deadline: Instant,
    ) -> Result<Stream, NotConnected> {
        let shown = &proxy.proxy.shown;
        let name = format!("the proxy {shown} ");
        let addresses = self.resolve(&proxy.addresses, &proxy.proxy.host, deadline).await.map_err(|error| {
            NotConnected { kind: PROXY, message: format!("{name}could not be found: {}", error.message), ..error }
        })?;
        let tcp = self.tcp(&addresses, deadline, &name).await.map_err(|error| {
            let kind = if error.kind == ErrorType::ConnectTimedout { PROXY_TIMEOUT } else { PROXY };
            not_connected(kind, error.message)
        })?;
        let late = |step: &str| not_connected(PROXY_TIMEOUT, format!("{name}{step} within {}", self.limit()));
        let open = async {
            match &proxy.tls {
                None => match target {
                    None => Ok(tcp.into()),
                    Some(target) => tunnel::open(tcp, &proxy.proxy, target).await.map(Stream::from).map_err(not_opened),
                },
                Some((server, connector)) => {
                    let tls = connector.0.connect(server.clone(), tcp).await;
                    let tls = tls.map_err(|error| {
                        let refusal = tls::has_bad_certificate(&error).then_some(ProxyRefusal::Certificate);
                        (format!("cannot be spoken to over TLS: {error}"), refusal)
                    })?;
                    let tls = match target {
                        None => tls,
                        Some(target) => tunnel::open(tls, &proxy.proxy, target).await.map_err(not_opened)?,
                    };
                    relay(tls).map_err(|error| (format!("cannot be used: {error}"), None))
                }
            }
        };
        let began = Instant::now();
        let opened: Result<Result<Stream, (String, Option<ProxyRefusal>)>, _> = timeout_at(deadline, open).await;
        self.stats.proxy.took(began.elapsed(), matches!(opened, Ok(Ok(_))));
        opened
            .map_err(|_| late("did not open the way"))?
            .map_err(|(what, refusal)| NotConnected { refusal, ..not_connected(PROXY, format!("{name}{what}")) })
    }

    fn limit(&self) -> String {
        humantime::format_duration(self.limit).to_string()
    }

    async fn resolve(
        &self,
        addresses: &Addresses,
        host: &str,
        deadline: Instant,
    ) -> Result<Arc<[SocketAddr]>, NotConnected> {
        match timeout_at(deadline, addresses.get()).await {
            Ok(found) => found.map_err(|none| NotConnected {
                absent: none.absent,
                unresolved: Some((host.to_owned(), none.said.clone())),
                ..not_connected(RESOLVE, format!("{host} does not resolve: {}", none.said))
            }),
            Err(_) => {
                addresses.was_not_answered();
                let said = format!("no DNS server answered within {}", self.limit());
                let message = format!("{host} does not resolve: {said}");
                Err(NotConnected { unresolved: Some((host.to_owned(), said)), ..not_connected(RESOLVE, message) })
            }
        }
    }

    async fn tcp(&self, addresses: &[SocketAddr], deadline: Instant, name: &str) -> Result<TcpStream, NotConnected> {
        let last = self.last.load_full();
        let order = in_order(addresses, last.as_deref());
        let began = Instant::now();
        let raced = race(&order, deadline, |address| async move { TcpStream::connect(address).await }).await;
        self.stats.tcp.took(began.elapsed(), raced.is_ok());
        match raced {
            Ok((address, stream)) => {
                if addresses.len() > 1 && last.as_deref() != Some(&address) {
                    self.last.store(Some(Arc::new(address)));
                }
                Ok(stream)
            }
            Err(None) => {
                let what = if name.is_empty() { "no connection" } else { "could not be connected to" };
                let message = format!("{name}{what} within {}", self.limit());
                Err(not_connected(ErrorType::ConnectTimedout, message))
            }
            Err(Some((address, error))) => {
                let kind = match error.kind() {
                    ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                    ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
                    _ => ErrorType::ConnectError,
                };
                // Of the upstream itself its words say that already.
                let what = if name.is_empty() { "" } else { "could not be connected to at " };
                Err(not_connected(kind, format!("{name}{what}{address}: {error}")))
            }
        }
    }
}

#[async_trait]
impl Connect for Dialer {
    async fn connect(&self, _: &PingoraAddr) -> pingora::Result<Stream> {
        self.dial().await.map_err(|error| Error::because(error.kind.clone(), "dialing", error))
    }
}

fn not_connected(kind: ErrorType, message: String) -> NotConnected {
    NotConnected { kind, message, refusal: None, absent: None, unresolved: None }
}

fn not_opened(not: NotOpened) -> (String, Option<ProxyRefusal>) {
    (not.message, not.failure.refusal())
}

fn proxy_tls(proxy: &OutboundProxy) -> Result<(ServerName<'static>, Connector), Words> {
    let shown = &proxy.shown;
    let name = ServerName::try_from(proxy.host.clone()).map_err(|_| {
        both!("the proxy {shown}: its host cannot be a name in TLS", "代理 {shown}：它的主机名不能用于 TLS")
    })?;
    let connector = tls::connector(&[], false).map_err(|why| {
        let chinese = why.text(Language::Chinese);
        Words::new(
            format_args!("the proxy {shown}: there is no authority to check its certificate by: {why}"),
            format_args!("代理 {shown}：没有可用来验证其证书的证书颁发机构：{chinese}"),
        )
    })?;
    Ok((name, Connector(connector)))
}

/// A real socket for what goes over TLS: Pingora's pool keeps nothing else.
fn relay(mut tls: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static) -> io::Result<Stream> {
    let (near, mut far) = UnixStream::pair()?;
    tokio::spawn(async move {
        // When one side ends, so does the other; why is not known to be of use to anybody.
        let _ = tokio::io::copy_bidirectional(&mut far, &mut tls).await;
    });
    Ok(near.into())
}

/// The addresses in the order in which they are tried: the one that worked last, then both families by turns.
fn in_order(addresses: &[SocketAddr], last: Option<&SocketAddr>) -> Vec<SocketAddr> {
    let is_last = |address: &&SocketAddr| Some(*address) == last;
    let known = addresses.iter().find(is_last).copied();
    let rest = || addresses.iter().filter(|address| !is_last(address)).copied();
    // IPv6 goes first, unless it is IPv6 that worked last: then the other family has its turn.
    let six_first = !known.is_some_and(|address| address.is_ipv6());
    let (mut one, mut other): (Vec<_>, Vec<_>) = rest().partition(|address| address.is_ipv6() == six_first);
    one.reverse();
    other.reverse();
    let mut order: Vec<SocketAddr> = known.into_iter().collect();
    while !one.is_empty() || !other.is_empty() {
        order.extend(one.pop());
        order.extend(other.pop());
    }
    order.truncate(MOST_ADDRESSES);
    order
}

/// Happy eyeballs (RFC 8305): connects to one address after the other, the next one as soon as one has failed or its
/// head start is over, and goes on with the first that answers.
///
/// # Errors
/// The last address's error once all have failed; `None` at the deadline.
async fn race<C, F>(
    order: &[SocketAddr],
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, C), Option<(SocketAddr, io::Error)>>
where
    C: Send + 'static,
    F: Future<Output = io::Result<C>> + Send + 'static,
{
    // The usual case needs no second task.
    if let [address] = *order {
        return match timeout_at(deadline, connect(address)).await {
            Ok(Ok(connected)) => Ok((address, connected)),
            Ok(Err(error)) => Err(Some((address, error))),
            Err(_) => Err(None),
        };
    }
    let mut tries = JoinSet::new();
    let mut waiting = order.iter().copied();
    let mut failed = None;
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            let trying = connect(address);
            tries.spawn(async move { (address, trying.await) });
        }
        if tries.is_empty() {
            return Err(failed);
        }
        let until =
            if next.is_some() && waiting.len() > 0 { deadline.min(Instant::now() + HEAD_START) } else { deadline };
        match timeout_at(until, tries.join_next()).await {
            Ok(Some(Ok((address, Ok(connected))))) => return Ok((address, connected)),
            Ok(Some(Ok((address, Err(error))))) => failed = Some((address, error)),
            Ok(_) => {}
            Err(_) if until == deadline => return Err(None),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_connection_is_told_in_both_languages() {
        let at = "192.0.2.1:443: Connection refused".to_owned();
        let refused = not_connected(ErrorType::ConnectRefused, at);
        assert_eq!(refused.words(), both!("refused the connection", "拒绝了连接"));
        let unknown = not_connected(RESOLVE, "a.example does not resolve: no such name".to_owned()).words();
        let said = [Language::English, Language::Chinese].map(|language| unknown.text(language));
        assert!(said[0].starts_with("could not be found: ") && said[1].starts_with("域名无法解析："), "{said:?}");
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn families_take_turns_after_the_one_that_worked() {
        let all = ["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"].map(address);
        let order = |last: Option<&str>| -> Vec<String> {
            in_order(&all, last.map(address).as_ref()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(order(None), ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        assert_eq!(order(Some("2.2.2.2:1")), ["2.2.2.2:1", "[::1]:1", "1.1.1.1:1", "[::2]:1"]);
        assert_eq!(order(Some("[::2]:1")), ["[::2]:1", "1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        assert_eq!(order(Some("9.9.9.9:1")).len(), 4, "an address that is gone is not tried");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_its_head_start_and_a_refused_one_nothing() {
        let order = ["[::1]:1", "1.1.1.1:1", "2.2.2.2:1"].map(address);
        let began = Instant::now();
        let raced = race(&order, began + Duration::from_secs(10), |address| async move {
            match address.to_string().as_str() {
                "[::1]:1" => std::future::pending().await,
                "1.1.1.1:1" => Err(ErrorKind::ConnectionRefused.into()),
                _ => Ok(()),
            }
        });
        assert_eq!(raced.await.expect("the third answers").0, order[2]);
        assert_eq!(began.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_race_ends_at_its_deadline_or_with_the_last_failure() {
        let order = ["[::1]:1", "1.1.1.1:1"].map(address);
        let began = Instant::now();
        let silent = race(&order, began + Duration::from_secs(1), |_| std::future::pending::<io::Result<()>>());
        assert!(matches!(silent.await, Err(None)));
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        let refused = race(&order, began + Duration::from_secs(9), |_| async {
            Err::<(), _>(ErrorKind::ConnectionRefused.into())
        });
        assert!(matches!(refused.await, Err(Some((_, error))) if error.kind() == ErrorKind::ConnectionRefused));
    }
}
