//! A block of a prompt, without what it says.

use crate::rules::body::Said;

/// Most blocks that are looked at, of messages, of `system` and of `tools` each: what follows is not told.
pub const MOST_BLOCKS: usize = 4_096;

/// What a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// The block of `system` that says who asks, which the API takes out.
    Attribution,
    /// A picture.
    Image,
    /// A document.
    Document,
    /// The call of a tool.
    ToolUse,
    /// What a tool returned.
    ToolResult,
    /// Thinking.
    Thinking,
    /// Thinking that only the API can read.
    RedactedThinking,
    /// The definition of a tool.
    Tool,
    /// Any other.
    #[default]
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Attribution,
        Self::Image,
        Self::Document,
        Self::ToolUse,
        Self::ToolResult,
        Self::Thinking,
        Self::RedactedThinking,
        Self::Tool,
        Self::Other,
    ];

    /// Its name: that of the API's `type`, where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Attribution => "attribution",
            Self::Image => "image",
            Self::Document => "document",
            Self::ToolUse => "tool_use",
            Self::ToolResult => "tool_result",
            Self::Thinking => "thinking",
            Self::RedactedThinking => "redacted_thinking",
            Self::Tool => "tool",
            Self::Other => "other",
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The user, or a tool.
    #[default]
    User,
    /// The model.
    Assistant,
    /// The program, in the middle of a conversation.
    System,
}

/// How long what is cached up to a mark is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
}

impl Mark {
    /// The same in seconds.
    pub fn seconds(self) -> u32 {
        match self {
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
        }
    }
}

/// A block, or a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: Kind,
    /// Whether the cache is to be written up to here.
    pub mark: Option<Mark>,
    /// What it says as far as built-in rules ask for that; only of `system`.
    pub said: Option<Said>,
    /// How many bytes it has, as it is written.
    pub bytes: u32,
    /// Stands for what it says, wherever a mark is.
    pub digest: u64,
}

/// One digest after another.
pub(crate) fn chained(digest: u64, next: u64) -> u64 {
    (digest.rotate_left(23) ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ next
}
