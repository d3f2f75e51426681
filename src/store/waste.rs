//! What was written to prompt caches although it had been there, and what rows tell of what is in them.

use super::row::dollars;
use gateway_core::cache_waste::Checkpoint;
use serde::Serialize;

/// By what sessions are ordered, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WasteOrder {
    /// What it cost.
    Cost,
    /// Tokens.
    Tokens,
    /// Requests.
    Requests,
    /// The last one.
    Last,
}

impl WasteOrder {
    /// All of them; the first is the one if none is asked for.
    pub(crate) const ALL: [Self; 4] = [Self::Cost, Self::Tokens, Self::Requests, Self::Last];

    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Last => "last",
        }
    }
}

/// What some requests wrote although it had been there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Wasted {
    /// The requests.
    pub requests: u64,
    /// The tokens.
    pub tokens: u64,
    /// What that cost in dollars, of those that have a price; `None` if there are some, and none has one.
    pub usd: Option<f64>,
}

impl Wasted {
    /// Of so many requests and tokens; `nano` is what those with a price cost, if there are any.
    pub(super) fn new(requests: u64, tokens: u64, nano: Option<u64>) -> Self {
        Self { requests, tokens, usd: nano.or((requests == 0).then_some(0)).map(dollars) }
    }
}

/// What was lost for one cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WastedBy {
    /// The cause.
    pub cause: String,
    /// What was lost.
    #[serde(flatten)]
    pub wasted: Wasted,
}

/// What was lost in one session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WastedIn {
    /// The session.
    pub session: String,
    /// What was lost.
    #[serde(flatten)]
    pub wasted: Wasted,
    /// The cause of most of it.
    pub main_cause: String,
    /// When the last request began that lost something, in milliseconds since 1970.
    pub last_at_ms: i64,
}

/// What was lost in some time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WasteReport {
    /// Its beginning.
    pub from_ms: i64,
    /// Its end, which is not in it.
    pub to_ms: i64,
    /// All together.
    pub total: Wasted,
    /// By cause, the dearest first.
    pub causes: Vec<WastedBy>,
    /// By session.
    pub sessions: Vec<WastedIn>,
}

/// What a request of the log left in the cache.
#[derive(Clone, Debug)]
pub(crate) struct LeftInCache {
    /// Its session.
    pub session: String,
    /// The sub-agent that made it.
    pub agent: Option<String>,
    /// What it left.
    pub checkpoint: Checkpoint,
}
