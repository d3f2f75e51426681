//! What stands for a secret, and what is none.

/// What stands for a secret; in a version of the history that has another one than is in force, `@` and the version follow.
pub(crate) const MASK: &str = gateway_core::redact::MASK;
/// Where the client's key goes is no key.
pub(super) const FIELDS_FOR_KEYS: [&str; 3] = ["bearer", "x-api-key", "keep"];

/// Whether a text only says where the secret is: a variable, or a digest.
pub(super) fn is_reference(text: &str) -> bool {
    if text.is_empty() || text.starts_with("env:") || text.starts_with("sha256:") {
        return true;
    }
    let text = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}
