//! The names of the gateway's own rules.

/// The rule that `SYSTEM_PROMPT_REPLACEMENT` stands for.
pub(crate) const SYSTEM_PROMPT: &str = "system-prompt";
/// The rule that the headers file stands for.
pub(crate) const HEADERS_FILE: &str = "headers-file";

/// Whether a name is that of a rule of the gateway's own.
pub(crate) fn is_built_in(name: &str) -> bool {
    name == SYSTEM_PROMPT || name == HEADERS_FILE || name.starts_with("anyrouter.")
}
