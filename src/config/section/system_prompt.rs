//! The system prompt as it can be set without a rule: `gateway.system_prompt`.

use super::profile;
use crate::config::source::setting::{Setting, settings};
use crate::config::source::settings_reader::Reader;
use crate::config::source::value;
use gateway_core::rules::rule::Rule;

settings! {
    REPLACEMENT: String = Setting::one(
        "gateway.system_prompt.replacement",
        "",
        value::text,
        "Text that replaces system[0].text of POST /v1/messages. Not set: bodies stay as they are.",
        "用于替换 POST /v1/messages 中 system[0].text 的文本。未设置时不改动请求体。",
    )
    .env(&["SYSTEM_PROMPT_REPLACEMENT"])
    .shown(shortened);
    INSERT_IF_MISSING: bool = Setting::one(
        "gateway.system_prompt.insert_if_missing",
        "false",
        value::boolean,
        "Insert the text as a block in front, instead of replacing, when system[0].text does not hold \"Claude \
         Code\".",
        "当 system[0].text 不含 \"Claude Code\" 时，在最前面插入一块，而不是替换。",
    )
    .env(&["SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST"]);
}

/// The rule that it stands for, if it is set.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Rule> {
    // The API takes no block whose text says nothing.
    let replacement = reader.get_if_set(&REPLACEMENT).filter(|text| !text.trim().is_empty());
    let insert_if_missing = reader.get(&INSERT_IF_MISSING);
    replacement.map(|text| profile::system_prompt(&text, insert_if_missing))
}

/// Its beginning, in one line.
fn shortened(text: &str) -> String {
    let short = match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    };
    short.replace('\n', "\\n")
}
