//! In which language the gateway tells a client why it has no answer.

use super::gateway;
use harness::{Gateway, Port, Reply, Request, Response, Upstream};

/// Chinese characters.
fn is_chinese(text: &str) -> bool {
    text.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char))
}

/// What is the same in every language.
fn core(answer: &Response) -> (u16, String, Option<String>, Option<String>) {
    let kind = answer.json()["error"]["type"].as_str().unwrap_or_default().to_owned();
    (answer.status(), kind, answer.header("x-should-retry"), answer.header("retry-after"))
}

/// Whether the answer is wholly Chinese, or wholly English, and says so.
#[track_caller]
fn assert_language(answer: &Response, chinese: bool, what: &str) {
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(is_chinese(message), chinese, "{what}: {}", answer.text());
    assert_eq!(message.ends_with('。'), chinese, "{what}: {message}");
    let tag = if chinese { "zh-CN" } else { "en" };
    assert_eq!(answer.header("content-language").as_deref(), Some(tag), "{what}");
    assert_eq!(answer.header("vary").as_deref(), Some("Accept-Language"), "{what}");
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string()), "{what}");
}

/// A gateway that refuses at each of its doors: the request's syntax, its key, its target, its upstream.
async fn refusing(language: &str, nobody: &Port) -> Gateway {
    let yaml = format!(
        "gateway:\n  language: {language}\n  limits: {{request_body: 10KiB}}\n  timeouts: {{connect: 500ms}}\n  upstreams:\n    \
         - {{name: a, base_url: \"http://{0}\", api_key: sk-own}}\n    - {{name: b, base_url: \"http://{0}\", api_key: sk-own}}\n  \
         routes: [{{keys: [sk-known], upstreams: [a, b]}}]\n",
        nobody.addr()
    );
    gateway().yaml(&yaml).start().await
}

/// Its refusals of requests with this line of `Accept-Language`.
async fn refusals(gateway: &Gateway, accept: Option<&str>) -> Vec<(&'static str, Response)> {
    let with = |request: Request| match accept {
        Some(value) => request.header("Accept-Language", value),
        None => request,
    };
    let line = accept.map_or_else(String::new, |value| format!("Accept-Language: {value}\r\n"));
    let raw = format!("GET / HTTP/1.1\r\n{line}Host: a b\r\n\r\n");
    let known = |request: Request| with(request.header("x-api-key", "sk-known"));
    let mut answers = vec![("syntax", gateway.exchange(raw, "GET").await)];
    for (what, request) in [
        ("size", known(Request::post("/v1/messages", "x".repeat(20_000)))),
        ("key", with(Request::post("/v1/messages", "{}").header("x-api-key", "sk-other"))),
        ("service worker", known(Request::get("/sw.js").header("Service-Worker", "script"))),
        ("target", known(Request::get("//api//admin/x"))),
        ("page", with(Request::post("/admin", "{}"))),
        ("panel", with(Request::get("/api/admin/config"))),
        ("upstreams", known(Request::post("/v1/messages", "{}"))),
    ] {
        answers.push((what, gateway.request(&request).await));
    }
    answers
}

#[tokio::test]
async fn it_is_the_one_that_the_client_accepts() {
    let nobody = Port::free();
    let gateway = refusing("auto", &nobody).await;
    let english = refusals(&gateway, None).await;
    let nonsense = format!("zh;q=x, {}", "x-klingon;q=0.1,".repeat(600));
    for (accept, chinese) in [
        (None, false),
        (Some("*"), false),
        (Some("zh-CN,zh;q=0.9,en;q=0.8"), true),
        (Some("zh-TW"), true),
        (Some("en-US,en;q=0.9,zh;q=0.8"), false),
        (Some("fr-FR, de"), false),
        (Some(nonsense.as_str()), false),
    ] {
        for ((what, answer), (_, same)) in refusals(&gateway, accept).await.iter().zip(&english) {
            assert_language(answer, chinese, &format!("{what} {:.30?}", accept));
            assert_eq!(core(answer), core(same), "{what}");
        }
    }
    assert!(!is_chinese(&gateway.stderr()), "log lines are English: {}", gateway.stderr());
}

#[tokio::test]
async fn who_accepts_any_gets_that_of_the_setting() {
    let nobody = Port::free();
    let gateway = refusing("zh", &nobody).await;
    for (accept, chinese) in [(None, true), (Some("*"), true), (Some("en"), false), (Some("zh;q=0, *"), false)] {
        for (what, answer) in refusals(&gateway, accept).await {
            assert_language(&answer, chinese, what);
        }
    }
    let told = gateway.request(&Request::post("/v1/messages", "{}").header("x-api-key", "sk-known")).await;
    let message = told.json()["error"]["message"].clone();
    assert_eq!(message.as_str().unwrap_or_default().matches("拒绝了连接").count(), 2, "{message}");
    assert!(!is_chinese(&gateway.stderr()), "log lines are English: {}", gateway.stderr());
}

#[tokio::test]
async fn over_http2_it_is_the_same() {
    let nobody = Port::free();
    let gateway = refusing("auto", &nobody).await;
    let client = gateway.connect_h2().await;
    for (accept, tag) in [("zh", "zh-CN"), ("en", "en")] {
        let request = http::Request::post("http://gateway.test/v1/messages").header("accept-language", accept);
        let request = request.header("x-api-key", "sk-known").body(()).expect("a request");
        let answer = client.send(request, &[&[b'x'; 20_000]]).await;
        assert_eq!(answer.status, 413);
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!((header("content-language"), header("vary")), (Some(tag), Some("Accept-Language")));
    }
}

#[tokio::test]
async fn what_an_upstream_says_stays_in_its_language() {
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no\"}}";
    let upstream = Upstream::start(move |_| Reply::status(400).body(error)).await;
    let gateway = gateway().upstream(upstream.url()).env("GATEWAY_LANGUAGE", "zh").start().await;
    let request = Request::post("/v1/messages", "{}").header("Accept-Language", "zh-CN");
    let answer = gateway.request(&request).await;
    assert_eq!((answer.text().as_str(), answer.header("content-language")), (error, None));
    assert_eq!(upstream.last().headers.get("accept-language").as_deref(), Some("zh-CN"));
}
