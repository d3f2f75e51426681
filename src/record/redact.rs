//! Texts without keys, for what is kept of requests and errors.

use once_cell::sync::Lazy;
use regex::Regex;
use std::borrow::Cow;

/// What stands in place of a key.
const MASK: &str = "********";
/// Shorter secrets are no keys, and would be found everywhere.
const SHORTEST: usize = 6;

/// Keys by their looks: `sk-...` of Anthropic, OpenAI and their relays, and whatever follows `Bearer`.
static LOOKS_LIKE_A_KEY: Lazy<Option<Regex>> =
    Lazy::new(|| Regex::new(r"\bsk-[A-Za-z0-9_-]{6,}|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}").ok());

/// Fields whose values are secrets.
const SECRET_FIELDS: [&str; 6] =
    ["authorization", "x-api-key", "cookie", "set-cookie", "proxy-authorization", "x-goog-api-key"];

/// Whether the value of a field is nothing to keep; `name` in lower case.
pub fn is_secret_field(name: &str) -> bool {
    let says = |part: &str| name.contains(part);
    let is_known = SECRET_FIELDS.contains(&name) || says("key") || says("secret") || says("passw") || says("auth");
    is_known || says("token") && !name.starts_with("anthropic-")
}

/// The text without these secrets, and without what looks like one.
pub fn text(text: &str, secrets: &[&[u8]]) -> String {
    let mut text = Cow::Borrowed(text);
    for secret in secrets.iter().filter_map(|secret| std::str::from_utf8(secret).ok()) {
        if secret.len() >= SHORTEST && text.contains(secret) {
            text = Cow::Owned(text.replace(secret, MASK));
        }
        // What is kept may end in the middle of one.
        let begun = (SHORTEST..secret.len())
            .rev()
            .find(|&length| secret.is_char_boundary(length) && text.ends_with(&secret[..length]));
        if let Some(length) = begun {
            text = Cow::Owned(format!("{}{MASK}", &text[..text.len() - length]));
        }
    }
    match &*LOOKS_LIKE_A_KEY {
        Some(looks) => looks.replace_all(&text, MASK).into_owned(),
        // The pattern is a constant; without it nothing may be kept.
        None => String::new(),
    }
}

/// A target, as it may be kept: the values of a query may be keys.
pub fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        // What every client of the API sends.
        Some(("beta" | "limit", _)) | None => pair.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
    });
    Cow::Owned(format!("{path}?{}", masked.collect::<Vec<_>>().join("&")))
}

/// The value of a field, as it may be kept.
pub fn field<'v>(name: &str, value: &'v str) -> Cow<'v, str> {
    match is_secret_field(name) {
        true => Cow::Borrowed(MASK),
        false => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked_by_value_and_by_looks() {
        let cleaned = text("key my-own-key-1 and sk-ant-api03-AbC_d refused; Bearer abc.def-123", &[b"my-own-key-1"]);
        assert_eq!(cleaned, "key ******** and ******** refused; ********");
        assert_eq!(text("this ends in my-own-k", &[b"my-own-key-1"]), "this ends in ********");
        // No key, and no reason to take a text apart.
        assert_eq!(
            text("a task-force of sk-1, the bearer of news", &[b"a", b""]),
            "a task-force of sk-1, the bearer of news"
        );
    }

    #[test]
    fn fields_with_secrets_are_known_by_name() {
        for name in ["authorization", "x-api-key", "cookie", "x-auth-token", "client-secret"] {
            assert!(is_secret_field(name), "{name}");
        }
        assert!(!is_secret_field("anthropic-beta") && !is_secret_field("anthropic-ratelimit-tokens-limit"));
        assert_eq!(target("/v1/messages?beta=true&key=abc&x"), "/v1/messages?beta=true&key=********&x");
        assert_eq!(target("/v1/messages"), "/v1/messages");
        assert_eq!(field("x-api-key", "sk-1"), MASK);
        assert_eq!(field("accept", "*/*"), "*/*");
    }
}
