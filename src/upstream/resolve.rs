//! The addresses of an upstream's host: looked up in the background, served from memory.

use super::stats::Step;
use arc_swap::ArcSwapOption;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time;

/// However short a record says it lives, and however long, it is looked up again within these times.
const FRESH: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// After a refresh that failed, the next one waits for this long.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// A name that was not asked for in so long is found not to exist anew: the network's fault then tells nothing now.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// A resolver that asks these servers, or, if there are none, those of the system.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            log::warn!("the system names no DNS server ({error}): only addresses and names of its hosts file resolve");
            TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        })
    } else {
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    // Answers are kept here, for as long as they say, and longer while nobody answers.
    options.cache_size = 0;
    builder.build()
}

#[derive(Debug)]
struct Answer {
    addresses: Arc<[SocketAddr]>,
    /// `None` for addresses that were written as such.
    fresh_until: Option<Instant>,
}

/// Why there are no addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoAddress {
    /// In words, after "the name does not resolve".
    pub said: String,
    /// For how long the name has been found not to exist, with nothing else in between; `None` for any other reason.
    pub absent: Option<Duration>,
}

/// A name that was found not to exist: since when, and when last.
#[derive(Clone, Copy, Debug)]
struct Absence {
    since: time::Instant,
    last: time::Instant,
}

impl Absence {
    /// Found so now.
    fn found(former: Option<Self>, now: time::Instant) -> Self {
        let former = former.filter(|former| now.duration_since(former.last) <= FORGOTTEN);
        Self { since: former.map_or(now, |former| former.since), last: now }
    }
}

struct Cell {
    host: String,
    port: u16,
    resolver: Arc<TokioResolver>,
    answer: ArcSwapOption<Answer>,
    is_refreshing: AtomicBool,
    /// Held by the first lookup; others that have no answer yet wait for its answer.
    first: tokio::sync::Mutex<()>,
    /// Only while there never was an answer: it is kept once there is one.
    absence: ArcSwapOption<Absence>,
    timing: Arc<Step>,
}

/// The addresses of one host and port.
#[derive(Clone)]
pub(super) struct Addresses(Arc<Cell>);

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Addresses({}:{})", self.0.host, self.0.port)
    }
}

impl Addresses {
    /// Of a name, or of an address written as such.
    pub(super) fn new(host: &str, port: u16, resolver: &Arc<TokioResolver>, timing: &Arc<Step>) -> Self {
        let fixed = host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| Arc::new(Answer { addresses: Arc::from([SocketAddr::new(ip, port)]), fresh_until: None }));
        Self(Arc::new(Cell {
            host: host.to_owned(),
            port,
            resolver: Arc::clone(resolver),
            answer: ArcSwapOption::new(fixed),
            is_refreshing: AtomicBool::new(false),
            first: tokio::sync::Mutex::new(()),
            absence: ArcSwapOption::empty(),
            timing: Arc::clone(timing),
        }))
    }

    /// The addresses: from memory if there are any, however old, with a refresh in the background when they are no
    /// longer fresh. Only the first requests wait for the resolver.
    ///
    /// # Errors
    /// When there is no answer and never was one.
    pub(super) async fn get(&self) -> Result<Arc<[SocketAddr]>, NoAddress> {
        if let Some(answer) = self.0.answer.load_full() {
            self.refresh_if_stale(&answer);
            return Ok(Arc::clone(&answer.addresses));
        }
        let _first = self.0.first.lock().await;
        match self.0.answer.load_full() {
            Some(answer) => Ok(Arc::clone(&answer.addresses)),
            None => match self.0.look_up().await {
                Ok(addresses) => Ok(addresses),
                Err(error) => Err(self.0.none(error).await),
            },
        }
    }

    /// Nobody answered in time: what was found before does not go on.
    pub(super) fn was_not_answered(&self) {
        self.0.absence.store(None);
    }

    fn refresh_if_stale(&self, answer: &Answer) {
        let is_stale = answer.fresh_until.is_some_and(|until| until < Instant::now());
        if !is_stale || self.0.is_refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let cell = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(error) = cell.look_up().await {
                log::warn!("resolving {} failed, its last addresses stay in use: {}", cell.host, in_words(&error));
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            cell.is_refreshing.store(false, Ordering::Release);
        });
    }
}

/// What a DNS server said that knows no address of a name; `None` of another error.
pub(crate) fn unknown_name(error: &NetError) -> Option<String> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => Some(none.response_code.to_string()),
        _ => None,
    }
}

/// An error as an operator understands it: the library shows its question as the program sees it.
fn in_words(error: &NetError) -> String {
    match unknown_name(error) {
        Some(said) => format!("the DNS server knows no address of it ({said})"),
        None => error.to_string(),
    }
}

impl Cell {
    /// What a lookup that failed says of the name. That there is no such name counts only if the server says so of both
    /// kinds of addresses: some say it of a name that has no IPv6 address.
    async fn none(&self, error: NetError) -> NoAddress {
        let is_absent = error.is_nx_domain()
            && self.resolver.ipv4_lookup(self.host.as_str()).await.is_err_and(|error| error.is_nx_domain());
        let now = time::Instant::now();
        let former = self.absence.load().as_deref().copied();
        let absence = is_absent.then(|| Absence::found(former, now));
        self.absence.store(absence.map(Arc::new));
        let absent = absence.map(|absence| now.duration_since(absence.since));
        NoAddress { said: in_words(&error), absent }
    }

    async fn look_up(&self) -> Result<Arc<[SocketAddr]>, NetError> {
        let began = Instant::now();
        let found = self.resolver.lookup_ip(self.host.as_str()).await;
        self.timing.took(began.elapsed(), found.is_ok());
        let found = found?;
        let fresh_until = found.valid_until().clamp(began + *FRESH.start(), began + *FRESH.end());
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for ip in found.iter() {
            let address = SocketAddr::new(ip, self.port);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let addresses: Arc<[SocketAddr]> = addresses.into();
        if addresses.is_empty() {
            return Err("the name has no address".into());
        }
        let answer = Answer { addresses: Arc::clone(&addresses), fresh_until: Some(fresh_until) };
        self.answer.store(Some(Arc::new(answer)));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn written_addresses_need_no_resolver_and_names_are_looked_up_once() {
        let resolver = Arc::new(resolver(&["127.0.0.1:9".parse().expect("an address")]).expect("a resolver"));
        let addresses = |host| Addresses::new(host, 80, &resolver, &Arc::default());
        let fixed = addresses("::1").get().await.expect("an address");
        assert_eq!(*fixed, [SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80))]);

        let named = addresses("localhost");
        let first = named.get().await.expect("localhost resolves");
        let second = named.get().await.expect("localhost resolves");
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_found_in_between_begins_the_time_anew() {
        let nobody = Arc::new(resolver(&["127.0.0.1:9".parse().expect("an address")]).expect("a resolver"));
        let named = Addresses::new("nowhere.invalid", 80, &nobody, &Arc::default());
        let absent = async || named.get().await.expect_err("no such name").absent.expect("NXDOMAIN").as_secs();
        assert_eq!(absent().await, 0);
        time::advance(Duration::from_secs(20)).await;
        assert_eq!(absent().await, 20);
        let other = named.0.none("a server that fails".into()).await;
        assert_eq!(other.absent, None);
        time::advance(Duration::from_secs(20)).await;
        assert_eq!(absent().await, 0, "the server failed in between");
        time::advance(Duration::from_secs(20)).await;
        named.was_not_answered();
        time::advance(Duration::from_secs(20)).await;
        assert_eq!(absent().await, 0, "nobody answered in between");
    }

    /// `.invalid` is a name that needs no server (RFC 6761 section 6.4), so that time stands still but for the test.
    #[tokio::test(start_paused = true)]
    async fn a_name_that_does_not_exist_is_told_with_the_time_since_that_was_found() {
        let resolver = Arc::new(resolver(&["127.0.0.1:9".parse().expect("an address")]).expect("a resolver"));
        let named = Addresses::new("nowhere.invalid", 80, &resolver, &Arc::default());
        let absent = async || named.get().await.expect_err("no such name").absent.expect("NXDOMAIN").as_secs();
        assert_eq!(absent().await, 0);
        for (passed, told) in [(1, 1), (28, 29), (2, 31), (300, 331), (301, 0), (5, 5)] {
            time::advance(Duration::from_secs(passed)).await;
            assert_eq!(absent().await, told, "{passed} s later");
        }
        let other = Addresses::new("elsewhere.invalid", 80, &resolver, &Arc::default());
        assert_eq!(other.get().await.expect_err("no such name").absent, Some(Duration::ZERO), "each name by itself");
    }
}
