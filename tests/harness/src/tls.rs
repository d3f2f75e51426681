//! Certificates for one test: an authority of its own and leaves that it signs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a TLS side offers by ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    H2,
    /// No ALPN at all.
    Absent,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::H2 => vec![b"h2".to_vec()],
            Self::Absent => vec![],
        }
    }
}

/// A certificate authority in a temporary folder.
pub struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: PathBuf,
}

/// A certificate and its key as PEM files.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Path of the certificate.
    pub cert: PathBuf,
    /// Path of the key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority that nobody knows.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "harness test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a self-signed certificate");
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, cert.pem()).expect("ca.pem written");
        Self { dir, issuer: Issuer::new(params, key), ca }
    }

    /// Path of the authority's certificate (PEM).
    pub fn ca_file(&self) -> &Path {
        &self.ca
    }

    /// A certificate for these names (DNS names or addresses), the first one names the files.
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| {})
    }

    /// The same, valid from the beginning of one year to that of another.
    pub fn leaf_valid(&self, names: &[&str], years: std::ops::Range<i32>) -> Leaf {
        self.leaf_with(names, |params| {
            params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        })
    }

    /// An authority's own certificate in place of a server's.
    pub fn leaf_that_is_an_authority(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
    }

    /// A certificate that is for clients alone.
    pub fn leaf_of_a_client(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let stem = names[0].clone();
        let mut params = CertificateParams::new(names).expect("names for a certificate");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a signed certificate");
        let leaf = Leaf {
            cert: self.dir.path().join(format!("{stem}.pem")),
            key: self.dir.path().join(format!("{stem}.key")),
        };
        std::fs::write(&leaf.cert, cert.pem()).expect("certificate written");
        std::fs::write(&leaf.key, key.serialize_pem()).expect("key written");
        leaf
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Leaf {
    pub(crate) fn acceptor(&self, alpn: Alpn) -> TlsAcceptor {
        let certs = CertificateDer::pem_file_iter(&self.cert)
            .and_then(|certs| certs.collect::<Result<Vec<_>, _>>())
            .expect("certificate read");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("key read");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, key))
            .expect("TLS server configuration");
        config.alpn_protocols = alpn.protocols();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A client side that trusts only `ca_file`.
pub(crate) fn connector(ca_file: &Path, alpn: Alpn) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).expect("CA read")).expect("a CA that can be trusted");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS client configuration")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.protocols();
    TlsConnector::from(Arc::new(config))
}

pub(crate) fn server_name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a server name")
}
