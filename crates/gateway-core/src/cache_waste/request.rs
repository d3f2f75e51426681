//! What of a request decides whether it lost anything.

use super::checkpoint::{Cached, Checkpoint, Lifetime, Place, Prefix, Reply};
use crate::prompt_shape::{Block, Mark, PromptShape, Role};
use std::sync::Arc;

/// Most replies of the model that are remembered of a conversation.
const MOST_REPLIES: usize = 512;
/// Shorter ones are said more than once, in bytes.
const SHORTEST_REPLY: u32 = 80;

/// What the upstream told of its cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Tokens that were read from it.
    pub read: u64,
    /// Tokens that were written to it.
    pub written: u64,
    /// How many of these live for five minutes, and how many for an hour, if it told.
    pub told: Option<[u64; 2]>,
}

/// What a prompt shows of itself, as it came or as it went out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its digests.
    pub prefix: Prefix,
    /// What stands for its messages up to each of their blocks.
    pub history: Vec<u64>,
}

impl Shown {
    /// That of a prompt of this shape.
    pub fn of(shape: &PromptShape) -> Self {
        let history: Vec<u64> = shape.history_digests().collect();
        let prefix = Prefix {
            tools: shape.tools_digest(),
            system: shape.system_digest(),
            settings: shape.settings_digest(),
            history: history.last().copied().unwrap_or_default(),
            blocks: u32::try_from(history.len()).unwrap_or(u32::MAX),
        };
        Self { prefix, history }
    }

    /// Whether its messages begin with those of such a prompt.
    pub(super) fn begins_with(&self, earlier: &Prefix) -> bool {
        let last = (earlier.blocks as usize).checked_sub(1).and_then(|last| self.history.get(last));
        last == Some(&earlier.history)
    }
}

/// What the model has said in a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// The place of the first block, among all of them.
    first: Option<u32>,
    /// The places of those that are long enough to be said once only.
    long: Vec<(u32, Reply)>,
}

impl Replies {
    /// Those in a prompt of this shape.
    pub fn of(shape: &PromptShape) -> Self {
        let all = || (0..).zip(shape.history().zip(shape.history_digests()));
        let by_model = || all().filter(|(_, ((role, _), _))| *role == Role::Assistant);
        let long = by_model().filter(|(_, ((_, block), _))| block.bytes >= SHORTEST_REPLY);
        let reply =
            |(at, ((_, block), history)): (u32, ((Role, &Block), u64))| (at, Reply { said: block.digest, history });
        Self { first: by_model().next().map(|(at, _)| at), long: long.map(reply).collect() }
    }

    /// Whether there are any in the first so many blocks.
    pub(super) fn are_within(&self, blocks: u32) -> bool {
        self.first.is_some_and(|first| first < blocks)
    }

    /// Those behind so many blocks.
    pub(super) fn behind(&self, blocks: u32) -> impl Iterator<Item = &Reply> {
        self.long.iter().filter(move |(at, _)| *at >= blocks).map(|(_, reply)| reply)
    }

    /// The newest.
    fn newest(&self) -> Vec<Reply> {
        let from = self.long.len().saturating_sub(MOST_REPLIES);
        self.long[from..].iter().map(|(_, reply)| *reply).collect()
    }
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it began, in milliseconds since 1970.
    pub began_ms: i64,
    /// When its response began: its prompt was read by then.
    pub answered_ms: i64,
    /// Where it went.
    pub place: Place,
    /// The model, without what relays put around its name.
    pub model: Arc<str>,
    /// Names of the rules that applied.
    pub rules: Vec<Arc<str>>,
    /// Whether it makes the summary of a conversation.
    pub is_compaction: bool,
    /// Whether its conversation begins with such a summary.
    pub is_compacted: bool,
    /// Whether the client says that something of it was summarised since the last request.
    pub was_just_compacted: bool,
    /// What its prompt shows as it came.
    pub came: Shown,
    /// The same as it went out; `None` if rules changed nothing.
    pub sent: Option<Shown>,
    /// What the model has said in it.
    pub replies: Replies,
    /// The marks of `tools` and `system`, and of messages.
    pub marks: (Option<Mark>, Option<Mark>),
    /// What the upstream told of its cache.
    pub cache: CacheUse,
}

impl Request {
    /// The marks of the prompt that went out.
    pub fn marks_of(shape: &PromptShape) -> (Option<Mark>, Option<Mark>) {
        (shape.head_mark(), shape.history_mark())
    }

    /// As it went out.
    pub(super) fn went_out(&self) -> &Shown {
        self.sent.as_ref().unwrap_or(&self.came)
    }

    /// What it left in the cache; `None` if that is nothing.
    pub fn left(&self) -> Option<Checkpoint> {
        let tokens = self.cache.read + self.cache.written;
        (tokens > 0).then(|| Checkpoint {
            used_ms: self.answered_ms,
            place: self.place.clone(),
            model: Arc::clone(&self.model),
            prompt: Cached { came: self.came.prefix, sent: self.went_out().prefix, lifetime: self.lifetime() },
            tokens,
            rules: self.rules.clone(),
            replies: Some(self.replies.newest()),
            is_superseded: false,
            detour: None,
        })
    }

    /// How long that lives: as long as the upstream told, or else as was asked.
    fn lifetime(&self) -> Lifetime {
        const FIVE_MINUTES: u32 = 300;
        const HOUR: u32 = 3_600;
        let asked = |mark: Option<Mark>| mark.map_or(FIVE_MINUTES, Mark::seconds);
        let (head, history) = self.marks;
        let (head_s, history_s) = (asked(head.or(history)), asked(history.or(head)));
        match self.cache.told.map(|told| told.map(|tokens| tokens > 0)) {
            Some([false, true]) => Lifetime { head_s: HOUR, history_s: HOUR },
            Some([true, true]) => Lifetime { head_s: HOUR, history_s: FIVE_MINUTES },
            // What was written is the end of the prompt: it tells of the head only if that has the same mark.
            Some([true, false]) if history_s == HOUR => Lifetime::SHORT,
            Some([true, false]) => Lifetime { head_s, history_s: FIVE_MINUTES },
            Some([false, false]) | None => Lifetime { head_s, history_s },
        }
    }
}
