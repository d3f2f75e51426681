//! Why a request failed, as far as its outcome and the words of its error tell. The panel has a diagnosis and a cure for
//! each cause.

use super::Outcome;

/// All causes.
pub const ALL: [&str; 21] = [
    "waf_page",
    "context_1m",
    "pool_closed",
    "quota",
    "saturated",
    "network",
    "incomplete_request",
    "thinking_off",
    "user_agent",
    "country",
    "key_refused",
    "proxy",
    "unreachable",
    "too_slow",
    "broke_off",
    "overloaded",
    "not_found",
    "bad_request",
    "rejected",
    "gateway",
    "other",
];

/// What is known of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// How the request ended.
    pub outcome: Outcome,
    /// The gateway's own short name for what went wrong.
    pub reason: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// The type of the error in the answer.
    pub error_type: Option<&'a str>,
    /// Its message.
    pub message: Option<&'a str>,
    /// Whether the answer is a web page.
    pub is_page: bool,
}

/// The likely cause; `None` for requests that did not fail.
pub fn of(failed: &Failed<'_>) -> Option<&'static str> {
    match failed.outcome {
        Outcome::Completed | Outcome::ClientAborted | Outcome::ClientStalled => None,
        Outcome::Rejected => Some("rejected"),
        Outcome::GatewayError => Some("gateway"),
        _ => Some(by_words(failed).unwrap_or_else(|| by_kind(failed))),
    }
}

/// Messages that AnyRouter's users report, and those of the API itself.
fn by_words(failed: &Failed<'_>) -> Option<&'static str> {
    let message = failed.message?;
    let lower = message.to_ascii_lowercase();
    let says = |part: &str| lower.contains(part);
    match () {
        () if says("reading 'map'") => Some("thinking_off"),
        () if message.contains("H.map") => Some("user_agent"),
        () if says("1m") && (says("context") || says("上下文")) => Some("context_1m"),
        () if says("负载已经达到上限") || says("负载已达上限") => Some("saturated"),
        () if says("country") || says("your region") => Some("country"),
        () => None,
    }
}

fn by_kind(failed: &Failed<'_>) -> &'static str {
    match (failed.outcome, failed.reason, failed.error_type) {
        (_, "web_page", _) => return "waf_page",
        (_, "proxy" | "proxy_timeout", _) => return "proxy",
        (_, "first_byte_timeout" | "stalled" | "write_timeout", _) => return "too_slow",
        (_, _, Some("overloaded_error")) => return "overloaded",
        (_, _, Some("rate_limit_error")) => return "quota",
        (Outcome::Truncated, ..) => return "broke_off",
        (Outcome::Unreachable, ..) => return "unreachable",
        _ => {}
    }
    match failed.status {
        520..=524 => "network",
        _ if failed.is_page && failed.status < 500 => "waf_page",
        401 | 403 => "key_refused",
        404 => "not_found",
        429 => "quota",
        503 => "pool_closed",
        529 => "overloaded",
        500 if failed.error_type == Some("new_api_error") => "incomplete_request",
        400..500 => "bad_request",
        502 | 504 => "network",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_cause_that_their_words_or_their_kind_tell() {
        use Outcome::*;
        for (outcome, reason, status, kind, message, is_page, cause) in [
            (Completed, "", 200, "", "", false, None),
            (ClientAborted, "client_gone", 0, "", "", false, None),
            (ClientStalled, "write_timeout", 200, "", "", false, None),
            (Rejected, "request_body", 413, "", "", false, Some("rejected")),
            (GatewayError, "internal", 500, "", "", false, Some("gateway")),
            (UpstreamError, "web_page", 502, "", "", false, Some("waf_page")),
            (UpstreamError, "", 403, "", "Just a moment", true, Some("waf_page")),
            (UpstreamError, "", 400, "", "请启用 1m 上下文", false, Some("context_1m")),
            (
                UpstreamError,
                "",
                400,
                "",
                "The long context beta (context-1m-2025-08-07) is ...",
                false,
                Some("context_1m"),
            ),
            (UpstreamError, "", 503, "new_api_error", "closed", false, Some("pool_closed")),
            (UpstreamError, "", 500, "new_api_error", "当前负载已经达到上限", false, Some("saturated")),
            (UpstreamError, "", 500, "new_api_error", "x", false, Some("incomplete_request")),
            (UpstreamError, "", 404, "", "", false, Some("not_found")),
            (UpstreamError, "", 429, "", "", false, Some("quota")),
            (StreamError, "", 200, "rate_limit_error", "", false, Some("quota")),
            (StreamError, "", 200, "overloaded_error", "", false, Some("overloaded")),
            (UpstreamError, "", 529, "", "", false, Some("overloaded")),
            (UpstreamError, "", 520, "", "unknown error", true, Some("network")),
            (
                UpstreamError,
                "",
                500,
                "",
                "Cannot read properties of undefined (reading 'map')",
                false,
                Some("thinking_off"),
            ),
            (UpstreamError, "", 500, "", "H.map is not a function", false, Some("user_agent")),
            (UpstreamError, "", 403, "", "Claude is not available in your country", false, Some("country")),
            (UpstreamError, "", 401, "authentication_error", "invalid x-api-key", false, Some("key_refused")),
            (Unreachable, "proxy", 502, "", "", false, Some("proxy")),
            (Unreachable, "connect_refused", 502, "", "", false, Some("unreachable")),
            (Unreachable, "first_byte_timeout", 504, "", "", false, Some("too_slow")),
            (Stalled, "stalled", 200, "", "", false, Some("too_slow")),
            (Truncated, "no_message_stop", 200, "", "", false, Some("broke_off")),
            (UpstreamError, "", 422, "", "", false, Some("bad_request")),
            (UpstreamError, "", 500, "", "", false, Some("other")),
        ] {
            let some = |text: &'static str| (!text.is_empty()).then_some(text);
            let failed = Failed { outcome, reason, status, error_type: some(kind), message: some(message), is_page };
            assert_eq!(of(&failed), cause, "{failed:?}");
            assert!(cause.is_none_or(|cause| ALL.contains(&cause)), "{cause:?}");
        }
    }
}
