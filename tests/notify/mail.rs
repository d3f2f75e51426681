//! A stand-in for a mail server (RFC 5321, RFC 4954): takes one message after the other, and says what it heard.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::within;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A message as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// User and password.
    pub(crate) login: Option<(String, String)>,
    /// Head and body.
    pub(crate) data: String,
}

/// A mail server on a free port; it ends with the test.
pub(crate) struct MailServer {
    addr: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// Every line that was said to it.
    lines: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MailServer {
    /// One that lets users in with this password, or everybody without one.
    pub(crate) async fn start(password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (mails, lines) = (Arc::<Mutex<Vec<Mail>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (into, said) = (Arc::clone(&mails), Arc::clone(&lines));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, password, Arc::clone(&into), Arc::clone(&said)));
            }
        });
        Self { addr, mails, lines, task }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("not poisoned").clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    /// Waits for the first message.
    pub(crate) async fn wait(&self) -> Mail {
        within("a mail", async {
            loop {
                if let Some(mail) = self.mails().first() {
                    return mail.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

async fn serve(
    tcp: TcpStream,
    password: Option<&str>,
    mails: Arc<Mutex<Vec<Mail>>>,
    said: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let (reading, mut writing) = tcp.into_split();
    let mut lines = BufReader::new(reading).lines();
    let mut mail = Mail::default();
    writing.write_all(b"220 mail.example ESMTP\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        said.lock().ok()?.push(line.clone());
        let upper = line.to_ascii_uppercase();
        let answer = match () {
            () if upper.starts_with("EHLO") && password.is_some() => {
                "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN"
            }
            () if upper.starts_with("EHLO") => "250-mail.example\r\n250 8BITMIME",
            () if upper.starts_with("AUTH PLAIN ") => {
                let token = STANDARD.decode(&line["AUTH PLAIN ".len()..]).unwrap_or_default();
                let parts: Vec<String> = token.split(|b| *b == 0).map(|p| String::from_utf8_lossy(p).into()).collect();
                mail.login = Some((parts.get(1)?.clone(), parts.get(2)?.clone()));
                if parts.get(2).map(String::as_str) == password { "235 2.7.0 fine" } else { "535 5.7.8 wrong password" }
            }
            () if password.is_some() && mail.login.is_none() => "530 5.7.0 authentication required",
            () if upper.starts_with("MAIL FROM:") => {
                mail.from = line["MAIL FROM:".len()..].to_owned();
                "250 ok"
            }
            () if upper.starts_with("RCPT TO:") => {
                mail.to.push(line["RCPT TO:".len()..].to_owned());
                "250 ok"
            }
            () if upper == "DATA" => {
                writing.write_all(b"354 go on\r\n").await.ok()?;
                while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                    mail.data += &format!("{line}\n");
                }
                mails.lock().ok()?.push(std::mem::take(&mut mail));
                "250 taken"
            }
            () if upper == "QUIT" => "221 bye",
            () => "502 what?",
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
    Some(())
}
