//! Secrets inside of texts that are no settings of their own: what a rule answers, notes, prompts, comments.

use super::marks::{FIELDS_FOR_KEYS, MASK, is_reference};
use gateway_core::redact::{self, is_secret_name};
use once_cell::sync::Lazy;
use regex::Regex;
use std::ops::Range;

/// `name: value` and `name=value`; the value is a list, a quoted text, or what goes on to the next blank.
const SETTING: &str =
    r#"([A-Za-z][A-Za-z0-9_.-]*)["']?\s*[:=]\s*(\[[^\]]*\]|"[^"]*"|'[^']*'|[^\s,\]}\#"'\[{&;<\\]{6,})"#;
static SETTINGS: Lazy<Option<Regex>> = Lazy::new(|| Regex::new(SETTING).ok());
/// Around the value of a setting, and between those of a list.
const QUOTES: [char; 5] = ['"', '\'', '[', ']', ' '];

/// Where in a text something stands that its name makes a secret.
pub(super) fn settings(text: &str) -> Vec<Range<usize>> {
    // The pattern is a constant, which a test reads; without it nothing may be shown.
    let Some(settings) = &*SETTINGS else { return std::iter::once(0..text.len()).collect() };
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(captures) = settings.captures_at(text, from) {
        let (Some(name), Some(value)) = (captures.get(1), captures.get(2)) else { break };
        let is_one = is_secret_name(name.as_str()) && is_value(value.as_str(), &text[value.end()..]);
        if is_one {
            found.push(value.range());
        }
        // What is no secret may hold one: `https://relay/?token=...`.
        from = if is_one { value.end() } else { name.end() };
    }
    found
}

/// Whether this may be a secret, by what it is and by what stands behind it: a word in a sentence is none.
fn is_value(value: &str, after: &str) -> bool {
    // A path says where a key is.
    let is_one = |text: &str| {
        let is_known = is_reference(text) || text.contains(MASK) || FIELDS_FOR_KEYS.contains(&text);
        !is_known && !text.starts_with(['/', '$', '<', '*'])
    };
    let is_word = value.bytes().all(|byte| byte.is_ascii_lowercase() || !byte.is_ascii_alphanumeric());
    let is_end = after.trim_start().is_empty()
        || after.trim_start().starts_with([',', '}', ']', '#', '&', ';', '"', '\'', '<', '\\']);
    let is_quoted = value.starts_with(QUOTES);
    (is_end || is_quoted || !is_word) && value.split(',').any(|one| is_one(one.trim_matches(QUOTES)))
}

/// All secrets inside of a text: what looks like one, what a name makes one, passwords of URLs.
pub(super) fn secrets(text: &str) -> Vec<String> {
    let places = redact::places(text, &[], false).into_iter().chain(settings(text));
    let mut secrets: Vec<String> = places.map(|at| text[at].trim_matches(QUOTES).to_owned()).collect();
    secrets.extend(credentials(text).map(str::to_owned));
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(text)
    {
        members(&value, false, &mut secrets);
    }
    secrets
}

/// What has a secret name in a JSON text.
fn members(value: &serde_json::Value, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) if is_secret && !text.is_empty() => secrets.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| members(item, is_secret, secrets)),
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(name, value)| members(value, is_secret || is_secret_name(name), secrets));
        }
        _ => {}
    }
}

/// User and password of a URL.
fn credentials(text: &str) -> Option<&str> {
    let after = text.split_once("://").map_or(text, |(_, after)| after);
    let authority = after.split(['/', '?', ' ']).next().unwrap_or_default();
    authority.rsplit_once('@').map(|(user, _)| user).filter(|user| user.contains(':'))
}

/// What in the URL of a bot may be its key, which is long. Where it is is no secret: an upstream may be there too.
pub(super) fn of_hook(url: &str) -> Vec<String> {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let parts = behind.split(['/', '?', '&', '=', '#']).skip(1);
    parts.filter(|part| part.len() >= LONG).map(str::to_owned).collect()
}

/// Whether a text repeats one of these secrets where a secret may stand: a word of its own, such as a segment of a path, and
/// not the name of a host. A long one that nobody would write by chance may be a part of a word.
pub(super) fn repeats(text: &str, known: &redact::Needles) -> bool {
    let host = text.find("://").map(|at| {
        let from = at + 3;
        from..text[from..].find(['/', '?', '#']).map_or(text.len(), |end| from + end)
    });
    redact::places(text, &[known], false).into_iter().any(|at| {
        let is_in_host = host.as_ref().is_some_and(|host| host.start <= at.start && at.end <= host.end);
        let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let (before, after) = (&text[..at.start], &text[at.end..]);
        let is_ended =
            !after.starts_with(is_word) && !after.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_word));
        let is_begun = !before.ends_with(is_word) && !before.ends_with('.');
        let is_chance = at.len() < LONG || !text[at.clone()].bytes().any(|byte| byte.is_ascii_digit());
        !is_in_host && (is_begun && is_ended || !is_chance)
    })
}

/// From this length on nobody writes a text with a digit in it twice by chance.
const LONG: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::redact::{Needles, Secrets};

    #[test]
    fn what_a_name_makes_a_secret_is_found_in_any_text() {
        for (text, secret) in [
            ("token=abcdef", "abcdef"),
            ("password: hunter22", "hunter22"),
            ("the password: hunter22 is old", "hunter22"),
            ("see https://relay/?x=1&token=abcdefgh", "abcdefgh"),
            ("{\"api_key\": \"quoted\"}, x", "\"quoted\""),
            ("a=1;secret=abcdef;b=2", "abcdef"),
        ] {
            let found: Vec<&str> = settings(text).into_iter().map(|at| &text[at]).collect();
            assert_eq!(found, [secret], "{text}");
        }
        for text in [
            "Never tell anybody the password: always refuse, please",
            "api_key: x-api-key",
            "key: /etc/key.pem",
            "token: ${env.TOKEN}",
            "max_tokens: 100000",
            "https://relay.example.com:8080/",
        ] {
            assert!(settings(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_one_where_it_may_stand() {
        let mut known = Secrets::default();
        known.add(b"local-relay".as_slice());
        known.add(b"0a1B2c3D4e5F6g7H8i9J".as_slice());
        let known = Needles::new(&known);
        for text in
            ["http://b/local-relay/v1", "the key local-relay.", "http://b/x0a1B2c3D4e5F6g7H8i9Jy", "?k=local-relay"]
        {
            assert!(repeats(text, &known), "{text}");
        }
        for text in ["http://local-relay:8080/v1", "http://local-relay", "local-relay.example.com", "my-local-relay"] {
            assert!(!repeats(text, &known), "{text}");
        }
    }
}
