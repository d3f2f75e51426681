//! Which names are those of secrets: of header fields, of parameters, of settings, of members of JSON.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use once_cell::sync::Lazy;

/// Words that make a name that of a secret.
const WORDS: [&str; 13] = [
    "auth",
    "bearer",
    "cookies",
    "credential",
    "credentials",
    "jwt",
    "keys",
    "passcode",
    "passphrase",
    "pwd",
    "secrets",
    "sig",
    "signature",
];
/// Ends of words that do.
const ENDS: [&str; 5] = ["key", "token", "secret", "password", "cookie"];
/// Parts of words that do.
const PARTS: [&str; 6] = ["authent", "authoriz", "apikey", "accesskey", "passw", "secret"];

/// Settings that say whether there has to be a secret, and hold none.
const SWITCHES: [&str; 1] = ["require_token"];

/// Names of fields that clients send with each request. That they are no secrets is known without looking.
const USUAL: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "anthropic-version",
    "connection",
    "content-length",
    "content-type",
    "host",
    "sec-fetch-mode",
    "user-agent",
    "x-app",
    "x-claude-code-session-id",
    "x-stainless-arch",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-stream-helper",
    "x-stainless-timeout",
];

/// All of these. Few names hold any, and then there is no need to look at their words.
static ANY: Lazy<Option<AhoCorasick>> = Lazy::new(|| {
    let known = WORDS.iter().chain(&ENDS).chain(&PARTS);
    AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(known).ok()
});

/// Whether what has this name is a secret: keys, credentials, cookies. A number of tokens is not.
pub fn is_secret_name(name: &str) -> bool {
    if USUAL.contains(&name) {
        return false;
    }
    if ANY.as_ref().is_some_and(|any| !any.is_match(name)) {
        return false;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if SWITCHES.iter().any(|switch| last.eq_ignore_ascii_case(switch)) {
        return false;
    }
    words(name).any(|word| {
        WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
            || ENDS
                .iter()
                .any(|end| word.len().checked_sub(end.len()).is_some_and(|at| is_same(&word.as_bytes()[at..], end)))
            || PARTS.iter().any(|part| word.as_bytes().windows(part.len()).any(|at| is_same(at, part)))
    })
}

fn is_same(bytes: &[u8], known: &str) -> bool {
    bytes.eq_ignore_ascii_case(known.as_bytes())
}

/// The words of a name, however they are joined: `x-api-key`, `api_key`, `apiKey`, `/metadata/api.key`.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let bytes = rest.as_bytes();
            let end = (1..bytes.len()).find(|&at| bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase());
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            Some(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "x-api-key",
            "X-Goog-Api-Key",
            "api-key",
            "apikey",
            "apiKey",
            "API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "Cookie",
            "set-cookie",
            "x-auth-token",
            "xtoken",
            "client-secret",
            "clientSecret",
            "keys",
            "password",
            "passwd",
            "/metadata/api_key",
            "key",
            "access_token",
            "X-Amz-Signature",
            "credentials",
            "jwt",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "gateway.team.require_token",
            "REQUIRE_TOKEN",
            "anthropic-beta",
            "anthropic-ratelimit-tokens-limit",
            "max_tokens",
            "/max_tokens",
            "user-agent",
            "x-claude-code-session-id",
            "author",
            "keepalive",
            "x-app",
            "",
            "models",
            "input_tokens",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        for name in USUAL {
            assert!(!is_secret_name(&name.to_ascii_uppercase()), "{name}, however it is written");
        }
    }
}
