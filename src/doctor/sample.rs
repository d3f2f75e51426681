//! The message that a test sends: the sample of Claude Code that `explain` has too, with one token of output.

use super::model::{Choice, version};
use crate::gateway::SAMPLE;
use bytes::Bytes;
use gateway_core::rules::document::{Document, Json, Pointer};

/// The session of the sample: each message is one of its own.
const SESSION: &str = "00000000-0000-4000-8000-000000000000";
/// The first flag of the sample's `anthropic-beta`, beside which others are put.
const FLAG: &str = "anthropic-beta: claude-code-20250219,";
/// The flag of the long context, which Claude Code sends for a model that is called `NAME[1m]`.
const LONG_CONTEXT: &str = "context-1m-2025-08-07";
/// The oldest models that know `thinking.type: adaptive`, which the sample has: older ones answer it with a 400, and Claude
/// Code sends them none of these members.
const ADAPTIVE_SINCE: (u32, u32) = (4, 6);
const OF_ADAPTIVE: [&str; 3] = ["/thinking", "/context_management", "/output_config"];

/// The head, with this key, and the body for this model.
pub(super) fn message(choice: &Choice, client_key: Option<&str>) -> (String, Bytes) {
    let session = uuid();
    let (head, body) = SAMPLE;
    let mut head = head.replace(SESSION, &session);
    if choice.long_context {
        head = head.replacen(FLAG, &format!("{FLAG}{LONG_CONTEXT},"), 1);
    }
    if let Some(key) = client_key {
        head = head.replacen("Bearer sk-sample", &format!("Bearer {key}"), 1);
    }
    (head, Bytes::from(adapted(&body.replace(SESSION, &session), &choice.name)))
}

/// The body for this model, without blanks, as Claude Code writes it.
fn adapted(body: &str, model: &str) -> Vec<u8> {
    let Ok(mut document) = Document::parse(body.as_bytes()) else { return body.into() };
    let set = |document: &mut Document<'_>, pointer: &str, json: Option<Json<'static>>| {
        let Ok(pointer) = pointer.parse::<Pointer>() else { return };
        // What the sample lacks need not be taken out of it; a test knows that the rest is there.
        let _ = match json {
            Some(json) => document.set(&pointer, json),
            None => document.remove(&pointer),
        };
    };
    set(&mut document, "/model", Some(Json::string(model)));
    // A stream, as the client asks for: relays treat what is no stream otherwise, and cut it at other times.
    set(&mut document, "/max_tokens", Json::parse("1").ok());
    let version = version(model);
    if version > (0, 0) && version < ADAPTIVE_SINCE {
        OF_ADAPTIVE.into_iter().for_each(|member| set(&mut document, member, None));
    }
    let _ = document.compact();
    document.to_bytes()
}

/// A random one (RFC 9562 section 5.4).
pub(crate) fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(model: &str, long_context: bool) -> (String, String) {
        let choice = Choice { long_context, ..Choice::named(model) };
        let (head, body) = message(&choice, Some("sk-1"));
        (head, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[test]
    fn it_is_the_sample_with_one_token_of_output_and_a_session_of_its_own() {
        let (head, body) = made("claude-opus-5-5", true);
        assert!(body.starts_with("{\"model\":\"claude-opus-5-5\",\"messages\":["), "{body}");
        assert!(body.ends_with("\"output_config\":{\"effort\":\"medium\"},\"stream\":true}"), "{body}");
        assert!(body.contains("\"max_tokens\":1,\"thinking\":{\"type\":\"adaptive\"}"), "{body}");
        for wanted in ["authorization: Bearer sk-1\n", "anthropic-beta: claude-code-20250219,context-1m-2025-08-07,"] {
            assert!(head.contains(wanted), "{head}");
        }
        let session = head.lines().find_map(|line| line.strip_prefix("X-Claude-Code-Session-Id: ")).expect("a session");
        assert!(session != SESSION && body.contains(session) && !body.contains(SESSION), "{body}");
        assert!(!made("claude-opus-5-5", false).0.contains("context-1m"));
    }

    #[test]
    fn models_that_know_no_adaptive_thinking_are_not_asked_for_it() {
        for (model, adaptive) in [
            ("claude-haiku-4-5-20251001", false),
            ("claude-sonnet-4-5", false),
            ("claude-3-5-haiku-20241022", false),
            ("claude-opus-4-6", true),
            ("claude-sonnet-5-5", true),
            ("gpt-astra", true),
        ] {
            let (_, body) = made(model, false);
            assert_eq!(body.contains("adaptive"), adaptive, "{model}");
            assert_eq!(body.contains("clear_thinking"), adaptive, "{model}");
        }
    }

    #[test]
    fn sessions_are_uuids_of_their_own() {
        let one = uuid();
        assert_eq!((one.len(), &one[14..15], one != uuid()), (36, "4", true), "{one}");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
