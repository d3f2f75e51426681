//! What was lost with a request, and why.

use crate::codes::codes;
use crate::usage::summary::Tokens;

codes! {
    /// Why the cache was written anew.
    Cause {
        /// It had not been used for longer than it lives.
        Idle = "idle",
        /// The request went to another upstream.
        UpstreamChanged = "upstream_changed",
        /// It went to the same upstream with another key, and so to another account.
        KeyChanged = "key_changed",
        /// It asked another model.
        ModelChanged = "model_changed",
        /// Rules made another beginning of what the client had left as it was.
        RulesChanged = "rules_changed",
        /// The client changed its tools.
        ToolsChanged = "tools_changed",
        /// The client changed its system prompt.
        SystemChanged = "system_changed",
        /// The client changed what had been said, or a setting that caches of messages are kept apart by.
        HistoryChanged = "history_changed",
        /// The client had the conversation summarised.
        Compaction = "compaction",
        /// Nothing changed that is seen here: so it is the upstream's doing.
        Unexplained = "unexplained",
    }
}

/// What was lost with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: Cause,
    /// What changed, by name: `a>b`, seconds of seconds, rules. Empty if there is nothing to name.
    pub detail: String,
    /// Tokens that were written although they had been in the cache.
    pub tokens: u64,
}

/// What a request would have used, had it read from the cache what it lost. What lives for an hour stands before the rest.
pub fn without_loss(tokens: &Tokens, lost: u64) -> Tokens {
    let lost = lost.min(tokens.cache_write);
    Tokens {
        cache_write: tokens.cache_write - lost,
        cache_write_1h: tokens.cache_write_1h.saturating_sub(lost),
        cache_read: tokens.cache_read + lost,
        ..*tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_causes_stay_as_they_are() {
        let codes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        let pinned = "idle upstream_changed key_changed model_changed rules_changed tools_changed system_changed \
                      history_changed compaction unexplained";
        assert_eq!(codes.join(" "), pinned);
        assert_eq!(codes, crate::codes::documented("WasteCause"));
    }
}
