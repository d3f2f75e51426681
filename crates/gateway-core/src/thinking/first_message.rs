//! What a conversation is known by that has no name: its first message.

use crate::rules::document::peek_first;
use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3Default;

#[derive(Deserialize)]
struct Message<'m> {
    #[serde(borrow)]
    content: Option<&'m RawValue>,
}

#[derive(Deserialize)]
struct Block<'m> {
    #[serde(borrow)]
    text: Option<&'m RawValue>,
}

/// A digest of the texts of the first message; `None` if there is none. Clients set marks for caching at the end of what
/// they send, so that the marks of a message differ from turn to turn; its texts do not.
pub fn first_message(body: &[u8]) -> Option<u64> {
    let message: Message<'_> = serde_json::from_slice(peek_first(body, "messages")?).ok()?;
    let content = message.content?.get();
    let mut hasher = Xxh3Default::new();
    match serde_json::from_str::<Vec<Block<'_>>>(content) {
        Ok(blocks) => {
            blocks.iter().filter_map(|block| block.text).for_each(|text| hasher.update(text.get().as_bytes()))
        }
        Err(_) => hasher.update(content.as_bytes()),
    }
    Some(hasher.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_texts_of_the_first_message_count() {
        let digest = |messages: &str| first_message(format!(r#"{{"model":"a","messages":{messages}}}"#).as_bytes());
        let one = digest(r#"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#);
        assert!(one.is_some());
        let later = r#"[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},
            {"role":"assistant","content":"x"}]"#;
        assert_eq!(one, digest(later));
        assert_ne!(one, digest(r#"[{"role":"user","content":[{"type":"text","text":"ho"}]}]"#));
        assert_eq!(digest(r#"[{"content":"hi"}]"#), digest(r#"[{"content":"hi"},{"content":"ho"}]"#));
        for none in ["[]", "[1]", "{}", r#"[{"role":"user"}]"#, "[{"] {
            assert_eq!(digest(none), None, "{none}");
        }
    }
}
