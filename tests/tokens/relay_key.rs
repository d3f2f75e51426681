//! The relay's key: what a relay repeats of it reaches nobody who has only a token.

use super::{RELAY_KEY, gateway, issue, post, relay, yaml};
use harness::{Reply, Request, Step, Upstream, gzip};

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

#[tokio::test]
async fn every_field_of_a_head_stays_and_only_the_key_in_it_is_masked() {
    let upstream = Upstream::start(|_| {
        let reply = Reply::status(403).header("set-cookie", "a=1").header("Set-Cookie", format!("b={RELAY_KEY}"));
        let reply = reply.header("x-between", "c").header("set-cookie", format!("d={RELAY_KEY}; {RELAY_KEY}"));
        reply.header("set-cookie", "e=2").body("no")
    })
    .await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    let answer = gateway.request(&post(&token)).await;
    let masked = "*".repeat(RELAY_KEY.len());
    let cookies = ["a=1".to_owned(), format!("b={masked}"), format!("d={masked}; {masked}"), "e=2".to_owned()];
    assert_eq!(answer.head.headers.all("set-cookie"), cookies);
    assert_eq!((answer.status(), answer.header("x-between").as_deref()), (403, Some("c")));
}

#[tokio::test]
async fn a_coding_that_cannot_be_read_hides_no_key() {
    let upstream = Upstream::start(|request| {
        let whole = format!("{{\"error\":{{\"message\":\"invalid key {RELAY_KEY}\"}}}}");
        let reply = |coding: &str| Reply::status(403).header("content-encoding", coding);
        let begun = gzip(&[b'x'; 500]);
        match request.headers.all("x-form")[0].as_str() {
            "unknown" => reply("rot13").body(whole),
            "double" => reply("gzip, gzip").body(gzip(&gzip(whole.as_bytes()))),
            "none" => reply("gzip").body(whole),
            "broken" => reply("gzip").chunked().bytes(begun).bytes(whole),
            "nothing" => reply("rot13").body(""),
            _ => reply("identity").body(whole),
        }
    })
    .await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    // No rule waits for the error of what is no model call: nothing of its body is held back.
    let other = Request::get("/v1/files").header("authorization", format!("Bearer {token}"));
    let all = ["unknown", "double", "none", "broken"];
    for (request, forms) in [(post(&token), &all[..]), (other, &all[..3])] {
        for form in forms {
            let answer = gateway.request(&request.clone().header("x-form", form)).await;
            assert!(answer.status() >= 400 && answer.header("content-encoding").is_none(), "{form}: {}", answer.text());
            assert!(
                answer.json()["type"] == "error" && !answer.text().contains(RELAY_KEY),
                "{form}: {}",
                answer.text()
            );
        }
        let answer = gateway.request(&request.clone().header("x-form", "nothing")).await;
        assert_eq!((answer.status(), answer.text().as_str()), (403, ""));
        let answer = gateway.request(&request.clone().header("x-form", "identity")).await;
        let masked = format!("{{\"error\":{{\"message\":\"invalid key {}\"}}}}", "*".repeat(RELAY_KEY.len()));
        assert_eq!((answer.status(), answer.text()), (403, masked));
    }
}

/// A relay's error in a coding that repeats a key.
fn coded_error(status: u16, key: &str) -> Reply {
    let error = format!("{{\"error\":{{\"message\":\"invalid key {key}\"}}}}");
    let reply = Reply::status(status).header("content-encoding", "gzip").header("content-type", "application/json");
    reply.body(gzip(error.as_bytes()))
}

#[tokio::test]
async fn a_coded_error_with_the_key_is_followed_as_any_other() {
    for status in [401, 429, 500] {
        let first = Upstream::start(move |_| coded_error(status, RELAY_KEY)).await;
        let second = relay().await;
        let other =
            format!("    - {{name: other, priority: 2, base_url: \"{}\", api_key: sk-other-1}}\n", second.url());
        let gateway = gateway().yaml(&yaml(&first, &other)).start().await;
        let (_, token) = issue(&gateway, "").await;
        let answer = gateway.request(&post(&token)).await;
        assert_eq!((answer.status(), first.received().len(), second.received().len()), (200, 1, 1), "{status}");
    }
    // The next key of the same upstream, and once both are out, the gateway's word on that.
    let upstream = Upstream::start(|request| {
        let key = request.headers.all("authorization")[0].trim_start_matches("Bearer ").to_owned();
        match request.headers.all("x-form").is_empty() {
            _ if key.contains("first") => coded_error(429, &key),
            false => coded_error(401, &key),
            true => Reply::json("{}"),
        }
    })
    .await;
    let keys = "api_keys: [{key: sk-first-key-1, weight: 100}, {key: sk-second-key-2}]";
    let text = yaml(&upstream, "").replace(&format!("api_key: {RELAY_KEY}"), keys);
    let gateway = gateway().yaml(&text).start().await;
    let (_, token) = issue(&gateway, "").await;
    let answer = gateway.request(&post(&token)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let answer = gateway.request(&post(&token).header("x-form", "all")).await;
    assert!(answer.json()["type"] == "error" && !answer.text().contains("-key-"), "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{}", answer.text());
}

/// A head as it is, with a body behind it.
fn as_it_is(head: &str, body: &str) -> Reply {
    let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    Reply::raw(vec![Step::Raw(text.into_bytes()), Step::Close])
}

#[tokio::test]
async fn a_key_is_masked_in_the_whole_head_of_whatever_is_no_success() {
    let upstream = Upstream::start(|request| {
        let body = format!("key {RELAY_KEY}");
        match &*request.headers.all("x-form")[0] {
            "reason" => as_it_is(&format!("403 No {RELAY_KEY}"), "no"),
            "name" => as_it_is(&format!("403 No\r\nX-{RELAY_KEY}: 1\r\nX-Other: 2"), "no"),
            "upper" => as_it_is(&format!("403 No\r\nX-Other: {}", RELAY_KEY.to_uppercase()), &body.to_uppercase()),
            "interim" => Reply::json("{}").interim(103, &[("link", &body), (RELAY_KEY, "1"), ("x-other", "2")]),
            "moved" => Reply::status(302).header("location", format!("/login?key={RELAY_KEY}")).body(body),
            "same" => Reply::status(304).header("etag", format!("\"{RELAY_KEY}\"")),
            "hidden gzip" => Reply::status(403).body(gzip(body.as_bytes())),
            "moved gzip" => Reply::status(307).header("content-encoding", "gzip").body(gzip(body.as_bytes())),
            "clean gzip" => Reply::status(307).header("content-encoding", "gzip").body(gzip(b"elsewhere")),
            status => as_it_is(&format!("{status} Odd"), &body),
        }
    })
    .await;
    let gateway = gateway().yaml(&yaml(&upstream, "")).start().await;
    let (_, token) = issue(&gateway, "").await;
    let other = Request::get("/v1/files").header("authorization", format!("Bearer {token}"));
    let masked = "*".repeat(RELAY_KEY.len());
    for request in [post(&token), other] {
        for form in ["reason", "name", "upper", "interim", "moved", "same", "hidden gzip", "moved gzip", "600", "999"] {
            let answer = gateway.request(&request.clone().header("x-form", form)).await;
            let all = format!("{:?} {}", answer.head, answer.text());
            assert!(!all.to_lowercase().contains(RELAY_KEY), "{form}: {all}");
            match form {
                "reason" => {
                    assert_eq!((answer.status(), &*answer.head.reason, &*answer.text()), (403, "Forbidden", "no"))
                }
                "name" | "upper" => assert!(answer.header("x-other").is_some(), "{form}"),
                "interim" => {
                    assert_eq!(answer.head.interim.len(), 1);
                    assert_eq!(answer.head.interim[0].1.all("link"), [format!("key {masked}")]);
                    assert_eq!(answer.head.interim[0].1.all("x-other"), ["2"]);
                }
                "moved" => {
                    assert_eq!(answer.header("location").as_deref(), Some(&*format!("/login?key={masked}")));
                    assert_eq!((answer.status(), answer.text()), (302, format!("key {masked}")));
                }
                "same" => assert_eq!(answer.header("etag"), Some(format!("\"{masked}\""))),
                "600" | "999" => assert_eq!(answer.text(), format!("key {masked}")),
                _ => {
                    assert!(matches!(answer.status(), 403 | 502) && answer.header("content-encoding").is_none());
                    assert_eq!(answer.json()["type"], "error", "{form}");
                }
            }
        }
        let answer = gateway.request(&request.header("x-form", "clean gzip")).await;
        assert_eq!((answer.status(), answer.body.clone()), (307, gzip(b"elsewhere")));
    }
}

#[tokio::test]
async fn every_key_of_the_configuration_is_masked() {
    let secrets =
        ["sk-first-key-1", "sk-second-key-2", "sk-of-another-upstream", "set-by-a-rule-0123", "of-the-proxy-1"];
    let secrets_told = secrets.join(" ");
    // A password that looks like the length of what comes leaves that as it is.
    let length = 100_000 + secrets_told.len();
    let told = format!("{secrets_told}{}", "x".repeat(100_000));
    let masked = format!("{}{}", secrets.map(|secret| "*".repeat(secret.len())).join(" "), "x".repeat(100_000));
    let upstream = Upstream::start(move |_| Reply::status(400).body(told.clone())).await;
    let more = "    - {name: other, base_url: \"http://127.0.0.1:9\", api_key: sk-of-another-upstream, priority: 9, \
                proxy: \"http://me:of-the-proxy-1@127.0.0.1:9\"}\n    - {name: third, base_url: \"http://127.0.0.1:9\", \
                priority: 9, api_key: \"LENGTH\"}\n  rules:\n    - {name: keyed, headers: {set: \
                {x-api-token: set-by-a-rule-0123}}}\n";
    let keys = "api_keys: [{key: sk-first-key-1}, {key: sk-second-key-2}]";
    let text = yaml(&upstream, more).replace(&format!("api_key: {RELAY_KEY}"), keys);
    let gateway = gateway().yaml(&text.replace("LENGTH", &length.to_string())).start().await;
    let (_, token) = issue(&gateway, "").await;
    let answer = gateway.request(&post(&token)).await;
    assert!(answer.status() == 400 && answer.text() == masked, "{}", &answer.text()[..200]);
}

#[tokio::test]
async fn what_was_held_back_comes_before_the_end() {
    let begun = &RELAY_KEY[..9];
    let error = format!("is {RELAY_KEY} or {begun}");
    let (of_h1, of_h2) = (error.clone(), error.clone());
    let masked = error.replace(RELAY_KEY, &"*".repeat(RELAY_KEY.len()));
    let h1 = Upstream::start(move |_| Reply::status(403).chunked().bytes(of_h1.as_str())).await;
    let h2 = Upstream::builder().http2().start(move |request| {
        let reply = Reply::status(403).chunked();
        match &*request.headers.all("x-form")[0] {
            "held" => reply.bytes(of_h2.as_str()).trailer("x-after", RELAY_KEY),
            _ => reply.bytes("no").trailer("x-after", &format!("a {RELAY_KEY}")).trailer("x-other", "1"),
        }
    });
    let h2 = h2.await;
    for (upstream, http) in [(&h1, 1), (&h2, 2)] {
        let text = yaml(upstream, "").replace(", api_key", &format!(", http: {http}, api_key"));
        let gateway = gateway().yaml(&text).start().await;
        let (_, token) = issue(&gateway, "").await;
        let answer = gateway.request(&post(&token).header("x-form", "held")).await;
        assert_eq!((answer.status(), answer.text()), (403, masked.clone()), "HTTP/{http}");
        if http == 2 {
            let head = http::Request::post("http://gateway.test/v1/messages");
            let head = head.header("authorization", format!("Bearer {token}")).header("x-form", "trailers");
            let client = gateway.connect_h2().await;
            let answer = client.send(head.body(()).expect("a request"), &[b"{\"model\":\"model-x\"}"]).await;
            let trailers = answer.trailers.expect("trailers");
            assert_eq!(trailers["x-after"], format!("a {}", "*".repeat(RELAY_KEY.len())));
            assert_eq!(trailers["x-other"], "1");
        }
    }
}
