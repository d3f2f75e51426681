//! One address that besets the gateway with connections, and another one that goes on asking.
//!
//! Everything is on loopback, where each address of 127.0.0.0/8 can be a source; it ends by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Client, Request};

/// When one that was closed comes back.
const PAUSE: Duration = Duration::from_secs(5);

/// `limits.request_body`, as it is without a configuration.
const LARGEST_BODY: usize = 32 << 20;

/// How many of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Siege {
    /// Clients that ask for a large answer and do not read it.
    pub readers: usize,
    /// Clients that send a head byte by byte.
    pub heads: usize,
    /// Clients that send a body byte by byte.
    pub bodies: usize,
    /// Clients that send all but the last two bytes of the largest body that there may be.
    pub hoarders: usize,
    /// Connections that say nothing.
    pub silent: usize,
    /// Clients that try one wrong key of the panel after the other.
    pub guessers: usize,
}

/// What the clients of the other address saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Times of the requests that were answered well, the first of each connection with the time to connect.
    times: Vec<Duration>,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl Seen {
    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.times.len() + self.failures.len()
    }

    /// The time within which this share of the requests was answered.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let at = (times.len() as f64 * share) as usize;
        times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// The besetting clients, until this is dropped.
pub struct Beset {
    /// Ends the thread that they are on.
    _end: tokio::sync::oneshot::Sender<()>,
    opened: Arc<AtomicU64>,
    guesses: Arc<AtomicU64>,
}

impl Beset {
    /// How many connections were opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many wrong keys were tried so far.
    pub fn guesses(&self) -> u64 {
        self.guesses.load(Ordering::Relaxed)
    }
}

/// Opens a connection from an address of this machine.
///
/// # Errors
/// When it is not accepted.
pub async fn connect_from(source: [u8; 4], to: SocketAddr, receive_buffer: Option<u32>) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    // Ports are chosen when it connects: so many addresses, so many ports.
    socket.set_reuseaddr(true)?;
    socket.bind((source, 0).into())?;
    socket.connect(to).await
}

/// Has all threads of this process run on these cores alone, and all threads and processes that they start. (Linux.)
pub fn keep_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    for thread in std::fs::read_dir("/proc/self/task").expect("the threads") {
        let name = thread.expect("a thread").file_name();
        let id = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        // One that has ended meanwhile runs nowhere.
        let _ = sched_setaffinity(Some(id.expect("a number")), &set);
    }
}

impl Siege {
    /// Besets the gateway at `to` from `source`, from a thread of its own, so that whoever measures does not wait for it.
    /// `/large` must have a large answer.
    pub fn begin(self, source: [u8; 4], to: SocketAddr) -> Beset {
        let (opened, guesses) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (end, ended) = tokio::sync::oneshot::channel();
        let beset = Beset { _end: end, opened: Arc::clone(&opened), guesses: Arc::clone(&guesses) };
        std::thread::spawn(move || {
            // They would be other machines: what they do by themselves takes nothing from who is measured. (On Linux
            // this is the priority of the thread.)
            rustix::process::setpriority_process(None, 19).expect("a lower priority");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let _clients = self.clients(source, to, &opened, &guesses);
                let _ = ended.await;
            });
        });
        beset
    }

    fn clients(
        self,
        source: [u8; 4],
        to: SocketAddr,
        opened: &Arc<AtomicU64>,
        guesses: &Arc<AtomicU64>,
    ) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        let slow = [(0, self.readers), (1, self.heads), (2, self.bodies), (3, self.silent)];
        let kinds = slow.into_iter().chain([(4, self.guessers), (5, self.hoarders)]);
        for (kind, count) in kinds {
            for number in 0..count {
                let (opened, guesses) = (Arc::clone(opened), Arc::clone(guesses));
                clients.spawn(async move {
                    // Not all at once: what the kernel queues for a listener is bounded.
                    tokio::time::sleep(Duration::from_micros(300 * number as u64)).await;
                    loop {
                        if let Ok(stream) = connect_from(source, to, (kind == 0).then_some(4096)).await {
                            opened.fetch_add(1, Ordering::Relaxed);
                            // However it ends: it comes back.
                            let _ = beset(kind, stream, &guesses).await;
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                });
            }
        }
        clients
    }
}

async fn beset(kind: usize, mut stream: TcpStream, guesses: &AtomicU64) -> std::io::Result<()> {
    let mut scratch = [0; 512];
    let slowly: &[u8] = match kind {
        0 => {
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await?;
            // Nothing is read. An empty line now and then finds out whether the other side has gone.
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stream.write_all(b"\r\n").await?;
            }
        }
        1 => b"GET /small HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        2 => b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
        3 => {
            while stream.read(&mut scratch).await? > 0 {}
            return Ok(());
        }
        5 => {
            let head = format!("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGEST_BODY}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let piece = vec![b'x'; 1 << 20];
            for _ in 1..LARGEST_BODY >> 20 {
                stream.write_all(&piece).await?;
            }
            stream.write_all(&piece[2..]).await?;
            while stream.read(&mut scratch).await? > 0 {}
            return Ok(());
        }
        _ => loop {
            let guess = guesses.fetch_add(1, Ordering::Relaxed);
            let request =
                format!("GET /api/admin/health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong-{guess}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let n = stream.read(&mut scratch).await?;
            if n == 0 {
                return Ok(());
            }
            // A guesser of one machine: as fast as it is answered, but not faster than this.
            tokio::time::sleep(Duration::from_millis(2)).await;
        },
    };
    stream.write_all(slowly).await?;
    loop {
        stream.write_all(b"z").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Asks for `/small` again and again for a while, from `source`, on `clients` connections: each now and then on a new one.
pub async fn ask_from(source: [u8; 4], to: SocketAddr, clients: usize, how_long: Duration) -> Seen {
    let mut tasks = JoinSet::new();
    let end = Instant::now() + how_long;
    for _ in 0..clients {
        tasks.spawn(async move {
            let mut seen = Seen::default();
            while Instant::now() < end {
                let mut began = Instant::now();
                let mut client = match connect_from(source, to, None).await {
                    Ok(stream) => Client::over(stream),
                    Err(error) => {
                        seen.failures.push(format!("connecting: {error}"));
                        continue;
                    }
                };
                for _ in 0..20 {
                    if Instant::now() >= end {
                        break;
                    }
                    match client.try_request(&Request::post("/small", "{}")).await {
                        Ok(answer) if answer.status() == 200 => seen.times.push(began.elapsed()),
                        Ok(answer) => seen.failures.push(format!("{}: {}", answer.status(), answer.text())),
                        Err(error) => {
                            seen.failures.push(error.to_string());
                            break;
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    began = Instant::now();
                }
            }
            seen
        });
    }
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen.expect("a client does not panic");
        all.times.extend(seen.times);
        all.failures.extend(seen.failures);
    }
    all
}
