//! What a TLS listener presents to its clients.

use gateway_core::both;
use gateway_core::language::Words;
use pingora::listeners::tls::Acceptor;
use pingora::tls::{ServerConfig, install_default_crypto_provider, load_certs_and_key_files, version};
use std::sync::Arc;

/// Reads certificate chain and private key from two PEM files; HTTP/2 and HTTP/1.1 are offered.
///
/// # Errors
/// What is wrong with the files.
pub(crate) fn acceptor(cert: &str, key: &str) -> Result<Acceptor, Words> {
    install_default_crypto_provider();
    if !pingora::tls::load_pem_file_ca(&cert.to_owned()).is_ok_and(|found| !found.is_empty()) {
        return Err(both!(
            "gateway.tls.cert: \"{cert}\" holds no certificate in PEM form",
            "gateway.tls.cert：“{cert}”中没有 PEM 格式的证书"
        ));
    }
    let Ok(Some((certs, private))) = load_certs_and_key_files(cert, key) else {
        return Err(both!(
            "gateway.tls.key: \"{key}\" holds no private key in PEM form",
            "gateway.tls.key：“{key}”中没有 PEM 格式的私钥"
        ));
    };
    let mut config = ServerConfig::builder_with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .with_no_client_auth()
        .with_single_cert(certs, private)
        .map_err(|error| {
            both!(
                "gateway.tls: \"{cert}\" and \"{key}\" cannot be used together: {error}",
                "gateway.tls：“{cert}”与“{key}”不匹配：{error}"
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from_server_config(Arc::new(config)))
}
