//! TLS connections that Pingora does not make: to outbound proxies, and the doctor's; and what is wrong with the other
//! side when one fails.

use gateway_core::both;
use gateway_core::language::Words;
use gateway_core::record::fault::TlsFault;
use pingora::tls::{
    CertificateDer, CertificateError, ClientConfig, CryptoProvider, DigitallySignedStruct, HandshakeSignatureValid,
    RootCertStore, RusTlsError, ServerCertVerified, ServerCertVerifier, ServerName, SignatureScheme, TlsConnector,
    UnixTime,
};
use std::sync::Arc;

/// A connector that trusts these authorities, else the system's, or anybody if `insecure`. It asks for HTTP/1.1.
///
/// # Errors
/// When there is no authority to trust: why none was found.
pub(crate) fn connector(authorities: &[CertificateDer<'static>], insecure: bool) -> Result<TlsConnector, Words> {
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

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Words> {
    let mut store = RootCertStore::empty();
    if !authorities.is_empty() {
        store.add_parsable_certificates(authorities.iter().cloned());
        return Ok(store);
    }
    let why = match pingora::tls::load_native_certs() {
        Ok(certificates) => {
            store.add_parsable_certificates(certificates);
            both!("none was found", "没有找到")
        }
        Err(error) => Words::said(error.to_string()),
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

/// What is wrong with the other side, as rustls says it.
pub(crate) fn fault_of(error: &RusTlsError) -> Option<TlsFault> {
    use CertificateError as C;
    Some(match error {
        RusTlsError::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => TlsFault::OtherName,
        RusTlsError::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => TlsFault::Expired,
        RusTlsError::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => TlsFault::NotYetValid,
        RusTlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => TlsFault::UnknownIssuer,
        // This one has no variant of its own.
        RusTlsError::InvalidCertificate(C::Other(other)) if other.to_string().contains(SELF_SIGNED) => {
            TlsFault::SelfSigned
        }
        RusTlsError::InvalidCertificate(_) => TlsFault::Invalid,
        RusTlsError::InvalidMessage(_) => TlsFault::NotTls,
        _ => return None,
    })
}

/// Whether a handshake failed because of the other side's certificate.
pub(crate) fn has_bad_certificate(error: &std::io::Error) -> bool {
    fault_in(error).is_some_and(TlsFault::is_of_certificate)
}

/// What is wrong with the other side of a handshake that failed, if it is that.
pub(crate) fn fault_in(error: &std::io::Error) -> Option<TlsFault> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<RusTlsError>()).and_then(fault_of)
}

/// What [`fault_of`] says, of rustls' words: Pingora keeps nothing else of its error. (A test compares both.)
pub(crate) fn fault_named_in(text: &str) -> Option<TlsFault> {
    if text.contains("received corrupt message") {
        return Some(TlsFault::NotTls);
    }
    let (_, fault) = text.split_once("invalid peer certificate: ")?;
    let begins = |starts: [&str; 2]| starts.iter().any(|start| fault.starts_with(start));
    match () {
        () if begins(["Expired", "certificate expired"]) => Some(TlsFault::Expired),
        () if begins(["NotValidYet", "certificate not valid yet"]) => Some(TlsFault::NotYetValid),
        () if begins(["NotValidForName", "certificate not valid for name"]) => Some(TlsFault::OtherName),
        () if begins(["UnknownIssuer", "BadSignature"]) => Some(TlsFault::UnknownIssuer),
        () if fault.contains(SELF_SIGNED) => Some(TlsFault::SelfSigned),
        () => Some(TlsFault::Invalid),
    }
}

/// What webpki calls an authority's certificate that is shown as a server's.
const SELF_SIGNED: &str = "CaUsedAsEndEntity";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_words_of_a_fault_name_what_the_error_is() {
        use CertificateError as C;
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (certificate, fault) in [
            (C::Expired, Some(TlsFault::Expired)),
            (C::ExpiredContext { time: time(2), not_after: time(1) }, Some(TlsFault::Expired)),
            (C::NotValidYet, Some(TlsFault::NotYetValid)),
            (C::NotValidYetContext { time: time(1), not_before: time(2) }, Some(TlsFault::NotYetValid)),
            (C::NotValidForName, Some(TlsFault::OtherName)),
            (
                C::NotValidForNameContext {
                    expected: ServerName::try_from("a.test").expect("a name"),
                    presented: vec!["DnsName(\"b.test\")".to_owned()],
                },
                Some(TlsFault::OtherName),
            ),
            (C::UnknownIssuer, Some(TlsFault::UnknownIssuer)),
            (C::BadSignature, Some(TlsFault::UnknownIssuer)),
            (C::Revoked, Some(TlsFault::Invalid)),
            (C::BadEncoding, Some(TlsFault::Invalid)),
            (C::InvalidPurpose, Some(TlsFault::Invalid)),
        ] {
            let error = RusTlsError::InvalidCertificate(certificate);
            assert_eq!(fault_of(&error), fault, "{error}");
            assert_eq!(fault_named_in(&format!("TLS connect() failed: {error}, SNI: x")), fault, "{error}");
        }
        let other = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        assert_eq!(fault_named_in(other), Some(TlsFault::SelfSigned));
        assert_eq!(fault_named_in("received fatal alert: HandshakeFailure"), None);
    }
}
