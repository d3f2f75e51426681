//! Which texts are secrets by their looks, whatever their name is.

use super::coded::standard;
use super::is_secret_name;
use aho_corasick::packed::{self, Searcher};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use once_cell::sync::Lazy;
use regex::bytes::{Captures, Regex};
use std::ops::Range;

/// The keys of the usual services, what follows `Bearer` and `Basic`, JSON Web Tokens, passwords in URLs, parameters
/// of queries, private keys. Where a part has a group, only the group is the secret.
const SHAPES: &str = r"(?x-u)
    \bsk-[A-Za-z0-9_-]{6,}
  | \b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}
  | \bAIza[A-Za-z0-9_-]{20,}
  | \bya29\.[A-Za-z0-9_-]{20,}
  | \bgh[opusr]_[A-Za-z0-9]{16,}
  | \bgithub_pat_[A-Za-z0-9_]{20,}
  | \bglpat-[A-Za-z0-9_-]{16,}
  | \bxox[abeoprs]-[A-Za-z0-9-]{8,}
  | \bA(?:KIA|SIA)[A-Z0-9]{16}\b
  | agw_[A-Za-z0-9]{49}
  | \b(?:hf|gsk|cr|tp|nvapi)[_-][A-Za-z0-9]{20,}
  | \b(?:xai|pplx)-[A-Za-z0-9]{16,}
  | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?
  | \b(?i:bearer)[\ \t+]+([A-Za-z0-9._~+/=-]{6,})
  | \b(?i:basic)[\ \t+]+([A-Za-z0-9+/_-]{8,}={0,2})
  | ://([^\s/?\#@:\x22'<>\[\]]*:[^\s/?\#@\x22'<>]+)@
  | [?&](?P<name>[A-Za-z0-9_.-]{1,64})=(?P<value>[^\s&\#\x22'<>`\\*$\{\[(][^\s&\#\x22'<>`\\\])]{5,})
  | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----([^-]*)
";
static LOOKS: Lazy<Option<Regex>> = Lazy::new(|| Regex::new(SHAPES).ok());
/// One of these, or a parameter behind one of [`MARKS`], is in everything that [`SHAPES`] matches. The fields of nearly every
/// request have none, and to find that out takes a tenth of the time that the pattern does.
const SIGNS: &str = "sk- k_live_ k_test_ AIza ya29. ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox AKIA ASIA hf_ hf- agw_ gsk_ \
    gsk- cr_ cr- tp_ tp- nvapi xai- pplx- eyJ :// -----BEGIN";
/// The last letters of `bearer` and `basic`, which may be upper case.
const ENDS: [&[u8; 3]; 2] = [b"rer", b"sic"];
/// Length of the shortest text that [`SHAPES`] matches, `://:a@`, in bytes.
const SHORTEST_MATCH: usize = 6;
/// What a parameter of a query begins with.
const MARKS: [u8; 2] = [b'?', b'&'];
/// Longest name of a parameter, and shortest value, in bytes.
const LONGEST_PARAMETER: usize = 64;
const SHORTEST_VALUE: usize = 6;
static SIGN: Lazy<Option<Searcher>> = Lazy::new(|| {
    let in_any_case = |end: &[u8; 3]| {
        let letter =
            |upper: usize, at: usize| if upper >> at & 1 == 1 { end[at].to_ascii_uppercase() } else { end[at] };
        (0..8).map(|upper| [0, 1, 2].map(|at| letter(upper, at))).collect::<Vec<_>>()
    };
    let mut builder = packed::Config::new().heuristic_pattern_limits(false).builder();
    builder.extend(SIGNS.split_ascii_whitespace());
    builder.extend(ENDS.into_iter().flat_map(in_any_case));
    builder.build()
});
/// A word behind `Bearer` that is one of English, such as `authentication`.
const LONGEST_WORD: usize = 20;

/// Whether something in a text looks like a secret.
pub fn looks_like_secret(text: &[u8]) -> bool {
    let mut found = false;
    find(text, |_| found = true);
    found
}

/// Calls `found` with the place of everything that looks like a secret.
pub(super) fn find(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    if !has_sign(text) {
        return;
    }
    match &*LOOKS {
        // Most texts have nothing, and to find that out takes no memory.
        Some(looks) if !looks.is_match(text) => {}
        Some(looks) => {
            for captures in looks.captures_iter(text).filter(is_one) {
                let value = captures.name("value");
                let part = value.or_else(|| captures.iter().skip(1).flatten().next()).or_else(|| captures.get(0));
                part.into_iter().for_each(|part| found(part.range()));
            }
        }
        // The pattern is a constant, which a test reads; without it nothing may be kept.
        None => found(0..text.len()),
    }
}

fn has_sign(text: &[u8]) -> bool {
    if text.len() < SHORTEST_MATCH {
        return false;
    }
    // A machine without the instructions for this search does without it.
    SIGN.as_ref().is_none_or(|sign| sign.find(text).is_some())
        || memchr::memchr2_iter(MARKS[0], MARKS[1], text).any(|at| is_parameter(&text[at + 1..]))
}

/// Whether a text begins with a name and a value that is long enough for [`SHAPES`].
fn is_parameter(text: &[u8]) -> bool {
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let name = text.iter().take(LONGEST_PARAMETER + 1).take_while(is_of_name).count();
    let is_of_value =
        |byte: &&u8| !byte.is_ascii_whitespace() && !matches!(byte, b'&' | b'#' | b'"' | b'\'' | b'<' | b'>');
    let value = text.get(name..).and_then(|rest| rest.strip_prefix(b"="));
    value.is_some_and(|value| value.iter().take(SHORTEST_VALUE).take_while(is_of_value).count() == SHORTEST_VALUE)
}

fn is_one(captures: &Captures<'_>) -> bool {
    if let Some(bearer) = captures.get(1) {
        let is_letters = bearer.as_bytes().iter().all(u8::is_ascii_alphabetic);
        return !is_letters || bearer.len() > LONGEST_WORD;
    }
    if let Some(name) = captures.name("name") {
        return std::str::from_utf8(name.as_bytes()).is_ok_and(is_secret_name);
    }
    match captures.get(2) {
        Some(basic) => credentials(basic.as_bytes()).is_some(),
        None => true,
    }
}

/// `user:password` of what follows `Basic`.
pub(super) fn credentials(coded: &[u8]) -> Option<Vec<u8>> {
    let coded: Vec<u8> = coded.trim_ascii().iter().copied().take_while(|&byte| byte != b'=').map(standard).collect();
    STANDARD_NO_PAD.decode(coded).ok().filter(|pair| pair.contains(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), |at| found.push(&text[at]));
        found
    }

    #[test]
    fn keys_are_known_by_their_looks() {
        for (text, secret) in [
            ("the key sk-ant-api03-AbC_d is bad", "sk-ant-api03-AbC_d"),
            ("/AIzaSyA1234567890abcdefghijklmnopqrst/v1", "AIzaSyA1234567890abcdefghijklmnopqrst"),
            ("x ghp_16C7e42F292c6912E7710c838347Ae178B4a y", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
            ("Bearer abc.def-123 no", "abc.def-123"),
            ("authorization: BASIC dXNlcjpwdzEyMw==", "dXNlcjpwdzEyMw=="),
            ("http://user:pw@host/", "user:pw"),
            ("see https://relay/?a=b&access_token=abc-123&x=y)", "abc-123"),
            ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln"),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
        for text in [
            "a task-force of sk-1, the bearer of news",
            "Bearer authentication failed; basic authentication too",
            "http://127.0.0.1:8088/a@b",
            "claude-sonnet-4-5-20250929",
            "/v1/messages?beta=true&max_tokens=100000&after_id=msg_0123456789",
            "http://relay/?key=${env.RELAY_KEY}",
            "req_0123456789abcdef0123456789abcdef",
            "12345678-1234-1234-1234-123456789012",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn whatever_has_the_looks_of_a_key_has_a_sign_of_one() {
        for text in [
            "sk-abcdef",
            "sk_live_abcdefgh",
            "pk_test_abcdefgh",
            "rk_live_abcdefgh",
            "AIza01234567890123456789",
            "ya29.01234567890123456789",
            "gho_0123456789abcdef",
            "ghp_0123456789abcdef",
            "ghs_0123456789abcdef",
            "ghu_0123456789abcdef",
            "ghr_0123456789abcdef",
            "github_pat_01234567890123456789",
            "glpat-0123456789abcdef",
            "xoxa-abcdefgh",
            "xoxs-abcdefgh",
            "AKIAABCDEFGHIJKLMNOP",
            "ASIAABCDEFGHIJKLMNOP",
            "hf_01234567890123456789",
            "hf-01234567890123456789",
            "gsk_01234567890123456789",
            "gsk-01234567890123456789",
            "cr_01234567890123456789",
            "cr-01234567890123456789",
            "tp_01234567890123456789",
            "tp-01234567890123456789",
            "nvapi_01234567890123456789",
            "nvapi-01234567890123456789",
            "xai-0123456789abcdef",
            "pplx-0123456789abcdef",
            "eyJabcdefgh.abcdefgh",
            "BeaReR abcdef",
            "bearer abcdef",
            "BASIC abcdefgh",
            "basic abcdefgh",
            "x://u:p@",
            "://:a@",
            "?a=bcdefg",
            "&a=bcdefg",
            "-----BEGIN PRIVATE KEY-----abc",
        ] {
            assert!(LOOKS.as_ref().expect("valid").is_match(text.as_bytes()), "{text} has no looks");
            // Longer ones are looked through in another way.
            let long = format!("{:64}{text}{:64}", "", "");
            assert!(has_sign(text.as_bytes()) && has_sign(long.as_bytes()), "{text} has no sign");
        }
    }
}
