//! What became of the message, by what came. Pure.

use crate::doctor::findings::Finding;
use crate::doctor::reply::{self, Verdict};
use crate::gateway::Reply;
use serde_json::Value;

/// Names the upstream that a response comes from.
pub(super) const X_GATEWAY_UPSTREAM: &str = "x-gateway-upstream";
/// How many upstreams were tried.
pub(super) const X_GATEWAY_ATTEMPTS: &str = "x-gateway-attempts";
/// How the gateway's own ids begin.
const OWN_ID: &str = "req_";

/// Where the message ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// There is an answer.
    Answered,
    /// The gateway refused it, or answered by a rule.
    Refused,
    /// The gateway got no response of an upstream that it could pass on.
    Unreachable,
    /// The upstream answered with an error, or something else that is no message.
    Upstream(Finding),
    /// The answer began, and did not come to its end.
    Broken(Broken),
}

/// How an answer broke off.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// An error came in its stream.
    Error(Finding),
    /// It ended too early.
    Cut,
}

/// Where the message ended that this came for.
pub(super) fn of(reply: &Reply) -> Ending {
    let is_good = (200..300).contains(&reply.status);
    if !is_good && reply.header(X_GATEWAY_UPSTREAM).is_none() {
        return Ending::Refused;
    }
    if !is_good && is_gateways(reply) {
        return Ending::Unreachable;
    }
    match reply::verdict(reply) {
        Verdict::Answered => Ending::Answered,
        Verdict::Cut => Ending::Broken(Broken::Cut),
        Verdict::Error(finding) => Ending::Broken(Broken::Error(finding)),
        Verdict::NoMessage(finding) => Ending::Upstream(finding),
    }
}

/// Whether the gateway made this error: its id is in the body too, and is the gateway's.
fn is_gateways(reply: &Reply) -> bool {
    let id = reply.header("x-request-id").filter(|id| id.starts_with(OWN_ID));
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    id.is_some() && reply.header("request-id") == id && body["request_id"].as_str() == id.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::findings;
    use crate::doctor::reply::{message, text};
    use gateway_core::protocol::Protocol;
    use gateway_core::usage::meter::{Limits, Meter};
    use http::HeaderMap;
    use std::time::{Duration, Instant};

    const ID: &str = "req_0123456789abcdef0123456789abcdef";

    fn reply(status: u16, fields: &[(&'static str, &str)], body: &str) -> Reply {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().expect("a value"));
        }
        let (now, limits) = (Instant::now(), Limits { event_bytes: 10_000, reply_bytes: 10_000 });
        let meter = Meter::new(Protocol::of("POST", b"/v1/messages"), b"", || None, (now, now), limits);
        let read = |mut meter: Meter| {
            meter.push(body.as_bytes(), now);
            meter.finish()
        };
        let decoded = Meter::new(
            Protocol::of("POST", b"/v1/messages"),
            b"",
            || gateway_core::usage::decode::Decoder::new([]),
            (now, now),
            limits,
        );
        let summary = decoded.or(meter).filter(|_| status < 300).map(read);
        Reply { status, headers, body: body.into(), is_whole: true, summary, took: Duration::ZERO }
    }

    const STREAM: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"it \"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"works\\u001b[31m\"}}\n\n";

    #[test]
    fn each_ending_is_told_from_the_others() {
        let from = [(X_GATEWAY_UPSTREAM, "a"), ("x-request-id", ID)];
        let by = [(X_GATEWAY_UPSTREAM, "a"), ("x-request-id", ID), ("request-id", ID)];
        let error = |kind: &str| format!("{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}");
        let own = format!(
            "{{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"m\"}},\"request_id\":\"{ID}\"}}"
        );
        let whole = "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"usage\":{}}";
        let stopped = format!("{STREAM}event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n");
        let in_stream = format!("{STREAM}event: error\ndata: {}\n\n", error("overloaded_error"));
        for (status, fields, body, ending) in [
            (200, &from[..], stopped.as_str(), Ending::Answered),
            (200, &from, whole, Ending::Answered),
            (200, &from, STREAM, Ending::Broken(Broken::Cut)),
            (200, &from, &in_stream, Ending::Broken(Broken::Error(findings::OVERLOADED))),
            (200, &from, &error("authentication_error"), Ending::Upstream(findings::BAD_KEY)),
            (200, &from, "", Ending::Upstream(findings::EMPTY_ANSWER)),
            (200, &from, "{\"ok\":true}", Ending::Upstream(findings::NO_MESSAGE)),
            (200, &from, "<html>hello", Ending::Upstream(findings::WAF_PAGE)),
            (401, &[], &own, Ending::Refused),
            (502, &by, &own, Ending::Unreachable),
            (401, &from, &error("authentication_error"), Ending::Upstream(findings::BAD_KEY)),
            (400, &from, &error("invalid_request_error"), Ending::Upstream(findings::REQUEST_REFUSED)),
            (404, &from, &error("not_found_error"), Ending::Upstream(findings::NO_MODEL)),
            (404, &from, "<html>no", Ending::Upstream(findings::WRONG_PATH)),
            (429, &from, &error("rate_limit_error"), Ending::Upstream(findings::QUOTA)),
            (502, &from, "<html>bad gateway", Ending::Upstream(findings::BAD_GATEWAY)),
            // Another gateway of this kind behind this one.
            (502, &[(X_GATEWAY_UPSTREAM, "a"), ("x-request-id", ID)], &own, Ending::Upstream(findings::BAD_GATEWAY)),
        ] {
            assert_eq!(of(&reply(status, fields, body)), ending, "{status} {body}");
        }
        let cut = Reply { is_whole: false, ..reply(200, &from, whole) };
        assert_eq!(of(&cut), Ending::Broken(Broken::Cut));
    }

    #[test]
    fn what_a_response_says_is_found_where_it_is() {
        assert_eq!(text(&reply(200, &[], STREAM)), "it works\u{1b}[31m");
        assert_eq!(text(&reply(200, &[], "{\"content\":[{\"text\":\"a\"},{\"text\":\"b\"}]}")), "ab");
        assert_eq!(message(&reply(400, &[], "{\"error\":{\"message\":\"no\"}}")), "no");
        assert_eq!(message(&reply(400, &[], "{\"detail\":\"why\"}")), "why");
        assert_eq!(message(&reply(502, &[], "bad gateway")), "bad gateway");
    }
}
