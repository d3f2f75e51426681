//! A stand-in for all kinds of chat bots, after what their makers publish: it refuses what has another form, or another
//! signature, in each one's own way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Received, Reply};
use ring::hmac;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The secret of the signed bots.
pub(crate) const SECRET: &str = "SECa-secret-of-a-bot";
/// The key of the webhook, as its secret and as bytes.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn is_signed(key: &[u8], text: &[u8], signature: &str) -> bool {
    let tag = STANDARD.decode(signature).unwrap_or_default();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), text, &tag).is_ok()
}

/// Whether a time is that of now, as all of them demand.
fn is_now(time: Duration) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.abs_diff(time) < Duration::from_secs(60)
}

fn query(request: &Received, name: &str) -> Option<String> {
    let (_, query) = request.target.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// Answers a message as the bot does whose path this is.
pub(crate) fn answer(request: &Received) -> Reply {
    let is_json = request.headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let path = request.target.split('?').next().unwrap_or_default();
    if request.method != "POST" || !is_json || !body.is_object() {
        return Reply::status(400).body("a POST of JSON is expected");
    }
    match path {
        "/open-apis/bot/v2/hook/0123456789abcdef" => feishu(&body),
        "/robot/send" => dingtalk(request, &body),
        "/cgi-bin/webhook/send" => wecom(request, &body),
        "/bot12345:telegram-token/sendMessage" => telegram(&body),
        "/services/T0/B0/slack-webhook-key" => match body["text"].as_str() {
            Some(text) if !text.is_empty() => Reply::ok("ok"),
            _ => Reply::status(400).body("no_text"),
        },
        "/" => ntfy(request, &body),
        "/hook" => webhook(request, &body),
        _ => Reply::status(404).body("no such bot"),
    }
}

fn feishu(body: &Value) -> Reply {
    let refuse = |code: u32, msg: &str| Reply::json(json!({ "code": code, "data": {}, "msg": msg }).to_string());
    let time = body["timestamp"].as_str().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let key = format!("{}\n{SECRET}", body["timestamp"].as_str().unwrap_or_default());
    let is_right = is_signed(key.as_bytes(), b"", body["sign"].as_str().unwrap_or_default());
    match () {
        () if !(is_right && time.is_some_and(is_now)) => {
            refuse(19021, "sign match fail or timestamp is not within one hour")
        }
        () if body["msg_type"] != "text" || !body["content"]["text"].is_string() => refuse(9499, "Bad Request"),
        () => Reply::json(r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#),
    }
}

fn dingtalk(request: &Received, body: &Value) -> Reply {
    let refuse = |code: u32, msg: &str| Reply::json(json!({ "errcode": code, "errmsg": msg }).to_string());
    let (time, sign) = (query(request, "timestamp").unwrap_or_default(), query(request, "sign").unwrap_or_default());
    let is_right = is_signed(SECRET.as_bytes(), format!("{time}\n{SECRET}").as_bytes(), &sign);
    let time = time.parse().ok().map(Duration::from_millis);
    match () {
        () if query(request, "access_token").as_deref() != Some("dingtalk-access-token") => {
            refuse(300_005, "token is not exist")
        }
        () if !(is_right && time.is_some_and(is_now)) => refuse(310_000, "sign not match"),
        () if body["msgtype"] != "text" || !body["text"]["content"].is_string() => refuse(40_035, "bad parameter"),
        () => refuse(0, "ok"),
    }
}

fn wecom(request: &Received, body: &Value) -> Reply {
    let refuse = |code: u32, msg: &str| Reply::json(json!({ "errcode": code, "errmsg": msg }).to_string());
    let text = body["text"]["content"].as_str();
    match () {
        () if query(request, "key").as_deref() != Some("wecom-webhook-key-1") => refuse(93_000, "invalid webhook url"),
        () if body["msgtype"] != "text" || text.is_none_or(|text| text.len() > 2_048) => refuse(40_058, "bad content"),
        () => refuse(0, "ok"),
    }
}

fn telegram(body: &Value) -> Reply {
    match (body["chat_id"].as_str(), body["text"].as_str()) {
        (Some("-1001"), Some(text)) if text.chars().count() <= 4_096 => Reply::json(r#"{"ok":true,"result":{}}"#),
        _ => Reply::status(400)
            .header("Content-Type", "application/json")
            .body(r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#),
    }
}

fn ntfy(request: &Received, body: &Value) -> Reply {
    let is_text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    match () {
        () if request.headers.get("authorization").as_deref() != Some("Bearer tk_ntfy-token") => Reply::status(401),
        () if body["topic"] == "a-secret-topic" && is_text("title") && is_text("message") => {
            Reply::json(r#"{"id":"x","event":"message"}"#)
        }
        () => Reply::status(400).body("bad message"),
    }
}

/// As the libraries of Standard Webhooks do.
fn webhook(request: &Received, body: &Value) -> Reply {
    let field = |name: &str| request.headers.get(name).unwrap_or_default();
    let (id, time) = (field("webhook-id"), field("webhook-timestamp"));
    let signed = [format!("{id}.{time}.").as_bytes(), request.body.as_slice()].concat();
    let key = STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).expect("Base64");
    let is_right = field("webhook-signature").strip_prefix("v1,").is_some_and(|tag| is_signed(&key, &signed, tag));
    let is_timely = time.parse().ok().map(Duration::from_secs).is_some_and(is_now);
    match is_right && is_timely && !id.is_empty() && body["data"]["events"].is_array() {
        true => Reply::status(204),
        false => Reply::status(401),
    }
}
