//! The part of a request that its thinking is bound to.

use crate::rules::document::Document;
use std::ops::Range;
use xxhash_rust::xxh3::Xxh3Default;

/// How the text of the first block of `system` begins that says who asks: the API takes it out, and it differs from turn
/// to turn.
const ATTRIBUTION: &[u8] = b"\"x-anthropic-billing-header:";
/// Bytes in which that text begins: its name and its type may come before it.
const BEGINNING: usize = 128;

/// Equal for requests with the same `system` and `tools`, the attribution at the beginning aside.
pub fn prefix_digest(document: &Document<'_>) -> u64 {
    let mut hasher = Xxh3Default::new();
    for name in ["system", "tools"] {
        if let Some(text) = document.member_text(name) {
            let text = text.as_bytes();
            let attribution = attribution(text);
            hasher.update(&text[..attribution.start]);
            hasher.update(&text[attribution.end..]);
        }
        // Not a byte of JSON: what is in one is not in the other.
        hasher.update(&[0xff]);
    }
    hasher.digest()
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
}
