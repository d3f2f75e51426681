//! One line of an upstream: an address that leads to it, ready to connect to, and what was measured of it.

use super::dial::{Destination, Dialer};
use super::line_times::LineTimes;
use super::resolve::Addresses;
use super::stats::Stats;
use super::tunnel;
use crate::config::BaseUrl;
use crate::config::proxy::OutboundProxy;
use crate::config::upstream::{HttpVersion, UpstreamConfig};
use gateway_core::both;
use gateway_core::language::Words;
use hickory_resolver::TokioResolver;
use http::HeaderValue;
use http::header::{HOST, PROXY_AUTHORIZATION};
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Scheme};
use pingora::utils::tls::{WrappedX509, parse_x509};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Groups of connections that are used once.
static FRESH: AtomicU64 = AtomicU64::new(1 << 32);
/// The lines' own groups: another number for each set of connections that this process ever has.
static GROUPS: AtomicU64 = AtomicU64::new(1);
/// What a handshake may take beyond the dialer's own limit, so that it is the dialer that says what took so long.
const AFTER_DIALING: Duration = Duration::from_millis(100);

/// One address of an upstream with everything that a connection to it needs, computed once.
#[derive(Debug)]
pub struct Line {
    /// `Host` for requests to it.
    pub host: HeaderValue,
    /// What was measured of it.
    pub times: Arc<LineTimes>,
    tls: bool,
    port: u16,
    /// `Proxy-Authorization` for a proxy that gets requests with absolute targets.
    proxy_authorization: Option<HeaderValue>,
    pub(super) dialer: Arc<Dialer>,
    options: PeerOptions,
    sni: String,
    /// Keeps the connection pools of different lines apart.
    pub(super) group_key: u64,
}

/// What the lines of one upstream have in common.
pub(super) struct Common<'a> {
    /// What the operator wrote.
    pub upstream: &'a UpstreamConfig,
    /// How long it may take no byte, and how long an idle connection is kept.
    pub times: (Duration, Duration),
    /// Looks names up.
    pub resolver: &'a Arc<TokioResolver>,
    /// Where its steps are counted.
    pub stats: &'a Arc<Stats>,
}

impl Line {
    /// Prepares the line at `url`. Connections of the `former` one are used on.
    ///
    /// # Errors
    /// When its host cannot stand in a header, or its proxy cannot be used.
    pub(super) fn new(url: &BaseUrl, common: &Common<'_>, former: Option<&Self>) -> Result<Self, Words> {
        let Common { upstream, times, resolver, stats } = common;
        let addresses = |host: &str, port| Addresses::new(host, port, resolver, &stats.dns);
        let dialer = match former {
            Some(former) => Arc::clone(&former.dialer),
            None => {
                let to = Destination {
                    host: url.host.clone(),
                    port: url.port,
                    tls: url.tls,
                    addresses: addresses(&url.host, url.port),
                };
                let proxy = upstream.proxy.as_ref().map(|proxy| (proxy, addresses(&proxy.host, proxy.port)));
                Arc::new(Dialer::new(to, proxy, upstream.connect_timeout, Arc::clone(stats))?)
            }
        };
        let forwarding = dialer.forwards_through().and_then(|proxy| proxy.credentials.as_ref());
        Ok(Self {
            host: HeaderValue::from_str(&url.authority)
                .map_err(|_| both!("{authority} is no Host", "{authority} 不能作为 Host", authority = url.authority))?,
            times: former.map_or_else(Arc::default, |former| Arc::clone(&former.times)),
            tls: url.tls,
            port: url.port,
            proxy_authorization: forwarding.and_then(tunnel::basic),
            sni: upstream.sni.clone().unwrap_or_else(|| url.host.clone()),
            options: options(upstream, *times, &dialer),
            group_key: former.map_or_else(|| GROUPS.fetch_add(1, Ordering::Relaxed), |former| former.group_key),
            dialer,
        })
    }

    /// Its host and port, as `Host` has them.
    pub fn authority(&self) -> &str {
        self.host.to_str().unwrap_or_default()
    }

    /// What Pingora needs to connect to it; `fresh` for a connection that was not used before.
    pub fn peer(&self, fresh: bool) -> HttpPeer {
        HttpPeer {
            // The dialer knows the real ones. Of this address Pingora's pool never asks whether a kept connection
            // really leads there; the group key tells pools apart.
            _address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.port)).into(),
            scheme: Scheme::from_tls_bool(self.tls),
            sni: if self.tls { self.sni.clone() } else { String::new() },
            proxy: None,
            client_cert_key: None,
            // Connections of another group are no part of this one's pool.
            group_key: if fresh { FRESH.fetch_add(1, Ordering::Relaxed) } else { self.group_key },
            options: self.options.clone(),
        }
    }

    /// The proxy that gets requests with absolute targets, if this is the way to it.
    pub fn forwarding_proxy(&self) -> Option<&OutboundProxy> {
        self.dialer.forwards_through()
    }

    /// Gives a proxy that forwards requests the whole target, and its credentials (RFC 9112 section 3.2.2). `Host` is
    /// the target's own then, whatever was to be sent to the upstream.
    ///
    /// # Errors
    /// When a field cannot be set; that would be a mistake of the gateway's.
    pub fn address_to_proxy(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        if self.forwarding_proxy().is_none() {
            return Ok(());
        }
        let mut target = b"http://".to_vec();
        target.extend_from_slice(self.host.as_bytes());
        let path = request.raw_path();
        target.extend_from_slice(if path == b"*" { b"" } else { path });
        request.set_raw_path(&target)?;
        request.insert_header(HOST, self.host.clone())?;
        match &self.proxy_authorization {
            Some(credentials) => request.insert_header(PROXY_AUTHORIZATION, credentials.clone()),
            None => Ok(()),
        }
    }
}

fn options(upstream: &UpstreamConfig, (write, idle): (Duration, Duration), dialer: &Arc<Dialer>) -> PeerOptions {
    let mut options = PeerOptions::new();
    match upstream.http {
        HttpVersion::One => options.set_http_version(1, 1),
        HttpVersion::Two => options.set_http_version(2, 2),
        HttpVersion::Auto => options.set_http_version(2, 1),
    }
    options.max_h2_streams = 100;
    options.custom_l4 = Some(Arc::clone(dialer) as _);
    options.total_connection_timeout = Some(upstream.connect_timeout + AFTER_DIALING);
    options.read_timeout = Some(upstream.read_timeout);
    options.write_timeout = Some(write);
    options.idle_timeout = Some(idle);
    options.verify_cert = !upstream.insecure;
    options.verify_hostname = !upstream.insecure;
    if !upstream.authorities.is_empty() {
        let certificates = upstream.authorities.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509));
        options.ca = Some(certificates.collect());
    }
    options
}
