//! Where requests are sent: the upstreams of the configuration, ready to connect to.

mod resolve;

use crate::config::Config;
use crate::config::upstream::UpstreamConfig;
use http::HeaderValue;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Scheme};
use pingora::utils::tls::{WrappedX509, parse_x509};
use resolve::Addresses;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Groups of connections that are used once; the upstreams' own count up from 1.
static FRESH: AtomicU64 = AtomicU64::new(1 << 32);

/// One upstream with everything that a request to it needs, computed once.
#[derive(Debug)]
pub struct Upstream {
    /// What the operator wrote.
    pub config: UpstreamConfig,
    /// `Host` for requests to it.
    pub host: HeaderValue,
    addresses: Addresses,
    options: PeerOptions,
    sni: String,
    /// Keeps the connection pools of different upstreams apart.
    group_key: u64,
}

impl Upstream {
    /// Prepares an upstream.
    ///
    /// # Errors
    /// When its host cannot stand in a header.
    pub fn new(upstream: &UpstreamConfig, config: &Config, group_key: u64) -> Result<Self, String> {
        let url = &upstream.base_url;
        let mut options = PeerOptions::new();
        options.alpn = ALPN::H1;
        options.connection_timeout = Some(upstream.connect_timeout);
        options.total_connection_timeout = Some(upstream.connect_timeout);
        options.read_timeout = Some(upstream.read_timeout);
        options.write_timeout = Some(config.upstream_write_timeout);
        options.idle_timeout = Some(config.pool_idle_timeout);
        options.verify_cert = !upstream.insecure;
        options.verify_hostname = !upstream.insecure;
        if !upstream.authorities.is_empty() {
            let certificates = upstream.authorities.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509));
            options.ca = Some(certificates.collect());
        }
        Ok(Self {
            host: HeaderValue::from_str(&url.authority).map_err(|_| format!("{} is no Host", url.authority))?,
            addresses: Addresses::new(&url.host, url.port),
            sni: upstream.sni.clone().unwrap_or_else(|| url.host.clone()),
            options,
            group_key,
            config: upstream.clone(),
        })
    }

    /// The addresses of its host, in the resolver's order.
    ///
    /// # Errors
    /// When the name cannot be resolved and never could before.
    pub async fn addresses(&self) -> std::io::Result<Arc<[SocketAddr]>> {
        self.addresses.get().await
    }

    /// What Pingora needs to connect to it at `address`; `fresh` for a connection that was not used before.
    pub fn peer(&self, address: SocketAddr, fresh: bool) -> HttpPeer {
        HttpPeer {
            _address: address.into(),
            scheme: Scheme::from_tls_bool(self.config.base_url.tls),
            sni: if self.config.base_url.tls { self.sni.clone() } else { String::new() },
            proxy: None,
            client_cert_key: None,
            // Connections of another group are no part of this one's pool.
            group_key: if fresh { FRESH.fetch_add(1, Ordering::Relaxed) } else { self.group_key },
            options: self.options.clone(),
        }
    }

    /// Its URL without the path, for messages.
    pub fn origin(&self) -> String {
        let url = &self.config.base_url;
        format!("{}://{}", if url.tls { "https" } else { "http" }, url.authority)
    }
}

/// All upstreams of a configuration, preferred ones first.
///
/// # Errors
/// The first upstream that cannot be prepared, and why.
pub fn prepare(config: &Config) -> Result<Vec<Arc<Upstream>>, String> {
    config
        .upstreams
        .iter()
        .zip(1..)
        .map(|(upstream, group_key)| {
            Upstream::new(upstream, config, group_key)
                .map(Arc::new)
                .map_err(|error| format!("upstream \"{}\": {error}", upstream.name))
        })
        .collect()
}
