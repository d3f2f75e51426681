//! Connections to what is no upstream, such as the targets of notifications: the same ways as to an upstream, with the
//! same DNS servers and kinds of proxies, but none is kept.

use super::dial::{Destination, Dialer, NotConnected};
use super::resolve::Addresses;
use super::stats::Stats;
use super::tls;
use crate::config::BaseUrl;
use crate::config::proxy::OutboundProxy;
use gateway_core::both;
use gateway_core::language::{Language, Words};
use hickory_resolver::TokioResolver;
use pingora::protocols::l4::stream::Stream;
use pingora::tls::{ServerName, TlsConnector};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection, with or without TLS.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Duplex for T {}

/// The way to a host.
pub(crate) struct Elsewhere {
    dialer: Dialer,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Elsewhere {
    /// The way to `place`; `is_web` says that a proxy may get requests for it, where it is not spoken to over TLS.
    /// `limit` is the time for a connection.
    ///
    /// # Errors
    /// When there is no authority to check certificates by, or its name cannot be checked.
    pub(crate) fn new(
        place: &BaseUrl,
        proxy: Option<&OutboundProxy>,
        is_web: bool,
        resolver: &Arc<TokioResolver>,
        limit: Duration,
    ) -> Result<Self, Words> {
        let stats = Arc::<Stats>::default();
        let addresses = |host: &str, port| Addresses::new(host, port, resolver, &stats.dns);
        let to = Destination {
            host: place.host.clone(),
            port: place.port,
            tls: place.tls || !is_web,
            addresses: addresses(&place.host, place.port),
        };
        let proxy = proxy.map(|proxy| (proxy, addresses(&proxy.host, proxy.port)));
        let tls = match place.tls {
            false => None,
            true => {
                let connector = tls::connector(&[], false).map_err(|why| {
                    let chinese = why.text(Language::Chinese);
                    Words::new(
                        format_args!("there is no authority to check certificates by: {why}"),
                        format_args!("没有可用来验证证书的证书颁发机构：{chinese}"),
                    )
                })?;
                let name = ServerName::try_from(place.host.clone()).map_err(|_| {
                    both!("{host} cannot be a name in TLS", "{host} 不能用作 TLS 中的名称", host = place.host)
                })?;
                Some((connector, name))
            }
        };
        Ok(Self { dialer: Dialer::new(to, proxy, limit, Arc::clone(&stats))?, tls })
    }

    /// The proxy that gets requests with absolute targets, if this is the way.
    pub(crate) fn forwarding_proxy(&self) -> Option<&OutboundProxy> {
        self.dialer.forwards_through()
    }

    /// A new connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Duplex>, NoWay> {
        let stream: Stream = self.dialer.dial().await.map_err(NoWay::Connect)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), stream).await;
                tls.map(|tls| Box::new(tls) as Box<dyn Duplex>).map_err(NoWay::Tls)
            }
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWay {
    /// None to the host, or to its proxy.
    #[error("{0}")]
    Connect(NotConnected),
    /// No TLS with it.
    #[error("TLS: {0}")]
    Tls(std::io::Error),
}

impl NoWay {
    /// The same for the operator, as the rest of a sentence that begins with the name of what was to be reached.
    pub(crate) fn words(&self) -> Words {
        match self {
            Self::Connect(not) => not.words(),
            Self::Tls(error) => match tls::fault_in(error) {
                Some(fault) => Words::new(
                    format_args!("could not be connected to over TLS: {}", fault.what(Language::English)),
                    format_args!("TLS 连接无法建立：{}", fault.what(Language::Chinese)),
                ),
                None => both!("could not be connected to over TLS: {error}", "TLS 连接无法建立：{error}"),
            },
        }
    }
}
