//! The language of what the gateway says.

use crate::config::source::setting::{Setting, settings};
use gateway_core::language::Language;

settings! {
    LANGUAGE: Option<Language> = Setting::choice(
        "gateway.language",
        "auto",
        &[("auto", None), ("zh", Some(Language::Chinese)), ("en", Some(Language::English))],
        "Language of commands, and of error messages to clients whose Accept-Language names neither: zh, en, or auto \
         (LC_ALL, LC_MESSAGES, LANG of the process; English without them). Log lines are English.",
        "命令输出的语言，也是对未在 Accept-Language 中指明中文或英文的客户端返回错误信息所用的语言：zh、en 或 auto\
         （取自进程的 LC_ALL、LC_MESSAGES、LANG，都没有时为英文）。日志始终为英文。",
    )
    .env(&["GATEWAY_LANGUAGE"]);
}
