//! What happens to one request. Client and relays make it of the same nonce, so that nothing has to be told between them.

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;
use harness::gzip;
use serde_json::{Value, json};

/// The upstreams, in the order in which they are configured.
pub(crate) const UPSTREAMS: [&str; 3] = ["a", "b", "c"];
/// The model that all ask for.
pub(crate) const MODEL: &str = "claude-hold-1";
/// Billionths of a dollar for a token: input, output, written to the cache, read from it.
pub(crate) const PRICES: [u64; 4] = [3_000, 15_000, 3_750, 300];

/// A request of a run: the session that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Nonce {
    /// Of the wave that it belongs to.
    pub(crate) seed: u64,
    /// Which one of that wave.
    pub(crate) number: u64,
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hold-{:x}-{:x}", self.seed, self.number)
    }
}

impl FromStr for Nonce {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seed, number) = text.strip_prefix("hold-").and_then(|rest| rest.split_once('-')).ok_or(())?;
        let parsed = |text| u64::from_str_radix(text, 16).map_err(|_| ());
        Ok(Self { seed: parsed(seed)?, number: parsed(number)? })
    }
}

/// What an upstream does with a request. Places in a stream are counted in events; the first is `message_start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The answer as it should be.
    Whole,
    /// The same in pieces of a few bytes, with pauses.
    Sliced,
    /// The same with an interim response before it.
    Interim,
    /// The same, compressed.
    Coded,
    /// The same, and a second response behind it that nobody asked for.
    Twice,
    /// The same, before the request was read; then the connection ends.
    Early,
    /// Whole, with figures of usage that make no sense.
    LyingUsage,
    /// Whole, but not in the coding that its head names.
    LyingCoding,
    /// An error with this status.
    Status(u16),
    /// An error with status 200: the first event of a stream, or the whole reply.
    ErrorFirst,
    /// An error in the stream after some events; of a reply that is no stream as [`Act::ErrorFirst`].
    ErrorLate,
    /// A success with nothing in it.
    Empty,
    /// A web page.
    Page,
    /// Something that is no HTTP.
    Garbage,
    /// The connection is closed, without a byte.
    Close,
    /// The same with a reset.
    Reset,
    /// Nothing at all.
    Silence,
    /// Half of the response's head; then the connection is closed.
    HeadCut,
    /// The same with a reset.
    HeadReset,
    /// Half of the response's head, and nothing more.
    HeadStall,
    /// The answer as it should be; its head and its beginning come byte by byte.
    Dripped,
    /// The same, with a pause in its middle.
    Delayed,
    /// Whole, but for one byte of the body that is no UTF-8.
    Flipped,
    /// Compressed, and one byte is not what its checksum says.
    FlippedCoded,
    /// The connection is closed after so many events (of a reply that is no stream: in its middle).
    CutAfter(usize),
    /// The same with a reset.
    ResetAfter(usize),
    /// Nothing more after so many events.
    StallAfter(usize),
    /// A chunk whose size is none, after so many events.
    BadChunkAfter(usize),
    /// All but the last event, with a proper end.
    NoStop,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Reads its response to the end.
    Reads,
    /// The same, with a pause after the head.
    Lingers,
    /// Sends its request in pieces.
    Drips,
    /// Ends its sending side behind the request.
    HalfCloses,
    /// Leaves after so many bytes of the body.
    Leaves(usize),
    /// Leaves before its request is complete.
    NeverAsks,
    /// Sends this request and the next one (a [`Way::Follows`]) in one piece, and reads both responses.
    Leads,
    /// See [`Way::Leads`].
    Follows,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Its own.
    pub(crate) nonce: Nonce,
    /// Whether a stream is asked for.
    pub(crate) is_stream: bool,
    /// What each upstream does, should it be asked.
    pub(crate) acts: [Act; 3],
    /// What the client does.
    pub(crate) way: Way,
    /// Bytes that make the request longer.
    pub(crate) filler: usize,
    /// Pieces of text of the response, ...
    pub(crate) pieces: usize,
    /// ... and bytes in each.
    pub(crate) piece: usize,
    /// What the response says is used: input, output, written to the cache, read from it.
    pub(crate) tokens: [u64; 4],
}

impl Plan {
    /// Always the same of the same nonce.
    pub(crate) fn of(nonce: Nonce) -> Self {
        let mut rng = Rng::with_seed(mixed(nonce.seed.wrapping_add(mixed(nonce.number))));
        let pieces = rng.usize(1..12);
        let acts = [(); 3].map(|()| act(&mut rng, pieces));
        let is_pair = mixed(nonce.seed ^ mixed(nonce.number / 2)).is_multiple_of(25);
        let way = match (is_pair, nonce.number % 2) {
            (true, 0) => Way::Leads,
            (true, _) => Way::Follows,
            _ => way(&mut rng),
        };
        Self {
            nonce,
            is_stream: rng.u8(..) < 180,
            acts,
            way,
            filler: if rng.u8(..) < 16 { rng.usize(10_000..200_000) } else { rng.usize(..3_000) },
            pieces,
            piece: if rng.u8(..) < 16 { rng.usize(1_000..20_000) } else { rng.usize(..200) },
            tokens: [rng.u64(1..2_000), rng.u64(1..900), rng.u64(..5_000), rng.u64(..90_000)],
        }
    }

    /// The body of the request.
    pub(crate) fn request(&self) -> Vec<u8> {
        let content = format!("{} {}", self.nonce, "x".repeat(self.filler));
        json!({"model": MODEL, "max_tokens": 999, "stream": self.is_stream, "messages": [{"role": "user", "content": content}]})
            .to_string()
            .into_bytes()
    }

    /// What the whole response costs, in billionths of a dollar.
    pub(crate) fn cost(&self) -> u64 {
        self.tokens.iter().zip(PRICES).map(|(tokens, price)| tokens * price).sum()
    }

    /// The body of this upstream's response in its pieces, as it would be without what breaks off.
    pub(crate) fn body(&self, upstream: usize) -> Vec<Vec<u8>> {
        let act = self.acts[upstream];
        match act {
            Act::Status(status) => vec![self.error(&error_type(status), upstream)],
            Act::ErrorFirst if self.is_stream => vec![event("error", &self.error_value("overloaded_error", upstream))],
            Act::ErrorFirst => vec![self.error("overloaded_error", upstream)],
            Act::ErrorLate if !self.is_stream => vec![self.error("overloaded_error", upstream)],
            Act::Empty => Vec::new(),
            Act::Page => vec![format!("<!DOCTYPE html><html><body>{}</body></html>", self.nonce).into_bytes()],
            _ if !self.is_stream => {
                let text: String = (0..self.pieces).map(|at| self.text(upstream, at)).collect();
                vec![self.spoilt(act, self.message(act, Some(&text)).to_string().into_bytes())]
            }
            _ => {
                let mut events = self.events(upstream);
                match act {
                    Act::NoStop => drop(events.pop()),
                    Act::ErrorLate => {
                        events.truncate(1 + self.pieces.div_ceil(2));
                        events.push(event("error", &self.error_value("overloaded_error", upstream)));
                    }
                    Act::Coded | Act::Flipped | Act::FlippedCoded => events = vec![self.spoilt(act, events.concat())],
                    _ => {}
                }
                events
            }
        }
    }

    /// A body in the coding of this act, with what it changes of it.
    fn spoilt(&self, act: Act, body: Vec<u8>) -> Vec<u8> {
        let mut body = if matches!(act, Act::Coded | Act::FlippedCoded) { gzip(&body) } else { body };
        match act {
            Act::Flipped => {
                let at = body.len() / 2;
                body[at] ^= 0x80;
            }
            // Of the checksum, the length behind it, or what they are of.
            Act::FlippedCoded => {
                let back = [1, 5, 8, body.len() / 2][self.tokens[0] as usize % 4];
                let at = body.len() - back;
                body[at] ^= 1;
            }
            _ => {}
        }
        body
    }

    /// How many pieces of that body are sent whole.
    pub(crate) fn sent_pieces(&self, upstream: usize) -> usize {
        match self.acts[upstream] {
            Act::CutAfter(at) | Act::ResetAfter(at) | Act::StallAfter(at) | Act::BadChunkAfter(at) => {
                if self.is_stream { at } else { 0 }
            }
            _ => usize::MAX,
        }
    }

    fn events(&self, upstream: usize) -> Vec<Vec<u8>> {
        let act = self.acts[upstream];
        let mut events = vec![event("message_start", &json!({"message": self.message(act, None)}))];
        events.extend((0..self.pieces).map(|at| {
            let delta = json!({"type": "text_delta", "text": self.text(upstream, at)});
            event("content_block_delta", &json!({"index": 0, "delta": delta}))
        }));
        let output = if act == Act::LyingUsage { json!(u64::MAX) } else { json!(self.tokens[1]) };
        let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
        events.push(event("message_delta", &json!({"delta": delta, "usage": {"output_tokens": output}})));
        events.push(event("message_stop", &json!({})));
        events
    }

    /// Each piece says whose it is.
    fn text(&self, upstream: usize, at: usize) -> String {
        format!("[{} {} {at}]{}", self.nonce, UPSTREAMS[upstream], "y".repeat(self.piece))
    }

    fn message(&self, act: Act, text: Option<&str>) -> Value {
        let [input, output, written, read] = self.tokens;
        let usage = match act {
            Act::LyingUsage => {
                json!({"input_tokens": "many", "output_tokens": 1.5, "cache_read_input_tokens": -1, "cache_creation_input_tokens": 1e300})
            }
            _ => json!({
                "input_tokens": input, "output_tokens": if text.is_some() { output } else { 1 },
                "cache_creation_input_tokens": written, "cache_read_input_tokens": read,
            }),
        };
        let content = text.map_or(json!([]), |text| json!([{"type": "text", "text": text}]));
        let stop = text.map(|_| "end_turn");
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage})
    }

    fn error(&self, kind: &str, upstream: usize) -> Vec<u8> {
        let mut value = self.error_value(kind, upstream);
        value["type"] = json!("error");
        value.to_string().into_bytes()
    }

    fn error_value(&self, kind: &str, upstream: usize) -> Value {
        json!({"error": {"type": kind, "message": format!("no luck [{} {}]", self.nonce, UPSTREAMS[upstream])}})
    }
}

fn event(kind: &str, data: &Value) -> Vec<u8> {
    let mut data = data.clone();
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n").into_bytes()
}

fn error_type(status: u16) -> String {
    let kind = match status {
        400 => "invalid_request_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    kind.to_owned()
}

fn act(rng: &mut Rng, pieces: usize) -> Act {
    let at = rng.usize(..pieces + 2);
    match rng.u32(..1_000) {
        ..370 => Act::Whole,
        370..420 => Act::Sliced,
        420..440 => Act::HeadCut,
        440..460 => Act::HeadReset,
        460..463 => Act::HeadStall,
        463..493 => Act::Dripped,
        493..500 => Act::Delayed,
        500..520 => Act::Flipped,
        520..540 => Act::FlippedCoded,
        540..560 => Act::Interim,
        560..590 => Act::Coded,
        590..610 => Act::Twice,
        610..630 => Act::Early,
        630..645 => Act::LyingUsage,
        645..660 => Act::LyingCoding,
        660..760 => Act::Status(*rng.choice(&[400, 404, 429, 500, 502, 503, 529]).expect("some")),
        760..785 => Act::ErrorFirst,
        785..805 => Act::ErrorLate,
        805..820 => Act::Empty,
        820..835 => Act::Page,
        835..850 => Act::Garbage,
        850..870 => Act::Close,
        870..890 => Act::Reset,
        890..893 => Act::Silence,
        893..930 => Act::CutAfter(at),
        930..960 => Act::ResetAfter(at),
        960..964 => Act::StallAfter(at),
        964..980 => Act::BadChunkAfter(at),
        _ => Act::NoStop,
    }
}

fn way(rng: &mut Rng) -> Way {
    match rng.u32(..100) {
        ..72 => Way::Reads,
        72..78 => Way::Lingers,
        78..84 => Way::Drips,
        84..88 => Way::HalfCloses,
        88..96 => Way::Leaves(rng.usize(..4_000)),
        _ => Way::NeverAsks,
    }
}

/// Seeds that follow each other say nothing of each other (the finalizer of SplitMix64).
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn a_plan_is_the_same_whoever_makes_it() {
    for number in 0..200 {
        let nonce = Nonce { seed: 7, number };
        assert_eq!(nonce.to_string().parse(), Ok(nonce));
        assert_eq!(format!("{:?}", Plan::of(nonce)), format!("{:?}", Plan::of(nonce)));
    }
    let ways: Vec<Way> = (0..2_000).map(|number| Plan::of(Nonce { seed: 7, number }).way).collect();
    let pairs = ways.chunks(2).filter(|pair| pair[0] == Way::Leads);
    assert!(pairs.clone().count() > 10 && pairs.clone().all(|pair| pair[1] == Way::Follows), "{}", pairs.count());
    assert!(!ways.chunks(2).any(|pair| pair[1] == Way::Leads || pair[0] == Way::Follows));
}
