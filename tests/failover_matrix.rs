//! Every way in which an upstream fails before its answer has a byte, with bodies of every size: with a good upstream
//! left the client notices nothing, and without one it gets one clear error.

use std::any::Any;
use std::time::Duration;

use harness::{
    Authority, Deaf, Gateway, GatewayBuilder, Pool, Port, Received, Reply, Request, Response, Step, Upstream, failing,
};

/// 2 KB, 54 KB (a usual request of Claude Code), 4 MB.
const SIZES: [usize; 3] = [2_000, 54_000, 4_000_000];

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Refused,
    Blackholed,
    WrongName,
    ResetBeforeHead,
    ClosedBeforeHead,
    ResetAfterHead,
    Slow,
    Status(u16),
    WafPage,
    EmptyOk,
}

/// An upstream that fails.
struct Bad {
    url: String,
    more: String,
    /// What records, if it gets so far as to hear a request.
    upstream: Option<Upstream>,
    _held: Box<dyn Any + Send>,
}

impl Failure {
    async fn start(self, name: &'static str, authority: &Authority) -> Bad {
        let ca = authority.ca_file().display();
        match self {
            Self::Refused => {
                let port = Port::free();
                Bad::new(format!("http://{}", port.addr()), "", port)
            }
            Self::Blackholed => {
                let deaf = Deaf::start().await;
                Bad::new(format!("http://{}", deaf.addr()), "connect_timeout: 400ms", deaf)
            }
            Self::WrongName => {
                let leaf = authority.leaf(&["relay.example"]);
                let upstream = Upstream::builder().tls(&leaf).start(|_| Reply::ok("never asked")).await;
                Bad::new(upstream.url(), &format!("ca_file: \"{ca}\""), upstream)
            }
            _ => {
                let upstream = Upstream::start(move |_| self.reply(name)).await;
                let more = if self == Self::Slow { "first_byte_timeout: 400ms" } else { "" };
                Bad { upstream: Some(upstream), ..Bad::new(String::new(), more, ()) }
            }
        }
    }

    fn reply(self, name: &str) -> Reply {
        match self {
            Self::ResetBeforeHead => Reply::reset(),
            Self::ClosedBeforeHead => Reply::close(),
            // Time for the head to arrive: a reset would overtake it.
            Self::ResetAfterHead => Reply::sse().step(Step::Sleep(Duration::from_millis(50))).step(Step::Reset),
            Self::Slow => Reply::stall(),
            Self::Status(status) => failing(status, name),
            Self::WafPage => Reply::ok("<!doctype html><html><script>var arg1='A'</script></html>")
                .header("Content-Type", "text/html"),
            Self::EmptyOk => Reply::status(200).header("Content-Type", "application/json"),
            Self::Refused | Self::Blackholed | Self::WrongName => Reply::status(418),
        }
    }

    /// Status of the gateway's own error when there is no other upstream.
    fn status_alone(self) -> u16 {
        if matches!(self, Self::Blackholed | Self::Slow) { 504 } else { 502 }
    }

    /// Words of which the error holds one.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Refused => &["refused"],
            Self::Blackholed => &["connect"],
            Self::WrongName => &["certificate", "tls"],
            Self::ResetBeforeHead | Self::ClosedBeforeHead | Self::ResetAfterHead => &["clos", "reset", "complete"],
            Self::Slow => &["within", "400ms"],
            Self::WafPage => &["html", "page"],
            Self::EmptyOk => &["empty"],
            Self::Status(_) => &[],
        }
    }
}

impl Bad {
    fn new(url: String, more: &str, held: impl Any + Send) -> Self {
        Self { url, more: more.to_owned(), upstream: None, _held: Box::new(held) }
    }

    fn url(&self) -> String {
        self.upstream.as_ref().map_or_else(|| self.url.clone(), Upstream::url)
    }
}

/// A JSON body of this size that is not the same everywhere.
fn body(size: usize) -> Vec<u8> {
    let (start, end) =
        (r#"{"model":"claude-opus-4-8","max_tokens":9,"messages":[{"role":"user","content":""#, r#""}]}"#);
    let filler = (0u32..).flat_map(|n| format!("{n} ").into_bytes()).take(size - start.len() - end.len());
    start.bytes().chain(filler).chain(end.bytes()).collect()
}

/// A request of a session of its own, so that none is sent where an earlier one went.
fn request(session: &str, size: usize, stream: bool) -> Request {
    Request::post("/v1/messages?beta=true", body(size))
        .header("Content-Type", "application/json")
        .header("Accept", if stream { "text/event-stream" } else { "application/json" })
        .header("X-Claude-Code-Session-Id", format!("{session}-{size}-{stream}"))
}

const EVENTS: [&str; 3] = ["event: a\ndata: {\"n\":1}\n\n", "event: b\ndata: {\"n\":2}\n\n", "event: c\ndata: {}\n\n"];
const JSON: &str = r#"{"type":"message","content":[]}"#;

fn good(request: &Received) -> Reply {
    match request.headers.get("accept").as_deref() {
        Some("text/event-stream") => EVENTS.iter().fold(Reply::sse(), |reply, event| reply.bytes(*event)),
        _ => Reply::json(JSON),
    }
}

fn pool(bad: &[Bad], names: &[&str]) -> Pool {
    let pool = Pool::new().forgetful();
    bad.iter().zip(names).fold(pool, |pool, (bad, name)| pool.add_with(name, bad.url(), &bad.more))
}

async fn check(failure: Failure) {
    let authority = Authority::new();
    let names = ["bad-1", "bad-2", "bad-3"];
    let mut bad = Vec::new();
    for name in names {
        bad.push(failure.start(name, &authority).await);
    }
    one_good_left(failure, &bad[..2], &names).await;
    alone(failure, &bad[..1], &names).await;
    all_bad(failure, &bad, &names).await;
}

async fn one_good_left(failure: Failure, bad: &[Bad], names: &[&str]) {
    let best = Upstream::start(good).await;
    let gateway = gateway().yaml(&pool(bad, names).add("good", best.url()).yaml()).start().await;
    for (at, (size, stream)) in SIZES.into_iter().flat_map(|size| [(size, true), (size, false)]).enumerate() {
        let what = format!("{failure:?}, {size} bytes, stream {stream}");
        let answer = gateway.request(&request("left", size, stream)).await;
        assert_eq!(answer.outcome(), "200 good 3", "{what}: {}", answer.text());
        assert_eq!(answer.text(), if stream { EVENTS.concat() } else { JSON.to_owned() }, "{what}");
        for upstream in bad.iter().filter_map(|bad| bad.upstream.as_ref()).chain([&best]) {
            let got = upstream.received();
            assert_eq!(got.len(), at + 1, "{what}: one request at each");
            assert!(got[at].body == body(size), "{what}: the whole body, {} bytes came", got[at].body.len());
            assert_eq!(got[at].target, "/v1/messages?beta=true", "{what}");
        }
    }
}

async fn alone(failure: Failure, bad: &[Bad], names: &[&str]) {
    let gateway = gateway().yaml(&pool(bad, names).yaml()).start().await;
    for (size, stream) in SIZES.into_iter().flat_map(|size| [(size, true), (size, false)]) {
        let what = format!("{failure:?} alone, {size} bytes, stream {stream}");
        let answer = gateway.request(&request("alone", size, stream)).await;
        assert_failed(failure, &what, &answer, failure.status_alone(), &names[..1]);
    }
}

async fn all_bad(failure: Failure, bad: &[Bad], names: &[&str]) {
    let gateway = gateway().yaml(&pool(bad, names).yaml()).start().await;
    let what = format!("{failure:?} three times");
    let answer = gateway.request(&request("all", 2_000, true)).await;
    assert_failed(failure, &what, &answer, 502, names);
}

/// The last upstream's own answer, or the gateway's error in which every upstream is named.
fn assert_failed(failure: Failure, what: &str, answer: &Response, status: u16, names: &[&str]) {
    let last = names[names.len() - 1];
    if let Failure::Status(own) = failure {
        assert_eq!(answer.outcome(), format!("{own} {last} {}", names.len()), "{what}");
        let sent = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"x\",\"message\":\"{own} of {last}\"}}}}");
        assert_eq!(answer.text(), sent, "{what}: unmodified");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{what}");
        return;
    }
    assert_eq!(answer.status(), status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{what}");
    assert_eq!(answer.header("x-gateway-attempts"), Some(names.len().to_string()), "{what}");
    let error = answer.json();
    let kind = if status == 504 { "timeout_error" } else { "api_error" };
    assert_eq!((error["type"].as_str(), error["error"]["type"].as_str()), (Some("error"), Some(kind)), "{what}");
    let message = error["error"]["message"].as_str().unwrap_or_default().to_lowercase();
    for name in names {
        assert!(message.contains(name), "{what}: \"{name}\" is not named: {message}");
    }
    assert!(failure.words().iter().any(|word| message.contains(word)), "{what}: what it did: {message}");
}

macro_rules! failures {
    ($($(#[$attribute:meta])? $name:ident: $failure:expr;)*) => { $(
        #[tokio::test]
        $(#[$attribute])?
        async fn $name() {
            check($failure).await;
        }
    )* };
}

failures! {
    refused: Failure::Refused;
    #[cfg(target_os = "linux")]
    blackholed: Failure::Blackholed;
    a_certificate_for_another_name: Failure::WrongName;
    reset_before_the_head: Failure::ResetBeforeHead;
    closed_before_the_head: Failure::ClosedBeforeHead;
    reset_after_the_head: Failure::ResetAfterHead;
    no_first_byte_in_time: Failure::Slow;
    status_500: Failure::Status(500);
    status_503: Failure::Status(503);
    status_520: Failure::Status(520);
    status_529: Failure::Status(529);
    a_page_of_a_firewall: Failure::WafPage;
    an_empty_200: Failure::EmptyOk;
}

/// What the others rest on: the good upstream, its answers, and the comparison of bodies.
#[tokio::test]
async fn the_good_upstream_alone() {
    let best = Upstream::start(good).await;
    let gateway = gateway().upstream(best.url()).start().await;
    for (size, stream) in SIZES.into_iter().flat_map(|size| [(size, true), (size, false)]) {
        let answer = gateway.request(&request("good", size, stream)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text(), if stream { EVENTS.concat() } else { JSON.to_owned() });
        assert!(best.last().body == body(size));
    }
}

#[tokio::test]
async fn http_2_clients_notice_as_little() {
    let authority = Authority::new();
    let kinds = [
        Failure::Refused,
        Failure::ClosedBeforeHead,
        Failure::ResetAfterHead,
        Failure::Status(503),
        Failure::WafPage,
        Failure::Slow,
    ];
    for failure in kinds {
        let names = ["bad-1", "bad-2"];
        let bad = [failure.start("bad-1", &authority).await, failure.start("bad-2", &authority).await];
        let best = Upstream::start(good).await;
        let gateway = gateway().yaml(&pool(&bad, &names).add("good", best.url()).yaml()).start().await;
        let client = gateway.connect_h2().await;
        for size in SIZES {
            let body = body(size);
            let request = http::Request::post("http://gateway.test/v1/messages")
                .header("accept", "text/event-stream")
                .header("x-claude-code-session-id", format!("h2-{size}"));
            let answer = client.send(request.body(()).expect("a request"), &[&body]).await;
            let field = |name| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("?");
            let outcome = (answer.status, field("x-gateway-upstream"), field("x-gateway-attempts"));
            assert_eq!(outcome, (200, "good", "3"), "{failure:?}, {size} bytes: {}", answer.text());
            assert_eq!(answer.text(), EVENTS.concat());
            assert!(best.last().body == body, "{failure:?}: {} of {size} bytes came", best.last().body.len());
        }
    }
}
