//! What a TLS listener presents to its clients.

use pingora::listeners::tls::Acceptor;
use pingora::tls::{ServerConfig, install_default_crypto_provider, load_certs_and_key_files, version};
use std::sync::Arc;

/// Reads certificate chain and private key from two PEM files; HTTP/2 and HTTP/1.1 are offered.
///
/// # Errors
/// What is wrong with the files.
pub(crate) fn acceptor(cert: &str, key: &str) -> Result<Acceptor, String> {
    install_default_crypto_provider();
    if !pingora::tls::load_pem_file_ca(&cert.to_owned()).is_ok_and(|found| !found.is_empty()) {
        return Err(format!("gateway.tls.cert: \"{cert}\" holds no certificate in PEM form"));
    }
    let Ok(Some((certs, private))) = load_certs_and_key_files(cert, key) else {
        return Err(format!("gateway.tls.key: \"{key}\" holds no private key in PEM form"));
    };
    let mut config = ServerConfig::builder_with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .with_no_client_auth()
        .with_single_cert(certs, private)
        .map_err(|error| format!("gateway.tls: \"{cert}\" and \"{key}\" cannot be used together: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from_server_config(Arc::new(config)))
}
