//! The system prompt as it can be set without a rule: `gateway.system_prompt`.

use super::profile;
use crate::config::source::message::Message;
use crate::config::source::problem::Source;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::rules::body::Target;
use gateway_core::rules::rule::Rule;

settings! {
    REPLACEMENT: String = Setting::one(
        "gateway.system_prompt.replacement",
        "",
        value::text,
        "Text that replaces a block's text in the system prompt of POST /v1/messages: that of system[0], or the one \
         that system_prompt.target names. Not set: bodies stay as they are.",
        "用于替换 POST /v1/messages 系统提示词中一个块的文本：system[0]，或 system_prompt.target 指定的块。未设置时不改动请求体。",
    )
    .env(&["SYSTEM_PROMPT_REPLACEMENT"])
    .shown(shortened);
    TARGET: PromptTarget = Setting::choice(
        "gateway.system_prompt.target",
        "first",
        &[("first", PromptTarget::First), ("identity", PromptTarget::Identity)],
        "Which block is replaced: first is system[0], whatever it is (in Claude Code 2.1 the attribution, which should \
         stay); identity is the one that says who asks.",
        "替换哪一块：first 为 system[0]，不论它是什么（Claude Code 2.1 中是应当保留的归属块）；identity 为说明身份的块。",
    )
    .env(&["SYSTEM_PROMPT_TARGET"]);
    INSERT_IF_MISSING: bool = Setting::one(
        "gateway.system_prompt.insert_if_missing",
        "false",
        value::boolean,
        "Insert the text as a block in front, behind the attribution of Claude Code 2.1, instead of replacing, when \
         system[0].text does not hold \"Claude Code\"; with the target identity: when there is no such block.",
        "当 system[0].text 不含 \"Claude Code\" 时（target 为 identity 时：没有身份块时），在最前面、Claude Code 2.1 的归属块之后插入一块，而不是替换。",
    )
    .env(&["SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST"]);
}

/// Which block of the system prompt is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PromptTarget {
    /// The first, whatever it is.
    First,
    /// The one that says who asks.
    Identity,
}

/// The rule that it stands for, if it is set.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Rule> {
    // The API takes no block whose text says nothing.
    let replacement = reader.get_if_set(&REPLACEMENT).filter(|text| !text.trim().is_empty());
    let (target, insert_if_missing) = (reader.get(&TARGET), reader.get(&INSERT_IF_MISSING));
    let text = replacement?;
    if target == PromptTarget::First && !insert_if_missing {
        let at = reader.source_of(&REPLACEMENT).unwrap_or(Source::Default);
        reader.warning(at, REPLACEMENT.about.key, Message::AttributionReplaced);
    }
    let target = match target {
        PromptTarget::First => Target::First,
        PromptTarget::Identity => Target::Identity,
    };
    Some(profile::system_prompt(&text, target, insert_if_missing))
}

/// Its beginning, in one line.
fn shortened(text: &str) -> String {
    let short = match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    };
    short.replace('\n', "\\n")
}
