//! What attempts say about the upstreams that they were at, once they are over.

use super::cause::{self, Cause};
use super::fault::UpstreamFault;
use super::outcome::Outcome;
use crate::reason::Reason;

/// What an attempt says about its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client got from it what it had asked for.
    Good,
    /// It failed, and would have failed with other requests too.
    Bad,
    /// It refused the request, and no other upstream says whether that was its own fault or the request's.
    Refused,
    /// The request was at fault.
    Request,
    /// Nothing.
    Neutral,
}

/// How one attempt ended, as far as that says whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The upstream did what it was asked for.
    Served,
    /// It failed, whatever the request was.
    Failed,
    /// It refused this request, with this status.
    Refused(u16),
    /// It answered with a status that relays refuse requests with, but fail with too. What it said was not read.
    Unclear(u16),
    /// It answered what says nothing about it.
    Answered,
    /// It had no part in it.
    Nothing,
}

/// An answer that came to its end, or did not.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// How the request ended.
    pub outcome: Outcome,
    /// Why, if the gateway says so.
    pub reason: Option<Reason>,
    /// Status of the response.
    pub status: u16,
    /// The type of the error in it.
    pub error_type: Option<&'a str>,
    /// Its message.
    pub message: Option<&'a str>,
    /// Whether it had begun to be a message before the error came.
    pub has_begun: bool,
    /// Whether the key that the upstream got is the operator's.
    pub is_own_key: bool,
}

impl Sign {
    /// By an attempt that failed before the client had anything of it; `is_own_key`: it was made with the operator's
    /// key.
    pub fn by_fault(fault: &UpstreamFault, is_own_key: bool) -> Self {
        match fault {
            UpstreamFault::QueueFull { .. } | UpstreamFault::QueueTimeout { .. } => Self::Nothing,
            UpstreamFault::KeysRest { .. } | UpstreamFault::KeysOut => Self::Nothing,
            UpstreamFault::Status { status: 500 } => Self::Unclear(500),
            UpstreamFault::Status { status } => by_status(*status, is_own_key),
            UpstreamFault::StreamError { kind } | UpstreamFault::ErrorReply { kind } => by_type(kind, is_own_key),
            _ => Self::Failed,
        }
    }

    /// By an answer that went to the client, or would have.
    pub fn by_answer(answer: &Answer<'_>) -> Self {
        match answer.outcome {
            Outcome::Completed => Self::Served,
            Outcome::Unreadable => Self::Answered,
            Outcome::UpstreamError if answer.reason == Some(Reason::ErrorReply) => by_error(answer),
            Outcome::UpstreamError if answer.reason.is_some() => Self::Failed,
            Outcome::UpstreamError if answer.status == 500 && is_shape_refused(answer) => Self::Refused(500),
            Outcome::UpstreamError => by_status(answer.status, answer.is_own_key),
            // Who has begun to answer a request does not refuse it.
            Outcome::StreamError if answer.has_begun => Self::Failed,
            Outcome::StreamError => by_error(answer),
            Outcome::Truncated | Outcome::Stalled | Outcome::Unreachable => Self::Failed,
            Outcome::ClientAborted | Outcome::ClientStalled | Outcome::Rejected | Outcome::GatewayError => {
                Self::Nothing
            }
        }
    }

    /// The verdict that no other attempt can change.
    pub fn is_settled(self) -> Option<Verdict> {
        match self {
            Self::Served => Some(Verdict::Good),
            Self::Failed => Some(Verdict::Bad),
            Self::Answered | Self::Nothing => Some(Verdict::Neutral),
            Self::Refused(_) | Self::Unclear(_) => None,
        }
    }
}

fn by_status(status: u16, is_own_key: bool) -> Sign {
    match status {
        400 | 404 | 413 | 422 => Sign::Refused(status),
        // The operator's key is refused to all clients alike; another one is its sender's business.
        401..=403 if is_own_key => Sign::Failed,
        // 429: it is the key that is used up, or it means that it wants another request.
        ..=499 | 501 | 505 => Sign::Answered,
        _ => Sign::Failed,
    }
}

/// By an error under a status that is a success.
fn by_error(answer: &Answer<'_>) -> Sign {
    let error_type = answer.error_type.unwrap_or_default();
    let is_clear = matches!(error_type, "overloaded_error" | "rate_limit_error" | "timeout_error");
    match by_type(error_type, answer.is_own_key) {
        // Whatever words it has for it.
        sign if is_clear => sign,
        _ if is_shape_refused_in_words(answer.message) => Sign::Refused(500),
        // There is nothing more to be read.
        Sign::Unclear(_) => Sign::Failed,
        sign => sign,
    }
}

/// By its type: the API's errors have a status each, and other types are one.
fn by_type(error_type: &str, is_own_key: bool) -> Sign {
    let status = match error_type {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "new_api_error" => return Sign::Unclear(500),
        other => other.parse().unwrap_or_default(),
    };
    match status {
        400..=404 | 413 | 422 | 429 => by_status(status, is_own_key),
        _ => Sign::Failed,
    }
}

/// Whether an error with status 500 is about the request: relays have no better status for one that they do not like.
fn is_shape_refused(answer: &Answer<'_>) -> bool {
    let words = cause::by_words(answer.status, answer.message);
    let is_saturated = matches!(words, Some(Cause::Saturated | Cause::Overloaded));
    let is_of_request = matches!(answer.error_type, Some("new_api_error" | "invalid_request_error"));
    is_shape_refused_in_words(answer.message) || is_of_request && !is_saturated
}

fn is_shape_refused_in_words(message: Option<&str>) -> bool {
    let lower = message.unwrap_or_default().to_ascii_lowercase();
    matches!(
        cause::by_words(500, message),
        Some(Cause::ThinkingOff | Cause::UserAgent | Cause::Context1m | Cause::ShapeRefused)
    ) || ["invalid request", "bad request"].iter().any(|words| lower.contains(words))
}

/// The verdict on an attempt of which `sign` is known, where `last` was the last one of the request and all `asked`
/// the signs of each of them, the last one included. A refusal that all of at least two upstreams gave is the request's
/// own fault, and so is one with a status that is no failure (`is_failure`: `failover.retry_on` has it). One that
/// another upstream did not share is its upstream's.
pub fn verdict(sign: Sign, asked: &[Sign], last: Sign, is_failure: impl Fn(u16) -> bool) -> Verdict {
    if let Some(settled) = sign.is_settled() {
        return settled;
    }
    let is_same = |sign: &Sign| match (sign, last) {
        (Sign::Refused(status) | Sign::Unclear(status), Sign::Refused(last)) => *status == last,
        _ => false,
    };
    match (sign, last) {
        _ if asked.len() > 1 && asked.iter().all(is_same) => Verdict::Request,
        (_, Sign::Served) => Verdict::Bad,
        (Sign::Refused(status), _) if !is_failure(status) => Verdict::Request,
        // The last one found a fault with the request, in whatever words: so may this one have done.
        (Sign::Refused(_), _) | (Sign::Unclear(_), Sign::Refused(_)) => Verdict::Refused,
        _ => Verdict::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PLAIN: Answer<'_> = Answer {
        outcome: Outcome::UpstreamError,
        reason: None,
        status: 200,
        error_type: None,
        message: None,
        has_begun: false,
        is_own_key: false,
    };

    fn status(status: u16, error_type: &'static str, message: &'static str) -> Sign {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        Sign::by_answer(&Answer { status, error_type: some(error_type), message: some(message), ..PLAIN })
    }

    #[test]
    fn success_is_what_the_client_got() {
        use Outcome as O;
        for (outcome, reason, sign) in [
            (O::Completed, None, Sign::Served),
            (O::Unreadable, Some(Reason::Unreadable), Sign::Answered),
            (O::UpstreamError, Some(Reason::ErrorReply), Sign::Failed),
            (O::UpstreamError, Some(Reason::NoMessage), Sign::Failed),
            (O::Truncated, Some(Reason::NoMessageStop), Sign::Failed),
            (O::Stalled, Some(Reason::Stalled), Sign::Failed),
            (O::StreamError, None, Sign::Failed),
            (O::Unreachable, Some(Reason::ConnectRefused), Sign::Failed),
            (O::UpstreamError, Some(Reason::WebPage), Sign::Failed),
            (O::ClientAborted, Some(Reason::ClientGone), Sign::Nothing),
            (O::ClientStalled, Some(Reason::WriteTimeout), Sign::Nothing),
            (O::Rejected, Some(Reason::Header), Sign::Nothing),
            (O::GatewayError, Some(Reason::Internal), Sign::Nothing),
        ] {
            assert_eq!(Sign::by_answer(&Answer { outcome, reason, ..PLAIN }), sign, "{outcome:?} {reason:?}");
        }
    }

    #[test]
    fn refusals_are_told_from_failures_by_status_and_words() {
        for refused in [400, 404, 413, 422] {
            assert_eq!(status(refused, "", ""), Sign::Refused(refused));
        }
        for outage in [502, 503, 504, 520, 521, 522, 523, 524, 525, 529, 598] {
            assert_eq!(status(outage, "new_api_error", "invalid claude code request"), Sign::Failed, "{outage}");
        }
        for (error_type, message) in [
            ("new_api_error", "x"),
            ("", "Invalid Claude Code request"),
            ("api_error", "Cannot read properties of undefined (reading 'map')"),
            ("api_error", "请启用 1m 上下文"),
            ("invalid_request_error", "max_tokens"),
        ] {
            assert_eq!(status(500, error_type, message), Sign::Refused(500), "{error_type} {message}");
        }
        for (error_type, message) in [
            ("", ""),
            ("api_error", "Internal server error"),
            ("new_api_error", "当前分组上游负载已饱和，当前负载已经达到上限"),
        ] {
            assert_eq!(status(500, error_type, message), Sign::Failed, "{error_type} {message}");
        }
        for nothing in [401, 402, 403, 405, 408, 418, 429, 501, 505] {
            assert_eq!(status(nothing, "", ""), Sign::Answered, "{nothing}");
        }
    }

    #[test]
    fn errors_in_a_stream_count_as_their_status_would() {
        let in_stream = |error_type| {
            Sign::by_answer(&Answer { outcome: Outcome::StreamError, error_type: Some(error_type), ..PLAIN })
        };
        assert_eq!(in_stream("invalid_request_error"), Sign::Refused(400));
        assert_eq!(in_stream("overloaded_error"), Sign::Failed);
        assert_eq!(in_stream("api_error"), Sign::Failed);
        assert_eq!(in_stream("rate_limit_error"), Sign::Answered, "the key is used up");
        let busy = Answer { error_type: Some("overloaded_error"), message: Some("bad request queue is full"), ..PLAIN };
        assert_eq!(Sign::by_answer(&Answer { outcome: Outcome::StreamError, ..busy }), Sign::Failed);
        assert_eq!(in_stream("new_api_error"), Sign::Failed);
        assert_eq!(in_stream("authentication_error"), Sign::Answered, "of the client's own key");
        assert_eq!(in_stream("422"), Sign::Refused(422));
        let later = Answer { error_type: Some("invalid_request_error"), has_begun: true, ..PLAIN };
        let later = Sign::by_answer(&Answer { outcome: Outcome::StreamError, ..later });
        assert_eq!(later, Sign::Failed, "once it has begun, it has accepted the request");
        for kind in ["invalid_request_error", "new_api_error", "529"].map(str::to_owned) {
            let sign = Sign::by_fault(&UpstreamFault::ErrorReply { kind: kind.clone() }, false);
            assert_eq!(sign, Sign::by_fault(&UpstreamFault::StreamError { kind: kind.clone() }, false), "{kind}");
        }
    }

    #[test]
    fn only_the_operators_own_key_is_the_upstreams_business() {
        for refused in [401, 402, 403] {
            let fault = UpstreamFault::Status { status: refused };
            assert_eq!(Sign::by_fault(&fault, true), Sign::Failed, "{refused}");
            assert_eq!(Sign::by_fault(&fault, false), Sign::Answered, "{refused}");
        }
    }

    #[test]
    fn faults_before_an_answer_are_failures_unless_the_gateway_made_them() {
        let within = Duration::from_secs(1);
        for fault in [
            UpstreamFault::ConnectRefused,
            UpstreamFault::FirstByteTimeout { within },
            UpstreamFault::Closed,
            UpstreamFault::NoAnswer,
            UpstreamFault::Status { status: 503 },
        ] {
            assert_eq!(Sign::by_fault(&fault, false), Sign::Failed, "{fault}");
        }
        for (fault, sign) in [
            (UpstreamFault::QueueTimeout { max_in_flight: 1, within }, Sign::Nothing),
            (UpstreamFault::Status { status: 429 }, Sign::Answered),
            (UpstreamFault::Status { status: 500 }, Sign::Unclear(500)),
            (UpstreamFault::Status { status: 422 }, Sign::Refused(422)),
        ] {
            assert_eq!(Sign::by_fault(&fault, false), sign, "{fault}");
        }
    }

    #[test]
    fn what_all_refuse_speaks_against_the_request_and_what_one_refuses_against_that_one() {
        use Sign::*;
        use Verdict as V;
        for (asked, verdicts) in [
            (vec![Served], vec![V::Good]),
            (vec![Failed], vec![V::Bad]),
            (vec![Answered], vec![V::Neutral]),
            (vec![Refused(400)], vec![V::Refused]),
            (vec![Refused(413)], vec![V::Request]),
            (vec![Refused(400), Refused(400)], vec![V::Request; 2]),
            (vec![Unclear(500), Unclear(500), Refused(500)], vec![V::Request; 3]),
            (vec![Unclear(500), Failed], vec![V::Bad; 2]),
            (vec![Unclear(500), Refused(400)], vec![V::Refused; 2]),
            (vec![Unclear(500), Answered], vec![V::Bad, V::Neutral]),
            (vec![Unclear(500), Served], vec![V::Bad, V::Good]),
            (vec![Refused(400), Served], vec![V::Bad, V::Good]),
            (vec![Refused(400), Nothing], vec![V::Refused, V::Neutral]),
            (vec![Refused(400), Failed], vec![V::Refused, V::Bad]),
            (vec![Refused(404), Refused(400)], vec![V::Refused; 2]),
            (vec![Failed, Refused(500)], vec![V::Bad, V::Refused]),
            (vec![Failed, Unclear(500), Refused(500)], vec![V::Bad, V::Refused, V::Refused]),
            (vec![Answered, Unclear(500), Served], vec![V::Neutral, V::Bad, V::Good]),
        ] {
            let last = asked[asked.len() - 1];
            let all: Vec<Verdict> =
                asked.iter().map(|&sign| verdict(sign, &asked, last, |status| status != 413)).collect();
            assert_eq!(all, verdicts, "{asked:?}");
        }
    }
}
