//! The TLS handshake with an upstream, checked as the gateway checks it.

use super::detail::Detail;
use super::diagnosis::{Failure, Stopped};
use crate::config::upstream::UpstreamConfig;
use crate::upstream::tls::fault_of;
use gateway_core::record::fault::TlsFault;
use pingora::tls::{RusTlsError, ServerName, TlsConnector};
use std::io::{self, ErrorKind};

/// The name that is asked for and checked.
///
/// # Errors
/// When it is neither a name nor an address.
pub(super) fn server_name(upstream: &UpstreamConfig) -> Result<ServerName<'static>, Stopped> {
    let name = upstream.sni.as_ref().unwrap_or(&upstream.base_url.host);
    ServerName::try_from(name.clone()).map_err(|_| Stopped(Failure::Tls, Detail::TlsName { name: name.clone() }))
}

/// A connector that trusts whom the gateway trusts.
///
/// # Errors
/// When there is no authority to trust.
pub(super) fn connector(upstream: &UpstreamConfig) -> Result<TlsConnector, Stopped> {
    crate::upstream::tls::connector(&upstream.authorities, upstream.insecure)
        .map_err(|why| Stopped(Failure::TlsNoRoots, Detail::TlsRoots { said: why }))
}

/// What a failed handshake means.
pub(super) fn failure(error: &io::Error) -> Failure {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<RusTlsError>()) else {
        return match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Failure::TlsClosed,
            ErrorKind::BrokenPipe => Failure::TlsClosed,
            _ => Failure::Tls,
        };
    };
    match fault_of(tls) {
        Some(TlsFault::OtherName) => Failure::TlsName,
        Some(TlsFault::Expired) => Failure::TlsExpired,
        Some(TlsFault::NotYetValid) => Failure::TlsNotYetValid,
        Some(TlsFault::UnknownIssuer) => Failure::TlsAuthority,
        Some(TlsFault::SelfSigned) => Failure::TlsSelfSigned,
        Some(TlsFault::NotTls) => Failure::NotTls,
        Some(TlsFault::Invalid) | None => Failure::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::tls::CertificateError;

    #[test]
    fn handshakes_fail_by_name() {
        use CertificateError as C;
        let certificate = |error| RusTlsError::InvalidCertificate(error);
        for (error, wanted) in [
            (certificate(C::NotValidForName), Failure::TlsName),
            (certificate(C::UnknownIssuer), Failure::TlsAuthority),
            (certificate(C::Expired), Failure::TlsExpired),
            (certificate(C::NotValidYet), Failure::TlsNotYetValid),
            (certificate(C::Revoked), Failure::Tls),
            (RusTlsError::DecryptError, Failure::Tls),
        ] {
            let shown = error.to_string();
            assert_eq!(failure(&io::Error::new(ErrorKind::InvalidData, error)), wanted, "{shown}");
        }
        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            assert_eq!(failure(&kind.into()), Failure::TlsClosed, "{kind}");
        }
        assert_eq!(failure(&ErrorKind::Other.into()), Failure::Tls);
    }
}
