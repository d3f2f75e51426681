//! Changing the configuration through the admin API.

use harness::{Gate, Gateway, GatewayBuilder, Reply, Request, Step, Upstream};
use serde_json::{Value, json};
use std::sync::Arc;

fn gateway() -> GatewayBuilder {
    Gateway::builder(env!("CARGO_BIN_EXE_anyrouter-gateway")).env("DASHBOARD_API_KEY", "the-key")
}

fn with_key(request: Request) -> Request {
    request.header("Authorization", "Bearer the-key").header("Host", "127.0.0.1")
}

async fn get(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.request(&with_key(Request::get(&format!("/api/admin/{target}")))).await;
    assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
    answer.json()
}

async fn send(gateway: &Gateway, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let request = Request::new(method, &format!("/api/admin/{target}")).body(body.to_string());
    let answer = gateway.request(&with_key(request).header("Content-Type", "application/json")).await;
    (answer.status(), answer.json())
}

const EDIT: &str = "gateway:\n  rules:\n    - name: mark\n      headers: { set: { x-mark: edited } }\n";

#[tokio::test]
async fn an_edit_is_in_force_for_the_next_request_and_drops_none_that_is_running() {
    let gate = Gate::new();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |request| match request.target.as_str() {
            "/slow" => Reply::sse().bytes("data: 1\n\n").step(Step::Wait(gate.clone())).bytes("data: 2\n\n"),
            _ => Reply::ok("{}"),
        }
    })
    .await;
    let gateway = Arc::new(gateway().upstream(upstream.url()).start().await);
    let mut running = gateway.connect().await;
    running.send(Request::get("/slow").bytes()).await;
    running.head("GET").await;
    running.piece_until("data: 1").await;

    let before = get(&gateway, "config").await;
    let version = before["version"].as_str().expect("a version").to_owned();
    let edit = json!({ "base_version": version, "overlay": EDIT });
    let (status, checked) = send(&gateway, "POST", "config/check", &json!({ "overlay": EDIT })).await;
    assert_eq!((status, checked["problems"].as_array().map(Vec::len)), (200, Some(0)), "{checked}");
    assert_eq!(checked["changes"][0]["key"], "gateway.rules", "{checked}");
    gateway.request(&Request::get("/one")).await;
    assert_eq!(upstream.last().headers.all("x-mark").len(), 0, "a check changes nothing");

    let (status, after) = send(&gateway, "PUT", "config", &edit).await;
    assert_eq!(status, 200, "{after}");
    gateway.request(&Request::get("/two")).await;
    assert_eq!(upstream.last().headers.all("x-mark"), ["edited"]);
    gate.open();
    running.piece_until("data: 2").await;

    // Somebody else still has the old version.
    let (status, conflict) = send(&gateway, "PUT", "config", &json!({ "base_version": version, "overlay": "" })).await;
    assert_eq!((status, conflict["type"].as_str()), (409, Some("error")), "{conflict}");
    let versions = get(&gateway, "config/history").await;
    assert_eq!(versions["versions"][0]["overlay"], EDIT, "{versions}");
    assert_eq!(get(&gateway, "health").await["config"]["version"], after["version"]);
}

#[tokio::test]
async fn a_bad_edit_is_refused_with_its_line_and_nothing_changes() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).start().await;
    let before = get(&gateway, "config").await;
    let bad = "gateway:\n  rules: []\n  limits:\n    request_body: many\n";
    let (status, refused) =
        send(&gateway, "PUT", "config", &json!({ "base_version": before["version"], "overlay": bad })).await;
    assert_eq!((status, refused["error"]["type"].as_str()), (422, Some("invalid_request_error")), "{refused}");
    let problem = &refused["problems"][0];
    assert_eq!((problem["where"].as_str(), problem["line"].as_u64()), (Some("overlay"), Some(4)), "{refused}");
    let (_, checked) = send(&gateway, "POST", "config/check", &json!({ "overlay": bad })).await;
    assert_eq!(checked["problems"][0]["line"], 4, "{checked}");
    let after = get(&gateway, "config").await;
    assert_eq!((after["version"].as_str(), after["overlay"].as_str()), (before["version"].as_str(), Some("")));
    // The panel's key is not the panel's to change.
    let own = "gateway:\n  dashboard:\n    api_key: mine\n";
    let (status, _) =
        send(&gateway, "PUT", "config", &json!({ "base_version": before["version"], "overlay": own })).await;
    assert_eq!(status, 422);
    for (method, target, body) in [
        ("PUT", "config", json!({ "overlay": "" })),
        ("PUT", "config", json!([])),
        ("POST", "config/check", json!({ "x": 1 })),
    ] {
        assert_eq!(send(&gateway, method, target, &body).await.0, 400, "{target} {body}");
    }
    let large = json!({ "base_version": before["version"], "overlay": "#".repeat(2 * 1024 * 1024) });
    assert_eq!(send(&gateway, "PUT", "config", &large).await.0, 413);
}

#[tokio::test]
async fn a_reload_reads_the_files_and_settings_tell_who_set_them() {
    let upstream = Upstream::start(|_| Reply::ok("{}")).await;
    let gateway = gateway().upstream(upstream.url()).yaml("gateway:\n  preserve_host: true\n").start().await;
    let config = get(&gateway, "config").await;
    let setting = |key: &str| {
        let settings = config["settings"].as_array().expect("settings");
        settings.iter().find(|setting| setting["key"] == key).cloned().unwrap_or_else(|| panic!("{key}: {config}"))
    };
    assert_eq!(
        (setting("gateway.preserve_host")["source"].as_str(), setting("gateway.preserve_host")["is_locked"].as_bool()),
        (Some("file"), Some(false))
    );
    assert_eq!(
        (
            setting("gateway.dashboard.api_key")["is_secret"].as_bool(),
            setting("gateway.dashboard.api_key")["is_locked"].as_bool()
        ),
        (Some(true), Some(true))
    );
    assert!(!config.to_string().contains("the-key"), "{config}");
    let (status, reloaded) = send(&gateway, "POST", "reload", &json!({})).await;
    assert_eq!((status, reloaded["version"].as_str()), (200, config["version"].as_str()), "{reloaded}");
    let schema = get(&gateway, "config/schema").await;
    assert!(schema["properties"]["gateway"]["properties"]["upstreams"].is_object(), "{schema}");
}
