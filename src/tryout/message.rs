//! The message: as Claude Code would send it, for some relays serve nobody else, and as small as can be.

use crate::config::secret::Secret;
use crate::doctor::model::Choice;
use crate::doctor::sample::uuid;
use gateway_core::protocol::Protocol;
use serde_json::json;
use std::net::SocketAddr;

/// Where the models are listed.
pub(super) const MODELS: &str = "/v1/models?limit=1000";
/// Where the message goes.
const MESSAGES: &str = "/v1/messages?beta=true";
/// What Claude Code called itself when this was written.
const USER_AGENT: &str = "claude-cli/2.1.332 (external, cli)";
/// Who asks, as relays look for it.
const IDENTITY: &str = "You are Claude Code, Anthropic's official CLI for Claude.";
/// The flag that all requests of Claude Code carry.
const FLAG: &str = "claude-code-20250219";
/// The flag of the long context, which Claude Code sends for a model that is called `NAME[1m]`.
const LONG_CONTEXT: &str = "context-1m-2025-08-07";
/// Enough for some words.
const MAX_TOKENS: u32 = 64;
const QUESTION: &str = "Reply with the words: it works";

/// The client's key, as it is sent.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// `ANTHROPIC_AUTH_TOKEN`.
    Bearer(Secret),
    /// `ANTHROPIC_API_KEY`.
    ApiKey(Secret),
}

impl Credential {
    fn field(&self) -> String {
        match self {
            Self::Bearer(key) => format!("Authorization: Bearer {}\r\n", key.expose()),
            Self::ApiKey(key) => format!("x-api-key: {}\r\n", key.expose()),
        }
    }
}

/// The message.
#[derive(Debug)]
pub(super) struct Message {
    credential: Option<Credential>,
    long_context: bool,
    body: String,
    /// Its session, which is this command's alone.
    pub session: String,
}

impl Message {
    /// For this model.
    pub(super) fn new(choice: &Choice, credential: Option<Credential>) -> Self {
        let session = uuid();
        let user = json!({"device_id": format!("{:064x}", 0), "account_uuid": "", "session_id": session}).to_string();
        // In the order of Claude Code's own.
        let body = format!(
            "{{\"model\":{},\"messages\":{},\"system\":{},\"tools\":[],\"metadata\":{},\"max_tokens\":{MAX_TOKENS},\
             \"stream\":true}}",
            json!(choice.name),
            json!([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]),
            json!([{"type": "text", "text": IDENTITY}]),
            json!({"user_id": user}),
        );
        Self { credential, long_context: choice.long_context, body, session }
    }

    /// The key that goes with it.
    pub(super) fn key(&self) -> Option<&Secret> {
        let (Credential::Bearer(key) | Credential::ApiKey(key)) = self.credential.as_ref()?;
        Some(key)
    }

    /// As it is sent.
    pub(super) fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let flags = if self.long_context { format!("{FLAG},{LONG_CONTEXT}") } else { FLAG.to_owned() };
        let more = format!(
            "Content-Type: application/json\r\nX-Claude-Code-Session-Id: {}\r\nanthropic-beta: {flags}\r\n\
             anthropic-dangerous-direct-browser-access: true\r\nContent-Length: {}\r\n",
            self.session,
            self.body.len()
        );
        request("POST", MESSAGES, self.credential.as_ref(), host, &more, &self.body)
    }
}

/// What a message asks.
pub(super) fn asked() -> Protocol {
    Protocol::of("POST", MESSAGES.as_bytes())
}

/// The request for the list of models.
pub(super) fn list_of_models(credential: Option<&Credential>, host: SocketAddr) -> Vec<u8> {
    request("GET", MODELS, credential, host, "", "")
}

fn request(
    method: &str,
    target: &str,
    credential: Option<&Credential>,
    host: SocketAddr,
    more: &str,
    body: &str,
) -> Vec<u8> {
    let credential = credential.map(Credential::field).unwrap_or_default();
    // The gateway's own words are told as they come.
    let language = crate::language::here().tag();
    format!(
        "{method} {target} HTTP/1.1\r\nAccept: application/json\r\nAccept-Language: {language}\r\n\
         User-Agent: {USER_AGENT}\r\nanthropic-version: 2023-06-01\r\n{more}{credential}x-app: cli\r\nHost: {host}\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_relays_look_for() {
        let choice = Choice { long_context: true, ..Choice::named("claude-\"x") };
        let message = Message::new(&choice, Some(Credential::ApiKey(Secret::new("sk-1".to_owned()))));
        let bytes = String::from_utf8(message.bytes("127.0.0.1:8088".parse().expect("an address"))).expect("text");
        let (head, body) = bytes.split_once("\r\n\r\n").expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&body["model"], &body["stream"]), (&"claude-\"x".into(), &true.into()));
        assert_eq!(body["system"][0]["text"], IDENTITY);
        let user: serde_json::Value =
            serde_json::from_str(body["metadata"]["user_id"].as_str().expect("a user")).expect("JSON");
        assert_eq!(user["session_id"], message.session);
        for field in ["x-api-key: sk-1\r\n", "anthropic-beta: claude-code-20250219,context-1m-2025-08-07\r\n"] {
            assert!(head.contains(field), "{head}");
        }
        assert!(!format!("{message:?}").contains("sk-1"));
    }
}
