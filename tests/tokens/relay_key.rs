//! The relay's key: what a relay repeats of it reaches nobody who has only a token.

use super::{RELAY_KEY, gateway, issue, post, yaml};
use harness::{Reply, Upstream, gzip};

#[tokio::test]
async fn an_error_that_repeats_the_relays_key_is_masked() {
    let error = format!(
        "{{\"error\":{{\"message\":\"invalid key {RELAY_KEY} (***)\",\"other\":\"sk-ant-of-others-0123456789\"}}}}"
    );
    let masked = error.replace(RELAY_KEY, &"*".repeat(RELAY_KEY.len()));
    let (whole, long) = (error.clone(), format!("{}{error}", "x".repeat(200_000)));
    let answers = long.clone();
    let upstream = Upstream::start(move |request| {
        let reply =
            Reply::status(403).header("x-key", format!("is {RELAY_KEY}")).header("content-type", "application/json");
        match request.headers.all("x-form").first().map(String::as_str) {
            Some("pieces") => {
                let at = whole.find(RELAY_KEY).expect("there") + 7;
                reply.chunked().bytes(&whole[..at]).bytes(&whole[at..])
            }
            Some("gzip") => reply.header("content-encoding", "gzip").body(gzip(whole.as_bytes())),
            Some("good gzip") => reply.header("content-encoding", "gzip").body(gzip(b"{\"error\":{}}")),
            Some("long") => reply.body(answers.clone()),
            Some("success") => Reply::json(whole.clone()),
            _ => reply.body(whole.clone()),
        }
    })
    .await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    for form in ["whole", "pieces"] {
        let answer = gateway.request(&post(&token).header("x-form", form)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (403, masked.as_str()), "{form}");
        assert_eq!(answer.header("x-key").as_deref(), Some(&*format!("is {}", "*".repeat(RELAY_KEY.len()))));
    }
    // In a coding it cannot be masked: another error takes its place. Without the key it goes through as it is.
    let answer = gateway.request(&post(&token).header("x-form", "gzip")).await;
    assert!(answer.status() >= 400 && answer.header("content-encoding").is_none(), "{}", answer.text());
    assert!(answer.json()["type"] == "error" && !answer.text().contains(RELAY_KEY), "{}", answer.text());
    let answer = gateway.request(&post(&token).header("x-form", "good gzip")).await;
    assert_eq!((answer.status(), answer.text()), (403, String::from_utf8_lossy(&gzip(b"{\"error\":{}}")).into_owned()));
    // Only the beginning of an error is looked through, and nothing of a success.
    let answer = gateway.request(&post(&token).header("x-form", "long")).await;
    assert_eq!((answer.status(), answer.text()), (403, long));
    let answer = gateway.request(&post(&token).header("x-form", "success")).await;
    assert_eq!((answer.status(), answer.text()), (200, error));
}
