//! The form in which each kind of target takes a message, and what its answer means. Pure: the formats and signatures
//! that the makers publish, as of November 2026. docs/notify.md has their pages.

use super::fault::Fault;
use super::message::Message;
use crate::config::notify_target::{Channel, Target};
use crate::config::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::RETRY_AFTER;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most bytes of a text: WeCom takes 2,048, ntfy 4,096, Telegram 4,096 characters, Slack and the others more.
const WECOM_BYTES: usize = 2_048;
const NTFY_BYTES: usize = 4_000;
const OTHERS_BYTES: usize = 4_000;
/// What may not stand in a path as it is, besides what URLs are parsed with.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Path and query.
    pub target: Secret,
    /// Its own fields; the values may be secrets.
    pub fields: Vec<(&'static str, Secret)>,
    /// A JSON text.
    pub body: String,
}

/// The request that tells a target of a message; `None` for an email.
pub(super) fn request(target: &Target, message: &Message, now: SystemTime) -> Option<Request> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut path = utf8_percent_encode(target.path.expose(), PATH).to_string();
    let mut fields = Vec::new();
    let body = match &target.channel {
        Channel::Webhook { secret } => {
            let body = webhook(message, now).to_string();
            let seconds = since.as_secs().to_string();
            if let Some(secret) = secret {
                let signed = format!("{}.{seconds}.{body}", message.id);
                let signature = format!("v1,{}", signature(&webhook_key(secret), signed.as_bytes()));
                fields.push(("webhook-signature", Secret::new(signature)));
            }
            fields.push(("webhook-id", Secret::new(message.id.clone())));
            fields.push(("webhook-timestamp", Secret::new(seconds)));
            body
        }
        Channel::Feishu { secret } => {
            let mut body = json!({ "msg_type": "text", "content": { "text": message.text(OTHERS_BYTES) } });
            if let Some(secret) = secret {
                // The text to sign is the key here, and nothing is signed with it.
                let seconds = since.as_secs().to_string();
                let key = format!("{seconds}\n{}", secret.expose());
                body["timestamp"] = seconds.into();
                body["sign"] = signature(key.as_bytes(), b"").into();
            }
            body.to_string()
        }
        Channel::DingTalk { secret } => {
            if let Some(secret) = secret {
                let millis = since.as_millis();
                let signed = format!("{millis}\n{}", secret.expose());
                let sign = signature(secret.expose().as_bytes(), signed.as_bytes());
                let sign = utf8_percent_encode(&sign, NON_ALPHANUMERIC);
                let separator = if path.contains('?') { '&' } else { '?' };
                path = format!("{path}{separator}timestamp={millis}&sign={sign}");
            }
            json!({ "msgtype": "text", "text": { "content": message.text(OTHERS_BYTES) } }).to_string()
        }
        Channel::WeCom => json!({ "msgtype": "text", "text": { "content": message.text(WECOM_BYTES) } }).to_string(),
        Channel::Telegram { chat_id } => {
            let text = message.text(OTHERS_BYTES);
            json!({ "chat_id": chat_id, "text": text, "link_preview_options": { "is_disabled": true } }).to_string()
        }
        Channel::Slack => {
            // The three characters that mean something to Slack.
            let text = message.text(OTHERS_BYTES).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json!({ "text": text }).to_string()
        }
        Channel::Ntfy { topic, token } => {
            if let Some(token) = token {
                fields.push(("authorization", Secret::new(format!("Bearer {}", token.expose()))));
            }
            let text = super::message::cut(&message.lines().join("\n"), NTFY_BYTES);
            json!({ "topic": topic, "title": message.title(), "message": text }).to_string()
        }
        Channel::Email { .. } => return None,
    };
    Some(Request { target: Secret::new(path), fields, body })
}

/// What programs get.
fn webhook(message: &Message, now: SystemTime) -> Value {
    json!({
        "type": if message.is_test { "test" } else { "events" },
        "timestamp": humantime::format_rfc3339_millis(now).to_string(),
        "data": {
            "gateway": message.gateway,
            "language": message.language.tag(),
            "text": message.text(usize::MAX),
            "events": message.events.iter().map(|event| event.json(message.language)).collect::<Vec<_>>(),
        },
    })
}

/// The key of a secret as Standard Webhooks writes it (`whsec_` and Base64); any other text is the key itself.
fn webhook_key(secret: &Secret) -> Vec<u8> {
    let text = secret.expose();
    let decoded = text.strip_prefix("whsec_").and_then(|coded| STANDARD.decode(coded).ok());
    decoded.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// HMAC-SHA256 as Base64.
fn signature(key: &[u8], text: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text))
}

/// What an answer means: most bots answer 200 whatever happened, and say in the body whether they took the message.
///
/// # Errors
/// Why the target did not take the message.
pub(super) fn judge(channel: &Channel, status: u16, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = after.or_else(|| said["parameters"]["retry_after"].as_u64()).map(Duration::from_secs);
    let number = |names: [&str; 2]| names.iter().find_map(|name| said[*name].as_i64());
    let code = match channel {
        Channel::Feishu { .. } => number(["code", "StatusCode"]),
        Channel::DingTalk { .. } | Channel::WeCom => number(["errcode", "errcode"]),
        Channel::Telegram { .. } if said["ok"] == true => Some(0),
        Channel::Telegram { .. } => said["error_code"].as_i64(),
        _ => None,
    };
    let text = ["msg", "errmsg", "description", "error", "StatusMessage"].iter().find_map(|name| said[*name].as_str());
    let text = text.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let is_good = (200..300).contains(&status);
    match code {
        Some(0) if is_good => Ok(()),
        Some(code) if code != 0 => {
            Err(Fault::Refused { code, said: text, is_lasting: !is_passing(channel, code), after })
        }
        // A proxy's page, or a page of somebody else's: nobody took the message.
        None if is_good && says_so(channel) => Err(Fault::Strange { status }),
        _ if is_good => Ok(()),
        _ => Err(Fault::Status { status, said: text, after }),
    }
}

/// Whether a kind says in its answer's body whether it took a message.
fn says_so(channel: &Channel) -> bool {
    matches!(channel, Channel::Feishu { .. } | Channel::DingTalk { .. } | Channel::WeCom | Channel::Telegram { .. })
}

/// Whether the same message may be taken later: too many messages, or a server that is busy.
fn is_passing(channel: &Channel, code: i64) -> bool {
    match channel {
        Channel::Feishu { .. } => matches!(code, 11_232 | 99_991_400),
        Channel::DingTalk { .. } => matches!(code, -1 | 130_101 | 130_102 | 410_100),
        Channel::WeCom => matches!(code, -1 | 45_009),
        Channel::Telegram { .. } => code == 429 || code >= 500,
        _ => false,
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
