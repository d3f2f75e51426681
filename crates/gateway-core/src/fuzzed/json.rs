//! JSON texts, beside serde_json.

use crate::prompt_shape::PromptShape;
use crate::rules::document::{Document, peek_first, peek_text, peek_true};
use serde::de::IgnoredAny;
use serde_json::Value;

/// A text is JSON where serde_json says so; its members are those that serde_json finds; and what looks only for one of
/// them, or passes over the text for the prompt's shape, finds the same.
pub(super) fn scan(text: &[u8]) {
    let document = Document::parse(text);
    let is_text = std::str::from_utf8(text).is_ok();
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) => assert_eq!(document.is_ok(), is_text),
        Err(error) => assert!(document.is_err() || error.to_string().contains("recursion limit"), "{error}"),
    }
    let shape = PromptShape::with_layout(text);
    let Ok(document) = document else {
        // What passes over a text for its shape leaves the encoding to others.
        assert!(shape.is_none() || !is_text, "it has the shape of a prompt, and is no JSON");
        return;
    };
    if let Some((_, layout)) = &shape {
        let known = Document::read(text, Some(layout)).expect("as before");
        assert_eq!(known.to_bytes(), text);
        for name in ["model", "system", "messages", "tools", "stream", "a"] {
            assert_eq!(known.member_text(name), document.member_text(name), "{name}");
        }
    }
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(text) else { return };
    for (name, value) in &members {
        let found = document.member_text(name).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
        assert_eq!(found.as_ref(), Some(value), "{name:?}");
        // The first member of that name is the last one too, if it is written once, without escapes.
        if memchr::memmem::find_iter(text, name.as_bytes()).count() != 1 || text.contains(&b'\\') {
            continue;
        }
        assert_eq!(peek_text(text, name).as_deref(), value.as_str(), "{name:?}");
        assert_eq!(peek_true(text, name), *value == Value::Bool(true), "{name:?}");
        let first = peek_first(text, name).map(|text| serde_json::from_slice::<Value>(text).expect("JSON"));
        assert_eq!(first.as_ref(), value.as_array().and_then(|list| list.first()), "{name:?}");
    }
}
