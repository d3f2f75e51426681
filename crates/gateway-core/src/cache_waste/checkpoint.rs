//! What a request left in the cache.

use std::sync::Arc;

/// Where a cache is: with an account of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// What the key is called that the request went out with, or else the fingerprint of the client's own.
    pub key: Arc<str>,
}

/// Digests of what a prompt begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Of its tools; 0 without any.
    pub tools: u64,
    /// Of its system prompt; 0 without one.
    pub system: u64,
    /// Of the settings that caches of messages are kept apart by.
    pub settings: u64,
    /// Of all of its messages.
    pub history: u64,
    /// How many blocks these have.
    pub blocks: u32,
}

/// How long a cache lives after it was used, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// What there is of tools and system.
    pub head_s: u32,
    /// What there is of messages.
    pub history_s: u32,
}

impl Lifetime {
    /// Five minutes, where nobody asks for more.
    pub const SHORT: Self = Self { head_s: 300, history_s: 300 };
}

/// What of a prompt is in the cache, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The prompt as it came.
    pub came: Prefix,
    /// The prompt as it went out.
    pub sent: Prefix,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Something that the model has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Stands for what it is.
    pub said: u64,
    /// Stands for all messages up to it.
    pub history: u64,
}

/// What a request left in the cache.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// When it was used last, in milliseconds since 1970: when the upstream had read the prompt.
    pub used_ms: i64,
    /// Where it is.
    pub place: Place,
    /// For which model, without what relays put around its name.
    pub model: Arc<str>,
    /// What it is.
    pub prompt: Cached,
    /// Tokens of it that are in the cache: up to the last mark.
    pub tokens: u64,
    /// Names of the rules that applied.
    pub rules: Vec<Arc<str>>,
    /// What the model has said in it, the newest; unknown of what was read from the log.
    pub replies: Option<Vec<Reply>>,
    /// Whether a later request went on with it: what that one left is more.
    pub is_superseded: bool,
    /// Where a later request went on with it that left nothing in a cache.
    pub detour: Option<Place>,
}
