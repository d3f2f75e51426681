//! Outbound proxies: real ones from Debian, and stand-ins for broken ones.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::child::{Log, Running};
use crate::deadline::within;
use crate::ports::Port;
use crate::tls::{Alpn, Leaf};
use crate::wire::{Socket, Wire};

/// User and password that the real proxies ask for, when asked to.
pub const CREDENTIALS: (&str, &str) = ("proxy-user", "proxy-s3cret");

/// A running proxy; killed when dropped.
pub struct Proxy {
    port: Port,
    child: Running,
    log: Lines,
    _dir: TempDir,
}

/// Where a proxy writes its log.
enum Lines {
    File(PathBuf),
    Stderr(Log),
}

impl Proxy {
    /// An HTTP proxy (tinyproxy), `authenticated` with [`CREDENTIALS`]. CONNECT is allowed to `connect_ports`, or to
    /// all if there are none.
    pub async fn http(authenticated: bool, connect_ports: &[u16]) -> Self {
        let (port, dir) = (Port::free(), tempfile::tempdir().expect("a temporary folder"));
        let (conf, log) = (dir.path().join("tinyproxy.conf"), dir.path().join("tinyproxy.log"));
        let mut text = format!(
            "Listen 127.0.0.1\nPort {}\nTimeout 60\nMaxClients 200\nLogLevel Connect\nLogFile \"{}\"\n",
            port.number(),
            log.display()
        );
        if authenticated {
            text += &format!("BasicAuth {} {}\n", CREDENTIALS.0, CREDENTIALS.1);
        }
        for allowed in connect_ports {
            text += &format!("ConnectPort {allowed}\n");
        }
        std::fs::write(&conf, text).expect("tinyproxy.conf written");
        let mut command = Command::new(binary("tinyproxy"));
        command.arg("-d").arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Running(command.spawn().expect("tinyproxy started"));
        Self { port, child, log: Lines::File(log), _dir: dir }.ready().await
    }

    /// A SOCKS5 proxy (microsocks), `authenticated` with [`CREDENTIALS`].
    pub async fn socks5(authenticated: bool) -> Self {
        let (port, dir) = (Port::free(), tempfile::tempdir().expect("a temporary folder"));
        let mut command = Command::new(binary("microsocks"));
        command.args(["-i", "127.0.0.1", "-p", &port.number().to_string()]);
        if authenticated {
            command.args(["-u", CREDENTIALS.0, "-P", CREDENTIALS.1]);
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("microsocks started");
        let (log, _) = Log::of(&mut child);
        Self { port, child: Running(child), log: Lines::Stderr(log), _dir: dir }.ready().await
    }

    /// Waits until it takes connections.
    async fn ready(mut self) -> Self {
        within("a proxy to listen", async {
            while TcpStream::connect(self.addr()).await.is_err() {
                if let Ok(Some(status)) = self.child.0.try_wait() {
                    panic!("the proxy ended ({status}): {}", self.log().join("\n"));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        match &self.log {
            Lines::File(path) => std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect(),
            Lines::Stderr(log) => log.lines().clone(),
        }
    }

    /// What it was asked for, in order: an HTTP proxy's request lines, the places that a SOCKS proxy connected to.
    pub fn requests(&self) -> Vec<String> {
        let of_line = |line: &String| match &self.log {
            Lines::File(_) => Some(line.split_once("Request (")?.1.split_once("): ")?.1.to_owned()),
            Lines::Stderr(_) => Some(line.split_once("connected to ")?.1.to_owned()),
        };
        self.log().iter().filter_map(of_line).collect()
    }

    /// Waits until it was asked `n` times; all that it was asked for.
    pub async fn wait_requests(&self, n: usize) -> Vec<String> {
        within(&format!("request {n} in the log of a proxy"), async {
            while self.requests().len() < n {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self.requests()
    }
}

/// The path of a program that `scripts/prepare.sh` installs.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{name} is not installed, and these tests need it: scripts/prepare.sh test installs it")
    })
}

/// TLS in front of a plain server, such as a proxy; dropping it stops it.
pub struct TlsFront {
    addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl TlsFront {
    /// Takes TLS connections with this certificate and hands their bytes to `target`.
    pub async fn start(leaf: &Leaf, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let acceptor = leaf.acceptor(Alpn::Http1);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let Ok(mut secured) = acceptor.accept(tcp).await else { return };
                    let Ok(mut plain) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut secured, &mut plain).await;
                });
            }
        });
        Self { addr, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that reads one head, or no more than some bytes, and then says one thing: stands for a broken proxy.
pub struct Stub {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Stub {
    /// Says `answer` to whatever comes first and closes; without one it stays silent for as long as the other side
    /// stays.
    pub async fn start(answer: Option<&'static [u8]>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let hears = Arc::clone(&hears);
                connections.spawn(async move {
                    let mut wire = Wire::new(Socket::Plain(tcp));
                    if !matches!(wire.fill().await, Ok(1..)) {
                        return;
                    }
                    hears.lock().unwrap_or_else(PoisonError::into_inner).push(wire.buf.clone());
                    match answer {
                        Some(answer) => drop(wire.write(answer).await),
                        None => while matches!(wire.fill().await, Ok(1..)) {},
                    }
                });
            }
        });
        Self { addr, heard, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What came first on each connection so far.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}
