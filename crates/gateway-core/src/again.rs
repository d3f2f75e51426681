//! Whether a client may send a request again that the gateway refused or could not serve: one table. SDKs and Claude Code
//! go by `x-should-retry` and `retry-after`; without either they repeat a 401 ten times in silence. docs/refusals.md has the
//! same for readers, and tests compare both.

use crate::reason::Reason;
use crate::record::fault::UpstreamFault;
use std::time::Duration;

/// A name that does not exist may be one that a network, or a proxy program, knows again in a moment; after this time
/// it is one that is misspelt, or gone.
pub const GONE: Duration = Duration::from_secs(30);

/// What the gateway says of sending a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same request would meet the same refusal (`x-should-retry: false`).
    Never,
    /// After so many seconds (`retry-after`). Over 60, Claude Code stops trying.
    After(u32),
    /// What the refusal itself knows: when, and whether it is in vain before (`team::refusal`).
    Told,
    /// Nothing: it may, by its own pauses, which grow.
    Freely,
}

impl Reason {
    /// Whether a request that is refused for it, or fails with it, may be sent again.
    pub fn again(self) -> Again {
        match self {
            // The same bytes break the same rule.
            Self::NotHttp | Self::RequestLine | Self::LineEnd | Self::Method | Self::Version => Again::Never,
            Self::Target | Self::Header | Self::Host | Self::Connection | Self::ContentLength => Again::Never,
            Self::TransferEncoding | Self::Framing | Self::Chunked | Self::Expect => Again::Never,
            Self::TargetBytes | Self::HeaderBytes | Self::HeaderCount | Self::RequestBody => Again::Never,
            // Somebody has to change something first: a key, a route, a setting.
            Self::UnknownKey | Self::CrossSite | Self::PanelKey | Self::ServiceWorker => Again::Never,
            // Somebody has to do something about the token, or take another one.
            Self::TokenMissing | Self::TokenUnknown | Self::TokenExpired | Self::TokenRevoked => Again::Never,
            Self::TokenSuspended | Self::TokenAddress | Self::TokenModel | Self::TokenUpstream => Again::Never,
            Self::TokenExposed => Again::Never,
            // It depends on when the limit begins again, and on whether it does.
            Self::LimitUnpriced | Self::LimitTotal => Again::Never,
            Self::LimitRate | Self::LimitPlaces | Self::LimitSessions | Self::LimitHeld | Self::LimitUsed => {
                Again::Told
            }
            Self::LimitLedger => Again::After(5),
            // As long as unknown ones count.
            Self::TokenGuesses => Again::After(60),
            // A firewall shows its page to every program, and a challenge is solved in a browser.
            Self::WebPage => Again::Never,
            // Somebody has to see to the keys.
            Self::KeysOut => Again::Never,
            // There is room, or time, a moment later.
            Self::HeaderTimeout | Self::BodyMinRate | Self::BodyTimeout => Again::After(1),
            Self::RequestBodiesTotal | Self::BodyShare | Self::Connections => Again::After(1),
            Self::UnsentAnswers | Self::UpstreamFull => Again::After(1),
            // An upstream may be back at any time: who waits longer each time does it no harm.
            Self::Resolve | Self::Connect | Self::ConnectRefused | Self::ConnectTimeout | Self::Tls => Again::Freely,
            Self::Proxy | Self::ProxyTimeout | Self::FirstByteTimeout | Self::FirstEventTimeout => Again::Freely,
            Self::Closed | Self::BadAnswer | Self::NoAnswer | Self::InterimFlood | Self::Internal => Again::Freely,
            // The fault says when.
            Self::KeysRest => Again::Freely,
            // The operator's rule says it in its own headers.
            Self::Rule => Again::Freely,
            // The response is the upstream's, or nobody is there to be told.
            Self::NoMessage | Self::ErrorReply | Self::Stalled | Self::Truncated | Self::NoMessageStop => Again::Freely,
            Self::Incomplete | Self::WriteTimeout | Self::ClientGone | Self::Unreadable => Again::Freely,
        }
    }
}

impl Again {
    /// The same, if there are `others` that may serve the request: it is senseless only if it is so for each of them.
    pub fn with_others(self, mut others: impl Iterator<Item = Self>) -> Self {
        match self {
            Self::Never if others.any(|other| other != Self::Never) => Self::Freely,
            own => own,
        }
    }
}

impl UpstreamFault {
    /// Whether a request that failed so may be sent again. What may be over in a moment is no reason to end an agent's
    /// work: a program that is started anew refuses connections, closes them, and answers 502 to 504.
    pub fn again(&self) -> Again {
        match self {
            // Somebody has to change something first: a certificate, a proxy's password or its rules, a name.
            Self::Tls { fault: Some(fault), .. } if fault.is_of_certificate() => Again::Never,
            Self::Proxy { refusal: Some(_), .. } => Again::Never,
            Self::ProxyAnswer { has_credentials: Some(_), .. } | Self::ProxyAnswer { status: 403, .. } => Again::Never,
            Self::Resolve { absent: Some(absent), .. } | Self::Proxy { absent: Some(absent), .. } if *absent > GONE => {
                Again::Never
            }
            // Before that it would be refused again, however long it takes.
            Self::KeysRest { within } => {
                Again::After(u32::try_from(within.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
            }
            _ => self.reason().map_or(Again::Freely, Reason::again),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fault::{ProxyRefusal, TlsFault};

    /// The rows of a document: the codes in the first column, and what the last one says.
    fn rows(text: &str) -> Vec<(Vec<&str>, &str)> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        cells.map(|row| (row[0].split('`').skip(1).step_by(2).collect(), row[row.len() - 1])).collect()
    }

    #[test]
    fn the_documents_say_the_same_of_each_reason() {
        for (text, never, told, freely) in [
            (include_str!("../../../docs/refusals.md"), "no", "when it says", "as it likes"),
            (include_str!("../../../docs/refusals.zh-CN.md"), "否", "按响应所述", "由客户端决定"),
        ] {
            let rows = rows(text);
            for reason in Reason::ALL {
                let said: Vec<&str> =
                    rows.iter().filter(|(codes, _)| codes.contains(&reason.code())).map(|(_, again)| *again).collect();
                let wanted = match reason.again() {
                    Again::Never => never.to_owned(),
                    Again::After(seconds) => format!("`{seconds}`"),
                    Again::Told => told.to_owned(),
                    Again::Freely => freely.to_owned(),
                };
                assert_eq!(said, [wanted], "{}", reason.code());
            }
        }
    }

    #[test]
    fn no_pause_is_one_that_ends_the_retries() {
        assert!(Reason::ALL.iter().all(|reason| !matches!(reason.again(), Again::After(0 | 61..))));
    }

    /// What is told apart further than by its reason, by the code that the documents have for it.
    fn kinds() -> Vec<(&'static str, UpstreamFault)> {
        use TlsFault as T;
        use UpstreamFault as F;
        let tls = |fault| F::Tls { fault, said: String::new() };
        let proxy = |refusal, absent| F::Proxy { said: String::new(), refusal, absent };
        let answer = |status, has_credentials| F::ProxyAnswer { proxy: String::new(), status, has_credentials };
        let name = |absent| F::Resolve { said: String::new(), host: None, absent };
        let (gone, just_now) = (Some(GONE + Duration::from_millis(1)), Some(GONE));
        vec![
            ("tls.expired", tls(Some(T::Expired))),
            ("tls.not_yet_valid", tls(Some(T::NotYetValid))),
            ("tls.other_name", tls(Some(T::OtherName))),
            ("tls.unknown_issuer", tls(Some(T::UnknownIssuer))),
            ("tls.self_signed", tls(Some(T::SelfSigned))),
            ("tls.invalid", tls(Some(T::Invalid))),
            ("tls.not_tls", tls(Some(T::NotTls))),
            ("tls", tls(None)),
            ("proxy.credentials", proxy(Some(ProxyRefusal::Credentials), None)),
            ("proxy.forbidden", proxy(Some(ProxyRefusal::Forbidden), None)),
            ("proxy.certificate", proxy(Some(ProxyRefusal::Certificate), None)),
            ("proxy", proxy(None, None)),
            ("proxy", proxy(None, just_now)),
            ("proxy.absent", proxy(None, gone)),
            ("proxy_answer.401", answer(401, Some(true))),
            ("proxy_answer.403", answer(403, None)),
            ("proxy_answer.407", answer(407, Some(false))),
            ("proxy_answer.407", answer(407, Some(true))),
            ("proxy", answer(502, None)),
            ("resolve", name(None)),
            ("resolve", name(just_now)),
            ("resolve.absent", name(gone)),
        ]
    }

    #[test]
    fn the_documents_say_the_same_of_what_stays_as_it_is() {
        for (text, never, freely) in [
            (include_str!("../../../docs/refusals.md"), "no", "as it likes"),
            (include_str!("../../../docs/refusals.zh-CN.md"), "否", "由客户端决定"),
        ] {
            let rows = rows(text);
            for (code, fault) in kinds() {
                let said: Vec<&str> =
                    rows.iter().filter(|(codes, _)| codes.contains(&code)).map(|(_, again)| *again).collect();
                let wanted = if fault.again() == Again::Never { never } else { freely };
                assert_eq!(said, [wanted], "{code}: {fault:?}");
            }
        }
    }

    #[test]
    fn a_certificate_a_refusing_proxy_and_a_name_that_is_gone_are_no_use_and_all_else_is() {
        let never = ["tls.", "proxy.", "proxy_answer.", "resolve."];
        for (code, fault) in kinds() {
            let is_never = never.iter().any(|start| code.starts_with(start)) && code != "tls.not_tls";
            assert_eq!(fault.again() == Again::Never, is_never, "{code}: {fault:?}");
        }
        let within = Duration::from_secs(1);
        for fault in [
            UpstreamFault::ConnectRefused,
            UpstreamFault::ConnectTimeout { within },
            UpstreamFault::Connect { said: String::new() },
            UpstreamFault::ProxyTimeout { said: String::new() },
            UpstreamFault::FirstByteTimeout { within },
            UpstreamFault::FirstEventTimeout { within },
            UpstreamFault::WriteTimeout,
            UpstreamFault::Closed,
            UpstreamFault::BadAnswer,
            UpstreamFault::NoAnswer,
            UpstreamFault::Stalled { within },
            UpstreamFault::Truncated,
            UpstreamFault::Status { status: 502 },
            UpstreamFault::Status { status: 503 },
            UpstreamFault::Status { status: 504 },
        ] {
            assert_eq!(fault.again(), Again::Freely, "{fault:?}");
        }
    }

    #[test]
    fn of_several_upstreams_each_has_to_be_no_use() {
        use Again::{After, Freely, Never};
        for (own, others, told) in [
            (Never, vec![], Never),
            (Never, vec![Never, Never], Never),
            (Never, vec![Never, Freely], Freely),
            (Never, vec![After(1)], Freely),
            (Freely, vec![Never], Freely),
            (After(1), vec![Never, Freely], After(1)),
        ] {
            assert_eq!(own.with_others(others.iter().copied()), told, "{own:?} {others:?}");
        }
    }
}
