//! Configurations that are only tried: rules on a request, and upstreams, before any of it is in force.

#[path = "drafts/past.rs"]
mod past;

use harness::{Gateway, Request, Response, Upstream, anthropic, within};
use serde_json::{Value, json};

const BODY: &str =
    r#"{"model": "claude-opus-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}"#;

/// A gateway whose upstreams may be edited, and which captures each request.
async fn beside(relay: &Upstream, settings: &str) -> Gateway {
    let yaml = format!(
        "gateway:\n  upstreams: [{{name: relay, base_url: \"{}\"{settings}}}]\n  log: {{capture: all}}\n",
        relay.url()
    );
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"));
    gateway.env("GATEWAY_DB", "data/gateway.db").yaml(&yaml).start().await
}

async fn post(gateway: &Gateway, target: &str, body: &Value) -> Response {
    let request = Request::post(&format!("/api/admin/{target}"), body.to_string()).header("Host", "127.0.0.1");
    gateway.request(&gateway.as_admin(request.header("Content-Type", "application/json"))).await
}

async fn get(gateway: &Gateway, target: &str) -> Value {
    let request = Request::get(&format!("/api/admin/{target}")).header("Host", "127.0.0.1");
    gateway.request(&gateway.as_admin(request)).await.json()
}

/// Waits until the log has so many requests.
async fn logged(gateway: &Gateway, count: usize) {
    within("the rows", async {
        while get(gateway, "requests").await["requests"].as_array().map(Vec::len) < Some(count) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// The explanation of a request under this overlay.
async fn explain(gateway: &Gateway, overlay: &str, request: Value) -> Value {
    let mut question = json!({ "overlay": overlay });
    question.as_object_mut().expect("an object").extend(request.as_object().expect("an object").clone());
    let response = post(gateway, "config/explain", &question).await;
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

const RULE: &str =
    "gateway:\n  rules:\n    - {name: draft, match: {model: \"claude-*\"}, headers: {set: {X-Draft: \"yes\"}}}\n";

#[tokio::test]
async fn a_rule_is_tried_before_it_is_applied_and_nothing_of_it_stays() {
    let relay = Upstream::start(anthropic::handler()).await;
    let gateway = beside(&relay, "").await;
    let version = get(&gateway, "config").await["version"].clone();

    let tried = explain(&gateway, RULE, json!({ "body": BODY })).await;
    assert!(tried["head_diff"].as_str().expect("a diff").contains("+X-Draft: yes"), "{tried:#}");
    let now: Value = post(&gateway, "explain", &json!({ "body": BODY })).await.json();
    assert!(!now["head_diff"].as_str().expect("a diff").contains("X-Draft"), "{now:#}");
    assert_eq!(get(&gateway, "config").await["version"], version);
    assert!(!get(&gateway, "rules").await.to_string().contains("draft"));
    assert_eq!(get(&gateway, "config/history").await["versions"], json!([]));

    let wrong =
        post(&gateway, "config/explain", &json!({ "overlay": "gateway: {rules: [{nam: x}]}\n", "body": BODY })).await;
    assert_eq!(wrong.status(), 422, "{}", wrong.text());
    let wrong =
        post(&gateway, "config/explain", &json!({ "overlay": "gateway: {upstreams: []}\n", "body": BODY })).await;
    assert!(matches!(wrong.status(), 400 | 422), "{}", wrong.text());
    assert_eq!(relay.received().len(), 0, "nothing is sent");
}

#[tokio::test]
async fn a_request_of_the_log_is_tried_as_it_was_captured() {
    let relay = Upstream::start(anthropic::handler()).await;
    let gateway = beside(&relay, "").await;
    let request = Request::post("/v1/messages", BODY.to_owned()).header("Authorization", "Bearer sk-client");
    let sent = gateway.request(&request.header("X-Mine", "kept")).await;
    assert_eq!(sent.status(), 200, "{}", sent.text());
    let id = sent.header("x-request-id").expect("an id");
    logged(&gateway, 1).await;

    let tried = explain(&gateway, RULE, json!({ "request_id": id })).await;
    assert!(tried["head_diff"].as_str().expect("a diff").contains("+X-Draft: yes"), "{tried:#}");
    assert_eq!(tried["bytes_before"], BODY.len());
    for (question, status, code) in [
        (json!({ "request_id": "nobody" }), 404, "no_request"),
        (json!({ "request_id": id, "body": BODY }), 400, "body_or_request"),
        (json!({}), 400, "body_or_request"),
        (json!({ "head": "GET / HTTP/1.1\r\n\r\n" }), 400, "body_or_request"),
    ] {
        let refused = post(&gateway, "explain", &question).await;
        let told: Value = refused.json();
        assert_eq!((refused.status(), &told["error"]["code"]), (status, &code.into()), "{told}");
    }
}

#[tokio::test]
async fn an_upstream_is_tested_as_a_draft_has_it_and_the_one_in_force_stays_as_it_is() {
    let (relay, other) = (Upstream::start(anthropic::handler()).await, Upstream::start(anthropic::handler()).await);
    let gateway = beside(&relay, ", enabled: true").await;
    let version = get(&gateway, "config").await["version"].clone();
    let overlay = format!(
        "gateway:\n  upstreams:\n  - {{name: relay, base_url: \"{0}\", api_key: sk-new-key-2}}\n  - {{name: new, base_url: \"{0}\", api_key: sk-new-key-3}}\n",
        other.url()
    );

    for (name, key) in [("relay", "sk-new-key-2"), ("new", "sk-new-key-3")] {
        let wish = json!({ "config": overlay, "model": "claude-opus-5-5" });
        let response = post(&gateway, &format!("upstreams/{name}/test"), &wish).await;
        let report: Value = response.json();
        assert_eq!((response.status(), &report["verdict"]), (200, &"ok".into()), "{report:#}");
        assert!(!response.text().contains(key), "a key in {}", response.text());
        let last = other.received().pop().expect("a message");
        assert_eq!(last.headers.get("authorization").as_deref(), Some(&*format!("Bearer {key}")));
    }
    assert_eq!(relay.received().len(), 0, "what is in force is not asked");
    let upstreams = get(&gateway, "upstreams").await;
    assert_eq!(upstreams["upstreams"].as_array().map(Vec::len), Some(1));
    assert_eq!(upstreams["upstreams"][0]["last_test"], Value::Null, "{upstreams:#}");
    assert_eq!(get(&gateway, "config").await["version"], version);

    let unknown = post(&gateway, "upstreams/nobody/test", &json!({ "config": overlay })).await;
    assert_eq!(unknown.status(), 404, "{}", unknown.text());
    let wrong =
        post(&gateway, "upstreams/relay/test", &json!({ "config": "gateway: {upstreams: [{name: 5}]}\n" })).await;
    assert_eq!(wrong.status(), 422, "{}", wrong.text());
}

#[tokio::test]
async fn hits_of_a_rule_are_told_for_each_upstream() {
    let (first, second) = (Upstream::start(anthropic::handler()).await, Upstream::start(anthropic::handler()).await);
    let yaml = format!(
        "gateway:\n  upstreams:\n    - {{name: first, base_url: \"{}\"}}\n    - {{name: second, base_url: \"{}\"}}\n  \
         routes: [{{keys: sk-second, upstreams: [second]}}]\n  rules: [{{name: mine, headers: {{set: {{X-A: b}}}}}}]\n",
        first.url(),
        second.url()
    );
    let gateway = Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
        .env("GATEWAY_DB", "data/gateway.db")
        .yaml(&yaml)
        .start()
        .await;
    for key in ["sk-second", "sk-second", "sk-first"] {
        let request = Request::post("/v1/messages", BODY.to_owned());
        let sent = gateway.request(&request.header("Authorization", format!("Bearer {key}"))).await;
        assert_eq!(sent.status(), 200, "{}", sent.text());
    }
    logged(&gateway, 3).await;
    let rules = get(&gateway, "rules").await;
    let hits = |upstream: usize| {
        let rules = rules["upstreams"][upstream]["rules"].as_array().expect("rules");
        rules.iter().find(|rule| rule["name"] == "mine").expect("the rule")["hits"].clone()
    };
    let name = |upstream: usize| rules["upstreams"][upstream]["upstream"].as_str().expect("a name");
    for at in [0, 1] {
        assert_eq!(hits(at), if name(at) == "second" { 2 } else { 1 }, "{rules:#}");
    }
}
