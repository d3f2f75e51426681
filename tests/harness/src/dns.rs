//! A name server for one test: UDP, hand-made answers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::Notify;

use crate::deadline::within;

/// How the server treats queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsMode {
    /// Answers with its records; a name without any does not exist (NXDOMAIN).
    Answering,
    /// Hears them and says nothing, as a server that is down.
    Silent,
    /// Answers SERVFAIL.
    Failing,
    /// Answers SERVFAIL for addresses of IPv4, and that the name does not exist for those of IPv6.
    NoSix,
}

struct State {
    records: HashMap<String, Vec<IpAddr>>,
    ttl: u32,
    mode: DnsMode,
    queries: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running name server on a UDP port of 127.0.0.1; dropping it stops it.
pub struct DnsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl DnsServer {
    /// Starts one without records; answers may be kept for 300 s.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a free UDP port");
        let addr = socket.local_addr().expect("its address");
        let state = State { records: HashMap::new(), ttl: 300, mode: DnsMode::Answering, queries: vec![] };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let task = tokio::spawn(serve(socket, Arc::clone(&shared)));
        Self { addr, shared, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The addresses of a name from now on: IPv4 in A records, IPv6 in AAAA records, in this order.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.shared.state().records.insert(name.to_owned(), addresses);
    }

    /// How many seconds answers may be kept from now on.
    pub fn ttl(&self, seconds: u32) {
        self.shared.state().ttl = seconds;
    }

    /// How it treats queries from now on.
    pub fn mode(&self, mode: DnsMode) {
        self.shared.state().mode = mode;
    }

    /// The queries so far, answered or not, as `A relay.test`.
    pub fn queries(&self) -> Vec<String> {
        self.shared.state().queries.clone()
    }

    /// Waits until there were `n` queries.
    pub async fn wait_queries(&self, n: usize) {
        within(&format!("query {n} at the name server"), async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.shared.state().queries.len() >= n {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buf = [0; 1500];
    loop {
        let Ok((n, from)) = socket.recv_from(&mut buf).await else { continue };
        let answer = Question::read(&buf[..n]).and_then(|question| {
            let mut state = shared.state();
            state.queries.push(format!("{} {}", question.kind_name(), question.name));
            answer(&question, &state)
        });
        shared.changed.notify_waiters();
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// The one question of a query.
struct Question<'a> {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// As it stood, to be repeated in the answer.
    bytes: &'a [u8],
}

const A: u16 = 1;
const AAAA: u16 = 28;

impl<'a> Question<'a> {
    fn read(query: &'a [u8]) -> Option<Self> {
        let id = [*query.first()?, *query.get(1)?];
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*query.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
        Some(Self { id, name: labels.join("."), kind, bytes: query.get(12..at + 4)? })
    }

    fn kind_name(&self) -> String {
        match self.kind {
            A => "A".to_owned(),
            AAAA => "AAAA".to_owned(),
            other => other.to_string(),
        }
    }
}

fn answer(question: &Question<'_>, state: &State) -> Option<Vec<u8>> {
    const NO_ERROR: u8 = 0;
    const SERVER_FAILURE: u8 = 2;
    const NO_SUCH_NAME: u8 = 3;
    let (code, addresses) = match (state.mode, state.records.get(&question.name)) {
        (DnsMode::Silent, _) => return None,
        (DnsMode::NoSix, _) if question.kind == AAAA => (NO_SUCH_NAME, [].as_slice()),
        (DnsMode::Failing | DnsMode::NoSix, _) => (SERVER_FAILURE, [].as_slice()),
        (DnsMode::Answering, None) => (NO_SUCH_NAME, [].as_slice()),
        (DnsMode::Answering, Some(addresses)) => (NO_ERROR, addresses.as_slice()),
    };
    let wanted: Vec<&IpAddr> =
        addresses.iter().filter(|address| question.kind == if address.is_ipv4() { A } else { AAAA }).collect();
    let mut out = question.id.to_vec();
    // An authoritative answer, recursion available.
    out.extend([0x85, 0x80 | code, 0, 1]);
    out.extend((wanted.len() as u16).to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(question.bytes);
    for address in wanted {
        // The name is the question's, at offset 12; class IN.
        out.extend([0xc0, 12]);
        out.extend(question.kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(state.ttl.to_be_bytes());
        match address {
            IpAddr::V4(address) => {
                out.extend([0, 4]);
                out.extend(address.octets());
            }
            IpAddr::V6(address) => {
                out.extend([0, 16]);
                out.extend(address.octets());
            }
        }
    }
    Some(out)
}
