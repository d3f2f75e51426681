//! Thinking that a client sends back: it is bound to the `system`, the `tools` and the account that it came from.

pub mod conversation;
pub mod edition;
mod first_message;
mod moved;
mod prefix;

pub use first_message::first_message;
pub use moved::Moved;
pub use prefix::prefix_digest;

use memchr::memmem::Finder;
use once_cell::sync::Lazy;

/// How the kind of a block of thinking ends, with the closing quote of its string.
static KIND: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"thinking\""));
/// The name of the member that binds a block to its prefix.
static SIGNATURE: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"\"signature\""));

/// What of thinking a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    None,
    /// A setting that concerns it, or a block that nothing binds.
    Asked,
    /// A block that the API made comes back: one that is redacted, or has a signature.
    Back,
}

/// What of thinking this body has, a JSON text. What stands in texts does not count: quotes are escaped there.
pub fn presence(body: &[u8]) -> Presence {
    let mut is_signed = None;
    let mut found = Presence::None;
    for at in KIND.find_iter(body) {
        found = Presence::Asked;
        let is_bound = match kind_before(&body[..at]) {
            Some(Kind::Redacted) => true,
            Some(Kind::Signed) => *is_signed.get_or_insert_with(|| has_signature(body)),
            None => false,
        };
        if is_bound {
            return Presence::Back;
        }
    }
    found
}

enum Kind {
    Signed,
    Redacted,
}

/// The kind of the block, if the text before `thinking"` is the beginning of `"type": "thinking"`.
fn kind_before(before: &[u8]) -> Option<Kind> {
    let (before, kind) = match before.strip_suffix(b"redacted_") {
        Some(before) => (before, Kind::Redacted),
        None => (before, Kind::Signed),
    };
    let name = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = name.strip_suffix(b"\"type\"")?;
    // In a text the quotes have backslashes before them.
    (before.last() != Some(&b'\\')).then_some(kind)
}

/// Whether a member `signature` is a string with something in it.
fn has_signature(body: &[u8]) -> bool {
    SIGNATURE.find_iter(body).any(|at| {
        let is_name = at == 0 || body[at - 1] != b'\\';
        let value = body[at + SIGNATURE.needle().len()..].trim_ascii_start().strip_prefix(b":");
        let value = value.and_then(|value| value.trim_ascii_start().strip_prefix(b"\""));
        is_name && value.is_some_and(|value| value.first().is_some_and(|byte| *byte != b'"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(body: &[u8]) -> bool {
        presence(body) == Presence::Back
    }

    #[test]
    fn thinking_comes_back_in_blocks_that_the_api_made() {
        for body in [
            r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"so","signature":"Eq=="}]}]}"#,
            r#"{"messages":[{"content":[{"signature" : "Eq==", "thinking":"", "type" : "thinking"}]}]}"#,
            r#"{"messages":[{"content":[{"type":"redacted_thinking","data":"Eq=="}]}]}"#,
        ] {
            assert!(comes_back(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_texts_and_settings_say_is_no_thinking() {
        for body in [
            "",
            r#"{"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"content":"\"signature\""}]}"#,
            r#"{"messages":[{"content":"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"Eq==\"}"}]}"#,
            r#"{"messages":[{"content":"{\"type\":\"redacted_thinking\",\"data\":\"Eq==\"}"}]}"#,
            r#"{"messages":[{"content":"{\\\"type\\\":\\\"redacted_thinking\\\"}"}]}"#,
            // Other vendors' thinking carries no signature, or an empty one.
            r#"{"messages":[{"content":[{"type":"thinking","thinking":"so"}]}]}"#,
            r#"{"messages":[{"content":[{"type":"thinking","thinking":"so","signature":""}]}]}"#,
            r#"{"tools":[{"name":"sign","input_schema":{"properties":{"signature":{"type":"string"}}}}]}"#,
            r#"{"context_management":{"edits":[{"type":"clear_thinking_20251015"}]}}"#,
        ] {
            assert!(!comes_back(body.as_bytes()), "{body}");
        }
    }
}
