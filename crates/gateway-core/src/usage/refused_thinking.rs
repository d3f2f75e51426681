//! An upstream that refuses thinking which came back: because it is bound to another conversation or account, or because its
//! signature is none of its own.

use super::error_body::ErrorText;
use crate::rules::thinking::Place;

/// A 400 that says so. As the API words it, on 2026-11-27: ``messages.1.content.0: Invalid `signature` in `thinking`
/// block. The block is bound to a different conversation.``
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first block that is refused, if it is named.
    pub first: Option<Place>,
}

/// How far apart the words may stand that together say so.
const SENTENCE: usize = 160;

impl Refusal {
    /// What an error says, if it says that; whatever a relay has put around the API's own words: another shape, JSON within
    /// a text, no quotes.
    pub fn read(error: &ErrorText) -> Option<Self> {
        error.message.as_deref().and_then(find).or_else(|| find(&error.body))
    }
}

/// Whether an error says that the field is not known by which the API is asked to drop thinking that does not fit, or the
/// flag that goes with it. One that refuses the thinking itself names the field too, as a cure.
pub fn refuses_controls(error: &ErrorText) -> bool {
    let text = error.body.to_ascii_lowercase();
    ["block_binding", "thinking-binding-controls"].iter().any(|name| text.contains(name))
        && Refusal::read(error).is_none()
}

fn find(text: &str) -> Option<Refusal> {
    let plain = plain(text);
    let at = words(&plain)?;
    // What it names behind that is where the conversations differ.
    Some(Refusal { first: last_place(&plain[..at]) })
}

/// In small letters, without the marks that are put around names, and with one blank between words.
fn plain(text: &str) -> String {
    let text = text.replace("\\u0060", "").replace("\\n", " ").replace("\\t", " ");
    let mut plain = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !matches!(character, '`' | '"' | '\'' | '\\' | '*' | '‘' | '’'))
    {
        match character.is_whitespace() {
            true if plain.ends_with(' ') => {}
            true => plain.push(' '),
            false => plain.push(character.to_ascii_lowercase()),
        }
    }
    plain
}

/// Where it says so.
fn words(plain: &str) -> Option<usize> {
    let near = |at: usize, words: &[&str]| {
        let (from, to) = (floor(plain, at.saturating_sub(SENTENCE)), floor(plain, at + SENTENCE));
        words.iter().any(|word| plain[from..to].contains(word))
    };
    let signature = plain.match_indices("signature").map(|(at, _)| at).find(|&at| {
        near(at, &["thinking"]) && near(at, &["invalid", "not valid", "mismatch", "verif", "does not match", "corrupt"])
    });
    let bound =
        plain.match_indices("bound to a different").map(|(at, _)| at).find(|&at| near(at, &["block", "thinking"]));
    signature.into_iter().chain(bound).min()
}

/// The beginning of the character at this byte, or the end.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The last `messages.5.content.0` or `messages[5].content[0]` of a text.
fn last_place(plain: &str) -> Option<Place> {
    plain.match_indices("messages").filter_map(|(at, name)| place(&plain[at + name.len()..])).last()
}

fn place(rest: &str) -> Option<Place> {
    let (message, rest) = index(rest)?;
    let (block, _) = index(rest.strip_prefix(".content")?)?;
    Some(Place { message, block })
}

/// `.5` or `[5]`.
fn index(text: &str) -> Option<(usize, &str)> {
    let (rest, is_bracket) = match text.strip_prefix('.') {
        Some(rest) => (rest, false),
        None => (text.strip_prefix('[')?, true),
    };
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..end].parse().ok()?;
    let rest = &rest[end..];
    Some((number, if is_bracket { rest.strip_prefix(']')? } else { rest }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::decode::Decoder;
    use crate::usage::error_body::ErrorBody;

    const BOUND: &str = "messages.5.content.0: Invalid `signature` in `thinking` block. The block is bound to a different \
         conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". Content \
         before this block differs from when it was created, first at `messages.0.content.0`.";

    fn read(body: &str) -> Option<Refusal> {
        let mut error = ErrorBody::new(Decoder::new([&b""[..]]));
        error.push(body.as_bytes());
        Refusal::read(&error.finish())
    }

    fn at(message: usize, block: usize) -> Option<Refusal> {
        Some(Refusal { first: Some(Place { message, block }) })
    }

    #[test]
    fn it_is_told_in_every_wrapping() {
        let api =
            serde_json::json!({ "type": "error", "error": { "type": "invalid_request_error", "message": BOUND } });
        let text = api.to_string();
        for body in [
            text.clone(),
            serde_json::to_string_pretty(&api).expect("JSON"),
            serde_json::json!({ "error": { "code": 400, "message": text, "status": "INVALID_ARGUMENT" } }).to_string(),
            serde_json::json!({ "error": { "type": "request_fail", "upstream_error": api } }).to_string(),
            serde_json::json!({ "error": { "message": format!("{BOUND} (request id: 1)"), "type": "new_api_error" } })
                .to_string(),
            serde_json::json!({ "detail": BOUND.replace('`', "") }).to_string(),
            serde_json::json!({ "code": "400", "msg": BOUND.replace('`', "'").to_uppercase() }).to_string(),
            text.replace('`', "\\u0060"),
            format!("event: error\ndata: {text}\n\n"),
            BOUND.replace(". ", ".\n"),
            // Cut in the middle of a string.
            format!("{}{}", &text[..text.len() - 3], " ".repeat(9_000)),
        ] {
            assert_eq!(read(&body), at(5, 0), "{body}");
        }
    }

    #[test]
    fn blocks_are_named_in_several_ways_or_not_at_all() {
        for (text, refusal) in [
            ("messages.1.content.0: Invalid `signature` in `thinking` block", at(1, 0)),
            ("messages.31.content.12: Invalid `signature` in `redacted_thinking` block", at(31, 12)),
            ("messages[3].content[1]: invalid signature in thinking block", at(3, 1)),
            ("messages.3.content.1.thinking.signature: not valid", at(3, 1)),
            ("Invalid signature in thinking block", Some(Refusal { first: None })),
            ("The block is bound to a different account.", Some(Refusal { first: None })),
            ("The thinking block's signature could not be verified", Some(Refusal { first: None })),
            ("messages.7: Invalid signature in thinking block", Some(Refusal { first: None })),
            (
                "messages.99999999999999999999.content.0: Invalid signature in thinking block",
                Some(Refusal { first: None }),
            ),
        ] {
            let body = serde_json::json!({ "error": { "message": text } }).to_string();
            assert_eq!(read(&body), refusal, "{text}");
        }
    }

    #[test]
    fn other_errors_are_none() {
        for text in [
            "",
            "max_tokens: must be greater than thinking.budget_tokens",
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
            "Invalid signature in the request",
            "invalid x-api-key",
            "thinking.adaptive.block_binding: Extra inputs are not permitted",
            "adaptive thinking is not supported on this model",
            "`thinking` blocks in the latest assistant message cannot be modified",
        ] {
            let body =
                serde_json::json!({ "type": "error", "error": { "type": "invalid_request_error", "message": text } });
            assert_eq!(read(&body.to_string()), None, "{text}");
        }
    }

    #[test]
    fn relays_that_do_not_know_the_field_say_so() {
        let refuses = |text: &str| {
            let body = serde_json::json!({ "error": { "message": text } }).to_string();
            let mut error = ErrorBody::new(Decoder::new([&b""[..]]));
            error.push(body.as_bytes());
            refuses_controls(&error.finish())
        };
        for text in [
            "thinking.adaptive.block_binding: Extra inputs are not permitted",
            "thinking.block_binding: Unknown field",
            "Unexpected value(s) `thinking-binding-controls-2026-08-01` for the `anthropic-beta` header.",
            "invalid beta flag: Thinking-Binding-Controls-2026-08-01",
        ] {
            assert!(refuses(text), "{text}");
        }
        for text in [BOUND, "", "thinking.adaptive: Extra inputs are not permitted", "invalid beta flag"] {
            assert!(!refuses(text), "{text}");
        }
    }
}
