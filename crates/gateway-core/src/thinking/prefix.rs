//! The part of a request that its thinking is bound to.

use crate::rules::document::Document;
use memchr::memmem::Finder;
use once_cell::sync::Lazy;
use std::ops::Range;
use xxhash_rust::xxh3::Xxh3Default;

/// How the text of the first block of `system` begins that says who asks: the API takes it out, and it differs from turn
/// to turn.
const ATTRIBUTION: &[u8] = b"\"x-anthropic-billing-header:";
/// Bytes in which that text begins: its name and its type may come before it.
const BEGINNING: usize = 128;

/// The member that marks where a cached prompt ends.
static MARK: Lazy<Finder<'static>> = Lazy::new(|| Finder::new(b"\"cache_control\""));
/// Longest value of such a member, in bytes.
const LONGEST_MARK: usize = 128;

/// Equal for requests with the same `system` and `tools`; the attribution at the beginning and the marks for caching aside,
/// which clients move from turn to turn.
pub fn prefix_digest(document: &Document<'_>) -> u64 {
    let mut hasher = Xxh3Default::new();
    for name in ["system", "tools"] {
        if let Some(text) = document.member_text(name) {
            let text = text.as_bytes();
            let attribution = attribution(text);
            hasher.update(&text[..attribution.start]);
            let mut from = attribution.end;
            for at in MARK.find_iter(&text[from..]).map(|at| attribution.end + at) {
                if let Some(mark) = mark(text, at).filter(|mark| mark.start >= from) {
                    hasher.update(&text[from..mark.start]);
                    from = mark.end;
                }
            }
            hasher.update(&text[from..]);
        }
        // Not a byte of JSON: what is in one is not in the other.
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

/// Where the mark stands whose name is here, with one comma that parts it from its neighbours; `None` if it is none: the same
/// words in a text, or a member that is only called so.
fn mark(text: &[u8], name: usize) -> Option<Range<usize>> {
    let blanks = |from: usize| text[from..].len() - text[from..].trim_ascii_start().len();
    let colon = name + MARK.needle().len();
    let colon = colon + blanks(colon);
    let value = colon + 1 + blanks((text.get(colon) == Some(&b':')).then_some(colon + 1)?);
    let head = &text[value..text.len().min(value + LONGEST_MARK)];
    let end = match head.strip_prefix(b"{") {
        Some(members) => {
            let length = memchr::memchr3(b'{', b'}', b'\\', members).filter(|&at| members[at] == b'}')?;
            // A parameter of a tool may have this name: its value is a schema.
            memchr::memmem::find(&members[..length], b"\"ephemeral\"")?;
            value + 1 + length + 1
        }
        None => value + head.strip_prefix(b"null").map(|_| 4)?,
    };
    let before = text[..name].trim_ascii_end();
    match before.last()? {
        b',' => Some(before.len() - 1..end),
        b'{' => {
            let comma = end + blanks(end);
            let has_more = text.get(comma) == Some(&b',');
            Some(name..if has_more { comma + 1 + blanks(comma + 1) } else { end })
        }
        _ => None,
    }
}

/// Where the attribution's text stands; empty without one.
fn attribution(system: &[u8]) -> Range<usize> {
    let head = &system[..system.len().min(BEGINNING)];
    let found = memchr::memmem::find(head, ATTRIBUTION).filter(|&at| head.starts_with(b"[") && head[at - 1] != b'\\');
    // The second block may begin so only if the first has ended.
    let Some(start) = found.filter(|&at| !head[..at].contains(&b'}')) else { return 0..0 };
    let mut at = start + ATTRIBUTION.len();
    while let Some(found) = system.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        match system[at] {
            b'"' => return start..at,
            _ => at += 2,
        }
    }
    0..0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(body: &str) -> u64 {
        prefix_digest(&Document::parse(body.as_bytes()).expect("JSON"))
    }

    #[test]
    fn only_system_and_tools_count() {
        let one = digest(r#"{"model":"a","system":"x","tools":[1],"messages":[1]}"#);
        assert_eq!(one, digest(r#"{"tools":[1],"messages":[1,2],"system":"x"}"#));
        for other in [
            r#"{"system":"y","tools":[1]}"#,
            r#"{"system":"x","tools":[1,2]}"#,
            r#"{"system":"x"}"#,
            r#"{"tools":"x","system":[1]}"#,
            "{}",
            "[]",
        ] {
            assert_ne!(one, digest(other), "{other}");
        }
    }

    #[test]
    fn the_attribution_may_differ() {
        let with = |text: &str, prompt: &str| {
            digest(&format!(
                r#"{{"system":[{{"type":"text","text":"{text}"}},{{"type":"text","text":"{prompt}"}}],"tools":[]}}"#
            ))
        };
        let one = with("x-anthropic-billing-header: cc_version=2.1.330; cch=1;", "be kind");
        assert_eq!(one, with(r#"x-anthropic-billing-header: \"cch\\=2\";"#, "be kind"));
        assert_ne!(one, with("x-anthropic-billing-header: cch=1;", "be terse"));
        assert_ne!(with("a", "x"), with("b", "x"));
        let text_first = |text: &str| digest(&format!(r#"{{"system":[ {{"text": "{text}","type":"text"}}]}}"#));
        assert_eq!(text_first("x-anthropic-billing-header: 1"), text_first("x-anthropic-billing-header: 2"));
        let second =
            |text: &str| digest(&format!(r#"{{"system":[{{"type":"text","text":"a"}},{{"text":"{text}"}}]}}"#));
        assert_ne!(second("x-anthropic-billing-header: 1"), second("x-anthropic-billing-header: 2"));
        let quoted = |text: &str| digest(&format!(r#"{{"system":[{{"text":"say \"{text}"}}]}}"#));
        assert_ne!(quoted("x-anthropic-billing-header: 1"), quoted("x-anthropic-billing-header: 2"));
    }

    #[test]
    fn marks_for_caching_may_move() {
        let one =
            digest(r#"{"system":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"tools":[{"name":"x"}]}"#);
        for marked in [
            r#"{"system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"x"}]}"#,
            r#"{"system":[{"type":"text","text":"a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},{"type":"text","text":"b"}],"tools":[{"name":"x"}]}"#,
            r#"{"system":[{"cache_control":{"type":"ephemeral"},"type":"text","text":"a"},{"type":"text","text":"b"}],"tools":[{"cache_control" : null, "name":"x"}]}"#,
            r#"{"system":[{"type":"text","cache_control":null,"text":"a"},{"type":"text","text":"b"}],"tools":[{"name":"x","cache_control":{"ttl":"1h","type":"ephemeral"}}]}"#,
        ] {
            assert_eq!(digest(marked), one, "{marked}");
        }
    }

    #[test]
    fn what_is_only_called_like_a_mark_counts() {
        for (one, other) in [
            (r#"{"system":"say \"cache_control\":{\"type\":\"ephemeral\"}"}"#, r#"{"system":"say "}"#),
            (
                r#"{"tools":[{"properties":{"a":{},"cache_control":{"type":"object"}}}]}"#,
                r#"{"tools":[{"properties":{"a":{}}}]}"#,
            ),
            (
                r#"{"tools":[{"properties":{"cache_control":{"enum":["ephemeral",{"a":1}]}}}]}"#,
                r#"{"tools":[{"properties":{}}]}"#,
            ),
            (r#"{"tools":["a","cache_control"]}"#, r#"{"tools":["a"]}"#),
            (r#"{"tools":[{"cache_control":nothing}]"#, r#"{"tools":[{}]}"#),
        ] {
            if Document::parse(one.as_bytes()).is_ok() {
                assert_ne!(digest(one), digest(other), "{one}");
            }
            for name in MARK.find_iter(one.as_bytes()) {
                assert_eq!(mark(one.as_bytes(), name), None, "{one}");
            }
        }
    }
}
