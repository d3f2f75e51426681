//! Preserved thinking: what is done about thinking that comes back where it does not fit any more.

use crate::config::source::message::Message;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::usage::pricing::model_name;

settings! {
    ON_MOVE: OnMove = Setting::choice(
        "gateway.thinking.on_move",
        "drop",
        &[("drop", OnMove::Drop), ("keep", OnMove::Keep)],
        "Thinking that comes back after the gateway moved or changed a conversation: drop asks the API to drop what does \
         not fit (thinking.block_binding and its beta flag), keep sends the request without that.",
        "对话被网关移动或改动之后，仍被带回的思考块：drop 请 API 丢弃不再匹配的（thinking.block_binding 及其 beta 标志），\
         keep 不添加这些，照常发送。",
    );
    REPAIR: Repair = Setting::choice(
        "gateway.thinking.repair",
        "moved",
        &[("moved", Repair::Moved), ("always", Repair::Always), ("off", Repair::Off)],
        "A 400 that refuses such thinking: the request is sent once more without it, if the gateway moved or changed the \
         conversation (moved), in any case (always), or never (off).",
        "因思考块不匹配而返回的 400：去掉这些块重发一次。moved 仅在网关移动或改动过对话时，always 总是，off 从不。",
    );
}

/// What becomes of thinking that does not fit any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMove {
    /// The API is asked to drop it.
    Drop,
    /// It is sent as it came.
    Keep,
}

/// When a request is sent once more whose thinking was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// If the gateway moved or changed the conversation.
    Moved,
    /// In any case.
    Always,
    /// Never.
    Off,
}

/// What is done about preserved thinking (`gateway.thinking`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thinking {
    /// What becomes of thinking that does not fit any more.
    pub on_move: OnMove,
    /// When a request is sent once more whose thinking was refused.
    pub repair: Repair,
}

impl Thinking {
    /// Reads the section.
    pub(in crate::config) fn read(reader: &mut Reader<'_>) -> Self {
        Self { on_move: reader.get(&ON_MOVE), repair: reader.get(&REPAIR) }
    }
}

/// Whether an upstream takes `thinking.block_binding` (`upstreams[].thinking_controls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Controls {
    /// For the models that are known to take it.
    #[default]
    Auto,
    /// For every model.
    On,
    /// For none.
    Off,
}

/// The models with preserved thinking that Anthropic's documentation names on 2026-11-27.
const KNOWING: [&str; 7] = [
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-haiku-5-5",
    "claude-mythos-5-1",
    "claude-mythos-5-2",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
];

impl Controls {
    /// Reads the value of an upstream.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(text: &str) -> Result<Self, Message> {
        value::choice(text, &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)])
    }

    /// Whether requests for this model can ask for it; the name in any of the forms that clouds and relays have for it.
    pub fn know(self, model: &str) -> bool {
        match self {
            Self::Auto => KNOWING.contains(&model_name::plain(model).as_str()),
            Self::On => true,
            Self::Off => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_every_form_of_their_name() {
        for name in [
            "claude-fable-5-1",
            "claude-opus-5-5-20260921",
            "Claude-Opus-5.5[1m]",
            "anthropic/claude-sonnet-5.5",
            "us.anthropic.claude-haiku-5-5-20260922-v1:0",
            "vertex_ai/claude-mythos-5-1@20260901",
            "claude-fable-5-2-latest",
        ] {
            assert!(Controls::Auto.know(name) && !Controls::Off.know(name), "{name}");
        }
        for name in ["claude-opus-5", "claude-opus-4-5", "claude-sonnet-5", "claude-opus-5-50", "gpt-6-astra", ""] {
            assert!(!Controls::Auto.know(name) && Controls::On.know(name), "{name}");
        }
    }
}
