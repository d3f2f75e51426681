//! Whether a client may send a request again that the gateway refused or could not serve: one table. SDKs and Claude Code
//! go by `x-should-retry` and `retry-after`; without either they repeat a 401 ten times in silence. docs/refusals.md has the
//! same for readers, and tests compare both.

use crate::reason::Reason;
use crate::record::fault::UpstreamFault;

/// What the gateway says of sending a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same request would meet the same refusal (`x-should-retry: false`).
    Never,
    /// After so many seconds (`retry-after`). Over 60, Claude Code stops trying.
    After(u8),
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
            // A firewall shows its page to every program, and a challenge is solved in a browser.
            Self::WebPage => Again::Never,
            // There is room, or time, a moment later.
            Self::HeaderTimeout | Self::BodyMinRate | Self::BodyTimeout => Again::After(1),
            Self::RequestBodiesTotal | Self::BodyShare | Self::Connections => Again::After(1),
            Self::UnsentAnswers | Self::UpstreamFull => Again::After(1),
            // An upstream may be back at any time: who waits longer each time does it no harm.
            Self::Resolve | Self::Connect | Self::ConnectRefused | Self::ConnectTimeout | Self::Tls => Again::Freely,
            Self::Proxy | Self::ProxyTimeout | Self::FirstByteTimeout | Self::FirstEventTimeout => Again::Freely,
            Self::Closed | Self::BadAnswer | Self::NoAnswer | Self::InterimFlood | Self::Internal => Again::Freely,
            // The operator's rule says it in its own headers.
            Self::Rule => Again::Freely,
            // The response is the upstream's, or nobody is there to be told.
            Self::NoMessage | Self::ErrorReply | Self::Stalled | Self::Truncated | Self::NoMessageStop => Again::Freely,
            Self::Incomplete | Self::WriteTimeout | Self::ClientGone | Self::Unreadable => Again::Freely,
        }
    }
}

impl UpstreamFault {
    /// Whether a request that failed so may be sent again.
    pub fn again(&self) -> Again {
        match self {
            // A certificate is what it is, and so is a proxy's password.
            Self::Tls { fault: Some(_), .. } | Self::ProxyAnswer { has_credentials: Some(_), .. } => Again::Never,
            _ => self.reason().map_or(Again::Freely, Reason::again),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a document: the codes in the first column, and what the last one says.
    fn rows(text: &str) -> Vec<(Vec<&str>, &str)> {
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        cells.map(|row| (row[0].split('`').skip(1).step_by(2).collect(), row[row.len() - 1])).collect()
    }

    #[test]
    fn the_documents_say_the_same_of_each_reason() {
        for (text, never, freely) in [
            (include_str!("../../../docs/refusals.md"), "no", "as it likes"),
            (include_str!("../../../docs/refusals.zh-CN.md"), "否", "由客户端决定"),
        ] {
            let rows = rows(text);
            for reason in Reason::ALL {
                let said: Vec<&str> =
                    rows.iter().filter(|(codes, _)| codes.contains(&reason.code())).map(|(_, again)| *again).collect();
                let wanted = match reason.again() {
                    Again::Never => never.to_owned(),
                    Again::After(seconds) => format!("`{seconds}`"),
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

    #[test]
    fn a_bad_certificate_and_a_refused_password_stay_what_they_are() {
        let answer =
            |has_credentials| UpstreamFault::ProxyAnswer { proxy: String::new(), status: 407, has_credentials };
        assert_eq!(answer(Some(false)).again(), Again::Never);
        assert_eq!(answer(None).again(), Again::Freely);
        let tls = |fault| UpstreamFault::Tls { fault, said: String::new() };
        assert_eq!(tls(None).again(), Again::Freely);
        assert_eq!(tls(Some(crate::record::fault::TlsFault::Expired)).again(), Again::Never);
    }
}
