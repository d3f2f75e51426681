//! TLS connections that Pingora does not make: to outbound proxies, and the doctor's; and what is wrong with the other
//! side when one fails.

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

/// Why the other side of a handshake is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its certificate has expired.
    Expired,
    /// Its certificate begins later.
    NotYetValid,
    /// Its certificate is for another name.
    OtherName,
    /// Nobody whom this machine trusts has signed its certificate.
    UnknownIssuer,
    /// Its certificate is an authority's, and vouches for itself.
    SelfSigned,
    /// It does not speak TLS.
    NotTls,
}

impl Fault {
    /// What rustls says.
    pub fn of(error: &RusTlsError) -> Option<Self> {
        use CertificateError as C;
        Some(match error {
            RusTlsError::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => Self::OtherName,
            RusTlsError::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => Self::Expired,
            RusTlsError::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => Self::NotYetValid,
            RusTlsError::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => Self::UnknownIssuer,
            // This one has no variant of its own.
            RusTlsError::InvalidCertificate(C::Other(other)) if other.to_string().contains(SELF_SIGNED) => {
                Self::SelfSigned
            }
            RusTlsError::InvalidMessage(_) => Self::NotTls,
            _ => return None,
        })
    }

    /// The same, of rustls' words: Pingora keeps nothing else of its error. (A test compares both.)
    pub fn named_in(text: &str) -> Option<Self> {
        if text.contains("received corrupt message") {
            return Some(Self::NotTls);
        }
        let (_, fault) = text.split_once("invalid peer certificate: ")?;
        let begins = |starts: [&str; 2]| starts.iter().any(|start| fault.starts_with(start));
        match () {
            () if begins(["Expired", "certificate expired"]) => Some(Self::Expired),
            () if begins(["NotValidYet", "certificate not valid yet"]) => Some(Self::NotYetValid),
            () if begins(["NotValidForName", "certificate not valid for name"]) => Some(Self::OtherName),
            () if begins(["UnknownIssuer", "BadSignature"]) => Some(Self::UnknownIssuer),
            () if fault.contains(SELF_SIGNED) => Some(Self::SelfSigned),
            () => None,
        }
    }

    /// What is wrong, as a clause.
    pub fn what(self) -> &'static str {
        match self {
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::OtherName => "its certificate is for another name",
            Self::UnknownIssuer => "its certificate was issued by nobody whom this machine trusts",
            Self::SelfSigned => "its certificate is self-signed",
            Self::NotTls => "it does not speak TLS",
        }
    }

    /// What to do, as a clause.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Expired => "it has to be renewed there, unless this machine's clock is wrong",
            Self::NotYetValid => "check this machine's clock",
            Self::OtherName => "check base_url, or set sni to the name that it is for",
            Self::UnknownIssuer => {
                "set ca_file to its authority's certificate if it is one of yours; else somebody may listen in between"
            }
            Self::SelfSigned => "set ca_file to it if it is yours; else somebody may listen in between",
            Self::NotTls => "check scheme and port of base_url",
        }
    }

    /// Both for those who must not learn where the other side is, as the rest of a sentence.
    pub fn public(self) -> &'static str {
        match self {
            Self::Expired => "could not be connected to over TLS: its certificate has expired",
            Self::NotYetValid => "could not be connected to over TLS: its certificate is not valid yet",
            Self::OtherName => "could not be connected to over TLS: its certificate is for another name",
            Self::UnknownIssuer => "could not be connected to over TLS: its certificate is issued by nobody known",
            Self::SelfSigned => "could not be connected to over TLS: its certificate is self-signed",
            Self::NotTls => "could not be connected to over TLS: it does not speak it",
        }
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
            (C::Expired, Some(Fault::Expired)),
            (C::ExpiredContext { time: time(2), not_after: time(1) }, Some(Fault::Expired)),
            (C::NotValidYet, Some(Fault::NotYetValid)),
            (C::NotValidYetContext { time: time(1), not_before: time(2) }, Some(Fault::NotYetValid)),
            (C::NotValidForName, Some(Fault::OtherName)),
            (
                C::NotValidForNameContext {
                    expected: ServerName::try_from("a.test").expect("a name"),
                    presented: vec!["DnsName(\"b.test\")".to_owned()],
                },
                Some(Fault::OtherName),
            ),
            (C::UnknownIssuer, Some(Fault::UnknownIssuer)),
            (C::BadSignature, Some(Fault::UnknownIssuer)),
            (C::Revoked, None),
            (C::BadEncoding, None),
        ] {
            let error = RusTlsError::InvalidCertificate(certificate);
            assert_eq!(Fault::of(&error), fault, "{error}");
            assert_eq!(Fault::named_in(&format!("TLS connect() failed: {error}, SNI: x")), fault, "{error}");
        }
        let other = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        assert_eq!(Fault::named_in(other), Some(Fault::SelfSigned));
        assert_eq!(Fault::named_in("received fatal alert: HandshakeFailure"), None);
    }
}
