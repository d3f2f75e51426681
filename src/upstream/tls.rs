//! TLS connections that Pingora does not make: to outbound proxies, and the doctor's.

use pingora::tls::{
    CertificateDer, ClientConfig, CryptoProvider, DigitallySignedStruct, HandshakeSignatureValid, RootCertStore,
    RusTlsError, ServerCertVerified, ServerCertVerifier, ServerName, SignatureScheme, TlsConnector, UnixTime,
};
use std::sync::Arc;

/// A connector that trusts these authorities, else the system's, or anybody if `insecure`. It asks for HTTP/1.1.
///
/// # Errors
/// When there is no authority to trust: why none was found.
pub fn connector(authorities: &[CertificateDer<'static>], insecure: bool) -> Result<TlsConnector, String> {
    pingora::tls::install_default_crypto_provider();
    let builder = ClientConfig::builder();
    let mut config = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(authorities)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
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
    if store.is_empty() { Err(why) } else { Ok(store) }
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
