//! The listener for TLS: `gateway.tls`.

use crate::config::source::message::Message;
use crate::config::source::setting::{Panel, Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::text_file;
use crate::config::source::value;
use pingora::tls::CryptoProvider;
use pingora::tls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer as _, X509Certificate};

settings! {
    TLS_LISTEN: SocketAddr = Setting::one(
        "gateway.tls.listen",
        "",
        value::address,
        "Address of an additional TLS listener (HTTP/1.1 and HTTP/2).",
        "额外的 TLS 监听地址（HTTP/1.1 与 HTTP/2）。",
    )
    .env(&["TLS_LISTEN"])
    .restart();
    TLS_CERT: Certificates = Setting::one(
        "gateway.tls.cert",
        "",
        |path| certificates(path).map(|chain| (path.to_owned(), chain)),
        "PEM file with the certificate chain of the TLS listener.",
        "TLS 监听使用的证书链 PEM 文件。",
    )
    .env(&["TLS_CERT"])
    .restart()
    .panel(Panel::NoMore);
    TLS_KEY: PrivateKey = Setting::one(
        "gateway.tls.key",
        "",
        |path| private_key(path).map(|key| (path.to_owned(), Arc::new(key))),
        "PEM file with the private key of the TLS listener.",
        "TLS 监听使用的私钥 PEM 文件。",
    )
    .env(&["TLS_KEY"])
    .restart()
    .panel(Panel::NoMore);
}

/// A path and the certificates in it.
type Certificates = (String, Vec<CertificateDer<'static>>);
/// A path and the key in it.
type PrivateKey = (String, Arc<PrivateKeyDer<'static>>);

/// The TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsListener {
    /// Where it listens.
    pub listen: SocketAddr,
    /// PEM file of the certificate chain.
    pub cert: String,
    /// PEM file of the private key.
    pub key: String,
    /// When the certificate ends, as far as that can be read.
    pub ends: Option<SystemTime>,
}

/// Reads it; `None` if there is none, or not all of it.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<TlsListener> {
    let listen = reader.get_if_set(&TLS_LISTEN);
    let cert = reader.get_if_set(&TLS_CERT);
    let key = reader.get_if_set(&TLS_KEY);
    match (listen, cert, key) {
        (Some(listen), Some((cert, chain)), Some((key, secret))) => {
            if is_self_signed(&chain)
                && let Some(at) = reader.source_of(&TLS_CERT)
            {
                // The panel's connect page names it too, by the code.
                let path = std::path::absolute(&cert).map_or_else(|_| cert.clone(), |path| path.display().to_string());
                reader.warning(at, "gateway.tls.cert", Message::CertificateSelfSigned { path });
            }
            let ends = chain.first().and_then(ends);
            if let (Err(what), Some(at)) = (fits(chain, secret.clone_key()), reader.source_of(&TLS_KEY)) {
                reader.problem(at, "gateway.tls.key", what);
            }
            Some(TlsListener { listen, cert, key, ends })
        }
        (Some(_), _, _) => {
            if let Some(at) = reader.source_of(&TLS_LISTEN) {
                reader.problem(at, "gateway.tls", Message::TlsNeedsBoth);
            }
            None
        }
        (None, _, _) => None,
    }
}

/// When a certificate ends.
fn ends(certificate: &CertificateDer<'static>) -> Option<SystemTime> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let ends = certificate.validity().not_after.timestamp();
    u64::try_from(ends).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Whether nobody but its owner vouches for the certificate: clients trust it only if they are told to.
fn is_self_signed(chain: &[CertificateDer<'static>]) -> bool {
    let Some(Ok(certificate)) = chain.first().map(webpki::EndEntityCert::try_from) else { return false };
    certificate.issuer() == certificate.subject()
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Message> {
    match text_file::certificates(path)? {
        chain if chain.is_empty() => Err(Message::NoCertificate { path: path.to_owned() }),
        chain => Ok(chain),
    }
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, Message> {
    PrivateKeyDer::from_pem_slice(&text_file::pem(path)?)
        .map_err(|error| Message::NotAPrivateKey { path: path.to_owned(), said: error.to_string() })
}

/// Whether a key belongs to a certificate.
fn fits(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), Message> {
    pingora::tls::install_default_crypto_provider();
    let provider = CryptoProvider::get_default().ok_or(Message::NoCryptography)?;
    let both = CertifiedKey::from_der(chain, key, provider);
    both.map(drop).map_err(|error| Message::KeyDoesNotFit { said: error.to_string() })
}
