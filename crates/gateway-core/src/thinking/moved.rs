//! What of a conversation differs from where its thinking came from.

use std::sync::Arc;

/// Longest text of [`Moved::what`], in bytes.
const LONGEST_TEXT: usize = 300;

/// Why thinking that comes back may not be valid where the request goes now: what differs from where it came from.
/// Known before the attempt is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The upstream is the same, but not the rules that change `system` and `tools`.
    Rules {
        /// Those that differ; empty if the former ones are not known any more.
        names: Vec<Arc<str>>,
    },
    /// It goes to another upstream, and so to another account.
    Upstream {
        /// The one that the thinking came from.
        from: Arc<str>,
        /// The one that it goes to.
        to: Arc<str>,
        /// The rules that make another `system` or `tools` there; empty if both stay the same.
        names: Vec<Arc<str>>,
    },
    /// The upstream is the same, but the gateway sends another key.
    Account {
        /// That upstream.
        at: Arc<str>,
    },
    /// It moved earlier: thinking of both sides of that move may come back.
    Earlier,
    /// The gateway does not know where the conversation began, and its rules change `system` or `tools`.
    Unseen,
    /// The client itself changed `system` or `tools`; the gateway has no part in it.
    Client,
}

impl Moved {
    /// All codes, in the order of the variants.
    pub const CODES: &[&str] = &["rules", "upstream", "account", "earlier", "unseen", "client"];

    /// Its code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rules { .. } => "rules",
            Self::Upstream { .. } => "upstream",
            Self::Account { .. } => "account",
            Self::Earlier => "earlier",
            Self::Unseen => "unseen",
            Self::Client => "client",
        }
    }

    /// Whether what differs is the gateway's doing, so that the thinking may be invalid because of it.
    pub fn is_by_gateway(&self) -> bool {
        *self != Self::Client
    }

    /// What differs, by name: upstreams, then rules. Bounded; empty if there is nothing to name.
    pub fn what(&self) -> String {
        let mut text = match self {
            Self::Rules { names } => names.join(","),
            Self::Upstream { from, to, names } if names.is_empty() => format!("{from}>{to}"),
            Self::Upstream { from, to, names } => format!("{from}>{to}:{}", names.join(",")),
            Self::Account { at } => at.to_string(),
            Self::Earlier | Self::Unseen | Self::Client => String::new(),
        };
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_says_what_differs() {
        let names = vec![Arc::from("prompt"), Arc::from("tools")];
        let (from, to): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
        let upstream = |names| Moved::Upstream { from: Arc::clone(&from), to: Arc::clone(&to), names };
        let said = |moved: &Moved| format!("{} {}", moved.code(), moved.what());
        assert_eq!(said(&Moved::Rules { names: names.clone() }), "rules prompt,tools");
        assert_eq!(said(&upstream(names)), "upstream a>b:prompt,tools");
        assert_eq!(said(&upstream(Vec::new())), "upstream a>b");
        let long = Moved::Rules { names: vec![Arc::from("é".repeat(LONGEST_TEXT))] };
        assert_eq!(long.what().len(), LONGEST_TEXT, "whole characters only");
        for moved in [upstream(Vec::new()), Moved::Account { at: to.clone() }, Moved::Client, Moved::Earlier, long] {
            assert!(Moved::CODES.contains(&moved.code()));
        }
    }
}
