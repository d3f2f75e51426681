//! The real test of an upstream: a message with a model and a key, as the API asks for it and as `upstreams[].test` does.

use harness::{
    Authority, Client, Gateway, GatewayBuilder, Pool, Received, Reply, Request, Response, Step, Upstream, anthropic,
    metrics, within,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MODEL: &str = "claude-opus-5-5";
const KEYS: &str = "api_keys: [{key: sk-first-key-1, name: first}, {key: sk-second-key-2, name: second}]";
const ROUTE: &str = "routes: [{keys: sk-client, upstreams: [relay]}]";
const CLIENT: &str = "sk-client-key-3";

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway"))
}

async fn change(gateway: &Gateway, target: &str, body: &Value) -> Response {
    let request = Request::post(&format!("/api/admin/{target}"), body.to_string()).header("Host", "127.0.0.1");
    let response = gateway.request(&gateway.as_admin(request.header("Content-Type", "application/json"))).await;
    assert!(!response.text().contains("-key-"), "{target} shows a key: {}", response.text());
    response
}

/// The report of a test.
async fn test(gateway: &Gateway, wish: Value) -> Value {
    let response = change(gateway, "upstreams/relay/test", &wish).await;
    assert_eq!(response.status(), 200, "{}", response.text());
    response.json()
}

async fn upstream(gateway: &Gateway) -> Value {
    let request = Request::get("/api/admin/upstreams").header("Host", "127.0.0.1");
    let response: Value = gateway.request(&gateway.as_admin(request)).await.json();
    response["upstreams"][0].clone()
}

/// The message of a report, on the way that the gateway takes.
fn message(report: &Value) -> &Value {
    let ways = report["ways"].as_array().expect("ways");
    let used = ways.iter().find(|way| way["used_by_gateway"] == true).expect("a way that is used");
    let step = used["steps"].as_array().and_then(|steps| steps.last()).expect("a step");
    assert_eq!(step["step"], "message", "{report:#}");
    &step["message"]
}

fn key(request: &Received) -> String {
    request.headers.get("authorization").unwrap_or_default()
}

fn is_message(request: &Received) -> bool {
    request.method == "POST"
}

/// A relay that demands what AnyRouter does.
fn strict() -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    anthropic::handler_with(anthropic::Options { strict_anyrouter: true, ..Default::default() })
}

/// A relay that answers a message with this, and lists its models.
async fn relay(reply: Reply) -> Upstream {
    let models = anthropic::handler();
    Upstream::start(move |request| if is_message(request) { reply.clone() } else { models(request) }).await
}

async fn beside(relay: &Upstream, settings: &str) -> Gateway {
    gateway().yaml(&Pool::new().add_with("relay", relay.url(), settings).setting(ROUTE).yaml()).start().await
}

#[tokio::test]
async fn a_message_is_what_a_client_would_send_and_a_relay_that_demands_it_takes_it() {
    let relay = Upstream::start(strict()).await;
    let gateway = beside(&relay, "profile: anyrouter, api_key: sk-own-key-1").await;
    let free = test(&gateway, json!({})).await;
    assert_eq!(
        (&free["verdict"], relay.received().iter().filter(|request| is_message(request)).count()),
        (&"ok".into(), 0)
    );

    let report = test(&gateway, json!({ "model": MODEL })).await;
    assert_eq!((&report["verdict"], &report["reachable"]), (&"ok".into(), &true.into()), "{report:#}");
    let message = message(&report);
    assert_eq!((&message["status"], &message["finding"]["id"]), (&200.into(), &"answered".into()), "{report:#}");
    assert_eq!((&message["came"]["model"], &message["came"]["tokens"]["output"]), (&MODEL.into(), &9.into()));
    assert!(message["came"]["cost"].as_f64().is_some_and(|cost| cost > 0.0 && cost < 0.01), "{message:#}");
    for time in ["connect_ms", "first_byte_ms", "first_token_ms", "total_ms"] {
        assert!(message["times"][time].is_number(), "{time}: {message:#}");
    }
    assert_eq!(message["times"]["tls_ms"], Value::Null);
    let sent = &message["sent"];
    assert_eq!((&sent["method"], &sent["target"]), (&"POST".into(), &"/v1/messages?beta=true".into()));
    assert!(sent["head_diff"].as_str().is_some_and(|diff| diff.contains("+anthropic-beta: ")), "{sent:#}");
    let fields = sent["headers"].as_array().expect("fields").iter();
    let mut authorization =
        fields.filter(|field| field["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("authorization")));
    assert!(authorization.next().is_some_and(|field| field["value"] == "********"), "{sent:#}");

    let got = relay.last();
    let body: Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!((&body["max_tokens"], &body["stream"], &body["model"]), (&1.into(), &true.into(), &MODEL.into()));
    assert_eq!(key(&got), "Bearer sk-own-key-1");
    let betas = got.headers.all("anthropic-beta").join(",");
    assert!(betas.contains("claude-code-20250219") && betas.contains("context-1m-2025-08-07"), "{betas}");
    assert_eq!(got.headers.get("content-length"), Some(got.body.len().to_string()));
    let last = upstream(&gateway).await["last_test"].clone();
    assert_eq!(
        (&last["is_good"], &last["finding"], &last["is_scheduled"]),
        (&true.into(), &"answered".into(), &false.into())
    );
}

#[tokio::test]
async fn rules_of_the_operator_are_applied_and_shown() {
    let relay = Upstream::start(anthropic::handler()).await;
    let rules = "rules:\n    - {name: other, headers: {set: {x-mark: one}}, body: {set: {/metadata/mark: two}}}";
    let pool = Pool::new().add_with("relay", relay.url(), "api_key: sk-own-key-1").setting(ROUTE).setting(rules);
    let gateway = gateway().yaml(&pool.yaml()).start().await;
    let report = test(&gateway, json!({ "model": MODEL })).await;
    let sent = &message(&report)["sent"];
    assert!(sent["head_diff"].as_str().is_some_and(|diff| diff.contains("+x-mark: one")), "{sent:#}");
    assert!(sent["body_diff"].as_str().is_some_and(|diff| diff.contains("+    \"mark\": \"two\"")), "{sent:#}");
    assert_eq!(relay.last().headers.get("x-mark").as_deref(), Some("one"));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words_with_a_code() {
    const PAGE: &str = "<!DOCTYPE html><html><title>Just a moment...</title></html>";
    let begun: String = anthropic::events(MODEL).into_iter().take(5).collect();
    let overloaded = format!(
        "{begun}event: error\ndata: {}\n\n",
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}})
    );
    let error = |status, message: &str| anthropic::error(status, "new_api_error", message);
    for (reply, id) in [
        (error(401, "无效的令牌 sk-own-key-1"), "bad_key"),
        (error(503, "分组 default 下模型 claude-opus-5-5 无可用渠道（distributor）"), "no_channel"),
        (error(503, "No available channel for model x under group y"), "no_channel"),
        (error(500, "invalid claude code request"), "shape_refused"),
        (error(403, "用户额度不足, 剩余额度: $0.00"), "quota_403"),
        (error(429, "rate limit exceeded"), "quota"),
        (anthropic::error(404, "not_found_error", "model: x"), "no_model"),
        (Reply::status(200).body(PAGE).header("Content-Type", "text/html"), "waf_challenge"),
        (Reply::json(r#"{"ok":true}"#), "no_message"),
        (Reply::sse().bytes(begun.clone()), "broke_off"),
        (Reply::sse().bytes(overloaded), "overloaded"),
        (Reply::sse().bytes(anthropic::events("claude-haiku-4-5").concat()), "other_model"),
        (Reply::close(), "closed_without_answer"),
        (Reply::raw(vec![Step::Raw(b"nothing of HTTP\r\n\r\n".to_vec()), Step::Close]), "not_http"),
    ] {
        let relay = relay(reply).await;
        let gateway = beside(&relay, "api_key: sk-own-key-1").await;
        let report = test(&gateway, json!({ "model": MODEL })).await;
        let message = message(&report);
        assert_eq!(message["finding"]["id"], id, "{report:#}");
        assert_eq!(report["verdict"], message["finding"]["severity"], "the worst counts: {report:#}");
    }
}

#[tokio::test]
async fn a_test_that_goes_well_wakes_its_key_and_only_that_one() {
    let is_good = Arc::new(AtomicBool::new(false));
    let answer = anthropic::handler();
    let relay = {
        let is_good = Arc::clone(&is_good);
        Upstream::start(move |request| match is_good.load(Ordering::SeqCst) || !is_message(request) {
            true => answer(request),
            false => anthropic::error(401, "authentication_error", "disabled"),
        })
        .await
    };
    let gateway = beside(&relay, KEYS).await;
    for name in ["first", "second"] {
        let rest = change(&gateway, &format!("upstreams/relay/keys/{name}/rest"), &json!({"for": "10m"})).await;
        assert_eq!(rest.status(), 200);
    }
    let states = async || {
        let keys = upstream(&gateway).await["keys"].clone();
        [0, 1].map(|at| keys[at]["state"].as_str().unwrap_or_default().to_owned())
    };
    let wish = json!({ "model": MODEL, "key": "second" });
    assert_eq!(message(&test(&gateway, wish.clone()).await)["finding"]["id"], "bad_key");
    assert_eq!(states().await, ["resting", "resting"]);
    is_good.store(true, Ordering::SeqCst);
    // One that sends nothing proves nothing.
    test(&gateway, json!({ "key": "second" })).await;
    assert_eq!(states().await, ["resting", "resting"]);
    let report = test(&gateway, wish).await;
    assert_eq!((&message(&report)["key"], &report["verdict"]), (&"second".into(), &"ok".into()));
    assert_eq!(key(&relay.last()), "Bearer sk-second-key-2");
    assert_eq!(states().await, ["resting", "ready"]);
}

#[tokio::test]
async fn an_upstream_without_a_key_is_tested_with_that_of_a_client() {
    let relay = Upstream::start(anthropic::handler()).await;
    let gateway = gateway().yaml(&Pool::new().add("relay", relay.url()).yaml()).start().await;
    for (wish, code) in [
        (json!({ "model": MODEL }), "no_key_to_test"),
        (json!({ "model": "a b" }), "not_a_model"),
        (json!({ "model": MODEL, "key": "first" }), "no_key"),
        (json!({ "model": MODEL, "client_key": "sk\u{7}x" }), "not_a_key"),
        (json!({ "modell": MODEL }), "body_unread"),
    ] {
        let response = change(&gateway, "upstreams/relay/test", &wish).await;
        let body: Value = response.json();
        assert_eq!(body["error"]["code"], code, "{wish}: {body}");
    }
    assert!(relay.received().is_empty());
    let report = test(&gateway, json!({ "model": "opus[1m]", "client_key": CLIENT })).await;
    assert_eq!(report["verdict"], "ok", "{report:#}");
    assert_eq!(key(&relay.last()), format!("Bearer {CLIENT}"));
    assert!(relay.last().headers.all("anthropic-beta").join(",").contains("context-1m-2025-08-07"));
    assert!(!gateway.stderr().contains(CLIENT), "{}", gateway.stderr());

    let own = beside(&relay, "api_key: sk-own-key-1").await;
    let refused = change(&own, "upstreams/relay/test", &json!({ "model": MODEL, "client_key": CLIENT })).await;
    assert_eq!((refused.status(), refused.json()["error"]["code"].clone()), (400, "keys_of_its_own".into()));
}

#[tokio::test]
async fn the_way_over_tls_and_http_2_is_the_gateways_own() {
    let authority = Authority::new();
    let relay =
        Upstream::builder().tls(&authority.leaf(&["localhost"])).http2().allow_malformed().start(strict()).await;
    let settings =
        format!("profile: anyrouter, http: auto, ca_file: {}, api_key: sk-own-key-1", authority.ca_file().display());
    let gateway = beside(&relay, &settings).await;
    let report = test(&gateway, json!({ "model": MODEL })).await;
    let message = message(&report);
    assert_eq!(message["finding"]["id"], "answered", "{report:#}");
    assert!(message["times"]["tls_ms"].is_number() && message["times"]["connect_ms"].is_number(), "{message:#}");
}

#[tokio::test]
async fn a_schedule_tests_in_the_background() {
    let relay = relay(anthropic::error(401, "authentication_error", "disabled")).await;
    let settings = format!("test: {{every: 1m, model: {MODEL}, key: second}}, {KEYS}");
    let gateway = beside(&relay, &settings).await;
    let first = within("the first test", async {
        loop {
            let last = upstream(&gateway).await["last_test"].clone();
            if !last.is_null() {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(
        (&first["is_scheduled"], &first["is_good"], &first["finding"]),
        (&true.into(), &false.into(), &"bad_key".into())
    );
    assert_eq!((&first["key"], &first["model"]), (&"second".into(), &MODEL.into()));
    let told = Client::connect(gateway.admin_addr()).await.request(&Request::get("/metrics")).await.text();
    let sum = |name: &str, labels: &[(&str, &str)]| metrics::sum(&told, name, labels);
    assert_eq!(sum("gateway_upstream_tests_total", &[("upstream", "relay"), ("result", "bad")]), 1.0);
    assert_eq!(sum("gateway_upstream_test_good", &[("upstream", "relay")]), 0.0);
    assert!(sum("gateway_upstream_test_timestamp_seconds", &[("upstream", "relay")]) > 0.0);
    assert_eq!(relay.received().len(), 1, "one message, and nothing else");
    assert!(is_message(&relay.last()));
}

#[tokio::test]
async fn a_schedule_wakes_a_key_that_was_refused() {
    let refuses = Arc::new(AtomicBool::new(true));
    let answer = anthropic::handler();
    let relay = {
        let refuses = Arc::clone(&refuses);
        Upstream::start(move |request| match refuses.load(Ordering::SeqCst) {
            true => anthropic::error(401, "authentication_error", "disabled"),
            false => answer(request),
        })
        .await
    };
    let gateway = beside(&relay, KEYS).await;
    let ask =
        Request::post("/v1/messages", r#"{"model":"m","max_tokens":1,"messages":[]}"#).header("x-api-key", "sk-client");
    assert_ne!(gateway.request(&ask.header("Content-Type", "application/json")).await.status(), 200);
    let states = async || {
        let keys = upstream(&gateway).await["keys"].clone();
        [0, 1].map(|at| keys[at]["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(states().await, ["disabled", "disabled"]);
    refuses.store(false, Ordering::SeqCst);
    let settings = format!("test: {{every: 1m, model: {MODEL}}}, {KEYS}");
    let yaml = Pool::new().add_with("relay", relay.url(), &settings).setting(ROUTE).yaml();
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml).expect("written");
    let reloaded = gateway.command(&["reload"]).await;
    assert_eq!(reloaded.status.code(), Some(0), "{}", reloaded.stderr);
    within("a key that is used again", async {
        while !states().await.contains(&"ready".to_owned()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(states().await.contains(&"disabled".to_owned()), "only the one that was tested");
}

#[tokio::test]
async fn a_schedule_needs_a_time_a_model_and_a_key() {
    for (settings, code) in [
        ("test: {every: 6h, model: m}", "a test needs a key of the upstream's own"),
        ("api_key: sk-own-key-1, test: {every: 6h}", "a test needs every and model"),
        ("api_key: sk-own-key-1, test: {every: 5s, model: m}", "1m"),
        ("api_key: sk-own-key-1, test: {every: 6h, model: \"a b\"}", "is no name of a model"),
        ("api_key: sk-own-key-1, test: {every: 6h, model: m, key: x}", "has no key \"x\""),
        ("api_key: sk-own-key-1, test: {every: 6h, modell: m}", "did you mean"),
    ] {
        let yaml = Pool::new().add_with("relay", "http://127.0.0.1:9", settings).setting(ROUTE).yaml();
        let output = gateway().yaml(&yaml).arg("check").run().await;
        assert!(output.status.code() == Some(1) && output.stderr.contains(code), "{settings}: {}", output.stderr);
    }
    let settings = format!("{KEYS}, test: {{every: 6h, model: {MODEL}, key: second}}");
    let yaml = Pool::new().add_with("relay", "http://127.0.0.1:9", &settings).setting(ROUTE).yaml();
    let output = gateway().yaml(&yaml).arg("check").run().await;
    assert!(output.stdout.contains("every=6h model=claude-opus-5-5 key=second"), "{}{}", output.stdout, output.stderr);
}
