//! The way through an outbound proxy: HTTP CONNECT (RFC 9110 section 9.3.6) or SOCKS5 (RFC 1928, 1929).

use crate::config::proxy::{Credentials, OutboundProxy, ProxyKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_core::record::fault::ProxyRefusal;
use http::HeaderValue;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_socks::tcp::Socks5Stream;

/// Largest head of a proxy's answer.
const MOST_BYTES: usize = 16 * 1024;
const MOST_FIELDS: usize = 64;

/// Where the proxy is to connect to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// A name that the proxy resolves, or an address, and a port.
    Name(&'a str, u16),
    /// An address.
    Address(SocketAddr),
}

/// What a proxy did instead of opening the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It wants other credentials.
    Credentials,
    /// It forbids the way.
    Forbidden,
    /// It refused, or could not reach the upstream.
    Refused,
    /// It closed the connection, or spoke something else.
    Broken,
}

impl Failure {
    /// What stays so until somebody changes something.
    pub(super) fn refusal(self) -> Option<ProxyRefusal> {
        match self {
            Self::Credentials => Some(ProxyRefusal::Credentials),
            Self::Forbidden => Some(ProxyRefusal::Forbidden),
            Self::Refused | Self::Broken => None,
        }
    }
}

/// A way that was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOpened {
    /// What the proxy did.
    pub failure: Failure,
    /// The same in words, after "the proxy X": "refused to connect to Y: ...". Never holds a password.
    pub message: String,
}

/// `Proxy-Authorization` for these credentials; sensitive, so that nothing prints it.
pub(crate) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.user, credentials.password.expose());
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Has the proxy at the other end of `stream` connect to the target.
///
/// # Errors
/// When it does not.
pub(crate) async fn open<S>(stream: S, proxy: &OutboundProxy, target: Target<'_>) -> Result<S, NotOpened>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    match proxy.kind {
        ProxyKind::Http | ProxyKind::Https => connect(stream, proxy, target).await,
        ProxyKind::Socks5 { .. } => socks5(stream, proxy, target).await,
    }
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

async fn connect<S>(mut stream: S, proxy: &OutboundProxy, target: Target<'_>) -> Result<S, NotOpened>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(value) = proxy.credentials.as_ref().and_then(basic) {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    // A proxy that has closed already shows in the answer.
    let _ = stream.write_all(&request).await;
    let _ = stream.flush().await;
    match read_status(&mut stream).await? {
        200..=299 => Ok(stream),
        // Tinyproxy says 401 to a wrong password.
        status @ (401 | 407) => {
            Err(NotOpened { failure: Failure::Credentials, message: refused_credentials(proxy, status) })
        }
        status => Err(NotOpened {
            failure: if status == 403 { Failure::Forbidden } else { Failure::Refused },
            message: format!("refused to connect to {target}: it answered {status}"),
        }),
    }
}

/// What a proxy means that answers 407, in words.
fn refused_credentials(proxy: &OutboundProxy, status: u16) -> String {
    match proxy.credentials {
        Some(_) => format!("refused the user and password of its URL ({status})"),
        None => format!("wants a user and a password ({status}): write them into its URL"),
    }
}

/// The status of the answer's head. After it a good proxy says nothing until the upstream does, and an upstream waits
/// for the gateway to begin.
async fn read_status(stream: &mut (impl AsyncRead + Unpin)) -> Result<u16, NotOpened> {
    let broken = |message: &str| NotOpened { failure: Failure::Broken, message: message.to_owned() };
    let mut bytes = Vec::new();
    loop {
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ if bytes.is_empty() => return Err(broken("closed the connection without an answer")),
            _ => return Err(broken("closed the connection in the middle of its answer")),
        }
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                if (200..300).contains(&status) && length < bytes.len() {
                    return Err(broken("sent something of its own after opening the way"));
                }
                return Ok(status);
            }
            Ok(httparse::Status::Partial) if bytes.len() < MOST_BYTES => {}
            _ => return Err(broken("answered with something that is not HTTP")),
        }
    }
}

async fn socks5<S>(stream: S, proxy: &OutboundProxy, target: Target<'_>) -> Result<S, NotOpened>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let to = match target {
        Target::Name(host, port) => tokio_socks::TargetAddr::Domain(host.into(), port),
        Target::Address(address) => tokio_socks::TargetAddr::Ip(address),
    };
    let opened = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(stream, to).await,
        Some(Credentials { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(stream, to, user, password.expose()).await
        }
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| socks5_failure(error, proxy, target))
}

fn socks5_failure(error: tokio_socks::Error, proxy: &OutboundProxy, target: Target<'_>) -> NotOpened {
    use tokio_socks::Error as E;
    let (failure, message) = match error {
        E::PasswordAuthFailure(_) => (Failure::Credentials, "refused the user and password of its URL".to_owned()),
        E::NoAcceptableAuthMethods | E::AuthorizationRequired if proxy.credentials.is_none() => {
            (Failure::Credentials, "wants a user and a password: write them into its URL".to_owned())
        }
        E::NoAcceptableAuthMethods => (Failure::Credentials, "takes no user and password".to_owned()),
        E::InvalidAuthValues(what) => (Failure::Credentials, format!("cannot be given this user and password: {what}")),
        E::Io(_) => (Failure::Broken, "closed the connection instead of opening the way".to_owned()),
        E::InvalidResponseVersion | E::InvalidReservedByte | E::UnknownAddressType | E::UnknownAuthMethod => {
            (Failure::Broken, "answered with something that is not SOCKS5".to_owned())
        }
        E::ConnectionNotAllowedByRuleset => {
            (Failure::Forbidden, format!("refused to connect to {target}: its rules forbid it"))
        }
        other => (Failure::Refused, format!("refused to connect to {target}: {other}")),
    };
    NotOpened { failure, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    async fn answered(url: &str, answer: &'static [u8]) -> (Result<(), NotOpened>, String) {
        let proxy = OutboundProxy::parse(url).expect("a proxy");
        let (near, mut far) = duplex(4096);
        let asked = tokio::spawn(async move {
            let mut asked = vec![0; 1024];
            let length = far.read(&mut asked).await.expect("a request");
            far.write_all(answer).await.expect("an answer");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let opened = open(near, &proxy, Target::Name("a.test", 443)).await.map(drop);
        (opened, asked.await.expect("no panic"))
    }

    #[tokio::test]
    async fn connect_says_who_and_where() {
        let (opened, asked) = answered("http://me:p%40ss@proxy:1", b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n").await;
        assert_eq!(opened, Ok(()));
        assert_eq!(
            asked,
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
        );
        assert_eq!(Target::Name("::1", 1).to_string(), "[::1]:1");
    }

    #[tokio::test]
    async fn what_is_no_open_way_is_told_apart() {
        for (answer, failure) in [
            (&b"HTTP/1.1 407 Who\r\n\r\n"[..], Failure::Credentials),
            (b"HTTP/1.1 401 Who\r\n\r\n", Failure::Credentials),
            (b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n", Failure::Forbidden),
            (b"HTTP/1.1 502 Bad\r\n\r\n", Failure::Refused),
            (b"HTTP/1.1 503 Later\r\n\r\n", Failure::Refused),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", Failure::Broken),
            (b"SSH-2.0-x\r\n", Failure::Broken),
            (b"HTTP/1.1 200", Failure::Broken),
            (b"", Failure::Broken),
        ] {
            let (opened, _) = answered("http://proxy:1", answer).await;
            assert_eq!(opened.map_err(|not| not.failure), Err(failure), "{}", String::from_utf8_lossy(answer));
        }
        let (opened, _) = answered("socks5h://proxy:1", b"\x05\xff").await;
        assert_eq!(opened.map_err(|not| not.failure), Err(Failure::Credentials));
        let (opened, _) = answered("socks5h://proxy:1", b"HTTP/1.1 400 Bad\r\n\r\n").await;
        assert_eq!(opened.map_err(|not| not.failure), Err(Failure::Broken));
    }
}
