//! Answers that are not what their heads say: errors, pages and nothing at all under 200, streams under another type.

use super::{Case, Ending, Truth, encode, named, pieces};
use fastrand::Rng;
use harness::{Reply, Step};

/// Types under which streams and replies come.
const TYPES: [&str; 5] =
    ["text/event-stream", "application/json", "text/plain", "application/octet-stream", "application/x-ndjson"];

/// The type of a stream: its own, as a rule.
pub(super) fn stream_type(rng: &mut Rng) -> &'static str {
    if rng.u8(..5) == 0 { TYPES[rng.usize(..TYPES.len())] } else { "text/event-stream; charset=utf-8" }
}

/// Errors as relays send them, and the type that is told of each.
const ERRORS: [(&str, &str); 12] = [
    (r#"{"type":"error","error":{"type":"overloaded_error","message":"later"}}"#, "overloaded_error"),
    (r#"{"error":{"message":"no quota","type":"new_api_error","code":"insufficient_user_quota"}}"#, "new_api_error"),
    (r#"{"error":{"message":"busy","code":503}}"#, "503"),
    (r#"{"error":"rate limited"}"#, "unknown"),
    (r#"{"error":"invalid_token","error_description":"expired"}"#, "invalid_token"),
    (r#"{"success":false,"message":"not logged in"}"#, "unknown"),
    (r#"{"code":500,"msg":"internal error","data":null}"#, "500"),
    (r#"{"detail":"Decode server is overloaded"}"#, "unknown"),
    (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "unknown"),
    (r#"{"status":"error","message":"no"}"#, "error"),
    (r#"{"errors":[{"message":"no"}]}"#, "unknown"),
    (r#"{"message":"please log in"}"#, "unknown"),
];

/// The events in which an error comes first, and what is told of it.
fn error_first(rng: &mut Rng) -> (String, &'static str, u64) {
    let (error, kind) = ERRORS[rng.usize(..ERRORS.len())];
    let (before, events) =
        [("", 1), (": hello\n\n", 1), ("event: ping\ndata: {\"type\":\"ping\"}\n\n", 2)][rng.usize(..3)];
    let name = ["", "event: error\n"][rng.usize(..2)];
    (format!("{before}{name}data: {error}\n\n"), kind, events)
}

/// Bodies in which nothing is said, and how many events they have.
const NOTHING: [(&str, u64); 6] = [
    ("", 0),
    ("\r\n\r\n", 0),
    (": keep-alive\n\n: keep-alive\n\n", 0),
    ("data: [DONE]\n\n", 1),
    ("event: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping\ndata: {}\n\n", 2),
    ("\u{feff}: marked\n\n", 0),
];

/// A body in a random coding, in pieces, under this type.
fn coded(rng: &mut Rng, content_type: &str, body: &str) -> Reply {
    let coding = super::CODINGS[rng.usize(..super::CODINGS.len())];
    let reply = Reply::status(200).header("Content-Type", content_type).chunked();
    let reply = if coding == "identity" { reply } else { reply.header("Content-Encoding", named(coding)) };
    // An empty body of a coding is one without a byte, too.
    if body.is_empty() { reply } else { pieces(rng, reply, &encode(coding, body.as_bytes())) }
}

/// What is no answer to the request.
pub(super) fn odd(rng: &mut Rng) -> Case {
    let content_type = TYPES[rng.usize(..TYPES.len())];
    let failed = Truth { outcome: "upstream_error", status: 200, ..Truth::default() };
    // The gateway's own error ends the connection.
    let nothing = Truth { status: 502, ..failed.clone() };
    let of = |kind: &str| Some(kind.to_owned());
    let (reply, truth) = match rng.u8(..9) {
        0 => {
            let (error, kind) = ERRORS[rng.usize(..ERRORS.len())];
            (coded(rng, content_type, error), Truth { error_type: of(kind), ..failed })
        }
        1 => {
            let (body, kind, events) = error_first(rng);
            let truth = Truth { outcome: "stream_error", error_type: of(kind), events, ..failed };
            (coded(rng, content_type, &body), truth)
        }
        2 => {
            let body = ["[]", "{}", "{\"data\":null}"][rng.usize(..3)];
            (coded(rng, content_type, body), failed)
        }
        3 => (coded(rng, "application/json", "upstream connect error or disconnect/reset"), failed),
        4 => {
            let (body, events) = NOTHING[rng.usize(..NOTHING.len())];
            (coded(rng, content_type, body), Truth { events, ..nothing })
        }
        5 => (Reply::status(200).header("Content-Type", content_type).close_delimited(), nothing),
        6 => (coded(rng, content_type, "\n<!doctype html><html><title>no</title></html>"), nothing),
        7 => {
            let status = [202, 204, 302][rng.usize(..3)];
            (Reply::status(status).header("Location", "/login"), Truth { status: status.into(), ..failed })
        }
        _ => {
            let (body, kind, _) = error_first(rng);
            let kind = Some(kind).filter(|kind| *kind != "unknown").map(str::to_owned);
            let reply = Reply::status(429).header("Content-Type", "text/event-stream").body(body);
            (reply, Truth { status: 429, error_type: kind, ..failed })
        }
    };
    let ending = if truth.status == 502 { Ending::Broken } else { Ending::Whole };
    Case { reply, truth, ending }
}

/// What another upstream makes good, because the client has nothing of it yet.
pub(super) fn replaced(rng: &mut Rng) -> Reply {
    match rng.u8(..6) {
        0 => {
            let body = ERRORS[rng.usize(..ERRORS.len())].0;
            coded(rng, "text/event-stream", body)
        }
        1 => {
            let body = error_first(rng).0;
            coded(rng, "text/event-stream", &body)
        }
        2 => {
            let body = NOTHING[rng.usize(..NOTHING.len())].0;
            coded(rng, "application/json", body)
        }
        3 => Reply::sse().close_delimited(),
        4 => Reply::sse().bytes(": hello\n\nevent: message_st").step(Step::Close),
        _ => coded(rng, "text/event-stream", "<html><title>no</title></html>"),
    }
}

/// A whole answer in a coding that nobody here knows.
pub(super) fn unreadable() -> Case {
    let reply = Reply::json(r#"{"type":"message","content":[]}"#).header("Content-Encoding", "compress");
    Case { reply, truth: Truth { outcome: "unreadable", status: 200, ..Truth::default() }, ending: Ending::Whole }
}
