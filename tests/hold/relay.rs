//! The relays: each does with a request what the plan of its nonce says, and notes that it came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harness::{Port, Received, Reply, Step, Upstream};

use crate::plan::{Act, Nonce, Plan, UPSTREAMS, Way};

/// How much of a [`Act::Dripped`] is.
const DRIPPED_BYTES: usize = 400;
/// The key that all of them are paid with.
pub(crate) const KEY: &str = "sk-relay-of-the-hold-0123456789abcdef";

/// What came, by nonce: the upstreams in the order in which they were asked.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<HashMap<Nonce, Vec<usize>>>>, Arc<Mutex<Vec<String>>>);

impl Notes {
    /// All so far, and nothing is kept; and what was wrong with requests.
    pub(crate) fn take(&self) -> (HashMap<Nonce, Vec<usize>>, Vec<String>) {
        let hits = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let wrong = std::mem::take(&mut *self.1.lock().unwrap_or_else(PoisonError::into_inner));
        (hits, wrong)
    }

    fn hit(&self, upstream: usize, nonce: Nonce) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(nonce).or_default().push(upstream);
    }

    fn complain(&self, text: String) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// All relays, on ports that stay theirs while one is stopped.
pub(crate) async fn start(notes: &Notes) -> Vec<(Port, Upstream)> {
    let mut relays = Vec::new();
    for upstream in 0..UPSTREAMS.len() {
        let port = Port::free();
        let (early, late) = (notes.clone(), notes.clone());
        let relay = Upstream::builder()
            .forgetful()
            .allow_malformed()
            .early(move |request| answer_early(&early, upstream, request))
            .start_on(port.number(), move |request| answer(&late, upstream, request))
            .await
            .expect("a reserved port");
        relays.push((port, relay));
    }
    relays
}

/// What came malformed, or in part, although its client waited for the response and the road was open.
pub(crate) fn malformed(relay: &Upstream, was_troubled: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for request in relay.received() {
        let Some(why) = &request.malformed else { continue };
        if was_troubled && ["cut: ", "socket: "].iter().any(|begun| why.starts_with(begun)) {
            continue;
        }
        let plan = nonce(&request).map(Plan::of);
        let may_leave = |plan: &Plan| matches!(plan.way, Way::Leaves(_) | Way::HalfCloses);
        if !plan.as_ref().is_some_and(may_leave) {
            wrong.push(format!("a malformed request ({why}) of {plan:?}"));
        }
    }
    wrong
}

fn nonce(request: &Received) -> Option<Nonce> {
    request.headers.get("x-claude-code-session-id")?.parse().ok()
}

fn answer_early(notes: &Notes, upstream: usize, request: &Received) -> Option<Reply> {
    let plan = Plan::of(nonce(request)?);
    if plan.acts[upstream] != Act::Early {
        return None;
    }
    notes.hit(upstream, plan.nonce);
    Some(reply(&plan, upstream).header("Connection", "close"))
}

fn answer(notes: &Notes, upstream: usize, request: &Received) -> Reply {
    let Some(nonce) = nonce(request) else {
        notes.complain(format!("a request without a nonce: {} {}", request.method, request.target));
        return Reply::status(400);
    };
    let plan = Plan::of(nonce);
    notes.hit(upstream, nonce);
    if request.body != plan.request() {
        notes.complain(format!("{nonce}: {} got another body", UPSTREAMS[upstream]));
    }
    if request.headers.all("x-api-key") != [KEY] {
        notes.complain(format!("{nonce}: {} got another key", UPSTREAMS[upstream]));
    }
    reply(&plan, upstream)
}

fn half_a_head(ending: Step) -> Reply {
    Reply::raw(vec![Step::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/eve".to_vec()), ending])
}

/// A response whose head, framing and beginning come byte by byte.
fn dripped(is_stream: bool, body: &[Vec<u8>]) -> Reply {
    let (kind, framing, framed) = if is_stream {
        let chunk = |piece: &Vec<u8>| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        let chunks: Vec<u8> = body.iter().flat_map(chunk).chain(*b"0\r\n\r\n").collect();
        ("text/event-stream", "Transfer-Encoding: chunked".to_owned(), chunks)
    } else {
        let body = body.concat();
        ("application/json", format!("Content-Length: {}", body.len()), body)
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n");
    let whole = [head.into_bytes(), framed].concat();
    let (slowly, rest) = whole.split_at(whole.len().min(DRIPPED_BYTES));
    let mut steps: Vec<Step> = slowly.iter().map(|&byte| Step::Raw(vec![byte])).collect();
    steps.extend([Step::Raw(rest.to_vec()), Step::Close]);
    Reply::raw(steps)
}

/// Long enough to be seen, and far from every time-out.
fn delayed(reply: Reply, mut body: Vec<Vec<u8>>) -> Reply {
    let pause = |time| Step::Sleep(Duration::from_millis(time));
    let rest = body.split_off(body.len().div_ceil(2));
    let send = |reply: Reply, pieces: Vec<Vec<u8>>| pieces.into_iter().fold(reply, Reply::bytes);
    send(send(reply, body).step(pause(300)), rest)
}

/// What an upstream sends by its plan.
fn reply(plan: &Plan, upstream: usize) -> Reply {
    let act = plan.acts[upstream];
    let body = plan.body(upstream);
    let pause = Step::Sleep(Duration::from_millis(2));
    match act {
        Act::Garbage => return Reply::raw(vec![Step::Raw(b"\x16\x03\x01 no HTTP\r\n\r\n".to_vec()), Step::Close]),
        Act::Close => return Reply::close(),
        Act::Reset => return Reply::reset(),
        Act::Silence => return Reply::stall(),
        Act::HeadCut => return half_a_head(Step::Close),
        Act::HeadReset => return half_a_head(Step::Reset),
        Act::HeadStall => return half_a_head(Step::Stall),
        Act::Status(status) => {
            return Reply::status(status).body(body.concat()).header("Content-Type", "application/json");
        }
        Act::Page => return Reply::ok(body.concat()).header("Content-Type", "text/html"),
        _ => {}
    }
    let sent = plan.sent_pieces(upstream);
    let ending = match act {
        Act::CutAfter(_) => Some(Step::Close),
        Act::ResetAfter(_) => Some(Step::Reset),
        Act::StallAfter(_) => Some(Step::Stall),
        _ => None,
    };
    let mut reply = match plan.is_stream {
        true => Reply::sse(),
        false => Reply::json(Vec::new()).length(body.iter().map(Vec::len).sum::<usize>() as u64),
    };
    match act {
        Act::Coded | Act::LyingCoding | Act::FlippedCoded => reply = reply.header("Content-Encoding", "gzip"),
        Act::Interim => reply = reply.interim(103, &[("Link", "</x>; rel=preload")]),
        _ => {}
    }
    // Of a reply that is no stream half of its one piece comes.
    if !plan.is_stream && sent == 0 {
        reply = reply.bytes(&body[0][..body[0].len() / 2]);
        return reply.step(ending.unwrap_or(Step::Close));
    }
    match act {
        Act::Dripped => return dripped(plan.is_stream, &body),
        Act::Delayed => return delayed(reply, body),
        _ => {}
    }
    for piece in body.iter().take(sent) {
        match act {
            Act::Sliced => {
                for slice in piece.chunks(piece.len().div_ceil(7).max(1)) {
                    reply = reply.bytes(slice).step(pause.clone());
                }
            }
            _ => reply = reply.bytes(piece.as_slice()),
        }
    }
    match (act, ending) {
        (_, Some(ending)) => reply.step(ending),
        (Act::BadChunkAfter(_), _) => reply.step(Step::Raw(b"zz\r\nno chunk\r\n".to_vec())).step(Step::Close),
        (Act::Twice, _) => {
            let end: &[u8] = if plan.is_stream { b"0\r\n\r\n" } else { b"" };
            let second = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            reply.step(Step::Raw([end, second].concat())).step(pause).step(Step::Close)
        }
        _ => reply,
    }
}
