//! The system prompt of a Messages request: find it, and replace or insert a text block.
//!
//! Only the span of `system[0].text` changes, or a block is inserted in front of the list; every other byte of the
//! body stays. What is not a request of the expected shape is left alone, with the reason.

use super::json::{first_element, member, span_in};
use std::ops::Range;

/// A body that holds this in `system[0].text`, in any case, already says that it comes from Claude Code.
const CLAUDE_CODE: &str = "claude code";

/// What is to become of the system prompt; the text escaped once, when the configuration is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemPrompt {
    /// The JSON string, quotes included.
    text_json: String,
    /// Instead of replacing, insert a block in front if `system[0].text` does not hold "Claude Code".
    insert_if_missing: bool,
}

/// What was done to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// `system[0].text` was replaced.
    Replaced,
    /// A block was inserted in front of `system`.
    Inserted,
}

impl Rewrite {
    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Inserted => "inserted",
        }
    }
}

/// Why a body was left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The body is no JSON text, or no object.
    #[error("the body is not a JSON object")]
    NotJson,
    /// There is no member `system`.
    #[error("the body has no `system`")]
    NoSystem,
    /// `system` is something else than a list.
    #[error("`system` is not a list")]
    NotAList,
    /// `system` is an empty list.
    #[error("`system` is empty")]
    Empty,
    /// The first block has no text, or one that is no string.
    #[error("`system[0]` has no text")]
    NoText,
}

impl Unchanged {
    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoSystem => "no_system",
            Self::NotAList => "not_a_list",
            Self::Empty => "empty",
            Self::NoText => "no_text",
        }
    }
}

/// One change of a body: the bytes of `span` give way to `replacement`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Byte offsets in the original body; empty for an insertion.
    pub span: Range<usize>,
    /// What stands there afterwards.
    pub replacement: String,
}

impl Edit {
    /// The changed body. One allocation, one copy.
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let mut changed = Vec::with_capacity(body.len() - self.span.len() + self.replacement.len());
        changed.extend_from_slice(&body[..self.span.start]);
        changed.extend_from_slice(self.replacement.as_bytes());
        changed.extend_from_slice(&body[self.span.end..]);
        changed
    }
}

impl SystemPrompt {
    /// A prompt with this text; `insert_if_missing` as in `SYSTEM_PROMPT_BLOCK_INSERT_IF_NOT_EXIST`.
    pub fn new(text: &str, insert_if_missing: bool) -> Self {
        Self { text_json: serde_json::Value::from(text).to_string(), insert_if_missing }
    }

    /// Whether a request with this method and path (without query) is one whose body is rewritten:
    /// `POST /v1/messages`, with or without a trailing slash.
    pub fn applies_to(method: &str, path: &[u8]) -> bool {
        method == "POST" && matches!(path, b"/v1/messages" | b"/v1/messages/")
    }

    /// The change that `body` needs.
    ///
    /// # Errors
    /// Why the body stays as it is.
    pub fn edit(&self, body: &[u8]) -> Result<(Rewrite, Edit), Unchanged> {
        // serde_json does not look into what it skips, so the encoding is checked first.
        let body = simdutf8::basic::from_utf8(body).map_err(|_| Unchanged::NotJson)?;
        let system = member(body, "system").map_err(|_| Unchanged::NotJson)?.ok_or(Unchanged::NoSystem)?;
        if !system.starts_with('[') {
            return Err(Unchanged::NotAList);
        }
        let block = first_element(system).map_err(|_| Unchanged::NotAList)?.ok_or(Unchanged::Empty)?;
        let text = match block.starts_with('{') {
            true => member(block, "text").ok().flatten(),
            false => None,
        };
        let text = text.filter(|text| text.starts_with('"')).ok_or(Unchanged::NoText)?;
        if self.insert_if_missing && !names_claude_code(text) {
            let list = span_in(body, system).start + 1;
            let block =
                format!(r#"{{"type":"text","text":{},"cache_control":{{"type":"ephemeral"}}}},"#, self.text_json);
            return Ok((Rewrite::Inserted, Edit { span: list..list, replacement: block }));
        }
        Ok((Rewrite::Replaced, Edit { span: span_in(body, text), replacement: self.text_json.clone() }))
    }
}

/// Whether the JSON string `text` holds "Claude Code" in any case, escapes resolved.
fn names_claude_code(text: &str) -> bool {
    serde_json::from_str::<std::borrow::Cow<'_, str>>(text).is_ok_and(|text| text.to_lowercase().contains(CLAUDE_CODE))
}

#[cfg(test)]
#[path = "system_tests.rs"]
mod tests;
