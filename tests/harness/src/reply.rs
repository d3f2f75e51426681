//! What the mock upstream answers: well-behaved, or broken in a chosen way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::wire::Framing;

/// A gate that a test opens to let a mock go on: a handshake instead of a clock.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A closed gate.
    #[allow(clippy::new_without_default, reason = "a closed gate is no natural default")]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter through, now or later.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    /// Waits for one [`Gate::open`].
    pub async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

/// One thing that the mock does after the head of its answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends body bytes at once, framed as the reply is (one chunk when chunked).
    Bytes(Vec<u8>),
    /// Sends body bytes that many replies share, in a body of a declared length: large ones, for many clients.
    Shared(bytes::Bytes),
    /// Sends these bytes as they are, past all framing.
    Raw(Vec<u8>),
    /// Waits.
    Sleep(Duration),
    /// Waits for the test.
    Wait(Gate),
    /// Says nothing more, until the other side goes away.
    Stall,
    /// Closes the connection here.
    Close,
    /// Resets the connection here (RST).
    Reset,
    /// Sends back whatever comes, until the other side closes.
    Echo,
}

/// An answer of the mock upstream.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) interim: Vec<(u16, Vec<(String, String)>)>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) framing: Framing,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
    /// No head is written: the steps are everything.
    pub(crate) raw: bool,
}

impl Reply {
    /// An empty answer with this status and `Content-Length: 0` (none for 1xx, 204 and 304).
    pub fn status(status: u16) -> Self {
        let framing = if status < 200 || status == 204 || status == 304 { Framing::None } else { Framing::Length(0) };
        Self { interim: vec![], status, headers: vec![], framing, trailers: vec![], steps: vec![], raw: false }
    }

    /// 200 with a body and its `Content-Length`.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// 200 with a JSON body.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::ok(body).header("Content-Type", "application/json")
    }

    /// 200, `text/event-stream`, chunked, with no step yet.
    pub fn sse() -> Self {
        Self::status(200).header("Content-Type", "text/event-stream; charset=utf-8").chunked()
    }

    /// Only these steps, without a head: for garbage, partial heads, silence.
    pub fn raw(steps: Vec<Step>) -> Self {
        Self { raw: true, steps, ..Self::status(200) }
    }

    /// Silence, until the other side goes away.
    pub fn stall() -> Self {
        Self::raw(vec![Step::Stall])
    }

    /// Closes before answering.
    pub fn close() -> Self {
        Self::raw(vec![Step::Close])
    }

    /// Resets before answering.
    pub fn reset() -> Self {
        Self::raw(vec![Step::Reset])
    }

    /// 101 with these fields, then an echo of all that comes.
    pub fn upgrade_echo(protocol: &str) -> Self {
        Self::status(101).header("Connection", "Upgrade").header("Upgrade", protocol).step(Step::Echo)
    }

    /// Adds a field; repeats and case are kept.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Adds a field behind the body; over HTTP/2 only.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends an interim answer (1xx) first.
    pub fn interim(mut self, status: u16, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.interim.push((status, fields));
        self
    }

    /// Sets the whole body, with its `Content-Length`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.framing = Framing::Length(body.len() as u64);
        self.steps = vec![Step::Bytes(body)];
        self
    }

    /// Declares this `Content-Length`, whatever the steps send (a bigger one, then [`Step::Close`], truncates).
    pub fn length(mut self, length: u64) -> Self {
        self.framing = Framing::Length(length);
        self
    }

    /// Frames the body in chunks, one for each [`Step::Bytes`].
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Ends the body by closing the connection.
    pub fn close_delimited(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Bytes of the body that the steps send.
    pub fn body_bytes(&self) -> usize {
        let bytes = |step: &Step| match step {
            Step::Bytes(bytes) => bytes.len(),
            Step::Shared(bytes) => bytes.len(),
            _ => 0,
        };
        self.steps.iter().map(bytes).sum()
    }

    /// Adds a [`Step::Bytes`].
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Bytes(bytes.into()))
    }
}

/// `data` in the gzip format (stored, not deflated): any decoder reads it.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = data.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let len = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(block);
    }
    let crc = data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    out.extend((!crc).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}
