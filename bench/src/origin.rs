//! The upstream behind every contestant: a cheap HTTP/1.1 server that checks what it is sent.
//!
//! One [`Plan`] at a time says what a request body must be and how it is answered. A request that differs is counted
//! as a mismatch; a run with mismatches is no result.
use crate::bodies::REPLACEMENT;
use crate::stream::{EventStream, event_now};
use anyhow::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The small JSON reply to everything that is not a stream.
pub(crate) const JSON: &str = r#"{"id":"msg_bench","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"Hello."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":12000,"output_tokens":4}}"#;

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache\r\nrequest-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";
const BUFFER_BYTES: usize = 64 * 1024;

/// What the origin expects and answers.
#[derive(Clone)]
pub(crate) struct Plan {
    /// What a request body must be.
    pub check: Check,
    /// How a request is answered.
    pub answer: Answer,
}

/// What a request body must be.
#[derive(Clone)]
pub(crate) enum Check {
    /// No body.
    Nothing,
    /// These bytes, and a Content-Length that says so.
    Exactly(Arc<[u8]>),
    /// Any bytes of the announced length that hold the replacement text (for a contestant that re-serialises).
    Holds,
}

/// How a request is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A small JSON document.
    Json,
    /// All events, each written by itself, as fast as they go.
    Burst,
    /// All events in one write.
    Whole,
    /// Each event only after the client has the one before.
    Paced(Arc<Pace>),
    /// One event, then silence until the other side closes.
    Hold,
    /// One event, then one each second that says when it was sent, until the other side closes.
    EachSecond,
}

/// Keeps the origin and one client in step.
pub(crate) struct Pace {
    /// One permit for each event that may be sent.
    pub permits: Semaphore,
    /// When the last event was sent.
    pub sent: Mutex<Instant>,
}

/// The running origin.
pub(crate) struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Streams that are held open now.
    pub held: AtomicUsize,
    events: EventStream,
    plan: Mutex<Plan>,
    requests: AtomicU64,
    mismatches: AtomicU64,
    first_mismatch: Mutex<Option<String>>,
}

impl Origin {
    /// Starts it on a free port, on the current runtime.
    pub(crate) async fn start() -> Result<Arc<Origin>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = Arc::new(Origin {
            address: listener.local_addr()?,
            held: AtomicUsize::new(0),
            events: EventStream::new(),
            plan: Mutex::new(Plan { check: Check::Nothing, answer: Answer::Json }),
            requests: AtomicU64::new(0),
            mismatches: AtomicU64::new(0),
            first_mismatch: Mutex::new(None),
        });
        let shared = Arc::clone(&origin);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let origin = Arc::clone(&shared);
                tokio::spawn(async move {
                    // An error here is a connection that ended: whether that was right is the client's to say.
                    let _ = origin.connection(socket).await;
                });
            }
        });
        Ok(origin)
    }

    /// The events of its streams.
    pub(crate) fn events(&self) -> &EventStream {
        &self.events
    }

    /// Sets the plan for the requests to come and forgets what was counted.
    pub(crate) fn expect(&self, plan: Plan) {
        *lock(&self.plan) = plan;
        self.requests.store(0, Ordering::Relaxed);
        self.mismatches.store(0, Ordering::Relaxed);
        *lock(&self.first_mismatch) = None;
    }

    /// Requests and mismatches since the plan was set, and what the first mismatch was.
    pub(crate) fn counted(&self) -> (u64, u64, Option<String>) {
        let (requests, mismatches) = (&self.requests, &self.mismatches);
        (requests.load(Ordering::Relaxed), mismatches.load(Ordering::Relaxed), lock(&self.first_mismatch).clone())
    }

    fn mismatch(&self, why: String) {
        self.mismatches.fetch_add(1, Ordering::Relaxed);
        lock(&self.first_mismatch).get_or_insert(why);
    }

    async fn connection(&self, mut socket: TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut filled = 0;
        loop {
            let head_end = loop {
                if let Some(at) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
                    break at + 4;
                }
                match socket.read(&mut buffer[filled..]).await? {
                    0 => return Ok(()),
                    count => filled += count,
                }
            };
            let plan = lock(&self.plan).clone();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let length = content_length(&buffer[..head_end]);
            let mut body = BodyCheck::new(&plan.check, length);
            body.push(&buffer[head_end..filled]);
            while body.seen < length {
                let count = socket.read(&mut buffer).await?;
                if count == 0 {
                    self.mismatch(format!("body ended after {} of {length} bytes", body.seen));
                    return Ok(());
                }
                body.push(&buffer[..count]);
            }
            filled = 0;
            if let Err(why) = body.finish() {
                self.mismatch(why);
            }
            self.answer(&mut socket, &plan.answer).await?;
        }
    }

    async fn answer(&self, socket: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
        match answer {
            Answer::Json => {
                let length = JSON.len();
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: req_bench\r\nContent-Length: {length}\r\n\r\n{JSON}"
                );
                socket.write_all(reply.as_bytes()).await
            }
            Answer::Burst => {
                socket.write_all(STREAM_HEAD).await?;
                for chunk in &self.events.chunks {
                    socket.write_all(chunk).await?;
                    tokio::task::yield_now().await;
                }
                socket.write_all(b"0\r\n\r\n").await
            }
            Answer::Whole => {
                socket.write_all(STREAM_HEAD).await?;
                socket.write_all(&self.events.whole).await
            }
            Answer::Paced(pace) => {
                socket.write_all(STREAM_HEAD).await?;
                for chunk in &self.events.chunks {
                    let Ok(permit) = pace.permits.acquire().await else { return Ok(()) };
                    permit.forget();
                    *lock(&pace.sent) = Instant::now();
                    socket.write_all(chunk).await?;
                }
                socket.write_all(b"0\r\n\r\n").await
            }
            Answer::Hold => {
                socket.write_all(STREAM_HEAD).await?;
                socket.write_all(&self.events.chunks[0]).await?;
                self.held.fetch_add(1, Ordering::Relaxed);
                let ended = socket.read(&mut [0]).await;
                self.held.fetch_sub(1, Ordering::Relaxed);
                ended.and(Err(std::io::ErrorKind::ConnectionAborted.into()))
            }
            Answer::EachSecond => {
                socket.write_all(STREAM_HEAD).await?;
                socket.write_all(&self.events.chunks[0]).await?;
                let mut seconds = tokio::time::interval(Duration::from_secs(1));
                seconds.tick().await;
                loop {
                    seconds.tick().await;
                    socket.write_all(&event_now()).await?;
                }
            }
        }
    }
}

/// Compares a body with what it must be, piece by piece.
struct BodyCheck<'a> {
    check: &'a Check,
    announced: usize,
    seen: usize,
    same: bool,
    kept: Vec<u8>,
}

impl<'a> BodyCheck<'a> {
    fn new(check: &'a Check, announced: usize) -> Self {
        BodyCheck { check, announced, seen: 0, same: true, kept: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        match self.check {
            Check::Nothing => {}
            Check::Exactly(expected) => self.same &= expected.get(self.seen..self.seen + bytes.len()) == Some(bytes),
            Check::Holds => self.kept.extend_from_slice(bytes),
        }
        self.seen += bytes.len();
    }

    fn finish(self) -> Result<(), String> {
        let due = match self.check {
            Check::Nothing => 0,
            Check::Exactly(expected) => expected.len(),
            Check::Holds if memchr::memmem::find(&self.kept, REPLACEMENT.as_bytes()).is_some() => self.announced,
            Check::Holds => return Err("the rewritten text is not in the body".into()),
        };
        if (self.announced, self.seen) != (due, due) {
            return Err(format!("Content-Length {}, {} body bytes, expected {due}", self.announced, self.seen));
        }
        if self.same { Ok(()) } else { Err("the body differs from the expected one".into()) }
    }
}

fn content_length(head: &[u8]) -> usize {
    let line =
        head.split(|b| *b == b'\n').find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:"));
    line.and_then(|line| std::str::from_utf8(&line[15..]).ok()?.trim().parse().ok()).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(check: Check, announced: usize, body: &[u8]) -> Result<(), String> {
        let mut checked = BodyCheck::new(&check, announced);
        body.chunks(3).for_each(|piece| checked.push(piece));
        checked.finish()
    }

    #[test]
    fn bodies_are_compared_byte_by_byte() {
        let exactly = || Check::Exactly(b"abcdef".as_slice().into());
        assert_eq!(verdict(exactly(), 6, b"abcdef"), Ok(()));
        assert!(verdict(exactly(), 6, b"abcdeF").is_err());
        assert!(verdict(exactly(), 5, b"abcde").is_err());
        assert!(verdict(Check::Nothing, 1, b"a").is_err());
    }

    #[test]
    fn a_re_serialised_body_must_hold_the_text() {
        let body = format!("{{\"a\":\"{REPLACEMENT}\"}}");
        assert_eq!(verdict(Check::Holds, body.len(), body.as_bytes()), Ok(()));
        assert!(verdict(Check::Holds, 4, b"none").is_err());
    }

    #[test]
    fn lengths_are_read_from_heads() {
        assert_eq!(content_length(b"POST / HTTP/1.1\r\ncontent-length: 12\r\n\r\n"), 12);
        assert_eq!(content_length(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
    }
}
