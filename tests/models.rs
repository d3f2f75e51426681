//! `GET /v1/models`: what an upstream has goes through; where none has a list, the gateway's own is told in time.

use std::time::Duration;

use harness::{Deaf, Gateway, GatewayBuilder, Port, Reply, Request, Response, Upstream, within};
use serde_json::Value;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

/// What an upstream does, and the name of it.
type Case = (&'static str, fn() -> Reply);

const LISTED: &str = "gateway:\n  models: [claude-opus-5-5, {id: gpt-6, display_name: GPT 6}]\n";

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}"#;

fn ids(answer: &Response) -> Vec<String> {
    let list = answer.json();
    let entries = list["data"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

/// As Claude Code asks, which takes a redirect for a failure.
fn ask() -> Request {
    Request::get("/v1/models?limit=1000")
        .header("Authorization", "Bearer sk-client")
        .header("anthropic-version", "2023-06-01")
}

#[tokio::test]
async fn what_an_upstream_has_goes_through_as_it_is() {
    let theirs = r#"{ "data" : [ {"id":"their-own"} ], "has_more":false }"#;
    for (status, body) in [(200, theirs), (401, "{\"error\":\"no key\"}"), (403, "{}"), (400, "{}"), (204, "")] {
        let upstream = Upstream::start(move |_| Reply::status(status).header("X-Theirs", "1").body(body)).await;
        let gateway = gateway().upstream(upstream.url()).yaml(LISTED).start().await;
        let answer = gateway.request(&ask()).await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, body));
        assert_eq!(answer.header("x-theirs").as_deref(), Some("1"));
        assert_eq!(upstream.last().target, "/v1/models?limit=1000");
    }
}

#[tokio::test]
async fn where_an_upstream_has_no_list_the_configured_one_is_told() {
    let replies: [Case; 9] = [
        ("404", || Reply::status(404).body("{\"error\":{\"message\":\"Invalid URL\"}}")),
        ("405", || Reply::status(405).body("no")),
        ("a redirect", || Reply::status(302).header("Location", "/login").body("")),
        ("500", || Reply::status(500).body("{}")),
        ("501", || Reply::status(501).body("{}")),
        ("503", || Reply::status(503).body("{}")),
        ("a page", || Reply::ok("<!doctype html><html></html>").header("Content-Type", "text/html; charset=utf-8")),
        ("an empty body", || Reply::json("")),
        ("no response", Reply::close),
    ];
    for (what, reply) in replies {
        let upstream = Upstream::start(move |_| reply()).await;
        let gateway = gateway().upstream(upstream.url()).yaml(LISTED).start().await;
        let answer = gateway.request(&ask()).await;
        assert_eq!(
            (answer.status(), answer.header("content-type").as_deref()),
            (200, Some("application/json")),
            "{what}"
        );
        assert_eq!(ids(&answer), ["claude-opus-5-5", "gpt-6"], "{what}");
        let list = answer.json();
        assert_eq!(
            (&list["has_more"], &list["first_id"], &list["last_id"]),
            (&Value::Bool(false), &Value::from("claude-opus-5-5"), &Value::from("gpt-6"))
        );
        assert_eq!(
            (list["data"][1]["type"].as_str(), list["data"][1]["display_name"].as_str()),
            (Some("model"), Some("GPT 6"))
        );
        assert_eq!(upstream.received().len(), 1, "{what}");
        let line = gateway.stderr_line(0, "its line", |line| line.contains(" path=/v1/models ")).await;
        assert!(line.contains(" status=200 outcome=completed "), "{what}: {line}");
        let page = gateway.request(&Request::get("/v1/models?limit=1")).await;
        assert_eq!((ids(&page), page.json()["has_more"].as_bool()), (vec!["claude-opus-5-5".to_owned()], Some(true)));
        let one = gateway.request(&Request::get("/v1/models/gpt-6")).await;
        assert_eq!((one.status(), one.json()["id"].as_str()), (200, Some("gpt-6")), "{what}");
    }
}

#[tokio::test]
async fn without_a_list_or_for_another_model_the_upstream_has_the_word() {
    let upstream = Upstream::start(|_| Reply::status(404).body("theirs")).await;
    let bare = gateway().upstream(upstream.url()).start().await;
    let listed = gateway().upstream(upstream.url()).yaml(LISTED).start().await;
    for (gateway, request) in [
        (&bare, ask()),
        (&listed, Request::get("/v1/models/unknown")),
        (&listed, Request::post("/v1/models", "{}")),
        (&listed, Request::get("/v1/modelsx")),
        (&listed, Request::get("/relay/v1/models")),
    ] {
        let answer = gateway.request(&request).await;
        assert_eq!((answer.status(), answer.text().as_str()), (404, "theirs"));
    }
}

/// Claude Code waits 3 s. Who asks for a message waits as long as ever.
#[tokio::test]
async fn an_upstream_that_takes_too_long_is_not_waited_for() {
    let silent = Upstream::start(|request| match request.method.as_str() {
        "GET" => Reply::stall(),
        _ => Reply::json(MESSAGE),
    })
    .await;
    let (deaf, nobody) = (Deaf::start().await, Port::free());
    let narrow =
        Upstream::start(|request| if request.method == "GET" { Reply::json("{}") } else { Reply::stall() }).await;
    for (what, urls) in [
        ("silence", silent.url()),
        ("no connection", format!("http://{}", deaf.addr())),
        ("a refused connection", format!("http://{}", nobody.addr())),
        ("one after the other", format!("{},http://{}", silent.url(), deaf.addr())),
    ] {
        let gateway = gateway().env("API_BASE_URLS", &urls).yaml(LISTED).start().await;
        // The harness waits longer than Claude Code does: the deadline is the gateway's own.
        let answer = tokio::time::timeout(Duration::from_secs(30), gateway.request(&ask())).await.expect("in time");
        assert_eq!(ids(&answer), ["claude-opus-5-5", "gpt-6"], "{what}");
        let line = gateway.stderr_line(0, "its line", |line| line.contains(" path=/v1/models ")).await;
        assert!(line.contains(" status=200 outcome=completed "), "{what}: {line}");
    }
    // One place, which is taken.
    let yaml = format!(
        "{LISTED}  upstreams:\n    - {{name: narrow, base_url: \"{}\", max_in_flight: 1}}\n  limits: {{queue_timeout: 60s}}\n",
        narrow.url()
    );
    let gateway = gateway().yaml(&yaml).start().await;
    let mut working = gateway.connect().await;
    working.send(Request::post("/v1/messages", "{}").bytes()).await;
    narrow.wait_received(1).await;
    let answer = within("the gateway's own list", gateway.request(&ask())).await;
    assert_eq!(ids(&answer), ["claude-opus-5-5", "gpt-6"]);
    assert_eq!(narrow.received().len(), 1);
}

#[tokio::test]
async fn another_upstream_with_a_list_comes_before_the_gateways_own() {
    let without = Upstream::start(|_| Reply::status(404).body("none")).await;
    let with = Upstream::start(|_| Reply::json(r#"{"data":[{"id":"theirs"}]}"#)).await;
    let urls = format!("{},{}", without.url(), with.url());
    let gateway = gateway().env("API_BASE_URLS", &urls).yaml(LISTED).start().await;
    assert_eq!(ids(&gateway.request(&ask()).await), ["theirs"]);
}

#[tokio::test]
async fn without_a_list_the_models_are_told_that_were_used_and_a_restart_knows_them() {
    let upstream = Upstream::start(|request| match (request.method.as_str(), String::from_utf8_lossy(&request.body)) {
        ("POST", body) if body.contains("claude-refused") => Reply::status(400).body("{}"),
        ("POST", _) => Reply::json(MESSAGE),
        _ => Reply::status(404).body("none"),
    })
    .await;
    let data = tempfile::tempdir().expect("a folder");
    let database = data.path().join("log.db").display().to_string();
    // What clients ask for is not what the upstream hears, nor what it says that it served.
    let rule =
        "gateway:\n  rules:\n    - {name: other, match: {path: /v1/messages}, body: {model: {\"claude-x\": glm-5}}}\n";
    let start = || gateway().upstream(upstream.url()).yaml(rule).env("GATEWAY_DB", &database).start();
    let mut first = start().await;
    assert_eq!(first.request(&ask()).await.status(), 404, "none was used yet");
    for model in ["claude-refused", "claude-x", "claude-x[1m]"] {
        let body = format!("{{\"model\":\"{model}\",\"messages\":[]}}");
        first.request(&Request::post("/v1/messages", body).header("x-api-key", "sk-client")).await;
    }
    within("the used one to be told", async {
        loop {
            let answer = first.request(&ask()).await;
            if answer.status() == 200 {
                assert_eq!(ids(&answer), ["claude-x"]);
                return;
            }
        }
    })
    .await;
    first.signal(first.pid(), "TERM");
    first.ended().await;
    let second = start().await;
    within("it to be known again", async { while second.request(&ask()).await.status() != 200 {} }).await;
    assert_eq!(ids(&second.request(&ask()).await), ["claude-x"]);
}

#[tokio::test]
async fn mistakes_in_the_list_are_told_with_their_places() {
    for (list, wanted) in [
        ("[{display_name: A}]", "a model needs an id"),
        ("[{id: a, name: A}]", "unknown key"),
        ("[a, b, a]", "\"a\" is there twice"),
        ("a", "a list is expected here"),
        ("[\"\"]", "the value is missing"),
    ] {
        let output = gateway().yaml(&format!("gateway:\n  models: {list}\n")).arg("check").run().await;
        assert_ne!(output.status.code(), Some(0), "{list}");
        assert!(
            output.stderr.contains(wanted) && output.stderr.contains("gateway.models"),
            "{list}: {}",
            output.stderr
        );
    }
}
