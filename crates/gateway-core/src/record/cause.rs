//! Why a request failed, as far as its outcome and the words of its error tell. The panel has a diagnosis and a cure
//! for each cause.

use super::outcome::Outcome;
use crate::codes::codes;
use crate::reason::Reason;

codes! {
    /// Why a request failed, most likely.
    Cause {
        /// A web page of a firewall instead of a response.
        WafPage = "waf_page",
        /// The flag of the long context is missing, or wrong for the model.
        Context1m = "context_1m",
        /// The relay has no account for the model.
        PoolClosed = "pool_closed",
        /// The quota is used up, or there were too many requests.
        Quota = "quota",
        /// The relay is at its load limit.
        Saturated = "saturated",
        /// Trouble between the relay and what stands before it.
        Network = "network",
        /// The relay misses something in the request.
        IncompleteRequest = "incomplete_request",
        /// The relay does not like the shape of the request: it takes only what looks like Claude Code's own.
        ShapeRefused = "shape_refused",
        /// The content network before the relay got no sensible response from it.
        Origin520 = "origin_520",
        /// The relay wants thinking to be on.
        ThinkingOff = "thinking_off",
        /// The relay wants another `User-Agent`.
        UserAgent = "user_agent",
        /// A notice about supported countries.
        Country = "country",
        /// The key is refused.
        KeyRefused = "key_refused",
        /// The outbound proxy does not work.
        Proxy = "proxy",
        /// The upstream cannot be reached.
        Unreachable = "unreachable",
        /// The upstream was too slow.
        TooSlow = "too_slow",
        /// The response broke off.
        BrokeOff = "broke_off",
        /// The upstream is overloaded.
        Overloaded = "overloaded",
        /// The upstream does not have this path or model.
        NotFound = "not_found",
        /// The upstream finds a fault in the request.
        BadRequest = "bad_request",
        /// The upstream answered, and that was no message: nothing, a redirect, or something else.
        NoMessage = "no_message",
        /// The gateway refused the request.
        Rejected = "rejected",
        /// A fault of the gateway's.
        Gateway = "gateway",
        /// Anything else.
        Other = "other",
    }
}

/// What is known of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// How the request ended.
    pub outcome: Outcome,
    /// Why the gateway itself says that it failed.
    pub reason: Option<Reason>,
    /// Status of the response.
    pub status: u16,
    /// The type of the error in the response.
    pub error_type: Option<&'a str>,
    /// Its message.
    pub message: Option<&'a str>,
    /// Whether the response is a web page.
    pub is_page: bool,
}

/// The likely cause; `None` for requests that did not fail.
pub fn of(failed: &Failed<'_>) -> Option<Cause> {
    match failed.outcome {
        Outcome::Completed | Outcome::Unreadable | Outcome::ClientAborted | Outcome::ClientStalled => None,
        Outcome::Rejected => Some(Cause::Rejected),
        Outcome::GatewayError => Some(Cause::Gateway),
        _ => Some(
            by_words(failed.status, failed.message)
                .or_else(|| by_words_of_kind(failed))
                .unwrap_or_else(|| by_kind(failed)),
        ),
    }
}

/// Messages that AnyRouter's users report, and those of the API itself.
pub(super) fn by_words(status: u16, message: Option<&str>) -> Option<Cause> {
    let message = message?;
    let lower = message.to_ascii_lowercase();
    let says = |part: &str| lower.contains(part);
    match () {
        () if says("reading 'map'") => Some(Cause::ThinkingOff),
        () if message.contains("H.map") => Some(Cause::UserAgent),
        () if says("1m") && (says("context") || says("上下文")) => Some(Cause::Context1m),
        () if says("invalid claude code request") => Some(Cause::ShapeRefused),
        () if SATURATED.iter().any(|words| says(words)) => Some(Cause::Saturated),
        () if says("country") || says("your region") => Some(Cause::Country),
        () if says("overloaded") => Some(Cause::Overloaded),
        // What a status would say, an error under 200 says in words; and 403 is what relays give for an empty account.
        () if (status < 400 || matches!(status, 402 | 403)) && speaks_of_quota(&lower) => Some(Cause::Quota),
        () => None,
    }
}

/// How relays say that they are full.
pub const SATURATED: [&str; 3] = ["负载已经达到上限", "负载已达上限", "负载压力太大"];
/// How relays speak of credit that is used up.
const QUOTA: [&str; 7] = ["quota", "rate limit", "额度", "余额", "欠费", "insufficient balance", "insufficient credit"];
/// What else is said of too many requests.
const TOO_OFTEN: [&str; 6] = ["too many", "limit", "频繁", "频率", "限流", "slow down"];

/// Whether a message, in small letters, says that credit is used up.
pub fn speaks_of_quota(lower: &str) -> bool {
    QUOTA.iter().any(|words| lower.contains(words))
}

/// Whether a 429 means that the request's shape is refused: AnyRouter's own type of error, and no word of a limit.
pub fn is_shape_429(status: u16, is_new_api: bool, message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    let is_of_limit = speaks_of_quota(&lower) || TOO_OFTEN.iter().any(|words| lower.contains(words));
    status == 429 && is_new_api && !lower.is_empty() && !is_of_limit
}

fn by_words_of_kind(failed: &Failed<'_>) -> Option<Cause> {
    let is_new_api = failed.error_type == Some("new_api_error");
    is_shape_429(failed.status, is_new_api, failed.message?).then_some(Cause::ShapeRefused)
}

fn by_kind(failed: &Failed<'_>) -> Cause {
    match (failed.outcome, failed.reason, failed.error_type) {
        (_, Some(Reason::WebPage), _) => return Cause::WafPage,
        (_, Some(Reason::NoAnswer | Reason::NoMessage), _) => return Cause::NoMessage,
        (_, Some(Reason::Proxy | Reason::ProxyTimeout), _) => return Cause::Proxy,
        (_, Some(Reason::FirstByteTimeout | Reason::FirstEventTimeout | Reason::Stalled | Reason::WriteTimeout), _) => {
            return Cause::TooSlow;
        }
        (_, _, Some("overloaded_error")) => return Cause::Overloaded,
        (_, _, Some("rate_limit_error")) => return Cause::Quota,
        (Outcome::Truncated, ..) => return Cause::BrokeOff,
        (Outcome::Unreachable, ..) => return Cause::Unreachable,
        _ => {}
    }
    match status(failed) {
        520 => Cause::Origin520,
        521..=524 => Cause::Network,
        _ if failed.is_page && failed.status < 500 => Cause::WafPage,
        401 | 403 => Cause::KeyRefused,
        404 => Cause::NotFound,
        402 | 429 => Cause::Quota,
        503 => Cause::PoolClosed,
        529 => Cause::Overloaded,
        500 if failed.error_type == Some("new_api_error") => Cause::IncompleteRequest,
        400..500 => Cause::BadRequest,
        502 | 504 => Cause::Network,
        _ => Cause::Other,
    }
}

/// The status of the response; of an error that came as a success, the one that it would have had.
fn status(failed: &Failed<'_>) -> u16 {
    match failed.error_type {
        Some(kind) if failed.status < 400 => match kind {
            "authentication_error" | "permission_error" => 401,
            "not_found_error" => 404,
            "invalid_request_error" => 400,
            kind => kind.parse().unwrap_or(failed.status),
        },
        _ => failed.status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_cause_that_their_words_or_their_kind_tell() {
        use Outcome::*;
        use {Cause as C, Reason as R};
        for (outcome, reason, status, kind, message, is_page, cause) in [
            (Completed, None, 200, "", "", false, None),
            (ClientAborted, Some(R::ClientGone), 0, "", "", false, None),
            (ClientStalled, Some(R::WriteTimeout), 200, "", "", false, None),
            (Rejected, Some(R::RequestBody), 413, "", "", false, Some(C::Rejected)),
            (GatewayError, Some(R::Internal), 500, "", "", false, Some(C::Gateway)),
            (UpstreamError, Some(R::WebPage), 502, "", "", false, Some(C::WafPage)),
            (UpstreamError, None, 403, "", "Just a moment", true, Some(C::WafPage)),
            (UpstreamError, None, 400, "", "请启用 1m 上下文", false, Some(C::Context1m)),
            (
                UpstreamError,
                None,
                400,
                "",
                "The long context beta (context-1m-2025-08-07) is ...",
                false,
                Some(C::Context1m),
            ),
            (UpstreamError, None, 503, "new_api_error", "closed", false, Some(C::PoolClosed)),
            (UpstreamError, None, 500, "new_api_error", "当前负载已经达到上限", false, Some(C::Saturated)),
            (UpstreamError, None, 500, "new_api_error", "x", false, Some(C::IncompleteRequest)),
            (UpstreamError, None, 404, "", "", false, Some(C::NotFound)),
            (UpstreamError, None, 429, "", "", false, Some(C::Quota)),
            (StreamError, None, 200, "rate_limit_error", "", false, Some(C::Quota)),
            (StreamError, None, 200, "overloaded_error", "", false, Some(C::Overloaded)),
            (UpstreamError, None, 529, "", "", false, Some(C::Overloaded)),
            (UpstreamError, None, 520, "", "unknown error", true, Some(C::Origin520)),
            (UpstreamError, None, 524, "", "a timeout occurred", true, Some(C::Network)),
            (UpstreamError, None, 500, "new_api_error", "invalid claude code request", false, Some(C::ShapeRefused)),
            (UpstreamError, None, 500, "", "Invalid Claude Code request (request id: 1)", false, Some(C::ShapeRefused)),
            (UpstreamError, None, 503, "new_api_error", "上游负载压力太大，请稍后重试", false, Some(C::Saturated)),
            (UpstreamError, None, 403, "new_api_error", "用户额度不足, 剩余额度: ＄0.00", false, Some(C::Quota)),
            (UpstreamError, None, 403, "", "token quota is not enough", false, Some(C::Quota)),
            (UpstreamError, None, 403, "", "no access to this group", false, Some(C::KeyRefused)),
            (UpstreamError, None, 429, "new_api_error", "请求体不符合要求", false, Some(C::ShapeRefused)),
            (UpstreamError, None, 429, "new_api_error", "您的请求过于频繁", false, Some(C::Quota)),
            (UpstreamError, None, 429, "new_api_error", "当前分组上游负载已饱和，额度已用完", false, Some(C::Quota)),
            (UpstreamError, None, 429, "rate_limit_error", "slow down", false, Some(C::Quota)),
            (
                UpstreamError,
                None,
                500,
                "",
                "Cannot read properties of undefined (reading 'map')",
                false,
                Some(C::ThinkingOff),
            ),
            (UpstreamError, None, 500, "", "H.map is not a function", false, Some(C::UserAgent)),
            (UpstreamError, None, 403, "", "Claude is not available in your country", false, Some(C::Country)),
            (UpstreamError, None, 401, "authentication_error", "invalid x-api-key", false, Some(C::KeyRefused)),
            (Unreachable, Some(R::Proxy), 502, "", "", false, Some(C::Proxy)),
            (Unreachable, Some(R::ConnectRefused), 502, "", "", false, Some(C::Unreachable)),
            (Unreachable, Some(R::FirstByteTimeout), 504, "", "", false, Some(C::TooSlow)),
            (Stalled, Some(R::Stalled), 200, "", "", false, Some(C::TooSlow)),
            (Truncated, Some(R::NoMessageStop), 200, "", "", false, Some(C::BrokeOff)),
            (UpstreamError, None, 422, "", "", false, Some(C::BadRequest)),
            (UpstreamError, None, 400, "", "Decode server is overloaded", false, Some(C::Overloaded)),
            (UpstreamError, Some(R::NoAnswer), 502, "", "", false, Some(C::NoMessage)),
            (UpstreamError, Some(R::NoMessage), 202, "", "", false, Some(C::NoMessage)),
            (UpstreamError, Some(R::ErrorReply), 200, "401", "no", false, Some(C::KeyRefused)),
            (UpstreamError, Some(R::ErrorReply), 200, "authentication_error", "no", false, Some(C::KeyRefused)),
            (UpstreamError, Some(R::ErrorReply), 200, "new_api_error", "no quota is left", false, Some(C::Quota)),
            (UpstreamError, Some(R::ErrorReply), 200, "503", "no", false, Some(C::PoolClosed)),
            (StreamError, None, 200, "invalid_request_error", "no", false, Some(C::BadRequest)),
            (Unreadable, Some(R::Unreadable), 200, "", "", false, None),
            (UpstreamError, None, 500, "", "", false, Some(C::Other)),
        ] {
            let some = |text: &'static str| (!text.is_empty()).then_some(text);
            let failed = Failed { outcome, reason, status, error_type: some(kind), message: some(message), is_page };
            assert_eq!(of(&failed), cause, "{failed:?}");
        }
    }

    /// Rows of the request log and the panel go by these.
    #[test]
    fn the_codes_of_causes_stay_as_they_are() {
        let codes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        let pinned = "waf_page context_1m pool_closed quota saturated network incomplete_request shape_refused origin_520 thinking_off user_agent \
            country key_refused proxy unreachable too_slow broke_off overloaded not_found bad_request no_message rejected gateway other";
        assert_eq!(codes.join(" "), pinned);
        assert_eq!(codes, crate::codes::documented("Cause"));
    }
}
