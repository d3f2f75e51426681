//! What rules change in responses, and responses that rules give.

use super::*;

#[tokio::test]
async fn the_answers_head_is_changed_and_its_body_is_not() {
    let upstream = Upstream::start(|_| {
        Reply::sse()
            .header("Server", "relay")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("X-Old", "1")
            .bytes("data: 1\n\n")
            .bytes("data: 2\n\n")
    })
    .await;
    let yaml = "gateway:
  rules:
    - name: r
      match: {path: /yes}
      response_headers:
        set: {X-Old: new, X-Of: \"${header.x-client} ${client.ip}\"}
        add: {X-Added: \"1\", Set-Cookie: c=3}
        remove: [server]
";
    let gateway = gateway().upstream(upstream.url()).yaml(yaml).start().await;
    let answer = gateway.request(&Request::get("/yes").header("X-Client", "me")).await;
    assert_eq!(answer.text(), "data: 1\n\ndata: 2\n\n");
    let headers = &answer.head.headers;
    assert_eq!(headers.all("set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!((headers.all("x-old"), headers.all("x-added")), (vec!["new".into()], vec!["1".to_owned()]));
    assert_eq!(headers.all("x-of"), ["me 127.0.0.1"]);
    assert!(!headers.has("server") && headers.names().contains(&"X-Of"), "{headers:?}");
    let answer = gateway.request(&Request::get("/no")).await;
    assert_eq!(answer.header("server").as_deref(), Some("relay"));
    assert_eq!(answer.head.headers.all("x-old"), ["1"]);
    let h2 = gateway.connect_h2().await;
    let request = http::Request::get("http://gateway.test/yes").body(()).expect("a request");
    let answer = h2.send(request, &[]).await;
    assert_eq!((answer.headers["x-old"].as_bytes(), answer.text().as_str()), (&b"new"[..], "data: 1\n\ndata: 2\n\n"));
    assert!(!answer.headers.contains_key("server"));
}

fn assert_answer(answer: &Response, status: u16, content_type: Option<&str>, body: &str) {
    assert_eq!(
        (answer.status(), answer.header("content-type").as_deref()),
        (status, content_type),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text(), body);
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_rule_can_answer_by_itself() {
    let rules = r#"    - name: changes-nothing-then
      headers: {set: {X-A: a}}
      response_headers: {set: {X-B: b}}
    - name: warm-up
      match: {method: HEAD, path: [/, /api/hello]}
      respond: {status: 200}
    - name: text
      match: {path: /text}
      respond: {body: "no, 不\n"}
    - name: later
      match: {path: /text}
      respond: {status: 500}
    - name: json
      match: {path: /json, model: "*haiku*"}
      respond: {status: 403, headers: {X-Why: rule, x-why: again}, body: {type: error, error: {type: permission_error, message: "no"}}}
    - name: html
      match: {path: /html}
      respond: {status: 418, headers: {content-type: text/html}, body: <p>}
    - name: json-in-a-text
      match: {path: /number}
      respond: {status: 429, body: '{"a":1}', headers: {Retry-After: "7"}}
"#;
    let (upstream, gateway) = with_rules(rules).await;
    let mut client = gateway.connect().await;
    // On one connection, which stays open.
    assert_answer(&client.request(&Request::new("HEAD", "/api/hello")).await, 200, None, "");
    assert_answer(&client.request(&Request::new("HEAD", "/")).await, 200, None, "");
    let answer = client.request(&post("/text", "ignored")).await;
    assert_answer(&answer, 200, Some("text/plain; charset=utf-8"), "no, 不\n");
    assert!(!answer.head.headers.has("x-b"), "{:?}", answer.head.headers);
    let answer = client.request(&post("/json", r#"{"model":"claude-haiku-4-5"}"#)).await;
    assert_eq!((answer.status(), answer.header("content-type").as_deref()), (403, Some("application/json")));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    assert_eq!(answer.head.headers.all("x-why"), ["rule", "again"]);
    assert_answer(&client.request(&Request::get("/html")).await, 418, Some("text/html"), "<p>");
    let answer = client.request(&Request::get("/number")).await;
    assert_answer(&answer, 429, Some("application/json"), r#"{"a":1}"#);
    assert_eq!(answer.header("retry-after").as_deref(), Some("7"));
    let answer = client.request(&Request::new("HEAD", "/number")).await;
    assert_eq!((answer.status(), answer.header("content-length").as_deref()), (429, Some("7")));
    assert!(upstream.received().is_empty(), "the upstream heard of it");

    assert_eq!(client.request(&post("/json", r#"{"model":"claude-opus-4-8"}"#)).await.status(), 200);
    assert_eq!(client.request(&Request::get("/api/hello")).await.status(), 200);
    assert_eq!(upstream.received().len(), 2);
    assert_eq!(upstream.last().headers.all("x-a"), ["a"]);
    // Its own pages come first.
    assert_eq!(client.request(&Request::get("/health")).await.json()["status"], "ok");

    let h2 = gateway.connect_h2().await;
    let request = http::Request::get("http://gateway.test/number").body(()).expect("a request");
    let answer = h2.send(request, &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (429, r#"{"a":1}"#));
    let line = gateway.stderr_line(0, "the refusal", |line| line.contains("/json") && line.contains("403")).await;
    assert!(line.contains("rejected"), "{line}");
}
