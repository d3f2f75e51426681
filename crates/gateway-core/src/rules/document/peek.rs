//! One member of a JSON object, found without looking at what comes after it.

use super::json::unquoted;
use super::scan::{self, Scan};
use std::borrow::Cow;

/// The text that the first member `name` of the object holds; `None` if there is none, or the text is broken before it.
pub fn peek_text<'t>(json: &'t [u8], name: &str) -> Option<Cow<'t, str>> {
    let value = std::str::from_utf8(peek(json, name)?).ok().filter(|value| value.starts_with('"'))?;
    unquoted(value)
}

/// Whether the member `name` of the object is `true`. Clients send such a flag last, where it is found at once; a text
/// without that name is not looked at closely.
pub fn peek_true(json: &[u8], name: &str) -> bool {
    ends_with_true(json, name).is_some()
        || memchr::memmem::find(json, name.as_bytes()).is_some() && peek(json, name) == Some(b"true")
}

/// Whether the last member of the object is this one, and `true`: what stands before the last brace is no part of a
/// string or of a nested object.
fn ends_with_true(json: &[u8], name: &str) -> Option<()> {
    let mut rest = json.trim_ascii_end();
    for part in [&b"}"[..], b"true", b":", b"\"", name.as_bytes(), b"\""] {
        rest = rest.strip_suffix(part)?;
        // Blanks inside of the quotes are part of the name.
        if matches!(part, b"}" | b"true" | b":") {
            rest = rest.trim_ascii_end();
        }
    }
    matches!(rest.trim_ascii_end().last()?, b',' | b'{').then_some(())
}

/// The first element of the list that the first member `name` of the object is; what comes after it is not looked at.
pub fn peek_first<'t>(json: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let list = place_of(json, name)?;
    let start = scan::blanks(json, list + 1);
    (json.get(list) == Some(&b'[')).then(|| json.get(start..scan::value(json, start).ok()?)).flatten()
}

/// The value of the first member `name` of the object.
fn peek<'t>(json: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let start = place_of(json, name)?;
    json.get(start..scan::value(json, start).ok()?)
}

/// Where that value begins.
fn place_of(json: &[u8], name: &str) -> Option<usize> {
    let mut at = scan::blanks(json, 0);
    if json.get(at) != Some(&b'{') {
        return None;
    }
    let scan = Scan::new(json, at);
    loop {
        at = scan.blanks(at + 1);
        let (found, start) = scan.name(at).ok()?;
        if found == name.as_bytes() {
            return Some(start);
        }
        at = scan.blanks(scan.value(start).ok()?);
        if json.get(at) != Some(&b',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_at_the_end_is_found_there() {
        for is_so in [r#"{"a":[],"stream":true}"#, " {\"stream\" :\ttrue } \n", r#"{"stream":false,"stream":true}"#] {
            assert!(
                ends_with_true(is_so.as_bytes(), "stream").is_some() && peek_true(is_so.as_bytes(), "stream"),
                "{is_so}"
            );
        }
        for is_not in [
            r#"{"a":{"stream":true}}"#,
            r#"{"stream":true,"a":1}"#,
            r#"{"a":"\"stream\":true}"#,
            r#"{"a stream":true}"#,
            r#"{"stream":false}"#,
            "",
        ] {
            assert!(ends_with_true(is_not.as_bytes(), "stream").is_none(), "{is_not}");
        }
    }

    #[test]
    fn a_member_is_found_wherever_it_stands_at_the_top() {
        for (json, found) in [
            (r#"{"model":"a","broken"#, Some("a")),
            (r#" { "x" : {"model":"no"} , "model" : "\u0061b" }"#, Some("ab")),
            (r#"{"models":"no","model":"a"}"#, Some("a")),
            (r#"{"model":1}"#, None),
            (r#"{"model":"a"#, None),
            (r#"{"x":tru,"model":"a"}"#, None),
            (r#"{"x":{"model":"a"}}"#, None),
            (r#"["model","a"]"#, None),
            ("{}", None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(peek_text(json.as_bytes(), "model").as_deref(), found, "{json}");
        }
        assert_eq!(peek_text(b"{\"model\":\"\xff\"}", "model"), None);
        for (json, is_true) in [
            (r#"{"messages":["\"stream\":true"],"stream": true }"#, true),
            (r#"{"messages":["\"stream\":true"],"stream":false}"#, false),
            (r#"{"messages":["\"stream\":true"]}"#, false),
            (r#"{"stream":"true"}"#, false),
            (r#"{"x":{"stream":true}}"#, false),
            ("", false),
        ] {
            assert_eq!(peek_true(json.as_bytes(), "stream"), is_true, "{json}");
        }
    }
}
