//! What models cost, by whatever says so.

use super::{gateway, told};
use harness::{Gate, Gateway, Output, Reply, Request, Step, Upstream, within};
use serde_json::Value;
use std::time::Duration;

/// A list of LiteLLM's form with one model.
fn list(input: &str) -> String {
    format!(
        r#"{{"model-x": {{"litellm_provider": "openai", "input_cost_per_token": {input}, "output_cost_per_token": 1e-05}}}}"#
    )
}

/// A message of the model in the path, which took a million tokens of input and told these details.
async fn upstream() -> Upstream {
    Upstream::start(|request| {
        let model = request.target.rsplit_once('?').expect("a query").1;
        Reply::json(format!(
            r#"{{"type":"message","model":"{model}","content":[],"stop_reason":"end_turn","usage":{{"input_tokens":1000000,
            "output_tokens":0,"inference_geo":"us","server_tool_use":{{"web_search_requests":2}}}}}}"#
        ))
    })
    .await
}

/// The costs of all rows, the oldest first, once there are so many.
async fn costs(gateway: &Gateway, count: usize) -> Vec<Option<f64>> {
    let mut rows = Vec::new();
    within("the rows are there", async {
        while rows.len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let page = gateway.request(&gateway.as_admin(Request::get("/api/admin/requests"))).await.json();
            rows = page["requests"].as_array().unwrap_or_else(|| panic!("{page}")).clone();
        }
    })
    .await;
    rows.iter().rev().map(|row: &Value| row["cost_usd"].as_f64()).collect()
}

async fn ask(gateway: &Gateway, model: &str) {
    let body = format!(r#"{{"model":"{model}","max_tokens":9,"messages":[]}}"#);
    let request = Request::post(&format!("/v1/messages?{model}"), body).header("x-api-key", "sk");
    assert_eq!(gateway.request(&request).await.status(), 200);
}

#[tokio::test]
async fn an_upstream_may_charge_less_and_a_list_is_read_anew() {
    let upstream = upstream().await;
    let yaml = |factor: &str| {
        format!(
            "gateway:\n  prices_file: list.json\n  upstreams:\n    - {{name: a, base_url: \"{}\", cost_factor: \
             {factor}}}\n",
            upstream.url()
        )
    };
    let gateway =
        gateway().env("GATEWAY_DB", "log.db").file("list.json", &list("2e-06")).yaml(&yaml("0.3")).start().await;
    within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // A million tokens in the United States (4.40 dollars, and 2), and two searches for two cents; of that three tenths.
    ask(&gateway, "claude-opus-5-5").await;
    ask(&gateway, "model-x").await;
    ask(&gateway, "nobody-sells-this").await;
    assert_eq!(costs(&gateway, 3).await, [Some(1.326), Some(0.606), None]);

    std::fs::write(gateway.dir().join("list.json"), list("3e-06")).expect("written");
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml("1")).expect("written");
    let output = gateway.command(&["reload"]).await;
    assert!(output.status.success(), "{output:?}");
    ask(&gateway, "model-x").await;
    assert_eq!(costs(&gateway, 4).await[3], Some(3.02));

    std::fs::write(gateway.dir().join("list.json"), "{\"model-x\":\n {,}").expect("written");
    let output = gateway.command(&["reload"]).await;
    assert!(!output.status.success() && output.stderr.contains("list.json:2:"), "{output:?}");
    ask(&gateway, "model-x").await;
    assert_eq!(costs(&gateway, 5).await[4], Some(3.02), "what was in force still is");
}

#[tokio::test]
async fn a_request_costs_what_its_upstream_charged_when_it_was_sent_though_the_upstream_is_gone_at_its_end() {
    let gate = Gate::new();
    let waits = gate.clone();
    let upstream = Upstream::start(move |_| {
        let usage = r#"{"input_tokens":1000000,"output_tokens":0}"#;
        let start = format!(r#"{{"type":"message_start","message":{{"model":"model-x","usage":{usage}}}}}"#);
        Reply::sse()
            .bytes(format!("event: message_start\ndata: {start}\n\n"))
            .step(Step::Wait(waits.clone()))
            .bytes("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
    })
    .await;
    let yaml = |name: &str, factor: &str| {
        let url = upstream.url();
        format!(
            "gateway:\n  prices_file: list.json\n  upstreams: [{{name: {name}, base_url: \"{url}\", cost_factor: {factor}}}]\n"
        )
    };
    let gateway =
        gateway().env("GATEWAY_DB", "log.db").file("list.json", &list("2e-06")).yaml(&yaml("old", "0.1")).start().await;
    within("commands are taken", async {
        while !gateway.dir().join("data/run/gateway.pid").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let swap = async {
        upstream.wait_received(1).await;
        std::fs::write(gateway.dir().join("gateway.yaml"), yaml("new", "1")).expect("written");
        let output = gateway.command(&["reload"]).await;
        assert!(output.status.success(), "{output:?}");
        gate.open();
    };
    tokio::join!(ask(&gateway, "model-x"), swap);
    assert_eq!(costs(&gateway, 1).await, [Some(0.2)]);
    // Nor is it made dearer afterwards: what the upstream charged, nobody knows any more.
    let output = gateway.command(&["recost", "--from", "2000-01-01"]).await;
    assert!(output.status.success() && output.stdout.contains("1 are as they were"), "{output:?}");
    assert!(output.stdout.contains("(old)"), "{output:?}");
    assert_eq!(costs(&gateway, 1).await, [Some(0.2)]);
}

#[tokio::test]
async fn a_price_list_is_watched_however_long_it_is() {
    let upstream = upstream().await;
    let yaml = format!(
        "gateway:\n  watch: true\n  prices_file: lists/list.json\n  upstreams: [{{base_url: \"{}\"}}]\n",
        upstream.url()
    );
    // More than other files may have.
    let long = |input: &str| format!("{}{}", " ".repeat(2 * 1024 * 1024), list(input));
    let gateway =
        gateway().env("GATEWAY_DB", "log.db").file("lists/list.json", &long("2e-06")).yaml(&yaml).start().await;
    std::fs::write(gateway.dir().join("lists/list.json"), long("5e-06")).expect("written");
    gateway.stderr_line(0, "the new list is in force", |line| line.contains("loaded anew")).await;
    ask(&gateway, "model-x").await;
    assert_eq!(costs(&gateway, 1).await, [Some(5.02)]);
}

#[tokio::test]
async fn a_price_list_in_a_folder_that_a_reload_names_is_watched_too() {
    let upstream = upstream().await;
    let yaml =
        |rest: &str| format!("gateway:\n  watch: true\n{rest}  upstreams: [{{base_url: \"{}\"}}]\n", upstream.url());
    let gateway =
        gateway().env("GATEWAY_DB", "log.db").file("lists/list.json", &list("2e-06")).yaml(&yaml("")).start().await;
    let loaded = |line: &str| line.contains("loaded anew");
    std::fs::write(gateway.dir().join("gateway.yaml"), yaml("  prices_file: lists/list.json\n")).expect("written");
    gateway.stderr_line(0, "the list is in force", loaded).await;
    let from = gateway.stderr_lines();
    std::fs::write(gateway.dir().join("lists/list.json"), list("5e-06")).expect("written");
    gateway.stderr_line(from, "the new list is in force", loaded).await;
    ask(&gateway, "model-x").await;
    assert_eq!(costs(&gateway, 1).await, [Some(5.02)]);
}

/// What `prices` prints with this file, list and model.
async fn prices(yaml: &str, model: &[&str]) -> Output {
    let builder = gateway().file("list.json", &list("2e-06")).yaml(yaml).arg("prices");
    model.iter().fold(builder, |builder, model| builder.arg(model)).run().await
}

#[tokio::test]
async fn the_command_shows_what_a_model_costs_and_who_says_so() {
    let yaml = "gateway:\n  prices_file: list.json\n  upstreams: [{name: relay, base_url: \"http://up.test\", cost_factor: 0.7}]\n  \
                prices:\n    - {models: my-model, from: 2030-01-01, input: 9, output: 9}\n    - models: my-model\n      input: \
                1.5\n      output: 3\n      fast: 2\n";
    for (model, wanted) in [
        (
            "my-model",
            "(my-model)  2030-01-01                9      9       11.25     18        0.9           gateway.yaml:5:8",
        ),
        (
            "my-model",
            "my-model                              1.5    3       1.875     3         0.15  fast ×2  gateway.yaml:6:7",
        ),
        ("openai/model-x", "model-x                       2      10      2         2         2           list.json"),
        (
            "anthropic/claude-haiku-5.5[1m]",
            "claude-haiku-5-5         100000        0.1    0.5     0.125     0.2       0.01  us ×1.1  built-in",
        ),
        (
            "claude-sonnet-5-5@20260901",
            "claude-sonnet-5-5    2026-10-07                2      10      2.5       4         0.1   us ×1.1  built-in",
        ),
        (
            "claude-sonnet-5-5@20260901",
            "(claude-sonnet-5-5)                            2      10      2.5       4         0.2   us ×1.1  built-in",
        ),
        ("claude-opus-5", "relay charges 0.7 times the price."),
    ] {
        let output = prices(yaml, &[model]).await;
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let is_there = output.stdout.lines().any(|line| cells(line) == cells(wanted));
        assert!(is_there, "{model} has no line {wanted}\n{}", output.stdout);
    }
    let all = prices(yaml, &[]).await.stdout;
    let order =
        ["gateway.yaml:5:8", "gateway.yaml:6:7", "claude-opus-5-5", "1 models of gateway.prices_file (LiteLLM)"];
    let places = order.map(|part| all.find(part).unwrap_or_else(|| panic!("no {part}:\n{all}")));
    assert!(places.is_sorted(), "{all}");
}

#[tokio::test]
async fn the_command_helps_with_a_model_that_nobody_has_a_price_of() {
    let output = prices("gateway:\n  prices_file: list.json\n", &["anthropic/claude-sonet-5.5"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    for part in [
        "\"anthropic/claude-sonet-5.5\" has no price (near: claude-sonnet-5-5, claude-sonnet-",
        "{models: \"claude-sonet-5-5\", input: 1, output: 5}",
        "gateway.prices_file",
    ] {
        assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_price_is_told_with_its_place() {
    for (rest, wanted) in [
        (
            "prices: [{models: a, input: 1, output: 1, from: 2026-02-30}]",
            "\"2026-02-30\" is not a date such as 2026-10-07",
        ),
        ("prices: [{models: a, input: 0.0000001, output: 1}]", "at most six decimals"),
        ("prices: [{models: a, input: 1, output: 1, fast: 101}]", "\"101\" is not a number from 0 to 100"),
        (
            "prices: [{models: a, input: 1, output: 1, inference_geo: {us: x}}]",
            "inference_geo.us: \"x\" is not a number",
        ),
        ("prices: [{models: a, input: 1, output: 1, batch: -1}]", "batch: \"-1\" is not a number from 0 to 100"),
        (
            "upstreams: [{base_url: \"http://a.test\", cost_factor: 100.5}]",
            "cost_factor: \"100.5\" is not a number from 0 to 100",
        ),
        ("prices_file: absent.json", "gateway.yaml:2:16: gateway.prices_file: \"absent.json\" cannot be read"),
        ("prices_file: gateway.yaml", "gateway.prices_file: "),
        ("prices_file: other.json", "other.json is neither LiteLLM's"),
        ("prices_file: empty.json", "empty.json has no model with a price per token"),
    ] {
        let output = gateway()
            .file("other.json", r#"{"a": {"price": 1}}"#)
            .file("empty.json", r#"{"a": {"input_cost_per_token": 1e-06}}"#)
            .yaml(&format!("gateway:\n  {rest}\n"))
            .arg("check")
            .run()
            .await;
        assert_eq!(output.status.code(), Some(1), "{rest}: {}", told(&output));
        assert!(output.stderr.contains(wanted), "{rest}: {}", output.stderr);
    }
    let list =
        r#"{"a": {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}, "b": {"input_cost_per_token": -1}}"#;
    let output =
        gateway().file("list.json", list).yaml("gateway:\n  prices_file: list.json\n").arg("check").run().await;
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let wanted = "gateway.prices_file: list.json: the prices of 1 models cannot be read, they have none: b";
    assert!(output.stderr.contains(wanted), "{}", output.stderr);
}
