//! Messages as emails: handed to a mail server with lettre, over a connection of the gateway's own kind, since that goes
//! through the outbound proxy and asks the gateway's DNS servers.

use super::fault::Fault;
use super::message::Message;
use crate::config::notify_target::{Channel, Login, Target};
use crate::upstream::Duplex;
use gateway_core::both;
use gateway_core::language::Words;
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of a text.
const BYTES: usize = 64 * 1024;
/// Most bytes that a server may say in all, handshakes included: lettre reads each line to its end, however long that is.
const HEARD: usize = 1024 * 1024;

/// Hands a message to the mail server at the other end of a connection. Where that is not encrypted yet, it is encrypted
/// first, if the server can: it must if there is a password to send.
///
/// # Errors
/// Why the server does not take it.
pub(super) async fn send(stream: Box<dyn Duplex>, target: &Target, message: &Message) -> Result<(), Fault> {
    let Channel::Email { login, from, to } = &target.channel else { return Ok(()) };
    let email = email(from, to, message)?;
    let name = ClientId::default();
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(Transport::new(stream)), &name).await;
    let mut connection = connected.map_err(|error| refused(&error))?;
    if !target.place.tls {
        if connection.can_starttls() {
            let parameters = authorities(&target.place.host).await?;
            connection.starttls(parameters, &name).await.map_err(|error| refused(&error))?;
        } else if login.is_some() {
            return Err(Fault::Unsendable {
                said: both!(
                    "offers no STARTTLS, and the password does not go over the network without TLS: use smtps:// if it has \
                     that",
                    "不支持 STARTTLS，而密码不会不经 TLS 发送：如果它支持 TLS，请使用 smtps://"
                ),
            });
        }
    }
    if let Some(Login { user, password }) = login {
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        connection.auth(&mechanisms, &credentials).await.map_err(|error| refused(&error))?;
    }
    let sent = connection.send(email.envelope(), &email.formatted()).await;
    sent.map_err(|error| refused(&error))?;
    // It has the message: how the connection ends makes no difference.
    let _ = connection.quit().await;
    Ok(())
}

/// The message in its form for mail.
fn email(from: &str, to: &[String], message: &Message) -> Result<lettre::Message, Fault> {
    let unsendable = |error: &dyn std::fmt::Display| Fault::Unsendable { said: Words::said(error.to_string()) };
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| unsendable(&error));
    let lines = message.lines();
    let subject = match lines.as_slice() {
        [one] => format!("{}: {}", message.title(), super::message::cut(one, 120)),
        _ => message.title(),
    };
    let mut builder = MessageBuilder::new().from(mailbox(from)?).subject(subject).date_now();
    // The same message again is the same one for who receives it.
    builder = builder.message_id(Some(format!("<{}@anyrouter-gateway>", message.id)));
    for address in to {
        builder = builder.to(mailbox(address)?);
    }
    let text = super::message::cut(&lines.join("\r\n"), BYTES);
    builder.singlepart(SinglePart::plain(text)).map_err(|error| unsendable(&error))
}

/// The authorities by which the server's certificate is checked. This reads files.
async fn authorities(host: &str) -> Result<TlsParameters, Fault> {
    let host = host.to_owned();
    let made = tokio::task::spawn_blocking(move || TlsParameters::new(host)).await;
    match made {
        Ok(Ok(parameters)) => Ok(parameters),
        Ok(Err(error)) => Err(refused(&error)),
        Err(error) => Err(Fault::Unsendable { said: Words::said(error.to_string()) }),
    }
}

fn refused(error: &Error) -> Fault {
    Fault::Mail { said: error.to_string(), is_lasting: error.is_permanent() || error.is_client() }
}

/// A connection as lettre takes it.
#[derive(Debug)]
struct Transport {
    stream: Box<dyn Duplex>,
    /// How much more may be read.
    left: usize,
}

impl Transport {
    fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream, left: HEARD }
    }
}

impl AsyncTokioStream for Transport {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        // Behind a proxy there is none.
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let left = self.left.checked_sub(read);
        self.left = left.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the server says too much"))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
