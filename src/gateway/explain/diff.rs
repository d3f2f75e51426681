//! What differs between two texts, for people.

use gateway_core::redact::{MASK, is_secret_name};
use serde_json::Value;
use similar::TextDiff;
use std::fmt::Write as _;
use std::time::Duration;

/// How long the difference of two texts is looked for; after that it is told more roughly.
const LONGEST_DIFF: Duration = Duration::from_millis(500);
/// Lines around a change in a diff.
const CONTEXT_LINES: usize = 2;

/// A unified diff of two texts.
pub(super) fn of_texts(before: &str, after: &str) -> String {
    let shown = |text: &str| Laid { text: text.to_owned(), masked: None };
    unified(&shown(before), &shown(after))
}

/// A unified diff of two bodies. Those in JSON are laid out over lines, and what a name makes a secret is masked in them: a line
/// whose secret changes is told, but not what it was and is.
pub(super) fn of_bodies(before: &[u8], after: &[u8]) -> String {
    unified(&laid_out(before), &laid_out(after))
}

/// A text for a diff.
struct Laid {
    text: String,
    /// The same lines with masks; `None` if there is nothing to mask.
    masked: Option<String>,
}

fn laid_out(body: &[u8]) -> Laid {
    // The line break at the end is for people.
    let pretty = |value: &Value| serde_json::to_string_pretty(value).map(|text| text + "\n").ok();
    let value = serde_json::from_slice::<Value>(body).ok();
    match value.and_then(|value| Some((pretty(&value)?, value))) {
        Some((text, mut value)) => {
            mask(&mut value, false);
            Laid { text, masked: pretty(&value) }
        }
        None => Laid { text: String::from_utf8_lossy(body).into_owned(), masked: None },
    }
}

/// Masks the texts that have the name of a secret. The lines stay the same.
fn mask(value: &mut Value, is_secret: bool) {
    match value {
        Value::String(text) if is_secret => MASK.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, is_secret)),
        Value::Object(members) => {
            for (name, member) in members {
                // A schema of JSON describes what has these names.
                match (name.as_str(), &mut *member) {
                    ("properties", Value::Object(described)) if !is_secret => {
                        described.values_mut().for_each(|schema| mask(schema, false));
                    }
                    (name, member) => mask(member, is_secret || is_secret_name(name)),
                }
            }
        }
        _ => {}
    }
}

fn unified(before: &Laid, after: &Laid) -> String {
    // Two texts that have nothing in common could be compared for minutes.
    let diff = TextDiff::configure().timeout(LONGEST_DIFF).diff_lines(before.text.as_str(), after.text.as_str());
    let lines = |laid: &Laid| -> Option<Vec<String>> {
        Some(laid.masked.as_ref()?.split_inclusive('\n').map(str::to_owned).collect())
    };
    let (old, new) = (lines(before), lines(after));
    let masked = |lines: &Option<Vec<String>>, at: Option<usize>| lines.as_ref()?.get(at?).cloned();
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        // Writing to a string cannot fail.
        if text.is_empty() {
            text.push_str("--- client\n+++ upstream\n");
        }
        let _ = writeln!(text, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = masked(&new, change.new_index()).or_else(|| masked(&old, change.old_index()));
            let line = line.unwrap_or_else(|| change.value().to_owned());
            let _ = write!(text, "{}{line}", change.tag());
            if change.missing_newline() {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_by_its_name_and_its_change_is_told() {
        let before = br#"{"metadata":{"api_key":"of-the-client","user":"u"},"max_tokens":5}"#;
        let after = br#"{"metadata":{"api_key":"of-a-rule","user":"u"},"max_tokens":6}"#;
        let diff = of_bodies(before, after);
        assert!(!diff.contains("of-the-client") && !diff.contains("of-a-rule"), "{diff}");
        for shown in [
            "-    \"api_key\": \"********\"",
            "+    \"api_key\": \"********\"",
            "+  \"max_tokens\": 6",
            "\"user\": \"u\"",
        ] {
            assert!(diff.contains(shown), "{shown}: {diff}");
        }
        let tools = br#"{"tools":[{"input_schema":{"properties":{"token":{"type":"string"}}}}]}"#;
        assert!(of_bodies(tools, b"{}").contains("\"type\": \"string\""));
        assert_eq!(of_texts("a\nb\n", "a\nc\n"), "--- client\n+++ upstream\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
    }
}
