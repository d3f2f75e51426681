//! The TLS handshake with an upstream, checked as the gateway checks it.

use super::diagnosis::Failure;
use super::probe::Stopped;
use crate::config::upstream::UpstreamConfig;
use pingora::tls::{
    CertificateDer, CertificateError, ClientConfig, CryptoProvider, DigitallySignedStruct, HandshakeSignatureValid,
    RootCertStore, RusTlsError, ServerCertVerified, ServerCertVerifier, ServerName, SignatureScheme, TlsConnector,
    UnixTime,
};
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// The name that is asked for and checked.
///
/// # Errors
/// When it is neither a name nor an address.
pub fn server_name(upstream: &UpstreamConfig) -> Result<ServerName<'static>, Stopped> {
    let name = upstream.sni.as_ref().unwrap_or(&upstream.base_url.host);
    ServerName::try_from(name.clone())
        .map_err(|_| Stopped(Failure::Tls, format!("\"{name}\" cannot be a name in TLS; correct sni or base_url")))
}

/// A connector that trusts the upstream's `ca_file`, else the system's authorities, or anybody with `insecure`.
///
/// # Errors
/// When there is no authority to trust.
pub fn connector(upstream: &UpstreamConfig) -> Result<TlsConnector, Stopped> {
    pingora::tls::install_default_crypto_provider();
    let builder = ClientConfig::builder();
    let mut config = if upstream.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(&upstream.authorities)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Stopped> {
    let mut store = RootCertStore::empty();
    if !authorities.is_empty() {
        store.add_parsable_certificates(authorities.iter().cloned());
        return Ok(store);
    }
    let why = match pingora::tls::load_native_certs() {
        Ok(certificates) => {
            store.add_parsable_certificates(certificates);
            "none was found".to_owned()
        }
        Err(error) => error.to_string(),
    };
    if store.is_empty() {
        Err(Stopped(Failure::TlsNoRoots, format!("the system's authorities: {why}")))
    } else {
        Ok(store)
    }
}

/// What a failed handshake means.
pub fn failure(error: &io::Error) -> Failure {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<RusTlsError>()) else {
        return match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Failure::TlsClosed,
            ErrorKind::BrokenPipe => Failure::TlsClosed,
            _ => Failure::Tls,
        };
    };
    use CertificateError as C;
    match tls {
        RusTlsError::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => Failure::TlsName,
        RusTlsError::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => Failure::TlsExpired,
        RusTlsError::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => Failure::TlsNotYetValid,
        RusTlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => Failure::TlsAuthority,
        // This one has no variant of its own.
        RusTlsError::InvalidCertificate(C::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            Failure::TlsSelfSigned
        }
        RusTlsError::InvalidMessage(_) => Failure::NotTls,
        _ => Failure::Tls,
    }
}

/// Accepts every certificate: what `insecure: true` asks for.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, RusTlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RusTlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RusTlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = CryptoProvider::get_default();
        provider.map(|provider| provider.signature_verification_algorithms.supported_schemes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
