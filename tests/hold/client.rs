//! A client that does what its plan says, and what it sees.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::{Client, Request, WireError};
use tokio::net::TcpStream;

use crate::plan::{Plan, Way};

/// Nothing may take longer: three attempts with the longest time-outs of the configuration, and as much for a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(28);

/// How a response ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By its framing, as a whole.
    Whole,
    /// It broke off.
    Cut,
    /// The client left.
    Left,
    /// There was none: the connection was closed or refused.
    Nothing,
    /// It could not be understood.
    Malformed(String),
    /// Not within [`LIMIT`].
    Hung,
}

/// What a client saw of its response.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The status, if a head came.
    pub(crate) status: Option<u16>,
    /// What came of the body.
    pub(crate) body: Vec<u8>,
    /// Its end.
    pub(crate) end: End,
    /// When it was asked for, and when that was over.
    pub(crate) time: (Instant, Instant),
}

impl Seen {
    fn nothing() -> Self {
        let now = Instant::now();
        Self { status: None, body: Vec::new(), end: End::Nothing, time: (now, now) }
    }
}

/// Sends a request (of a pair both), on the connection that was kept, if any; the connection is left there if it may be used
/// again.
pub(crate) async fn ask(address: SocketAddr, token: &str, plans: &[Plan], kept: &mut Option<Client>) -> Vec<Seen> {
    let mut seen = vec![Seen::nothing(); plans.len()];
    let is_over = tokio::time::timeout(LIMIT, exchange(address, token, plans, kept, &mut seen)).await.is_ok();
    for one in &mut seen {
        one.time.1 = Instant::now();
        if !is_over && one.end == End::Nothing {
            one.end = End::Hung;
        }
    }
    seen
}

async fn exchange(address: SocketAddr, token: &str, plans: &[Plan], kept: &mut Option<Client>, seen: &mut [Seen]) {
    let mut client = match kept.take() {
        Some(client) => client,
        None => match TcpStream::connect(address).await {
            Ok(tcp) => Client::over(tcp),
            Err(_) => {
                // Nobody is there: who asks on and on finds that out soon enough.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return;
            }
        },
    };
    let bytes: Vec<u8> = plans.iter().flat_map(|plan| request(plan, token).bytes()).collect();
    match plans[0].way {
        Way::NeverAsks => {
            client.send(&bytes[..bytes.len() - 1 - plans[0].filler / 2]).await;
            seen[0].end = End::Left;
            return;
        }
        Way::Drips => {
            let pieces: Vec<&[u8]> = bytes.chunks(bytes.len().div_ceil(5)).collect();
            client.send_pieces(&pieces, Duration::from_millis(3)).await;
        }
        Way::HalfCloses => {
            client.send(&bytes).await;
            client.finish().await;
        }
        _ => client.send(&bytes).await,
    }
    let mut is_kept = plans[0].way != Way::HalfCloses;
    for (plan, seen) in plans.iter().zip(seen) {
        match read(plan, &mut client, seen).await {
            Ok(goes_on) => is_kept &= goes_on,
            Err(WireError::Malformed(what)) => {
                seen.end = End::Malformed(what);
                return;
            }
            Err(_) => {
                seen.end = if seen.status.is_some() { End::Cut } else { End::Nothing };
                return;
            }
        }
        if seen.end == End::Left {
            return;
        }
    }
    *kept = is_kept.then_some(client);
}

fn request(plan: &Plan, token: &str) -> Request {
    Request::post("/v1/messages", plan.request())
        .header("Content-Type", "application/json")
        .header("x-api-key", token)
        .header("X-Claude-Code-Session-Id", plan.nonce.to_string())
}

/// Whether the connection may be used again.
async fn read(plan: &Plan, client: &mut Client, seen: &mut Seen) -> Result<bool, WireError> {
    let head = client.try_head("POST").await?;
    seen.status = Some(head.status);
    if plan.way == Way::Lingers {
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let enough = if let Way::Leaves(bytes) = plan.way { bytes } else { usize::MAX };
    loop {
        if seen.body.len() >= enough {
            seen.end = End::Left;
            return Ok(false);
        }
        match client.try_piece().await? {
            Some(piece) => seen.body.extend(piece),
            None => break,
        }
    }
    seen.end = End::Whole;
    Ok(!head.headers.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close")))
}
