//! Steady load, while something else happens: every request and every stream is looked at to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{Client, Request};

/// A pause between two requests of one client, so that a small machine has time for other things.
const PAUSE: Duration = Duration::from_millis(10);

/// Clients that go on until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Tally>,
}

/// What the clients saw.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests with a whole answer.
    pub requests: u64,
    /// Streams that said `message_stop`.
    pub streams: u64,
    /// Everything that went wrong.
    pub failures: Vec<String>,
}

impl Load {
    /// `requests` clients that ask one request after the other on kept connections, and as many `streams` one after
    /// the other as clients.
    pub fn start(address: SocketAddr, requests: usize, streams: usize) -> Self {
        let (stop, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for client in 0..requests + streams {
            clients.spawn(ask_on(address, client >= requests, Arc::clone(&stop)));
        }
        Self { stop, clients }
    }

    /// Lets each client end what it is doing, and adds up.
    pub async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Release);
        let mut total = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            let tally = tally.expect("a client does not panic");
            total.requests += tally.requests;
            total.streams += tally.streams;
            total.failures.extend(tally.failures);
        }
        total
    }
}

async fn ask_on(address: SocketAddr, is_stream: bool, stop: Arc<AtomicBool>) -> Tally {
    let body = format!(r#"{{"model":"m","max_tokens":9,"stream":{is_stream},"messages":[]}}"#);
    let request = Request::post("/v1/messages", body).header("x-api-key", "sk-1");
    let mut tally = Tally::default();
    let mut kept: Option<Client> = None;
    while !stop.load(Ordering::Acquire) {
        let mut client = match kept.take() {
            Some(client) => client,
            None => match TcpStream::connect(address).await {
                Ok(tcp) => Client::over(tcp),
                Err(error) => {
                    tally.failures.push(format!("connecting: {error}"));
                    continue;
                }
            },
        };
        match client.try_request(&request).await {
            Ok(answer) if answer.status() != 200 => {
                tally.failures.push(format!("{} {}", answer.status(), answer.text()))
            }
            Ok(answer) if is_stream && !answer.text().contains("message_stop") => {
                tally.failures.push(format!("a stream was cut: {:?}", answer.text()));
            }
            Ok(answer) => {
                *(if is_stream { &mut tally.streams } else { &mut tally.requests }) += 1;
                let is_kept = answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
                kept = is_kept.then_some(client);
            }
            Err(error) => tally.failures.push(format!("asking: {error:?}")),
        }
        if !is_stream {
            tokio::time::sleep(PAUSE).await;
        }
    }
    tally
}
