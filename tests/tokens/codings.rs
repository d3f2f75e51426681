//! A token in a coding: as programs put it into fields, cookies and texts.

use super::{assert_absent, files, gateway, has_reason, issue, post, refused, relay, rows, yaml};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::Request;

#[tokio::test]
async fn a_token_in_a_coding_goes_to_no_relay() {
    let upstream = relay().await;
    let more = "  log: {capture: all}\n  debug: true\n";
    let gateway = gateway().yaml(&yaml(&upstream, more)).env("GATEWAY_DB", "data/log.db").start().await;
    let (_, token) = issue(&gateway, "").await;
    let (_, other) = issue(&gateway, "--name other").await;
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let body = |text: &str| {
        let body =
            format!("{{\"model\":\"claude-haiku-5-5\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}");
        Request::post("/v1/messages", body).header("x-api-key", &other)
    };
    let with = |name: &str, value: String| post(&other).header(name, value);
    let each = |form: fn(u8) -> String| token.bytes().map(form).collect::<String>();
    let keyless = |name: &str, value: String| Request::get("/v1/models").header(name, value);
    let cases = [
        with("proxy-authorization", basic(format!("me:{token}"))),
        with("cookie", format!("a=b; key={}", URL_SAFE_NO_PAD.encode(&token))),
        with("cookie", format!("key={}", token.replace('_', "%255f"))),
        with("x-meta", format!("{{\"t\":\"{}\"}}", token.replace('_', "\\u005f"))),
        with("x-meta", token.replace("agw_", "")),
        body(&token.replace('_', "\\u005f")),
        body(&token.replace('_', "%5F")),
        body(&each(|letter| format!("\\u{letter:04x}"))),
        body(&each(|letter| format!("{letter:02X}"))),
        with("x-meta", each(|letter| format!("%{letter:02x}"))),
        body(&format!("authorization: {}\\n", basic(format!("alice:{token}")))),
        body(&URL_SAFE_NO_PAD.encode(format!("{{\"token\":\"{token}\"}}"))),
        Request::get(&format!("/v1/models?key={}", STANDARD.encode(&token))).header("x-api-key", &other),
        Request::get(&format!("/v1/models?key={}", token.replace('_', "%5F"))).header("x-api-key", &other),
        keyless("authorization", basic(format!("x:{token}"))),
        keyless("authorization", basic(format!("{token}:"))),
        keyless("x-api-key", STANDARD.encode(&token)),
    ];
    let count = cases.len();
    for (at, request) in cases.into_iter().enumerate() {
        let from = gateway.stderr_lines();
        let answer = gateway.request(&request).await;
        assert_eq!(answer.status(), 403, "{at}: {}", answer.text());
        assert_eq!(refused(&answer), (403, "permission_error".to_owned()), "{at}");
        has_reason(&gateway, from, "token_exposed").await;
    }
    assert_eq!(upstream.received().len(), 0);
    // What only looks like one goes through.
    let near = format!("{} {} {}", STANDARD.encode(&token[..50]), &token[5..], "x".repeat(300));
    assert_eq!(gateway.request(&body(&near)).await.status(), 200);
    let rows = rows(&gateway, "", count + 1).await;
    let rows: String = rows.iter().filter(|row| row["status"] == 403).map(ToString::to_string).collect();
    let tokens = [token, other];
    assert_absent(&tokens, "the rows", rows.as_bytes());
    assert_absent(&tokens, "the log", gateway.stderr().as_bytes());
    let mut found = Vec::new();
    files(gateway.dir(), &mut found);
    for path in found {
        assert_absent(&tokens, &path.display().to_string(), &std::fs::read(&path).expect("a file"));
    }
}
