use super::super::event::{Event, Subject, Trouble};
use super::*;
use crate::config::BaseUrl;
use crate::config::notify_target::EventKind;
use gateway_core::language::{Language, Words};

/// 2020-09-06T05:54:33Z, the time of the example in Feishu's documentation.
const NOW: u64 = 1_599_360_473;

fn target(channel: Channel, path: &str) -> Target {
    Target {
        name: "t".to_owned(),
        channel,
        place: BaseUrl {
            tls: true,
            host: "a.example".to_owned(),
            port: 443,
            authority: "a.example".to_owned(),
            path_prefix: String::new(),
        },
        path: Secret::new(path),
        events: EventKind::ALL.map(|(_, kind)| kind).to_vec(),
        language: Language::Chinese,
        proxy: None,
    }
}

fn message() -> Message {
    let trouble = Trouble::new(Words::new(format_args!("\"a\" <is> & down"), format_args!("“a”不可用")));
    let event = Event::beginning(&Subject::Upstream("a".into()), &trouble, UNIX_EPOCH + Duration::from_secs(NOW));
    Message { id: "msg_1".to_owned(), ..Message::new(&"box".into(), Language::English, vec![event]) }
}

fn made(channel: Channel, path: &str) -> (Request, Value) {
    let request =
        request(&target(channel, path), &message(), UNIX_EPOCH + Duration::from_secs(NOW)).expect("a request");
    let body = serde_json::from_str(&request.body).expect("JSON");
    (request, body)
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}

const TEXT: &str = "anyrouter-gateway · box\n\"a\" <is> & down";

// The signatures below were made with Python's hmac and base64, after the makers' own examples.

#[test]
fn feishu_signs_nothing_with_the_time_and_the_secret() {
    let (_, body) = made(Channel::Feishu { secret: secret("demo") }, "/open-apis/bot/v2/hook/x");
    assert_eq!(body["timestamp"], "1599360473");
    assert_eq!(body["sign"], "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    assert_eq!((&body["msg_type"], &body["content"]["text"]), (&"text".into(), &TEXT.into()));
    let (_, plain) = made(Channel::Feishu { secret: None }, "/x");
    assert_eq!(plain.get("sign"), None);
}

#[test]
fn dingtalk_signs_the_time_and_the_secret_with_the_secret_in_the_url() {
    let (request, body) = made(Channel::DingTalk { secret: secret("this is secret") }, "/robot/send?access_token=T");
    let wanted =
        "/robot/send?access_token=T&timestamp=1599360473000&sign=hXZTWifRGHclNuZSKxoXc%2F%2Fsh51SWfVfRIhcdeKs63I%3D";
    assert_eq!(request.target.expose(), wanted);
    assert_eq!(body, json!({ "msgtype": "text", "text": { "content": TEXT } }));
}

#[test]
fn a_webhook_is_signed_as_standard_webhooks_says() {
    // MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw is the example's key.
    let (request, body) = made(Channel::Webhook { secret: secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") }, "/hook");
    let field = |name: &str| request.fields.iter().find(|(field, _)| *field == name).expect(name).1.expose().to_owned();
    assert_eq!((field("webhook-id"), field("webhook-timestamp")), ("msg_1".to_owned(), NOW.to_string()));
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("Base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = STANDARD.decode(field("webhook-signature").strip_prefix("v1,").expect("a version")).expect("Base64");
    assert!(hmac::verify(&key, format!("msg_1.{NOW}.{}", request.body).as_bytes(), &tag).is_ok());
    assert_eq!(body["type"], "events");
    assert_eq!(body["data"]["events"][0]["event"], "upstream_down");
    assert_eq!(body["data"]["events"][0]["upstream"], "a");
    assert_eq!(body["data"]["events"][0]["text"], "\"a\" <is> & down");
    assert_eq!(signature(&webhook_key(&Secret::new("plain")), b"x"), "yaqlqaXvELEwDb/HoPblnClm6Ku8QQnKFWAjoJwIyaw=");
}

#[test]
fn the_others_get_what_they_publish() {
    let (_, wecom) = made(Channel::WeCom, "/cgi-bin/webhook/send?key=K");
    assert_eq!(wecom, json!({ "msgtype": "text", "text": { "content": TEXT } }));
    let (telegram, body) = made(Channel::Telegram { chat_id: "-100".to_owned() }, "/bot1:a/sendMessage");
    assert_eq!(
        (telegram.target.expose(), &body["chat_id"], &body["text"]),
        ("/bot1:a/sendMessage", &"-100".into(), &TEXT.into())
    );
    let (_, slack) = made(Channel::Slack, "/services/T/B/x");
    assert_eq!(slack["text"], "anyrouter-gateway · box\n\"a\" &lt;is&gt; &amp; down");
    let (ntfy, body) = made(Channel::Ntfy { topic: "alerts".to_owned(), token: secret("tk_1") }, "/");
    assert_eq!(body, json!({ "topic": "alerts", "title": "anyrouter-gateway · box", "message": "\"a\" <is> & down" }));
    assert_eq!(ntfy.fields, [("authorization", Secret::new("Bearer tk_1"))]);
    let long = Message { events: vec![message().events[0].clone(); 20], gateway: "网".repeat(900), ..message() };
    let long = request(&target(Channel::WeCom, "/"), &long, UNIX_EPOCH).expect("a request");
    let body: Value = serde_json::from_str(&long.body).expect("JSON");
    assert!(body["text"]["content"].as_str().is_some_and(|text| text.len() <= WECOM_BYTES), "{body}");
}

#[test]
fn an_answer_says_whether_the_message_was_taken_and_whether_it_may_be_later() {
    let lasting = |channel: Channel, status: u16, body: &str| {
        judge(&channel, status, &HeaderMap::new(), body.as_bytes()).map_err(|fault| fault.is_lasting())
    };
    let feishu = || Channel::Feishu { secret: None };
    let dingtalk = || Channel::DingTalk { secret: None };
    let telegram = || Channel::Telegram { chat_id: String::new() };
    for (channel, status, body, wanted) in [
        (feishu(), 200, r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#, Ok(())),
        (feishu(), 200, r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#, Ok(())),
        (
            feishu(),
            200,
            r#"{"code":19021,"data":{},"msg":"sign match fail or timestamp is not within one hour from current time"}"#,
            Err(true),
        ),
        (feishu(), 200, r#"{"code":19024,"data":{},"msg":"Key Words Not Found"}"#, Err(true)),
        (feishu(), 400, r#"{"code":11232,"data":{},"msg":"frequency limited psm"}"#, Err(false)),
        (feishu(), 200, "<html>a portal</html>", Err(true)),
        (dingtalk(), 200, r#"{"errcode":0,"errmsg":"ok"}"#, Ok(())),
        (dingtalk(), 200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, Err(true)),
        (dingtalk(), 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, Err(false)),
        (Channel::WeCom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, Ok(())),
        (Channel::WeCom, 200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, Err(true)),
        (Channel::WeCom, 200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, Err(false)),
        (telegram(), 200, r#"{"ok":true,"result":{}}"#, Ok(())),
        (telegram(), 400, r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#, Err(true)),
        (telegram(), 502, "<html>bad gateway</html>", Err(false)),
        (Channel::Slack, 200, "ok", Ok(())),
        (Channel::Slack, 404, "no_service", Err(true)),
        (Channel::Slack, 429, "", Err(false)),
        (Channel::Webhook { secret: None }, 204, "", Ok(())),
        (Channel::Webhook { secret: None }, 302, "", Err(true)),
        (Channel::Webhook { secret: None }, 500, "oops", Err(false)),
        (Channel::Ntfy { topic: String::new(), token: None }, 200, r#"{"id":"x","event":"message"}"#, Ok(())),
        (
            Channel::Ntfy { topic: String::new(), token: None },
            403,
            r#"{"code":40301,"http":403,"error":"forbidden"}"#,
            Err(true),
        ),
    ] {
        assert_eq!(lasting(channel.clone(), status, body), wanted, "{}: {status} {body}", channel.name());
    }
    let flood = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 17","parameters":{"retry_after":17}}"#;
    let fault = judge(&telegram(), 429, &HeaderMap::new(), flood.as_bytes()).expect_err("refused");
    assert_eq!((fault.after(), fault.is_lasting()), (Some(Duration::from_secs(17)), false));
}
